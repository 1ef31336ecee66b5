"""Data cards: what a mixture holds, for people."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lingualift.entries import EntryReader
from lingualift.packing import token_counts, tokenise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_SAMPLES = 10
_ROWS = 60


def data_card(
    manifest: Mapping[str, Any],
    reader: EntryReader,
    tokenizer: "PreTrainedTokenizerFast",
    *,
    name: str,
    figure: str,
    seed: int,
) -> str:
    """The card of a packed mixture as Markdown.

    Args:
        manifest: of the packed mixture.
        reader: of its entries, for ten random ones, shown as the tokenizer gives them back.
        figure: path of the picture of its composition.
    """
    counts = manifest["counts"]
    lines = [
        f"# Mixture `{name}`",
        "",
        f"{counts['entries']:,} entries, {counts['tokens']:,} tokens ({counts['learnt_tokens']:,} learnt), "
        f"{counts['blocks']:,} blocks of {manifest['block']} in {counts['shards']} shard(s). Seed {manifest['seed']}.",
        "",
        f"![tokens by component and language]({Path(figure).name})",
        "",
        "## Tokens by component and language",
        "",
        *_component_table(manifest),
        "",
        "## Tokens by language",
        "",
        *_language_table(manifest),
        "",
        "## Streams",
        "",
        *_stream_table(manifest),
        "",
        "## Dropped lines",
        "",
        *([f"- {reason}: {number:,}" for reason, number in manifest["dropped"].items()] or ["None while packing."]),
        "",
        "What was dropped at import stands in the `manifest.json` of each corpus.",
        "",
        f"## {_SAMPLES} random entries, decoded",
        "",
        *_samples(reader, tokenizer, seed),
    ]
    return "\n".join(lines) + "\n"


def _component_table(manifest: Mapping[str, Any]) -> list[str]:
    total = manifest["counts"]["tokens"] or 1
    rows = ["| component | entries | tokens | share |", "|---|---:|---:|---:|"]
    entries: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for stream in manifest["streams"]:
        entries[stream["source"]] += stream["entries"]
        tokens[stream["source"]] += stream["tokens"]
    return rows + [
        f"| {source} | {entries[source]:,} | {tokens[source]:,} | {tokens[source] / total:.1%} |" for source in tokens
    ]


def _language_table(manifest: Mapping[str, Any]) -> list[str]:
    counts = token_counts(manifest)
    total = sum(counts.values()) or 1
    rows = ["| language | tokens | share |", "|---|---:|---:|"]
    ordered = sorted(counts.items(), key=lambda it: (-it[1], it[0]))
    return rows + [f"| {code} | {tokens:,} | {tokens / total:.1%} |" for code, tokens in ordered]


def _stream_table(manifest: Mapping[str, Any]) -> list[str]:
    rows = ["| component | languages | entries | tokens | learnt |", "|---|---|---:|---:|---:|"]
    streams = sorted(manifest["streams"], key=lambda stream: -stream["tokens"])
    rows += [
        f"| {it['source']} | {it['languages'] or '–'} | {it['entries']:,} | {it['tokens']:,} | {it['learnt']:,} |"
        for it in streams[:_ROWS]
    ]
    if len(streams) > _ROWS:
        rows += ["", f"… and {len(streams) - _ROWS} smaller streams, all of them in `manifest.json`."]
    return rows


def _samples(reader: EntryReader, tokenizer: "PreTrainedTokenizerFast", seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    size = reader.plan.entries
    lines: list[str] = []
    for place in sorted(generator.choice(size, min(_SAMPLES, size), replace=False).tolist()):
        entries = reader.read(place, place + 1)
        tokens, _ = tokenise(entries, tokenizer)
        stream = reader.plan.streams[int(entries.streams[0])]
        learnt = f"{int(tokens.learnt.sum())} of {len(tokens.tokens)} tokens learnt"
        decoded = tokenizer.decode(tokens.tokens.tolist(), skip_special_tokens=False)
        lines += [f"**{stream.source} {stream.label}** — {learnt}", "", "```text", decoded, "```", ""]
    return lines
