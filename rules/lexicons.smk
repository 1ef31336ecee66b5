# Lexicons, and the pseudo-parallel text made with them (LLaMAX, section 2.1).


rule build_lexicon:
    input:
        files=lambda wildcards: plan.raw_files("dictionaries", wildcards.dictionary),
    output:
        folder=directory("<results>/lexicons/{dictionary}"),
    log:
        "<logs>/build_lexicon/{dictionary}.log",
    benchmark:
        "<benchmarks>/build_lexicon/{dictionary}.tsv"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=lambda wildcards: plan.lexicon_settings(wildcards.dictionary),
        version=version("build_lexicon"),
    message:
        "Building the lexicon of {wildcards.dictionary}"
    script:
        "../workflow/scripts/build_lexicon.py"


rule augment_corpus:
    input:
        corpus=lambda wildcards: in_results(
            f"corpora/{plan.configuration.augmentations[wildcards.augmentation].source}"
        ),
        lexicon=lambda wildcards: in_results(
            f"lexicons/{plan.configuration.augmentations[wildcards.augmentation].dictionary}"
        ),
    output:
        folder=directory("<results>/augmentations/{augmentation}"),
    log:
        "<logs>/augment_corpus/{augmentation}.log",
    benchmark:
        "<benchmarks>/augment_corpus/{augmentation}.tsv"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        settings=lambda wildcards: plan.augmentation_settings(wildcards.augmentation),
        state=f"{RESULTS}/state/augmentations/{{augmentation}}",
        seed=SEED,
        version=version("augment_corpus"),
    message:
        "Replacing words: {wildcards.augmentation}"
    script:
        "../workflow/scripts/augment_corpus.py"
