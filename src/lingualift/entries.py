"""Entries: the text of any part of a mixture's training order, read from the corpora's tables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lingualift.configuration.prompts import Prompt
from lingualift.corpora import open_table
from lingualift.errors import InputError
from lingualift.files import fingerprint, read_json
from lingualift.mixing import MixturePlan, Stream
from lingualift.readers.batches import LENGTH_RATIO, good_pair_mask

_NO_TEXT, _NO_SIDE = "no text", "a side missing"
# What may be wrong with a row, by number; with a good one, nothing.
_FAULTS = ("", _NO_TEXT, _NO_SIDE, LENGTH_RATIO)


@lru_cache(maxsize=256)
def _open(folder: str, table: str) -> pa.Table:
    return open_table(Path(folder), table)


def _take(column: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
    """Some rows of a column, in rising order.

    ``ChunkedArray.take`` would first join all chunks, that is, read the whole corpus into memory.
    """
    ends = np.cumsum([len(chunk) for chunk in column.chunks])
    numbers = np.searchsorted(ends, rows, side="right")
    parts = [
        column.chunk(number).take(pa.array(rows[numbers == number] - (ends[number] - len(column.chunk(number)))))
        for number in np.unique(numbers).tolist()
    ]
    return pa.chunked_array(parts, column.type)


def _origin(folder: Path) -> str:
    """A fingerprint of what a corpus was made from; not of the time that took."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return ""
    return fingerprint({key: value for key, value in read_json(manifest).items() if key not in ("seconds", "versions")})


@dataclass(frozen=True)
class Entries:
    """A run of training entries, in their order.

    Attributes:
        texts: one a place; empty where the line was dropped.
        learn_from: character from which tokens are learnt: 0 for all.
        apart: whether the text before the boundary is a prompt, to be tokenised apart from its answer, as it
            will be when the model is asked.
        boundaries: character at which the second language of a pair begins; 0 where there is one language.
        streams: number of the stream of each.
        swapped: whether the second language of the stream comes first.
        dropped: places whose line cannot be used, by source, languages and reason.
    """

    texts: list[str]
    learn_from: np.ndarray
    boundaries: np.ndarray
    apart: np.ndarray
    streams: np.ndarray
    swapped: np.ndarray
    dropped: dict[str, int]


