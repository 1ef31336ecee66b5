"""Plan a mixture: which lines of which corpora are taken (rule ``mix_corpora``)."""

from pathlib import Path

from lingualift.configuration.mixtures import Mixture
from lingualift.corpora import corpus_tables
from lingualift.joblog import running
from lingualift.mixing import plan_mixture


def main(*, sources: list[str], plan: str, settings: dict, seed: int, version: int) -> None:
    """Write the streams of the mixture; ``sources`` are the corpus folders of ``settings["sources"]``."""
    tables = {name: corpus_tables(Path(folder)) for name, folder in zip(settings["sources"], sources, strict=True)}
    mixture = Mixture.model_validate(settings["mixture"])
    plan_mixture(mixture, tables=tables, languages=settings["languages"], seed=seed).save(plan)


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
