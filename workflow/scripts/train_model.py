"""Train one stage of a model (rule ``train_model``)."""

import shlex

from lingualift.configuration.models import OPERATIONAL
from lingualift.joblog import job_logging
from lingualift.launching import TrainingJob, launch, log_on


def main(
    *,
    blocks: str,
    folder: str,
    settings: dict,
    state: str,
    seed: int,
    version: int,
    tokenizer: str | None = None,
    base: str | None = None,
    nodes: int = 1,
    devices: int = 1,
    srun: str | None = None,
    threads: int | None = None,
    config: dict | None = None,
) -> None:
    """Train on ``blocks`` from ``base`` and write the model folder; ``config``'s recipe says how the training is run."""
    run = {}
    if config is not None:
        recipe = config["recipes"][config["models"][settings["model"]][settings["stage"]]["recipe"]]
        run = {key: value for key, value in recipe.items() if key in OPERATIONAL}
    job = TrainingJob(
        blocks=blocks,
        recipe={**settings["recipe"], **run, "nodes": nodes, "devices": devices},
        out=folder,
        state=state,
        seed=seed,
        tokenizer=tokenizer,
        base=base,
        scratch=settings["scratch"],
        settings=settings,
        version=version,
    )
    launch(job, srun=shlex.split(srun) if srun else None, threads=threads)


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        log_on(f"{snakemake.params.state}.log")
        main(
            **snakemake.input,
            **snakemake.output,
            **snakemake.params,
            nodes=snakemake.resources.nodes,
            devices=snakemake.resources.devices,
            srun=snakemake.resources.get("mpi"),
            threads=snakemake.threads,
            config=snakemake.config,
        )
