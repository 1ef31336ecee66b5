"""Translate a shard of a benchmark's directions (rule ``translate_shard``)."""

from pathlib import Path

from lingualift.joblog import job_logging
from lingualift.scoring import benchmark_sources
from lingualift.translation import translate_directions
from lingualift.translators import directions_of, open_system, pace_of


def main(
    *,
    benchmark: str,
    hypotheses: str,
    manifest: str,
    settings: dict,
    state: str,
    threads: int,
    version: int,
    model: str | None = None,
    converted: str | None = None,
    translators: list[str] | None = None,
    base: str | None = None,
    systems: dict | None = None,
) -> None:
    """Translate of the shard's directions what other jobs, or a killed one, have not left in ``state``.

    ``systems`` says how fast a ``base`` translates.
    """
    directions, pace = directions_of(settings), pace_of(systems, base)
    with open_system(
        settings, directions=directions, threads=threads, model=model, converted=converted, pace=pace
    ) as system:
        made = translate_directions(
            system.translator,
            benchmark_sources(benchmark, directions, limit=settings["limit"]),
            state=Path(state),
            key=system.key(version),
            out=Path(hypotheses),
        )
        system.note(made)
    made.save(manifest)


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(
            **snakemake.input,
            **snakemake.output,
            **snakemake.params,
            threads=snakemake.threads,
            systems=snakemake.config["systems"],
        )
