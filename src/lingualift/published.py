"""Others' numbers: those that the papers print (``config/published``), and scores that authors released."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingualift.errors import InputError
from lingualift.manifests import Manifest
from lingualift.scoring import write_scores


@dataclass(frozen=True)
class PublishedNumbers:
    """One table of a paper.

    Attributes:
        path: the file.
        source: which table of which paper, and what has to be known of it.
        levels: what its rows are named by, as in our tables: ``direction``, ``resource``.
        numbers: by row, system and metric; what the paper does not print is not there.
    """

    path: Path
    source: str
    levels: list[str]
    numbers: Mapping[tuple[tuple[str, ...], str, str], float]

    def number(self, row: tuple[str, ...], system: str, metric: str) -> float | None:
        """One number, or None where the paper prints none."""
        return self.numbers.get((row, system, metric))


def read_published(path: str | Path) -> PublishedNumbers:
    """Read a table of a paper: ``#`` lines that say which, then CSV.

    Its columns are what rows are named by, then ``system``, then a column a metric, empty where nothing is printed.

    Raises:
        InputError: no ``#`` line, no column ``system``, a cell that is no number, or a row that stands twice; with
            the line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file")
    lines = path.read_text(encoding="utf-8").splitlines()
    start = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    if not start:
        raise InputError(path, "does not say which table it is: begin with a line '# <paper>, <table>'", line=1)
    head, *rows = csv.reader(lines[start:]) if lines[start:] else [[]]
    if "system" not in head:
        raise InputError(path, "no column 'system'", line=start + 1)
    place = head.index("system")
    numbers: dict[tuple[tuple[str, ...], str, str], float] = {}
    for line, cells in enumerate(rows, start + 2):
        if len(cells) != len(head):
            raise InputError(path, f"expected {len(head)} columns, found {len(cells)}", line=line)
        row, system = tuple(cells[:place]), cells[place]
        for metric, cell in zip(head[place + 1 :], cells[place + 1 :], strict=True):
            if not cell:
                continue
            if (row, system, metric) in numbers:
                raise InputError(path, f"{metric} of {system} for {' '.join(row)} stands twice", line=line)
            try:
                numbers[row, system, metric] = float(cell)
            except ValueError as error:
                raise InputError(path, f"not a number: {cell!r}", line=line) from error
    source = " ".join(line.lstrip("# ").strip() for line in lines[:start])
    return PublishedNumbers(path, source, head[:place], numbers)


def published_scores(
    path: str | Path, *, system: str, benchmark: str, metric: str, signature: str = "as published"
) -> list[dict[str, Any]]:
    """Scores that the authors of LLaMAX released: rows ``en-x`` and ``x-en``, a column per language, ``/`` for none.

    Returns:
        Rows of scores, see ``scoring.COLUMNS``, sorted by direction; where a direction stands in two rows (``en-x`` and
        ``x-de``) the first is taken. Segments are not published: 0.

    Raises:
        InputError: there is no such file, it is not UTF-8, its first line names no languages, a row is not named after a
            centre language, a cell is no number, or there is no score at all.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file")
    found: dict[tuple[str, str], float] = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(path, f"not UTF-8: {error.reason}") from error
    lines = csv.reader(text.splitlines())
    _, *codes = next(lines, []) or [""]
    if not codes:
        raise InputError(path, "expected a first line with a column for each language, found none", line=1)
    for name, *scores in filter(None, lines):
        number = lines.line_num
        left, _, right = name.rpartition("-")
        if "x" not in (left, right) or "" in (left, right):
            raise InputError(path, f"expected a row such as en-x or x-en, found {name!r}", line=number)
        if len(scores) != len(codes):
            raise InputError(path, f"expected {len(codes) + 1} columns, found {len(scores) + 1}", line=number)
        for code, score in zip(codes, scores, strict=True):
            if score in ("/", ""):
                continue
            try:
                value = float(score)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise InputError(path, f"not a number: {score!r} in column {code}", line=number)
            found.setdefault((left, code) if right == "x" else (code, right), value)
    if not found:
        raise InputError(path, "not one score in it: rows such as en-x, a column for each language")
    head = {"system": system, "benchmark": benchmark}
    tail = {"metric": metric, "signature": signature, "segments": 0}
    return [
        head | {"source": source, "target": target, "score": score} | tail
        for (source, target), score in sorted(found.items())
    ]


def import_published_scores(
    files: Mapping[str, str | Path],
    *,
    system: str,
    benchmark: str,
    signature: str | Mapping[str, str],
    out: str | Path,
) -> Manifest:
    """Write released scores as ours are written.

    Args:
        files: by metric, see ``published_scores``.
        signature: of all, or by metric.
        out: the CSV file, see ``scoring.COLUMNS``.

    Returns:
        The manifest, with the directions of each metric.
    """
    manifest = Manifest("scores", {"system": system, "benchmark": benchmark, "signature": signature})
    rows = []
    signatures = dict.fromkeys(files, signature) if isinstance(signature, str) else signature
    for metric, path in files.items():
        new = published_scores(path, system=system, benchmark=benchmark, metric=metric, signature=signatures[metric])
        manifest.add_input(path)
        manifest.counts[f"directions of {metric}"] = len(new)
        rows += new
    write_scores(rows, out)
    return manifest
