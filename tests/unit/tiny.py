"""Tiny tokenizers, packed blocks and recipes for tests of training and translation."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from lingualift.configuration.models import Recipe, Scratch
from lingualift.estimates.architectures import Architecture
from lingualift.files import write_json
from lingualift.tokenization import load_tokenizer, train_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

WORDS = [
    "the",
    "cat",
    "dog",
    "bird",
    "sees",
    "eats",
    "finds",
    "a",
    "small",
    "big",
    "red",
    "old",
    "apple",
    "tree",
    "house",
    "here",
    "there",
    "now",
]
BLOCK = 16


class Texts:
    """Stands for an entry reader: entries that are plain texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = list(texts)
        self.plan = SimpleNamespace(entries=len(self.texts), seed=1)

    def read(self, start: int, stop: int) -> SimpleNamespace:
        return SimpleNamespace(texts=self.texts[start:stop])


def sentences(count: int, *, seed: int = 0, words: int = 5) -> list[str]:
    """Sentences of random words, the same for the same seed."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, words)) for _ in range(count)]


def tokenizer(folder: Path, *, vocabulary: int = 320) -> PreTrainedTokenizerFast:
    """A tokenizer learnt on random sentences, as it is read back from ``folder``."""
    train_tokenizer(Texts(sentences(200)), vocabulary=vocabulary, max_entries=200, out=folder)
    return load_tokenizer(folder)


def write_blocks(
    folder: Path,
    tokens: np.ndarray,
    *,
    learnt: np.ndarray | None = None,
    vocabulary: int,
    eos: int,
    isolate: bool = False,
) -> Path:
    """One shard in the form that packing writes; ``tokens`` is blocks x block."""
    folder.mkdir(parents=True)
    mask = np.ones(tokens.shape, bool) if learnt is None else learnt
    np.save(folder / "tokens-00000.npy", tokens.astype(np.uint16))
    np.save(folder / "learnt-00000.npy", np.packbits(mask, axis=1))
    write_json(
        {
            "counts": {"shards": 1, "blocks": len(tokens)},
            "block": tokens.shape[1],
            "isolate": isolate,
            "vocabulary": vocabulary,
            "eos": eos,
        },
        folder / "manifest.json",
    )
    return folder


def text_blocks(folder: Path, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], *, block: int = BLOCK) -> Path:
    """Texts on end, an end-of-sequence token behind each, cut into blocks."""
    eos = tokenizer.eos_token_id
    tokens = [token for text in texts for token in (*tokenizer(text, add_special_tokens=False)["input_ids"], eos)]
    whole = len(tokens) // block * block
    return write_blocks(
        folder, np.array(tokens[:whole]).reshape(-1, block), vocabulary=len(tokenizer), eos=tokenizer.eos_token_id
    )


def recipe(**changes: Any) -> Recipe:
    """A recipe for a few steps in float32."""
    values: dict[str, Any] = {
        "learning_rate": 1e-2,
        "schedule": "constant",
        "warmup": 0,
        "batch": 4,
        "precision": "float32",
        "log_every": 1,
        "checkpoint_every": 1000,
    }
    return Recipe.model_validate({**values, **changes})


def scratch(**changes: Any) -> Scratch:
    """A model of some ten thousand parameters."""
    return Scratch.model_validate({"vocabulary": 320, "hidden": 32, "layers": 1, "intermediate": 64, **changes})


def llama(it: Architecture, **options: Any) -> "LlamaForCausalLM":
    """A Llama of random weights of some shape."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=it.vocabulary,
        hidden_size=it.hidden,
        num_hidden_layers=it.layers,
        num_attention_heads=it.heads,
        num_key_value_heads=it.key_value_heads,
        intermediate_size=it.intermediate,
        tie_word_embeddings=it.tied,
        use_cache=False,
        **options,
    )
    return LlamaForCausalLM(config)
