"""Tokenising word by word, each word once: the tokens of whole texts, several times as fast.

Many tokenizers cut a text before every single space ahead of anything else, so that the tokens of a text are those
of its words one after the other. Text repeats its words; those that were met before are looked up.
"""

import json
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Texts that the tokenizer takes at a time: what it says of a text is many times as large as the text.
CHUNK = 4_096
# Words that are remembered: with their tokens some hundred bytes each.
_NUM_WORDS = 1 << 18
# Text without spaces does not repeat itself.
_LONGEST = 40
_MARK = "\0"
# The patterns known to cut before a single space between two other characters, whatever stands further off.
_SAFE_PATTERNS = frozenset(
    [
        r"\d",
        # LLaMA 3.
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ]
)


class WordEncoder:
    """Tokenises texts through the tokens of their words; made by :func:`word_encoder`."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast") -> None:
        self._backend = tokenizer.backend_tokenizer
        self.num_tokens = len(tokenizer)
        self._ids: dict[str, tuple[int, ...]] = {}
        # Words whose first token is not the one that holds their first letter, but the space before it.
        self._later: dict[str, int | None] = {}

    def __call__(
        self, texts: Sequence[str], boundaries: np.ndarray, *_: object
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The tokens of some texts, without special ones.

        Args:
            texts: such as :func:`divisible` holds of.
            boundaries: a character of each text, or 0.

        Returns:
            All tokens, one text after the other; how many each text has; how many of them stand before the token
            of the boundary (0 where there is none). All int64.
        """
        words = [text.replace(" ", f"{_MARK} ").split(_MARK) if text else [] for text in texts]
        flat = list(chain.from_iterable(words))
        ids = self._look_up(flat)
        sizes = np.fromiter(map(len, ids), np.int64, len(ids))
        tokens = np.fromiter(chain.from_iterable(ids), np.int64, int(sizes.sum()))
        before = np.concatenate(([0], np.cumsum(sizes)))
        ends = np.fromiter(accumulate(map(len, words)), np.int64, len(words))
        starts = np.concatenate(([0], ends))[:-1]
        lengths = before[ends] - before[starts]
        firsts = np.zeros(len(texts), np.int64)
        for place in np.flatnonzero(boundaries).tolist():
            number = starts[place] + texts[place].count(" ", 0, int(boundaries[place]))
            inside = self._later.get(flat[number], 0)
            firsts[place] = lengths[place] if inside is None else before[number] - before[starts[place]] + inside
        return tokens, lengths, firsts

    def _look_up(self, words: list[str]) -> list[tuple[int, ...]]:
        """The tokens of each word."""
        if len(self._ids) > _NUM_WORDS:
            self._ids.clear()
            self._later.clear()
        ids: list[Any] = list(map(self._ids.get, words))
        new = {word for word, known in zip(words, ids, strict=True) if known is None} if None in ids else set()
        if not new:
            return ids
        found = dict[str, tuple[int, ...]]()
        # In the order of their letters, so that nothing depends on the order of a set.
        ordered = sorted(new)
        for start in range(0, len(ordered), CHUNK):
            part = ordered[start : start + CHUNK]
            # Text that spells a special token is text.
            self._backend.encode_special_tokens = True
            try:
                encodings = self._backend.encode_batch(part, add_special_tokens=False)
            finally:
                self._backend.encode_special_tokens = False
            for word, encoding in zip(part, encodings, strict=True):
                found[word] = tuple(encoding.ids)
                inside = encoding.char_to_token(1) if word[:1] == " " else 0
                if inside != 0:
                    self._later[word] = inside
        self._ids.update((word, tokens) for word, tokens in found.items() if len(word) <= _LONGEST)
        return [found[word] if known is None else known for word, known in zip(words, ids, strict=True)]


def divisible(text: str, boundary: int) -> bool:
    """Whether a text's only white space is single spaces between other characters, one of them before its boundary.

    Anything that does not print, white space other than the space above all, makes a text indivisible.
    """
    return (
        text.isprintable()
        and "  " not in text
        and text[:1] != " "
        and text[-1:] != " "
        and (not boundary or text[boundary - 1 : boundary] == " ")
    )


_encoders: "WeakKeyDictionary[PreTrainedTokenizerFast, WordEncoder | None]" = WeakKeyDictionary()


def word_encoder(tokenizer: "PreTrainedTokenizerFast") -> WordEncoder | None:
    """The word encoder of a tokenizer, or None where words do not stand for themselves, or may not."""
    backend = tokenizer.backend_tokenizer
    if backend.truncation is not None or backend.padding is not None:
        return None
    known = _encoders.get(tokenizer)
    # A tokenizer that has grown since has other tokens.
    if tokenizer not in _encoders or (known is not None and known.num_tokens != len(tokenizer)):
        known = _encoders[tokenizer] = WordEncoder(tokenizer) if _cuts_before_spaces(backend.to_str()) else None
    return known


def _cuts_before_spaces(description: str) -> bool:
    """Whether a tokenizer, from its JSON, surely cuts a text before each single space."""
    content = json.loads(description)
    model, first = content["model"], content["pre_tokenizer"] or {}
    steps = first["pretokenizers"] if first.get("type") == "Sequence" else [first]
    return (
        model["type"] == "BPE"
        and not model.get("dropout")
        and content["normalizer"] is None
        and any(_is_word_step(step) for step in steps)
        and all(_is_word_step(step) or _is_harmless_step(step) for step in steps)
        and not any(_reaches_out(token) for token in content["added_tokens"])
    )


def _pattern(step: dict[str, Any]) -> str | None:
    plain = step.get("type") == "Split" and step["behavior"] == "Isolated" and not step["invert"]
    pattern = step["pattern"].get("Regex") if plain else None
    return pattern if pattern in _SAFE_PATTERNS else None


def _is_word_step(step: dict[str, Any]) -> bool:
    """Whether a step cuts before single spaces."""
    if step.get("type") == "ByteLevel":
        return bool(step["use_regex"]) and not step["add_prefix_space"]
    return _pattern(step) not in (None, r"\d")


def _is_harmless_step(step: dict[str, Any]) -> bool:
    """Whether a step cuts a word, and a text, at the same places of the word."""
    if step.get("type") == "ByteLevel":
        return not step["add_prefix_space"]
    return step.get("type") == "Digits" or _pattern(step) is not None


def _reaches_out(token: dict[str, Any]) -> bool:
    """Whether an added token may take hold of what stands around it."""
    return token["lstrip"] or token["rstrip"] or token["single_word"] or any(map(str.isspace, token["content"]))
