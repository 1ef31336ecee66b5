"""Opening, writing and checking files: compression by suffix, atomic outputs, checksums."""

import bz2
import contextlib
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lingualift.errors import InputError

_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# What the decompressors raise on a broken archive.
BROKEN_ARCHIVE = (EOFError, gzip.BadGzipFile, lzma.LZMAError, OSError)


def open_bytes(path: str | Path) -> IO[bytes]:
    """Open a file for reading, decompressing ``.gz``, ``.bz2``, ``.xz`` and ``.zst`` by suffix.

    Raises:
        InputError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file")
    if path.suffix == ".zst":
        import zstandard

        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(path.open("rb")))
    return _OPENERS.get(path.suffix, open)(path, "rb")


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, a file or a folder; rename it to ``path`` at the end.

    Whatever fails in between leaves ``path`` as it was. What a killed process left beside it is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    remove(part)
    try:
        yield part
        if part.is_dir():
            # A folder cannot be renamed over a non-empty one.
            remove(path)
        else:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        part.rename(path)
    except BaseException:
        remove(part)
        raise


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: missing, or not JSON; with the line.
    """
    with open_bytes(path) as file:
        try:
            return json.loads(file.read())
        except json.JSONDecodeError as error:
            raise InputError(path, f"not JSON: {error.msg}", line=error.lineno) from error
        except UnicodeDecodeError as error:
            raise InputError(path, f"not UTF-8: {error.reason}") from error
