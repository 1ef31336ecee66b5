"""The layouts of a table: what its rows and columns are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lingualift.configuration.evaluation import OFF_TARGET, Table
from lingualift.published import PublishedNumbers
from lingualift.tables.additions import add_published, add_significance
from lingualift.tables.printing import ScoreTable
from lingualift.tables.rows import (
    around_centres,
    by_row,
    choose_rows,
    comparable,
    directions_of,
    shortfalls,
    signatures,
    spread,
)

if TYPE_CHECKING:
    import pandas as pd

# What stands for a rate of a language that the detector does not know.
UNKNOWN = "–"


def build_table(
    scores: "pd.DataFrame",
    table: Table,
    *,
    resource: Mapping[str, str],
    kinds: Mapping[str, str] | None = None,
    significance: "pd.DataFrame | None" = None,
    published: PublishedNumbers | None = None,
) -> ScoreTable:
    """The table that the configuration describes.

    Args:
        scores: as ``read_scores`` gives them; of these or more systems, benchmarks and metrics.
        resource: ``high`` or ``low`` by language code.
        kinds: what a metric is, by its name, where it is called otherwise.
        significance: as ``read_significance`` gives it; of comparisons with ``table.baseline`` or more.
        published: the numbers of the paper that stand beside ours.
    """
    options = {
        "systems": table.systems,
        "benchmarks": table.benchmarks,
        "metrics": table.metrics,
        "languages": table.languages,
        "caption": table.caption,
    }
    match table.layout:
        case "centre":
            built = centre_table(scores, resource=resource, centre=table.centre, **options)
        case "benchmarks":
            built = benchmark_table(scores, centre=table.centre, **options)
        case "off-target":
            built = off_target_table(scores, sources=table.centre, **options)
        case "pivot":
            built = pivot_table(scores, pivots=table.pivots, through=table.through, centre=table.centre, **options)
        case "directions":
            built = direction_table(scores, **options)
    built = replace(built, kinds=kinds or {})
    if significance is not None:
        if table.baseline:
            significance = significance[significance["baseline"] == table.baseline]
        built = add_significance(built, significance, table)
    if published is not None:
        built = add_published(built, published, names=table.published_as)
    return built


def direction_table(
    scores: "pd.DataFrame",
    *,
    systems: Sequence[str],
    metrics: Sequence[str],
    benchmarks: Sequence[str] = (),
    languages: Sequence[str] = (),
    caption: str = "",
) -> ScoreTable:
    """A row per direction, a column per system and metric.

    Args:
        scores: as ``read_scores`` gives them.
        systems: the columns' order; ``metrics`` likewise.
        benchmarks: the rows' order; the first level of the index where there are several. All if empty.
        languages: only directions between these; all if empty.
    """
    chosen = _within(choose_rows(scores, systems, metrics, benchmarks), languages).dropna(subset="score")
    chosen["direction"] = chosen["source"] + "→" + chosen["target"]
    frame = spread(chosen, ["direction"], systems, metrics)
    return ScoreTable(frame, signatures(chosen, metrics), caption, rows=directions_of(chosen, ["direction"]))


def centre_table(
    scores: "pd.DataFrame",
    *,
    systems: Sequence[str],
    metrics: Sequence[str],
    resource: Mapping[str, str],
    centre: Sequence[str] = (),
    languages: Sequence[str] = (),
    benchmarks: Sequence[str] = (),
    caption: str = "",
) -> ScoreTable:
    """Averages around centre languages: c→X and X→c over low-resource X, high-resource X and all X.

    A row averages over the directions that every system of the row has a score for, so that systems stand on the
    same ground; a system with less than half of them has an empty cell.

    Args:
        resource: ``high`` or ``low`` by language code; other languages count in ``all`` only.
        centre: the centre languages, in the order of the rows; all in turn if empty.
        languages: what X runs over; every language with scores if empty.

    Source: LLaMAX, Table 4.
    """
    chosen = choose_rows(scores, systems, metrics, benchmarks).dropna(subset="score")
    levels = ["direction", "resource"]
    around = around_centres(chosen, centre, languages, resource)
    averaged = comparable(around, levels)
    frame = spread(averaged, levels, systems, metrics)
    notes = signatures(chosen, metrics) + shortfalls(around, averaged, levels, systems)
    whole = _whole_groups(averaged, frame.index)
    return ScoreTable(frame, notes, caption, rows=directions_of(averaged, levels), repeated=whole)


def _whole_groups(averaged: "pd.DataFrame", index: "pd.Index") -> dict[tuple[str, ...], tuple[str, ...]]:
    """The rows of a centre table whose group has as many scores as all languages have; and the rows of all."""
    sizes = averaged.groupby(list(index.names), observed=True).size()
    pairs = ((row, (*row[:-1], "all")) for row in index if row[-1] != "all")
    return {row: other for row, other in pairs if sizes[row] == sizes.get(other)}


def benchmark_table(
    scores: "pd.DataFrame",
    *,
    systems: Sequence[str],
    metrics: Sequence[str],
    centre: Sequence[str] = (),
    languages: Sequence[str] = (),
    benchmarks: Sequence[str] = (),
    caption: str = "",
) -> ScoreTable:
    """Averages of each benchmark: c→X and X→c for each centre language, where the benchmark has such directions.

    Directions that every system of the table has a score for are averaged, as in ``centre_table``.

    Args:
        centre: the centre languages; if empty, one average over all directions of a benchmark.
        languages: only directions between these and the centre languages; all if empty.

    Source: LLaMAX, Table 5.
    """
    chosen = choose_rows(scores, systems, metrics, benchmarks).dropna(subset="score")
    if centre:
        around = around_centres(chosen, centre, languages, {})
    else:
        around = _within(chosen, languages).assign(direction="all")
    averaged = comparable(around, ["direction"])
    frame = spread(averaged, ["direction"], systems, metrics, keep_benchmark=True)
    notes = signatures(chosen, metrics) + shortfalls(around, averaged, ["direction"], systems)
    return ScoreTable(frame, notes, caption, rows=directions_of(averaged, ["direction"]))


def off_target_table(
    scores: "pd.DataFrame",
    *,
    systems: Sequence[str],
    metrics: Sequence[str] = OFF_TARGET,
    sources: Sequence[str] = (),
    languages: Sequence[str] = (),
    benchmarks: Sequence[str] = (),
    caption: str = "",
) -> ScoreTable:
    """A row per direction: the shares of outputs in the language of the source and in that of the target.

    A row of scores without a score is a language that the detector does not know: a dash, never 0. What nobody has
    looked at is empty.

    Args:
        metrics: the two shares, as the scores name them.
        sources: in the order of the rows; all if empty.
        languages: the targets; all if empty.

    Source: LLaMAX, Tables 7 and 13.
    """
    chosen = choose_rows(scores, systems, metrics, benchmarks)
    order = list(sources or sorted(set(chosen["source"])))
    chosen = chosen[chosen["source"].isin(order) & chosen["target"].isin(set(languages or chosen["target"]))]
    chosen = chosen.assign(place=chosen["source"].map(order.index), direction=chosen["source"] + "→" + chosen["target"])
    chosen = chosen.sort_values(["place", "target"], kind="stable")
    frame = spread(chosen, ["direction"], systems, metrics)
    # Of a row without a score spread makes NaN, as of no row: only a second look tells them apart.
    seen = spread(chosen.assign(score=1.0), ["direction"], systems, metrics)
    unknown = frame.isna() & seen.notna()
    marks = unknown.map(lambda it: UNKNOWN if it else "")
    notes = signatures(chosen, metrics)
    if unknown.to_numpy().any():
        notes += (f"{UNKNOWN}: a language that the detector does not know",)
    return ScoreTable(frame, notes, caption, marks=marks, rows=directions_of(chosen, ["direction"]))


def pivot_table(
    scores: "pd.DataFrame",
    *,
    systems: Sequence[str],
    metrics: Sequence[str],
    pivots: Mapping[str, str],
    through: str = "en",
    centre: Sequence[str] = (),
    languages: Sequence[str] = (),
    benchmarks: Sequence[str] = (),
    caption: str = "",
) -> ScoreTable:
    """Averages around centre languages, each system's direct translations beside those through another language.

    Directions that every system has a score for are averaged, those from and into the pivot language with them: the
    paper's averages hold them, too (its ``zh→X`` of LLaMA3-8B-Alpaca, 10.14, is that of Table 4 over all X). Nothing
    lies between there, both scores are those of the direct translation, and a note says of how many directions. The
    last row is the mean of the rows above, empty where one is missing.

    Args:
        pivots: for each system the name under which its translations through the pivot language are scored.
        through: the pivot language.

    Source: LLaMAX, Table 8.
    """
    import pandas as pd

    chosen = choose_rows(scores, systems, metrics, benchmarks).dropna(subset="score")
    around = around_centres(chosen, centre, languages, {})
    averaged = comparable(around, ["direction"])
    frame = spread(averaged, ["direction"], systems, metrics, keep_benchmark=True)
    averages = [
        pd.concat([rows, rows.mean(skipna=False).to_frame((name, "average")).T])
        for name, rows in frame.groupby(level="benchmark", observed=True, sort=False)
    ]
    frame = pd.concat(averages)
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=["benchmark", "direction"])
    if frame.index.get_level_values("benchmark").nunique() == 1:
        frame = frame.droplevel("benchmark")
    shown = [system for system in systems if system not in pivots.values()]
    names, sources = [], []
    for system in shown:
        for metric in metrics:
            names.append((system, f"{metric} src→trg"))
            sources.append((system, metric))
            if system in pivots:
                names.append((system, f"{metric} src→{through}→trg"))
                sources.append((pivots[system], metric))
    frame = frame[sources]
    frame.columns = pd.MultiIndex.from_tuples(names, names=["system", "metric"])
    compared = {name: metric for (_, name), (_, metric) in zip(names, sources, strict=True)}
    notes = (
        *signatures(chosen, metrics),
        *_unpivoted(averaged, through),
        *shortfalls(around, averaged, ["direction"], systems),
    )
    return ScoreTable(frame, notes, caption, compared=compared, rows=directions_of(averaged, ["direction"]))


def _unpivoted(averaged: "pd.DataFrame", through: str) -> tuple[str, ...]:
    """A note of how many of the directions of each row are from or into the pivot language."""
    cells = ["benchmark", "metric", "direction"]
    rows = averaged.drop_duplicates([*cells, "source", "target"])
    rows = rows.assign(side=(rows["source"] == through) | (rows["target"] == through))
    counts = rows.groupby(cells, observed=True)["side"].agg(["sum", "size"])
    if not counts["sum"].any():
        return ()
    several = len(set(rows["benchmark"])) > 1
    notes: dict[str, list[str]] = {}
    for metric, own in counts.groupby(level="metric", sort=False):
        said = {
            f"{benchmark} {row}" if several else str(row): f"{side} of {size}"
            for (benchmark, _, row), (side, size) in zip(own.index, own.to_numpy().tolist(), strict=True)
        }
        notes.setdefault(by_row(said, len(said)), []).append(metric)
    return tuple(
        f"{', '.join(metrics)}: directions from or into {through}, whose two scores are the same: {numbers}"
        for numbers, metrics in notes.items()
    )


def _within(rows: "pd.DataFrame", languages: Sequence[str]) -> "pd.DataFrame":
    return rows[rows["source"].isin(languages) & rows["target"].isin(languages)] if languages else rows
