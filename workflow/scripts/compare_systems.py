"""Compare two systems on a benchmark by paired bootstrap (rule ``compare_systems``)."""

from lingualift.bootstrap import compare_systems
from lingualift.configuration.evaluation import Metric
from lingualift.joblog import running


def main(
    *,
    hypotheses: list[str],
    baseline_hypotheses: list[str],
    benchmark: str,
    comparisons: str,
    manifest: str,
    settings: dict,
    state: str,
    threads: int,
    version: int,
    shared: str | None = None,
    segments: list[str] = (),
    baseline_segments: list[str] = (),
    models: list[str] = (),
) -> None:
    """Write the difference, its interval and its p-value for every direction; segments are scored by COMET.

    ``models`` are the files that metrics name.
    """
    system, baseline = settings["system"], settings["baseline"]
    compare_systems(
        {system: hypotheses, baseline: baseline_hypotheses},
        pairs=[(system, baseline)],
        benchmark_folder=benchmark,
        benchmark=settings["benchmark"],
        metrics={name: Metric.model_validate(entry) for name, entry in settings["metrics"].items()},
        segment_scores={name: {system: segments, baseline: baseline_segments} for name in settings["comet"]},
        out=comparisons,
        limit=settings["limit"],
        workers=threads,
        state=state,
        shared=shared,
        version=version,
    ).save(manifest)


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params, threads=snakemake.threads)
