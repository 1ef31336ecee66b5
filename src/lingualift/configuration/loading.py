"""Loading a configuration: one line for each mistake, saying where it is and what would be right."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lingualift.configuration.checks import check
from lingualift.configuration.prompts import Prompt
from lingualift.configuration.schema import Configuration
from lingualift.errors import InputError, LingualiftError
from lingualift.languages import Language, load_languages

Place = tuple[str | int, ...]
_Kind = TypeVar("_Kind", bound=BaseModel)


class ConfigurationError(LingualiftError):
    """Mistakes in a configuration, a line each."""

    def __init__(self, file: str, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.file, self.mistakes = file, tuple(mistakes)


@dataclass(frozen=True)
class Run:
    """A checked configuration with the tables it refers to.

    Attributes:
        configuration: all entries.
        languages: every language of ``languages.tsv``, by code.
        prompts: every template of ``prompts.yaml``, by name.
        data: the data folder.
    """

    configuration: Configuration
    languages: Mapping[str, Language]
    prompts: Mapping[str, Prompt]
    data: Path


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file.

    Raises:
        InputError: missing, not YAML, or a key twice in one mapping; with the line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise InputError(path, error.problem or "not YAML", line=mark.line + 1 if mark else None) from error
    except UnicodeDecodeError as error:
        raise InputError(path, f"not UTF-8: {error.reason}") from error


def load_run(values: Mapping[str, Any] | str | Path, *, root: Path = Path(), file: str | None = None) -> Run:
    """Check a configuration against itself and against the languages and prompts it names.

    Args:
        values: the configuration as read from YAML, or the path of its file.
        root: what ``data``, ``languages_file`` and ``prompts_file`` are relative to.
        file: name to show in errors.

    Raises:
        ConfigurationError: every mistake in one line: file, key path, what is wrong, what is allowed, the
            nearest right word.
    """
    if isinstance(values, str | Path):
        file = file or str(values)
        values = read_yaml(values)
    file = file or "configuration"
    configuration = _validate(Configuration, values, file)
    languages = load_languages(root / configuration.languages_file)
    prompts_file = root / configuration.prompts_file
    prompts = {
        name: _validate(Prompt, entry, str(prompts_file), (name,)) for name, entry in read_yaml(prompts_file).items()
    }
    run = Run(configuration, languages, prompts, root / configuration.data)
    mistakes = [f"{file}: {show(place)}: {message}" for place, message in check(run)]
    if mistakes:
        raise ConfigurationError(file, mistakes)
    return run


def _validate(kind: type[_Kind], values: Any, file: str, at: Place = ()) -> _Kind:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        mistakes = [
            f"{file}: {show((*at, *_place(it['loc'], values)))}: {_explain(it, values)}"
            for it in error.errors(include_url=False)
        ]
        raise ConfigurationError(file, list(dict.fromkeys(mistakes))) from error


def _place(location: Iterable[str | int], values: Any) -> Place:
    """The key path as it stands in the file: pydantic also names the classes it tried."""
    place: list[str | int] = []
    for key in location:
        inside = isinstance(values, Mapping) and key in values
        inside = inside or (isinstance(values, Sequence) and isinstance(key, int) and key < len(values))
        if inside:
            values = values[key]
            place.append(key)
        elif key == list(location)[-1] and isinstance(values, Mapping):
            place.append(key)
    return tuple(place)


def show(place: Place) -> str:
    """A key path for people: ``mixtures.lifting.components[1].corpus``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place)
    return text.removeprefix(".") or "(top level)"


def _explain(error: Mapping[str, Any], values: Any) -> str:
    place = list(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            allowed = _allowed(place[:-1])
            return f"unknown key{nearest(str(place[-1]), allowed)}; allowed: {', '.join(allowed)}"
        case "missing":
            return "this key is missing"
        case "string_pattern_mismatch":
            return f"{error['input']!r} is not a name: letters, digits, '-', '_', '.' and no slash or leading dot"
        case "union_tag_invalid":
            allowed = [word.strip(" '") for word in error["ctx"]["expected_tags"].split(",")]
            return f"no reader {error['ctx']['tag']!r}{nearest(error['ctx']['tag'], allowed)}; there are {', '.join(allowed)}"
        case "union_tag_not_found":
            return "`reader` is missing: it says what kind of data this is"
        case "literal_error":
            return f"{error['input']!r} is not allowed{nearest(str(error['input']), _words(error))}; allowed: {error['ctx']['expected']}"
    return f"{error['msg'].removeprefix('Value error, ')} (found {_short(error['input'])})"


def _words(error: Mapping[str, Any]) -> list[str]:
    return [word.strip(" '") for word in error["ctx"]["expected"].replace(" or ", ",").split(",")]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _allowed(place: Sequence[str | int]) -> list[str]:
    """The keys that an entry at a place may have, followed through the schema."""
    kinds: list[Any] = [Configuration]
    for key in place:
        kinds = [inner for kind in kinds for inner in _inner(kind, key)] or kinds
    names = [
        field.alias or name
        for kind in kinds
        if hasattr(kind, "model_fields")
        for name, field in kind.model_fields.items()
    ]
    return list(dict.fromkeys(names))


def _inner(kind: Any, key: str | int) -> list[Any]:
    """The classes that one step of a key path may lead to."""
    if hasattr(kind, "model_fields"):
        fields = kind.model_fields
        if key in fields:
            return _classes(fields[key].annotation)
        by_alias = [field.annotation for field in fields.values() if field.alias == key]
        if by_alias:
            return _classes(by_alias[0])
        reader = fields.get("reader")
        return [kind] if reader is not None and key in getattr(reader.annotation, "__args__", ()) else []
    return []


def _classes(annotation: Any) -> list[Any]:
    """The pydantic classes inside a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _classes(part)]


def nearest(word: str, allowed: Iterable[str]) -> str:
    """``, did you mean 'x'?`` for the allowed word that is most like a wrong one, or nothing."""
    found = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f", did you mean {found[0]!r}?" if found else ""
