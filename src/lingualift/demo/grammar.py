"""The demo's lexicon, and which of its words go together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lingualift.errors import InputError
from lingualift.files import open_bytes


@dataclass(frozen=True, kw_only=True)
class Noun:
    """A noun: its classes of meaning, and its forms in each language as ``grammar.yaml`` explains them."""

    name: str
    classes: tuple[str, ...]
    en: tuple[str, ...]
    de: tuple[str, ...]
    zh: tuple[str, ...]
    ru: tuple[str, ...]

    @property
    def is_animate(self) -> bool:
        """Whether it is a person or an animal."""
        return "person" in self.classes or "animal" in self.classes

    @property
    def is_counted(self) -> bool:
        """Whether it has a plural."""
        return len(self.en) > 1

    @property
    def is_measured(self) -> bool:
        """Whether "this" goes with it: whether Chinese has a measure word for one of it."""
        return len(self.zh) > 1


@dataclass(frozen=True, kw_only=True)
class Adjective:
    """An adjective: the names of the nouns it goes with, and its forms."""

    name: str
    nouns: frozenset[str]
    is_colour: bool
    en: str
    de: tuple[str, ...]
    zh: tuple[str, ...]
    ru: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Who does what a verb says, and to what: names of nouns; without objects it is intransitive."""

    subjects: tuple[str, ...]
    objects: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb in the present tense: forms (third person singular, plural), frames and what may stand beside it."""

    name: str
    frames: tuple[Frame, ...]
    places: tuple[str, ...]
    is_negated: bool
    is_timed: bool
    is_counted: bool
    en: tuple[str, ...]
    de: tuple[str, ...]
    zh: str
    ru: tuple[str, ...]

    @property
    def is_transitive(self) -> bool:
        """Whether it has an object."""
        return bool(self.frames[0].objects)


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """A fixed phrase of place or time.

    ``goes_with`` holds names of nouns for a place, of verbs for a time; ``holds`` the nouns that may be said to be
    there (none for a time); ``word`` is the word of the phrase that the dictionary has.
    """

    name: str
    goes_with: frozenset[str]
    holds: tuple[str, ...]
    forms: Mapping[str, str]
    word: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """The whole lexicon, each kind of word by name."""

    nouns: Mapping[str, Noun]
    adjectives: Mapping[str, Adjective]
    verbs: Mapping[str, Verb]
    places: Mapping[str, Phrase]
    times: Mapping[str, Phrase]
    adverbs: Mapping[str, Mapping[str, str]]
    determiners: Mapping[str, Mapping[str, Any]]
    numbers: Mapping[str, Mapping[str, Any]]
    particles: Mapping[str, Mapping[str, str]]


def load_grammar(path: str | Path) -> Grammar:
    """Read a grammar.

    Args:
        path: a YAML file as ``demo/grammar.yaml``, whose comments explain it.

    Raises:
        InputError: not YAML, a part or a form is missing, or a name stands for nothing.
    """
    with open_bytes(path) as file:
        try:
            raw = yaml.safe_load(file)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            raise InputError(path, "not YAML", line=mark and mark.line + 1) from error
    try:
        return _build(raw)
    except KeyError as error:
        raise InputError(path, f"no {error.args[0]!r}, or nothing of that name") from error


def _build(raw: Mapping[str, Any]) -> Grammar:
    nouns = {name: Noun(name=name, classes=tuple(entry["is"]), **_forms(entry)) for name, entry in raw["nouns"].items()}
    adjectives = {
        name: Adjective(
            name=name,
            nouns=frozenset(_members(entry["for"], nouns)),
            is_colour=entry.get("colour", False),
            **_forms(entry),
        )
        for name, entry in raw["adjectives"].items()
    }
    verbs = {name: _verb(name, entry, nouns, raw["places"]) for name, entry in raw["verbs"].items()}
    places = {
        name: _phrase(name, entry, _members(entry["for"], nouns), _members(entry["holds"], nouns))
        for name, entry in raw["places"].items()
    }
    timed = [name for name, verb in verbs.items() if verb.is_timed]
    times = {
        name: _phrase(name, entry, [verbs[verb].name for verb in entry.get("verbs", timed)])
        for name, entry in raw["times"].items()
    }
    rest = {part: raw[part] for part in ("adverbs", "determiners", "numbers", "particles")}
    return Grammar(nouns=nouns, adjectives=adjectives, verbs=verbs, places=places, times=times, **rest)


def _verb(name: str, entry: Mapping[str, Any], nouns: Mapping[str, Noun], places: Mapping[str, Any]) -> Verb:
    for place in entry.get("places", []):
        if place not in places:
            raise KeyError(place)
    return Verb(
        name=name,
        frames=tuple(
            Frame(subjects=_members(frame["subjects"], nouns), objects=_members(frame.get("objects", []), nouns))
            for frame in entry["frames"]
        ),
        places=tuple(entry.get("places", [])),
        is_negated=entry.get("negated", False),
        is_timed=entry.get("timed", False),
        is_counted=entry.get("counted", False),
        **_forms(entry),
    )


def _phrase(name: str, entry: Mapping[str, Any], goes_with: Iterable[str], holds: tuple[str, ...] = ()) -> Phrase:
    return Phrase(
        name=name, goes_with=frozenset(goes_with), holds=holds, forms=_forms(entry), word=_forms(entry["word"])
    )


def _forms(entry: Mapping[str, Any]) -> dict[str, Any]:
    forms = {language: entry[language] for language in ("en", "de", "zh", "ru")}
    return {language: tuple(form) if isinstance(form, list) else form for language, form in forms.items()}


def _members(wanted: Iterable[str], nouns: Mapping[str, Noun]) -> tuple[str, ...]:
    """The nouns that are named, or of a class that is named; each once, in the order of the file."""
    wanted = set(wanted)
    unknown = wanted - set(nouns) - {name for noun in nouns.values() for name in noun.classes}
    if unknown:
        raise KeyError(min(unknown))
    return tuple(name for name, noun in nouns.items() if name in wanted or wanted.intersection(noun.classes))
