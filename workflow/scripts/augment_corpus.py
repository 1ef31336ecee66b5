"""Make pseudo-parallel text of a corpus (rule ``augment_corpus``)."""

from pathlib import Path

from lingualift.augmentation import augment_corpus
from lingualift.configuration.lexicons import Augmentation
from lingualift.joblog import running
from lingualift.languages import told


def main(*, corpus: str, lexicon: str, folder: str, settings: dict, state: str, seed: int, version: int) -> None:
    """Write ``corpus`` with words replaced by their translations in ``lexicon``."""
    languages = told(settings["languages"])
    augment_corpus(
        Augmentation.model_validate(settings["augmentation"]),
        corpus_folder=Path(corpus),
        lexicon_folder=Path(lexicon),
        languages=languages,
        codes=list(languages),
        seed=seed,
        out=Path(folder),
        work=Path(state),
        version=version,
    )


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
