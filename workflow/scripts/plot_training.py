"""Draw the training curve of a model (rule ``plot_training``)."""

from pathlib import Path

from lingualift.figures import training_curve, write_figure
from lingualift.joblog import running
from lingualift.modelcards import LOG


def main(*, model: str, figure: str, title: str, version: int) -> None:
    """Draw loss, learning rate and tokens per second, as PNG and SVG."""
    write_figure(training_curve(Path(model) / LOG, title=title), Path(figure).with_suffix(""))


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
