"""Put English sentences and their translations together as a parallel corpus (rule ``assemble_supplement``)."""

from pathlib import Path

from lingualift.configuration.schema import TranslatedCorpus
from lingualift.joblog import running
from lingualift.supplement import assemble_supplement, plan_supplement


def main(
    *, corpora: list[str], english: str, hypotheses: list[str], folder: str, settings: dict, seed: int, version: int
) -> None:
    """Write the rows that each pair lacks."""
    corpus = TranslatedCorpus.model_validate(settings["corpus"])
    sources = {"corpora": [Path(other) for other in corpora], "english": Path(english)}
    assemble_supplement(
        corpus,
        plan_supplement(corpus, **sources, languages=settings["languages"], seed=seed),
        hypotheses=[Path(path) for path in hypotheses],
        **sources,
        seed=seed,
        out=Path(folder),
    )


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
