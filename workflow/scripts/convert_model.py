"""Convert a model for CTranslate2 (rule ``convert_model``)."""

from pathlib import Path

from lingualift.engines import convert_to_ctranslate2
from lingualift.joblog import running


def main(*, folder: str, version: int, model: str | None = None) -> None:
    """Write the converted model."""
    convert_to_ctranslate2(model, Path(folder))


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
