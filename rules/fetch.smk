# Downloads: the only rules that use the network, on the machine that Snakemake runs on.


localrules:
    fetch_dataset,
    fetch_model,


# Shared by all runs on the same data folder.
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
        state=f"{RESULTS}/state/fetched/datasets/{{fetched_dataset}}",
        version=version("fetch_dataset"),
    message:
        "Downloading data set {wildcards.fetched_dataset}"
    script:
        "../workflow/scripts/fetch_dataset.py"


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
