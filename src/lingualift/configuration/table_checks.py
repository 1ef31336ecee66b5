"""What one table, figure or metric alone cannot know: pivots, the papers' tables, names of metrics, languages left."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lingualift.configuration.evaluation import OFF_TARGET, PAPER_LANGUAGES, RATES, Figure, Table
from lingualift.configuration.messages import Mistake, nearest
from lingualift.configuration.schema import Configuration
from lingualift.configuration.systems import Pivot

if TYPE_CHECKING:
    from lingualift.configuration.loading import Run


def check_tables(run: "Run") -> Iterator[Mistake]:
    """Every mistake of the tables, figures and metrics of a configuration whose references are right."""
    yield from _metric_names(run.configuration)
    for name, table in run.configuration.tables.items():
        yield from _pivots(run.configuration, name, table)
        if table.published is not None and table.published not in run.published:
            there = ", ".join(run.published) or "none"
            hint = nearest(table.published, run.published)
            yield (
                ("tables", name, "published"),
                f"no file config/published/{table.published}.csv{hint}; there are: {there}",
            )
    for name, figure in run.configuration.figures.items():
        yield from _heatmap(run.configuration, name, figure)


def _metric_names(configuration: Configuration) -> Iterator[Mistake]:
    """Metrics that are called like one of another kind, of which less may be the better."""
    for name, metric in configuration.metrics.items():
        if name in RATES:
            yield ("metrics", name), f"{name!r} is computed beside every score: choose another name"
        elif name in OFF_TARGET and metric.name != name:
            yield ("metrics", name), f"{name!r} is the name of another metric than {metric.name}: choose another name"


def _pivots(configuration: Configuration, name: str, table: Table) -> Iterator[Mistake]:
    """Systems that stand as the same through another language, and are not."""
    # That the run lacks this language is a mistake of its own.
    if table.through not in configuration.languages:
        return
    for system, through in table.pivots.items():
        entry = configuration.systems[through]
        wanted = f"name a system with {{system: {system}, pivot: {table.through}}}"
        if not isinstance(entry, Pivot):
            said = f"{through!r} does not go through a pivot"
        elif entry.system != system:
            said = f"{through!r} is {entry.system!r} through a pivot, not {system!r}"
        elif entry.pivot != table.through:
            said = f"{through!r} goes through {entry.pivot!r}, the table through {table.through!r}"
        else:
            continue
        yield ("tables", name, "pivots", system), f"{said}: {wanted}"


def _heatmap(configuration: Configuration, name: str, figure: Figure) -> Iterator[Mistake]:
    if figure.kind != "pair_heatmap":
        return
    shown = figure.heatmap_languages(configuration.languages)
    if len(shown) < 2:
        found = ", ".join(shown) or "none"
        why = "" if figure.languages else f" of the paper's ({', '.join(PAPER_LANGUAGES)})"
        yield (
            ("figures", name, "languages"),
            f"a pair_heatmap needs two languages or more{why}, here is {found}: name those to show",
        )
