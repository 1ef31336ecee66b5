"""Rows of scores: read from files, chosen for a table, averaged into its cells."""

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from lingualift.errors import InputError, LingualiftError
from lingualift.scoring import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_GROUPS = ("low", "high", "all")
# More rows of a table than anybody reads in a note.
_ROWS_NAMED = 12
# Stands for a score that cannot be had.
DASH = "–"


def read_scores(paths: Sequence[str | Path]) -> "pd.DataFrame":
    """Read files of scores into one frame, in the order of the files.

    Raises:
        InputError: a file has not the columns of scores, or a score that is no finite number.
        LingualiftError: one score stands twice.
    """
    import numpy as np
    import pandas as pd

    frames = []
    for path in paths:
        if not Path(path).is_file():
            raise InputError(path, "no such file")
        # Only an empty score is missing: "nan" and "null" may be names, and "" is a signature.
        frame = pd.read_csv(
            path, keep_default_na=False, na_values={"score": [""]}, dtype={"source": str, "target": str}
        )
        if tuple(frame.columns) != COLUMNS:
            raise InputError(path, f"not a file of scores: its columns are {', '.join(frame.columns)}", line=1)
        # One such score would make text of the whole column.
        wrong = frame["score"].notna() & ~np.isfinite(pd.to_numeric(frame["score"], errors="coerce"))
        if wrong.any():
            place = int(wrong.to_numpy().argmax())
            raise InputError(path, f"{frame['score'][place]} is no score: empty, or a finite number", line=place + 2)
        frames.append(frame)
    scores = pd.concat(frames, ignore_index=True)
    twice = scores.duplicated(["system", "benchmark", "source", "target", "metric"])
    if twice.any():
        row = scores[twice].iloc[0]
        raise LingualiftError(
            f"{row.metric} of {row.system} on {row.benchmark} {row.source}-{row.target} stands twice in "
            + ", ".join(map(str, paths))
        )
    return scores


def choose_rows(
    scores: "pd.DataFrame", systems: Sequence[str], metrics: Sequence[str], benchmarks: Sequence[str]
) -> "pd.DataFrame":
    """The rows that a table is about, those without a score too; benchmarks in the order of the table.

    Raises:
        LingualiftError: a system, metric or benchmark has no row at all.
    """
    import pandas as pd

    for column, names in (("system", systems), ("metric", metrics), ("benchmark", benchmarks)):
        absent = sorted(set(names) - set(scores[column]))
        if absent:
            raise LingualiftError(f"no scores of {column} {', '.join(absent)}")
    chosen = scores[scores["system"].isin(systems) & scores["metric"].isin(metrics)].reset_index(drop=True)
    order = list(benchmarks) or list(dict.fromkeys(chosen["benchmark"]))
    chosen = chosen[chosen["benchmark"].isin(order)]
    chosen["benchmark"] = pd.Categorical(chosen["benchmark"], order)
    return chosen


def around_centres(
    rows: "pd.DataFrame", centre: Sequence[str], languages: Sequence[str], resource: Mapping[str, str]
) -> "pd.DataFrame":
    """The rows from and into each centre language, by ``direction`` (``en→X``), ``resource`` and ``other`` language.

    A row comes up to four times: for its source and its target, in its group of resource and in ``all``. Rows are in
    the order of the centres.

    Args:
        centre: every language in turn if empty.
        languages: what X runs over; all if empty.
        resource: ``high`` or ``low`` by language; other languages count in ``all`` only.
    """
    import pandas as pd

    codes = sorted({*rows["source"], *rows["target"]})
    centres = list(centre or codes)
    order = [name for code in centres for name in (f"{code}→X", f"X→{code}")]
    around = pd.concat(
        [
            rows[rows["source"].isin(centres)].assign(other=rows["target"], direction=rows["source"] + "→X"),
            rows[rows["target"].isin(centres)].assign(other=rows["source"], direction="X→" + rows["target"]),
        ],
        ignore_index=True,
    )
    around = around[around["other"].isin(set(languages or codes))]
    around = pd.concat([around.assign(resource=around["other"].map(resource)), around.assign(resource="all")])
    around["direction"] = pd.Categorical(around["direction"], order)
    around["resource"] = pd.Categorical(around["resource"], _GROUPS)
    return around.dropna(subset="resource").sort_values(["direction", "resource"], kind="stable")


def comparable(rows: "pd.DataFrame", levels: Sequence[str]) -> "pd.DataFrame":
    """Only the directions of each row of the table that all its systems have a score for.

    A system with less than half of the directions that another has stands not in that row: a system that was made for
    one language would else leave all others that one alone.
    """
    cells = ["benchmark", "metric", *levels]
    rows = _standing(rows, cells)
    num_systems = rows.groupby(cells, observed=True)["system"].transform("nunique")
    num_scores = rows.groupby([*cells, "source", "target"], observed=True)["system"].transform("size")
    return rows[num_scores == num_systems]


