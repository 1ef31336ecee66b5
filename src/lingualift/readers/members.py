"""Files of a folder or a zip archive, one after another, each with what reads it whole."""

import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from lingualift.errors import InputError
from lingualift.files import BROKEN_ARCHIVE, files_below, read_bytes
from lingualift.manifests import Manifest

# What zipfile raises on a damaged archive; ValueError for a place before its start, or a name that is no UTF-8.
_BROKEN_ZIP = (zipfile.BadZipFile, struct.error, ValueError, *BROKEN_ARCHIVE)


def members(path: Path, manifest: Manifest) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Name, place for messages and reader of every file in a folder or zip, in order of name; zips are opened.

    Raises:
        InputError: nothing there, or a zip that is broken.
    """
    if not path.exists():
        raise InputError(path, "no such file or folder")
    for file in files_below(path):
        yield from _file_members(file, manifest)


def _file_members(path: Path, manifest: Manifest) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    if path.suffix != ".zip":

        def read_file() -> bytes:
            manifest.add_input(path)
            return read_bytes(path)

        yield path.name, str(path), read_file
        return
    manifest.add_input(path)
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(entry.filename for entry in archive.infolist() if not entry.is_dir()):

                def read_member(name: str = name) -> bytes:
                    try:
                        return archive.read(name)
                    except _BROKEN_ZIP as error:
                        message = "cannot be unpacked, the archive is damaged: download it again"
                        raise InputError(f"{path}/{name}", f"{message} ({str(error) or 'it ends too soon'})") from error
                    except RuntimeError as error:
                        raise InputError(f"{path}/{name}", f"cannot be unpacked: {error}") from error

                yield name, f"{path}/{name}", read_member
    except (NotImplementedError, *_BROKEN_ZIP) as error:
        message = f"broken or cut short, or not a zip archive: download it again ({error})"
        raise InputError(path, message) from error


def decode(content: bytes, place: str) -> str:
    """The text of a file, its lines ending in line feeds alone.

    Raises:
        InputError: a byte that is no UTF-8, with the line.
    """
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(place, f"not UTF-8: {error.reason}", line=line) from error
