"""What names the scores of a COMET model in the cache: whatever they depend on."""

import hashlib
from pathlib import Path

import huggingface_hub.constants
import pytest

from lingualift.comet_model import CometModel


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    folder = tmp_path / "comet"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "model.ckpt").write_bytes(b"weights")
    return folder


def encoder(folder: Path, tokenizer: str = "{}") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"hidden_size": 8}')
    (folder / "tokenizer.json").write_text(tokenizer)
    # Weights are the checkpoint's.
    (folder / "model.safetensors").write_bytes(b"others")
    return folder


def settings(checkpoint: Path, name: object) -> None:
    (checkpoint / "hparams.yaml").write_text(f"class_identifier: regression_metric\npretrained_model: {name}\nx: 1\n")


def test_the_key_of_a_model_with_an_encoder_of_its_own(checkpoint, tmp_path):
    """By hand: the checksums of four files, one behind the other."""
    settings(checkpoint, "xlm-roberta-large")
    own = encoder(tmp_path / "own")
    files = [checkpoint / "checkpoints/model.ckpt", checkpoint / "hparams.yaml"]
    files += [own / "config.json", own / "tokenizer.json"]
    sums = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)
    assert CometModel(checkpoint, encoder=own).fingerprint() == hashlib.sha256(sums).hexdigest()[:12]


@pytest.mark.parametrize("quotes", ["{}", "'{}'", '"{}"  # a comment'])
def test_the_encoder_that_the_settings_name_is_part_of_the_key(checkpoint, tmp_path, quotes):
    named = tmp_path / "named"
    settings(checkpoint, quotes.format(named))
    absent = CometModel(checkpoint).fingerprint()
    encoder(named)
    first = CometModel(checkpoint).fingerprint()
    encoder(named, '{"added_tokens": []}')
    second = CometModel(checkpoint).fingerprint()
    assert len({absent, first, second}) == 3
    # The same files, whoever names them.
    assert CometModel(checkpoint, encoder=named).fingerprint() == second
    settings(checkpoint, "another")
    assert CometModel(checkpoint).fingerprint() not in (absent, first, second)


def test_the_encoder_may_be_in_the_hubs_cache(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    settings(checkpoint, "owner/encoder")
    absent = CometModel(checkpoint).fingerprint()
    cached = tmp_path / "cache" / "models--owner--encoder"
    (cached / "refs").mkdir(parents=True)
    found = []
    for revision in ("abc", "def"):
        (cached / "refs" / "main").write_text(revision)
        encoder(cached / "snapshots" / revision, f'"{revision}"')
        found.append(CometModel(checkpoint).fingerprint())
    assert len({absent, *found}) == 3
