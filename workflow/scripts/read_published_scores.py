"""Read the scores that the authors of a system published (rule ``read_published_scores``)."""

from lingualift.joblog import running
from lingualift.published import import_published_scores


def main(*, scores: str, manifest: str, settings: dict, version: int, files: list[str] = ()) -> None:
    """Write published scores as ours are written; ``files`` are what they are read from."""
    import_published_scores(
        settings["scores"],
        system=settings["system"],
        benchmark=settings["benchmark"],
        signature=settings["signature"],
        out=scores,
    ).save(manifest)


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
