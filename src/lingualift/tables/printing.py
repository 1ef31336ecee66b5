"""A table to print: as CSV, Markdown, LaTeX and HTML, with the same figures in all."""

import csv
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from lingualift.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

# Kinds of metrics of which less, or none in particular, is better.
LESS_IS_BETTER = frozenset({"copy_rate", "empty_rate", "R_source"})
NEITHER_IS_BETTER = frozenset({"length_ratio"})
_STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;margin:1.5em;color:#222}"
    "table{border-collapse:collapse;border-top:2px solid;border-bottom:2px solid}"
    "caption{text-align:left;padding-bottom:.6em}th{text-align:left;font-weight:normal}"
    "th,td{padding:.15em .7em;white-space:nowrap}td,thead th{text-align:right}"
    "thead{border-bottom:1px solid;position:sticky;top:0;background:#fff}"
    "thead th.name{text-align:left;vertical-align:bottom}"
    "th.group{text-align:center}"
    "tbody tr:hover{background:#eef4fa}tr.new th,tr.new td{padding-top:.7em}"
    "td{font-variant-numeric:tabular-nums}p{font-size:12px;color:#555;margin:.5em 0}"
)
_TEX_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "→": r"$\rightarrow$",
    "–": "--",
    "−": "$-$",
    "\u2007": r"\phantom{0}",
    "*": "$^{*}$",
    # Bare, LaTeX's older fonts print an exclamation mark for it, upside down.
    "<": "$<$",
    ">": "$>$",
}


@dataclass(frozen=True)
class ScoreTable:
    """A table to print.

    Args:
        frame: rows named by an index of one or more levels; a column per (system, metric), of figures or NaN.
        notes: what stands below: a line per metric and signature.
        caption: what stands above, if anything.
        marks: of the frame's shape: what stands behind a figure, or in its place where there is none.
        compared: for columns that are not named after a metric, the metric that the best of a row is chosen by;
            "" where it is not.
        kinds: by a metric's name what it is, where it is called otherwise: ``R_source`` of ``R_source_fasttext``.
        rows: the scores that the cells show or are averages of, as ``rows.directions_of`` gives them.
        columns: by systems and metrics of ``rows`` the columns that are named otherwise.
        outcomes: by row how many directions were ``won`` and ``lost``, a column per (system, metric, either); they are
            columns of the CSV, and marks elsewhere.
        repeated: by rows of the index those that average the same scores: the first are in the CSV alone, unless the
            paper has another number there.
    """

    frame: "pd.DataFrame"
    notes: tuple[str, ...] = field(default=())
    caption: str = ""
    marks: "pd.DataFrame | None" = None
    compared: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    rows: "pd.DataFrame | None" = None
    columns: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    outcomes: "pd.DataFrame | None" = None
    repeated: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def printed(self) -> "ScoreTable":
        """Without the rows that say again what another row says."""
        frame = self.frame
        same = [row for row, other in self.repeated.items() if frame.loc[row].equals(frame.loc[other])]
        if not same:
            return self
        kept = ~frame.index.isin(same)
        beside = {"marks": self.marks, "outcomes": self.outcomes}
        return replace(self, frame=frame[kept], **{k: it if it is None else it[kept] for k, it in beside.items()})


def write_table(table: ScoreTable, stem: str | Path) -> list[Path]:
    """Write ``<stem>.csv``, ``<stem>.md``, ``<stem>.tex`` and ``<stem>.html`` with the same figures, two decimals.

    The best of a row is bold but in the CSV, where the notes are the last column; they are footnotes elsewhere. Rows
    that repeat another stand in the CSV alone.

    Returns:
        The four files.
    """
    stem = Path(stem)
    written = []
    printed = table.printed()
    texts = {".csv": _csv(table), ".md": _markdown(printed), ".tex": _latex(printed), ".html": _html(printed)}
    for suffix, text in texts.items():
        path = stem.with_name(stem.name + suffix)
        with atomic_path(path) as part:
            part.write_text(text, encoding="utf-8")
        written.append(path)
    return written


