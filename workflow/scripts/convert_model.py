"""Convert a model for CTranslate2 (rule ``convert_model``)."""

from pathlib import Path

from lingualift.engines import convert_to_ctranslate2
from lingualift.joblog import job_logging


def main(*, folder: str, version: int, model: str | None = None) -> None:
    """Write the converted model."""
    convert_to_ctranslate2(model, Path(folder))


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
