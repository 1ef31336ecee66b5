"""Tables of scores: systems × metrics, a row per direction or the averages around centre languages.

An empty cell is a score that nobody has, never a zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lingualift.configuration.evaluation import Table
from lingualift.errors import InputError, LingualiftError
from lingualift.files import atomic_path
from lingualift.scoring import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

# Metrics of which less, or none in particular, is better.
_LESS_IS_BETTER = frozenset({"copy_rate", "empty_rate"})
_NEITHER_IS_BETTER = frozenset({"length_ratio"})
_GROUPS = ("low", "high", "all")
_TEX_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "→": r"$\rightarrow$",
}


@dataclass(frozen=True)
class ScoreTable:
    """A table to print.

    Args:
        frame: rows named by an index of one or more levels; a column per (system, metric), of figures or NaN.
        notes: what stands below: a line per metric and signature.
        caption: what stands above, if anything.
    """

    frame: "pd.DataFrame"
    notes: tuple[str, ...] = field(default=())
    caption: str = ""


def read_scores(paths: Sequence[str | Path]) -> "pd.DataFrame":
    """Read files of scores into one frame, in the order of the files.

    Raises:
        InputError: a file has not the columns of scores.
        LingualiftError: one score stands twice.
    """
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


def published_scores(
    path: str | Path, *, system: str, benchmark: str, metric: str, signature: str = "as published"
) -> "pd.DataFrame":
    """Scores that the authors of LLaMAX released: rows ``en-x`` and ``x-en``, a column per language, ``/`` for none.

    Returns:
        Rows as ``read_scores`` has them; where a direction stands in two rows (``en-x`` and ``x-de``) the
        first is taken. Segments are not published: 0.

    Raises:
        InputError: a row is not named after a centre language, or a cell is no number.
    """
    import pandas as pd

    published = pd.read_csv(path, index_col=0, dtype=str, keep_default_na=False)
    rows = {}
    for number, (name, line) in enumerate(published.iterrows(), start=2):
        left, _, right = str(name).rpartition("-")
        if "x" not in (left, right) or "" in (left, right):
            raise InputError(path, f"expected a row such as en-x or x-en, found {name!r}", line=number)
        for code, score in line.items():
            pair = (left, str(code)) if right == "x" else (str(code), right)
            if score in ("/", ""):
                continue
            try:
                rows.setdefault(pair, float(score))
            except ValueError as error:
                raise InputError(path, f"not a number: {score!r} in column {code}", line=number) from error
    return pd.DataFrame(
        [(system, benchmark, *pair, metric, score, signature, 0) for pair, score in sorted(rows.items())],
        columns=list(COLUMNS),
    )


def build_table(scores: "pd.DataFrame", table: Table, *, resource: Mapping[str, str]) -> ScoreTable:
    """The table that the configuration describes.

    Args:
        scores: as ``read_scores`` gives them; of these or more systems, benchmarks and metrics.
        resource: ``high`` or ``low`` by language code.
    """
    options = {
        "systems": table.systems,
        "benchmarks": table.benchmarks,
        "metrics": table.metrics,
        "caption": table.caption,
    }
    if table.layout == "centre":
        return centre_table(scores, resource=resource, centre=table.centre, languages=table.languages, **options)
    if table.languages:
        scores = scores[scores["source"].isin(table.languages) & scores["target"].isin(table.languages)]
    return direction_table(scores, **options)


def direction_table(
    scores: "pd.DataFrame",
    *,
    systems: Sequence[str],
    metrics: Sequence[str],
    benchmarks: Sequence[str] = (),
    caption: str = "",
) -> ScoreTable:
    """A row per direction, a column per system and metric.

    Args:
        scores: as ``read_scores`` gives them.
        systems: the columns' order; ``metrics`` likewise.
        benchmarks: the rows' order; the first level of the index where there are several. All if empty.
    """
    chosen = _choose(scores, systems, metrics, benchmarks)
    chosen["direction"] = chosen["source"] + "→" + chosen["target"]
    frame = _spread(chosen, ["direction"], systems, metrics)
    return ScoreTable(frame, _notes(chosen, metrics), caption)


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

    A row averages over the directions that every system of the table has a score for, so that systems
    stand on the same ground; a system without any has an empty cell.

    Args:
        resource: ``high`` or ``low`` by language code; other languages count in ``all`` only.
        centre: the centre languages, in the order of the rows; all in turn if empty.
        languages: what X runs over; every language with scores if empty.

    Source: LLaMAX, Table 4.
    """
    import pandas as pd

    chosen = _choose(scores, systems, metrics, benchmarks)
    codes = sorted({*chosen["source"], *chosen["target"]})
    centres = list(centre or codes)
    order = [name for code in centres for name in (f"{code}→X", f"X→{code}")]
    around = pd.concat(
        [
            chosen[chosen["source"].isin(centres)].assign(other=chosen["target"], direction=chosen["source"] + "→X"),
            chosen[chosen["target"].isin(centres)].assign(other=chosen["source"], direction="X→" + chosen["target"]),
        ],
        ignore_index=True,
    )
    around = around[around["other"].isin(set(languages or codes))]
    around = pd.concat([around.assign(resource=around["other"].map(resource)), around.assign(resource="all")])
    around["direction"] = pd.Categorical(around["direction"], order)
    around["resource"] = pd.Categorical(around["resource"], _GROUPS)
    around = around.dropna(subset="resource").sort_values(["direction", "resource"], kind="stable")
    frame = _spread(_comparable(around), ["direction", "resource"], systems, metrics)
    return ScoreTable(frame, _notes(chosen, metrics), caption)


