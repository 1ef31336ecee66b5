"""Download a model from the Hugging Face hub (rule ``fetch_model``)."""

from pathlib import Path

from lingualift.configuration.models import Hub
from lingualift.fetching import fetch_model
from lingualift.joblog import running


def main(*, folder: str, settings: dict, state: str, version: int) -> None:
    """Write the model to ``folder``; go on with what a killed job left in ``state``."""
    fetch_model(Hub.model_validate(settings), state=Path(state), out=Path(folder))


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
