"""What goes wrong while raw files are read: one kind of error, which names the place."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from lingualift.errors import InputError
from lingualift.files import BROKEN_ARCHIVE, broken_archive


@contextlib.contextmanager
def broken_file_errors(path: Path, line: Callable[[], int]) -> Iterator[None]:
    """Turn what decompressors and file formats raise into an :class:`InputError`.

    Args:
        path: the file that is read.
        line: gives the line that was being read.
    """
    try:
        yield
    except InputError:
        raise
    except (*BROKEN_ARCHIVE, pa.ArrowInvalid) as error:
        raise broken_archive(path, error, line=line()) from error
