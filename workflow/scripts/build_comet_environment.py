"""Build the environment that COMET runs in (rule ``build_comet_environment``)."""

from pathlib import Path

from lingualift.environments import build_environment
from lingualift.joblog import running


def main(*, pins: str, folder: str, version: int) -> None:
    """Write a virtual environment with the packages of ``pins``."""
    build_environment(Path(pins), Path(folder))


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
