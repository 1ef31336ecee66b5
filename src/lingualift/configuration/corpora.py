"""Corpora as entries of the configuration, a class for each reader."""

from collections.abc import Sequence
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lingualift.configuration.base import Entry, LanguageCode
from lingualift.configuration.corpus_base import (
    INSTRUCTION_FIELDS,
    INSTRUCTIONS,
    MULTIWAY,
    Corpus,
    FieldName,
    Languages,
    MonolingualCorpus,
    Pair,
    PairedCorpus,
    ParallelCorpus,
    TableSource,
    check_monolingual,
)


class LinesCorpus(MonolingualCorpus):
    """Monolingual text, one a line."""

    reader: Literal["lines"]
    kind: Literal["monolingual"] = "monolingual"
    files: str | None = Field(None, description="File names under `path`, with {language}; globs allowed.")

    @model_validator(mode="after")
    def _one_language_or_many(self) -> Self:
        return check_monolingual(self)


class SideFiles(Entry):
    """File names under `path`, where those of the two sides are built differently."""

    source: str = Field(description="Of the source's side, with {source} and {target}.")
    target: str = Field(description="Of the target's side, likewise.")


class AlignedCorpus(PairedCorpus):
    """Two files a pair, aligned line by line."""

    placeholders = frozenset(["language", "source", "target"])
    reader: Literal["aligned"]
    kind: Literal["parallel"] = "parallel"
    files: str | SideFiles = Field(
        description="File names under `path`, with {language} and perhaps {source} and {target}; or those of `source` "
        "and `target` apart."
    )

    @model_validator(mode="after")
    def _a_file_a_side(self) -> Self:
        if isinstance(self.files, SideFiles):
            if self.files.source == self.files.target:
                raise ValueError("'source' and 'target' of 'files' are the same")
        elif "language" not in self._placeholders():
            raise ValueError("'files' needs {language}, to tell the two sides apart")
        self._require_pairs()
        return self

    def _pair_source(self, pair: Pair, table: Languages, data: Path, **codes: str) -> TableSource:
        sides = [self._one_side(number) for number in range(2)]
        files = [
            side._expand(data, language=self._code(code, table), **codes)[0]
            for side, code in zip(sides, pair, strict=True)
        ]
        return TableSource(name="-".join(pair), languages=pair, files=tuple(files))

    def _one_side(self, number: int) -> Self:
        """The same corpus with the file names of one side."""
        if isinstance(self.files, SideFiles):
            return self.model_copy(update={"files": (self.files.source, self.files.target)[number]})
        return self

    @property
    def pattern(self) -> str:
        return self._one_side(0).pattern if isinstance(self.files, SideFiles) else super().pattern

    def _placeholders(self) -> set[str]:
        if isinstance(self.files, SideFiles):
            return self._one_side(0)._placeholders() | self._one_side(1)._placeholders()
        return super()._placeholders()

    def _is_there(self, source: TableSource) -> bool:
        if isinstance(self.files, SideFiles):
            sides = [{"source", "target"} <= self._one_side(number)._placeholders() for number in range(2)]
            own = [file for file, is_own in zip(source.files, sides, strict=True) if is_own]
            # A file that pairs share says nothing of any of them.
            return any(file.exists() for file in own) if own else all(file.exists() for file in source.files)
        return super()._is_there(source)


class TmxCorpus(PairedCorpus):
    """Translation memories, one or more files a pair; `codes` are those of their xml:lang."""

    placeholders = frozenset(["source", "target"])
    reader: Literal["tmx"]
    kind: Literal["parallel"] = "parallel"
    files: str | None = Field(None, description="File names under `path`, with {source} and {target}; globs allowed.")

    @model_validator(mode="after")
    def _which_pairs(self) -> Self:
        self._require_pairs()
        return self

    def _pair_source(self, pair: Pair, table: Languages, data: Path, **codes: str) -> TableSource:
        files = self._expand(data, **codes)
        return TableSource(name="-".join(pair), languages=pair, files=files, fields=tuple(codes.values()))


class MultiwayCorpus(ParallelCorpus):
    """One file a language, aligned line by line over all languages."""

    placeholders = frozenset(["language"])
    reader: Literal["multiway"]
    kind: Literal["parallel"] = "parallel"
    files: str = Field(description="File names under `path`, with {language}.")

    @model_validator(mode="after")
    def _a_file_a_language(self) -> Self:
        if "language" not in self._placeholders():
            raise ValueError("'files' needs {language}")
        return self

    def _sources(self, covered: list[str], table: Languages, data: Path) -> list[TableSource]:
        files = [self._expand(data, **self._file_codes(self._code(code, table)))[0] for code in covered]
        return [TableSource(name=MULTIWAY, languages=tuple(covered), files=tuple(files))] if covered else []

    def _file_codes(self, code: str) -> dict[str, str]:
        """What any of the placeholders stands for."""
        return {"language": code, "split": Path(self.path).name, "part": "src" if code == "eng" else "ref"}


