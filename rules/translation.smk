# Translation: a job takes a system, a benchmark and a shard of its directions. What the system is says which rule.
# All jobs keep their translations in one place, and find there what any has translated. What says how fast a system
# translates (its batch; an endpoint's rate, its prices, where its key is) is read by the scripts themselves: no
# parameter, so that changing it reruns nothing.


# On the machine that Snakemake runs on: a cluster's nodes see no network.
localrules:
    ask_endpoint,


# Models of ours and translation models.
rule translate_shard:
    input:
        unpack(
            lambda wildcards: there(
                plan.translation_inputs(
                    wildcards.translating, wildcards.benchmark, int(wildcards.shard)
                )
            )
        ),
        benchmark="<results>/benchmarks/{benchmark}",
    output:
        hypotheses="<results>/hypotheses/{translating}/{benchmark}/{shard}.jsonl",
        manifest="<results>/hypotheses/{translating}/{benchmark}/{shard}.manifest.json",
    log:
        "<logs>/translate_shard/{translating}/{benchmark}/{shard}.log",
    benchmark:
        "<benchmarks>/translate_shard/{translating}/{benchmark}/{shard}.tsv"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * (8000 + plan.system_weights_mb(wildcards.translating)),
        runtime=growing(480),
        gpu=gpus(1),
    params:
        settings=lambda wildcards: plan.translation_settings(
            wildcards.translating, wildcards.benchmark, int(wildcards.shard)
        ),
        base="{translating}",
        state=f"{RESULTS}/state/translations",
        version=version("translate_shard"),
    message:
        "Translating {wildcards.benchmark} with {wildcards.translating}, shard {wildcards.shard}"
    script:
        "../workflow/scripts/translate_shard.py"


# The first leg of a pivot, shared by all targets and by all pivots through the same language with the same system.
rule translate_legs:
    input:
        unpack(
            lambda wildcards: there(
                plan.leg_inputs(
                    wildcards.translating, wildcards.pivot, wildcards.benchmark
                )
            )
        ),
        benchmark="<results>/benchmarks/{benchmark}",
    output:
        folder=directory("<results>/pivots/{translating}/{pivot}/{benchmark}/{shard}"),
    log:
        "<logs>/translate_legs/{translating}/{pivot}/{benchmark}/{shard}.log",
    benchmark:
        "<benchmarks>/translate_legs/{translating}/{pivot}/{benchmark}/{shard}.tsv"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * (8000 + plan.system_weights_mb(wildcards.translating)),
        runtime=growing(480),
        gpu=gpus(1),
    params:
        settings=lambda wildcards: plan.leg_settings(
            wildcards.translating,
            wildcards.pivot,
            wildcards.benchmark,
            int(wildcards.shard),
        ),
        base="{translating}",
        state=f"{RESULTS}/state/translations",
        version=version("translate_legs"),
    message:
        "Translating {wildcards.benchmark} into {wildcards.pivot} with {wildcards.translating}, shard {wildcards.shard}"
    script:
        "../workflow/scripts/translate_legs.py"


rule translate_through_pivot:
    input:
        unpack(
            lambda wildcards: there(
                plan.translation_inputs(
                    wildcards.pivoting, wildcards.benchmark, int(wildcards.shard)
                )
            )
        ),
        benchmark="<results>/benchmarks/{benchmark}",
    output:
        hypotheses="<results>/hypotheses/{pivoting}/{benchmark}/{shard}.jsonl",
        manifest="<results>/hypotheses/{pivoting}/{benchmark}/{shard}.manifest.json",
    log:
        "<logs>/translate_through_pivot/{pivoting}/{benchmark}/{shard}.log",
    benchmark:
        "<benchmarks>/translate_through_pivot/{pivoting}/{benchmark}/{shard}.tsv"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * (8000 + plan.system_weights_mb(wildcards.pivoting)),
        runtime=growing(480),
        gpu=gpus(1),
    params:
        settings=lambda wildcards: plan.translation_settings(
            wildcards.pivoting, wildcards.benchmark, int(wildcards.shard)
        ),
        base=lambda wildcards: plan.base_system(wildcards.pivoting),
        state=f"{RESULTS}/state/translations",
        version=version("translate_through_pivot"),
    message:
        "Translating {wildcards.benchmark} through a pivot with {wildcards.pivoting}, shard {wildcards.shard}"
    script:
        "../workflow/scripts/translate_through_pivot.py"


# The answers are shared by all runs.
rule ask_endpoint:
    input:
        benchmark="<results>/benchmarks/{benchmark}",
    output:
        hypotheses="<results>/hypotheses/{asking}/{benchmark}/{shard}.jsonl",
        manifest="<results>/hypotheses/{asking}/{benchmark}/{shard}.manifest.json",
    log:
        "<logs>/ask_endpoint/{asking}/{benchmark}/{shard}.log",
    benchmark:
        "<benchmarks>/ask_endpoint/{asking}/{benchmark}/{shard}.tsv"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(1440),
    params:
        settings=lambda wildcards: plan.translation_settings(
            wildcards.asking, wildcards.benchmark, int(wildcards.shard)
        ),
        endpoint=lambda wildcards: plan.base_system(wildcards.asking),
        state=f"{RESULTS}/state/hypotheses/{{asking}}/{{benchmark}}/{{shard}}",
        answers="results/answers",
        version=version("ask_endpoint"),
    message:
        "Asking {wildcards.asking} for translations of {wildcards.benchmark}"
    script:
        "../workflow/scripts/ask_endpoint.py"


rule read_hypotheses:
    input:
        unpack(
            lambda wildcards: there(
                plan.translation_inputs(
                    wildcards.reading, wildcards.benchmark, int(wildcards.shard)
                )
            )
        ),
        benchmark="<results>/benchmarks/{benchmark}",
    output:
        hypotheses="<results>/hypotheses/{reading}/{benchmark}/{shard}.jsonl",
        manifest="<results>/hypotheses/{reading}/{benchmark}/{shard}.manifest.json",
    log:
        "<logs>/read_hypotheses/{reading}/{benchmark}/{shard}.log",
    benchmark:
        "<benchmarks>/read_hypotheses/{reading}/{benchmark}/{shard}.tsv"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=lambda wildcards: plan.translation_settings(
            wildcards.reading, wildcards.benchmark, int(wildcards.shard)
        ),
        version=version("read_hypotheses"),
    message:
        "Reading the translations of {wildcards.benchmark} by {wildcards.reading}"
    script:
        "../workflow/scripts/read_hypotheses.py"
