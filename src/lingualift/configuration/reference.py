"""The reference of the configuration: its sections and keys as Markdown tables, read off the models themselves."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from lingualift.configuration.base import LanguageCode, Name
from lingualift.configuration.prompts import Prompt
from lingualift.configuration.schema import Configuration
from lingualift.errors import InputError

MARKER = (
    "<!-- Below: made by `lingualift reference --into config/README.md`; a test holds it in step with the code. -->"
)

_NAMED = {"name": Name, "language": LanguageCode}
# pydantic takes the description of a type for that of a key without one.
_OF_TYPES = {get_args(kind)[1].description: text for text, kind in _NAMED.items()}
_PATTERNS = {
    next(item.pattern for item in get_args(kind)[1].metadata if hasattr(item, "pattern")): text
    for text, kind in _NAMED.items()
}


def reference() -> str:
    """Every section of a configuration and every key in it: type, default, meaning."""
    parts = ["## Top level", "", *_table(_own_fields(Configuration))]
    for section, field in Configuration.model_fields.items():
        kinds = _entries(field)
        if kinds:
            parts += ["", f"## `{section}`", "", *_section(kinds)]
    parts += ["", "## `prompts.yaml`", "", _summary(Prompt), "", *_table(Prompt.model_fields)]
    return "\n".join(parts) + "\n"


def insert(path: str | Path) -> None:
    """Write the reference into a file, in place of all that stands under the marker.

    Raises:
        InputError: the file has no marker.
    """
    path = Path(path)
    head, marker, _ = path.read_text(encoding="utf-8").partition(MARKER)
    if not marker:
        raise InputError(path, f"has no line {MARKER!r} to put the reference under")
    path.write_text(f"{head}{MARKER}\n\n{reference()}", encoding="utf-8")


def _section(kinds: list[type[BaseModel]]) -> Iterator[str]:
    """The entries of one section: what all kinds share first, then each kind's own keys."""
    shared = [name for name in kinds[0].model_fields if len(kinds) > 1 and _same(name, kinds)]
    if shared:
        yield "Every entry has"
        yield ""
        yield from _table({name: kinds[0].model_fields[name] for name in shared})
    for kind in kinds:
        own = {name: field for name, field in kind.model_fields.items() if name not in shared}
        own = dict(sorted(own.items(), key=lambda item: not item[1].is_required()))
        reader = own.pop("reader", None)
        if reader is not None and len(get_args(own["kind"].annotation) if "kind" in own else ()) == 1:
            del own["kind"]
        if reader is not None:
            yield from ("", f"### `reader: {get_args(reader.annotation)[0]}`", "")
        elif len(kinds) > 1:
            yield from ("", f"### {kind.__name__}", "")
        yield _summary(kind)
        if own:
            yield ""
            yield from _table(own)
        for inner in _inner(kind):
            if inner not in kinds:
                yield from ("", f"#### {inner.__name__}", "", _summary(inner))
                if not issubclass(inner, RootModel):
                    yield ""
                    yield from _table(inner.model_fields)


def _same(name: str, kinds: list[type[BaseModel]]) -> bool:
    """Whether a key means the same in all kinds but the odd one (a corpus that is translated has no path)."""
    found = [kind.model_fields[name] for kind in kinds if name in kind.model_fields]
    alike = [field for field in found if _row(name, field) == _row(name, found[0])]
    return len(alike) >= len(kinds) - 1


def _own_fields(kind: type[BaseModel]) -> dict[str, FieldInfo]:
    return {name: field for name, field in kind.model_fields.items() if not _entries(field)}


def _entries(field: FieldInfo) -> list[type[BaseModel]]:
    """The kinds of entry in a section, a mapping of names to entries."""
    return _models(get_args(field.annotation)[1]) if get_origin(field.annotation) is dict else []


def _inner(kind: type[BaseModel]) -> list[type[BaseModel]]:
    """The smaller entries inside an entry, in the order of its keys, with those inside of them."""
    found: dict[type[BaseModel], None] = {}
    for field in kind.model_fields.values():
        for model in _models(field.annotation):
            if get_origin(field.annotation) is not Annotated and not _is_corpus(model):
                found.update(dict.fromkeys([model, *([] if issubclass(model, RootModel) else _inner(model))]))
    return list(found)


def _is_corpus(kind: type[BaseModel]) -> bool:
    return "reader" in kind.model_fields


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(dict.fromkeys(found for part in get_args(annotation) for found in _models(part)))


def _table(fields: dict[str, FieldInfo]) -> list[str]:
    return ["| key | value | default | meaning |", "|---|---|---|---|", *(_row(*item) for item in fields.items())]


def _row(name: str, field: FieldInfo) -> str:
    default = "required" if field.is_required() else f"`{_default(field)}`"
    meaning = "" if field.description in _OF_TYPES else (field.description or "").replace("|", "\\|")
    patterns = [_PATTERNS[item.pattern] for item in field.metadata if getattr(item, "pattern", None) in _PATTERNS]
    return f"| `{field.alias or name}` | {(patterns or [_type(field.annotation)])[0]} | {default} | {meaning} |"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        value = list(value)
    return '""' if value == "" else str(value).replace("\t", "\\t").replace("|", "\\|").replace("'", "")


def _type(annotation: Any) -> str:
    """A type, for people who write YAML."""
    for text, named in _NAMED.items():
        if annotation == named:
            return text
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(args[0]) if _models(args[0]) != _models(annotation) or len(_models(args[0])) < 4 else "an entry"
    if origin is Literal:
        return ", ".join(f"`{_plain(value)}`" for value in args)
    if origin in (typing.Union, types.UnionType):
        kinds = [_type(arg) for arg in args if arg is not type(None)]
        return "an entry" if len(_models(annotation)) > 3 else " or ".join(dict.fromkeys(kinds))
    if origin in (list, tuple):
        inner = [arg for arg in args if arg is not Ellipsis]
        if origin is tuple and len(args) == 2 and Ellipsis not in args:
            return f"[{', '.join(map(_type, inner))}]"
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"{_type(args[0])} → {_type(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"*{annotation.__name__}*"
    return {"str": "text", "int": "number", "float": "number", "bool": "true, false"}.get(
        getattr(annotation, "__name__", ""), str(annotation)
    )


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _summary(kind: type[BaseModel]) -> str:
    """What the class says of itself, in Markdown; the example of its fields is in the tables."""
    lines = [line.strip() for line in (kind.__doc__ or "").strip().splitlines()]
    return "\n".join(lines).replace("``", "`")
