# Environments for software that cannot live in the main one; shared by all runs, built on Snakemake's own machine.

from lingualift.environments import environment_name

COMET_PINS = os.path.relpath(f"{workflow.basedir}/envs/comet.txt")
COMET_ENVIRONMENT = f"results/environments/{environment_name(COMET_PINS)}"


localrules:
    build_comet_environment,


rule build_comet_environment:
    input:
        pins=COMET_PINS,
    output:
        folder=directory(COMET_ENVIRONMENT),
    log:
        "<logs>/build_comet_environment.log",
    benchmark:
        "<benchmarks>/build_comet_environment.tsv"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        version=version("build_comet_environment"),
    message:
        "Building the environment for COMET"
    script:
        "../workflow/scripts/build_comet_environment.py"
