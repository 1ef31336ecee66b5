"""Tokenizers of our own, and what is said of those that cannot be used."""

import json
from pathlib import Path

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from lingualift.errors import LingualiftError
from lingualift.files import read_json
from lingualift.tokenization import load_base_tokenizer, load_tokenizer, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return tiny.tokenizer(tmp_path_factory.mktemp("tokenizer") / "out")


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_its_tokens(tokenizer, text: str) -> None:
    if "</s>" not in text:
        assert tokenizer.decode(tokenizer(text, add_special_tokens=True)["input_ids"]) == text


def test_digits_stand_apart(tokenizer) -> None:
    assert len(tokenizer("2026", add_special_tokens=False)["input_ids"]) == 4


def test_a_script_that_was_not_read_costs_its_bytes(tokenizer) -> None:
    assert len(tokenizer("猫狗", add_special_tokens=False)["input_ids"]) == len("猫狗".encode())
    assert len(tokenizer("the cat", add_special_tokens=False)["input_ids"]) == 2


def test_same_text_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        train_tokenizer(tiny.Texts(tiny.sentences(200)), vocabulary=300, max_entries=200, out=tmp_path / name)
    assert (tmp_path / "first/tokenizer.json").read_bytes() == (tmp_path / "second/tokenizer.json").read_bytes()
    assert len(AutoTokenizer.from_pretrained(str(tmp_path / "first"))) == 300


def test_only_the_first_entries_are_read(tmp_path: Path) -> None:
    texts = [*tiny.sentences(50), *["zebra zebra"] * 500]
    manifest = train_tokenizer(tiny.Texts(texts), vocabulary=300, max_entries=50, out=tmp_path / "out")
    assert manifest.counts["entries"] == 50
    assert "zebra" not in read_json(tmp_path / "out/tokenizer.json")["model"]["vocab"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(LingualiftError, match=r"nowhere: no such folder.*models\.\*\.path"):
        load_tokenizer(tmp_path / "nowhere")


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(LingualiftError, match=r"no tokenizer.*models\.\*\.path"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    tiny.tokenizer(tmp_path / "out")
    (tmp_path / "out/special_tokens_map.json").unlink(missing_ok=True)
    path = tmp_path / "out/tokenizer_config.json"
    path.write_text(json.dumps({key: value for key, value in read_json(path).items() if not key.endswith("_token")}))
    with pytest.raises(LingualiftError, match="eos_token"):
        load_tokenizer(tmp_path / "out")


@pytest.mark.parametrize(("embeddings", "fits"), [(None, True), ({"vocab_size": 0}, True), ({"vocab_size": -1}, False)])
@pytest.mark.parametrize("nested", [False, True])
def test_each_token_has_an_embedding(tmp_path: Path, embeddings: dict | None, fits: bool, nested: bool) -> None:
    """By the base's config.json, also that of its text part: as many as tokens, or one less."""
    size = len(tiny.tokenizer(tmp_path / "base"))
    if embeddings is not None:
        config = {"vocab_size": size + embeddings["vocab_size"]}
        (tmp_path / "base/config.json").write_text(json.dumps({"text_config": config} if nested else config))
    if fits:
        assert len(load_base_tokenizer(tmp_path / "base", model="llama")) == size
        return
    said = f"base: the tokenizer of this folder has {size} tokens, its embeddings {size - 1}: resize and save the base"
    with pytest.raises(LingualiftError, match=said):
        load_base_tokenizer(tmp_path / "base", model="llama")


def test_a_missing_base_is_named(tmp_path: Path) -> None:
    with pytest.raises(LingualiftError, match=r"models\.llama: .*nowhere: no such folder"):
        load_base_tokenizer(tmp_path / "nowhere", model="llama")
