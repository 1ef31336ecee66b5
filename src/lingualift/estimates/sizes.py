"""Bytes of text in files that are not read whole."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lingualift.configuration.corpus_base import Corpus, TableSource
from lingualift.errors import LingualiftError
from lingualift.files import COMPRESSED, files_below

# How many times its size a compressed text has.
_PACKED = 3
# Rows at the beginning of a file that stand for all; they are read in pieces of so many bytes.
_FIRST, _BLOCK = 200, 1 << 18


def text_bytes(paths: Sequence[Path]) -> float:
    """Bytes of files, or of all files of folders, as they are unpacked."""
    return sum(_unpacked(file) for path in paths for file in files_below(path))


def _unpacked(file: Path) -> float:
    if file.suffix == ".parquet":
        metadata = _parquet(file)
        return sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    return file.stat().st_size * (_PACKED if file.suffix in COMPRESSED else 1)


def cell_bytes(tables: Path, name: str, *, columns: int) -> float:
    """Mean bytes of text in a cell of an imported table, without its offsets.

    Args:
        tables: the corpus' folder.

    Raises:
        InputError: there is no such table, or it is broken.
    """
    from lingualift.arrow_tables import open_table

    table = open_table(tables, name)
    return table.nbytes / max(1, len(table) * columns) - 8


def row_bytes(corpus: Corpus, table: TableSource, files: Sequence[Path]) -> float | None:
    """Mean bytes of text in a row, by the first rows of each of some files; None where that is not quickly seen.

    What of a record is no text of the table does not count.
    """
    try:
        if corpus.reader == "parquet":
            return text_bytes(files) / max(1, sum(_parquet(file).num_rows for file in files))
        if corpus.reader not in ("lines", "aligned", "multiway", "flores", "ntrex", "tatoeba", "jsonl"):
            return None
        from lingualift.readers.lines import LineStream

        lines: list[bytes] = []
        for file in files:
            with LineStream(file, block_bytes=_BLOCK) as stream:
                lines += stream.take(_FIRST).to_pylist()
        if corpus.reader == "jsonl":
            # One array of records is a line too.
            records = [json.loads(line) for line in lines if line.strip()]
            sizes = [sum(_length(record, name) for name in table.fields) for record in records]
        else:
            sizes = [len(line.strip()) for line in lines]
    except (LingualiftError, ValueError, OSError, AttributeError):
        # What is wrong with a file is said where it is imported.
        return None
    return sum(sizes) / len(sizes) if any(sizes) else None


def _length(record: Any, name: str | int) -> int:
    """Bytes of a field of a record; its dots descend."""
    value = functools.reduce(lambda inner, key: (inner or {}).get(key), str(name).split("."), record)
    return len(value.encode()) if isinstance(value, str) else 0


def _parquet(file: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_metadata(file)
