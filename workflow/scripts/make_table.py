"""Make a table of scores (rule ``make_table``)."""

from pathlib import Path

from lingualift.configuration.evaluation import Table
from lingualift.joblog import job_logging
from lingualift.tables import build_table, read_scores, write_table


def main(*, scores: list[str], csv: str, md: str, tex: str, settings: dict, version: int) -> None:
    """Write the table as CSV, Markdown and LaTeX, side by side."""
    table = Table.model_validate(settings["table"])
    write_table(build_table(read_scores(scores), table, resource=settings["resource"]), Path(csv).with_suffix(""))


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
