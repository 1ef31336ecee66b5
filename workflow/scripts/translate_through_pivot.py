"""Translate a shard of a benchmark's directions from a pivot language (rule ``translate_through_pivot``)."""

from pathlib import Path

from lingualift.joblog import job_logging
from lingualift.pivots import PivotTranslation, read_legs
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
    legs: list[str] | None = None,
    model: str | None = None,
    converted: str | None = None,
    translators: list[str] | None = None,
    base: str | None = None,
    systems: dict | None = None,
) -> None:
    """Translate what the first legs gave into every target of the shard.

    ``systems`` says how fast a ``base`` translates.
    """
    directions, pivot, pace = directions_of(settings), settings["pivot"], pace_of(systems, base)
    second = [(pivot, target) for _, target in directions if target != pivot]
    with open_system(
        settings, directions=second, threads=threads, model=model, converted=converted, pace=pace
    ) as system:
        pivoting = PivotTranslation(system.translator, pivot, benchmark, settings["limit"], system.key(version))
        made = pivoting.translate(read_legs(legs or []), directions, state=Path(state), out=Path(hypotheses))
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
