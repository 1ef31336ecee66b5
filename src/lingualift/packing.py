"""Packing: entries become token blocks with a loss mask, in memory-mapped shards."""

import os
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lingualift.configuration.mixtures import Mixture
from lingualift.entries import Entries, EntryReader
from lingualift.files import atomic_path, fingerprint, read_json, write_json
from lingualift.manifests import Manifest
from lingualift.mixing import MixturePlan

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ENTRIES_A_SHARD = 65_536


@dataclass(frozen=True)
class TokenisedEntries:
    """Entries as tokens, an end-of-sequence token behind each.

    Attributes:
        tokens: all tokens, one entry after the other; int64.
        learnt: which of them the loss counts; bool, as long.
        ends: where each entry ends in them; int64.
    """

    tokens: np.ndarray
    learnt: np.ndarray
    ends: np.ndarray


def tokenise(entries: Entries, tokenizer: "PreTrainedTokenizerFast") -> tuple[TokenisedEntries, np.ndarray]:
    """Turn entries into tokens, in native code.

    Returns:
        The tokens, and the number of tokens of the second language of each entry (0 where it has one).
    """
    ids, firsts = _encode(entries, tokenizer)
    eos = tokenizer.eos_token_id
    # A tokenizer that begins every text with a token of its own does so here as it will when the model is asked.
    head = tokenizer.build_inputs_with_special_tokens([])[:1] if getattr(tokenizer, "add_bos_token", False) else []
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    full = np.where(lengths > 0, lengths + len(head) + 1, 0)
    ends = np.cumsum(full)
    tokens = np.fromiter(
        chain.from_iterable(chain(head, numbers, (eos,)) for numbers in ids if numbers),
        np.int64,
        int(ends[-1]) if len(ends) else 0,
    )
    learnt = np.ones(len(tokens), bool)
    starts = ends - full
    for place in np.flatnonzero((entries.learn_from > 0) & (lengths > 0)).tolist():
        learnt[starts[place] : starts[place] + len(head) + firsts[place]] = False
    second = np.where((entries.boundaries > 0) & (lengths > 0), lengths - firsts, 0)
    return TokenisedEntries(tokens, learnt, ends), second


def _encode(entries: Entries, tokenizer: "PreTrainedTokenizerFast") -> tuple[list[list[int]], np.ndarray]:
    """The tokens of each entry, and how many of them stand before its boundary."""
    backend = tokenizer.backend_tokenizer
    texts, boundaries = entries.texts, entries.boundaries
    prompts = np.flatnonzero(entries.apart).tolist()
    whole = list(texts)
    for place in prompts:
        whole[place] = texts[place][boundaries[place] :]
    joined = (boundaries > 0) & ~entries.apart
    encode = backend.encode_batch if joined.any() else backend.encode_batch_fast
    encodings = encode(whole, add_special_tokens=False)
    ids = [encoding.ids for encoding in encodings]
    firsts = np.zeros(len(ids), np.int64)
    for place in np.flatnonzero(joined).tolist():
        token = encodings[place].char_to_token(int(boundaries[place]))
        firsts[place] = len(ids[place]) if token is None else token
    heads = backend.encode_batch_fast(
        [texts[place][: boundaries[place]] for place in prompts], add_special_tokens=False
    )
    for place, prompt in zip(prompts, heads, strict=True):
        firsts[place] = len(prompt)
        ids[place] = prompt.ids + ids[place]
    return ids, firsts


def concatenate(entries: TokenisedEntries, block: int) -> list[np.ndarray]:
    """Let entries run on over the ends of blocks: the places of the tokens of each block."""
    places = np.arange(len(entries.tokens))
    return [places[start : start + block] for start in range(0, len(places), block)]


