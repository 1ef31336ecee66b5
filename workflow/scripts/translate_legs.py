"""Translate a benchmark's sources into a pivot language (rule ``translate_legs``)."""

from pathlib import Path

from lingualift.joblog import job_logging
from lingualift.pivots import PivotTranslation
from lingualift.translators import directions_of, open_system, pace_of


def main(
    *,
    benchmark: str,
    folder: str,
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
    """Translate every source sentence of the shard into the pivot language, once.

    ``systems`` says how fast a ``base`` translates.
    """
    directions, pace = directions_of(settings), pace_of(systems, base)
    legs = [(source, settings["pivot"]) for source, _ in directions]
    with open_system(settings, directions=legs, threads=threads, model=model, converted=converted, pace=pace) as system:
        pivoting = PivotTranslation(
            system.translator, settings["pivot"], benchmark, settings["limit"], system.key(version)
        )
        pivoting.translate_legs(directions, state=Path(state), out=Path(folder), note=system.note)


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(
            **snakemake.input,
            **snakemake.output,
            **snakemake.params,
            threads=snakemake.threads,
            systems=snakemake.config["systems"],
        )
