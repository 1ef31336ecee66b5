"""Mixing: which lines of which corpora become training entries, and in which order (LLaMAX, Algorithm 1).

A plan holds no text. It lists streams, each a table of a corpus seen as one language or one pair; the entries of
all streams have one numbering, and the training order is a permutation of it that needs no memory. Packing
asks for any range of that order.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lingualift.configuration.mixtures import Component, Mixture
from lingualift.errors import LingualiftError
from lingualift.files import read_json, write_json
from lingualift.randomness import Permutation, hashes, seed_of

Kind = Literal["monolingual", "pair", "directed", "instructions"]
_DRAWN_AT_ONCE = 65_536


@dataclass(frozen=True)
class Stream:
    """One table of a source, seen as one language or one pair.

    Attributes:
        source: corpus or augmentation by name.
        component: its number in the mixture.
        kind: what a row is.
        languages: one code, or two (for a directed table: from, to).
        rows: rows of the table.
        take: how many of them, drawn at random, are used.
        good: whether bad rows are passed over in that draw; else they are dropped when they are read.
        repeats: how often each is used.
        format: connected, split or instruction.
        loss: all, target or response.
    """

    source: str
    component: int
    table: str
    kind: Kind
    languages: tuple[str, ...]
    rows: int
    take: int
    repeats: int
    format: str
    loss: str
    good: bool = False

    @property
    def parts(self) -> int:
        """Entries that one row makes: two where the sides of a pair stand apart."""
        return 2 if self.kind == "pair" and self.format == "split" else 1

    @property
    def entries(self) -> int:
        """Entries of the whole stream."""
        return self.take * self.repeats * self.parts

    @property
    def label(self) -> str:
        """The language, or the pair as ``en-de``; empty for instructions."""
        return "-".join(self.languages)


@dataclass(frozen=True)
class MixturePlan:
    """All streams of a mixture, and the seed of their order."""

    streams: tuple[Stream, ...]
    seed: int

    @property
    def entries(self) -> int:
        return sum(stream.entries for stream in self.streams)

    def order(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Which entries stand at the places ``start`` to ``stop`` of the training order.

        Returns:
            int64 arrays of ``stop - start``: the number of the stream, and the entry's number in it.
        """
        places = Permutation(self.entries, self.seed)(np.arange(start, stop))
        ends = np.cumsum([stream.entries for stream in self.streams])
        streams = np.searchsorted(ends, places, side="right")
        starts = ends - np.array([stream.entries for stream in self.streams])
        return streams, places - starts[streams]

    def rows(
        self, stream: int, entries: np.ndarray, chosen: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the entries of one stream are made of.

        Args:
            chosen: what :meth:`choose` gave, for a stream that passes over bad rows.

        Returns:
            For each entry: the row of the table, the side (0 or 1; of use where the two sides stand apart), and
            whether the pair is turned round, drawn with probability one half anew for each repeat.
        """
        it = self.streams[stream]
        side = entries % it.parts
        use = entries // it.parts
        drawn = self._shuffle(it)(use % it.take) if chosen is None else chosen[use % it.take]
        coins = hashes(seed_of(self.seed, "direction", it.source, it.table, it.label), use)
        turned = (coins >> np.uint64(63)).astype(bool)
        return drawn, side, turned

    def choose(self, stream: int, faults: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows that a stream takes if it passes over bad ones: the first good ones of the shuffled table.

        Args:
            faults: the number of what is wrong with each row of the table; 0 where it is good.

        Returns:
            int64 array of as many rows as the stream takes, or as are good; and how many rows of each fault, by its
            number, stand before the last of them.
        """
        it = self.streams[stream]
        shuffle, found, missing = self._shuffle(it), [], it.take
        passed = np.zeros(int(faults.max(initial=0)) + 1, np.int64)
        for start in range(0, it.rows, _DRAWN_AT_ONCE):
            rows = shuffle(np.arange(start, min(start + _DRAWN_AT_ONCE, it.rows)))
            good = np.flatnonzero(faults[rows] == 0)[:missing]
            found.append(rows[good])
            missing -= len(good)
            passed += np.bincount(faults[rows if missing else rows[: good[-1]]], minlength=len(passed))
            if not missing:
                break
        passed[0] = 0
        return np.concatenate(found), passed

    def _shuffle(self, it: Stream) -> Permutation:
        return Permutation(it.rows, seed_of(self.seed, "rows", it.source, it.table, it.label))

    def save(self, path: str | Path) -> None:
        write_json({"seed": self.seed, "streams": [asdict(stream) for stream in self.streams]}, path)

    @classmethod
    def load(cls, path: str | Path) -> "MixturePlan":
        content = read_json(path)
        streams = tuple(Stream(**{**it, "languages": tuple(it["languages"])}) for it in content["streams"])
        return cls(streams, content["seed"])


def plan_mixture(
    mixture: Mixture, *, tables: Mapping[str, Sequence[Mapping[str, Any]]], languages: Sequence[str], seed: int
) -> MixturePlan:
    """Work out the streams of a mixture.

    Args:
        tables: for each source, the ``tables`` of its manifest.
        languages: the codes of the run; rows in other languages are left out.
        seed: of the order and of every draw.

    Raises:
        LingualiftError: a component that has not one entry.

    Source: LLaMAX, section 2.1 and Algorithm 1.
    """
    streams: list[Stream] = []
    # What was made of other text does not count.
    originals = (table for source in tables.values() for table in source if _is_original(table))
    rows_of = pair_rows(originals)
    for number, component in enumerate(mixture.components):
        wanted = component.languages or list(languages)
        asked = set(component.directions.expand(wanted)) if component.directions else None
        found = [
            _stream(mixture, component, number, kind, table, codes, valid, rows_of)
            for table in tables[component.source]
            for kind, codes, valid in _views(table, wanted, asked)
        ]
        found = [stream for stream in found if stream.entries]
        if not found:
            raise LingualiftError(
                f"component {number + 1} of the mixture ({component.source}) has no line in {', '.join(wanted)}"
            )
        streams += found
    return MixturePlan(tuple(streams), seed)


def _views(
    table: Mapping[str, Any], wanted: Sequence[str], asked: set[tuple[str, str]] | None
) -> list[tuple[Kind, tuple[str, ...], int]]:
    """The languages or pairs in which a table is read, with the rows that are good in each."""
    codes = table["languages"]
    if table["name"] == "instructions":
        return [("instructions", (), table["rows"])]
    if table["directed"]:
        inside = set(codes) <= set(wanted) and (asked is None or tuple(codes) in asked)
        return [("directed", tuple(codes), table["rows"])] if inside else []
    if len(codes) == 1:
        return [("monolingual", (codes[0],), table["valid"][codes[0]])] if codes[0] in wanted else []
    pairs = [
        pair
        for pair in combinations(codes, 2)
        if set(pair) <= set(wanted) and (asked is None or pair in asked or pair[::-1] in asked)
    ]
    return [("pair", pair, pair_count(table["pairs"], pair)) for pair in pairs]


def pair_count(counts: Mapping[str, int], pair: tuple[str, str]) -> int:
    """How many rows a pair of languages has in a table's ``pairs``, whichever of the two is named first."""
    return counts.get(f"{pair[0]}-{pair[1]}") or counts.get(f"{pair[1]}-{pair[0]}") or 0


def pair_rows(tables: Iterable[Mapping[str, Any]]) -> Counter[frozenset[str]]:
    """How many rows each pair of languages has, over some tables."""
    rows: Counter[frozenset[str]] = Counter()
    for table in tables:
        for pair in combinations(table["languages"], 2):
            rows[frozenset(pair)] += pair_count(table["pairs"], pair)
    return rows


def _is_original(table: Mapping[str, Any]) -> bool:
    """Whether the rows of a table are neither augmented nor translated by a system."""
    return not table["directed"] and not table.get("translated", False)


def _stream(
    mixture: Mixture,
    component: Component,
    number: int,
    kind: Kind,
    table: Mapping[str, Any],
    codes: tuple[str, ...],
    valid: int,
    rows_of: Mapping[frozenset[str], int],
) -> Stream:
    rows, sample = table["rows"], component.sample
    is_number = isinstance(sample, int)
    # A share of all rows is one of the good rows: what is bad among them is dropped when it is read.
    take = min(valid, sample) if is_number else round(rows * (1 if sample is None else sample))
    small = mixture.small_pairs
    # "We replicate the original data": what a system translated to fill a pair up is used once.
    original = kind == "pair" and _is_original(table)
    repeated = small is not None and original and rows_of[frozenset(codes)] < small.below
    instruction = kind == "instructions" or component.format == "instruction"
    loss = component.loss or (mixture.loss if instruction else table["loss"])
    return Stream(
        source=component.source,
        component=number,
        table=table["name"],
        kind=kind,
        languages=codes,
        rows=rows,
        take=take if valid else 0,
        repeats=small.repeats if small is not None and repeated else 1,
        format=component.format,
        loss=loss,
        good=is_number and valid < rows,
    )
