"""Score the hypotheses of a system on a benchmark by COMET (rule ``score_comet``)."""

from pathlib import Path

from lingualift.comet_metric import load_comet, score_with_comet
from lingualift.configuration.evaluation import Comet
from lingualift.joblog import running


def main(
    *,
    hypotheses: list[str],
    benchmark: str,
    environment: str,
    scores: str,
    segments: str,
    manifest: str,
    settings: dict,
    cache: str,
    threads: int,
    gpus: int,
    version: int,
    checkpoint: list[str] = (),
) -> None:
    """Write the score of every direction and of every segment; ``checkpoint`` are the files of the model."""
    score_with_comet(
        hypotheses,
        benchmark_folder=benchmark,
        comet=load_comet(
            Comet.model_validate(settings["comet"]), environment=Path(environment), gpus=gpus, threads=threads
        ),
        out=scores,
        segments_out=segments,
        cache=cache,
        system=settings["system"],
        benchmark=settings["benchmark"],
        metric=settings["metric"],
        limit=settings["limit"],
    ).save(manifest)


if "snakemake" in globals():
    with running(snakemake):
        main(
            **snakemake.input,
            **snakemake.output,
            **snakemake.params,
            threads=snakemake.threads,
            gpus=snakemake.resources.get("gpu", 0),
        )