def _standing(rows: "pd.DataFrame", cells: Sequence[str]) -> "pd.DataFrame":
    """Without the systems that have less than half of the directions that another has."""
    own = rows.groupby([*cells, "system"], observed=True)["score"].transform("size")
    return rows[2 * own >= own.groupby([rows[name] for name in cells], observed=True).transform("max")]


def without_scores(rows: "pd.DataFrame", systems: Sequence[str], metrics: Sequence[str]) -> frozenset[tuple[str, str]]:
    """The systems and metrics that there is no row of: a metric that is known from others' published scores alone."""
    there = rows[["system", "metric"]].drop_duplicates().itertuples(index=False, name=None)
    return frozenset(product(systems, metrics)).difference(there)


def unknown_cells(rows: "pd.DataFrame", frame: "pd.DataFrame") -> "pd.DataFrame":
    """Where a table would show a score, and all rows of it are without one: of its frame's shape, true or false."""
    of = [rows[name] for name in (*frame.index.names, "system", "metric")]
    known = rows["score"].notna().groupby(of, observed=True).any().unstack(["system", "metric"])
    return known.reindex(index=frame.index, columns=frame.columns).eq(False)


def dashes(
    unknown: "pd.DataFrame", absent: Collection[tuple[str, str]]
) -> tuple["pd.DataFrame | None", tuple[str, ...]]:
    """Dashes for what nobody can know, and in the columns that no score can be had of; and notes of what they mean.

    Args:
        unknown: see ``unknown_cells``; its columns are systems and metrics.
        absent: see ``without_scores``.

    Returns:
        The marks of a table, None if there are none; and its notes.
    """
    notes: tuple[str, ...] = (
        (f"{DASH}: a language that the detector does not know",) if unknown.to_numpy().any() else ()
    )
    metrics_of: dict[str, list[str]] = {}
    for metric in dict.fromkeys(metric for _, metric in unknown.columns):
        lacking = [system for system, other in unknown.columns if other == metric and (system, other) in absent]
        if lacking:
            metrics_of.setdefault(", ".join(lacking), []).append(metric)
    notes += tuple(f"{DASH}: no scores of {systems} by {', '.join(of)}" for systems, of in metrics_of.items())
    if not notes:
        return None, ()
    marks = unknown.map(lambda it: DASH if it else "")
    for column in absent:
        marks[column] = DASH
    return marks, notes


def partly_known(rows: "pd.DataFrame", levels: Sequence[str]) -> tuple[str, ...]:
    """Notes for averages over fewer directions than there are: those of languages that a detector knows."""
    asked = rows.loc[rows["score"].isna(), "metric"].unique()
    rows = rows[rows["metric"].isin(asked)]
    cells = ["benchmark", "metric", *levels]
    known = rows["score"].notna().groupby([rows[name] for name in (*cells, "source", "target")], observed=True).all()
    counts = known.groupby(level=cells, observed=True).agg(["sum", "size"])
    said: dict[tuple[str, str, str], dict[str, str]] = {}
    for cell, (number, of) in zip(counts.index, counts.to_numpy().tolist(), strict=True):
        if number < of:
            said.setdefault((*cell[:2], ""), {})[" ".join(map(str, cell[2:]))] = f"{number} of {of}"
    num_rows = counts.groupby(level=["benchmark", "metric"], observed=True).size().to_dict()
    return _by_metric(said, num_rows, "averages of the directions whose language the detector knows")


def shortfalls(
    rows: "pd.DataFrame",
    averaged: "pd.DataFrame",
    levels: Sequence[str],
    systems: Sequence[str],
    absent: Collection[tuple[str, str]] = (),
) -> tuple[str, ...]:
    """Notes for averages over fewer directions than the system with the most has, and for systems without an average.

    Args:
        rows: all scores.
        averaged: what ``comparable`` leaves of them.
        systems: those of the table.
        absent: see ``without_scores``: of these nothing is said.
    """
    cells = ["benchmark", "metric", *levels]
    standing = _standing(rows, cells)
    sizes = rows.groupby([*cells, "system"], observed=True).size().to_dict()
    whole = standing.groupby([*cells, "system"], observed=True).size().groupby(level=cells, observed=True).max()
    union = _num_directions(standing, cells).to_dict()
    left = _num_directions(averaged, cells).reindex(whole.index, fill_value=0).to_dict()
    # (benchmark, metric, systems) → row of the table → how many directions.
    short: dict[tuple[str, str, str], dict[str, str]] = {}
    empty: dict[tuple[str, str, str], dict[str, str]] = {}
    for cell, most in whole.items():
        row = " ".join(map(str, cell[2:]))
        numbers = {name: sizes.get((*cell, name), 0) for name in systems if (name, cell[1]) not in absent}
        few = [name for name, size in numbers.items() if 2 * size < most]
        for name in few:
            empty.setdefault((*cell[:2], name), {})[row] = f"{numbers[name]} of {most}"
        lacking = [name for name, size in numbers.items() if size < union[cell] and name not in few]
        if lacking and left[cell] < most:
            short.setdefault((*cell[:2], ", ".join(lacking)), {})[row] = f"{left[cell]} of {most}"
    num_rows = whole.groupby(level=["benchmark", "metric"], observed=True).size().to_dict()
    return (
        *_by_metric(short, num_rows, "averages leave out directions without a score of {}"),
        *_by_metric(empty, num_rows, "no average of {}, with scores of less than half of the directions"),
    )


