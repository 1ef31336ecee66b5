"""Encoding: the text of entries as tokens, in flat arrays."""

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from lingualift.entries import Entries
from lingualift.words import CHUNK, divisible, word_encoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def encode(entries: Entries, tokenizer: "PreTrainedTokenizerFast") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tokens of entries, without special ones; word by word where that gives the same.

    Returns:
        All tokens, one entry after the other; how many each has; how many of them stand before its boundary. All
        int64.
    """
    by_words = word_encoder(tokenizer)
    lengths, firsts = np.zeros(len(entries.texts), np.int64), np.zeros(len(entries.texts), np.int64)
    parts = [np.zeros(0, np.int64)]
    for start in range(0, len(entries.texts), CHUNK):
        here = slice(start, start + CHUNK)
        texts, boundaries, apart = entries.texts[here], entries.boundaries[here], entries.apart[here]
        easy = np.zeros(len(texts), bool)
        if by_words is not None:
            easy = ~apart & np.fromiter(map(divisible, texts, boundaries.tolist()), bool, len(texts))
        found = []
        for chosen, encode_some in ((easy, by_words), (~easy, partial(_encode_whole, tokenizer))):
            places = np.flatnonzero(chosen)
            if len(places) and encode_some is not None:
                some = [texts[place] for place in places.tolist()]
                tokens, lengths[start + places], firsts[start + places] = encode_some(
                    some, boundaries[places], apart[places]
                )
                found.append((places, tokens))
        starts = np.cumsum(lengths[here]) - lengths[here]
        part = np.empty(int(lengths[here].sum()), np.int64)
        for places, tokens in found:
            part[spread(starts[places], lengths[start + places])] = tokens
        parts.append(part)
    return np.concatenate(parts), lengths, firsts


def spread(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The places ``start``, ``start + 1``, ... of runs, each of its length, one run after the other."""
    return np.arange(int(lengths.sum())) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)


def _encode_whole(
    tokenizer: "PreTrainedTokenizerFast", texts: list[str], boundaries: np.ndarray, apart: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    backend = tokenizer.backend_tokenizer
    # What a tokenizer's file says of these is meant for models with a fixed input.
    backend.no_truncation()
    backend.no_padding()
    prompts = np.flatnonzero(apart).tolist()
    whole = list(texts)
    for place in prompts:
        whole[place] = texts[place][boundaries[place] :]
    joined = (boundaries > 0) & ~apart
    encode = backend.encode_batch if joined.any() else backend.encode_batch_fast
    # Text that spells a special token, "</s>", is text: an entry has one end. A prompt may hold some on purpose.
    backend.encode_special_tokens = True
    try:
        encodings = encode(whole, add_special_tokens=False)
    finally:
        backend.encode_special_tokens = False
    ids = [encoding.ids for encoding in encodings]
    firsts = np.zeros(len(ids), np.int64)
    for place in np.flatnonzero(joined).tolist():
        # A character that the tokenizer's normaliser removes has no token: then that of the next one that has.
        found = map(encodings[place].char_to_token, range(int(boundaries[place]), len(texts[place])))
        firsts[place] = next((token for token in found if token is not None), len(ids[place]))
    heads = backend.encode_batch_fast(
        [texts[place][: boundaries[place]] for place in prompts], add_special_tokens=False
    )
    for place, prompt in zip(prompts, heads, strict=True):
        firsts[place] = len(prompt)
        ids[place] = prompt.ids + ids[place]
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    return np.fromiter(chain.from_iterable(ids), np.int64, int(lengths.sum())), lengths, firsts
