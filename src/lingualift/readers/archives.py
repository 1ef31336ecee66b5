"""Opening raw files, and what goes wrong while they are read: one kind of error, which names the place."""

import contextlib
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from lingualift.errors import InputError
from lingualift.files import BROKEN_ARCHIVE, open_bytes


def open_raw(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressing by suffix; a cut archive raises ``EOFError`` where it ends.

    Raises:
        InputError: there is no such file.
    """
    if path.suffix == ".zst" and path.is_file():
        return io.BufferedReader(_Zstandard(path))
    return open_bytes(path)


class _Zstandard(io.RawIOBase):
    """A ``.zst`` file of one frame or many.

    zstandard's own reader stops after the first frame, and takes the end of a cut file for the end of the text.
    """

    def __init__(self, path: Path) -> None:
        import zstandard

        self._new_frame: Callable[[], Any] = zstandard.ZstdDecompressor().decompressobj
        self._frame: Any = None
        self._file = path.open("rb")
        self._text = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._text:
            raw = self._frame.unused_data if self._frame is not None and self._frame.eof else b""
            raw = raw or self._file.read(1 << 17)
            if not raw:
                if self._frame is not None and not self._frame.eof:
                    raise EOFError("the file ends inside a compressed frame")
                return 0
            if self._frame is None or self._frame.eof:
                self._frame = self._new_frame()
            self._text = memoryview(self._frame.decompress(raw))
        count = min(len(buffer), len(self._text))
        buffer[:count] = self._text[:count]
        self._text = self._text[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


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
    except (*BROKEN_ARCHIVE, zlib.error, pa.ArrowInvalid) as error:
        raise InputError(path, f"cannot be read on, broken or cut short: {error}", line=line()) from error
    except Exception as error:
        # zstandard is loaded only where a file needs it.
        if type(error).__name__ != "ZstdError":
            raise
        raise InputError(path, f"cannot be read on, broken or cut short: {error}", line=line()) from error
