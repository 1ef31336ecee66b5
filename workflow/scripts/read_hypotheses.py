"""Take over the translations that others made of a benchmark (rule ``read_hypotheses``)."""

from lingualift.configuration.evaluation import split_direction
from lingualift.hypothesis_files import import_hypotheses
from lingualift.joblog import running
from lingualift.scoring import benchmark_sentences


def main(
    *, benchmark: str, hypotheses: str, manifest: str, settings: dict, version: int, files: list[str] | None = None
) -> None:
    """Write the translations of every direction as hypotheses; a file that does not fit the benchmark is an error."""
    pairs = {name: split_direction(name, settings["languages"]) for name in settings["files"]}
    sizes = {name: len(benchmark_sentences(benchmark, *pair)[0]) for name, pair in pairs.items()}
    import_hypotheses(
        settings["files"], sizes, by_direction=settings["by_direction"], out=hypotheses, limit=settings["limit"]
    ).save(manifest)


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
