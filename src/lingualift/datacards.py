"""Data cards: what a mixture holds, for people."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lingualift.entries import EntryReader
from lingualift.manifests import load_manifest
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
        *_dropped_table(manifest, reader),
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


def _dropped_table(manifest: Mapping[str, Any], reader: EntryReader) -> list[str]:
    """What was lost, and why: of each corpus when it was made, and what it was made of, then when it was packed."""
    accounts = [("packing", manifest["dropped"])]
    for source, folder in reader.folders.items():
        if (folder / "manifest.json").is_file():
            made = load_manifest(folder / "manifest.json")
            accounts += [(source, made["dropped"]), *made.get("dropped_before", {}).items()]
    # Each once: a corpus may be a component and what another was made of.
    found = {(where, reason, number) for where, counts in accounts for reason, number in counts.items()}
    if not found:
        return ["None."]
    dropped = sorted(found, key=lambda it: (-it[2], it[:2]))
    rows = ["| where | reason | lines |", "|---|---|---:|"]
    rows += [f"| {where} | {reason} | {number:,} |" for where, reason, number in dropped[:_ROWS]]
    if len(dropped) > _ROWS:
        rows += ["", f"… and {len(dropped) - _ROWS} smaller ones, in the `manifest.json` of each."]
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
        title = f"**{' '.join(filter(None, (stream.source, stream.label)))}**"
        if not len(tokens.tokens):
            lines += [f"{title}: dropped", ""]
            continue
        # Text may hold a fence of its own.
        fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", decoded)), default=0))
        lines += [f"{title}: {learnt}", "", f"{fence}text", decoded, fence, ""]
    return lines
