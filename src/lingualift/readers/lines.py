"""Text by lines: one file after another, several in step, or split into columns."""

import codecs
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lingualift.errors import InputError
from lingualift.files import open_bytes
from lingualift.readers.archives import broken_file_errors
from lingualift.readers.batches import BATCH_ROWS, NOT_A_PAIR, Batch

_BLOCK_BYTES = 4 << 20


class LineStream:
    """The lines of a file, some thousands at a time, without a Python object for each.

    Lines end at line feeds alone, so that files stay in step whatever Unicode they hold; a last line without one
    counts, and a byte order mark does not.
    """

    def __init__(self, path: Path, *, block_bytes: int = _BLOCK_BYTES) -> None:
        self.path = path
        self.line = 0
        self._block_bytes = block_bytes
        self._file = open_bytes(path)
        self._data = b""
        # Bounds of the lines in the data not yet taken: one more than there are lines.
        self._bounds = np.zeros(1, dtype=np.int64)
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def take(self, count: int) -> pa.Array:
        """Up to ``count`` more lines as ``large_binary``, each with its line end; fewer only at the end.

        Raises:
            InputError: the file cannot be read on, with the line.
        """
        while len(self._bounds) <= count and not self._ended:
            self._read()
        taken = self._bounds[: count + 1]
        self._bounds = self._bounds[count:] if len(self._bounds) > count else self._bounds[-1:]
        self.line += len(taken) - 1
        buffers = [None, pa.py_buffer(np.ascontiguousarray(taken)), pa.py_buffer(self._data)]
        return pa.Array.from_buffers(pa.large_binary(), len(taken) - 1, buffers)

    def _read(self) -> None:
        block = self._block()
        rest = self._data[self._bounds[0] :]
        if not self.line and not rest:
            block = block.removeprefix(codecs.BOM_UTF8)
        if not block:
            self._ended = True
        self._data = rest + block
        ends = np.flatnonzero(np.frombuffer(self._data, dtype=np.uint8) == ord("\n")) + 1
        if self._ended and len(self._data) > (ends[-1] if len(ends) else 0):
            ends = np.append(ends, len(self._data))
        self._bounds = np.concatenate([[0], ends]).astype(np.int64)

    def _block(self) -> bytes:
        """The next bytes; fewer than a block only at the end."""
        block = bytearray()
        with broken_file_errors(self.path, lambda: self.line + len(self._bounds) + block.count(b"\n")):
            # read() would throw away what it has when it fails, and with it the line.
            while missing := self._block_bytes - len(block):
                if not (piece := self._file.read1(missing)):
                    break
                block += piece
        return bytes(block)


def read_lines(files: Sequence[Path]) -> Iterator[Batch]:
    """One column: the lines of files, one file after another."""
    for path in files:
        with LineStream(path) as stream:
            while len(column := stream.take(BATCH_ROWS)):
                yield Batch(
                    columns=(column,), files=(path,), lines=range(stream.line - len(column) + 1, stream.line + 1)
                )


def read_in_step(files: Sequence[Path]) -> Iterator[Batch]:
    """A column a file: line n of each file belongs together.

    Raises:
        InputError: a file ends before another, with the line.
    """
    # Many languages at once: smaller batches keep memory where it is for one.
    rows = max(1024, BATCH_ROWS // len(files))
    with ExitStack() as stack:
        block_bytes = max(1 << 16, _BLOCK_BYTES // len(files))
        streams = [stack.enter_context(LineStream(path, block_bytes=block_bytes)) for path in files]
        while True:
            columns = tuple(stream.take(rows) for stream in streams)
            shortest = min(range(len(files)), key=lambda index: len(columns[index]))
            longest = max(range(len(files)), key=lambda index: len(columns[index]))
            if len(columns[shortest]) < len(columns[longest]):
                # An empty file ends on its first line.
                line = max(streams[shortest].line, 1)
                raise InputError(files[shortest], f"ends here, but {files[longest]} goes on: not aligned", line=line)
            if not len(columns[0]):
                return
            last = streams[0].line
            yield Batch(columns=columns, files=tuple(files), lines=range(last - len(columns[0]) + 1, last + 1))


def read_separated(
    files: Sequence[Path],
    fields: Sequence[str | int],
    *,
    separator: str,
    header: bool,
    missing: Sequence[str] = (),
) -> Iterator[Batch]:
    """The columns ``fields`` of separated values; cells of rows with another number of columns are null.

    The right number is the header's, or else that of most of a file's first rows. Cells that contain one of
    ``missing`` have no text; if one of it is empty, neither have empty cells.

    Raises:
        InputError: the header has no such column, or the rows have too few.
    """
    for path in files:
        with LineStream(path) as stream:
            names: list[str] | None = None
            if header:
                first = b"".join(stream.take(1).to_pylist()).decode("utf-8", errors="replace")
                names = first.rstrip("\r\n").split(separator)
            expected = len(names) if names is not None else None
            positions = [_position(field, names, path) for field in fields]
            while len(column := stream.take(BATCH_ROWS)):
                cells = pc.split_pattern(column, separator)
                counts = pc.list_value_length(cells).to_numpy(zero_copy_only=False)
                if expected is None:
                    expected = Counter(counts.tolist()).most_common(1)[0][0]
                if max(positions) >= expected:
                    message = f"has {expected} columns: there is no column {max(positions)}, counted from 0"
                    raise InputError(path, message, line=stream.line - len(column) + 1)
                rows = pc.if_else(pa.array(counts == expected), cells, None)
                yield Batch(
                    columns=tuple(pc.list_element(rows, position) for position in positions),
                    files=(path,) * len(fields),
                    lines=range(stream.line - len(column) + 1, stream.line + 1),
                    null_reason=NOT_A_PAIR,
                    missing=tuple(missing),
                )


def _position(field: str | int, names: list[str] | None, path: Path) -> int:
    """Where a column is, by position or by name."""
    if isinstance(field, int):
        return field
    if names is None or field not in names:
        raise InputError(path, f"no column '{field}'; the header has {', '.join(names or ['no columns'])}", line=1)
    return names.index(field)