def _by_metric(
    said: Mapping[tuple[str, str, str], Mapping[str, str]], num_rows: Mapping[tuple[str, str], int], words: str
) -> tuple[str, ...]:
    """Lines of what is said of some systems, row by row; metrics that the same is said of stand in one."""
    metrics_of: dict[tuple[str, str, str], list[str]] = {}
    for (benchmark, metric, systems), named in said.items():
        key = (benchmark, systems, by_row(named, num_rows[benchmark, metric]))
        metrics_of.setdefault(key, []).append(metric)
    return tuple(
        f"{benchmark}, {', '.join(metrics)}: {words.format(systems)}: {named}"
        for (benchmark, systems, named), metrics in metrics_of.items()
    )


def _num_directions(rows: "pd.DataFrame", cells: Sequence[str]) -> "pd.Series":
    return rows.drop_duplicates([*cells, "source", "target"]).groupby(cells, observed=True).size()


def directions_of(rows: "pd.DataFrame", levels: Sequence[str], index: "pd.Index") -> "pd.DataFrame":
    """The scores that a table is made of: its systems, benchmarks, metrics and directions, and in which ``row`` each.

    Args:
        levels: what rows are told apart by, beside the benchmark.
        index: of the table; a row is a place in it.
    """
    group = rows.groupby(["benchmark", *levels], observed=True).ngroup().to_numpy()
    names = rows[list(index.names)].assign(group=group).drop_duplicates("group")
    keys = names.drop(columns="group").itertuples(index=False, name=None)
    places = {key if isinstance(key, tuple) else (key,): place for place, key in enumerate(index)}
    row = dict(zip(names["group"], map(places.__getitem__, keys), strict=True))
    columns = ["benchmark", "source", "target", "system", "metric", "score"]
    return rows[columns].assign(row=[row[number] for number in group]).reset_index(drop=True)


def by_row(numbers: Mapping[str, str], num_rows: int) -> str:
    """What is said of each row, in a line: once if it is the same of all, and of the first if they are many.

    Args:
        num_rows: how many rows there are, with those that nothing is said of.
    """
    if len(numbers) == num_rows > 1 and len(set(numbers.values())) == 1:
        return f"{next(iter(numbers.values()))} in each row"
    words = [f"{row} {number}" for row, number in numbers.items()]
    more = f", … ({len(words)} rows)" if len(words) > _ROWS_NAMED else ""
    return ", ".join(words[:_ROWS_NAMED]) + more


def spread(
    rows: "pd.DataFrame",
    levels: Sequence[str],
    systems: Sequence[str],
    metrics: Sequence[str],
    *,
    keep_benchmark: bool = False,
) -> "pd.DataFrame":
    """Means by row and column; rows by benchmark, then by the order of categories or, of plain text, as they come.

    Args:
        keep_benchmark: name the benchmark of each row, even where there is only one.
    """
    import pandas as pd

    index = ["benchmark", *levels]
    for level in levels:
        if rows[level].dtype != "category":
            rows = rows.assign(**{level: pd.Categorical(rows[level], list(dict.fromkeys(rows[level])))})
    frame = rows.groupby([*index, "system", "metric"], observed=True, sort=True)["score"].mean()
    frame = frame.unstack(["system", "metric"]).sort_index()
    frame = frame.reindex(columns=columns_of(systems, metrics))
    several = keep_benchmark or frame.index.get_level_values("benchmark").nunique() > 1
    return frame if several else frame.droplevel("benchmark")


def columns_of(systems: Sequence[str], metrics: Sequence[str]) -> "pd.MultiIndex":
    """The columns of a table: every metric of every system."""
    import pandas as pd

    return pd.MultiIndex.from_product([systems, metrics], names=["system", "metric"])


def signatures(rows: "pd.DataFrame", metrics: Sequence[str]) -> tuple[str, ...]:
    """A line per metric and signature, to stand below a table; with the systems that it is of, if not all."""
    notes = []
    found = rows.loc[rows["signature"] != "", ["system", "metric", "signature"]].drop_duplicates()
    for metric in metrics:
        own = found[found["metric"] == metric]
        num_systems = own["system"].nunique()
        for signature, systems in own.groupby("signature")["system"]:
            of = "" if len(systems) == num_systems else f" of {', '.join(systems)}"
            notes.append(f"{metric}{of}: {signature}")
    return tuple(notes)
