# Corpora and benchmarks: from the publishers' files to one clean, memory-mapped form.


rule import_corpus:
    input:
        files=lambda wildcards: plan.raw_files("corpora", wildcards.corpus),
    output:
        folder=directory("<results>/corpora/{corpus}"),
    log:
        "<logs>/import_corpus/{corpus}.log",
    benchmark:
        "<benchmarks>/import_corpus/{corpus}.tsv"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        settings=lambda wildcards: plan.corpus_settings(wildcards.corpus),
        state=f"{RESULTS}/state/corpora/{{corpus}}",
        version=version("import_corpus"),
    message:
        "Importing corpus {wildcards.corpus}"
    script:
        "../workflow/scripts/import_corpus.py"


rule import_benchmark:
    input:
        files=lambda wildcards: plan.raw_files("benchmarks", wildcards.benchmark),
    output:
        folder=directory("<results>/benchmarks/{benchmark}"),
    log:
        "<logs>/import_benchmark/{benchmark}.log",
    benchmark:
        "<benchmarks>/import_benchmark/{benchmark}.tsv"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        settings=lambda wildcards: plan.benchmark_settings(wildcards.benchmark),
        state=f"{RESULTS}/state/benchmarks/{{benchmark}}",
        version=version("import_benchmark"),
    message:
        "Importing benchmark {wildcards.benchmark}"
    script:
        "../workflow/scripts/import_corpus.py"


# English sentences for pairs with little text: a job translates them into a shard of the languages.
rule translate_supplement:
    input:
        unpack(
            lambda wildcards: there(
                plan.supplement_shard_inputs(
                    wildcards.supplement, int(wildcards.shard)
                )
            )
        ),
    output:
        hypotheses="<results>/supplements/{supplement}/{shard}.jsonl",
        manifest="<results>/supplements/{supplement}/{shard}.manifest.json",
    log:
        "<logs>/translate_supplement/{supplement}/{shard}.log",
    benchmark:
        "<benchmarks>/translate_supplement/{supplement}/{shard}.tsv"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * (
            8000
            + plan.system_weights_mb(
                plan.configuration.corpora[wildcards.supplement].system
            )
        ),
        runtime=growing(1440),
        gpu=gpus(1),
    params:
        settings=lambda wildcards: plan.supplement_shard_settings(
            wildcards.supplement, int(wildcards.shard)
        ),
        base=lambda wildcards: plan.configuration.corpora[wildcards.supplement].system,
        state=f"{RESULTS}/state/translations",
        seed=SEED,
        version=version("translate_supplement"),
    message:
        "Translating English sentences for pairs with little text: {wildcards.supplement}, shard {wildcards.shard}"
    script:
        "../workflow/scripts/translate_supplement.py"


rule assemble_supplement:
    input:
        unpack(
            lambda wildcards: in_results(plan.supplement_inputs(wildcards.supplement))
        ),
        hypotheses=lambda wildcards: in_results(
            plan.supplement_hypotheses(wildcards.supplement)
        ),
    output:
        folder=directory("<results>/corpora/{supplement}"),
    log:
        "<logs>/assemble_supplement/{supplement}.log",
    benchmark:
        "<benchmarks>/assemble_supplement/{supplement}.tsv"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=lambda wildcards: plan.supplement_settings(wildcards.supplement),
        seed=SEED,
        version=version("assemble_supplement"),
    message:
        "Putting the translated pairs of {wildcards.supplement} together"
    script:
        "../workflow/scripts/assemble_supplement.py"
