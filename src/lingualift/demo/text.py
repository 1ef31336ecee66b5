"""All files of the demo's text, drawn so that what is held out occurs nowhere else."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lingualift.demo import LANGUAGES
from lingualift.demo.dictionary import dictionary
from lingualift.demo.grammar import Grammar
from lingualift.demo.instructions import Example, english_instructions, translation_instructions
from lingualift.demo.meaning import Sampler, Sentence
from lingualift.demo.realisation import Realiser
from lingualift.files import atomic_path

NUM_TRAIN, NUM_TEST, NUM_ENGLISH, NUM_MONOLINGUAL = 4000, 100, 6000, 1000
NUM_INSTRUCTIONS, NUM_TRANSLATIONS = 600, 1440


def write_text(grammar: Grammar, out: str | Path, *, seed: int) -> None:
    """Write the demo's text.

    ``train.*`` and ``test.*`` are the same sentences in all languages, line by line; ``english.txt`` and ``mono.*``
    are others in one language each. No two sentences of these files are the same in any language. The words of the
    test sentences all occur in ``train``.

    Args:
        grammar: what may be said.
        out: the folder; what lies there is replaced.
        seed: of everything that is drawn.
    """
    source = _Source(grammar, seed)
    train = [source.draw() for _ in range(NUM_TRAIN)]
    known = {language: {word for _, text in train for word in words(text[language])} for language in LANGUAGES}

    def is_known(text: dict[str, str]) -> bool:
        return all(known[language].issuperset(words(text[language])) for language in LANGUAGES)

    test = [source.draw(is_known) for _ in range(NUM_TEST)]
    english = [source.draw() for _ in range(NUM_ENGLISH)]
    with atomic_path(out) as folder:
        folder.mkdir()
        for language in LANGUAGES:
            _write_lines((text[language] for _, text in train), folder / f"train.{language}.txt")
            _write_lines((text[language] for _, text in test), folder / f"test.{language}.txt")
        _write_lines((text["en"] for _, text in english), folder / "english.txt")
        (folder / "dictionaries").mkdir()
        for language in LANGUAGES[1:]:
            texts = (source.draw()[1] for _ in range(NUM_MONOLINGUAL))
            _write_lines((text[language] for text in texts), folder / f"mono.{language}.txt")
            _write_lines(dictionary(grammar, language), folder / "dictionaries" / f"en-{language}.txt")
        instructions = english_instructions(source.realiser, [sentence for sentence, _ in english], NUM_INSTRUCTIONS)
        _write_examples(instructions, folder / "instructions.json")
        translations = translation_instructions([text for _, text in train], NUM_TRANSLATIONS)
        _write_examples(translations, folder / "translations.json")


def words(text: str) -> list[str]:
    """The words of a sentence, lower-case and without punctuation; for Chinese its characters."""
    return re.findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+", text.lower())


class _Source:
    """Sentences with their texts, of which no two are the same in any language."""

    def __init__(self, grammar: Grammar, seed: int) -> None:
        self.realiser = Realiser(grammar)
        self._sampler = Sampler(grammar, seed)
        self._seen: set[str] = set()

    def draw(self, accept: Callable[[dict[str, str]], bool] = lambda text: True) -> tuple[Sentence, dict[str, str]]:
        while True:
            sentence = self._sampler()
            text = self.realiser(sentence)
            if self._seen.isdisjoint(text.values()) and accept(text):
                self._seen.update(text.values())
                return sentence, text


def _write_lines(lines: Iterable[str], path: Path) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_examples(examples: Sequence[Example], path: Path) -> None:
    """Write a JSON list with an example a line, so that changes can be read."""
    lines = ",\n".join(json.dumps(example, ensure_ascii=False) for example in examples)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
