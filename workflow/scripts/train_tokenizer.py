"""Train the tokenizer of a model from scratch (rule ``train_tokenizer``)."""

from pathlib import Path

from lingualift.entries import mixture_reader
from lingualift.joblog import running
from lingualift.tokenization import train_tokenizer


def main(*, plan: str, sources: list[str], folder: str, settings: dict, version: int) -> None:
    """Learn the tokenizer from the entries of the mixture that ``plan`` describes."""
    train_tokenizer(
        mixture_reader(plan, sources, settings),
        vocabulary=settings["vocabulary"],
        max_entries=settings["max_entries"],
        out=Path(folder),
    )


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