@dataclass(frozen=True)
class _Cell:
    """A figure as it is printed, what stands behind it, and whether it is the best of its row and metric."""

    figure: str
    mark: str = ""
    best: bool = False


def _cells(table: ScoreTable) -> list[list[_Cell]]:
    metrics = [table.compared.get(name, name) for _, name in table.frame.columns]
    values = table.frame.to_numpy(dtype=float)
    marks = table.marks.to_numpy() if table.marks is not None else [[""] * len(metrics)] * len(values)
    rows = []
    for row, behind in zip(values, marks, strict=True):
        texts = ["" if value != value else f"{value:.2f}" for value in row]
        rows.append([_Cell(*cell) for cell in zip(texts, behind, _best(texts, metrics, table.kinds), strict=True)])
    return rows


def _best(texts: Sequence[str], metrics: Sequence[str], kinds: Mapping[str, str]) -> list[bool]:
    """What prints equal is best alike."""
    marks = [False] * len(texts)
    for metric in set(metrics) - {""}:
        kind = kinds.get(metric, metric)
        if kind in NEITHER_IS_BETTER:
            continue
        places = [place for place, other in enumerate(metrics) if other == metric and texts[place]]
        if len(places) > 1:
            top = (min if kind in LESS_IS_BETTER else max)(float(texts[place]) for place in places)
            for place in places:
                marks[place] = float(texts[place]) == top
    return marks


def _row_names(table: ScoreTable) -> list[list[str]]:
    index = table.frame.index
    return [[str(name) for name in (key if isinstance(key, tuple) else (key,))] for key in index]


def _heads(table: ScoreTable) -> list[str]:
    """One line of column names; the metric is left out where there is only one."""
    several = len({metric for _, metric in table.frame.columns}) > 1
    return [f"{system} {metric}" if several else system for system, metric in table.frame.columns]


def _csv(table: ScoreTable) -> str:
    """Figures bare of marks, so that they can be computed with; the directions won and lost in columns of their own."""
    import pandas as pd

    notes = [" / ".join(table.notes)] if table.notes else []
    cells = [[cell.figure or cell.mark for cell in row] for row in _cells(table)]
    columns: list[tuple[str, list[str]]] = []
    for number, (column, head) in enumerate(zip(table.frame.columns, _heads(table), strict=True)):
        columns.append((head, [row[number] for row in cells]))
        for what in ("won", "lost"):
            if table.outcomes is not None and (*column, what) in table.outcomes.columns:
                counts = table.outcomes[*column, what]
                columns.append((f"{head} {what}", ["" if pd.isna(count) else str(count) for count in counts]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*table.frame.index.names, *(head for head, _ in columns), *(["notes"] if notes else [])])
    for names, *row in zip(_row_names(table), *(of for _, of in columns), strict=True):
        writer.writerow([*names, *row, *notes])
    return text.getvalue()


