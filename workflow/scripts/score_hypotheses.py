"""Score the hypotheses of a system on a benchmark (rule ``score_hypotheses``)."""

from lingualift.configuration.evaluation import Metric
from lingualift.joblog import job_logging
from lingualift.scoring import score_hypotheses


def main(
    *,
    hypotheses: list[str],
    benchmark: str,
    scores: str,
    manifest: str,
    settings: dict,
    state: str,
    threads: int,
    version: int,
    models: list[str] = (),
) -> None:
    """Write the scores of every direction, with their signatures; ``models`` are the files that metrics name."""
    score_hypotheses(
        hypotheses,
        benchmark_folder=benchmark,
        metrics={name: Metric.model_validate(entry) for name, entry in settings["metrics"].items()},
        out=scores,
        system=settings["system"],
        benchmark=settings["benchmark"],
        limit=settings["limit"],
        workers=threads,
        state=state,
        version=version,
    ).save(manifest)


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params, threads=snakemake.threads)
