"""Detect the languages that a system's hypotheses are in (rule ``detect_languages``)."""

from lingualift.configuration.evaluation import OffTarget
from lingualift.detection import load_detector, score_off_target
from lingualift.joblog import running
from lingualift.languages import told


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
    """Write the shares of outputs in the source's language and in the target's; ``models`` are the detectors' files."""
    metrics = {name: OffTarget.model_validate(entry) for name, entry in settings["metrics"].items()}
    score_off_target(
        hypotheses,
        benchmark_folder=benchmark,
        rates={name: (metric.name, load_detector(metric)) for name, metric in metrics.items()},
        languages=told(settings["languages"]),
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
