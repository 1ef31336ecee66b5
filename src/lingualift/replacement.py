"""Replacing words by translations: many sentences at a time, each choice a function of its place."""

import functools
import itertools
import unicodedata
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from lingualift.lexicon_readers import normalise
from lingualift.lexicons import Lexicon
from lingualift.randomness import hashes, uniforms
from lingualift.segmentation import Segmented, join, segment

# Bounds of the memories: text follows Zipf's law, so that the frequent words are soon back after they are emptied.
_MAX_TOKENS = 1 << 18
_MAX_STRINGS = 1 << 19
_MAX_CANDIDATES = 1 << 24
# What is not the number of a word: a word that cannot be replaced, and what is no word (punctuation, blanks).
_UNKNOWN, _NO_WORD = -2, -1


def replace_words(
    words: Sequence[str], lexicon: Lexicon, *, language: str, to: Sequence[str], rate: float, rng: Generator
) -> list[str]:
    """Replace words by a translation into another language.

    For one sentence, step by step; :class:`Replacer` does the same to whole corpora.

    Args:
        words: one sentence, segmented; lower-case.
        language: what the words are of; never chosen as a replacement's.
        to: language codes to choose from, uniformly among those that have a translation; then uniformly among the
            translations.
        rate: chance that a word the lexicon knows is replaced, in [0, 1].

    Returns:
        As many items as ``words``; an item may hold several space-separated words.

    Raises:
        KeyError: ``language`` or a code in ``to`` that the lexicon does not cover.

    Source: LLaMAX, section 2.1, step 2.
    """
    allowed = [code for code in lexicon.languages if code in {lexicon.languages[lexicon.index(code)] for code in to}]
    out = list(words)
    for position, word in enumerate(words):
        translations = lexicon.translations(word, language)
        known = [code for code in allowed if code in translations]
        if known and rng.random() < rate:
            candidates = translations[known[rng.integers(len(known))]]
            out[position] = candidates[rng.integers(len(candidates))]
    return out


@dataclass
class Coverage:
    """What became of words and sentences.

    Attributes:
        words: how many there were.
        known: those that the lexicon has a translation of.
        replaced: those that another word took the place of.
        same: those whose translation is the very word (names, loans, noise).
        sentences: how many there were.
        unchanged: those with no word replaced.
    """

    words: int = 0
    known: int = 0
    replaced: int = 0
    same: int = 0
    sentences: int = 0
    unchanged: int = 0

    def add(self, other: "Coverage") -> None:
        """Add the counts of other sentences."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def count_words(sentences: Sequence[str], language: Segmented, *, lower: bool = True) -> Coverage:
    """The account of sentences in a language that a lexicon lacks: as a :class:`Replacer`'s, with no word known."""
    words, _ = _segment([sentence.lower() for sentence in sentences] if lower else sentences, language)
    number = sum(count for word, count in Counter(words).items() if _bare(word))
    return Coverage(words=number, sentences=len(sentences), unchanged=len(sentences))


class Candidates:
    """For the words of one language, the translations to draw from: one hop, straight from the lexicon's arrays.

    Args:
        to: the languages to draw from, by code; the word's own is passed over.

    Raises:
        KeyError: a language that the lexicon does not cover.
    """

    def __init__(self, lexicon: Lexicon, language: str, to: Sequence[str]) -> None:
        edges = lexicon.edges(language)
        allowed = _allowed(lexicon, language, to)
        self._words = lexicon.words(language)
        self._targets, languages = edges.targets, edges.languages
        kept = np.flatnonzero(allowed[languages])
        # Groups of other languages fall out; the words' offsets move up.
        before = np.zeros(len(languages) + 1, np.int64)
        np.cumsum(allowed[languages], out=before[1:])
        self._offsets = before[edges.offsets]
        self._languages = languages[kept]
        self._starts, self._ends = edges.starts[:-1][kept], edges.starts[1:][kept]

    def find(self, word: str) -> int | None:
        """The number of a word that has candidates; None for another."""
        number = self._words.get(word)
        return number if number is not None and self._offsets[number + 1] > self._offsets[number] else None

    def draw(self, numbers: np.ndarray, language_draws: np.ndarray, word_draws: np.ndarray) -> np.ndarray:
        """Draw a translation for each word.

        Args:
            numbers: from :meth:`find`.
            language_draws, word_draws: of the same shape, uniform in [0, 1).

        Returns:
            int64, the place of the language in the lexicon in the upper, the word's number in the lower 32 bits.
        """
        return _draw(
            (self._offsets, self._languages, self._starts, self._ends, self._targets),
            numbers,
            language_draws,
            word_draws,
        )


