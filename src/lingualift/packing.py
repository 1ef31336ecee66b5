"""Packing: entries become token blocks with a loss mask, in memory-mapped shards."""

import os
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lingualift.configuration.mixtures import Mixture
from lingualift.encoding import encode, spread
from lingualift.entries import Entries, EntryReader
from lingualift.files import atomic_path, fingerprint, link_or_copy, read_json, remove, write_json
from lingualift.manifests import Manifest
from lingualift.mixing import MixturePlan
from lingualift.pools import in_parallel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ENTRIES_A_SHARD = 65_536
_ARRAYS = ("tokens", "learnt")


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
    head = opening(tokenizer)
    flat, lengths, firsts = encode(entries, tokenizer)
    full = np.where(lengths > 0, lengths + len(head) + 1, 0)
    ends = np.cumsum(full)
    tokens = np.full(int(ends[-1]) if len(ends) else 0, tokenizer.eos_token_id, np.int64)
    tokens[spread(ends - full + len(head), lengths)] = flat
    for place, token in enumerate(head):
        tokens[(ends - full)[lengths > 0] + place] = token
    learnt = np.ones(len(tokens), bool)
    starts = ends - full
    for place in np.flatnonzero((entries.learn_from > 0) & (lengths > 0)).tolist():
        learnt[starts[place] : starts[place] + len(head) + firsts[place]] = False
    second = np.where((entries.boundaries > 0) & (lengths > 0), lengths - firsts, 0)
    return TokenisedEntries(tokens, learnt, ends), second


