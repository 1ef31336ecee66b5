# Lingualift: lift a language model that knows a few languages well into a hundred.
# This page is the contents: what is configured, the stages in the order the data flows, and the named targets.

from snakemake.utils import min_version

min_version("9.20")


# The demo, unless another file is named, even one that is not whole: two would be laid over each other.
if not workflow.overwrite_configfiles and "run" not in config:

    configfile: "config/demo.yaml"


include: "rules/common.smk"


pathvars:
    results=RESULTS,
    logs=f"{RESULTS}/logs",
    benchmarks=f"{RESULTS}/runtimes",


wildcard_constraints:
    **constraints(),


include: "rules/fetch.smk"
include: "rules/environments.smk"
include: "rules/corpora.smk"
include: "rules/lexicons.smk"
include: "rules/mixtures.smk"
include: "rules/models.smk"
include: "rules/translation.smk"
include: "rules/evaluation.smk"


report: "workflow/report/workflow.rst"


# On a cluster these are made where Snakemake runs: a job would wait longer for its turn than it takes.
localrules:
    all,
    models,
    mixtures,
    lexicons,
    mix_corpora,
    make_table,
    make_figure,
    plot_training,


# Every table and figure of the run, the training curves and the data cards.
rule all:
    default_target: True
    input:
        in_results(plan.targets()),


# The trained models alone.
rule models:
    input:
        in_results([f"models/{name}" for name in plan.trained_models()]),


# The packed training data alone.
rule mixtures:
    input:
        in_results(
            [f"mixtures/{name}/packed/{owner}" for name, owner in plan.packed_mixtures]
        ),


# The lexicons alone, with their statistics.
rule lexicons:
    input:
        in_results([f"lexicons/{name}" for name in plan.configuration.dictionaries]),
