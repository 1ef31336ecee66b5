"""Dictionaries, and the augmentations made with the lexicons that come of them."""

from typing import Annotated, Literal

from pydantic import Field

from lingualift.configuration.base import Entry, LanguageCode, Name

Pair = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_]*-[A-Za-z][A-Za-z0-9_]*$", description="Two language codes and a hyphen: en-de."
    ),
]
_PAIR_FILES = "How the files are named; {source} and {target} stand for the data set's codes, * for anything."


class _AnyDictionary(Entry):
    """What every dictionary has."""

    path: str = Field(description="A file, a zip or a folder; relative to the run's data folder.")
    codes: str | None = Field(None, description="The column of languages.tsv that holds its codes; null: our own.")
    hops: Literal[1, 2] = Field(1, description="2 adds the translations of translations (LLaMAX, appendix F).")
    languages: list[LanguageCode] | None = Field(None, min_length=2, description="Only these; null: all it covers.")
    bidirectional: bool = Field(True, description="A pair of words is a translation either way.")
    keep_identical: bool = Field(True, description="Keep words that are their own translation (names, loans, noise).")


class MuseDictionary(_AnyDictionary):
    """A folder of MUSE's files: ``en-de.txt``, a word and its translation on a line, perhaps compressed.

    A line that is not UTF-8 is an error.
    """

    reader: Literal["muse"]
    codes: str | None = Field("muse", description="The column of languages.tsv that holds its codes.")
    files: str = Field("{source}-{target}.txt", description=_PAIR_FILES)
    pairs: list[Pair] | None = Field(None, min_length=1, description="Only these files, in our codes; null: all.")


class TsvDictionary(_AnyDictionary):
    """Word pairs by tab, one file a pair of languages, e.g. ``en-sw.txt``; empty sides are dropped and counted."""

    reader: Literal["tsv"]
    files: str = Field("{source}-{target}.txt", description=_PAIR_FILES)
    pairs: list[Pair] | None = Field(None, min_length=1, description="Only these files, in our codes; null: all.")


class PanlexBliDictionary(_AnyDictionary):
    """PanLex's bilingual lexicons: a zip or a folder (of zips) with ``hu-bg/hu-bg.train.5000.cc.trans``."""

    reader: Literal["panlex-bli"]
    files: str = Field("{source}-{target}.train.*.trans", description=_PAIR_FILES)
    pairs: list[Pair] | None = Field(None, min_length=1, description="Only these files, in our codes; null: all.")


class PanlexSwadeshDictionary(_AnyDictionary):
    """The PanLex Swadesh corpus: a file a variety, a line a concept, synonyms by tab."""

    reader: Literal["panlex-swadesh"]
    codes: str | None = Field("panlex", description="The column of languages.tsv with PanLex's ids (deu-000).")
    lists: list[Literal["swadesh110", "swadesh207"]] = Field(
        ["swadesh110", "swadesh207"], min_length=1, description="Which word lists."
    )


class PanlexCsvDictionary(_AnyDictionary):
    """A table exported from PanLex, ``.csv`` or ``.tsv``, with a header.

    Either the columns ``source_language``, ``source``, ``target_language``, ``target`` (a pair of words a row),
    or a column a language, headed by its code (a meaning a row; several words in a cell by ``synonyms``).
    """

    reader: Literal["panlex-csv"]
    codes: str | None = Field("panlex", description="The column of languages.tsv with the codes the table uses.")
    synonyms: str = Field("|", min_length=1, max_length=1, description="What separates several words in one cell.")


Dictionary = Annotated[
    MuseDictionary | TsvDictionary | PanlexBliDictionary | PanlexSwadeshDictionary | PanlexCsvDictionary,
    Field(discriminator="reader"),
]


class Augmentation(Entry):
    """Pseudo-parallel text: a corpus with words replaced by their translations (LLaMAX, section 2.1).

    Of a parallel source each pair takes one of its two directions, its source side is replaced and loss is on the
    target alone; of a monolingual source the pair is (changed, original) and loss is on both.
    """

    dictionary: Name = Field(description="The dictionary whose lexicon is used.")
    source: Name = Field(description="The corpus to change.")
    rate: float = Field(1.0, ge=0, le=1, description="The chance that a word the lexicon knows is replaced.")
    pairs: list[Pair] | None = Field(None, min_length=1, description="Only these language pairs, in either order.")
    sample: Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="At most so many rows of each language pair (an integer), or a share of them (up to 1.0)."
    )
    to: list[LanguageCode] | None = Field(None, min_length=1, description="Replace by these languages; null: all.")
    lower: bool = Field(True, description="Lower-case the changed side.")
    strip_punctuation: bool = Field(True, description="Look up 'dog' for 'dog,' and put the comma back.")
