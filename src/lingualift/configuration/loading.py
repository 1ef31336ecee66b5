"""Loading a configuration: one line for each mistake, saying where it is and what would be right."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lingualift.configuration.checks import check
from lingualift.configuration.evaluation import OFF_TARGET, RATES, Figure
from lingualift.configuration.messages import Place, mistakes, nearest, show
from lingualift.configuration.prompts import Prompt
from lingualift.configuration.schema import Configuration
from lingualift.errors import InputError, LingualiftError
from lingualift.languages import Language, load_languages

__all__ = ["ConfigurationError", "Run", "load_run", "nearest", "read_yaml"]

_Kind = TypeVar("_Kind", bound=BaseModel)
_MATRIX = "direction_matrix"
_CHECKOUT = Path(__file__).parents[3]


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
        published: the papers' tables in ``config/published``, by name.
        file: what it was read from, for messages.
    """

    configuration: Configuration
    languages: Mapping[str, Language]
    prompts: Mapping[str, Prompt]
    data: Path
    published: tuple[str, ...] = ()
    file: str = "configuration"


class _Loader(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error, and no, yes, on and off are words (as in YAML 1.2)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            if key_node.value in seen:
                problem = f"key {key_node.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file.

    Raises:
        InputError: missing, not YAML, or a key twice in one mapping; with the line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise InputError(path, error.problem or "not YAML", line=mark.line + 1 if mark else None) from error
    except UnicodeDecodeError as error:
        raise InputError(path, f"not UTF-8: {error.reason}") from error


def load_run(values: Mapping[str, Any] | str | Path, *, root: Path = Path(), file: str | None = None) -> Run:
    """Check a configuration against itself and against the languages and prompts it names.

    Args:
        values: the configuration as read from YAML, or the path of its file. A path that starts with ``~/`` is in the
            user's own folder.
        root: what ``data``, ``languages_file`` and ``prompts_file`` are relative to. Where the shipped table of
            languages, or the prompts, are not there, those of the checkout are taken.
        file: name to show in errors.

    Raises:
        ConfigurationError: every mistake in one line: file, key path, what is wrong, what is allowed, the
            nearest right word.
        InputError: a file that is missing or is not YAML, or in which a key is given twice; with the line.
    """
    if isinstance(values, str | Path):
        file = file or str(values)
        values = read_yaml(values)
    elif file and Path(file).suffix in (".yaml", ".yml") and Path(file).is_file():
        # Whoever read it may have passed over a key that is given twice.
        read_yaml(file)
    file = file or "configuration"
    configuration = _validate(Configuration, _at_home(values), file)
    languages = load_languages(_shipped(root, configuration.languages_file))
    prompts = _load_prompts(_shipped(root, configuration.prompts_file))
    published = tuple(sorted(path.stem for path in _shipped(root, "config/published").glob("*.csv")))
    run = Run(configuration, languages, prompts, root / configuration.data, published, file)
    found = [f"{file}: {show(place)}: {message}" for place, message in check(run)]
    if found:
        raise ConfigurationError(file, list(dict.fromkeys(found)))
    _add_matrix(configuration)
    return run


def _add_matrix(configuration: Configuration) -> None:
    """Have every run that shows scores show the matrix of its directions: by its first table, where it has none."""
    figures = configuration.figures
    if _MATRIX in configuration.tables or any(_MATRIX in (name, it.kind) for name, it in figures.items()):
        return
    shown = (it for it in configuration.tables.values() if set(it.metrics) - {*RATES, *OFF_TARGET})
    table = next(shown, None)
    if table:
        metric = next(name for name in table.metrics if name not in {*RATES, *OFF_TARGET})
        figures[_MATRIX] = Figure(systems=table.systems, benchmarks=table.benchmarks, metric=metric)


def _validate(kind: type[_Kind], values: Any, file: str, at: Place = ()) -> _Kind:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        found = mistakes(error, kind, values)
        raise ConfigurationError(
            file, [f"{file}: {show((*at, *place))}: {message}" for place, message in found]
        ) from error


def _at_home(values: Any) -> Any:
    """The same with the user's folder for the ``~`` of paths."""
    if isinstance(values, Mapping):
        return {key: _at_home(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_at_home(value) for value in values]
    return os.path.expanduser(values) if isinstance(values, str) and values.startswith("~/") else values


def _shipped(root: Path, name: str) -> Path:
    """A file of ``config/`` that everybody uses: below the root, or in the checkout that this package stands in."""
    path = root / name
    return path if path.exists() or not (_CHECKOUT / name).exists() else _CHECKOUT / name


def _load_prompts(path: Path) -> dict[str, Prompt]:
    entries = read_yaml(path)
    if not isinstance(entries, Mapping):
        raise InputError(path, "has to be templates by name")
    return {str(name): _validate(Prompt, entry, str(path), (str(name),)) for name, entry in entries.items()}
