"""What goes wrong while raw files are read: one kind of error, which names the place."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from lingualift.errors import InputError
from lingualift.files import BROKEN_ARCHIVE, broken_archive


@contextlib.contextmanager
def broken_file_errors(path: Path, line: Callable[[], int]) -> Iterator[None]:
    """Turn what decompressors raise into an :class:`InputError`.

    Args:
        path: the file that is read.
        line: gives the line that was being read.
    """
    try:
        yield
    except BROKEN_ARCHIVE as error:
        raise broken_archive(path, error, line=line()) from error


@contextlib.contextmanager
def broken_table_errors(path: Path, records: Callable[[], int]) -> Iterator[None]:
    """The same for a file of records, which come many at a time: which of them is broken is not known.

    Args:
        path: the file that is read.
        records: gives how many came out of it.
    """
    try:
        yield
    except (EOFError, OSError, pa.ArrowException) as error:
        behind = f" behind record {number}" if (number := records()) else ""
        raise InputError(path, f"cannot be read{behind}, broken or cut short: {error}") from error
