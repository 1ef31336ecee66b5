"""Public test sets and dictionaries, from their publishers: checked against their checksums, unpacked beside, renamed.

What there is to fetch stands in ``config/public_sets.yaml``; what every file has to be, in ``config/checksums.tsv``.
A file whose checksum nobody has written down sets it at its first download, and is held to it from then on.
"""

import csv
import fnmatch
import hashlib
import http.client
import logging
import re
import shutil
import stat
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from http import HTTPStatus
from itertools import product
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import IO, Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeInt, model_validator

from lingualift import __version__
from lingualift.configuration.base import NAME_PATTERN, Entry
from lingualift.configuration.loading import read_yaml
from lingualift.errors import InputError, LingualiftError
from lingualift.files import BROKEN_ARCHIVE, atomic_path, checksum, files_below, read_json, remove
from lingualift.manifests import Manifest

logger = logging.getLogger(__name__)

COLUMNS = ("url", "checksum", "bytes", "origin")
_TRIES = 4
_TIMEOUT = 60  # seconds without a byte
_LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_PIECE = 1 << 20
# A second copy of a set's manifest: Snakemake, whose output the first is, removes that one before it is made again.
_RECORD = ".fetched.json"
_BROKEN = (*BROKEN_ARCHIVE, tarfile.TarError, zipfile.BadZipFile, zlib.error)

_CHECKSUM = r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$"
Checksum = Annotated[str, Field(pattern=_CHECKSUM)]


class Unpacking(Entry):
    """How an archive, ``.tar`` with any compression or ``.zip``, becomes files."""

    strip: NonNegativeInt = Field(0, description="Leading folders of its members that are left out.")
    only: tuple[str, ...] = Field(("*",), description="Members that are wanted, as globs.")