def opening(tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    """The tokens that a tokenizer puts before every text (LLaMA's BOS; none for many), as when the model is asked."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a")["input_ids"]
    cuts = range(len(full) - len(bare) + 1)
    return next((full[:cut] for cut in cuts if full[cut : cut + len(bare)] == bare), [])


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
    version: int = 1,
) -> Manifest:
    """Tokenise and pack a mixture into the folder ``out``.

    A shard is a function of its range of the order alone, so shards are made in any order, by any number of
    workers; those that a killed job finished in ``work`` are kept if all that determines them is as it was, the
    stage's ``version`` too.

    ``out`` holds ``tokens-00000.npy`` (uint16 or uint32, blocks x block), ``learnt-00000.npy`` (uint8, the bits
    of the loss mask, blocks x block/8), one pair a shard, and ``manifest.json``.
    """
    from tqdm import tqdm

    plan = reader.plan
    # Part of what a training goes by. The first is left out, as manifests once named none: no model is trained again.
    settings = mixture.model_dump(mode="json", by_alias=True) | ({"version": version} if version > 1 else {})
    manifest = Manifest("packed mixture", settings, seed=plan.seed)
    ranges = [
        (number, start, min(start + entries_a_shard, plan.entries))
        for number, start in enumerate(range(0, plan.entries, entries_a_shard))
    ]
    work.mkdir(parents=True, exist_ok=True)
    if workers > 1 and len(ranges) > 1:
        # Each worker tokenises on one thread: the shards are what runs side by side.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
    job = _ShardJob(reader, tokenizer, mixture, work, version)
    account = _Account(plan)
    # Before the workers are forked: they find the good rows chosen.
    account.dropped.update(reader.passed_over())
    with tqdm(total=plan.entries, unit="entry", unit_scale=True, desc="packing", mininterval=1) as bar:
        for counts in in_parallel(job, ranges, workers):
            account.add(counts)
            bar.update(counts["entries"])
    account.enter(manifest)
    manifest.details.update(
        block=mixture.block,
        isolate=mixture.isolate,
        vocabulary=len(tokenizer),
        eos=tokenizer.eos_token_id,
        sources=reader.identity()["sources"],
    )
    with atomic_path(out) as part:
        part.mkdir()
        for name in (f"{kind}-{number:05d}.npy" for number in range(len(ranges)) for kind in _ARRAYS):
            link_or_copy(work / name, part / name)
        manifest.save(part / "manifest.json")
    remove(work)
    return manifest


class _ShardJob:
    """Makes a shard of a number and a range of the order; gives its counts."""

    def __init__(
        self, reader: EntryReader, tokenizer: "PreTrainedTokenizerFast", mixture: Mixture, work: Path, version: int
    ) -> None:
        self.reader, self.tokenizer, self.mixture, self.work = reader, tokenizer, mixture, work
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        words = [tokenizer.backend_tokenizer.to_str(), opening(tokenizer), tokenizer.eos_token_id]
        self.key = fingerprint([version, reader.identity(), mixture.model_dump(mode="json"), words])

    def __call__(self, task: tuple[int, int, int]) -> dict[str, Any]:
        number, start, stop = task
        done = self.work / f"counts-{number:05d}.json"
        key = fingerprint([start, stop, self.key])
        if done.is_file() and all((self.work / f"{kind}-{number:05d}.npy").is_file() for kind in _ARRAYS):
            counts = read_json(done)
            if counts["key"] == key:
                return counts
        # First, or the counts of other settings might be found beside the new shard.
        done.unlink(missing_ok=True)
        entries = self.reader.read(start, stop)
        tokenised, second = tokenise(entries, self.tokenizer)
        places = (pack_whole if self.mixture.packing == "whole" else concatenate)(tokenised, self.mixture.block)
        self._write(number, tokenised, places)
        counts = {"key": key, "entries": stop - start, "blocks": len(places), **_count(entries, tokenised, second)}
        # Written last: a shard without counts is made again.
        write_json(counts, done)
        return counts

    def _write(self, number: int, tokenised: TokenisedEntries, places: list[np.ndarray]) -> None:
        block = self.mixture.block
        kind = np.uint16 if len(self.tokenizer) <= 2**16 else np.uint32
        tokens = np.full((len(places), block), self.tokenizer.eos_token_id, kind)
        learnt = np.zeros((len(places), block), bool)
        for row, at in enumerate(places):
            tokens[row, : len(at)] = tokenised.tokens[at]
            learnt[row, : len(at)] = tokenised.learnt[at]
        for name, array in zip(_ARRAYS, (tokens, np.packbits(learnt, axis=1)), strict=True):
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


class _Account:
    """Adds up the counts of shards, however many there are."""

    def __init__(self, plan: MixturePlan) -> None:
        self.plan = plan
        self.blocks = self.shards = 0
        self.dropped: Counter[str] = Counter()
        # Entries, tokens, learnt tokens, tokens of the first language.
        self.totals = np.zeros((len(plan.streams), 4), np.int64)

    def add(self, counts: Mapping[str, Any]) -> None:
        """Add one shard."""
        self.shards += 1
        self.blocks += counts["blocks"]
        self.dropped.update(counts["dropped"])
        for stream, numbers in counts["streams"].items():
            self.totals[int(stream)] += numbers

    def enter(self, manifest: Manifest) -> None:
        """Note the totals in a manifest: in all, by stream, by source and language."""
        by_language: dict[str, Counter[str]] = {}
        rows = []
        for stream, (entries, tokens, learnt, first) in zip(self.plan.streams, self.totals.tolist(), strict=True):
            rows.append(
                {
                    "source": stream.source,
                    "languages": stream.label,
                    "entries": entries,
                    "tokens": tokens,
                    "learnt": learnt,
                }
            )
            shares = by_language.setdefault(stream.source, Counter())
            if not stream.languages:
                shares["instructions"] += tokens
            elif len(stream.languages) == 1:
                shares[stream.languages[0]] += tokens
            else:
                shares[stream.languages[0]] += first
                shares[stream.languages[1]] += tokens - first
        manifest.counts.update(
            entries=sum(row["entries"] for row in rows),
            tokens=sum(row["tokens"] for row in rows),
            learnt_tokens=sum(row["learnt"] for row in rows),
            blocks=self.blocks,
            shards=self.shards,
        )
        manifest.dropped.update(self.dropped)
        manifest.details.update(
            streams=rows, tokens_by_language={source: dict(shares) for source, shares in by_language.items()}
        )


def token_counts(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Tokens of a packed mixture by language, over all sources."""
    total: Counter[str] = Counter()
    for shares in manifest["tokens_by_language"].values():
        total.update(shares)
    return dict(total)
