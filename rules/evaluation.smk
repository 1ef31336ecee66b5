# Evaluation: scores with their signatures, tables, figures.


rule score_hypotheses:
    input:
        hypotheses=lambda wildcards: in_results(
            plan.hypotheses(wildcards.system, wildcards.benchmark)
        ),
        benchmark="<results>/benchmarks/{benchmark}",
    output:
        scores="<results>/scores/{system}/{benchmark}.csv",
    log:
        "<logs>/score_hypotheses/{system}/{benchmark}.log",
    benchmark:
        "<benchmarks>/score_hypotheses/{system}/{benchmark}.tsv"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        settings=lambda wildcards: plan.score_settings(
            wildcards.system, wildcards.benchmark
        ),
        state=f"{RESULTS}/state/scores/{{system}}/{{benchmark}}",
        version=version("score_hypotheses"),
    message:
        "Scoring {wildcards.system} on {wildcards.benchmark}"
    script:
        "../workflow/scripts/score_hypotheses.py"


rule make_table:
    input:
        scores=lambda wildcards: in_results(plan.scores("tables", wildcards.table)),
    output:
        csv=report(
            "<results>/tables/{table}.csv",
            caption="../workflow/report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
        md="<results>/tables/{table}.md",
        tex="<results>/tables/{table}.tex",
    log:
        "<logs>/make_table/{table}.log",
    benchmark:
        "<benchmarks>/make_table/{table}.tsv"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=lambda wildcards: plan.table_settings(wildcards.table),
        version=version("make_table"),
    message:
        "Making table {wildcards.table}"
    script:
        "../workflow/scripts/make_table.py"


rule make_figure:
    input:
        scores=lambda wildcards: in_results(plan.scores("figures", wildcards.figure)),
    output:
        folder=report(
            directory("<results>/figures/{figure}"),
            patterns=["{picture}.png"],
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}", "picture": "{picture}"},
        ),
    log:
        "<logs>/make_figure/{figure}.log",
    benchmark:
        "<benchmarks>/make_figure/{figure}.tsv"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        settings=lambda wildcards: plan.figure_settings(wildcards.figure),
        version=version("make_figure"),
    message:
        "Drawing figure {wildcards.figure}"
    script:
        "../workflow/scripts/make_figure.py"
