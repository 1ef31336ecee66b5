"""The languages: what ``config/languages.tsv`` says of each, and what each data set calls it.

The high and low groups are those of LLaMAX, Table 4, whose members the paper's text does not list. They follow
from the score tables its authors released: one split alone gives the published group means. Languages outside
the paper's 102 count as low.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from lingualift.errors import InputError, LingualiftError

_FACTS = (
    "code",
    "name",
    "family",
    "mono",
    "para",
    "directions",
    "script",
    "iso639_3",
    "segmentation",
    "resource",
    "seen",
)
_SEGMENTATIONS = ("space", "jieba", "character")
_RESOURCES = ("high", "low")
# No hyphen: "a-b" names a pair.
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SCRIPTS = re.compile(r"[A-Z][a-z]{3}( [A-Z][a-z]{3})*")


@dataclass(frozen=True, kw_only=True)
class Language:
    """One language.

    Attributes:
        code: as in the LLaMAX paper, Table 9; without a hyphen.
        name: in English.
        family: as in Table 9.
        scripts: ISO 15924, the usual one first; several where a language is written in several.
        iso639_3: ISO 639-3; varieties may share one.
        segmentation: how to find words: "space", "jieba" or "character".
        resource: "high" or "low".
        seen: whether it is one of the 102 languages of LLaMAX.
        mono: monolingual sentences in LLaMAX's data (Table 9); None outside the 102.
        para: sentence pairs with this language there; None outside the 102.
        directions: translation directions there; None outside the 102.
        codes: data set → its code for the language; data sets without the language are left out.
    """

    code: str
    name: str
    family: str
    scripts: tuple[str, ...]
    iso639_3: str
    segmentation: str
    resource: str
    seen: bool
    mono: int | None
    para: int | None
    directions: int | None
    codes: Mapping[str, str] = field(hash=False)

    @property
    def script(self) -> str:
        """The usual one."""
        return self.scripts[0]


class Coded(Protocol):
    """What readers need to know of a language."""

    @property
    def code(self) -> str:
        """Ours."""

    @property
    def codes(self) -> Mapping[str, str]:
        """What data sets call it."""


class Written(Coded, Protocol):
    """What the import of dictionaries needs to know of a language."""

    @property
    def scripts(self) -> Sequence[str]:
        """ISO 15924, the usual one first."""


def told(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Languages as the settings of a job have them: with those facts that it uses; any other is an AttributeError.

    Args:
        facts: code → attribute of :class:`Language` → value.
    """
    return {code: SimpleNamespace(code=code, **values) for code, values in facts.items()}


def load_languages(path: str | Path) -> dict[str, Language]:
    """Read the table of languages; once a process for each version of the file.

    Args:
        path: tab-separated, ``#`` lines skipped, then a header: the facts of :class:`Language`, then data sets.

    Returns:
        Code → language, in the file's order. Not to be changed: it is shared.

    Raises:
        InputError: a missing file or column, a code given twice, or a bad value; with the line.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise InputError(path, "no such file")
    return _load(path, path.stat().st_mtime_ns)


def code_in(language: Language, dataset: str) -> str:
    """What a data set calls a language.

    Raises:
        LingualiftError: the table names no code for it.
    """
    try:
        return language.codes[dataset]
    except KeyError:
        raise LingualiftError(
            f"{language.name} ({language.code}) has no code in '{dataset}': leave it out of the languages there, "
            f"or fill the column '{dataset}' of config/languages.tsv"
        ) from None


@functools.lru_cache(maxsize=8)
def _load(path: Path, _version: int) -> dict[str, Language]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(path, f"not UTF-8: {error.reason}") from error
    rows = [(number, line.split("\t")) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if not rows:
        raise InputError(path, "holds no header")
    header_line, header = rows[0]
    if missing := [name for name in _FACTS if name not in header]:
        raise InputError(path, f"the header lacks the column(s) {', '.join(missing)}", line=header_line)
    if len(set(header)) < len(header):
        raise InputError(path, "the header names a column twice", line=header_line)
    languages: dict[str, Language] = {}
    for number, cells in rows[1:]:
        if len(cells) != len(header):
            raise InputError(path, f"{len(cells)} columns where the header has {len(header)}", line=number)
        language = _language(dict(zip(header, cells, strict=True)), path, number)
        if language.code in languages:
            raise InputError(path, f"the code '{language.code}' is given twice", line=number)
        languages[language.code] = language
    return languages


def _language(row: dict[str, str], path: Path, line: int) -> Language:
    """One row, checked."""

    def choice(column: str, allowed: tuple[str, ...]) -> str:
        if row[column] not in allowed:
            raise InputError(path, f"{column} is '{row[column]}', not one of {', '.join(allowed)}", line=line)
        return row[column]

    def matching(column: str, pattern: str | re.Pattern[str], what: str) -> str:
        if not re.fullmatch(pattern, row[column]):
            raise InputError(path, f"{column} is '{row[column]}', not {what}", line=line)
        return row[column]

    def count(column: str) -> int | None:
        return int(matching(column, r"\d+", "a whole number")) if row[column] else None

    return Language(
        code=matching("code", _CODE, "letters, digits and '_'"),
        name=matching("name", r".+", "a name"),
        family=row["family"],
        scripts=tuple(matching("script", _SCRIPTS, "ISO 15924 scripts such as Latn or Cyrl Latn").split()),
        iso639_3=matching("iso639_3", r"[a-z]{3}", "an ISO 639-3 code such as deu"),
        segmentation=choice("segmentation", _SEGMENTATIONS),
        resource=choice("resource", _RESOURCES),
        seen=choice("seen", ("yes", "no")) == "yes",
        mono=count("mono"),
        para=count("para"),
        directions=count("directions"),
        codes={name: cell for name, cell in row.items() if name not in _FACTS and cell},
    )
