# Downloads: the only rules that use the network, on the machine that Snakemake runs on.


localrules:
    fetch_dataset,
    fetch_model,
    fetch_public_set,


# Shared by all runs on the same data folder, so that nothing of a run is a parameter.
rule fetch_dataset:
    output:
        folder=directory(f"{DATA}/{{fetched_dataset}}"),
    log:
        "<logs>/fetch_dataset/{fetched_dataset}.log",
    benchmark:
        "<benchmarks>/fetch_dataset/{fetched_dataset}.tsv"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(720),
    params:
        settings=lambda wildcards: plan.fetched_dataset_settings(
            wildcards.fetched_dataset
        ),
        state="results/state/fetched/datasets/{fetched_dataset}",
        version=version("fetch_dataset"),
    message:
        "Downloading data set {wildcards.fetched_dataset}"
    script:
        "../workflow/scripts/fetch_dataset.py"


# Of one run, as all models are.
rule fetch_model:
    output:
        folder=directory("<results>/models/{fetched_model}"),
    log:
        "<logs>/fetch_model/{fetched_model}.log",
    benchmark:
        "<benchmarks>/fetch_model/{fetched_model}.tsv"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(720),
    params:
        settings=lambda wildcards: plan.fetched_model_settings(wildcards.fetched_model),
        state=f"{RESULTS}/state/fetched/models/{{fetched_model}}",
        version=version("fetch_model"),
    message:
        "Downloading model {wildcards.fetched_model}"
    script:
        "../workflow/scripts/fetch_model.py"


# Shared by all runs on the same data folder. The manifest, not the folder, is the output: a folder that somebody
# filled by hand is never removed.
rule fetch_public_set:
    output:
        manifest=f"{DATA}/{{public_set}}/manifest.json",
    log:
        "<logs>/fetch_public_set/{public_set}.log",
    benchmark:
        "<benchmarks>/fetch_public_set/{public_set}.tsv"
    wildcard_constraints:
        public_set="|".join(map(re.escape, PUBLIC_SETS)),
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(240),
    # Nothing here depends on the run, nor on what is only said of a set: a set is not made again for another run.
    params:
        settings=lambda wildcards: PUBLIC_SETS[wildcards.public_set].settings(),
        sets=SETS,
        checksums=os.path.relpath(f"{workflow.basedir}/config/checksums.tsv"),
        state="results/state/fetched/public_sets/{public_set}",
        version=version("fetch_public_set"),
    message:
        "Downloading {wildcards.public_set}"
    script:
        "../workflow/scripts/fetch_public_set.py"


# A target for each public set, by its name: `snakemake fetch_flores101`.
for public_set in PUBLIC_SETS:

    rule:
        name:
            f"fetch_{public_set}"
        input:
            f"{DATA}/{public_set}/manifest.json",
        localrule: True
