"""Score the hypotheses of a system on a benchmark (rule ``score_hypotheses``)."""

from lingualift.configuration.evaluation import Metric
from lingualift.joblog import running
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
    shared: str | None = None,
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
        shared=shared,
        version=version,
    ).save(manifest)


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params, threads=snakemake.threads)
