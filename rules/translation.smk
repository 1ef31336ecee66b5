# Translation: a job takes a system, a benchmark and a shard of its directions.


rule translate_shard:
    input:
        unpack(lambda wildcards: there(plan.system_inputs(wildcards.system))),
        benchmark="<results>/benchmarks/{benchmark}",
    output:
        hypotheses="<results>/hypotheses/{system}/{benchmark}/{shard}.jsonl",
    log:
        "<logs>/translate_shard/{system}/{benchmark}/{shard}.log",
    benchmark:
        "<benchmarks>/translate_shard/{system}/{benchmark}/{shard}.tsv"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=growing(480),
        gpu=gpus(1),
    params:
        settings=lambda wildcards: plan.translation_settings(
            wildcards.system, wildcards.benchmark, int(wildcards.shard)
        ),
        state=f"{RESULTS}/state/hypotheses/{{system}}/{{benchmark}}/{{shard}}",
        version=version("translate_shard"),
    message:
        "Translating {wildcards.benchmark} with {wildcards.system}, shard {wildcards.shard}"
    script:
        "../workflow/scripts/translate_shard.py"
