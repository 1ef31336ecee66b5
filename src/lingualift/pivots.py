"""Translating through a pivot language: every source sentence into the pivot once, then from there into every target.

Source: LLaMAX, Table 8.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lingualift.errors import LingualiftError
from lingualift.files import atomic_path, remove
from lingualift.manifests import Manifest
from lingualift.scoring import benchmark_sources
from lingualift.translation import Direction, Route, Translates, translate_directions

# Source language → sentence → its translation into the pivot.
Legs = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class PivotTranslation:
    """The translation of a benchmark through a pivot language.

    Attributes:
        translator: of both legs.
        pivot: the language between.
        benchmark: the folder of a canonical benchmark.
        limit: how many of the first sentences of each direction to take; all if None.
        key: what determines the translations beside the translator's settings and the sentences.
    """

    translator: Translates
    pivot: str
    benchmark: str | Path
    limit: int | None
    key: object

    def translate_legs(
        self,
        directions: Sequence[Direction],
        *,
        state: Path,
        out: Path,
        note: Callable[[Manifest], None] = lambda manifest: None,
    ) -> None:
        """Write a folder with the translation of every source sentence of some directions into the pivot language.

        Directions of one source may have different sentences, where rows lack a side: each sentence is translated once.
        What the system has translated into that language for its own sake is not translated again.

        Args:
            directions: all directions of each source.
            state: as of ``translate_directions``.
            note: adds to the manifest, which is written into the folder.
        """
        sentences: dict[str, dict[str, None]] = {}
        for (source, _), texts in self._sources(directions).items():
            if source != self.pivot:
                sentences.setdefault(source, {}).update(dict.fromkeys(texts))
        legs = {(source, self.pivot): list(texts) for source, texts in sentences.items()}
        with atomic_path(out) as part:
            part.mkdir(parents=True)
            with (part / "sentences.jsonl").open("w", encoding="utf-8") as file:
                # In the order of the translations.
                for source, _ in sorted(legs, key="-".join):
                    records = ({"source": source, "text": text} for text in legs[source, self.pivot])
                    file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            manifest = translate_directions(
                self.translator, legs, state=state, key=self.key, out=part / "hypotheses.jsonl"
            )
            note(manifest)
            manifest.save(part / "manifest.json")

    def translate(self, legs: Legs, directions: Sequence[Direction], *, state: Path, out: Path) -> Manifest:
        """Translate the pivot's sentences into the targets and write ``out``, as ``translate_directions`` does.

        A direction out of or into the pivot language has one leg only, out of it that of the system itself; what has no
        translation into the pivot has none at all.

        Raises:
            LingualiftError: a sentence is not among those that were translated into the pivot.
        """
        sources: dict[Route, Sequence[str]] = {}
        known: dict[Direction, Sequence[str]] = {}
        for (source, target), texts in self._sources(directions).items():
            if source == self.pivot:
                sources[source, target] = texts
            elif target == self.pivot:
                known[source, target] = _first_leg(legs, source, self.pivot, texts)
            else:
                sources[source, self.pivot, target] = _first_leg(legs, source, self.pivot, texts)
        return translate_directions(self.translator, sources, known=known, state=state, key=self.key, out=out)

    def translate_both_legs(self, directions: Sequence[Direction], *, state: Path, out: Path) -> Manifest:
        """Translate through a pivot in one go, where answers are kept in any case, as those of endpoints are."""
        self.translate_legs(directions, state=state, out=state / "legs")
        manifest = self.translate(read_legs([state / "legs"]), directions, state=state, out=out)
        remove(state / "legs")
        return manifest

    def _sources(self, directions: Sequence[Direction]) -> dict[Direction, list[str]]:
        return benchmark_sources(self.benchmark, directions, limit=self.limit)


def read_legs(folders: Iterable[str | Path]) -> dict[str, dict[str, str]]:
    """What ``translate_legs`` wrote into some folders."""
    legs: dict[str, dict[str, str]] = {}
    for folder in map(Path, folders):
        with (folder / "sentences.jsonl").open("rb") as asked, (folder / "hypotheses.jsonl").open("rb") as answered:
            for line, answer in zip(asked, answered, strict=True):
                sentence = json.loads(line)
                legs.setdefault(sentence["source"], {})[sentence["text"]] = json.loads(answer)["hypothesis"]
    return legs


def _first_leg(legs: Legs, source: str, pivot: str, texts: Sequence[str]) -> list[str]:
    try:
        return [legs[source][text] for text in texts]
    except KeyError as error:
        raise LingualiftError(
            f"{source}-{pivot}: no translation into the pivot language of {error}: make it again"
        ) from error
