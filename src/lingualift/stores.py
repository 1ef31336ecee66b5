"""Append-only stores of what was made for each sentence of each direction: translations, results.

A store is one JSON-lines file. Each line is a record and its CRC::

    {"direction": "en-de", "sentence": 12, "score": 0.8, "crc": "5f3b9a21"}

Whatever kills the writer, only the tail of the file can suffer; it is found by its CRC and cut, and the
rest stands. Where a disk loses what lies before (a page, when the power fails), what is sound stands as well: corrupt
lines are skipped, and what they held is missing. One process writes to a store at a time.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from lingualift.errors import InputError, LingualiftError
from lingualift.files import atomic_path, fingerprint

_CRC = re.compile(rb', "crc": "([0-9a-f]{8})"}\n\Z')
_TAIL = len(b', "crc": "00000000"}\n')
_ABSENT = -1
# Lock errors of file systems that know no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)

logger = logging.getLogger(__name__)

Record = dict[str, Any]


class RecordStore:
    """Records keyed by (direction, sentence), in one file that only grows.

    Opening a store reads its keys and no values: memory is eight bytes a record.

    Args:
        path: the file; made by the first ``append``.
        columns: names of the values beside ``direction`` and ``sentence``.
        until: read no more than this many bytes, an :attr:`end`, and write none: another process may be at the rest.

    Attributes:
        num_corrupt: lines between sound ones that are skipped.

    Raises:
        InputError: a record is one of another store.
    """

    def __init__(self, path: str | Path, columns: Sequence[str], *, until: int | None = None) -> None:
        self.path, self.columns, self._until = Path(path), tuple(columns), until
        self._file: IO[bytes] | None = None
        self._scan()

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: tuple[str, int]) -> bool:
        direction, sentence = key
        offsets = self._offsets.get(direction, ())
        return 0 <= sentence < len(offsets) and offsets[sentence] != _ABSENT

    def __iter__(self) -> Iterator[Record]:
        """All records in the order they came, one at a time."""
        if self._end > 0:
            with self.path.open("rb") as file:
                yield from _sound_records(file, until=self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def end(self) -> int:
        """Bytes of the file up to its last sound record."""
        return self._end

    @property
    def directions(self) -> list[str]:
        """The directions that have a record, sorted."""
        return sorted(self._offsets)

    def missing(self, direction: str, num_sentences: int) -> list[int]:
        """The sentences of a direction, out of the first ``num_sentences``, that have no record yet."""
        return [sentence for sentence in range(num_sentences) if (direction, sentence) not in self]

    def append(self, records: Iterable[Mapping[str, Any]]) -> int:
        """Add records and have them on the disk before returning.

        A record whose key is already there is left out: the first one stands.

        Args:
            records: mappings with ``direction``, ``sentence`` (from 0) and the columns, nothing else.

        Returns:
            How many records were new.

        Raises:
            LingualiftError: another process writes to this store.
            ValueError: a record has other columns, or a negative sentence.
        """
        file = self._open()
        lines: dict[tuple[str, int], bytes] = {}
        for record in records:
            key = (record["direction"], record["sentence"])
            if key not in self and key not in lines:
                lines[key] = self._line(record)
        try:
            file.write(b"".join(lines.values()))
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            self.close()
            raise
        for (direction, sentence), line in lines.items():
            self._note(direction, sentence, self._end)
            self._end += len(line)
        return len(lines)

    def close(self) -> None:
        """Let go of the file; another process may write to it then."""
        if self._file is not None:
            # What a failed write left in the buffer may fail again; it is cut at the next opening.
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _line(self, record: Mapping[str, Any]) -> bytes:
        if set(record) != {"direction", "sentence", *self.columns}:
            raise ValueError(f"a record of {self.path} has direction, sentence, {', '.join(self.columns)}: {record}")
        if record["sentence"] < 0:
            raise ValueError(f"a record of {self.path} with a sentence before the first: {record}")
        body = _body({name: record[name] for name in ("direction", "sentence", *self.columns)})
        return b'%s, "crc": "%08x"}\n' % (body, zlib.crc32(body))

    def _note(self, direction: str, sentence: int, offset: int) -> None:
        offsets = self._offsets.setdefault(direction, array("q"))
        if sentence >= len(offsets):
            offsets.extend([_ABSENT] * (sentence + 1 - len(offsets)))
        if offsets[sentence] == _ABSENT:
            offsets[sentence] = offset
            self._count += 1

    def _scan(self) -> None:
        """Find where every record starts and where the last one ends."""
        self._offsets: dict[str, array[int]] = {}
        self._count = self._end = self._size = self.num_corrupt = 0
        if not self.path.exists():
            return
        broken: list[int] = []
        names = {"direction", "sentence", *self.columns}
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if self._size == self._until:
                    break
                start, self._size = self._size, self._size + len(line)
                if not _is_sound(line):
                    broken.append(number)
                    continue
                record = _record(line)
                if record.keys() != names:
                    raise InputError(self.path, f"a record of another store: {', '.join(record)}", line=number)
                self._note(record["direction"], record["sentence"], start)
                self._end, self.num_corrupt = self._size, len(broken)
        if self.num_corrupt:
            logger.warning(
                "%s: %d corrupt lines are skipped, the first is line %d: what they held is made again where it is needed",
                *(self.path, self.num_corrupt, broken[0]),
            )
        if len(broken) > self.num_corrupt:
            first, lost = broken[self.num_corrupt], self._size - self._end
            logger.warning("%s:%d: the last %d bytes are not whole, made again", self.path, first, lost)

    def _open(self) -> IO[bytes]:
        """The file at the end of its last sound record, locked against other writers."""
        if self._file is not None:
            return self._file
        if self._until is not None:
            raise ValueError(f"{self.path} is open for reading alone")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("ab")
        try:
            _lock(file, self.path)
            if file.tell() != self._size:
                self._scan()
            file.truncate(self._end)
            self._size = self._end
        except BaseException:
            file.close()
            raise
        self._file = file
        return file


class TranslationStore(RecordStore):
    """Translations of one direction by one system, found by their source sentences, whoever asks for them.

    What is asked for and is not there is a plan: these sentences are put into batches together. Every record names its
    plan, so that a job that was killed finds it again and forms the same batches, whatever has come in between.

    Args:
        path: the file; one process at a time may have it open to add to it.
        direction: stands in every record.
        until: as of ``RecordStore``.

    Raises:
        InputError: a record is one of another store, or of another direction.
    """

    def __init__(self, path: str | Path, direction: str, *, until: int | None = None) -> None:
        super().__init__(path, ("plan", "source", "hypothesis"), until=until)
        if strangers := set(self.directions) - {direction}:
            raise InputError(path, f"a store of {direction}, but it has records of {', '.join(sorted(strangers))}")
        self._direction = direction
        self._found: dict[str, str] = {}
        self._plans: dict[str, set[str]] = {}
        for record in self:
            self._keep(record)

    def find(self, texts: Iterable[str]) -> dict[str, str]:
        """The translations of those of some sentences that have one."""
        keys = {text: fingerprint(text) for text in texts}
        return {text: self._found[key] for text, key in keys.items() if key in self._found}

    def plan(self, texts: Sequence[str]) -> tuple[str, list[str]]:
        """The plan by which some sentences are translated: one that was broken off, or a new one.

        Args:
            texts: each once.

        Returns:
            Its name; and its sentences, in their order: all that have no translation, and those that this plan has
            translated before.
        """
        left = {text: fingerprint(text) for text in texts}
        for name, done in self._plans.items():
            if name == _plan_name(left):
                break
            left = {text: key for text, key in left.items() if key not in done}
        return _plan_name(left), list(left)

    def add(self, plan: str, translations: Iterable[tuple[str, str]]) -> int:
        """Keep some translations of a plan, each with its source sentence; the first of a sentence stands.

        Returns:
            How many were new.

        Raises:
            LingualiftError: another process writes to this store.
        """
        self._open()
        new = {fingerprint(text): hypothesis for text, hypothesis in translations}
        # Behind the highest number: where lines are corrupt there are fewer records than that.
        start = len(self._offsets.get(self._direction, ()))
        records = [
            {"direction": self._direction, "sentence": number, "plan": plan, "source": key, "hypothesis": new[key]}
            for number, key in enumerate((key for key in new if key not in self._found), start=start)
        ]
        self.append(records)
        for record in records:
            self._keep(record)
        return len(records)

    def _keep(self, record: Record) -> None:
        self._found.setdefault(record["source"], record["hypothesis"])
        self._plans.setdefault(record["plan"], set()).add(record["source"])


class ResultStore:
    """A result of each direction, and the basis that it was worked out on; another basis makes another result.

    What it holds of a direction is one result, the last that came, once it has been left without an error.

    Args:
        path: the file; nothing outlives the process if None.
        others: files of other stores of the same results, which are looked up, too, as they are now, and left as they
            are, whoever may be writing to them.
        directions: those that are looked up in the others.

    Raises:
        InputError: a record is one of another store.
    """

    def __init__(self, path: Path | None, *, others: Iterable[Path] = (), directions: Iterable[str] = ()) -> None:
        self._store = None if path is None else RecordStore(path, ("basis", "result"))
        # A later result of a direction has a higher number.
        self._last = {record["direction"]: record for record in self._store or ()}
        wanted = frozenset(directions)
        self._others: dict[tuple[str, str], Any] = {}
        for record in (record for other in others for record in _read_records(other)):
            direction, basis = record["direction"], record["basis"]
            if direction in wanted and self.get(direction, basis) is None:
                self._others[direction, basis] = record["result"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._store is None:
            return
        self._store.close()
        if kind is None and (len(self._store) > len(self._last) or self._store.num_corrupt):
            with atomic_path(self._store.path) as part, RecordStore(part, self._store.columns) as tidy:
                tidy.append(record | {"sentence": 0} for record in self._last.values())

    def get(self, direction: str, basis: str) -> Any:
        """The result of a direction on a basis, JSON-like; None where there is none."""
        record = self._last.get(direction)
        if record is not None and record["basis"] == basis:
            return record["result"]
        return self._others.get((direction, basis))

    def add(self, results: Iterable[tuple[str, str, Any]]) -> None:
        """Keep some results, each with its direction and basis."""
        new = [
            {
                "direction": direction,
                "sentence": self._last[direction]["sentence"] + 1 if direction in self._last else 0,
                "basis": basis,
                "result": result,
            }
            for direction, basis, result in results
        ]
        if self._store is not None and new:
            self._store.append(new)
        self._last.update((record["direction"], record) for record in new)


def _plan_name(texts: Iterable[str]) -> str:
    return fingerprint(list(texts))[:8]


def _body(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode()[:-1]


def _record(line: bytes) -> Record:
    record = json.loads(line)
    del record["crc"]
    return record


def _sound_records(file: IO[bytes], *, until: int | None = None) -> Iterator[Record]:
    """The records of a file, up to a byte of it, without those that are corrupt."""
    position = 0
    for line in file:
        position += len(line)
        if until is not None and position > until:
            return
        if _is_sound(line):
            yield _record(line)


def _read_records(path: Path) -> Iterator[Record]:
    """The records of another's file, which may be half written, or be gone before its end is read."""
    try:
        with path.open("rb") as file:
            yield from _sound_records(file)
    except OSError as error:
        logger.warning("%s cannot be looked up: %s", path, error)


def _is_sound(line: bytes) -> bool:
    found = _CRC.search(line, max(0, len(line) - _TAIL))
    # The checksum of nothing is 0, but nothing is no record.
    return found is not None and found.start() > 0 and int(found[1], 16) == zlib.crc32(line[:-_TAIL])


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LingualiftError(f"{path}: another process is writing to this store") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
