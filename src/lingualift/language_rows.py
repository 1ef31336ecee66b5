"""A row more in the table of languages."""

from collections.abc import Sequence
from pathlib import Path

from lingualift.configuration.messages import nearest
from lingualift.errors import InputError, LingualiftError
from lingualift.files import atomic_path
from lingualift.languages import Language, load_languages

_NEEDED = ("code", "name", "script", "iso639_3")
# Of a language that the paper has not.
_DEFAULTS = {"family": "unknown", "segmentation": "space", "resource": "low", "seen": "no"}


def add_language(path: Path, cells: Sequence[str]) -> Language:
    """Add a language to a table, which is changed only if it can be read again.

    Args:
        path: the table, as :func:`lingualift.languages.load_languages` reads it.
        cells: ``COLUMN=VALUE``, in any order; columns that are not named are empty, or as of most new languages.

    Returns:
        The language as it was read again.

    Raises:
        LingualiftError: an unknown column, a language that is there, a cell that is needed, or one that cannot be so.
    """
    table = load_languages(path)
    text = path.read_text(encoding="utf-8")
    header = next(line for line in text.splitlines() if line and not line.startswith("#")).split("\t")
    given = dict(_DEFAULTS)
    for cell in cells:
        column, equals, value = cell.partition("=")
        if not equals:
            raise LingualiftError(f"{cell!r}: wanted is COLUMN=VALUE")
        if column not in header:
            hint = nearest(column, header)
            raise LingualiftError(f"no column {column!r} in {path}{hint}; there are: {', '.join(header)}")
        given[column] = value.strip()
    if lacking := [column for column in _NEEDED if not given.get(column)]:
        raise LingualiftError(f"give {', '.join(f'{column}=…' for column in lacking)}, too")
    if given["code"] in table:
        raise LingualiftError(f"{given['code']!r} is there: {table[given['code']].name}")
    row = "\t".join(given.get(column, "") for column in header)
    with atomic_path(path) as part:
        part.write_text(f"{text.rstrip(chr(10))}\n{row}\n", encoding="utf-8")
        try:
            return load_languages(part)[given["code"]]
        except InputError as error:
            raise LingualiftError(error.message) from error
