"""Tokenise and pack a mixture (rule ``pack_mixture``)."""

from pathlib import Path

from lingualift.configuration.mixtures import Mixture
from lingualift.entries import mixture_reader
from lingualift.joblog import job_logging
from lingualift.packing import pack_mixture
from lingualift.tokenization import load_tokenizer


def main(
    *,
    plan: str,
    sources: list[str],
    tokenizer: str,
    folder: str,
    settings: dict,
    state: str,
    threads: int,
    version: int,
) -> None:
    """Write the shards of the mixture in the tokens of ``tokenizer``."""
    pack_mixture(
        mixture_reader(plan, sources, settings),
        load_tokenizer(tokenizer),
        Mixture.model_validate(settings["mixture"]),
        out=Path(folder),
        work=Path(state),
        workers=threads,
    )


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params, threads=snakemake.threads)
