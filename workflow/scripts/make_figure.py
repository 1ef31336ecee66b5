"""Draw a figure of scores (rule ``make_figure``)."""

from pathlib import Path

from lingualift.configuration.evaluation import Figure
from lingualift.figures import draw_figure
from lingualift.joblog import running
from lingualift.manifests import Manifest
from lingualift.tables import read_scores


def main(*, scores: list[str], folder: str, settings: dict, version: int) -> None:
    """Draw the pictures of the figure; the manifest says of each with which signatures its scores were made."""
    made = Manifest("figure", settings)
    for path in scores:
        made.add_input(path)
    figure = Figure.model_validate(settings["figure"])
    made.details["pictures"] = draw_figure(
        read_scores(scores), figure, families=settings["families"], seen=settings.get("seen"), out=Path(folder)
    )
    made.save(Path(folder) / "manifest.json")


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