class EntryReader:
    """Reads the entries of a mixture by their place in the order.

    Args:
        plan: the streams and their order.
        folders: the corpus folder of each source.
        prompt: template of instructions and translation prompts, if there are any.
        names: the English name of each language, for translation prompts.
        max_ratios: for each source, the largest ratio of lengths that a pair may have.
    """

    def __init__(
        self,
        plan: MixturePlan,
        *,
        folders: Mapping[str, Path],
        prompt: Prompt | None = None,
        names: Mapping[str, str] | None = None,
        max_ratios: Mapping[str, float] | None = None,
    ) -> None:
        self.plan, self.folders, self._prompt, self.names = plan, folders, prompt, names or {}
        self.max_ratios = max_ratios or {}
        self._chosen: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def prompt(self) -> Prompt:
        """The template; an error where the mixture was to have none."""
        if self._prompt is None:
            raise ValueError("a mixture with instructions is read with a prompt")
        return self._prompt

    def identity(self) -> dict[str, Any]:
        """All that determines the entries, JSON-like: the plan, what the corpora were made from, the prompt if any."""
        asking = [it for it in self.plan.streams if it.kind == "instructions" or it.format == "instruction"]
        named = {code for it in asking for code in it.languages}
        return {
            "seed": self.plan.seed,
            "streams": [asdict(stream) for stream in self.plan.streams],
            "prompt": self.prompt.model_dump(mode="json") if asking else None,
            "names": {code: self.names[code] for code in sorted(named)},
            "max_ratios": dict(self.max_ratios),
            "sources": {name: _origin(folder) for name, folder in self.folders.items()},
        }

    def read(self, start: int, stop: int) -> Entries:
        """The entries at the places ``start`` to ``stop`` of the order."""
        streams, numbers = self.plan.order(start, stop)
        size = stop - start
        texts: list[str] = [""] * size
        learn_from, boundaries = np.zeros(size, np.int64), np.zeros(size, np.int64)
        apart, swapped, dropped = np.zeros(size, bool), np.zeros(size, bool), Counter[str]()
        by_stream = np.argsort(streams, kind="stable")
        for places in np.split(by_stream, np.flatnonzero(np.diff(streams[by_stream])) + 1):
            if not len(places):
                continue
            stream = self.plan.streams[streams[places[0]]]
            rows, sides, turned = self._rows(int(streams[places[0]]), numbers[places])
            # Rows in rising order: the disk is then read from front to back.
            rising = np.argsort(rows, kind="stable")
            places, rows, sides, turned = places[rising], rows[rising], sides[rising], turned[rising]
            columns = self._columns(stream, rows)
            faults = self._faults(stream, columns)
            for position, text, learnt, boundary in self._compose(stream, columns, sides, turned, faults == 0):
                place = places[position]
                texts[place], learn_from[place], boundaries[place] = text, learnt, boundary
            apart[places] = stream.kind == "instructions" or stream.format == "instruction"
            if stream.kind == "pair" and stream.format != "split":
                swapped[places] = turned
            elif stream.kind == "pair":
                swapped[places] = sides == 1
            dropped.update(_by_reason(stream, np.bincount(faults)))
        return Entries(texts, learn_from, boundaries, apart, streams, swapped, dict(dropped))

    def passed_over(self) -> Counter[str]:
        """The bad rows that came up where a number of good ones was drawn, by source, languages and reason."""
        found: Counter[str] = Counter()
        for number, stream in enumerate(self.plan.streams):
            if stream.good:
                reasons = _by_reason(stream, self._choose(number)[1])
                found.update({f"{reason} (passed over)": count for reason, count in reasons.items()})
        return found

    def _rows(self, number: int, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the plan says of the entries of a stream, told which rows are good where it has to know."""
        chosen = self._choose(number)[0] if self.plan.streams[number].good else None
        return self.plan.rows(number, entries, chosen)

    def _choose(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The good rows that a stream takes, and how many bad ones it passes over, by fault."""
        if number not in self._chosen:
            stream = self.plan.streams[number]
            chosen, passed = self.plan.choose(number, self._table_faults(stream))
            if len(chosen) < stream.take:
                folder = self.folders[stream.source]
                raise InputError(
                    folder, f"{len(chosen)} good rows of {stream.label}, planned with {stream.take} or more"
                )
            self._chosen[number] = chosen, passed
        return self._chosen[number]

    def _table_faults(self, stream: Stream) -> np.ndarray:
        """What is wrong with each row of a stream's table, a batch of them in memory at a time."""
        table = _open(str(self.folders[stream.source]), stream.table).select(list(stream.languages))
        found = [
            self._faults(stream, [pa.chunked_array([column]) for column in batch.columns])
            for batch in table.to_batches()
        ]
        return np.concatenate(found)

    def _columns(self, stream: Stream, rows: np.ndarray) -> list[pa.ChunkedArray]:
        names: Sequence[str] = stream.languages
        if stream.kind == "instructions":
            names = ("instruction", "input", "output")
        elif stream.kind == "directed":
            names = ("source", "target")
        table = _open(str(self.folders[stream.source]), stream.table)
        return [_take(table.column(name), rows) for name in names]

    def _faults(self, stream: Stream, columns: list[pa.ChunkedArray]) -> np.ndarray:
        """What is wrong with each row, as a place in ``_FAULTS``; uint8."""
        faults = np.zeros(len(columns[0]), np.uint8)
        if stream.kind == "instructions":
            return faults
        if stream.kind == "pair" and stream.source in self.max_ratios:
            lengths = [pc.fill_null(pc.utf8_length(column), 0).to_numpy() for column in columns]
            faults[~good_pair_mask(*lengths, self.max_ratios[stream.source])] = _FAULTS.index(LENGTH_RATIO)
        for column in columns:
            faults[pc.is_null(column).to_numpy()] = _FAULTS.index(_NO_TEXT if len(columns) == 1 else _NO_SIDE)
        return faults

    def _compose(self, stream, columns, sides, turned, good):
        """Give (position, text, first learnt character, start of the second language) of each good row."""
        lists = [column.to_pylist() for column in columns]
        keep = np.flatnonzero(good).tolist()
        if stream.kind == "monolingual":
            yield from ((i, lists[0][i], 0, 0) for i in keep)
        elif stream.kind == "instructions":
            for i in keep:
                prompt = self.prompt.fill(lists[0][i], lists[1][i] or "")
                yield i, prompt + lists[2][i], 0 if stream.loss == "all" else len(prompt), len(prompt)
        elif stream.format == "split" and stream.kind == "pair":
            yield from ((i, lists[sides[i]][i], 0, 0) for i in keep)
        else:
            codes = stream.languages
            for i in keep:
                source, target, pair = lists[0][i], lists[1][i], codes
                if stream.kind == "pair" and turned[i]:
                    source, target, pair = target, source, codes[::-1]
                if stream.format == "instruction":
                    prompt = self.prompt.translate(source, self.names[pair[0]], self.names[pair[1]])
                    yield i, prompt + target, 0 if stream.loss == "all" else len(prompt), len(prompt)
                else:
                    # One space between the sides (section 2.1). It belongs to what follows, as byte-level and
                    # SentencePiece tokenizers join a space to the word behind it.
                    learnt = len(source) + 1 if stream.loss == "target" else 0
                    yield i, f"{source} {target}", learnt, len(source) + 1


def _by_reason(stream: Stream, counts: np.ndarray) -> dict[str, int]:
    """Rows of a stream by what is wrong with them, from how many there are of each of ``_FAULTS``."""
    found = zip(_FAULTS, counts.tolist(), strict=False)
    return {f"{stream.source} {stream.label}: {reason}": count for reason, count in found if reason and count}


def mixture_reader(plan: str | Path, sources: Sequence[str | Path], settings: Mapping[str, Any]) -> EntryReader:
    """A reader of a planned mixture.

    Args:
        plan: the file that :meth:`MixturePlan.save` wrote.
        sources: the folders of the corpora that ``settings["sources"]`` names.
        settings: largest length ratios; prompt and names of languages, if it has any; as the configuration has them.
    """
    prompt = settings.get("prompt")
    return EntryReader(
        MixturePlan.load(plan),
        folders={name: Path(folder) for name, folder in zip(settings["sources"], sources, strict=True)},
        prompt=None if prompt is None else Prompt.model_validate(prompt),
        names=settings.get("names"),
        max_ratios=settings["max_ratios"],
    )
