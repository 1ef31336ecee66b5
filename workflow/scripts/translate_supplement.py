"""Translate English sentences for pairs with little text (rule ``translate_supplement``)."""

from pathlib import Path

from lingualift.configuration.prompts import Prompt
from lingualift.configuration.schema import System, TranslatedCorpus
from lingualift.joblog import job_logging
from lingualift.supplement import translate_supplement
from lingualift.translation import load_translator


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
) -> None:
    """Write a parallel corpus of English sentences and their translations, for each pair that lacks some."""
    translator = load_translator(
        model=model,
        converted=converted,
        system=System.model_validate(settings["system"]),
        prompt=Prompt.model_validate(settings["prompt"]),
        names=settings["names"],
        threads=threads,
    )
    translate_supplement(
        TranslatedCorpus.model_validate(settings["corpus"]),
        translator,
        model=Path(model or ""),
        corpora=[Path(corpus) for corpus in corpora],
        english=Path(english),
        languages=settings["languages"],
        seed=seed,
        state=Path(state),
        out=Path(folder),
    )


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params, threads=snakemake.threads)
