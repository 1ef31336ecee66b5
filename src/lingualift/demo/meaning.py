"""What a sentence says, before it is said in any language; and how to draw one at random."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from lingualift.demo.grammar import Adjective, Frame, Grammar, Noun, Phrase, Verb

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class NounPhrase:
    """A noun with "the", "this" or a number before it, and perhaps an adjective."""

    noun: Noun
    determiner: str = "the"
    adjective: Adjective | None = None

    @property
    def is_plural(self) -> bool:
        """Whether it is more than one."""
        return self.determiner not in ("the", "this")


@dataclass(frozen=True, kw_only=True)
class Clause:
    """A main clause.

    Without a verb it says "is": how one thing is (``quality``), or where it is (``place``). ``time`` opens the clause; of
    ``time`` and ``adverb`` there is one at most.
    """

    subjects: tuple[NounPhrase, ...]
    verb: Verb | None = None
    objects: tuple[NounPhrase, ...] = ()
    quality: Adjective | None = None
    place: Phrase | None = None
    time: Phrase | None = None
    adverb: str | None = None
    is_negated: bool = False

    @property
    def is_plural(self) -> bool:
        """Whether more than one does it."""
        return len(self.subjects) > 1 or self.subjects[0].is_plural


# One clause, or two with "and" between them.
Sentence = tuple[Clause, ...]


class Sampler:
    """An endless supply of sentences, a function of the grammar and the seed.

    Args:
        grammar: what may be said.
        seed: of the random choices.
    """

    def __init__(self, grammar: Grammar, seed: int) -> None:
        self._grammar = grammar
        self._random = random.Random(seed)
        self._transitive = [verb for verb in grammar.verbs.values() if verb.is_transitive]
        self._intransitive = [verb for verb in grammar.verbs.values() if not verb.is_transitive]

    def __call__(self) -> Sentence:
        """Draw the next sentence."""
        kind = self._random.random()
        if kind < 0.60:
            return (self._action(self._pick(self._transitive)),)
        if kind < 0.80:
            return (self._action(self._pick(self._intransitive)),)
        if kind < 0.90:
            return (self._quality(),)
        if kind < 0.95:
            return (self._location(),)
        return self._pair()

    def _action(self, verb: Verb, *, is_plain: bool = False) -> Clause:
        """Somebody does something; a plain clause says nothing of time and number."""
        while True:
            frame = self._pick(verb.frames)
            subjects = self._subjects(frame, is_plain=is_plain)
            objects = self._objects(frame, subjects, may_count=verb.is_counted)
            is_negated = verb.is_negated and not is_plain and self._chance(0.15)
            if is_negated and (len(objects) > 1 or any(phrase.is_plural for phrase in (*subjects, *objects))):
                continue
            place = None
            # A negation beside a place leaves open which of the two is denied.
            if not is_negated and verb.places and (not verb.is_transitive or self._chance(0.3)):
                place = self._place(verb.places, (*subjects, *objects))
                if place is None:
                    continue
            time = adverb = None
            if verb.is_timed and not is_plain:
                chance = self._random.random()
                if chance < 0.2:
                    time = self._pick([time for time in self._grammar.times.values() if verb.name in time.goes_with])
                elif chance < 0.32 and not is_negated:
                    adverb = self._pick(list(self._grammar.adverbs))
            return Clause(
                subjects=subjects,
                verb=verb,
                objects=objects,
                place=place,
                time=time,
                adverb=adverb,
                is_negated=is_negated,
            )

    def _quality(self) -> Clause:
        """Something is as an adjective says."""
        adjective = self._pick(list(self._grammar.adjectives.values()))
        noun = self._grammar.nouns[self._pick(sorted(adjective.nouns))]
        return Clause(subjects=(self._phrase(noun, adjective_chance=0),), quality=adjective)

    def _location(self) -> Clause:
        """Something is somewhere."""
        place = self._pick(list(self._grammar.places.values()))
        noun = self._grammar.nouns[self._pick(place.holds)]
        is_plural = noun.is_counted and self._chance(0.2)
        return Clause(subjects=(self._counted(noun) if is_plural else self._phrase(noun),), place=place)

    def _pair(self) -> Sentence:
        """Two clauses about two who do two things."""
        while True:
            first, second = (self._action(self._pick(self._intransitive), is_plain=True) for _ in range(2))
            nouns = {clause.subjects[0].noun.name for clause in (first, second)}
            if len(nouns) == 2 and first.verb != second.verb and first.place != second.place:
                return first, second

    def _subjects(self, frame: Frame, *, is_plain: bool) -> tuple[NounPhrase, ...]:
        noun = self._grammar.nouns[self._pick(frame.subjects)]
        chance = 1.0 if is_plain else self._random.random()
        if chance < 0.08 and noun.is_counted:
            return (self._counted(noun),)
        others = [name for name in frame.subjects if name != noun.name]
        if chance > 0.92 and others and not is_plain:
            return NounPhrase(noun=noun), NounPhrase(noun=self._grammar.nouns[self._pick(others)])
        return (self._phrase(noun, adjective_chance=0.15 if is_plain else 0.35),)

    def _objects(self, frame: Frame, subjects: Sequence[NounPhrase], *, may_count: bool) -> tuple[NounPhrase, ...]:
        taken = {phrase.noun.name for phrase in subjects}
        candidates = [name for name in frame.objects if name not in taken]
        if not candidates:
            return ()
        noun = self._grammar.nouns[self._pick(candidates)]
        chance = self._random.random()
        # Russian counts what is alive in another case than what is not.
        if chance < 0.15 and may_count and noun.is_counted and not noun.is_animate:
            return (self._counted(noun),)
        others = [name for name in candidates if name != noun.name]
        if chance > 0.92 and others:
            return NounPhrase(noun=noun), NounPhrase(noun=self._grammar.nouns[self._pick(others)])
        return (self._phrase(noun, adjective_chance=0.4),)

    def _phrase(self, noun: Noun, *, adjective_chance: float = 0.35) -> NounPhrase:
        determiner = "this" if noun.is_measured and self._chance(0.2) else "the"
        fitting = [adjective for adjective in self._grammar.adjectives.values() if noun.name in adjective.nouns]
        adjective = self._pick(fitting) if fitting and self._chance(adjective_chance) else None
        return NounPhrase(noun=noun, determiner=determiner, adjective=adjective)

    def _counted(self, noun: Noun) -> NounPhrase:
        return NounPhrase(noun=noun, determiner=self._pick(list(self._grammar.numbers)))

    def _place(self, names: Sequence[str], phrases: Sequence[NounPhrase]) -> Phrase | None:
        present = {phrase.noun.name for phrase in phrases}
        fitting = [self._grammar.places[name] for name in names if present <= self._grammar.places[name].goes_with]
        return self._pick(fitting) if fitting else None

    def _pick(self, items: Sequence[Item]) -> Item:
        # Not random.choice: what it draws is not promised to stay the same from one Python to the next.
        return items[int(self._random.random() * len(items))]

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability
