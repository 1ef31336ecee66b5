"""Translating through a pivot language: every source sentence into the pivot once, then from there into every target.

Source: LLaMAX, Table 8.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lingualift.errors import LingualiftError
from lingualift.files import atomic_path, checksum, fingerprint, remove
from lingualift.manifests import Manifest
from lingualift.scoring import benchmark_sentences
from lingualift.translation import Translates, translate_directions

Direction = tuple[str, str]
# Source language → sentence → its translation into the pivot.
Legs = Mapping[str, Mapping[str, str]]


def translate_legs(
    translator: Translates,
    directions: Sequence[Direction],
    *,
    pivot: str,
    benchmark: str | Path,
    limit: int | None,
    state: Path,
    key: object,
    out: Path,
) -> Manifest:
    """Write a folder with the translation of every source sentence of some directions into the pivot language.

    Directions of one source may have different sentences, where rows lack a side: each sentence is translated once.

    Args:
        directions: all directions of each source.
        benchmark: the folder of a canonical benchmark.
        limit: how many of the first sentences of each direction to take.
        state: folder of the store that a killed job goes on from.
        key: what determines the translations beside the translator's settings and the sentences.
    """
    sentences: dict[str, dict[str, None]] = {}
    for source, target in directions:
        if source != pivot:
            texts = benchmark_sentences(benchmark, source, target, limit=limit)[0]
            sentences.setdefault(source, {}).update(dict.fromkeys(texts))
    legs = {(source, pivot): list(texts) for source, texts in sentences.items()}
    with atomic_path(out) as part:
        part.mkdir(parents=True)
        with (part / "sentences.jsonl").open("w", encoding="utf-8") as file:
            # In the order of the translations.
            for source, _ in sorted(legs, key="-".join):
                records = ({"source": source, "text": text} for text in legs[source, pivot])
                file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        manifest = translate_directions(
            translator,
            legs,
            state=state,
            key=[key, checksum(part / "sentences.jsonl")],
            out=part / "hypotheses.jsonl",
        )
        manifest.save(part / "manifest.json")
    return manifest


def read_legs(folders: Iterable[str | Path]) -> dict[str, dict[str, str]]:
    """What :func:`translate_legs` wrote into some folders."""
    legs: dict[str, dict[str, str]] = {}
    for folder in map(Path, folders):
        with (folder / "sentences.jsonl").open("rb") as asked, (folder / "hypotheses.jsonl").open("rb") as answered:
            for line, answer in zip(asked, answered, strict=True):
                sentence = json.loads(line)
                legs.setdefault(sentence["source"], {})[sentence["text"]] = json.loads(answer)["hypothesis"]
    return legs


def translate_through_pivot(
    translator: Translates,
    legs: Legs,
    directions: Sequence[Direction],
    *,
    pivot: str,
    benchmark: str | Path,
    limit: int | None,
    state: Path,
    key: object,
    out: Path,
) -> Manifest:
    """Translate the pivot's sentences into the targets and write ``out``, as ``translate_directions`` does.

    A direction out of or into the pivot language has one leg only; what has no translation into the pivot has none at
    all.

    Raises:
        LingualiftError: a sentence is not among those that were translated into the pivot.
    """
    sources = {}
    for source, target in directions:
        texts = benchmark_sentences(benchmark, source, target, limit=limit)[0]
        sources[source, target] = texts if source == pivot else _first_leg(legs, source, pivot, texts)
    # Not the files' checksums: what another source's sentences are is no matter of this shard.
    words = fingerprint([[*pair, texts] for pair, texts in sources.items()])
    return translate_directions(_SecondLeg(translator, pivot), sources, state=state, key=[key, pivot, words], out=out)


def translate_both_legs(
    translator: Translates, directions: Sequence[Direction], *, state: Path, out: Path, **options: Any
) -> Manifest:
    """Translate through a pivot in one go, where answers are kept in any case, as those of endpoints are.

    Args:
        options: as of :func:`translate_through_pivot`.
    """
    translate_legs(translator, directions, state=state / "to-pivot", out=state / "legs", **options)
    legs = read_legs([state / "legs"])
    manifest = translate_through_pivot(translator, legs, directions, state=state / "from-pivot", out=out, **options)
    remove(state / "legs")
    return manifest


def _first_leg(legs: Legs, source: str, pivot: str, texts: Sequence[str]) -> list[str]:
    try:
        return [legs[source][text] for text in texts]
    except KeyError as error:
        raise LingualiftError(
            f"{source}-{pivot}: no translation into the pivot language of {error}: make it again"
        ) from error


class _Done(list[str]):
    """Answers that need no question: the first leg's, into the pivot language."""


class _SecondLeg:
    """Translates from the pivot language, whatever language a direction begins with."""

    def __init__(self, translator: Translates, pivot: str) -> None:
        self.translator, self.pivot = translator, pivot

    def plan(self, sentences: Sequence[str], source: str, target: str) -> Iterator[tuple[list[int], Any, int]]:
        if target == self.pivot:
            yield list(range(len(sentences))), _Done(sentences), 0
        else:
            yield from self.translator.plan(sentences, self.pivot, target)

    def answer(self, prompts: Any, longest: int) -> list[str]:
        return list(prompts) if isinstance(prompts, _Done) else self.translator.answer(prompts, longest)

    def settings(self) -> list[object]:
        return self.translator.settings()
