"""Sentences to words and back, as the dictionary augmentation needs it."""

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jieba import Tokenizer


class Segmented(Protocol):
    """What segmentation needs to know of a language."""

    @property
    def segmentation(self) -> str:
        """``space``, ``jieba`` or ``character``."""


def segment(sentences: Sequence[str], language: Segmented) -> list[list[str]]:
    """Split sentences into words: Chinese by jieba, every other language at spaces.

    ``join(words)`` of what comes out is the sentence again, to the character: two spaces in a row leave an empty
    word between them, and jieba keeps blanks as words.

    Source: LLaMAX, section 2.1, step 2 (which splits Japanese and Thai at spaces too).
    """
    if language.segmentation == "jieba":
        tokenizer = _jieba()
        return [tokenizer.lcut(sentence) for sentence in sentences]
    return [sentence.split(" ") for sentence in sentences]


def join(words: Sequence[str], language: Segmented, *, replaced: Sequence[bool] | None = None) -> str:
    """Put words together to a sentence: with spaces, or in Chinese without.

    Args:
        replaced: for each word, whether it took the place of another. In a Chinese sentence such a word is set off
            by spaces, but for where it meets punctuation, a blank or the sentence's end, and between Han characters.
    """
    if language.segmentation != "jieba":
        return " ".join(words)
    if replaced is None:
        return "".join(words)
    return "".join(_spaced(words, replaced))


def _spaced(words: Sequence[str], replaced: Sequence[bool]) -> Iterator[str]:
    yield from words[:1]
    for (left, right), changed in zip(pairwise(words), pairwise(replaced), strict=True):
        if any(changed) and left and right and _needs_space(left[-1], right[0]):
            yield " "
        yield right


@functools.lru_cache(4096)
def _needs_space(left: str, right: str) -> bool:
    if any(character.isspace() or unicodedata.category(character)[0] == "P" for character in (left, right)):
        return False
    return not (_is_han(left) and _is_han(right))


def _is_han(character: str) -> bool:
    return unicodedata.name(character, "").startswith("CJK UNIFIED IDEOGRAPH")


@functools.cache
def _jieba() -> "Tokenizer":
    """jieba's tokenizer with its own dictionary.

    Filled by hand: left to itself, jieba keeps its dictionary as a marshalled file in the temporary folder, under one
    name for all users, and logs about it.
    """
    import warnings

    with warnings.catch_warnings():
        # Its source has escapes that newer Pythons warn of.
        warnings.simplefilter("ignore")
        import jieba

    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
