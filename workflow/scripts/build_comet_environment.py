"""Build the environment that COMET runs in (rule ``build_comet_environment``)."""

from pathlib import Path

from lingualift.environments import build_environment
from lingualift.joblog import job_logging


def main(*, pins: str, folder: str, version: int) -> None:
    """Write a virtual environment with the packages of ``pins``."""
    build_environment(Path(pins), Path(folder))


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
