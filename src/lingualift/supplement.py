"""Supplement: English sentences translated for the pairs that have too few (LLaMAX, Algorithm 1)."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lingualift.configuration.schema import TranslatedCorpus
from lingualift.corpora import TableWriter, corpus_tables, open_table
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path, fingerprint
from lingualift.manifests import Manifest
from lingualift.randomness import Permutation, seed_of
from lingualift.translation import Translates, translate_directions

ENGLISH = "en"


def lacking_pairs(corpora: Sequence[Path], languages: Sequence[str], *, minimum: int) -> dict[tuple[str, str], int]:
    """How many rows each pair of languages lacks of ``minimum``, over some parallel corpora; pairs with enough left out."""
    there: Counter[frozenset[str]] = Counter()
    for folder in corpora:
        for table in corpus_tables(folder):
            for a, b in combinations(table["languages"], 2):
                count = table["pairs"].get(f"{a}-{b}") or table["pairs"].get(f"{b}-{a}") or 0
                there[frozenset((a, b))] += count
    lacking = {pair: minimum - there[frozenset(pair)] for pair in combinations(languages, 2)}
    return {pair: count for pair, count in lacking.items() if count > 0}


def translate_supplement(
    corpus: TranslatedCorpus,
    translator: Translates,
    *,
    weights: Sequence[Any],
    corpora: Sequence[Path],
    english: Path,
    languages: Sequence[str],
    seed: int,
    state: Path,
    out: Path,
    version: int = 1,
) -> Manifest:
    """Write a corpus with the rows that pairs lack: English sentences, translated into the sides that are not English.

    A sentence is translated once into each language: the pairs of a language take the first of one and the same
    shuffled list, so no pair has a sentence that another, which needs more, has not. Where the system answers with
    nothing the row has no side in that language.

    Args:
        weights: what tells the translator's weights from others'.
        version: the stage's; what another version left in ``state`` is not gone on with.

    Raises:
        LingualiftError: fewer English sentences than the neediest pair lacks.

    Source: LLaMAX, Algorithm 1 and section 2.2.
    """
    wanted = list(corpus.languages or languages)
    lacking = lacking_pairs(corpora, wanted, minimum=corpus.minimum)
    if not lacking:
        raise LingualiftError(f"no pair has fewer than {corpus.minimum} rows: the corpus is not needed")
    needs = {code: max((n for pair, n in lacking.items() if code in pair), default=0) for code in wanted}
    sentences = _sentences(english, max(lacking.values()), seed)
    directions = [(ENGLISH, code) for code in wanted if code != ENGLISH and needs[code]]
    manifest = Manifest("corpus", corpus.model_dump(mode="json"), seed=seed)
    for folder in (*corpora, english):
        manifest.add_input(folder / "manifest.json")
    hypotheses = state / "translations.jsonl"
    translate_directions(
        translator,
        {pair: sentences[: needs[pair[1]]] for pair in directions},
        state=state,
        key=[corpus.model_dump(mode="json"), list(weights), fingerprint(sentences), version],
        out=hypotheses,
    )
    texts = {ENGLISH: sentences, **_read(hypotheses)}
    tables = []
    with atomic_path(out) as part:
        (part / "tables").mkdir(parents=True)
        for (a, b), count in lacking.items():
            name = f"{a}-{b}"
            columns = [pa.array(texts[code][:count], pa.large_string()) for code in (a, b)]
            with TableWriter(part / "tables" / f"{name}.arrow", (a, b)) as writer:
                writer.add(columns)
            there = [column.is_valid().to_numpy(zero_copy_only=False) for column in columns]
            num_pairs = int((there[0] & there[1]).sum())
            if num_pairs < count:
                manifest.dropped[f"no translation ({name})"] += count - num_pairs
            tables.append(
                {
                    "name": name,
                    "languages": [a, b],
                    "rows": count,
                    "valid": {code: int(side.sum()) for code, side in zip((a, b), there, strict=True)},
                    "pairs": {name: num_pairs},
                    "directed": False,
                    "translated": True,
                    "loss": "all",
                }
            )
        manifest.details.update(tables=tables, model=list(weights))
        manifest.counts.update(pairs=sum(table["pairs"][table["name"]] for table in tables), tables=len(tables))
        manifest.save(part / "manifest.json")
    return manifest


def _sentences(english: Path, count: int, seed: int) -> list[str]:
    """The first ``count`` of the shuffled English sentences."""
    table = open_table(english, ENGLISH)
    if len(table) < count:
        raise LingualiftError(
            f"{english}: {len(table)} English sentences, {count} are needed: lower `minimum` or give a larger corpus"
        )
    rows = Permutation(len(table), seed_of(seed, "supplement"))(np.arange(count))
    return table.column(0).take(pa.array(rows)).to_pylist()


def _read(path: Path) -> dict[str, list[str | None]]:
    """The translations by target language, in the order of their sentences; None where there is none."""
    texts: dict[str, list[str | None]] = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            language = record["direction"].removeprefix(f"{ENGLISH}-")
            texts.setdefault(language, []).append(record["hypothesis"].strip() or None)
    return texts
