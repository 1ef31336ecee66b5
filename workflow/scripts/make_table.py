"""Make a table of scores (rule ``make_table``)."""

from pathlib import Path

from lingualift.configuration.evaluation import Table
from lingualift.joblog import running
from lingualift.manifests import Manifest
from lingualift.published import read_published
from lingualift.tables import build_table, read_scores, read_significance, write_table


def main(
    *,
    scores: list[str],
    csv: str,
    md: str,
    tex: str,
    html: str,
    manifest: str,
    settings: dict,
    version: int,
    comparisons: list[str] = (),
    published: list[str] = (),
) -> None:
    """Write the table as CSV, Markdown, LaTeX and HTML, side by side; ``published`` is a paper's, at most one."""
    made = Manifest("table", settings)
    for path in (*scores, *comparisons, *published):
        made.add_input(path)
    table = build_table(
        read_scores(scores),
        Table.model_validate(settings["table"]),
        resource=settings["resource"],
        kinds=settings.get("kinds"),
        significance=read_significance(comparisons) if comparisons else None,
        published=read_published(published[0]) if published else None,
    )
    write_table(table, Path(csv).with_suffix(""))
    made.save(manifest)


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
