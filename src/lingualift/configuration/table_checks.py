"""What one table, figure or metric alone cannot know: pivots, the papers' tables, names of metrics, languages left."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lingualift.configuration.evaluation import (
    BUILT_IN_METRICS,
    OFF_TARGET,
    PAPER_LANGUAGES,
    RATES,
    Bleurt,
    Comet,
    Figure,
    OffTarget,
    Table,
)
from lingualift.configuration.messages import Mistake, Place, nearest
from lingualift.configuration.schema import Configuration
from lingualift.configuration.systems import Pivot, PublishedScores

if TYPE_CHECKING:
    from lingualift.configuration.loading import Run


def check_tables(run: "Run") -> Iterator[Mistake]:
    """Every mistake of the tables, figures and metrics of a configuration whose references are right."""
    yield from _metric_names(run.configuration)
    for name, table in run.configuration.tables.items():
        yield from _empty(run.configuration, ("tables", name), table)
        yield from _baseline(run.configuration, name, table)
        yield from _pivots(run.configuration, name, table)
        if table.published is not None and table.published not in run.published:
            there = ", ".join(run.published) or "none"
            hint = nearest(table.published, run.published)
            yield (
                ("tables", name, "published"),
                f"no file config/published/{table.published}.csv{hint}; there are: {there}",
            )
    for name, figure in run.configuration.figures.items():
        yield from _empty(run.configuration, ("figures", name), figure)
        yield from _heatmap(run.configuration, name, figure)


def known_metrics(configuration: Configuration) -> set[str]:
    """What a table or figure may name as a metric of any system."""
    return {*configuration.metrics, *BUILT_IN_METRICS, *OFF_TARGET, *RATES}


def metric_hint(name: str, configuration: Configuration) -> str:
    """What to do about a metric that is not known: another word, or what has to be added first."""
    word, entries = name.lower(), configuration.metrics
    if word.startswith("bleurt"):
        return f": {_why_no_bleurt()}"
    if word.startswith("comet") and not any(isinstance(entry, Comet) for entry in entries.values()):
        return f": add `metrics: {{{name}: {{name: comet, checkpoint: <its folder below data>}}}}`"
    return nearest(name, known_metrics(configuration))


def _why_no_bleurt() -> str:
    try:
        Bleurt(name="bleurt")
    except ValidationError as error:
        return str(error.errors()[0]["ctx"]["error"])
    raise AssertionError("there is BLEURT now")


def _metric_names(configuration: Configuration) -> Iterator[Mistake]:
    """Metrics that are called like one of another kind, of which less may be the better."""
    for name, metric in configuration.metrics.items():
        if name in RATES:
            yield ("metrics", name), f"{name!r} is computed beside every score: choose another name"
        elif name in OFF_TARGET and metric.name != name:
            yield ("metrics", name), f"{name!r} is the name of another metric than {metric.name}: choose another name"


def _empty(configuration: Configuration, at: Place, entry: Table | Figure) -> Iterator[Mistake]:
    """Systems without a score to show, of no benchmark or by no metric: they would be an empty column."""
    asked = entry.metrics if isinstance(entry, Table) else (entry.metric,)
    for number, name in enumerate(entry.systems):
        system = configuration.systems[name]
        if isinstance(system, PublishedScores) and system.benchmark not in entry.benchmarks:
            said = f"the scores of {name!r} are of {system.benchmark!r}, and here is {', '.join(entry.benchmarks)}"
            advice = "show that benchmark"
        elif isinstance(system, PublishedScores) and not set(asked) & set(system.scores):
            said = f"the scores of {name!r} are by {', '.join(system.scores)}, and here is {', '.join(asked)}"
            advice = "show such a metric"
        elif not isinstance(system, PublishedScores) and not set(asked) & known_metrics(configuration):
            said = f"{name!r} has no scores by {', '.join(asked)}, known from published scores alone"
            advice = "show another metric, too"
        else:
            continue
        yield (*at, "systems", number), f"{said}: it would stand there empty; {advice}, or leave the system out"


def _baseline(configuration: Configuration, name: str, table: Table) -> Iterator[Mistake]:
    """A baseline that nothing would be tested against."""
    if table.baseline is None:
        return
    systems = configuration.systems
    translating = [it for it in table.systems if not isinstance(systems[it], PublishedScores)]
    resampled = [it for it in table.metrics if _is_resampled(configuration, it)]
    others = ", ".join(it for it in translating if it != table.baseline)
    if table.baseline not in translating:
        said = f"{table.baseline!r} is published scores: without translations there is nothing to resample"
        said += f"; name another of the table's systems ({others}), or leave it out" if others else "; leave it out"
    elif not others:
        said = "no other system of the table has translations that could be compared with its own: leave it out"
    elif not resampled:
        said = f"{', '.join(table.metrics)}: none of these is compared by resampling; leave it out, or add a metric"
    else:
        return
    yield ("tables", name, "baseline"), said


def _is_resampled(configuration: Configuration, metric: str) -> bool:
    entry = configuration.metrics.get(metric)
    return metric in BUILT_IN_METRICS if entry is None else not isinstance(entry, OffTarget)


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
