# Evaluation: scores with their signatures, comparisons, tables, figures.


rule score_hypotheses:
    input:
        hypotheses=lambda wildcards: in_results(
            plan.hypotheses(wildcards.system, wildcards.benchmark, wildcards.part)
        ),
        benchmark="<results>/benchmarks/{benchmark}",
        models=lambda wildcards: plan.metric_files(
            plan.score_settings(wildcards.system, wildcards.benchmark)
        ),
    output:
        scores="<results>/scores/{system}/{benchmark}{part}.csv",
        manifest="<results>/scores/{system}/{benchmark}{part}.manifest.json",
    log:
        "<logs>/score_hypotheses/{system}/{benchmark}{part}.log",
    benchmark:
        "<benchmarks>/score_hypotheses/{system}/{benchmark}{part}.tsv"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        settings=lambda wildcards: plan.score_settings(
            wildcards.system, wildcards.benchmark
        ),
        state=f"{RESULTS}/state/scores/{{system}}/{{benchmark}}{{part}}",
        shared=f"{RESULTS}/state/scores/{{system}}",
        version=version("score_hypotheses"),
    message:
        "Scoring {wildcards.system} on {wildcards.benchmark}{wildcards.part}"
    script:
        "../workflow/scripts/score_hypotheses.py"


rule detect_languages:
    input:
        hypotheses=lambda wildcards: in_results(
            plan.hypotheses(wildcards.system, wildcards.benchmark, wildcards.part)
        ),
        benchmark="<results>/benchmarks/{benchmark}",
        models=lambda wildcards: plan.metric_files(
            plan.language_settings(wildcards.system, wildcards.benchmark)
        ),
    output:
        scores="<results>/off_target/{system}/{benchmark}{part}.csv",
        manifest="<results>/off_target/{system}/{benchmark}{part}.json",
    log:
        "<logs>/detect_languages/{system}/{benchmark}{part}.log",
    benchmark:
        "<benchmarks>/detect_languages/{system}/{benchmark}{part}.tsv"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        settings=lambda wildcards: plan.language_settings(
            wildcards.system, wildcards.benchmark
        ),
        state=f"{RESULTS}/state/off_target/{{system}}/{{benchmark}}{{part}}",
        shared=f"{RESULTS}/state/off_target/{{system}}",
        version=version("detect_languages"),
    message:
        "Detecting languages of {wildcards.system} on {wildcards.benchmark}{wildcards.part}"
    script:
        "../workflow/scripts/detect_languages.py"


# The scores of segments are kept for all runs: what was scored once is never paid for again.
rule score_comet:
    input:
        hypotheses=lambda wildcards: in_results(
            plan.hypotheses(wildcards.system, wildcards.benchmark, wildcards.part)
        ),
        benchmark="<results>/benchmarks/{benchmark}",
        environment=COMET_ENVIRONMENT,
        checkpoint=lambda wildcards: plan.comet_files(wildcards.metric),
    output:
        scores="<results>/comet/{metric}/{system}/{benchmark}{part}.csv",
        segments="<results>/comet/{metric}/{system}/{benchmark}{part}.jsonl",
        manifest="<results>/comet/{metric}/{system}/{benchmark}{part}.json",
    log:
        "<logs>/score_comet/{metric}/{system}/{benchmark}{part}.log",
    benchmark:
        "<benchmarks>/score_comet/{metric}/{system}/{benchmark}{part}.tsv"
    threads: 2
    resources:
        mem_mb=growing(12000),
        runtime=growing(480),
        gpu=lambda wildcards: gpus(plan.comet_devices(wildcards.metric)),
    params:
        settings=lambda wildcards: plan.comet_settings(
            wildcards.metric, wildcards.system, wildcards.benchmark
        ),
        cache="results/state/comet",
        version=version("score_comet"),
    message:
        "Scoring {wildcards.system} on {wildcards.benchmark}{wildcards.part} by {wildcards.metric}"
    script:
        "../workflow/scripts/score_comet.py"


rule compare_systems:
    input:
        unpack(
            lambda wildcards: in_results(
                plan.comparison_inputs(
                    wildcards.judge,
                    wildcards.system,
                    wildcards.baseline,
                    wildcards.benchmark,
                    wildcards.part,
                )
            )
        ),
        benchmark="<results>/benchmarks/{benchmark}",
        models=lambda wildcards: plan.metric_files(
            plan.comparison_settings(
                wildcards.judge,
                wildcards.system,
                wildcards.baseline,
                wildcards.benchmark,
            )
        ),
    output:
        comparisons="<results>/comparisons/{judge}/{system}/{baseline}/{benchmark}{part}.csv",
        manifest="<results>/comparisons/{judge}/{system}/{baseline}/{benchmark}{part}.json",
    log:
        "<logs>/compare_systems/{judge}/{system}/{baseline}/{benchmark}{part}.log",
    benchmark:
        "<benchmarks>/compare_systems/{judge}/{system}/{baseline}/{benchmark}{part}.tsv"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        settings=lambda wildcards: plan.comparison_settings(
            wildcards.judge,
            wildcards.system,
            wildcards.baseline,
            wildcards.benchmark,
        ),
        state=f"{RESULTS}/state/comparisons/{{judge}}/{{system}}/{{baseline}}/{{benchmark}}{{part}}",
        shared=f"{RESULTS}/state/comparisons/{{judge}}/{{system}}/{{baseline}}",
        version=version("compare_systems"),
    message:
        "Comparing {wildcards.system} with {wildcards.baseline} on {wildcards.benchmark}{wildcards.part} by {wildcards.judge}"
    script:
        "../workflow/scripts/compare_systems.py"


rule read_published_scores:
    input:
        files=lambda wildcards: plan.published_files(wildcards.system),
    output:
        scores="<results>/published/{system}.csv",
        manifest="<results>/published/{system}.json",
    log:
        "<logs>/read_published_scores/{system}.log",
    benchmark:
        "<benchmarks>/read_published_scores/{system}.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        settings=lambda wildcards: plan.published_settings(wildcards.system),
        version=version("read_published_scores"),
    message:
        "Reading the published scores of {wildcards.system}"
    script:
        "../workflow/scripts/read_published_scores.py"


# One label for the report: of several, its page makes a switch of one that has two values equally often (two tables),
# and breaks where no row has the other.
rule make_table:
    input:
        scores=lambda wildcards: in_results(plan.scores("tables", wildcards.table)),
        comparisons=lambda wildcards: in_results(plan.comparisons(wildcards.table)),
        published=lambda wildcards: [
            os.path.relpath(f"{workflow.basedir}/config/published/{name}.csv")
            for name in plan.published_tables(wildcards.table)
        ],
    output:
        csv="<results>/tables/{table}.csv",
        md="<results>/tables/{table}.md",
        tex="<results>/tables/{table}.tex",
        html=report(
            "<results>/tables/{table}.html",
            caption="../workflow/report/table.rst",
            category="1 Tables",
            labels=lambda wildcards: {
                "table": f"{plan.place('tables', wildcards.table)} {wildcards.table}"
            },
        ),
        manifest="<results>/tables/{table}.manifest.json",
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
            category="2 Figures",
            labels=lambda wildcards: {
                "figure": f"{plan.place('figures', wildcards.figure)} {wildcards.figure}: {wildcards.picture}"
            },
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


# A target for each table and figure, by its name: `snakemake table4`.
for shown, paths in plan.shown().items():

    rule:
        name:
            shown
        input:
            in_results(paths),
        localrule: True
