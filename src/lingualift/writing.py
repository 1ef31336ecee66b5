"""Writing: which words are in the script of their language; Chinese ones in Simplified or Traditional characters."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from lingualift.errors import LingualiftError

if TYPE_CHECKING:
    import regex

# ISO 15924 names writing systems; Unicode's property only the scripts that they are made of.
_MADE_OF = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Hira", "Kana", "Hani"), "Kore": ("Hang", "Hani")}


def in_script(words: Iterable[str], scripts: Sequence[str]) -> list[str | None]:
    """Words as their language writes them.

    Args:
        scripts: the language's, ISO 15924; Chinese words are put into the characters of the first, if that is Hans or
            Hant.

    Returns:
        As many items as ``words``: None for a word that holds letters but none of ``scripts``. A word of several
        scripts stays, and so does one without letters (1990).

    Raises:
        LingualiftError: a script that Unicode does not know.

    Source: Unicode's property Script (UAX 24); OpenCC's t2s and s2tw.
    """
    own, letter = _of_scripts(tuple(scripts)), _letter()
    # Most words by far, and found without an expression: an ASCII letter is a Latin one.
    plain = str.isascii if "Latn" in scripts else lambda word: False
    kept = [word if plain(word) or own.search(word) or not letter.search(word) else None for word in words]
    convert = {"Hans": _simplified, "Hant": _traditional}.get(scripts[0])
    return [word and convert(word) for word in kept] if convert else kept


@functools.cache
def _of_scripts(scripts: tuple[str, ...]) -> "regex.Pattern[str]":
    """A character of the scripts, vowel signs as well as letters."""
    import regex

    parts = dict.fromkeys(part for script in scripts for part in _MADE_OF.get(script, (script,)))
    try:
        return regex.compile("|".join(rf"\p{{Script={part}}}" for part in parts))
    except regex.error as error:
        raise LingualiftError(f"{', '.join(scripts)}: a script that Unicode does not know ({error})") from error


@functools.cache
def _letter() -> "regex.Pattern[str]":
    """A letter of one script, unlike µ or ʼ, which all have in common."""
    import regex

    return regex.compile(r"(?V1)[\p{L}--[\p{Script=Common}\p{Script=Inherited}]]")


def _simplified(word: str) -> str:
    return _opencc("t2s")(word)


def _traditional(word: str) -> str:
    """In the characters of Taiwan; a word that is Traditional already stays.

    Taken for Simplified, it would be spoilt: 干預 (to meddle) would become 幹預.
    """
    return word if _simplified(word) != word else _opencc("s2tw")(word)


@functools.cache
def _opencc(configuration: str) -> Callable[[str], str]:
    from opencc import OpenCC

    return OpenCC(configuration).convert