class FloresCorpus(MultiwayCorpus):
    """FLORES: a folder named after its split, `<code>.<split>`; set `codes: flores200` for FLORES-200."""

    placeholders = frozenset(["language", "split"])
    reader: Literal["flores"]  # type: ignore[assignment]
    codes: str | None = "flores101"
    files: str = Field("{language}.{split}", description="File names under `path`, with {language} and {split}.")


class NtrexCorpus(MultiwayCorpus):
    """NTREX: `newstest2019-src.eng.txt` and `newstest2019-ref.<code>.txt`."""

    placeholders = frozenset(["language", "part"])
    reader: Literal["ntrex"]  # type: ignore[assignment]
    codes: str | None = "ntrex"
    files: str = Field("newstest2019-{part}.{language}.txt", description="File names; {part} is src or ref.")


class TatoebaCorpus(ParallelCorpus):
    """Tatoeba test pairs against English, `tatoeba.<code>-eng.{<code>,eng}`."""

    placeholders = frozenset(["language", "source"])
    reader: Literal["tatoeba"]
    kind: Literal["parallel"] = "parallel"
    codes: str | None = "tatoeba"
    files: str = "tatoeba.{source}-eng.{language}"

    def _sources(self, covered: list[str], table: Languages, data: Path) -> list[TableSource]:
        sources = []
        for code in [code for code in covered if code != "en" and "en" in covered]:
            other = self._code(code, table)
            files = [self._expand(data, source=other, language=side)[0] for side in (other, "eng")]
            sources.append(TableSource(name=f"{code}-en", languages=(code, "en"), files=tuple(files)))
        return sources


class _Records(PairedCorpus):
    """Files of records: monolingual by `text_field`, parallel by `columns`, or by `text_field` with {language}."""

    placeholders = frozenset(["language", "source", "target"])
    kind: Literal["monolingual", "parallel"] = "monolingual"
    files: str | None = Field(None, description="File names under `path`, with {language}, or {source} and {target}.")
    language: LanguageCode | None = Field(None, description="The language of a monolingual corpus of one.")
    text_field: FieldName | None = Field(None, description="Field of the text; dots descend; may hold {language}.")
    columns: dict[LanguageCode, FieldName] | None = Field(
        None, description="Field of each language of the records; or of `source` and `target`, for many pairs."
    )

    @model_validator(mode="before")
    @classmethod
    def _imply_kind(cls, values: object) -> object:
        if isinstance(values, dict) and "kind" not in values:
            parallel = any(values.get(key) for key in ("columns", "pair", "pairs"))
            parallel = parallel or "{source}" in f"{values.get('path')}{values.get('files')}"
            return {**values, "kind": "parallel" if parallel else "monolingual"}
        return values

    @model_validator(mode="after")
    def _fields_fit_kind(self) -> Self:
        if (self.text_field is None) == (self.columns is None):
            raise ValueError("give either 'text_field' or 'columns'")
        if self.kind == "monolingual":
            if "max_length_ratio" in self.model_fields_set:
                raise ValueError("'max_length_ratio' is for parallel corpora: one text alone has no ratio")
            if self.columns is not None:
                raise ValueError("'columns' is for parallel corpora; give 'text_field'")
            return check_monolingual(self)
        if "language" in self._placeholders():
            raise ValueError("'files' of a parallel corpus may hold {source} and {target}, not {language}")
        if self.columns is not None and not self._by_side() and self._placeholders():
            raise ValueError("beside {source} and {target} in 'files', 'columns' are those of source and target")
        if self.columns is not None and len(self.columns) < 2:
            raise ValueError("'columns' needs two languages or more")
        if self.columns is None and "{language}" not in str(self.text_field):
            raise ValueError("a parallel corpus needs 'columns', or {language} in 'text_field'")
        if self.columns is None or self._by_side():
            self._require_pairs()
        return self

    def _by_side(self) -> bool:
        return self.columns is not None and set(self.columns) == {"source", "target"}

    def _knows(self, code: str, table: Languages) -> bool:
        in_columns = self.columns is None or self._by_side() or code in self.columns
        return super()._knows(code, table) and self.language in (None, code) and in_columns

    def _sources(self, covered: list[str], table: Languages, data: Path) -> list[TableSource]:
        if self.kind == "monolingual":
            return [self._source((c,), table, data, language=self._code(c, table)) for c in covered]
        if self.columns is not None and not self._by_side():
            return [self._source(tuple(covered), table, data)] if len(covered) > 1 else []
        return super()._sources(covered, table, data)

    def _pair_source(self, pair: Pair, table: Languages, data: Path, **codes: str) -> TableSource:
        return self._source(pair, table, data, **codes)

    def _source(self, languages: tuple[str, ...], table: Languages, data: Path, **codes: str) -> TableSource:
        if self.columns is not None:
            fields = tuple(self.columns[key] for key in (("source", "target") if self._by_side() else languages))
        elif isinstance(self.text_field, int):
            fields = (self.text_field,)
        else:
            fields = tuple(str(self.text_field).format(language=self._code(code, table)) for code in languages)
        name = "-".join(languages) if len(languages) < 3 else MULTIWAY
        return TableSource(name=name, languages=languages, files=self._expand(data, **codes), fields=fields)


