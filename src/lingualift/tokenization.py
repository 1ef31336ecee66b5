"""Tokenizers: byte-level BPE learnt on a mixture of the configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lingualift.configuration.training_checks import read_model_config
from lingualift.entries import EntryReader
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path
from lingualift.manifests import Manifest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

EOS = "</s>"
_CHUNK = 8_192


def train_tokenizer(reader: EntryReader, *, vocabulary: int, max_entries: int, out: Path) -> Manifest:
    """Learn a byte-level BPE tokenizer from the first entries of a mixture's order and save it in ``out``.

    Byte-level: no text is unknown to it, whatever its script; a language that the mixture hardly holds comes out
    in many short tokens, as with LLaMA's.

    Args:
        vocabulary: tokens, the end-of-sequence token and the 256 bytes included.
        max_entries: how many entries to read.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    manifest = Manifest("tokenizer", {"vocabulary": vocabulary, "max_entries": max_entries}, seed=reader.plan.seed)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            # Digits apart, as LLaMA's tokenizer has them.
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    size = min(max_entries, reader.plan.entries)
    tokenizer.train_from_iterator(_texts(reader, size), trainer, length=size)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=EOS,
        eos_token=EOS,
        unk_token=EOS,
        pad_token=EOS,
        clean_up_tokenization_spaces=False,
    )
    manifest.counts.update(entries=size, tokens=len(fast))
    with atomic_path(out) as part:
        fast.save_pretrained(part)
        manifest.save(part / "manifest.json")
    return manifest


def _texts(reader: EntryReader, size: int) -> Iterator[list[str]]:
    for start in range(0, size, _CHUNK):
        yield reader.read(start, min(start + _CHUNK, size)).texts


def load_tokenizer(folder: str | Path | None) -> "PreTrainedTokenizerFast":
    """Load a tokenizer from a local folder: never from the network, never with code of its own.

    Raises:
        LingualiftError: no such folder, no tokenizer in it, or one that packing cannot use.
    """
    from transformers import AutoTokenizer

    if not folder or not Path(folder).is_dir():
        raise LingualiftError(f"{folder or 'a tokenizer'}: no such folder; a model's is in its `models.*.path`")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LingualiftError(
            f"{folder}: no tokenizer that transformers can read ({str(error).splitlines()[0]}); "
            "put the tokenizer's files into the model's folder, `models.*.path`"
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise LingualiftError(f"{folder}: not a fast tokenizer: save it again with `use_fast=True`")
    if tokenizer.eos_token_id is None:
        raise LingualiftError(f"{folder}: the tokenizer has no end-of-sequence token: set its `eos_token`")
    return tokenizer


def load_base_tokenizer(folder: str | Path, *, model: str) -> "PreTrainedTokenizerFast":
    """The tokenizer that a mixture is packed with: each of its tokens has to have an embedding in the base.

    Args:
        model: the base whose tokenizer it is, for messages.

    Raises:
        LingualiftError: see :func:`load_tokenizer`; or it has more tokens than the base beside it has embeddings.
    """
    if not Path(folder).is_dir():
        raise LingualiftError(f"models.{model}: {folder}: no such folder")
    tokenizer = load_tokenizer(folder)
    embeddings = read_model_config(Path(folder)).get("vocab_size")
    if isinstance(embeddings, int) and len(tokenizer) > embeddings:
        raise LingualiftError(
            f"{folder}: the tokenizer of this folder has {len(tokenizer)} tokens, its embeddings {embeddings}: resize "
            "and save the base first (`resize_token_embeddings`)"
        )
    return tokenizer
