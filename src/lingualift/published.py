"""Numbers as the papers print them, to stand beside ours: the files of ``config/published``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lingualift.errors import InputError


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
    import csv

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