class TsvCorpus(_Records):
    """Separated values without quoting; fields are positions from 0, or names of the header."""

    reader: Literal["tsv"]
    header: bool = False
    separator: str = Field("\t", min_length=1, max_length=1)
    missing: str | tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="What a cell without text contains, one text or several: not an error, even in a benchmark. "
        "An empty text among several: cells that are empty.",
    )

    @model_validator(mode="after")
    def _names_need_a_header(self) -> Self:
        fields = [self.text_field] if self.columns is None else list(self.columns.values())
        if not self.header and not all(isinstance(field, int) for field in fields):
            raise ValueError("fields by name need 'header: true'; else give positions from 0")
        return self

    @property
    def missing_texts(self) -> tuple[str, ...]:
        """What stands in cells without text."""
        return (self.missing,) if isinstance(self.missing, str) else self.missing or ()


class JsonlCorpus(_Records):
    """JSON objects, one a line, or one JSON array of them."""

    reader: Literal["jsonl"]


class ParquetCorpus(_Records):
    """Parquet files."""

    reader: Literal["parquet"]


class Hub(Entry):
    """Where to fetch a data set from, once."""

    name: str = Field(
        pattern=r"^[\w.-]+(/[\w.-]+)?$", description="A data set of the Hugging Face hub: owner, slash, name."
    )
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="The commit: what is fetched is always the same.")
    configuration: str | None = Field(
        None, description="The data set's configuration (subset); may hold the fields of `path`."
    )
    files: str | None = Field(
        None, description="Instead: only these of its files, a glob; may hold the fields of `path`."
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if self.configuration and self.files:
            raise ValueError("give 'configuration' or 'files', not both")
        return self

    def filled(self, codes: dict[str, str]) -> Self:
        """The same, with the codes of a language or a pair in place."""
        return self.model_copy(
            update={
                key: value.format(**codes)
                for key in ("configuration", "files")
                if (value := getattr(self, key)) is not None
            }
        )


class DatasetsCorpus(_Records):
    """A data set saved by the datasets library (`save_to_disk`)."""

    reader: Literal["datasets"]
    split: str | None = Field("train", description="The split, where splits were saved together.")
    hub: Hub | None = Field(None, description="Where the rule `fetch_dataset` has it from, if `path` is not there.")

    @model_validator(mode="after")
    def _fetchable(self) -> Self:
        if self.hub is None:
            return self
        if Path(self.path).is_absolute() or any(sign in self.pattern for sign in "*?["):
            raise ValueError("the 'path' of a data set of the hub is a folder under the data folder, without globs")
        if self.kind == "parallel" and (self.columns is None or self._by_side()) and self._given() is None:
            raise ValueError("give 'pairs': before they are fetched no files show which there are")
        fields = {
            name
            for text in (self.hub.configuration, self.hub.files)
            for _, name, _, _ in Formatter().parse(text or "")
            if name is not None
        }
        if unknown := sorted(fields - self._placeholders()):
            raise ValueError(f"{{{unknown[0]}}} in 'hub' is not in 'path'")
        return self

    def fetched(self, languages: Sequence[str], table: Languages) -> dict[str, Hub]:
        """The folders that come from the hub, relative to the data folder, and what goes into each."""
        if self.hub is None:
            return {}
        found = {}
        for source in self._sources(self.languages_covered(languages, table), table, Path()):
            codes = [self._code(code, table) for code in source.languages]
            keys = ("language",) if self.kind == "monolingual" else ("source", "target")
            found[str(source.files[0])] = self.hub.filled(dict(zip(keys, codes, strict=False)))
        return found


class AlpacaCorpus(Corpus):
    """Instructions in Alpaca's JSON: instruction, input (may be empty) and output."""

    reader: Literal["alpaca"]
    kind: Literal["instructions"] = "instructions"

    def _sources(self, covered: list[str], table: Languages, data: Path) -> list[TableSource]:
        return [TableSource(name=INSTRUCTIONS, languages=(), files=self._expand(data), fields=INSTRUCTION_FIELDS)]


AnyCorpus = Annotated[
    LinesCorpus
    | AlignedCorpus
    | MultiwayCorpus
    | FloresCorpus
    | NtrexCorpus
    | TsvCorpus
    | JsonlCorpus
    | TmxCorpus
    | TatoebaCorpus
    | ParquetCorpus
    | DatasetsCorpus
    | AlpacaCorpus,
    Field(discriminator="reader"),
]
