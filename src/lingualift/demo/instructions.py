"""The demo's instruction data, as Alpaca has it: tasks on English sentences, and translations."""

import itertools
from collections.abc import Callable, Mapping, Sequence

from lingualift.demo import LANGUAGE_NAMES
from lingualift.demo.meaning import Clause, NounPhrase, Sentence
from lingualift.demo.realisation import Realiser

Example = dict[str, str]
# A task gives instruction and output for a sentence, or None where the sentence does not lend itself to it.
_Task = Callable[[Realiser, Clause, str], tuple[str, str] | None]


def english_instructions(realiser: Realiser, sentences: Sequence[Sentence], num_examples: int) -> list[Example]:
    """Make English instruction examples, the tasks in turn.

    Args:
        realiser: says the sentences.
        sentences: each is used once at most.
        num_examples: how many examples are wanted.

    Raises:
        ValueError: the sentences do not suffice.
    """
    examples, remaining = [], list(sentences)
    for task in itertools.islice(itertools.cycle(_TASKS), num_examples):
        for place, sentence in enumerate(remaining):
            text = realiser(sentence)["en"]
            found = task(realiser, sentence[0], text) if len(sentence) == 1 else None
            if found is not None:
                examples.append({"instruction": found[0], "input": text, "output": found[1]})
                del remaining[place]
                break
        else:
            raise ValueError(f"too few sentences for {num_examples} examples")
    return examples


def translation_instructions(texts: Sequence[Mapping[str, str]], num_examples: int) -> list[Example]:
    """Make translation examples, all directions in turn.

    Args:
        texts: sentences by language code, each said in all languages; each is used once at most.
        num_examples: how many examples are wanted, as many as there are ``texts`` at most.
    """
    directions = itertools.cycle(itertools.permutations(LANGUAGE_NAMES, 2))
    return [
        {
            "instruction": f"Translate the following sentences from {LANGUAGE_NAMES[source]} to {LANGUAGE_NAMES[target]}",
            "input": text[source],
            "output": text[target],
        }
        for text, (source, target) in itertools.islice(zip(texts, directions, strict=False), num_examples)
    ]


def _repeat(realiser: Realiser, clause: Clause, text: str) -> tuple[str, str]:
    return "Repeat the following sentence.", text


def _name_actor(realiser: Realiser, clause: Clause, text: str) -> tuple[str, str] | None:
    if clause.verb is None or clause.is_negated:
        return None
    subjects = " and ".join(map(realiser.english_phrase, clause.subjects))
    return "Who does something in the sentence?", subjects[0].upper() + subjects[1:] + "."


def _name_animal(realiser: Realiser, clause: Clause, text: str) -> tuple[str, str] | None:
    animals = [phrase.noun for phrase in (*clause.subjects, *clause.objects) if "animal" in phrase.noun.classes]
    return ("Which animal is in the sentence?", f"The {animals[0].en[0]}.") if len(animals) == 1 else None


def _name_place(realiser: Realiser, clause: Clause, text: str) -> tuple[str, str] | None:
    if clause.place is None or clause.verb is None:
        return None
    place = clause.place.forms["en"]
    return "Where does this happen?", place[0].upper() + place[1:] + "."


def _name_time(realiser: Realiser, clause: Clause, text: str) -> tuple[str, str] | None:
    if clause.time is None or clause.is_negated:
        return None
    time = clause.time.forms["en"]
    return "When does this happen?", time[0].upper() + time[1:] + "."


def _name_colour(realiser: Realiser, clause: Clause, text: str) -> tuple[str, str] | None:
    coloured = [phrase for phrase in (*clause.subjects, *clause.objects) if phrase.adjective]
    coloured = [phrase for phrase in coloured if phrase.adjective.is_colour]
    if len(coloured) != 1:
        return None
    colour = coloured[0].adjective.en
    return f"What is the colour of the {coloured[0].noun.en[0]}?", colour[0].upper() + colour[1:] + "."


def _name_number(realiser: Realiser, clause: Clause, text: str) -> tuple[str, str] | None:
    counted = [phrase for phrase in (*clause.subjects, *clause.objects) if phrase.is_plural]
    if len(counted) != 1:
        return None
    number = counted[0].determiner
    return f"How many {counted[0].noun.en[1]} are in the sentence?", number[0].upper() + number[1:] + "."


def _make_question(realiser: Realiser, clause: Clause, text: str) -> tuple[str, str] | None:
    if clause.verb is None or clause.is_negated:
        return None
    return "Turn the following sentence into a question.", realiser.question(clause)


def _leave_out_adjective(realiser: Realiser, clause: Clause, text: str) -> tuple[str, str] | None:
    described = [phrase for phrase in (*clause.subjects, *clause.objects) if phrase.adjective]
    if len(described) != 1:
        return None
    return "Leave out the adjective.", text.replace(f" {described[0].adjective.en} ", " ", 1)


def _has_person(realiser: Realiser, clause: Clause, text: str) -> tuple[str, str]:
    phrases: tuple[NounPhrase, ...] = (*clause.subjects, *clause.objects)
    has_person = any("person" in phrase.noun.classes for phrase in phrases)
    return "Is there a person in the sentence? Answer yes or no.", "Yes." if has_person else "No."


def _write_capitals(realiser: Realiser, clause: Clause, text: str) -> tuple[str, str]:
    return "Write the sentence in upper case.", text.upper()


_TASKS: tuple[_Task, ...] = (
    _repeat,
    _name_actor,
    _name_animal,
    _name_place,
    _name_time,
    _name_colour,
    _name_number,
    _make_question,
    _leave_out_adjective,
    _has_person,
    _write_capitals,
)
