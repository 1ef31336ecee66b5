"""What is added to a table of scores: marks of significance, and the paper's own numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lingualift.configuration.evaluation import Table
from lingualift.errors import InputError
from lingualift.published import PublishedNumbers
from lingualift.tables.printing import LESS_IS_BETTER, NEITHER_IS_BETTER, ScoreTable

if TYPE_CHECKING:
    import pandas as pd

# Of a comparison; ``benchmark`` may stand before them.
COMPARISON = ("direction", "system", "baseline", "metric", "p")
LEVEL = 0.05
PAPER = "paper"
# As wide as a digit.
FIGURE_SPACE = "\u2007"


def read_significance(paths: Sequence[str | Path]) -> "pd.DataFrame":
    """Read files of comparisons: ``direction`` (``en-de``), ``system``, ``baseline``, ``metric``, ``p``.

    A column ``benchmark`` says of which benchmark; without it a comparison is of any.

    Raises:
        InputError: a file has not these columns, or a p is none.
    """
    import pandas as pd

    frames = []
    for path in paths:
        if not Path(path).is_file():
            raise InputError(path, "no such file")
        frame = pd.read_csv(path, keep_default_na=False, na_values={"p": [""]})
        if absent := [name for name in COMPARISON if name not in frame.columns]:
            raise InputError(path, f"not a file of comparisons: it has no column {', '.join(absent)}", line=1)
        bad = ~pd.to_numeric(frame["p"], errors="coerce").between(0, 1) & frame["p"].notna()
        if bad.any():
            raise InputError(path, f"p is not between 0 and 1: {frame['p'][bad].iloc[0]}", line=int(bad.argmax()) + 2)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def add_significance(table: ScoreTable, significance: "pd.DataFrame", entry: Table) -> ScoreTable:
    """What differs from the baseline: a "*" behind the score of a direction, behind an average how many of its do.

    Won or lost is a direction whose p is below 0.05, by which score is the better; tied any other that was compared.
    Only directions count that the table shows, or averages, of both systems. An average has no p of its own: behind it
    stand those of its directions that were won and lost, against the table's baseline.

    Args:
        significance: as ``read_significance`` gives it.
        entry: the table's layout, its baseline and the order of its systems and metrics.

    Source: Koehn 2004 (paired bootstrap).
    """
    compared = _compared(table, significance, entry)
    if compared.empty:
        return table
    # A direction may stand in several rows: from its source, into its target, in its group of languages.
    once = compared.drop_duplicates(["benchmark", "direction", "metric", "system", "baseline"])
    notes = []
    for (metric, system, baseline), rows in once.groupby(["metric", "system", "baseline"], sort=False):
        won, lost = int((rows["outcome"] > 0).sum()), int((rows["outcome"] < 0).sum())
        tied = len(rows) - won - lost
        directions = "direction" if won == 1 else "directions"
        notes.append(
            f"{metric}, {system} against {baseline}: {won} {directions} won, {tied} tied, {lost} lost (p < {LEVEL})"
        )
    marks, outcomes = table.marks, None
    if entry.layout in ("directions", "off-target"):
        marks = _behind(table.marks, _stars(table.frame, once))
        names = ", ".join(dict.fromkeys(once["baseline"]))
        notes.insert(0, f"*: differs from {names}, p < {LEVEL} (paired bootstrap)")
    elif entry.baseline:
        outcomes = _outcomes(table, compared)
        marks = _behind(table.marks, _won_and_lost(outcomes, table.frame))
        notes.insert(
            0,
            f"(+won −lost): how many of the directions averaged are better and worse than those of {entry.baseline}, "
            f"p < {LEVEL} (paired bootstrap); the averages themselves are not tested",
        )
    return replace(table, marks=marks, outcomes=outcomes, notes=(*table.notes, *notes))


def _compared(table: ScoreTable, significance: "pd.DataFrame", entry: Table) -> "pd.DataFrame":
    """Every comparison with an ``outcome``, in each row of the table: 1 won, -1 lost, 0 tied.

    By metric and system as the table has them.
    """
    import numpy as np
    import pandas as pd

    assert table.rows is not None
    rows = table.rows.assign(direction=table.rows["source"] + "-" + table.rows["target"])
    key = ["benchmark", "direction", "metric", "row"]
    rows = rows.astype({"benchmark": str})[[*key, "system", "score"]]
    of = ["benchmark"] if "benchmark" in significance.columns else []
    found = significance.dropna(subset="p")
    found = found[[*of, *COMPARISON]].merge(rows, on=[*of, "direction", "system", "metric"])
    found = found.merge(
        rows.rename(columns={"system": "baseline", "score": "base"}), on=[*key, "baseline"], validate="many_to_one"
    )
    kinds = found["metric"].replace(dict(table.kinds))
    better = np.sign(found["score"] - found["base"]).where(~kinds.isin(NEITHER_IS_BETTER), 0)
    better = better.where(~kinds.isin(LESS_IS_BETTER), -better)
    found["outcome"] = better.where(found["p"].astype(float) < LEVEL, 0)
    for column, order in (("metric", entry.metrics), ("system", entry.systems)):
        found[column] = pd.Categorical(found[column], order)
    found = found.sort_values(["metric", "system"], kind="stable")
    return found.astype({"metric": str, "system": str})


def _outcomes(table: ScoreTable, compared: "pd.DataFrame") -> "pd.DataFrame":
    """By row of the table, and by its columns, how many directions were ``won`` and ``lost``."""
    import pandas as pd

    counts = compared.assign(won=compared["outcome"] > 0, lost=compared["outcome"] < 0)
    counts = counts.groupby(["system", "metric", "row"], sort=False)[["won", "lost"]].sum()
    found = {
        (*table.columns.get((system, metric), (system, metric)), what): of.droplevel(["system", "metric"])[what]
        for (system, metric), of in counts.groupby(level=["system", "metric"], sort=False)
        for what in of
    }
    return pd.DataFrame(found).reindex(range(len(table.frame))).astype("Int64").set_axis(table.frame.index)


def _won_and_lost(outcomes: "pd.DataFrame", frame: "pd.DataFrame") -> "pd.DataFrame":
    """``(+11 −1)`` behind an average; of one width in a column, so that its figures stand below one another."""
    import pandas as pd

    marks = pd.DataFrame("", index=frame.index, columns=frame.columns, dtype=object)
    for column in dict.fromkeys((system, metric) for system, metric, _ in outcomes.columns):
        counts = zip(outcomes[*column, "won"], outcomes[*column, "lost"], strict=True)
        texts = ["" if pd.isna(won) else f" (+{won} −{lost})" for won, lost in counts]
        width = max(map(len, texts))
        marks[column] = [text and text.ljust(width, FIGURE_SPACE) for text in texts]
    return marks


def _behind(marks: "pd.DataFrame | None", more: "pd.DataFrame") -> "pd.DataFrame":
    return more if marks is None else marks + more


def _stars(frame: "pd.DataFrame", compared: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    several = frame.index.nlevels > 1
    marked = compared[compared["p"].astype(float) < LEVEL]
    names = marked["direction"].str.replace("-", "→", regex=False)
    rows = zip(marked["benchmark"], names, strict=True) if several else names
    found = set(zip(rows, zip(marked["system"], marked["metric"], strict=True), strict=True))
    stars = [["*" if (row, column) in found else "" for column in frame.columns] for row in frame.index]
    return pd.DataFrame(stars, index=frame.index, columns=frame.columns, dtype=object)


def add_published(
    table: ScoreTable, published: PublishedNumbers, *, names: Mapping[str, str] | None = None
) -> ScoreTable:
    """A column "paper" behind each of ours that the paper prints a number for.

    Args:
        published: rows are matched by the levels of its index, which the table has too, columns by system and metric.
        names: the system's name in the paper by its name here, where they differ.

    Raises:
        InputError: the paper's rows are of another kind than the table's.
    """
    import pandas as pd

    levels = published.levels
    if "benchmark" in table.frame.index.names and "benchmark" not in levels:
        raise InputError(published.path, "its numbers are of one benchmark, and the table has several")
    if not set(levels) <= set(table.frame.index.names):
        names_here = ", ".join(map(str, table.frame.index.names))
        raise InputError(published.path, f"its rows are by {', '.join(levels)}, those of the table by {names_here}")
    rows = table.frame.index.to_frame(index=False).astype(str)[levels]
    keys = list(rows.itertuples(index=False, name=None))
    single = len({metric for _, metric in table.frame.columns}) == 1
    ours: list[tuple[tuple[str, str], pd.Series]] = []
    compared, added = dict(table.compared), []
    for place, (system, metric) in enumerate(table.frame.columns):
        ours.append(((system, metric), table.frame.iloc[:, place]))
        theirs = [published.number(key, (names or {}).get(system, system), metric) for key in keys]
        if any(number is not None for number in theirs):
            name = PAPER if single else f"{metric} ({PAPER})"
            compared[name] = ""
            ours.append(((system, name), pd.Series(theirs, index=table.frame.index, dtype=float)))
            added.append(name)
    frame = pd.concat([column for _, column in ours], axis=1)
    frame.columns = pd.MultiIndex.from_tuples([name for name, _ in ours], names=table.frame.columns.names)
    marks = table.marks
    if marks is not None and added:
        marks = marks.reindex(columns=frame.columns, fill_value="")
    notes = (*table.notes, f"{PAPER}: {published.source}") if added else table.notes
    return replace(table, frame=frame, marks=marks, compared=compared, notes=notes)
