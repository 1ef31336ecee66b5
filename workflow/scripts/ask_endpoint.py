"""Have a benchmark's directions translated by an endpoint (rule ``ask_endpoint``)."""

from pathlib import Path

from lingualift.configuration.systems import SERVICE
from lingualift.joblog import job_logging
from lingualift.pivots import translate_both_legs
from lingualift.scoring import benchmark_sentences
from lingualift.translation import translate_directions
from lingualift.translators import directions_of, open_system


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
    service = {key: value for key, value in (systems or {}).get(endpoint, {}).items() if key in SERVICE}
    # What was paid for is kept apart, in ``answers``, whatever the version.
    common = {"state": Path(state), "key": [settings, version], "out": Path(hypotheses)}
    with open_system(settings, service=service, answers=answers) as system:
        if "pivot" in settings:
            made = translate_both_legs(
                system.translator, directions, pivot=settings["pivot"], benchmark=benchmark, limit=limit, **common
            )
        else:
            sources = {pair: benchmark_sentences(benchmark, *pair, limit=limit)[0] for pair in directions}
            made = translate_directions(system.translator, sources, **common)
        system.note(made)
    made.save(manifest)


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params, systems=snakemake.config["systems"])