class MultiHopCandidates:
    """As :class:`Candidates`, for a lexicon of several hops: a word's translations are gathered when it is first met."""

    def __init__(self, lexicon: Lexicon, language: str, to: Sequence[str]) -> None:
        self._lexicon, self._language = lexicon, language
        self._allowed = _allowed(lexicon, language, to)
        self._words = lexicon.words(language)
        self._clear()

    def _clear(self) -> None:
        self._offsets, self._languages = array("q", [0]), array("q")
        self._starts, self._targets = array("q", [0]), array("q")

    def is_full(self) -> bool:
        """Whether it is time to forget; the numbers given so far lose their meaning with :meth:`forget`."""
        return len(self._targets) > _MAX_CANDIDATES

    def forget(self) -> None:
        """Forget all words met so far."""
        self._clear()

    def find(self, word: str) -> int | None:
        """The number of a word that has candidates; None for another."""
        key = self._words.get(word)
        if key is None:
            return None
        num_groups = len(self._languages)
        for place, targets in self._lexicon.translation_numbers(self._language, key).items():
            if self._allowed[place]:
                self._languages.append(place)
                self._targets.extend(targets)
                self._starts.append(len(self._targets))
        if len(self._languages) == num_groups:
            return None
        self._offsets.append(len(self._languages))
        return len(self._offsets) - 2

    def draw(self, numbers: np.ndarray, language_draws: np.ndarray, word_draws: np.ndarray) -> np.ndarray:
        """As :meth:`Candidates.draw`."""
        if not len(numbers):
            return np.empty(0, np.int64)
        # Views, gone when this returns: an array cannot grow while numpy looks at it.
        offsets, languages, starts, targets = (
            np.frombuffer(values, np.int64) for values in (self._offsets, self._languages, self._starts, self._targets)
        )
        return _draw((offsets, languages, starts[:-1], starts[1:], targets), numbers, language_draws, word_draws)


def _allowed(lexicon: Lexicon, language: str, to: Sequence[str]) -> np.ndarray:
    allowed = np.zeros(len(lexicon.languages), bool)
    allowed[[lexicon.index(code) for code in to]] = True
    allowed[lexicon.index(language)] = False
    return allowed


def _draw(
    arrays: tuple[np.ndarray, ...], numbers: np.ndarray, language_draws: np.ndarray, word_draws: np.ndarray
) -> np.ndarray:
    offsets, languages, starts, ends, targets = arrays
    first = offsets[numbers]
    group = first + (language_draws * (offsets[numbers + 1] - first)).astype(np.int64)
    start = starts[group].astype(np.int64)
    target = targets[start + (word_draws * (ends[group] - start)).astype(np.int64)]
    return languages[group].astype(np.int64) << 32 | target.astype(np.int64)