def pack_whole(entries: TokenisedEntries, block: int) -> list[np.ndarray]:
    """Put entries into blocks without cutting any that fits, each where it leaves least room (best fit, longest first).

    An entry longer than a block is cut into blocks of its own.
    """
    starts = np.concatenate(([0], entries.ends[:-1])) if len(entries.ends) else entries.ends
    pieces = [
        (start, min(start + block, end))
        for begin, end in zip(starts.tolist(), entries.ends.tolist(), strict=True)
        for start in range(begin, end, block)
    ]
    blocks: list[list[tuple[int, int]]] = []
    room: list[tuple[int, int]] = []  # (free tokens, number of the block), rising
    for start, end in sorted(pieces, key=lambda piece: piece[0] - piece[1]):
        size = end - start
        found = bisect_left(room, (size, -1))
        if found < len(room):
            free, number = room.pop(found)
        else:
            free, number = block, len(blocks)
            blocks.append([])
        blocks[number].append((start, end))
        if free > size:
            insort(room, (free - size, number))
    return [np.concatenate([np.arange(*piece) for piece in sorted(pieces)]) for pieces in blocks]


def pack_mixture(
    reader: EntryReader,
    tokenizer: "PreTrainedTokenizerFast",
    mixture: Mixture,
    *,
    out: Path,
    work: Path,
    workers: int = 1,
    entries_a_shard: int = ENTRIES_A_SHARD,
) -> Manifest:
    """Tokenise and pack a mixture into the folder ``out``.

    A shard is a function of its range of the order alone, so shards are made in any order, by any number of
    workers; those finished in ``work`` by a job that was killed are kept.

    ``out`` holds ``tokens-00000.npy`` (uint16 or uint32, blocks x block), ``learnt-00000.npy`` (uint8, the bits
    of the loss mask, blocks x block/8), one pair a shard, and ``manifest.json``.
    """
    from tqdm import tqdm

    plan = reader.plan
    manifest = Manifest("packed mixture", mixture.model_dump(mode="json", by_alias=True), seed=plan.seed)
    ranges = [
        (number, start, min(start + entries_a_shard, plan.entries))
        for number, start in enumerate(range(0, plan.entries, entries_a_shard))
    ]
    work.mkdir(parents=True, exist_ok=True)
    job = _ShardJob(reader, tokenizer, mixture, work)
    counts: list[dict[str, Any]] = []
    with tqdm(total=plan.entries, unit="entry", unit_scale=True, desc="packing", mininterval=1) as bar:
        for number, count in enumerate(_run(job, ranges, workers)):
            counts.append(count)
            bar.update(ranges[number][2] - ranges[number][1])
    _finish(manifest, counts, plan, mixture, tokenizer)
    with atomic_path(out) as part:
        part.mkdir()
        for number in range(len(ranges)):
            for kind in ("tokens", "learnt"):
                os.link(work / f"{kind}-{number:05d}.npy", part / f"{kind}-{number:05d}.npy")
        manifest.save(part / "manifest.json")
    return manifest


def _run(job: "_ShardJob", ranges: list[tuple[int, int, int]], workers: int) -> Iterable[dict[str, Any]]:
    if workers == 1 or len(ranges) == 1:
        yield from map(job, ranges)
        return
    # Each worker tokenises on one thread: the shards are what runs side by side.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(job, ranges)


