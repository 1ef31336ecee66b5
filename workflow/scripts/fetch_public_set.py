"""Download a public test set or dictionary from its publisher (rule ``fetch_public_set``)."""

from pathlib import Path

from lingualift.joblog import running
from lingualift.public_sets import fetch_public_set, read_public_sets


def main(*, manifest: str, settings: dict, sets: str, checksums: str, state: str, version: int) -> None:
    """Fill the folder that ``manifest`` lies in; go on with what a killed job left in ``state``.

    ``settings`` are what determines the folder of the entry in the file ``sets``.
    """
    folder = Path(manifest).parent
    fetch_public_set(read_public_sets(sets)[folder.name], checksums=Path(checksums), state=Path(state), out=folder)


if "snakemake" in globals():
    with running(snakemake, at=Path(snakemake.output.manifest).parent):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