@dataclass
class Replacer:
    """Replaces words of one language in batches of sentences.

    Every choice is a function of the seed, the sentence's line and the word's position: the same whatever the batches.

    Args:
        lexicon: where translations come from.
        code: the sentences' language.
        language: how its sentences are segmented.
        to: the languages to choose from, uniformly among those that have a translation of the word.
        rate: chance that a word the lexicon knows is replaced, in [0, 1].
        seed: from :func:`lingualift.randomness.seed_of`, naming corpus and pair.
        lower: lower-case the sentences; words are looked up in lower case in any event.
        strip_punctuation: look up ``dog`` where ``dog,`` is not known, and put the comma back.

    Raises:
        KeyError: a language that the lexicon does not cover.

    Source: LLaMAX, section 2.1, step 2.
    """

    lexicon: Lexicon
    code: str
    language: Segmented
    to: Sequence[str]
    rate: float
    seed: int
    lower: bool = True
    strip_punctuation: bool = True
    coverage: Coverage = field(default_factory=Coverage)

    def __post_init__(self) -> None:
        kind = Candidates if self.lexicon.hops == 1 else MultiHopCandidates
        self._candidates = kind(self.lexicon, self.code, self.to)
        self._tokens = _Memory(self._look_up)
        self._strings = _Memory(self._restore)

    def __call__(self, sentences: Sequence[str], lines: np.ndarray) -> list[str]:
        """Replace words in sentences.

        Args:
            lines: the sentences' line numbers, int64, of the same length.

        Returns:
            The changed sentences.
        """
        if not sentences:
            return []
        if self.lower:
            sentences = [sentence.lower() for sentence in sentences]
        words, lengths = _segment(sentences, self.language)
        self._make_room()
        numbers = np.fromiter(map(self._tokens.__getitem__, words), np.int64, count=len(words))
        ends = np.cumsum(lengths)
        line_of_word = np.repeat(np.asarray(lines, np.int64), lengths)
        position = np.arange(len(words)) - np.repeat(ends - lengths, lengths)

        known = numbers >= 0
        chosen = np.flatnonzero(known & (uniforms(self.seed, line_of_word, position) < self.rate))
        # Further draws of the same place: a third counter.
        place = hashes(self.seed, line_of_word[chosen], position[chosen])
        drawn = self._candidates.draw(
            numbers[chosen] >> 1, uniforms(self.seed, place, 0), uniforms(self.seed, place, 1)
        )
        replaced = chosen[self._put(words, chosen, drawn, numbers[chosen] & 1)]

        sentences_changed = np.unique(np.searchsorted(ends, replaced, side="right"))
        self.coverage.add(
            Coverage(
                words=int(np.count_nonzero(numbers != _NO_WORD)),
                known=int(np.count_nonzero(known)),
                replaced=len(replaced),
                same=len(chosen) - len(replaced),
                sentences=len(sentences),
                unchanged=len(sentences) - len(sentences_changed),
            )
        )
        return self._join(words, ends.tolist(), replaced)

    def _join(self, words: list[str], ends: list[int], replaced: np.ndarray) -> list[str]:
        if self.language.segmentation != "jieba":
            return [" ".join(words[start:end]) for start, end in itertools.pairwise([0, *ends])]
        is_replaced = np.zeros(len(words), bool)
        is_replaced[replaced] = True
        flags = is_replaced.tolist()
        return [
            join(words[start:end], self.language, replaced=flags[start:end])
            for start, end in itertools.pairwise([0, *ends])
        ]

    def _put(self, words: list[str], chosen: np.ndarray, drawn: np.ndarray, affixed: np.ndarray) -> np.ndarray:
        """Write the drawn translations over the chosen words; say of each whether it differs from what stood there."""
        strings, differs = self._strings, []
        for index, key, has_affixes in zip(chosen.tolist(), drawn.tolist(), affixed.tolist(), strict=True):
            new = strings[key]
            if has_affixes:
                prefix, suffix = _affixes(words[index])
                new = f"{prefix}{new}{suffix}"
            differs.append(new != words[index])
            words[index] = new
        return np.array(differs, bool)

    def _look_up(self, token: str) -> int:
        """Twice the number of the word in ``token``, plus one if it is the token without its punctuation."""
        number = self._candidates.find(normalise(token))
        if number is not None:
            return 2 * number
        bare = _bare(token)
        if not bare:
            return _NO_WORD
        if self.strip_punctuation and bare != token:
            number = self._candidates.find(normalise(bare))
            if number is not None:
                return 2 * number + 1
        return _UNKNOWN

    def _restore(self, key: int) -> str:
        return self.lexicon.words(self.lexicon.languages[key >> 32]).restore_key(key & 0xFFFFFFFF)

    def _make_room(self) -> None:
        if isinstance(self._candidates, MultiHopCandidates) and self._candidates.is_full():
            self._candidates.forget()
            self._tokens.clear()
        if len(self._tokens) > _MAX_TOKENS:
            self._tokens.clear()
        if len(self._strings) > _MAX_STRINGS:
            self._strings.clear()


def _segment(sentences: Sequence[str], language: Segmented) -> tuple[list[str], np.ndarray]:
    """All words in a row, and how many each sentence has; of one sentence at least."""
    if language.segmentation == "jieba":
        segmented = segment(sentences, language)
        return list(itertools.chain.from_iterable(segmented)), np.fromiter(map(len, segmented), np.int64)
    # What segment() does, but for all sentences in one go.
    lengths = np.fromiter((sentence.count(" ") for sentence in sentences), np.int64, count=len(sentences)) + 1
    return " ".join(sentences).split(" "), lengths


class _Memory(dict):
    """A dictionary that works out what it does not hold."""

    def __init__(self, work_out: object) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, key: object) -> object:
        value = self[key] = self._work_out(key)
        return value


@functools.cache
def _punctuation() -> str:
    """Unicode's punctuation, all of which lies in the first two planes."""
    characters = map(chr, range(0x20000))
    return "".join(character for character in characters if unicodedata.category(character)[0] == "P")


def _bare(token: str) -> str:
    """The word in ``token``, without the punctuation and blanks at its ends."""
    return token.strip(_punctuation()).strip()


def _affixes(token: str) -> tuple[str, str]:
    """The punctuation and blanks before and after the word in ``token``."""
    bare = _bare(token)
    start = token.index(bare)
    return token[:start], token[start + len(bare) :]
