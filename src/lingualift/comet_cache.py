"""The scores of segments by COMET, kept on disk; for COMET's own environment: of the standard library and numpy."""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

logger = logging.getLogger(__name__)

KEY_BYTES = 16
_RECORD = re.compile(rb'\{"key": "([0-9a-f]{32})", "score": ([^,]+), "crc": "([0-9a-f]{8})"\}\n')
_HEAD = re.compile(rb'\{"others": .*, "crc": "([0-9a-f]{8})"\}\n')
_TAIL = len(b', "crc": "00000000"}\n')
_BATCH = 1 << 16  # records that are looked up together


class SegmentCache:
    """The scores of segments by one model, in a folder: a file a run, that only grows, a CRC in each line.

    A file begins with how long the others were when it was made; what its run had to do follows from that,
    also when the run was killed and goes on. Files are read a batch of records at a time; of each segment of the run
    there are its key and its score in memory, and nothing of all others. A corrupt line is skipped: records are
    independent of each other. A line that was not ended is cut off.

    Args:
        folder: of one model in one precision.
        keys: of all segments that the run is to score, see ``segment_key``, one behind the other.

    Attributes:
        rows: by segment: the row that it shares with those equal to it.
        scores: by row; NaN where there is none yet.
        former: by row: whether another run had scored it before this one began.
    """

    def __init__(self, folder: Path, keys: bytes | bytearray) -> None:
        import numpy as np

        self._keys, self.rows = np.unique(np.frombuffer(keys, f"S{KEY_BYTES}"), return_inverse=True)
        self.scores = np.full(len(self._keys), np.nan)
        self.former = np.zeros(len(self._keys), bool)
        name = self._name()
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"{name}.jsonl").open("a+b")
        # Another run with the very same segments: it does the work, and all of it is here when it ends.
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.seek(0)
        sizes, end = _read(self._file, self._take)
        self._file.truncate(end)
        others = {path.name: path for path in sorted(folder.glob("*.jsonl")) if path.stem != name}
        if sizes is None:
            sizes = {other: path.stat().st_size for other, path in others.items()}
            self._append([{"others": sizes}])
        for other in sorted(others.keys() & sizes.keys()):
            with others[other].open("rb") as file:
                _read(file, self._take_former, sizes[other])

    def is_done(self, rows: Iterable[int]) -> bool:
        """Whether all these rows have a score."""
        import numpy as np

        return not np.isnan(self.scores[list(rows)]).any()

    def add(self, scores: Mapping[int, float]) -> None:
        """Keep the scores of some rows and have them on the disk before returning; a row's first score stands.

        Raises:
            ValueError: a score is not finite.
        """
        import numpy as np

        new = {row: score for row, score in scores.items() if np.isnan(self.scores[row])}
        self._append({"key": self._keys[row : row + 1].tobytes().hex(), "score": score} for row, score in new.items())
        self.scores[list(new)] = list(new.values())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _name(self) -> str:
        digest = hashlib.sha256()
        for start in range(0, len(self._keys), _BATCH):
            digest.update(self._keys[start : start + _BATCH].tobytes().hex().encode())
        return digest.hexdigest()[:16]

    def _take(self, keys: bytearray, scores: "array[float]") -> "Array":
        """Note the scores of those keys that the run wants and that have none; the rows of all that it wants."""
        import numpy as np

        found, values = np.frombuffer(keys, self._keys.dtype), np.array(scores)
        rows = np.searchsorted(self._keys, found)
        rows[rows == len(self._keys)] = 0
        # What is not finite is no score: it is worked out again.
        known = (self._keys[rows] == found) & np.isfinite(values)
        rows, values = rows[known], values[known]
        new = np.isnan(self.scores[rows])
        self.scores[rows[new]] = values[new]
        return rows

    def _take_former(self, keys: bytearray, scores: "array[float]") -> None:
        self.former[self._take(keys, scores)] = True

    def _append(self, records: Iterable[Mapping[str, Any]]) -> None:
        for record in records:
            body = json.dumps(record, allow_nan=False).encode()[:-1]
            self._file.write(b'%s, "crc": "%08x"}\n' % (body, zlib.crc32(body)))
        self._file.flush()
        os.fsync(self._file.fileno())


def segment_key(segment: tuple[str, str, str]) -> bytes:
    """Sixteen bytes for the three texts."""
    return hashlib.sha256(json.dumps(segment).encode()).digest()[:KEY_BYTES]


def _read(
    file: IO[bytes], take: Callable[[bytearray, "array[float]"], object], size: int | None = None
) -> tuple[dict[str, int] | None, int]:
    """Hand the records of a file on, in batches of keys and scores; its head, if that is sound, and where it ends.

    Args:
        size: where to stop; at the end of the last whole line by default.
    """
    head: dict[str, int] | None = None
    keys, scores = bytearray(), array("d")
    end = first = corrupt = 0
    for number, line in enumerate(file, start=1):
        if not line.endswith(b"\n") or (size is not None and end + len(line) > size):
            break
        end += len(line)
        found = _RECORD.fullmatch(line) or _HEAD.fullmatch(line)
        if found is None or int(found[found.re.groups], 16) != zlib.crc32(line[:-_TAIL]):
            first, corrupt = first or number, corrupt + 1
        elif found.re is _HEAD:
            head = json.loads(line)["others"]
        else:
            keys += bytes.fromhex(found[1].decode())
            scores.append(float(found[2]))
        if len(scores) == _BATCH:
            take(keys, scores)
            keys, scores = bytearray(), array("d")
    if scores:
        take(keys, scores)
    if corrupt:
        logger.warning(
            "%s: %d corrupt lines are skipped, the first is line %d: what they held is scored again where it is needed",
            *(file.name, corrupt, first),
        )
    return head, end
