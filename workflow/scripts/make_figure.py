"""Draw a figure of scores (rule ``make_figure``)."""

from pathlib import Path

from lingualift.configuration.evaluation import Figure
from lingualift.figures import draw_figure
from lingualift.joblog import job_logging
from lingualift.tables import read_scores


def main(*, scores: list[str], folder: str, settings: dict, version: int) -> None:
    """Draw a picture for each system and benchmark of the figure."""
    figure = Figure.model_validate(settings["figure"])
    draw_figure(read_scores(scores), figure, families=settings["families"], seen=settings.get("seen"), out=Path(folder))


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
