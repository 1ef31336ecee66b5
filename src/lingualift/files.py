"""Opening, writing and checking files: compression by suffix, atomic outputs, checksums."""

import bz2
import contextlib
import csv
import errno
import gzip
import hashlib
import io
import itertools
import json
import lzma
import os
import re
import shutil
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from lingualift.errors import InputError
from lingualift.owners import is_dead, own_mark

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
# ``.<name>.<mark of the process that it belongs to>-<number>.part``
_BESIDE = re.compile(r"\.(?P<name>.+)\.(?P<mark>[0-9a-f]{12}-\d+-\d+)-\d+\.(?:part|former)")
_numbers = itertools.count()
_swept: set[Path] = set()
_FORGOTTEN = 7 * 86_400.0  # seconds without a change after which what a process elsewhere was writing is litter


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

    Whatever fails in between leaves ``path`` as it was. No two processes are given the same one: of two that make the
    same, each puts its own in place, whole. What killed processes left in that folder is removed, see :func:`sweep`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_once(path.parent)
    part, former = path_beside(path), path_beside(path, "former")
    try:
        yield part
        if part.is_dir():
            _put_in_place(part, path, former)
        else:
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.rename(path)
    except BaseException:
        if former.exists() and not path.exists():
            former.rename(path)
        remove(part)
        remove(former)
        raise
    remove(former)


def _put_in_place(part: Path, path: Path, former: Path) -> None:
    """Rename a folder. It cannot be renamed over another, which steps aside whole: no kill leaves half of it."""
    while True:
        if path.exists():
            remove(former)
            with contextlib.suppress(FileNotFoundError):
                path.rename(former)
        try:
            part.rename(path)
            return
        except OSError as error:
            # Another process has put its own there meanwhile.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def path_beside(path: Path, word: str = "part") -> Path:
    """A hidden path in the same folder for this process alone, which :func:`sweep` knows as such."""
    return path.with_name(f".{path.name}.{own_mark()}-{next(_numbers)}.{word}")


def sweep_once(folder: Path) -> None:
    """Sweep a folder, if this process has not yet: to look through it for each of its files would take long."""
    folder = folder.absolute()
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)


def sweep(folder: Path, *, held: Collection[str] = ()) -> None:
    """Remove from a folder what killed processes were writing there; what cannot be removed stays.

    That a process of this host is dead can be seen. One elsewhere may be silent for long between two writes: what it
    writes is litter when nothing of it has changed for a week, or, of the names ``held``, at once.

    Args:
        held: names of outputs that this process holds: no other process that is alive may be writing them.
    """
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            found = _BESIDE.fullmatch(entry.name)
            if found is not None and _is_litter(Path(entry), found["mark"], found["name"] in held):
                with contextlib.suppress(OSError):
                    remove(Path(entry))


def _is_litter(path: Path, mark: str, held: bool) -> bool:
    dead = is_dead(mark)
    if dead is not None:
        return dead
    return held or all(
        time.time() - file.lstat().st_mtime > _FORGOTTEN for file in itertools.chain([path], path.rglob("*"))
    )


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