class PublicSet(Entry):
    """One test set or dictionary: where its files are, and how they become a folder of the data folder."""

    about: str = ""
    licence: str
    reader: str = Field(description="The reader that a benchmark, corpus or dictionary reads it with.")
    url: str | tuple[str, ...] = Field(description="Of one file or more; may hold the fields of `fill`.")
    fill: dict[str, tuple[str, ...]] = Field({}, description="What each field of `url` stands for: all combinations.")
    checksum: Checksum | None = Field(None, description="Of a set of one file; else config/checksums.tsv has them.")
    unpack: Unpacking | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        templates = (self.url,) if isinstance(self.url, str) else self.url
        fields = {name for text in templates for _, name, _, _ in Formatter().parse(text) if name is not None}
        if fields != set(self.fill):
            raise ValueError(f"the fields of 'url' and of 'fill' differ: {sorted(fields ^ set(self.fill))}")
        urls = self.urls()
        if wrong := [url for url in urls if urlsplit(url).scheme not in ("http", "https") or not _file_name(url)]:
            raise ValueError(f"{wrong[0]!r} is not the http(s) address of a file")
        if self.checksum and len(urls) > 1:
            raise ValueError("one 'checksum' cannot be that of many files: write them into config/checksums.tsv")
        if self.unpack is None and len({_file_name(url) for url in urls}) < len(urls):
            raise ValueError("two files have the same name")
        return self

    def urls(self) -> list[str]:
        """Every file, each once."""
        templates = (self.url,) if isinstance(self.url, str) else self.url
        filled = (dict(zip(self.fill, values, strict=True)) for values in product(*self.fill.values()))
        return list(dict.fromkeys(template.format(**values) for values in filled for template in templates))

    def settings(self) -> dict[str, Any]:
        """What determines the folder, JSON-like, for the parameters of the rule."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"about", "licence", "reader"})


def read_public_sets(path: str | Path) -> dict[str, PublicSet]:
    """The sets of a file, by name, which is that of their folder, too.

    Raises:
        InputError: the file is not there or not YAML, or a set has a mistake.
    """
    found = {}
    for name, values in (read_yaml(path) or {}).items():
        if not re.match(NAME_PATTERN, str(name)):
            raise InputError(path, f"{name!r} is no name for a folder")
        try:
            found[str(name)] = PublicSet.model_validate(values)
        except ValueError as error:
            raise InputError(path, f"{name}: {error}") from error
    return found


def read_checksums(path: str | Path) -> dict[str, tuple[str, str]]:
    """URL → checksum (``sha256:…`` or ``md5:…``) and who says so; nothing where there is no such file.

    Raises:
        InputError: a line has not four fields or no checksum, or a URL stands twice with different ones.
    """
    found: dict[str, tuple[str, str]] = {}
    if not Path(path).is_file():
        return found
    with Path(path).open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
            if not row or row[0].startswith("#") or tuple(row) == COLUMNS:
                continue
            if len(row) != len(COLUMNS):
                raise InputError(path, f"not {len(COLUMNS)} fields but {len(row)}", line=number)
            url, expected, _, origin = row
            if not re.match(_CHECKSUM, expected):
                raise InputError(path, f"{expected!r} is no checksum: sha256: or md5:, then its digits", line=number)
            if found.setdefault(url, (expected, origin))[0] != expected:
                raise InputError(path, f"another checksum of {url} stands above", line=number)
    return found


def fetch_public_set(entry: PublicSet, *, checksums: Path, state: Path, out: Path) -> None:
    """Download the files of a set, check them, unpack them where they are archives, and write ``manifest.json``.

    A folder that was fetched so before, and whose files are still those that came, is whole: nothing is downloaded,
    and its manifest is put back if that is gone.

    Args:
        checksums: the table of what every file has to be; files that it lacks are added when all of the set is there.
        state: a folder for downloads; what a killed job left in it, and has a checksum, is not downloaded again.
        out: the folder; it appears when it is whole. An empty one may be there.

    Raises:
        LingualiftError: a file cannot be had, is not what its checksum says, or is an archive that is broken or
            would write outside of the folder; or ``out`` holds something else. Then nothing is left in place.
    """
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    if _is_whole(entry, out):
        logger.info("%s: all of it is there, as it was fetched", out)
        with atomic_path(out / "manifest.json") as part:
            shutil.copyfile(out / _RECORD, part)
        return
    if out.exists():
        raise LingualiftError(
            f"{out} is there already, and nothing of it is overwritten: move it away to fetch it anew"
        )
    known, new = read_checksums(checksums), []
    manifest = Manifest("public set", entry.model_dump(mode="json", exclude_defaults=True))
    manifest.details["downloads"] = downloads = {}
    with atomic_path(out) as part:
        part.mkdir()
        for url in entry.urls():
            expected, origin = (
                (entry.checksum, "config/public_sets.yaml") if entry.checksum else known.get(url, (None, ""))
            )
            file = download(url, state, expected=expected, origin=origin)
            sha256, size = f"sha256:{checksum(file)}", file.stat().st_size
            downloads[url] = {"checksum": sha256, "bytes": size, "held to": origin or "nothing: the first download"}
            if expected is None:
                new.append((url, sha256, str(size), f"first download, {date.today().isoformat()}"))
            if entry.unpack is None:
                shutil.copyfile(file, part / file.name)
            else:
                unpack(file, part, entry.unpack)
        files = sorted(path for path in part.rglob("*") if path.is_file())
        manifest.details["files"] = {str(path.relative_to(part)): checksum(path) for path in files}
        manifest.counts.update({"downloads": len(downloads), "files": len(files)})
        manifest.save(part / "manifest.json")
        shutil.copyfile(part / "manifest.json", part / _RECORD)
    _record(new, checksums)
    remove(state)


def _is_whole(entry: PublicSet, folder: Path) -> bool:
    """Whether a folder holds what the same set was when it was fetched, and nothing else."""
    if not (folder / _RECORD).is_file():
        return False
    record = read_json(folder / _RECORD)
    files = {str(path.relative_to(folder)): path for path in files_below(folder)}
    for own in (_RECORD, "manifest.json"):
        files.pop(own, None)
    return (
        PublicSet.model_validate(record["settings"]).settings() == entry.settings()
        and files.keys() == record["files"].keys()
        and all(checksum(path) == record["files"][name] for name, path in files.items())
    )


def download(
    url: str, folder: Path, *, expected: str | None = None, origin: str = "", wait: float = 2.0, tries: int = _TRIES
) -> Path:
    """Download one file into a folder, as ``<name>.part`` until it is whole and what it has to be.

    Args:
        expected: its checksum; one that was begun goes on where it stopped only if there is one to hold it to.
        wait: seconds before the second try of a server that fails or breaks off; twice as long before each after.

    Raises:
        LingualiftError: it cannot be had, or is another file; nothing of that is kept.
    """
    folder = folder / hashlib.sha256(url.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / _file_name(url)
    part = whole.with_name(whole.name + ".part")
    if expected is None:
        # Nothing would tell whether what an earlier job left is whole, or what it is.
        remove(part)
        remove(whole)
    if not whole.exists():
        for tried in range(1, tries + 1):
            try:
                _download_once(url, part, resume=expected is not None)
                break
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code not in _LATER:
                    raise LingualiftError(f"{url}: the server answers {error.code} {error.reason}") from error
                if tried == tries:
                    raise LingualiftError(f"{url} could not be downloaded, {tries} times: {error}") from error
                logger.warning("%s: %s; once more in %g s", url, error, wait)
                time.sleep(wait)
                wait *= 2
        part.rename(whole)
    if expected is not None:
        algorithm, _, digest = expected.partition(":")
        with whole.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != digest:
            size = whole.stat().st_size
            remove(whole)
            raise LingualiftError(
                f"{url}: what came ({size:,} bytes) has the {algorithm} {found}, not {digest} as {origin or 'expected'}: "
                "nothing of it is kept. If its publisher has changed it on purpose, correct config/checksums.tsv"
            )
        logger.info("%s: %s, as %s", url, expected, origin or "expected")
    else:
        logger.warning(
            "%s: no checksum of it is known: this first download sets it, sha256:%s; look at what came, and commit "
            "config/checksums.tsv",
            url,
            checksum(whole),
        )
    return whole


def _download_once(url: str, part: Path, *, resume: bool) -> None:
    begun = part.stat().st_size if resume and part.exists() else 0
    headers = {"User-Agent": f"lingualift/{__version__}"} | ({"Range": f"bytes={begun}-"} if begun else {})
    logger.info("downloading %s%s", url, f" from byte {begun:,}" if begun else "")
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if begun and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            # Whole already, or too long: its checksum tells.
            return
        raise
    with response, part.open("ab" if response.status == HTTPStatus.PARTIAL_CONTENT else "wb") as file:
        if url.startswith("https:") and not response.geturl().startswith("https:"):
            raise LingualiftError(f"{url}: the server leads to {response.geturl()}, which is not encrypted")
        shutil.copyfileobj(response, file, _PIECE)
        size = file.tell()
    length = response.headers.get("Content-Length")
    whole = (begun if response.status == HTTPStatus.PARTIAL_CONTENT else 0) + int(length or -1)
    if length is not None and size != whole:
        raise OSError(f"broken off after {size:,} of {whole:,} bytes")


def unpack(archive: Path, into: Path, how: Unpacking) -> None:
    """Unpack the wanted members of an archive: files alone, never outside of the folder, never over another.

    Raises:
        LingualiftError: it is broken, nothing in it is wanted, or a member is no plain file or would leave the folder.
    """
    written = 0
    try:
        for name, plain, opened in _members(archive):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
                raise LingualiftError(f"{archive.name}: its member {name!r} would be written outside of the folder")
            # Beside each file, macOS packs one of its own (AppleDouble): ``._name``, or under ``__MACOSX``.
            if path.name.startswith("._") or path.parts[:1] == ("__MACOSX",):
                continue
            if not any(fnmatch.fnmatchcase(str(path), pattern) for pattern in how.only):
                continue
            if not plain:
                raise LingualiftError(f"{archive.name}: its member {name!r} is a link or a device, not a file")
            if len(path.parts) <= how.strip:
                raise LingualiftError(
                    f"{archive.name}: its member {name!r} lies in fewer than the {how.strip} folders that `strip` "
                    "leaves out: say by `only` which members are wanted"
                )
            target = into.joinpath(*path.parts[how.strip :])
            if target.exists():
                raise LingualiftError(f"{archive.name}: its member {name!r} has the place of another")
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened() as file, target.open("xb") as copy:
                shutil.copyfileobj(file, copy, _PIECE)
            written += 1
    except _BROKEN as error:
        raise LingualiftError(f"{archive.name} cannot be unpacked, broken or cut short: {error}") from error
    if not written:
        raise LingualiftError(f"{archive.name}: none of its members is {' or '.join(how.only)}")


def _members(archive: Path) -> Iterator[tuple[str, bool, Callable[[], IO[bytes]]]]:
    """Name, whether it is a plain file, and how to open it, of every member that is not a folder."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if not info.is_dir():
                    yield info.filename, kind in (0, stat.S_IFREG), partial(packed.open, info)
        return
    with tarfile.open(archive) as packed:
        for member in packed:
            if not member.isdir():
                yield member.name, member.isreg(), partial(packed.extractfile, member)


def _record(rows: list[tuple[str, ...]], checksums: Path) -> None:
    """Add what was seen for the first time to the table of checksums."""
    if not rows:
        return
    lines = "".join("\t".join(row) + "\n" for row in rows)
    try:
        head = "" if checksums.exists() else "\t".join(COLUMNS) + "\n"
        # One write at the end of the file: two jobs that fetch side by side do not lose each other's lines.
        with checksums.open("a", encoding="utf-8") as file:
            file.write(head + lines)
    except OSError as error:
        logger.warning("%s cannot be written (%s); these lines belong there:\n%s", checksums, error, lines)


def _file_name(url: str) -> str:
    return PurePosixPath(urlsplit(url).path).name
