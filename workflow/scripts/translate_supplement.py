"""Translate English sentences for pairs with little text into a shard of the languages (rule ``translate_supplement``)."""

from pathlib import Path

from lingualift.configuration.schema import TranslatedCorpus
from lingualift.joblog import job_logging
from lingualift.supplement import plan_supplement
from lingualift.translation import translate_directions
from lingualift.translators import directions_of, open_system, pace_of


def main(
    *,
    corpora: list[str],
    english: str,
    hypotheses: str,
    manifest: str,
    settings: dict,
    state: str,
    seed: int,
    threads: int,
    version: int,
    model: str | None = None,
    converted: str | None = None,
    translators: list[str] | None = None,
    base: str | None = None,
    systems: dict | None = None,
) -> None:
    """Translate as many sentences into each language of the shard as its neediest pair lacks."""
    supplement = plan_supplement(
        TranslatedCorpus.model_validate(settings["corpus"]),
        corpora=[Path(other) for other in corpora],
        english=Path(english),
        languages=settings["languages"],
        seed=seed,
    )
    asked, pace = settings["translate"], pace_of(systems, base)
    pairs = directions_of(asked)
    with open_system(asked, directions=pairs, threads=threads, model=model, converted=converted, pace=pace) as system:
        made = translate_directions(
            system.translator,
            {pair: supplement.sources(pair[1]) for pair in pairs},
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
