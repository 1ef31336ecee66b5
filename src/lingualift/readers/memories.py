"""Text in translation memories (TMX): which of a unit's variants are in the languages asked for."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lingualift.errors import InputError
from lingualift.files import open_bytes
from lingualift.readers.archives import broken_file_errors
from lingualift.readers.batches import NOT_A_PAIR, Batch, batches_of

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
# Languages of ours whose memories may be in several scripts: the language in BCP 47, and the script that is ours.
SCRIPTS = {
    "az": ("az", "latn"),
    "bs": ("bs", "latn"),
    "lfn": ("lfn", "latn"),
    "sr": ("sr", "cyrl"),
    "uz": ("uz", "latn"),
    "zh": ("zh", "hans"),
    "zhtrad": ("zh", "hant"),
}
# What is written where, if a code does not say it (CLDR, likely subtags).
_SCRIPT_OF_REGION = {("zh", "cn"): "hans", ("zh", "sg"): "hans"} | dict.fromkeys(
    [("zh", "tw"), ("zh", "hk"), ("zh", "mo")], "hant"
)


def read_tmx(files: Sequence[Path], codes: Sequence[str | int], languages: Sequence[str] = ()) -> Iterator[Batch]:
    """A column for each language of translation units, by their xml:lang.

    "en" also finds "en-GB", "ti_ER" finds "ti-ER". Of a unit's variants that are found, the first one with the very
    code is taken, or else the first in the language's script, or else the first. Inner tags count as text around a gap;
    runs of space become one space.

    Args:
        codes: the memories' own for each language.
        languages: ours, if those are others.

    Raises:
        InputError: broken XML, with the line.
    """
    asked = tuple((_tag(str(code)), ours) for code, ours in zip(codes, languages or map(str, codes), strict=True))
    for path in files:
        yield from batches_of(_units(path, asked), path, len(asked), null_reason=NOT_A_PAIR)


def _units(path: Path, asked: tuple[tuple[str, str], ...]) -> Iterator[tuple[int, list[bytes | None]]]:
    """The line and the segments of each translation unit; memory does not grow."""
    from lxml import etree

    with open_bytes(path) as file:
        line = 1
        try:
            with broken_file_errors(path, lambda: line):
                # External entities and DTDs stay unread: a corpus may not make us open other files.
                options = {"load_dtd": False, "no_network": True, "resolve_entities": False}
                for _, unit in etree.iterparse(file, events=("end",), tag="{*}tu", **options):
                    line = unit.sourceline or line
                    best: list[tuple[int, Any] | None] = [None] * len(asked)
                    for variant in unit.iterfind("{*}tuv"):
                        tag = _tag(variant.get(_XML_LANG) or variant.get("lang") or "")
                        segment = variant.find("{*}seg")
                        for column, rank in _columns(tag, asked) if segment is not None else ():
                            if (there := best[column]) is None or rank < there[0]:
                                best[column] = rank, segment
                    yield line, [found and _text(found[1]) for found in best]
                    unit.clear()
                    while unit.getprevious() is not None:
                        del unit.getparent()[0]
        except etree.XMLSyntaxError as error:
            raise InputError(path, f"broken TMX: {error.msg}", line=error.lineno) from error


def _text(segment: Any) -> bytes:
    return " ".join("".join(segment.itertext()).split()).encode()


@functools.lru_cache(maxsize=4096)
def _columns(tag: str, asked: tuple[tuple[str, str], ...]) -> list[tuple[int, int]]:
    """The columns that a variant is for, with how close it is to their languages: those to which it is closest."""
    ranks = {column: rank for column, it in enumerate(asked) if (rank := _rank(tag, *it)) is not None}
    return [(column, rank) for column, rank in ranks.items() if rank == min(ranks.values())]


def _rank(tag: str, code: str, ours: str) -> int | None:
    """How close a variant is to the language of a code: 0 is the same, None another language."""
    language, script = SCRIPTS.get(ours, (code, None))
    root, *parts = tag.split("-")
    if tag == code:
        return 0
    if root in (code, language) and script and script == _script(root, parts):
        return 1
    return 2 if root == code else None


def _script(language: str, parts: Sequence[str]) -> str | None:
    """The script that the parts of a code behind its language say, four letters or by its region."""
    written = next((part for part in parts if len(part) == 4 and part.isalpha()), None)
    return written or next((it for part in parts if (it := _SCRIPT_OF_REGION.get((language, part)))), None)


def _tag(code: str) -> str:
    """A language as both a file and a table of codes may spell it: case does not count, nor what joins its parts."""
    return code.lower().replace("_", "-")
