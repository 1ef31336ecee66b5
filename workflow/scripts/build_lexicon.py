"""Build a multilingual lexicon (rule ``build_lexicon``)."""

from pathlib import Path

from pydantic import TypeAdapter

from lingualift.configuration.lexicons import Dictionary
from lingualift.joblog import running
from lingualift.languages import told
from lingualift.lexicons import build_lexicon


def main(*, folder: str, settings: dict, version: int, files: list[str] | None = None) -> None:
    """Write the lexicon of ``settings``; ``files`` are what it is read from."""
    build_lexicon(
        TypeAdapter(Dictionary).validate_python(settings["dictionary"]),
        languages=told(settings["languages"]),
        data=Path(settings["data"]),
        out=Path(folder),
        version=version,
    )


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
