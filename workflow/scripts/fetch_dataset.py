"""Download a data set from the Hugging Face hub (rule ``fetch_dataset``)."""

from pathlib import Path

from lingualift.configuration.corpora import Hub
from lingualift.fetching import fetch_dataset
from lingualift.joblog import running


def main(*, folder: str, settings: dict, state: str, version: int) -> None:
    """Write the data set to ``folder``; go on with what a killed job left in ``state``."""
    fetch_dataset(Hub.model_validate(settings), state=Path(state), out=Path(folder))


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
