"""The layouts of a table: what its rows and columns are."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from lingualift.configuration.evaluation import OFF_TARGET, Table
from lingualift.published import PublishedNumbers
from lingualift.tables.additions import add_published, add_significance
from lingualift.tables.printing import ScoreTable
from lingualift.tables.rows import (
    DASH,
    around_centres,
    by_row,
    choose_rows,
    comparable,
    dashes,
    directions_of,
    partly_known,
    shortfalls,
    signatures,
    spread,
    unknown_cells,
    without_scores,
)

if TYPE_CHECKING:
    import pandas as pd


class _Averages(NamedTuple):
    """Averages by row, and what is said of them."""

    frame: "pd.DataFrame"
    marks: "pd.DataFrame | None"
    notes: tuple[str, ...]
    # What is averaged, and that with what would be if it were known.
    averaged: "pd.DataFrame"
    shown: "pd.DataFrame"


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

    A rate of a language that the detector does not know is a dash, and so is a metric that a system has no score by.

    Args:
        scores: as ``read_scores`` gives them.
        systems: the columns' order; ``metrics`` likewise.
        benchmarks: the rows' order; the first level of the index where there are several. All if empty.
        languages: only directions between these; all if empty.
    """
    chosen = choose_rows(scores, systems, metrics, benchmarks)
    absent = without_scores(chosen, systems, metrics)
    chosen = _within(chosen, languages)
    return _by_direction(chosen, absent, systems, metrics, caption)


def _by_direction(
    chosen: "pd.DataFrame",
    absent: Collection[tuple[str, str]],
    systems: Sequence[str],
    metrics: Sequence[str],
    caption: str,
) -> ScoreTable:
    chosen = chosen.assign(direction=chosen["source"] + "→" + chosen["target"])
    frame = spread(chosen, ["direction"], systems, metrics)
    marks, dashed = dashes(unknown_cells(chosen, frame), absent)
    rows = directions_of(chosen.dropna(subset="score"), ["direction"], frame.index)
    return ScoreTable(frame, signatures(chosen, metrics) + dashed, caption, marks=marks, rows=rows)


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
    chosen = choose_rows(scores, systems, metrics, benchmarks)
    levels = ["direction", "resource"]
    around = around_centres(chosen, centre, languages, resource)
    of = _averages(around, without_scores(chosen, systems, metrics), levels, systems, metrics)
    return ScoreTable(
        of.frame,
        signatures(chosen, metrics) + of.notes,
        caption,
        marks=of.marks,
        rows=directions_of(of.averaged, levels, of.frame.index),
        repeated=_whole_groups(of.shown, of.frame.index),
    )


def _averages(
    rows: "pd.DataFrame",
    absent: Collection[tuple[str, str]],
    levels: Sequence[str],
    systems: Sequence[str],
    metrics: Sequence[str],
    *,
    keep_benchmark: bool = False,
) -> _Averages:
    """Averages over the directions that all systems of a row have a score for.

    Args:
        rows: with those of unknown rates, which have no score.
        absent: see ``without_scores``.
        levels: what rows of the table are told apart by, beside the benchmark.
        keep_benchmark: see ``spread``.
    """
    import pandas as pd

    known = rows.dropna(subset="score")
    averaged = comparable(known, levels)
    shown = pd.concat([averaged, rows[rows["score"].isna()]])
    frame = spread(shown, levels, systems, metrics, keep_benchmark=keep_benchmark)
    marks, dashed = dashes(unknown_cells(rows, frame), absent)
    notes = (*shortfalls(known, averaged, levels, systems, absent), *partly_known(rows, levels), *dashed)
    return _Averages(frame, marks, notes, averaged, shown)


def _whole_groups(shown: "pd.DataFrame", index: "pd.Index") -> dict[tuple[str, ...], tuple[str, ...]]:
    """The rows of a centre table whose group has as many scores as all languages have; and the rows of all."""
    sizes = shown.groupby(list(index.names), observed=True).size()
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
    chosen = choose_rows(scores, systems, metrics, benchmarks)
    if centre:
        around = around_centres(chosen, centre, languages, {})
    else:
        around = _within(chosen, languages).assign(direction="all")
    absent = without_scores(chosen, systems, metrics)
    of = _averages(around, absent, ["direction"], systems, metrics, keep_benchmark=True)
    rows = directions_of(of.averaged, ["direction"], of.frame.index)
    return ScoreTable(of.frame, signatures(chosen, metrics) + of.notes, caption, marks=of.marks, rows=rows)


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
    absent = without_scores(chosen, systems, metrics)
    order = list(sources or sorted(set(chosen["source"])))
    chosen = chosen[chosen["source"].isin(order) & chosen["target"].isin(set(languages or chosen["target"]))]
    chosen = chosen.assign(place=chosen["source"].map(order.index)).sort_values(["place", "target"], kind="stable")
    return _by_direction(chosen, absent, systems, metrics, caption)


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

    chosen = choose_rows(scores, systems, metrics, benchmarks)
    around = around_centres(chosen, centre, languages, {})
    absent = without_scores(chosen, systems, metrics)
    of = _averages(around, absent, ["direction"], systems, metrics, keep_benchmark=True)
    averages = [
        pd.concat([rows, rows.mean(skipna=False).to_frame((name, "average")).T])
        for name, rows in of.frame.groupby(level="benchmark", observed=True, sort=False)
    ]
    frame = pd.concat(averages)
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=["benchmark", "direction"])
    marks = of.marks
    if marks is not None:
        # Of nothing but dashes the mean is one.
        filled = {column: DASH if its.eq(DASH).all() else "" for column, its in marks.items()}
        marks = marks.reindex(frame.index).apply(lambda column: column.fillna(filled[column.name]))
    if frame.index.get_level_values("benchmark").nunique() == 1:
        frame = frame.droplevel("benchmark")
    shown = [system for system in systems if system not in pivots.values()]
    columns: dict[tuple[str, str], tuple[str, str]] = {}
    for system in shown:
        for metric in metrics:
            columns[system, metric] = (system, f"{metric} src→trg")
            if system in pivots:
                columns[pivots[system], metric] = (system, f"{metric} src→{through}→trg")
    names = pd.MultiIndex.from_tuples(columns.values(), names=["system", "metric"])
    frame = frame[list(columns)].set_axis(names, axis=1)
    if marks is not None:
        marks = marks[list(columns)].set_axis(names, axis=1).set_axis(frame.index)
    once = of.averaged.drop_duplicates(["benchmark", "source", "target", "system", "metric"])
    return ScoreTable(
        frame,
        (*signatures(chosen, metrics), *_unpivoted(of.averaged, through), *of.notes),
        caption,
        marks=marks,
        compared={name: metric for (_, metric), (_, name) in columns.items()},
        rows=directions_of(pd.concat([of.averaged, once.assign(direction="average")]), ["direction"], frame.index),
        columns=columns,
    )


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
