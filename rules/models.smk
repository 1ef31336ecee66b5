# Models: pre-training and instruction tuning over packed shards.


rule train_model:
    input:
        unpack(lambda wildcards: there(plan.model_inputs(wildcards.trained))),
    output:
        folder=directory("<results>/models/{trained}"),
    log:
        "<logs>/train_model/{trained}.log",
    benchmark:
        "<benchmarks>/train_model/{trained}.tsv"
    # The longest chain first: what is trained is trained on, translated with and scored.
    priority: 10
    threads: lambda wildcards: 2 * spread(wildcards.trained)[1]
    resources:
        # Each device reads the base by itself, and holds its part of what is offloaded. Most attempts follow on a time
        # limit: a quarter more each is enough.
        mem_mb=lambda wildcards, attempt: (3 + attempt)
        * spread(wildcards.trained)[1]
        * (
            8000
            + plan.weights_mb(wildcards.trained)
            + plan.offloaded_mb(
                wildcards.trained,
                ranks=spread(wildcards.trained)[0] * spread(wildcards.trained)[1],
            )
        )
        // 4,
        runtime=growing(1440),
        # How it is spread is no parameter: on other devices nothing is trained again.
        nodes=lambda wildcards: spread(wildcards.trained)[0],
        devices=lambda wildcards: spread(wildcards.trained)[1],
        gpu=lambda wildcards: training_gpus(wildcards.trained),
        mpi=lambda wildcards: training_resources(wildcards.trained).get("mpi"),
        tasks=lambda wildcards: training_resources(wildcards.trained).get("tasks"),
        tasks_per_gpu=lambda wildcards: training_resources(wildcards.trained).get(
            "tasks_per_gpu"
        ),
        slurm_extra=lambda wildcards: training_resources(wildcards.trained).get(
            "slurm_extra"
        ),
    params:
        settings=lambda wildcards: plan.model_settings(wildcards.trained),
        state=f"{RESULTS}/state/models/{{trained}}",
        seed=SEED,
        version=version("train_model"),
    message:
        "Training {wildcards.trained}"
    script:
        "../workflow/scripts/train_model.py"


rule plot_training:
    input:
        model="<results>/models/{trained}",
    output:
        figure=report(
            "<results>/figures/training/{trained}.png",
            caption="../workflow/report/training.rst",
            category="Training",
            labels={"model": "{trained}"},
        ),
    log:
        "<logs>/plot_training/{trained}.log",
    benchmark:
        "<benchmarks>/plot_training/{trained}.tsv"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        title="{trained}",
        version=version("plot_training"),
    message:
        "Drawing the training curve of {wildcards.trained}"
    script:
        "../workflow/scripts/plot_training.py"


rule convert_model:
    input:
        unpack(lambda wildcards: there({"model": plan.model_folder(wildcards.model)})),
    output:
        folder=directory("<results>/converted/{model}"),
    log:
        "<logs>/convert_model/{model}.log",
    benchmark:
        "<benchmarks>/convert_model/{model}.tsv"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * (8000 + plan.weights_mb(wildcards.model)),
        runtime=growing(60),
    params:
        version=version("convert_model"),
    message:
        "Converting {wildcards.model} for CTranslate2"
    script:
        "../workflow/scripts/convert_model.py"