def write_table(table: ScoreTable, stem: str | Path) -> list[Path]:
    """Write ``<stem>.csv``, ``<stem>.md`` and ``<stem>.tex`` with the same figures, two decimals.

    The best of a row is bold in Markdown and LaTeX. The notes are footnotes there and the last column of the CSV.

    Returns:
        The three files.
    """
    stem = Path(stem)
    written = []
    for suffix, text in ((".csv", _csv(table)), (".md", _markdown(table)), (".tex", _latex(table))):
        path = stem.with_name(stem.name + suffix)
        with atomic_path(path) as part:
            part.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _choose(
    scores: "pd.DataFrame", systems: Sequence[str], metrics: Sequence[str], benchmarks: Sequence[str]
) -> "pd.DataFrame":
    import pandas as pd

    for column, names in (("system", systems), ("metric", metrics), ("benchmark", benchmarks)):
        absent = sorted(set(names) - set(scores[column]))
        if absent:
            raise LingualiftError(f"no scores of {column} {', '.join(absent)}")
    chosen = scores[scores["system"].isin(systems) & scores["metric"].isin(metrics) & scores["score"].notna()]
    chosen = chosen.reset_index(drop=True)
    order = list(benchmarks) or list(dict.fromkeys(chosen["benchmark"]))
    chosen = chosen[chosen["benchmark"].isin(order)]
    chosen["benchmark"] = pd.Categorical(chosen["benchmark"], order)
    return chosen


def _comparable(around: "pd.DataFrame") -> "pd.DataFrame":
    """Without the languages of a row that some system of the row has no score for."""
    cells = ["benchmark", "metric", "direction", "resource"]
    num_systems = around.groupby(cells, observed=True)["system"].transform("nunique")
    num_scores = around.groupby([*cells, "other"], observed=True)["system"].transform("size")
    return around[num_scores == num_systems]


def _spread(
    rows: "pd.DataFrame", levels: Sequence[str], systems: Sequence[str], metrics: Sequence[str]
) -> "pd.DataFrame":
    """Means by row and column; rows in the order they first come, by benchmark first."""
    import pandas as pd

    index = ["benchmark", *levels]
    frame = rows.groupby([*index, "system", "metric"], observed=True, sort=False)["score"].mean()
    frame = frame.unstack(["system", "metric"]).sort_index(level="benchmark", sort_remaining=False, kind="stable")
    columns = pd.MultiIndex.from_product([systems, metrics], names=["system", "metric"])
    frame = frame.reindex(columns=columns)
    return frame.droplevel("benchmark") if frame.index.get_level_values("benchmark").nunique() <= 1 else frame


def _notes(rows: "pd.DataFrame", metrics: Sequence[str]) -> tuple[str, ...]:
    notes = []
    for metric in metrics:
        signatures = sorted(set(rows.loc[rows["metric"] == metric, "signature"]) - {""})
        notes += [f"{metric}: {signature}" for signature in signatures]
    return tuple(notes)


