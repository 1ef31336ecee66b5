"""Import a corpus or a benchmark (rules ``import_corpus`` and ``import_benchmark``)."""

from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from lingualift.configuration.corpora import AnyCorpus
from lingualift.corpora import import_corpus
from lingualift.detection import check_languages
from lingualift.joblog import running
from lingualift.languages import told


def main(
    *, folder: str, settings: dict, state: str, threads: int, version: int, files: list[str] | None = None
) -> None:
    """Write the corpus of ``settings`` in canonical form; ``files`` are what it is read from."""
    table = told(settings["languages"])
    looked_at = {"labels": settings.get("langdetect", {}), "scripts": settings.get("scripts")}
    import_corpus(
        TypeAdapter(AnyCorpus).validate_python(settings["corpus"]),
        languages=list(table),
        table=table,
        data=Path(settings["data"]),
        out=Path(folder),
        work=Path(state),
        workers=threads,
        strict=settings["strict"],
        version=version,
        inspect=partial(check_languages, **looked_at) if any(looked_at.values()) else None,
    )


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params, threads=snakemake.threads)
