"""Download a public test set or dictionary from its publisher (rule ``fetch_public_set``)."""

from pathlib import Path

from lingualift.joblog import job_logging
from lingualift.public_sets import PublicSet, fetch_public_set


def main(*, manifest: str, settings: dict, checksums: str, state: str, version: int) -> None:
    """Fill the folder that ``manifest`` lies in; go on with what a killed job left in ``state``."""
    entry = PublicSet.model_validate(settings)
    fetch_public_set(entry, checksums=Path(checksums), state=Path(state), out=Path(manifest).parent)


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
