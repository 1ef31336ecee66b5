"""Have a benchmark's directions translated by an endpoint (rule ``ask_endpoint``)."""

from pathlib import Path

from lingualift.files import remove
from lingualift.joblog import running
from lingualift.pivots import PivotTranslation
from lingualift.scoring import benchmark_sources
from lingualift.translation import translate_directions
from lingualift.translators import directions_of, open_system, pace_of


def main(
    *,
    benchmark: str,
    hypotheses: str,
    manifest: str,
    settings: dict,
    endpoint: str,
    state: str,
    answers: str,
    version: int,
    systems: dict | None = None,
) -> None:
    """Ask for every translation that was not paid for before; ``systems`` says how: rate, prices, where the key is."""
    directions, limit = directions_of(settings), settings["limit"]
    store, out = Path(state), Path(hypotheses)
    # What was paid for is kept apart, in ``answers``, whatever the version; every job counts what all of it had cost.
    remove(store)
    with open_system(settings, pace=pace_of(systems, endpoint), answers=answers) as system:
        translator, key = system.translator, system.key(version)
        if "pivot" in settings:
            pivoting = PivotTranslation(translator, settings["pivot"], benchmark, limit, key)
            made = pivoting.translate_both_legs(directions, state=store, out=out)
        else:
            sources = benchmark_sources(benchmark, directions, limit=limit)
            made = translate_directions(translator, sources, state=store, key=key, out=out)
        system.note(made)
    made.save(manifest)
    remove(store)


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params, systems=snakemake.config["systems"])