class _ShardJob:
    """Makes one shard; sent to worker processes."""

    def __init__(self, reader: EntryReader, tokenizer: "PreTrainedTokenizerFast", mixture: Mixture, work: Path) -> None:
        self.reader, self.tokenizer, self.mixture, self.work = reader, tokenizer, mixture, work

    def __call__(self, task: tuple[int, int, int]) -> dict[str, Any]:
        number, start, stop = task
        done = self.work / f"counts-{number:05d}.json"
        key = fingerprint([start, stop, self._key()])
        if done.is_file():
            counts = read_json(done)
            if counts["key"] == key:
                return counts
        entries = self.reader.read(start, stop)
        tokenised, second = tokenise(entries, self.tokenizer)
        places = (pack_whole if self.mixture.packing == "whole" else concatenate)(tokenised, self.mixture.block)
        self._write(number, tokenised, places)
        counts = {"key": key, "blocks": len(places), **_count(entries, tokenised, second)}
        # Written last: a shard without counts is made again.
        write_json(counts, done)
        return counts

    def _key(self) -> str:
        plan = self.reader.plan
        return fingerprint([plan.seed, plan.entries, self.mixture.model_dump(mode="json"), len(self.tokenizer)])

    def _write(self, number: int, tokenised: TokenisedEntries, places: list[np.ndarray]) -> None:
        block = self.mixture.block
        kind = np.uint16 if len(self.tokenizer) <= 2**16 else np.uint32
        tokens = np.full((len(places), block), self.tokenizer.eos_token_id, kind)
        learnt = np.zeros((len(places), block), bool)
        for row, at in enumerate(places):
            tokens[row, : len(at)] = tokenised.tokens[at]
            learnt[row, : len(at)] = tokenised.learnt[at]
        for name, array in (("tokens", tokens), ("learnt", np.packbits(learnt, axis=1))):
            with atomic_path(self.work / f"{name}-{number:05d}.npy") as part, part.open("wb") as file:
                np.save(file, array)


def _count(entries: Entries, tokenised: TokenisedEntries, second: np.ndarray) -> dict[str, Any]:
    """Entries, tokens and learnt tokens of each stream, and its tokens by side."""
    sizes = np.diff(tokenised.ends, prepend=0)
    learnt = np.diff(np.concatenate(([0], np.cumsum(tokenised.learnt)))[np.concatenate(([0], tokenised.ends))])
    first_tokens = np.where(entries.swapped & (second > 0), second, sizes - second)
    first_tokens = np.where(entries.swapped & (second == 0), 0, first_tokens)
    streams: dict[str, list[int]] = {}
    for stream in np.unique(entries.streams).tolist():
        at = entries.streams == stream
        streams[str(stream)] = [
            int((sizes[at] > 0).sum()),
            int(sizes[at].sum()),
            int(learnt[at].sum()),
            int(first_tokens[at].sum()),
        ]
    return {"streams": streams, "dropped": entries.dropped}


def _finish(
    manifest: Manifest,
    counts: list[dict[str, Any]],
    plan: MixturePlan,
    mixture: Mixture,
    tokenizer: "PreTrainedTokenizerFast",
) -> None:
    totals: dict[int, np.ndarray] = {}
    for count in counts:
        for stream, numbers in count["streams"].items():
            totals[int(stream)] = totals.get(int(stream), np.zeros(4, np.int64)) + np.array(numbers)
        manifest.dropped.update(count["dropped"])
    by_language: dict[str, Counter[str]] = {}
    rows = []
    for number in sorted(totals):
        stream, (entries, tokens, learnt, first) = plan.streams[number], totals[number].tolist()
        rows.append(
            {"source": stream.source, "languages": stream.label, "entries": entries, "tokens": tokens, "learnt": learnt}
        )
        shares = by_language.setdefault(stream.source, Counter())
        if not stream.languages:
            shares["instructions"] += tokens
        else:
            shares[stream.languages[0]] += first if len(stream.languages) > 1 else tokens
            if len(stream.languages) > 1:
                shares[stream.languages[1]] += tokens - first
    manifest.counts.update(
        entries=sum(row["entries"] for row in rows),
        tokens=sum(row["tokens"] for row in rows),
        learnt_tokens=sum(row["learnt"] for row in rows),
        blocks=sum(count["blocks"] for count in counts),
        shards=len(counts),
    )
    manifest.details.update(
        block=mixture.block,
        isolate=mixture.isolate,
        vocabulary=len(tokenizer),
        eos=tokenizer.eos_token_id,
        streams=rows,
        tokens_by_language={source: dict(shares) for source, shares in by_language.items()},
    )


def token_counts(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Tokens of a packed mixture by language, over all sources."""
    total: Counter[str] = Counter()
    for shares in manifest["tokens_by_language"].values():
        total.update(shares)
    return dict(total)
