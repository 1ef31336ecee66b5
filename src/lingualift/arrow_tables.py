"""Tables of text as Arrow files: written in even record batches, read by memory map."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pyarrow as pa

from lingualift.errors import InputError
from lingualift.readers.batches import BATCH_ROWS


class TableWriter:
    """Writes an Arrow IPC file in record batches of 16,384 rows, whatever the size of what comes in.

    Args:
        columns: their names, for columns of ``large_string``; or names with types.
    """

    def __init__(self, path: Path, columns: Sequence[str] | Mapping[str, pa.DataType]) -> None:
        if not isinstance(columns, Mapping):
            columns = dict.fromkeys(columns, pa.large_string())
        self.num_rows = 0
        self._schema = pa.schema(columns)
        self._writer = pa.ipc.new_file(str(path), self._schema)
        self._waiting: list[pa.RecordBatch] = []
        self._num_waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None:
            self._flush(1)
        self._writer.close()

    def add(self, columns: Sequence[pa.Array]) -> None:
        """Append rows: an array a column."""
        batch = pa.record_batch(list(columns), schema=self._schema)
        self.num_rows += len(batch)
        self._waiting.append(batch)
        self._num_waiting += len(batch)
        if self._num_waiting >= BATCH_ROWS:
            self._flush(BATCH_ROWS)

    def _flush(self, least: int) -> None:
        """Write full batches while ``least`` rows wait."""
        table = pa.Table.from_batches(self._waiting, self._schema).combine_chunks()
        start = 0
        while len(table) - start >= least:
            for batch in table.slice(start, BATCH_ROWS).combine_chunks().to_batches():
                self._writer.write_batch(batch)
            start += BATCH_ROWS
        rest = table.slice(start)
        self._waiting, self._num_waiting = rest.to_batches(), len(rest)


def open_table(folder: str | Path, name: str) -> pa.Table:
    """Open a table of an imported corpus by memory map: it costs no memory until it is read.

    Raises:
        InputError: there is no such table, or it is broken.
    """
    path = Path(folder) / "tables" / f"{name}.arrow"
    if not path.is_file():
        raise InputError(path, "no such table")
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except pa.ArrowInvalid as error:
        raise InputError(path, f"broken table: {error}") from error
