"""What is wrong with a configuration, in one line each: where, what, what is allowed, the nearest right word."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, RootModel, ValidationError

from lingualift.configuration.base import LANGUAGE_PATTERN, NAME_PATTERN

Place = tuple[str | int, ...]
Mistake = tuple[Place, str]

_TWO_CODES = "two language codes and a hyphen: en-de"
_FORMS = {
    NAME_PATTERN: "a name: letters, digits, '-', '_', '.', '+', and no slash or leading dot",
    LANGUAGE_PATTERN: "a language code: letters, digits, '-', '_'",
    r"^[A-Za-z][A-Za-z0-9_-]*-[A-Za-z][A-Za-z0-9_-]*$": _TWO_CODES,
    r"^[A-Za-z][A-Za-z0-9_]*-[A-Za-z][A-Za-z0-9_]*$": _TWO_CODES,
    r"^[0-9a-f]{40}$": "the 40 digits of a commit (0-9, a-f)",
    r"^[\w.-]+/[\w.-]+$": "a name of the hub: owner/name",
    r"^[\w.-]+(/[\w.-]+)?$": "a name of the hub: owner/name",
    r"^https?://[^\s?#@]+$": "a URL: https://host/v1, without a query or a user",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "the name of an environment variable",
}
_LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "tuple": "a list",
    "list": "a list",
    "dict": "keys with values",
    "model": "keys with values",
}
_BENCHMARK_KEYS = ("directions", "limit", "shards", "scoring_shards")


def mistakes(error: ValidationError, kind: type[BaseModel], values: Any) -> Iterator[tuple[Place, str]]:
    """Every mistake that pydantic found: its key path as it stands in the file, and what to say of it.

    Args:
        kind: what ``values`` were to be.
    """
    found: dict[Place, list[str]] = {}
    errors = [dict(it) for it in error.errors(include_url=False)]
    # A misspelt key is one mistake, not an unknown key and a missing one.
    misspelt = {it["loc"][:-1] for it in errors if it["type"] == "extra_forbidden" and _hint(it, kind)}
    for it in errors:
        if it["type"] == "missing" and it["loc"][:-1] in misspelt:
            continue
        said = found.setdefault(_place(it, values), [])
        message = _explain(it, kind)
        if message not in said:
            said.append(message)
    # Of a value that may be of several kinds, each says why it is not one.
    yield from ((place, "; or ".join(said)) for place, said in found.items())


def show(place: Place) -> str:
    """A key path for people: ``mixtures.lifting.components[1].corpus``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place)
    return text.removeprefix(".") or "(top level)"


def nearest(word: str, allowed: Iterable[str]) -> str:
    """``, did you mean 'x'?`` for the allowed word that is most like a wrong one, or nothing."""
    found = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f", did you mean {found[0]!r}?" if found else ""


def shortened(words: Sequence[str], *, shown: int = 12) -> str:
    """Some words in a line, the first of them where there are many; ``none`` where there are none."""
    return ", ".join(words[:shown]) + (f", … ({len(words)})" if len(words) > shown else "") or "none"


def _place(error: Mapping[str, Any], values: Any) -> Place:
    """The key path as it stands in the file: pydantic also names the classes it tried."""
    location = list(error["loc"])
    if location and location[-1] == "[key]":
        # The key itself is wrong: the message names it.
        location = location[:-2]
    place: list[str | int] = []
    for key in location:
        inside = isinstance(values, Mapping) and key in values
        inside = inside or (_is_list(values) and isinstance(key, int) and key < len(values))
        if inside:
            values = values[key]
            place.append(key)
    if error["type"] == "missing":
        place.append(location[-1])
    if error["type"].startswith("union_tag"):
        place.append("reader")
    return tuple(place)


def _is_list(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str)


def _explain(error: Mapping[str, Any], kind: type[BaseModel]) -> str:
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key{_hint(error, kind)}; allowed: {', '.join(_allowed(error['loc'][:-1], kind))}"
        case "missing":
            return "this key is missing"
        case "string_pattern_mismatch":
            form = _FORMS.get(context["pattern"], f"of the form {context['pattern']}")
            return f"{value!r} is not {form}"
        case "union_tag_invalid":
            allowed = _words(context["expected_tags"])
            return f"no reader {context['tag']!r}{nearest(context['tag'], allowed)}; there are: {', '.join(allowed)}"
        case "union_tag_not_found":
            return "this key is missing; it says what kind of data this is"
        case "literal_error" if error["loc"][-2:] == ("directions", "all") and "-" in str(value):
            return f"{value!r} alone is no list: write [{value}]"
        case "literal_error":
            allowed = _words(context["expected"].replace(" or ", ", "))
            return f"{value!r} is not allowed{nearest(str(value), allowed)}; allowed: {', '.join(allowed)}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            word, key = _LIMITS[error["type"]]
            return f"has to be {word} {context[key]:g}, found {value!r}"
        case "too_short":
            return f"needs {context['min_length']} or more, found {context['actual_length']}"
        case "value_error":
            return f"{context['error']}{_found(value)}"
        case "int_from_float":
            return f"has to be a whole number{_found(value)}"
    expected = _KINDS.get(error["type"].split("_")[0])
    if expected and error["type"].endswith(("_type", "_parsing")):
        return f"has to be {expected}, found {_short(value)}"
    return f"{error['msg']}{_found(value)}"


def _hint(error: Mapping[str, Any], kind: type[BaseModel]) -> str:
    return nearest(str(error["loc"][-1]), _allowed(error["loc"][:-1], kind))


def _words(listed: str) -> list[str]:
    return [word.strip(" '") for word in listed.split(",")]


def _found(value: Any) -> str:
    """The wrong value, if it is short enough to be of help."""
    return "" if isinstance(value, Mapping) or _is_list(value) else f", found {_short(value)}"


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _allowed(place: Sequence[str | int], kind: type[BaseModel]) -> list[str]:
    """The keys that an entry at a place may have, followed through the classes."""
    kinds: list[Any] = [kind]
    for key in place:
        kinds = [inner for kind in kinds for inner in _inner(kind, key)] or kinds
    names = [
        field.alias or name for kind in kinds if isinstance(kind, type) for name, field in kind.model_fields.items()
    ]
    if len(place) == 4 and place[0] == "benchmarks" and place[2] == "test":
        names += _BENCHMARK_KEYS
    return list(dict.fromkeys(names))


def _inner(kind: Any, key: str | int) -> list[Any]:
    """Where one step of a key path may lead: classes, or types of dictionaries and lists."""
    if get_origin(kind) is dict:
        return _parts(get_args(kind)[1])
    if get_origin(kind) in (list, tuple):
        return _parts(get_args(kind)[0])
    fields = kind.model_fields
    for name, field in fields.items():
        if key in (name, field.alias):
            return _parts(field.annotation)
    reader = fields.get("reader")
    # The name of a class that pydantic tried.
    return [kind] if key == kind.__name__ or (reader is not None and key in get_args(reader.annotation)) else []


def _parts(annotation: Any) -> list[Any]:
    """The classes, dictionaries and lists of classes that a type may stand for."""
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _parts(annotation.model_fields["root"].annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (dict, list, tuple):
        return [annotation]
    return [found for part in get_args(annotation) for found in _parts(part)]
