"""What every corpus of the configuration has: languages, limits, files, and the tables it makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from string import Formatter
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from lingualift.configuration.base import Entry, LanguageCode
from lingualift.errors import InputError, LingualiftError
from lingualift.files import COMPRESSED
from lingualift.languages import Coded, Language, code_in

MULTIWAY = "multiway"
INSTRUCTIONS = "instructions"
INSTRUCTION_FIELDS = ("instruction", "input", "output")

Languages = Mapping[str, Coded]
Pair = tuple[LanguageCode, LanguageCode]
FieldName = str | int
# A number of rows: one for all tables; that of Table 9; or one for each language.
NumRows = PositiveInt | Literal["mono"] | dict[LanguageCode, PositiveInt]
ROW_COUNTS = ("limit", "skip")


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """One table of a corpus and the raw files it is read from.

    Attributes:
        name: a language, "<a>-<b>", "multiway" or "instructions".
        languages: one code a column; for instructions the one language they are in, if it is known.
        files: for line-aligned readers one a language, else to be read one after another.
        fields: where each column is in a record of those files, for readers that have records.
    """

    name: str
    languages: tuple[str, ...]
    files: tuple[Path, ...]
    fields: tuple[FieldName, ...] = ()


class Corpus(Entry):
    """What every corpus has."""

    placeholders: ClassVar[frozenset[str]] = frozenset()

    path: str = Field(description="File or folder, relative to the data folder; may hold the fields of `files`.")
    limit: NumRows | None = Field(
        None,
        description="Only the first so many rows of each table. Of monolingual text also by language (all rows of "
        "those not named), or `mono`: the sentences of each in LLaMAX's data (that column of languages.tsv).",
    )
    skip: NumRows | None = Field(
        None,
        description="So many rows of each table are left out first, so that two corpora can share files; as `limit`.",
    )
    max_characters: int | None = Field(None, gt=0, description="Longer texts are dropped.")
    max_dropped: float = Field(
        0.1,
        ge=0,
        le=1,
        description="More dropped than this share of a table, and than ten rows, is an error; 0: any that is dropped.",
    )

    @model_validator(mode="after")
    def _known_placeholders(self) -> Self:
        if unknown := sorted(self._placeholders() - self.placeholders):
            allowed = ", ".join(f"{{{name}}}" for name in sorted(self.placeholders)) or "none"
            raise ValueError(f"{{{unknown[0]}}} in 'path' or 'files' is not one of those allowed here: {allowed}")
        return self

    @model_validator(mode="after")
    def _rows_of_a_language(self) -> Self:
        for key in ROW_COUNTS:
            if isinstance(getattr(self, key), str | dict) and getattr(self, "kind", None) != "monolingual":
                raise ValueError(f"{key!r} by language is for monolingual text, whose tables are of one language each")
        return self

    def languages_covered(self, languages: Sequence[str], table: Languages) -> list[str]:
        """Those of a run's languages that the corpus has, in the run's order."""
        return [code for code in languages if code in table]

    def counted(self, languages: Sequence[str], table: Mapping[str, Language]) -> Self:
        """The same, with the rows that ``mono`` stands for written out: a number for each language covered."""
        asked = [key for key in ROW_COUNTS if getattr(self, key) == "mono"]
        counts = {code: table[code].mono for code in self.languages_covered(languages, table)}
        return self.model_copy(update=dict.fromkeys(asked, counts)) if asked else self

    def rows_of(self, languages: Sequence[str]) -> tuple[int, int | None]:
        """How many rows of a table in some languages are left out first, and how many are read then (None: all)."""
        skip, limit = (
            it.get(languages[0]) if isinstance(it := getattr(self, key), dict) else it for key in ("skip", "limit")
        )
        return skip or 0, limit

    def tables(self, languages: Sequence[str], table: Languages, data: Path) -> list[TableSource]:
        """The tables to import for a run's languages.

        The files need not exist: a pattern that matches nothing stays as it is, and fails when it is read. Pairs that
        are not named one by one are those that have a file.

        Args:
            languages: the run's languages.
            table: all languages, by code.
            data: the folder that ``path`` starts from.

        Raises:
            InputError: no pair of the languages has a file, with the pattern of their names.
            LingualiftError: nothing of the corpus is in those languages.
        """
        covered = self.languages_covered(languages, table)
        sources = self._sources(covered, table, data)
        if not sources:
            raise LingualiftError(f"'{self.path}': the corpus has none of the languages {', '.join(languages)}")
        return sources

    def _sources(self, covered: list[str], table: Languages, data: Path) -> list[TableSource]:
        raise NotImplementedError

    @property
    def pattern(self) -> str:
        """How the files are named, relative to the data folder."""
        files = getattr(self, "files", None)
        return f"{self.path}/{files}" if files else self.path

    def _placeholders(self) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(self.pattern) if name is not None}

    def _expand(self, data: Path, **codes: str) -> tuple[Path, ...]:
        """The files a template stands for: globs are matched, and ``x`` also finds ``x.gz``."""
        relative = self.pattern.format(**codes)
        if any(character in relative for character in "*?["):
            return tuple(sorted(data.glob(relative))) or (data / relative,)
        path = data / relative
        if not path.exists():
            return (next((packed for packed in _packed(path) if packed.exists()), path),)
        return (path,)


def _packed(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in COMPRESSED]


class TextCorpus(Corpus):
    """Text in languages that are known."""

    languages: tuple[LanguageCode, ...] | None = Field(None, description="Only these of the run's languages.")
    codes: str | None = Field(
        None, description="Column of languages.tsv with the files' codes; default: our own codes."
    )

    def languages_covered(self, languages: Sequence[str], table: Languages) -> list[str]:
        wanted = set(languages if self.languages is None else self.languages)
        return [code for code in languages if code in wanted and self._knows(code, table)]

    def _knows(self, code: str, table: Languages) -> bool:
        """Whether the data set has a code of its own for the language."""
        return code in table and (self.codes is None or self.codes in table[code].codes)

    def _code(self, code: str, table: Languages) -> str:
        return code if self.codes is None else code_in(table[code], self.codes)


class MonolingualCorpus(TextCorpus):
    """One table a language."""

    placeholders = frozenset(["language"])
    language: LanguageCode | None = Field(None, description="The language of a corpus of one.")

    def _knows(self, code: str, table: Languages) -> bool:
        return super()._knows(code, table) and self.language in (None, code)

    def _sources(self, covered: list[str], table: Languages, data: Path) -> list[TableSource]:
        return [
            TableSource(name=code, languages=(code,), files=self._expand(data, language=self._code(code, table)))
            for code in covered
        ]


class ParallelCorpus(TextCorpus):
    """Text with its translations."""

    max_length_ratio: float | None = Field(
        9.0, gt=1, description="Pairs with a side more than so many times as long as the other are dropped."
    )


class PairedCorpus(ParallelCorpus):
    """One table a language pair; ``pairs`` defaults to those that have a file: the other side's is then missed."""

    pair: Pair | None = Field(None, description="The pair of a corpus of one: [source, target].")
    pairs: tuple[Pair, ...] | None = Field(
        None, description="The pairs, in the files' own order; null: those that have a file."
    )

    @model_validator(mode="after")
    def _one_pair_or_many(self) -> Self:
        if self.pair and self.pairs:
            raise ValueError("give 'pair' or 'pairs', not both")
        return self

    def _require_pairs(self) -> None:
        if self._given() is None and not {"source", "target"} <= self._placeholders():
            raise ValueError("give 'pair', or {source} and {target} in 'files'")

    def _given(self) -> tuple[Pair, ...] | None:
        return (self.pair,) if self.pair else self.pairs

    def _knows(self, code: str, table: Languages) -> bool:
        given = self._given()
        return super()._knows(code, table) and (given is None or any(code in pair for pair in given))

    def _sources(self, covered: list[str], table: Languages, data: Path) -> list[TableSource]:
        given = self._given()
        pairs = permutations(covered, 2) if given is None else [p for p in given if set(p) <= set(covered)]
        sources = [
            self._pair_source(pair, table, data, source=self._code(pair[0], table), target=self._code(pair[1], table))
            for pair in pairs
        ]
        if given is not None:
            return sources
        there = [source for source in sources if self._is_there(source)]
        if sources and not there:
            raise InputError(data / self.pattern, "no file of such a name, for any pair of the corpus' languages")
        return there

    def _is_there(self, source: TableSource) -> bool:
        """Whether a pair is one of the corpus: it has a file of its own, whatever else of it is missing."""
        return any(file.exists() for file in source.files)

    def _pair_source(self, pair: Pair, table: Languages, data: Path, **codes: str) -> TableSource:
        raise NotImplementedError


def check_monolingual(corpus: Any) -> Any:
    """A monolingual corpus is in one named language, or its files name theirs."""
    named = {corpus.language is not None, corpus._placeholders() == {"language"}}
    if named != {True, False}:
        raise ValueError("give either 'language' or {language} in 'files'")
    return corpus
