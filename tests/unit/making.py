"""Small corpora, tokenizers and mixtures for tests."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa

from lingualift.configuration.mixtures import Mixture
from lingualift.configuration.prompts import Prompt
from lingualift.corpora import TableWriter, corpus_tables
from lingualift.entries import EntryReader
from lingualift.files import write_json
from lingualift.mixing import plan_mixture

PROMPT = Prompt(with_input="{instruction}|{input}>", without_input="{instruction}>", translation="{source}-{target}")
NAMES = {"en": "English", "de": "German", "fr": "French", "cs": "Czech"}


def entry(name: str, languages: Sequence[str], rows: int, **more: Any) -> dict[str, Any]:
    """What the manifest of a corpus says of a table in which nothing is missing."""
    return {
        "name": name,
        "languages": list(languages),
        "rows": rows,
        "valid": dict.fromkeys(languages, rows),
        "pairs": {"-".join(pair): rows for pair in combinations(languages, 2)},
        "directed": False,
        "loss": "all",
        **more,
    }


def write_corpus(folder: Path, tables: Mapping[str, Mapping[str, Sequence[str | None]]], **more: Any) -> Path:
    """A corpus folder: table → column → texts; ``more`` goes into the entry of each table."""
    (folder / "tables").mkdir(parents=True)
    entries = []
    for name, columns in tables.items():
        with TableWriter(folder / "tables" / f"{name}.arrow", list(columns)) as writer:
            writer.add([pa.array(texts, pa.large_string()) for texts in columns.values()])
        rows = len(next(iter(columns.values())))
        described = entry(name, [] if name == "instructions" else list(columns), rows, **more)
        described["valid"] = {code: sum(text is not None for text in columns[code]) for code in described["valid"]}
        described["pairs"] = {
            "-".join(pair): sum(None not in texts for texts in zip(*(columns[code] for code in pair), strict=True))
            for pair in combinations(described["languages"], 2)
        }
        entries.append(described)
    write_json({"tables": entries, "dropped": {}}, folder / "manifest.json")
    return folder


def reader_of(
    mixture: Mixture | Mapping[str, Any],
    folders: Mapping[str, Path],
    *,
    languages: Sequence[str] = ("en", "de"),
    seed: int = 1,
    **options: Any,
) -> EntryReader:
    """The entries of a mixture over corpus folders."""
    mixture = Mixture.model_validate(mixture)
    tables = {name: corpus_tables(folder) for name, folder in folders.items()}
    plan = plan_mixture(mixture, tables=tables, languages=languages, seed=seed)
    return EntryReader(plan, folders=folders, prompt=PROMPT, names=NAMES, **options)


def byte_tokenizer(*, opening: bool = False, merges: Sequence[tuple[str, str]] = ()) -> Any:
    """A tokenizer of bytes: ``</s>`` is 0, ``<s>`` is 1, and an ASCII character is a token of its own.

    Args:
        opening: whether every text begins with ``<s>``.
        merges: pairs of tokens that are one; a space is ``Ġ``.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["</s>", "<s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={word: at for at, word in enumerate(words)}, merges=list(merges)))
    tokenizer.add_special_tokens(["</s>", "<s>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if opening:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
