"""Translate English sentences for pairs with little text (rule ``translate_supplement``)."""

from pathlib import Path

from lingualift.configuration.schema import TranslatedCorpus
from lingualift.joblog import job_logging
from lingualift.supplement import ENGLISH, translate_supplement
from lingualift.translators import open_system


def main(
    *,
    corpora: list[str],
    english: str,
    folder: str,
    settings: dict,
    state: str,
    seed: int,
    threads: int,
    version: int,
    model: str | None = None,
    converted: str | None = None,
    translators: list[str] | None = None,
) -> None:
    """Write a parallel corpus of English sentences and their translations, for each pair that lacks some."""
    corpus = TranslatedCorpus.model_validate(settings["corpus"])
    directions = [(ENGLISH, code) for code in corpus.languages or settings["languages"] if code != ENGLISH]
    with open_system(settings, directions=directions, threads=threads, model=model, converted=converted) as system:
        translate_supplement(
            corpus,
            system.translator,
            weights=system.weights,
            corpora=[Path(other) for other in corpora],
            english=Path(english),
            languages=settings["languages"],
            seed=seed,
            state=Path(state),
            out=Path(folder),
            version=version,
        )


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params, threads=snakemake.threads)
