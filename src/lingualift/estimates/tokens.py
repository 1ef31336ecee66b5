"""Tokens of a mixture: counted where it is packed, else worked out from what is known of its corpora."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from lingualift.configuration.corpora import AlignedCorpus, MultiwayCorpus
from lingualift.configuration.corpus_base import PACKED, Corpus, TableSource
from lingualift.configuration.mixtures import Component
from lingualift.errors import LingualiftError
from lingualift.files import read_json
from lingualift.planning import Plan

# How many times its size a compressed text has.
_COMPRESSED = 3
# Sentences of one row: of an instruction, what is asked, what it is asked of, and the answer.
_SENTENCES = {"parallel": 2, "instructions": 3}


@dataclass(frozen=True, kw_only=True)
class Text:
    """What is taken of an average sentence, where nothing was counted.

    Attributes:
        sentence_tokens: tokens of one sentence of one language.
        bytes_per_token: bytes of raw text.
    """

    sentence_tokens: float = 40
    bytes_per_token: float = 3

    @property
    def sentence_bytes(self) -> float:
        return self.sentence_tokens * self.bytes_per_token


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Tokens of a mixture.

    Attributes:
        number: of one pass over it.
        blocks: training sequences of one pass.
        source: how they are known: ``packed`` (counted), ``given``, or ``estimated``.
        unknown: the corpora that nothing is known of, and that are not in the number.
    """

    number: int
    blocks: int
    source: str
    unknown: tuple[str, ...] = ()


def mixture_tokens(
    plan: Plan, mixture: str, owner: str, results: Path, *, text: Text, rows: Mapping[str, int], given: float | None
) -> Tokens:
    """Tokens of one pass over a mixture.

    Args:
        owner: the model whose tokenizer it is packed with.
        results: the folder of the run.
        rows: rows of a corpus, where the user knows them.
        given: tokens, where the user knows them.
    """
    block = plan.configuration.mixtures[mixture].block
    if given is not None:
        return Tokens(number=round(given), blocks=-(-round(given) // block), source="given")
    manifest = results / "mixtures" / mixture / "packed" / owner / "manifest.json"
    if manifest.is_file():
        counts = read_json(manifest)["counts"]
        return Tokens(number=counts["tokens"], blocks=counts["blocks"], source="packed")
    number, unknown = 0.0, []
    for component in plan.configuration.mixtures[mixture].components:
        found = _component(plan, component, results, text, rows)
        if found is None:
            unknown.append(component.source)
        number += found or 0.0
    return Tokens(number=round(number), blocks=-(-round(number) // block), source="estimated", unknown=tuple(unknown))


def _component(plan: Plan, it: Component, results: Path, text: Text, rows: Mapping[str, int]) -> float | None:
    """Tokens of one component; None where nothing is known."""
    made = plan.configuration.augmentations[it.augmentation] if it.augmentation else None
    corpus = made.source if made else it.source
    number = _corpus(plan, corpus, it, results, text, rows)
    for sample in (made.sample if made else None, it.sample):
        if number is not None and sample is not None:
            number = _sampled(plan, corpus, it, sample, number, text)
    return number


def _sampled(plan: Plan, corpus: str, it: Component, sample: float, number: float, text: Text) -> float:
    """Tokens of a share of each language or pair, or of a number of its lines."""
    if sample <= 1:
        return number * sample
    kind = plan.configuration.corpora[corpus].kind
    covered = it.languages or plan.languages
    streams = {"parallel": len(_pairs(plan, it, covered)), "instructions": 1}.get(kind, len(covered))
    return min(number, sample * max(1, streams) * _SENTENCES.get(kind, 1) * text.sentence_tokens)


def _corpus(plan: Plan, name: str, it: Component, results: Path, text: Text, rows: Mapping[str, int]) -> float | None:
    """Tokens of one corpus as a component sees it: a corpus of many languages is read once for each pair."""
    corpus = plan.configuration.corpora[name]
    if name in rows:
        return rows[name] * _SENTENCES.get(corpus.kind, 1) * text.sentence_tokens
    manifest = results / "corpora" / name / "manifest.json"
    if manifest.is_file():
        sentences = sum(_imported(plan, table, it) for table in read_json(manifest)["tables"])
        return sentences * (_SENTENCES["instructions"] if corpus.kind == "instructions" else 1) * text.sentence_tokens
    if not isinstance(corpus, Corpus):
        return None
    try:
        tables = corpus.tables(plan.languages, plan.run.languages, plan.run.data)
    except LingualiftError:
        # Which files there are is to be seen only in the folder that is not there.
        return None
    known = [_raw(plan, corpus, table, it, text) for table in tables]
    return sum(filter(None, known)) if any(number is not None for number in known) else None


def _imported(plan: Plan, table: Mapping[str, Any], it: Component) -> int:
    """Sentences of an imported table, once for each pair that it is read as."""
    codes = table["languages"]
    if len(codes) < 2:
        return table["rows"]
    return 2 * sum(
        table["pairs"].get("-".join(pair), table["pairs"].get("-".join(pair[::-1]), 0))
        for pair in _pairs(plan, it, codes)
    )


def _raw(plan: Plan, corpus: Corpus, table: TableSource, it: Component, text: Text) -> float | None:
    """Tokens of a table that is not imported: by the size of its files, at most by its limit."""
    uses = 1.0
    if isinstance(corpus, MultiwayCorpus) and len(table.languages) > 1:
        uses = 2 * len(_pairs(plan, it, table.languages)) / len(table.languages)
    columns = max(1, len(table.languages))
    limit = corpus.limit * columns * text.sentence_tokens if corpus.limit else None
    there = [path for path in table.files if path.exists()]
    if not there:
        return None if limit is None else limit * uses
    size = sum(path.stat().st_size * (_COMPRESSED if path.suffix in PACKED else 1) for path in there)
    if not isinstance(corpus, MultiwayCorpus | AlignedCorpus) and len(set(table.files)) > 1:
        size = size / len(there) * len(table.files)
    tokens = size / text.bytes_per_token
    return min(tokens, limit or tokens) * uses


def _pairs(plan: Plan, it: Component, codes: Any) -> list[tuple[str, str]]:
    """The pairs of languages that a component reads, each once."""
    wanted = [code for code in codes if code in (it.languages or plan.languages)]
    asked = set(it.directions.expand(wanted)) if it.directions else None
    return [pair for pair in combinations(wanted, 2) if asked is None or pair in asked or pair[::-1] in asked]
