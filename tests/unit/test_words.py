"""Tokens word by word are those of whole texts, to the last one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from lingualift.encoding import _encode_whole, encode, spread
from lingualift.entries import Entries
from lingualift.words import divisible, word_encoder

_TEXT = [
    "the dog isn't red",
    "der Hund läuft 1999 um 12 Uhr",
    "le chien, c'est « rouge »",
    "собака 狗跑得快 ！",
    "a b c",
]
_ALPHABET = "ab'ts12 ,.«é狗ия\u200d\u00a0\u3000\n\t</>"


def _tokenizer(*steps, normalizer=None) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(steps))
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXT * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="</s>")


_DIGITS = pre_tokenizers.Split(Regex(r"\d"), "isolated")
_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
_LLAMA3 = pre_tokenizers.Split(
    Regex(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "isolated",
)
_TOKENIZERS = {
    "ours": _tokenizer(_DIGITS, _BYTES),
    "llama 3": _tokenizer(_LLAMA3, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
}


def _entries(texts: list[str], boundaries: list[int]) -> Entries:
    zeros = np.zeros(len(texts), np.int64)
    return Entries(texts, zeros, np.array(boundaries, np.int64), zeros.astype(bool), zeros, zeros.astype(bool), {})


def _same(tokenizer: PreTrainedTokenizerFast, texts: list[str], boundaries: list[int]) -> None:
    entries = _entries(texts, boundaries)
    expected = _encode_whole(tokenizer, texts, entries.boundaries, entries.apart)
    for found, wanted in zip(encode(entries, tokenizer), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", _TOKENIZERS)
@given(pairs=st.lists(st.tuples(st.text(_ALPHABET, max_size=12), st.text(_ALPHABET, max_size=12)), max_size=6))
@settings(max_examples=100, deadline=None)
def test_words_give_the_tokens_and_boundaries_of_the_whole(name, pairs):
    texts = [f"{source} {target}" for source, target in pairs] + [source for source, _ in pairs]
    _same(_TOKENIZERS[name], texts, [len(source) + 1 for source, _ in pairs] + [0] * len(pairs))


def test_real_captions(shared_data: Path):
    import gzip

    sides = []
    for code in ("en", "fr", "cs"):
        with gzip.open(shared_data / "multi30k" / f"val.{code}.gz", "rt", encoding="utf-8") as file:
            sides.append([line.strip() for line in file][:500])
    texts = [f"{a} {b}" for a, b in zip(sides[1] + sides[0], sides[2] + sides[1], strict=True)]
    _same(_TOKENIZERS["ours"], texts, [len(a) + 1 for a in sides[1] + sides[0]])
    assert sum(divisible(text, 0) for text in texts) > 900


def test_a_tokenizer_that_grows_is_asked_anew():
    tokenizer = _tokenizer(_DIGITS, _BYTES)
    _same(tokenizer, ["dog dig"], [0])
    tokenizer.add_tokens(["dig"])
    _same(tokenizer, ["dog dig"], [0])


@pytest.mark.parametrize(
    "tokenizer",
    [
        _tokenizer(_BYTES, normalizer=normalizers.Lowercase()),
        _tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=True)),
        _tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
        _tokenizer(pre_tokenizers.Split(Regex(r"\w+ \w+"), "isolated"), _BYTES),
    ],
)
def test_a_tokenizer_that_may_look_across_spaces_is_not_asked_by_words(tokenizer):
    assert word_encoder(tokenizer) is None


def test_an_added_token_that_takes_spaces_is_a_reason_not_to():
    from tokenizers import AddedToken

    tokenizer = _tokenizer(_DIGITS, _BYTES)
    tokenizer.add_tokens([AddedToken("<x>", lstrip=True)])
    assert word_encoder(tokenizer) is None


def test_white_space_that_is_not_a_single_space_makes_a_text_indivisible():
    assert divisible("a b", 2) and divisible("", 0)
    for text in ("a  b", " a", "a ", "a\tb", "a\u00a0b", "a\u3000b", "a\u2028b", "a\nb"):
        assert not divisible(text, 0)
    assert not divisible("ab", 1)


def test_spread_lists_the_places_of_runs():
    assert spread(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
