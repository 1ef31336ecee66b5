"""Supplement: English sentences translated for the pairs that have too few (LLaMAX, Algorithm 1)."""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lingualift.configuration.schema import TranslatedCorpus
from lingualift.corpora import TableWriter, corpus_tables, open_table
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path, read_json
from lingualift.manifests import Manifest
from lingualift.mixing import pair_rows
from lingualift.randomness import Permutation, seed_of

ENGLISH = "en"


class Supplement(NamedTuple):
    """How many rows each pair lacks, and the English sentences that fill the neediest up."""

    lacking: dict[tuple[str, str], int]
    sentences: list[str]

    def sources(self, code: str) -> list[str]:
        """What is translated into a language: as many of the sentences as its neediest pair lacks."""
        return self.sentences[: max((count for pair, count in self.lacking.items() if code in pair), default=0)]


def lacking_pairs(corpora: Sequence[Path], languages: Sequence[str], *, minimum: int) -> dict[tuple[str, str], int]:
    """How many rows each pair of languages lacks of ``minimum``, over some parallel corpora; pairs with enough left out."""
    there = pair_rows(table for folder in corpora for table in corpus_tables(folder))
    lacking = {pair: minimum - there[frozenset(pair)] for pair in combinations(languages, 2)}
    return {pair: count for pair, count in lacking.items() if count > 0}


def plan_supplement(
    corpus: TranslatedCorpus, *, corpora: Sequence[Path], english: Path, languages: Sequence[str], seed: int
) -> Supplement:
    """What pairs lack, and the sentences for it, drawn from the English corpus by ``seed``.

    Args:
        languages: the run's, where ``corpus`` names none.

    Raises:
        LingualiftError: no pair lacks any; fewer English sentences than the neediest pair lacks.

    Source: LLaMAX, Algorithm 1 and section 2.2.
    """
    lacking = lacking_pairs(corpora, list(corpus.languages or languages), minimum=corpus.minimum)
    if not lacking:
        raise LingualiftError(f"no pair has fewer than {corpus.minimum} rows: the corpus is not needed")
    return Supplement(lacking, _sentences(english, max(lacking.values()), seed))


def assemble_supplement(
    corpus: TranslatedCorpus,
    supplement: Supplement,
    *,
    hypotheses: Sequence[Path],
    corpora: Sequence[Path],
    english: Path,
    seed: int,
    out: Path,
) -> Manifest:
    """Write a corpus with the rows that pairs lack: English sentences and their translations.

    A sentence is translated once into each language: the pairs of a language take the first of one and the same
    shuffled list, so no pair has a sentence that another, which needs more, has not. Where the system answered with
    nothing the row has no side in that language.

    Args:
        hypotheses: the translations out of English, in any number of files, each beside its manifest.
        corpora, english: what ``supplement`` was planned from.
    """
    manifest = Manifest("corpus", corpus.model_dump(mode="json", exclude={"shards"}), seed=seed)
    manifests = [path.with_suffix(".manifest.json") for path in hypotheses]
    for path in (*(folder / "manifest.json" for folder in (*corpora, english)), *manifests):
        manifest.add_input(path)
    texts: dict[str, list[str | None]] = {ENGLISH: list(supplement.sentences)}
    for path in hypotheses:
        texts.update(_read(path))
    tables = []
    with atomic_path(out) as part:
        (part / "tables").mkdir(parents=True)
        for (a, b), count in supplement.lacking.items():
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
        manifest.details.update(tables=tables, weights=[read_json(path)["weights"] for path in manifests])
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