def _markdown(table: ScoreTable) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    def text(cell: _Cell) -> str:
        return (f"**{cell.figure}**" if cell.best else cell.figure) + cell.mark.replace("*", r"\*").rstrip()

    num_names, heads = table.frame.index.nlevels, _heads(table)
    lines = [f"{table.caption}\n"] if table.caption else []
    lines += [
        line([*table.frame.index.names, *heads]),
        "|" + "---|" * num_names + "---:|" * len(heads),
    ]
    for names, cells in zip(_row_names(table), _cells(table), strict=True):
        lines.append(line([*names, *map(text, cells)]))
    lines += ["", *(f"{_escaped(note)}  " for note in table.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _html(table: ScoreTable) -> str:
    """A page of its own, that needs nothing else."""

    def text(cell: _Cell) -> str:
        figure = f"<b>{cell.figure}</b>" if cell.best else cell.figure
        return f"<td>{figure}{html.escape(cell.mark)}</td>"

    num_names = table.frame.index.nlevels
    lines = ["<!DOCTYPE html>", '<html lang="en">', '<meta charset="utf-8">', f"<style>{_STYLE}</style>", "<table>"]
    if table.caption:
        lines.append(f"<caption>{html.escape(table.caption)}</caption>")
    lines.append("<thead>")
    columns = list(table.frame.columns)
    several = len({metric for _, metric in columns}) > 1
    span = ' rowspan="2"' if several else ""
    names = [f'<th class="name"{span}>{html.escape(str(name))}</th>' for name in table.frame.index.names]
    if not several:
        heads = [f"<th>{html.escape(system)}</th>" for system, _ in columns]
        lines.append("<tr>" + "".join([*names, *heads]) + "</tr>")
    else:
        groups = [(system, len(list(group))) for system, group in groupby(columns, key=lambda column: column[0])]
        heads = [f'<th class="group" colspan="{width}">{html.escape(system)}</th>' for system, width in groups]
        lines.append("<tr>" + "".join([*names, *heads]) + "</tr>")
        lines.append("<tr>" + "".join(f"<th>{html.escape(metric)}</th>" for _, metric in columns) + "</tr>")
    lines += ["</thead>", "<tbody>"]
    previous: list[str] | None = None
    for row, cells in zip(_row_names(table), _cells(table), strict=True):
        new = num_names > 1 and previous is not None and previous[:-1] != row[:-1]
        previous = row
        named = "".join(f"<th>{html.escape(name)}</th>" for name in row)
        lines.append(('<tr class="new">' if new else "<tr>") + named + "".join(map(text, cells)) + "</tr>")
    lines += ["</tbody>", "</table>"]
    lines += [f"<p>{html.escape(note)}</p>" for note in table.notes]
    return "\n".join(lines) + "\n</html>\n"


def _escaped(note: str) -> str:
    """A note that begins with an asterisk is no item of a list."""
    return "\\" + note if note.startswith("*") else note


def _latex(table: ScoreTable) -> str:
    def text(cell: _Cell) -> str:
        return (rf"\textbf{{{cell.figure}}}" if cell.best else cell.figure) + _tex(cell.mark)

    num_names = table.frame.index.nlevels
    lines = [
        *([f"% {table.caption}"] if table.caption else []),
        r"\begin{tabular}{" + "l" * num_names + "r" * len(table.frame.columns) + "}",
        r"\toprule",
        *_latex_head(table),
        r"\midrule",
    ]
    previous: list[str] | None = None
    for names, cells in zip(_row_names(table), _cells(table), strict=True):
        # A little space where the first of several row names changes.
        if num_names > 1 and previous is not None and previous[:-1] != names[:-1]:
            lines.append(r"\addlinespace")
        previous = names
        lines.append(" & ".join([*map(_tex, names), *map(text, cells)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {_tex(note)}" for note in table.notes]
    return "\n".join(lines) + "\n"


def _latex_head(table: ScoreTable) -> list[str]:
    """Systems above their metrics, or systems alone where each has one."""
    names = [_tex(str(name)) for name in table.frame.index.names]
    columns = list(table.frame.columns)
    groups = [(system, len(list(group))) for system, group in groupby(columns, key=lambda column: column[0])]
    if len({metric for _, metric in columns}) == 1:
        return [" & ".join([*names, *(_tex(system) for system, _ in columns)]) + r" \\"]
    heads, rules, start = [], [], len(names) + 1
    for system, width in groups:
        heads.append(rf"\multicolumn{{{width}}}{{c}}{{{_tex(system)}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return [
        " & ".join([""] * len(names) + heads) + r" \\",
        "".join(rules),
        " & ".join([*names, *(_tex(metric) for _, metric in columns)]) + r" \\",
    ]


def _tex(text: str) -> str:
    return "".join(_TEX_SPECIAL.get(character, character) for character in text)
