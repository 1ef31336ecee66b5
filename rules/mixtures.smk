# Mixtures: which lines become training entries (Algorithm 1), the tokenizer, the packed shards, the data card.


rule mix_corpora:
    input:
        sources=lambda wildcards: in_results(plan.mixture_sources(wildcards.mixture)),
    output:
        plan="<results>/mixtures/{mixture}/plan.json",
    log:
        "<logs>/mix_corpora/{mixture}.log",
    benchmark:
        "<benchmarks>/mix_corpora/{mixture}.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=lambda wildcards: plan.mixture_settings(wildcards.mixture),
        seed=SEED,
        version=version("mix_corpora"),
    message:
        "Planning mixture {wildcards.mixture}"
    script:
        "../workflow/scripts/mix_corpora.py"


rule train_tokenizer:
    input:
        plan=lambda wildcards: in_results(
            f"mixtures/{plan.tokenizer_mixture(wildcards.scratch)}/plan.json"
        ),
        sources=lambda wildcards: in_results(
            plan.mixture_sources(plan.tokenizer_mixture(wildcards.scratch))
        ),
    output:
        folder=directory("<results>/tokenizers/{scratch}"),
    log:
        "<logs>/train_tokenizer/{scratch}.log",
    benchmark:
        "<benchmarks>/train_tokenizer/{scratch}.tsv"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=lambda wildcards: plan.tokenizer_settings(wildcards.scratch),
        version=version("train_tokenizer"),
    message:
        "Training the tokenizer of {wildcards.scratch}"
    script:
        "../workflow/scripts/train_tokenizer.py"


rule pack_mixture:
    input:
        plan="<results>/mixtures/{mixture}/plan.json",
        sources=lambda wildcards: in_results(plan.mixture_sources(wildcards.mixture)),
        tokenizer=lambda wildcards: there(
            {"tokenizer": plan.tokenizer_folder(wildcards.model)}
        ).get("tokenizer", []),
    output:
        folder=directory("<results>/mixtures/{mixture}/packed/{model}"),
    log:
        "<logs>/pack_mixture/{mixture}.{model}.log",
    benchmark:
        "<benchmarks>/pack_mixture/{mixture}.{model}.tsv"
    # Before any training, which would keep the second core from it for as long as it goes on.
    priority: 20
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        settings=lambda wildcards: plan.mixture_settings(wildcards.mixture),
        state=f"{RESULTS}/state/mixtures/{{mixture}}/{{model}}",
        version=version("pack_mixture"),
    message:
        "Tokenising and packing mixture {wildcards.mixture} for {wildcards.model}"
    script:
        "../workflow/scripts/pack_mixture.py"


rule describe_mixture:
    input:
        plan="<results>/mixtures/{mixture}/plan.json",
        sources=lambda wildcards: in_results(plan.mixture_sources(wildcards.mixture)),
        packed="<results>/mixtures/{mixture}/packed/{model}",
        tokenizer=lambda wildcards: there(
            {"tokenizer": plan.tokenizer_folder(wildcards.model)}
        ).get("tokenizer", []),
    output:
        card=report(
            "<results>/mixtures/{mixture}/cards/{model}.md",
            caption="../workflow/report/data_card.rst",
            category="Data",
            labels={"mixture": "{mixture}", "kind": "data card"},
        ),
        figure=report(
            "<results>/mixtures/{mixture}/cards/{model}.png",
            caption="../workflow/report/data_card.rst",
            category="Data",
            labels={"mixture": "{mixture}", "kind": "composition"},
        ),
    log:
        "<logs>/describe_mixture/{mixture}.{model}.log",
    benchmark:
        "<benchmarks>/describe_mixture/{mixture}.{model}.tsv"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        name="{mixture}",
        settings=lambda wildcards: plan.mixture_settings(wildcards.mixture),
        seed=SEED,
        version=version("describe_mixture"),
    message:
        "Writing the data card of mixture {wildcards.mixture}"
    script:
        "../workflow/scripts/describe_mixture.py"
