"""Opening, writing and checking files: compression by suffix, atomic outputs, checksums."""

import bz2
import contextlib
import csv
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from lingualift.errors import InputError

_OPENERS: dict[str, Callable[[Path], IO[bytes]]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
    ".zst": lambda path: io.BufferedReader(_Zstandard(path)),
}
# The suffixes of files that are decompressed where they are read.
COMPRESSED = tuple(_OPENERS)
# What the decompressors raise on a broken archive.
BROKEN_ARCHIVE = (EOFError, OSError, lzma.LZMAError, zlib.error)
_PIECE = 1 << 20


def open_bytes(path: str | Path) -> IO[bytes]:
    """Open a file for reading, decompressing it where its suffix is one of :data:`COMPRESSED`.

    A broken archive raises one of :data:`BROKEN_ARCHIVE` where it is read, one that is cut short ``EOFError``.

    Raises:
        InputError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file")
    return _OPENERS[path.suffix](path) if path.suffix in _OPENERS else path.open("rb")


def read_bytes(path: str | Path) -> bytes:
    """All of a file, decompressed by suffix.

    Raises:
        InputError: missing, or a broken archive; with the line at which it breaks.
    """
    pieces: list[bytes] = []
    with open_bytes(path) as file:
        try:
            # read() would throw away what it has when it fails.
            while piece := file.read1(_PIECE):
                pieces.append(piece)
        except BROKEN_ARCHIVE as error:
            raise broken_archive(path, error, line=1 + sum(piece.count(b"\n") for piece in pieces)) from error
    return b"".join(pieces)


def broken_archive(path: str | Path, error: BaseException, *, line: int) -> InputError:
    """What to say of a file whose decompressor, or format, gave up at a line."""
    return InputError(path, f"cannot be read on, broken or cut short: {error}", line=line)


class _Zstandard(io.RawIOBase):
    """A ``.zst`` file of one frame or many.

    zstandard's own reader stops after the first frame, and takes the end of a cut file for the end of the text.
    """

    def __init__(self, path: Path) -> None:
        import zstandard

        self._new_frame: Callable[[], Any] = zstandard.ZstdDecompressor().decompressobj
        self._broken = zstandard.ZstdError
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
            try:
                self._text = memoryview(self._frame.decompress(raw))
            except self._broken as error:
                raise OSError(f"not a zstandard file, or a broken one: {error}") from error
        count = min(len(buffer), len(self._text))
        buffer[:count] = self._text[:count]
        self._text = self._text[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, a file or a folder; rename it to ``path`` at the end.

    Whatever fails in between leaves ``path`` as it was. What a killed process left beside it is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part, former = (path.with_name(f".{path.name}.{word}") for word in ("part", "former"))
    remove(part)
    remove(former)
    try:
        yield part
        if not part.is_dir():
            with part.open("rb") as file:
                os.fsync(file.fileno())
        elif path.exists():
            # A folder cannot be renamed over another. The former one steps aside whole: no kill leaves half of it.
            path.rename(former)
        part.rename(path)
    except BaseException:
        if former.exists() and not path.exists():
            former.rename(path)
        remove(part)
        raise
    remove(former)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; where the file system cannot, copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def files_below(path: Path) -> list[Path]:
    """The files in a folder, however deep, in order; a file itself; nothing where there is nothing."""
    paths = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in paths if file.is_file()]


def checksum(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """A short stable name for any JSON-like value: 16 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_json(value: Any, path: str | Path) -> None:
    """Write JSON for people: indented, Unicode as it is, atomically."""
    with atomic_path(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def write_csv(rows: Iterable[Mapping[str, Any]], path: str | Path, columns: Sequence[str]) -> None:
    """Write rows as CSV, atomically: UTF-8, a head, lines that end in a line feed; numbers in full precision.

    Args:
        columns: their order; a row that lacks one has an empty cell.

    Raises:
        ValueError: a row has something else.
    """
    with atomic_path(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: missing, or not JSON; with the line.
    """
    content = read_bytes(path)
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise InputError(path, f"not JSON: {error.msg}", line=error.lineno) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(path, f"not UTF-8: {error.reason}", line=line) from error
