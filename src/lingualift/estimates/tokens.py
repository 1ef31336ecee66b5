"""Tokens of a mixture: counted where it is packed, else worked out from what is known of its corpora."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from lingualift.configuration.corpora import AlignedCorpus, MultiwayCorpus
from lingualift.configuration.corpus_base import INSTRUCTION_FIELDS, INSTRUCTIONS, Corpus, TableSource
from lingualift.configuration.mixtures import Component
from lingualift.configuration.prompts import Prompt
from lingualift.configuration.schema import CorpusEntry
from lingualift.errors import LingualiftError
from lingualift.estimates.sizes import cell_bytes, row_bytes, text_bytes
from lingualift.files import read_json
from lingualift.mixing import pair_count, pair_rows
from lingualift.planning import Plan

# Sentences of one row: the two sides of a pair; of an instruction what is asked, what it is asked of, and the answer.
_SENTENCES = {"monolingual": 1, "parallel": 2, "instructions": 3}
# What monolingual text is published in, a record a document; a line of any other is a sentence.
_DOCUMENTS = ("jsonl", "parquet", "datasets")


@dataclass(frozen=True, kw_only=True)
class Text:
    """What is taken of an average row, where nothing was counted.

    Attributes:
        sentence_tokens: tokens of one sentence of one language.
        document_tokens: tokens of one document. The default is mC4's, 6.3 T tokens in 6.6 G pages by the tokenizer of
            mT5, of 250,000 pieces (Xue et al. 2021); one that knows a language less makes more of the same text.
        bytes_per_token: bytes of raw text.
        row_tokens: tokens of one row of a corpus, where the user knows them: of a line, a document, both sides of a
            pair, an instruction with its answer.
    """

    sentence_tokens: float = 40
    document_tokens: float = 950
    bytes_per_token: float = 3
    row_tokens: Mapping[str, float] = field(default_factory=dict)

    def of_row(self, name: str, corpora: Mapping[str, CorpusEntry]) -> float:
        """Tokens of one row of a corpus: as given, else by its kind and by what it is read from."""
        corpus = corpora[name]
        if name in self.row_tokens:
            return self.row_tokens[name]
        if corpus.reader == "translated":
            return 2 * self.of_row(corpus.source, corpora)
        if corpus.kind == "monolingual" and corpus.reader in _DOCUMENTS:
            # Longer ones are dropped.
            longest = corpus.max_characters / self.bytes_per_token if corpus.max_characters else self.document_tokens
            return min(self.document_tokens, longest)
        return _SENTENCES[corpus.kind] * self.sentence_tokens


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Tokens of a mixture.

    Attributes:
        number: of one pass over it.
        blocks: training sequences of one pass.
        source: how they are known: ``packed`` (counted), ``given``, or ``estimated``.
        unknown: the corpora that nothing is known of, and that are not in the number.
        rows: tokens of a row of the corpora of which rows are known, but not their text.
        stored: bytes of the text of its corpora and augmentations, each once.
    """

    number: int
    blocks: int
    source: str
    unknown: tuple[str, ...] = ()
    rows: Mapping[str, float] = field(default_factory=dict)
    stored: Mapping[str, float] = field(default_factory=dict)


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
    reckoned = _Mixture(plan, mixture, results, text, rows)
    components = plan.configuration.mixtures[mixture].components
    found = [reckoned.component(it) for it in components]
    number = round(sum(filter(None, found)))
    return Tokens(
        number=number,
        blocks=-(-number // block),
        source="estimated",
        unknown=tuple(it.source for it, known in zip(components, found, strict=True) if known is None),
        rows=reckoned.guessed,
        stored={name: tokens * text.bytes_per_token for name, tokens in reckoned.stored.items()},
    )


# Rows that are trained on in one way, of one language or pair: their tokens, and those of one row.
_Stream = tuple[float, float]


@dataclass
class _Mixture:
    """A mixture whose tokens are worked out.

    Attributes:
        guessed: tokens of a row by corpus, where they were taken and not measured.
        stored: tokens of the text of a corpus or an augmentation that is not there yet.
    """

    plan: Plan
    name: str
    results: Path
    text: Text
    rows: Mapping[str, int]
    guessed: dict[str, float] = field(default_factory=dict)
    stored: dict[str, float] = field(default_factory=dict)

    def component(self, it: Component) -> float | None:
        """Tokens of one component; None where nothing is known."""
        made = self.plan.configuration.augmentations[it.augmentation] if it.augmentation else None
        name = made.source if made else it.source
        streams = self._corpus(name, it)
        if streams is None:
            return None
        if made:
            # Of a monolingual row the changed one is trained on beside the original.
            texts = 2 if self._kind(name) == "monolingual" else 1
            streams = [(texts * tokens, texts * row) for tokens, row in _sampled(streams, made.sample)]
            self.stored[it.source] = sum(tokens for tokens, _ in streams)
        prompt = self._prompt(it)
        # What a row is asked with stands in the mixture, not in the corpus.
        streams = [(tokens * (1 + prompt / row), row + prompt) if prompt else (tokens, row) for tokens, row in streams]
        return sum(tokens for tokens, _ in _sampled(streams, it.sample))

    def _prompt(self, it: Component) -> float:
        """Tokens that are put around a row of a component: of the template, as if each row had an input."""
        if it.format == "instruction":
            text = self._template.translate(" ", "Language", "Language")
        elif it.corpus and self._kind(it.corpus) == "instructions":
            text = self._template.fill("", " ")
        else:
            return 0.0
        return len(text.encode()) / self.text.bytes_per_token

    @property
    def _template(self) -> Prompt:
        return self.plan.run.prompts[self.plan.configuration.mixtures[self.name].prompt]

    def _kind(self, name: str) -> str:
        return self.plan.configuration.corpora[name].kind

    def _row(self, name: str) -> float:
        """Tokens of a row of a corpus, where its text is not there."""
        self.guessed[name] = self.text.of_row(name, self.plan.configuration.corpora)
        return self.guessed[name]

    def _counts_rows(self, it: Component) -> bool:
        """Whether it matters how long a row is: a number of rows is drawn, not a share, or each has a prompt."""
        made = self.plan.configuration.augmentations.get(it.augmentation or "")
        return any(isinstance(sample, int) for sample in (it.sample, made and made.sample)) or self._prompt(it) > 0

    def _corpus(self, name: str, it: Component) -> list[_Stream] | None:
        """One corpus as a component sees it: a corpus of many languages is read once for each pair."""
        corpus, plan = self.plan.configuration.corpora[name], self.plan
        if name in self.rows:
            row = self._row(name)
            self.stored[name] = self.rows[name] * row
            covered = getattr(corpus, "languages_covered", lambda languages, _: languages)
            wanted = [code for code in covered(plan.languages, plan.run.languages) if code in self._wanted(it)]
            ways = {"parallel": len(self._pairs(it, wanted)), "monolingual": len(wanted)}
            streams = max(1, ways.get(corpus.kind, 1))
            return [(self.stored[name] / streams, row)] * streams
        manifest = self.results / "corpora" / name / "manifest.json"
        if manifest.is_file():
            return [stream for table in read_json(manifest)["tables"] for stream in self._imported(name, table, it)]
        if not isinstance(corpus, Corpus):
            return None
        try:
            tables = corpus.tables(plan.languages, plan.run.languages, plan.run.data)
        except LingualiftError:
            # Which files there are is to be seen only in the folder that is not there.
            return None
        known = [found for table in tables if (found := self._raw(name, corpus, table, it)) is not None]
        self.stored[name] = max(self.stored.get(name, 0.0), sum(tokens for tokens, _ in known))
        return [stream for _, streams in known for stream in streams] if known else None

    def _imported(self, name: str, table: Mapping[str, Any], it: Component) -> list[_Stream]:
        """An imported table: its rows, as long as its text is where that is there; small pairs as often as repeated."""
        codes = table["languages"]
        if table["name"] == INSTRUCTIONS:
            rows = [(table["rows"], 1)]
        elif len(codes) < 2:
            rows = [(table["rows"], 1)] if codes[0] in self._wanted(it) else []
        else:
            original = it.corpus is not None and not table.get("translated")
            pairs = self._pairs(it, codes)
            rows = [(pair_count(table["pairs"], pair), self._repeats(pair) if original else 1) for pair in pairs]
        folder = self.results / "corpora" / name
        if not any(count for count, _ in rows):
            return []
        if name in self.text.row_tokens or not (folder / "tables" / f"{table['name']}.arrow").is_file():
            row = self._row(name)
        else:
            columns = len(INSTRUCTION_FIELDS) if table["name"] == INSTRUCTIONS else len(codes)
            cell = cell_bytes(folder, table["name"], columns=columns) / self.text.bytes_per_token
            row = cell * (columns if table["name"] == INSTRUCTIONS else min(2, columns))
        return [(count * repeats * row, repeats * row) for count, repeats in rows]

    def _repeats(self, pair: tuple[str, str]) -> int:
        small = self.plan.configuration.mixtures[self.name].small_pairs
        return small.repeats if small is not None and self._pair_rows[frozenset(pair)] < small.below else 1

    @cached_property
    def _pair_rows(self) -> Counter[frozenset[str]]:
        """Rows that each pair of languages has in the mixture's imported corpora."""
        names = {it.corpus for it in self.plan.configuration.mixtures[self.name].components if it.corpus}
        manifests = [self.results / "corpora" / name / "manifest.json" for name in sorted(names)]
        tables = [table for path in manifests if path.is_file() for table in read_json(path)["tables"]]
        return pair_rows(table for table in tables if not table.get("translated") and len(table["languages"]) > 1)

    def _raw(self, name: str, corpus: Corpus, table: TableSource, it: Component) -> tuple[float, list[_Stream]] | None:
        """A table that is not imported: the tokens of its text, by the size of its files and at most its limit."""
        columns, parallel = max(1, len(table.languages)), self._kind(name) == "parallel"
        if parallel:
            num_streams = len(self._pairs(it, table.languages))
        else:
            num_streams = int(set(table.languages) <= set(self._wanted(it)))
        if not num_streams:
            return 0.0, []
        # Of a row of many languages two are a pair.
        pairs = columns / 2 if parallel else 1
        there = [path for path in table.files if path.exists()]
        skip, limit = corpus.counted(self.plan.languages, self.plan.run.languages).rows_of(table.languages)
        if limit is None and not there:
            return None
        row = 0.0
        if skip or limit or self._counts_rows(it):
            row = self._first_rows(name, corpus, table, there) or self._row(name)
        if there:
            size = text_bytes(there)
            if not isinstance(corpus, MultiwayCorpus | AlignedCorpus) and len(set(table.files)) > 1:
                size = size / len(there) * len(table.files)
            tokens = max(0.0, size / self.text.bytes_per_token - skip * pairs * row)
            tokens = tokens if limit is None else min(tokens, limit * pairs * row)
        else:
            tokens = limit * pairs * row
        return tokens, [(tokens / pairs, row)] * num_streams

    def _first_rows(self, name: str, corpus: Corpus, table: TableSource, there: list[Path]) -> float | None:
        """Tokens of a row by the first rows of its files; None where they do not tell, or the user has told."""
        if name in self.text.row_tokens or not there:
            return None
        # A file holds one language of each row, or all of them.
        apart = isinstance(corpus, AlignedCorpus | MultiwayCorpus) or corpus.reader == "tatoeba"
        size = row_bytes(corpus, table, there if apart else there[:1])
        if size is None:
            return None
        sides = 2 if self._kind(name) == "parallel" else 1
        return size * (sides if apart else sides / max(1, len(table.languages))) / self.text.bytes_per_token

    def _wanted(self, it: Component) -> list[str]:
        return list(it.languages or self.plan.languages)

    def _pairs(self, it: Component, codes: Iterable[str]) -> list[tuple[str, str]]:
        """The pairs of languages that a component reads, each once."""
        wanted = [code for code in codes if code in self._wanted(it)]
        asked = set(it.directions.expand(self._wanted(it))) if it.directions else None
        return [pair for pair in combinations(wanted, 2) if asked is None or pair in asked or pair[::-1] in asked]


def _sampled(streams: Iterable[_Stream], sample: float | None) -> list[_Stream]:
    """A share of each stream (a fraction), or so many of its rows (an integer)."""
    if sample is None:
        return list(streams)
    if isinstance(sample, int):
        return [(min(tokens, sample * row), row) for tokens, row in streams]
    return [(tokens * sample, row) for tokens, row in streams]
