"""Batches of raw rows, and what makes a row good: the rules every reader's text goes through."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BATCH_ROWS = 16_384

EMPTY = "empty"
NOT_UTF8 = "not UTF-8"
CONTROL = "control characters"
TOO_LONG = "too long"
LENGTH_RATIO = "length ratio"
NOT_A_PAIR = "wrong number of columns"
NO_FIELD = "no such field"
NOT_JSON = "not a JSON object"
EMPTY_LINE = "empty line"
MISSING = "missing"

# What stands in the cells of a row that is bad as a whole: bytes that are no UTF-8, each for its reason.
BAD_ROW = {reason: b"\xff" + reason.encode() for reason in (NOT_UTF8, NOT_JSON, EMPTY_LINE)}
_REASONS = {cell: reason for reason, cell in BAD_ROW.items()}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows as they were read.

    Attributes:
        columns: arrays of one length, ``large_binary`` or ``large_string``; null where a cell could not be found.
        files: the file of each column.
        lines: the line, or the :class:`~lingualift.errors.RecordNumber`, of each row.
        null_reason: why a cell is null.
        missing: what stands in a cell that has no text, each by itself or beside other words; empty: an empty cell. Even
            a benchmark may have such cells.
    """

    columns: tuple[pa.Array, ...]
    files: tuple[Path, ...]
    lines: Sequence[int]
    null_reason: str = NO_FIELD
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.columns[0])

    def head(self, rows: int) -> "Batch":
        """The first rows."""
        columns = tuple(column.slice(0, rows) for column in self.columns)
        return replace(self, columns=columns, lines=self.lines[:rows])


@dataclass(frozen=True)
class Cleaned:
    """A column after cleaning.

    Attributes:
        text: ``large_string``, stripped; null where the cell is bad.
        lengths: characters of each cell; 0 where it is bad.
        bad: reason → which cells are bad for it; no cell has two.
    """

    text: pa.Array
    lengths: np.ndarray
    bad: dict[str, np.ndarray]

    @property
    def valid(self) -> np.ndarray:
        """Which cells are good."""
        return self.text.is_valid().to_numpy(zero_copy_only=False)

    def counts(self) -> Counter[str]:
        """How many cells are bad, by reason."""
        return Counter({reason: int(cells.sum()) for reason, cells in self.bad.items() if cells.any()})

    def reason(self, row: int) -> str | None:
        """Why a cell is bad, if it is."""
        return next((reason for reason, cells in self.bad.items() if cells[row]), None)


def clean(
    column: pa.Array,
    *,
    null_reason: str = NO_FIELD,
    max_characters: int | None = None,
    missing: Sequence[str] = (),
    normalise: bool = True,
) -> Cleaned:
    """Decode and strip a column, and set aside the cells that hold no usable text.

    A cell is bad that is empty, not UTF-8, longer than ``max_characters``, holds a NUL, or nothing but control,
    format and space characters; or that contains what stands for ``missing`` text, or is one of :data:`BAD_ROW`.

    Args:
        normalise: into NFC. Not for benchmarks: what is scored is the publisher's text.
    """
    bad: dict[str, np.ndarray] = {}
    if column.null_count:
        bad[null_reason] = _mask(column.is_null())
    text, invalid = _decode(column)
    bad |= invalid
    text = pc.utf8_trim_whitespace(pc.utf8_normalize(text, form="NFC") if normalise else text)
    # A null length or match is no reason: these cells have one already.
    lengths = pc.utf8_length(text).fill_null(1).to_numpy(zero_copy_only=False)
    bad[EMPTY] = lengths == 0
    # RE2 gives up at the first letter, so this costs little.
    bad[CONTROL] = _mask(pc.or_(pc.match_substring(text, "\0"), pc.match_substring_regex(text, r"^[\pC\pZ\s]+$")))
    if max_characters is not None:
        bad[TOO_LONG] = (lengths > max_characters) & ~bad[CONTROL]
    if missing:
        bad[MISSING] = np.logical_or.reduce([_mask(_holds(text, what)) for what in missing])
        bad = {reason: cells if reason == MISSING else cells & ~bad[MISSING] for reason, cells in bad.items()}
    bad = {reason: cells for reason, cells in bad.items() if cells.any()}
    if bad:
        good = ~np.logical_or.reduce(list(bad.values()))
        text = pc.if_else(pa.array(good), text, None)
        lengths = np.where(good, lengths, 0)
    return Cleaned(text, lengths.astype(np.int64), bad)


def batches_of(
    rows: Iterable[tuple[int, list[bytes | None]]],
    path: Path,
    width: int,
    *,
    size: int = BATCH_ROWS,
    null_reason: str = NO_FIELD,
) -> Iterator[Batch]:
    """Rows of Python objects as batches.

    Args:
        rows: the line and the cells of each, ``width`` of them.
        size: how many go into a batch.
    """
    rows = iter(rows)
    while chunk := list(itertools.islice(rows, size)):
        columns = tuple(pa.array([cells[index] for _, cells in chunk], pa.large_binary()) for index in range(width))
        lines = [line for line, _ in chunk]
        yield Batch(columns=columns, files=(path,) * width, lines=lines, null_reason=null_reason)


def good_pair_mask(a_lengths: np.ndarray, b_lengths: np.ndarray, max_ratio: float | None) -> np.ndarray:
    """Which pairs are pairs: both sides there, neither more than ``max_ratio`` times as long as the other.

    Args:
        a_lengths: characters of one side; 0 where it is missing.
        b_lengths: characters of the other; shapes broadcast.
        max_ratio: None for no limit.
    """
    there = (a_lengths > 0) & (b_lengths > 0)
    if max_ratio is None:
        return there
    return there & (a_lengths <= max_ratio * b_lengths) & (b_lengths <= max_ratio * a_lengths)


def _holds(text: pa.Array, what: str) -> pa.Array:
    """Which texts contain ``what``; if that is empty: which are empty."""
    return pc.match_substring(text, what) if what else pc.equal(text, what)


def _decode(column: pa.Array) -> tuple[pa.Array, dict[str, np.ndarray]]:
    """Bytes as text, null where they are not UTF-8, and which those are by reason."""
    try:
        return column.cast(pa.large_string()), {}
    except pa.ArrowInvalid:
        # Rare, so the slow way: cell by cell.
        cells = column.cast(pa.large_binary()).to_pylist()
    texts = [None if cell is None else _text_or_none(cell) for cell in cells]
    reasons = np.array(
        [
            None if cell is None or text is not None else _REASONS.get(cell, NOT_UTF8)
            for cell, text in zip(cells, texts, strict=True)
        ]
    )
    return pa.array(texts, pa.large_string()), {reason: reasons == reason for reason in BAD_ROW}


def _text_or_none(cell: bytes) -> str | None:
    try:
        return cell.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _mask(array: pa.Array) -> np.ndarray:
    return array.fill_null(False).to_numpy(zero_copy_only=False)