def _cells(table: ScoreTable) -> tuple[list[list[str]], list[list[bool]]]:
    """Every figure as it is printed, and whether it is the best of its row and metric, as printed."""
    frame = table.frame
    texts = [["" if value != value else f"{value:.2f}" for value in row] for row in frame.to_numpy()]
    metrics = [metric for _, metric in frame.columns]
    best = []
    for row in texts:
        marks = [False] * len(row)
        for metric in set(metrics) - _NEITHER_IS_BETTER:
            places = [place for place, name in enumerate(metrics) if name == metric and row[place]]
            if len(places) > 1:
                top = (min if metric in _LESS_IS_BETTER else max)(float(row[place]) for place in places)
                for place in places:
                    marks[place] = float(row[place]) == top
        best.append(marks)
    return texts, best


def _row_names(table: ScoreTable) -> list[list[str]]:
    index = table.frame.index
    return [[str(name) for name in (key if isinstance(key, tuple) else (key,))] for key in index]


def _heads(table: ScoreTable) -> list[str]:
    """One line of column names; the metric is left out where there is only one."""
    several = len({metric for _, metric in table.frame.columns}) > 1
    return [f"{system} {metric}" if several else system for system, metric in table.frame.columns]


def _csv(table: ScoreTable) -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    notes = [" / ".join(table.notes)] if table.notes else []
    writer.writerow([*table.frame.index.names, *_heads(table), *(["notes"] if notes else [])])
    for names, cells in zip(_row_names(table), _cells(table)[0], strict=True):
        writer.writerow([*names, *cells, *notes])
    return text.getvalue()


def _markdown(table: ScoreTable) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    num_names, heads = table.frame.index.nlevels, _heads(table)
    lines = [f"{table.caption}\n"] if table.caption else []
    lines += [
        line([*table.frame.index.names, *heads]),
        "|" + "---|" * num_names + "---:|" * len(heads),
    ]
    for names, cells, best in zip(_row_names(table), *_cells(table), strict=True):
        lines.append(line([*names, *(f"**{cell}**" if top else cell for cell, top in zip(cells, best, strict=True))]))
    lines += ["", *(f"{note}  " for note in table.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _latex(table: ScoreTable) -> str:
    num_names = table.frame.index.nlevels
    lines = [
        *([f"% {table.caption}"] if table.caption else []),
        r"\begin{tabular}{" + "l" * num_names + "r" * len(table.frame.columns) + "}",
        r"\toprule",
        *_latex_head(table),
        r"\midrule",
    ]
    previous: list[str] | None = None
    for names, cells, best in zip(_row_names(table), *_cells(table), strict=True):
        # A little space where the first of several row names changes.
        if num_names > 1 and previous is not None and previous[:-1] != names[:-1]:
            lines.append(r"\addlinespace")
        previous = names
        figures = [rf"\textbf{{{cell}}}" if top else cell for cell, top in zip(cells, best, strict=True)]
        lines.append(" & ".join([*map(_tex, names), *figures]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {_tex(note)}" for note in table.notes]
    return "\n".join(lines) + "\n"


def _latex_head(table: ScoreTable) -> list[str]:
    """Systems above their metrics, or systems alone where there is one metric."""
    names = [_tex(str(name)) for name in table.frame.index.names]
    columns = list(table.frame.columns)
    systems = list(dict.fromkeys(system for system, _ in columns))
    if len(columns) == len(systems):
        return [" & ".join([*names, *map(_tex, systems)]) + r" \\"]
    width = len(columns) // len(systems)
    groups = [rf"\multicolumn{{{width}}}{{c}}{{{_tex(system)}}}" for system in systems]
    first = len(names) + 1
    rules = [rf"\cmidrule(lr){{{start}-{start + width - 1}}}" for start in range(first, first + len(columns), width)]
    return [
        " & ".join([""] * len(names) + groups) + r" \\",
        "".join(rules),
        " & ".join([*names, *(_tex(metric) for _, metric in columns)]) + r" \\",
    ]


def _tex(text: str) -> str:
    return "".join(_TEX_SPECIAL.get(character, character) for character in text)
