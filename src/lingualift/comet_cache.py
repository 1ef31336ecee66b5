"""The scores of segments by COMET, kept on disk; for COMET's own environment, so of the standard library alone."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

# (source, hypothesis, reference)
Segment = tuple[str, str, str]

_CRC = re.compile(rb', "crc": "([0-9a-f]{8})"}\n\Z')
_TAIL = len(b', "crc": "00000000"}\n')


class SegmentCache:
    """The scores of segments by one model, in a folder: a file a run, that only grows, a CRC in each line.

    A file begins with how long the others were when it was made; what its run had to do follows from that,
    also when the run was killed and goes on.

    Args:
        folder: of one model in one precision.
        segments: all that the run is to score.
    """

    def __init__(self, folder: Path, segments: Iterable[Segment]) -> None:
        self.keys = {segment: segment_key(segment) for segment in segments}
        wanted = set(self.keys.values())
        name = hashlib.sha256("".join(sorted(wanted)).encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"{name}.jsonl").open("a+b")
        # Another run with the very same segments: it does the work, and all of it is here when it ends.
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.seek(0)
        own, end = _read(self._file)
        self._file.truncate(end)
        others = {path.name: path for path in sorted(folder.glob("*.jsonl")) if path.stem != name}
        if own:
            sizes = own.pop(0)["others"]
        else:
            sizes = {other: path.stat().st_size for other, path in others.items()}
            self._append([{"others": sizes}])
        self.former: dict[str, float] = {}
        for other in sorted(others.keys() & sizes.keys()):
            with others[other].open("rb") as file:
                records, _ = _read(file, sizes[other])
            self.former |= {r["key"]: r["score"] for r in records if r.get("key") in wanted}
        self.scores = self.former | {record["key"]: record["score"] for record in own}

    def score(self, segment: Segment) -> float:
        """The score of a segment."""
        return self.scores[self.keys[segment]]

    def pending(self) -> list[Segment]:
        """The segments that this run scores or has scored: those that no other run had before it."""
        return [segment for segment, key in self.keys.items() if key not in self.former]

    def is_done(self, segments: Iterable[Segment]) -> bool:
        """Whether all these have a score."""
        return all(self.keys[segment] in self.scores for segment in segments)

    def add(self, scores: Mapping[Segment, float]) -> None:
        """Keep scores and have them on the disk before returning; the first score of a segment stands."""
        new = {self.keys[segment]: score for segment, score in scores.items() if self.keys[segment] not in self.scores}
        self._append({"key": key, "score": score} for key, score in new.items())
        self.scores |= new

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _append(self, records: Iterable[Mapping[str, Any]]) -> None:
        for record in records:
            body = json.dumps(record).encode()[:-1]
            self._file.write(b'%s, "crc": "%08x"}\n' % (body, zlib.crc32(body)))
        self._file.flush()
        os.fsync(self._file.fileno())


def segment_key(segment: Segment) -> str:
    """32 hexadecimal digits for the three texts."""
    return hashlib.sha256(json.dumps(segment).encode()).hexdigest()[:32]


def _read(file: IO[bytes], size: int | None = None) -> tuple[list[dict[str, Any]], int]:
    """The records of a file up to the first line that is not whole, and where that begins."""
    records: list[dict[str, Any]] = []
    end = 0
    for line in file:
        found = _CRC.search(line, max(0, len(line) - _TAIL))
        if found is None or int(found[1], 16) != zlib.crc32(line[:-_TAIL]):
            break
        if size is not None and end + len(line) > size:
            break
        end += len(line)
        records.append(json.loads(line))
    return records, end
