"""Tokenising and packing: tokens a second, against ``datasets.map`` and group_texts.

    python benchmarks/packing.py --data ../shared/data

The text is Multi30k's training captions, each pair of its four languages as one connected entry: 174,000 entries.
Both sides use one byte-level BPE tokenizer of 8,000 tokens, learnt on this text off the clock, blocks of 256 tokens
and two processes; they take turns, and the table gives medians.

- **pack_mixture**: ours, as the workflow runs it: reads rows of the imported corpus in the order of training, draws
  directions, joins the sides, tokenises, packs, writes shards with their loss mask and the counts of every language.
- **datasets.map, group_texts**: the recipe of transformers' ``run_clm.py``: one batched ``map`` that tokenises,
  another that chains each 1,000 entries and cuts them into blocks, labels beside them. It starts from a data set on
  disk that holds the very entries, in our order, joined and with their end-of-sequence token, prepared off the clock,
  so that its work is the lighter one. Unlike the recipe it keeps the remainder of each 1,000 entries, as a short
  block, so that no token is lost and both sides can be compared.

Both must give the same tokens in the same order, or the benchmark fails.
"""

import os
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import Any

from common import (
    arguments_parser,
    caption_reader,
    import_multi30k,
    main_or_part,
    report,
    run_part,
    speed_rows,
)

_BLOCK, _VOCABULARY, _PROCESSES = 256, 8_000, 2
_OURS, _PEER = "pack_mixture", "datasets.map, group_texts"


def main() -> None:
    """Run both in turn and print the table."""
    parser = arguments_parser(__doc__, repetitions=5)
    parser.add_argument("--sample", type=float, default=1.0, help="share of the text; all by default")
    arguments = parser.parse_args()
    speeds: dict[str, list[float]] = {_OURS: [], _PEER: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, data=arguments.data, sample=arguments.sample)
        for turn in range(arguments.repetitions):
            sides = [run_part(__file__, part, folder=folder, sample=arguments.sample) for part in ("ours", "peer")]
            check_same(*sides)
            for what, side in zip(speeds, sides, strict=True):
                speeds[what].append(side["tokens"] / side["seconds"])
            print(f"round {turn + 1}: {speeds[_OURS][-1] / speeds[_PEER][-1]:.2f}", flush=True)
    notes = [f"the same {sides[0]['tokens']:,} tokens in the same order, checked in every round"]
    report("packing", speed_rows(speeds, peer=_PEER, unit="tokens/s"), notes=notes)


def prepare(folder: Path, *, data: Path, sample: float, vocabulary: int = _VOCABULARY) -> None:
    """Import the text, learn the tokenizer, and write the entries as the peer reads them."""
    from datasets import Dataset

    from lingualift.tokenization import EOS, train_tokenizer

    corpus = import_multi30k(data, folder / "corpus")
    reader, _ = caption_reader(corpus, sample=sample)
    train_tokenizer(reader, vocabulary=vocabulary, max_entries=20_000, out=folder / "tokenizer")
    texts = reader.read(0, reader.plan.entries).texts
    Dataset.from_dict({"text": [text + EOS for text in texts]}).save_to_disk(folder / "entries")


def ours(folder: str, sample: float) -> dict[str, Any]:
    """Pack by :func:`lingualift.packing.pack_mixture`."""
    import numpy as np

    from lingualift.packing import pack_mixture
    from lingualift.tokenization import load_tokenizer

    tokenizer = load_tokenizer(Path(folder) / "tokenizer")
    reader, mixture = caption_reader(Path(folder) / "corpus", sample=sample, block=_BLOCK)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        start = time.perf_counter()
        manifest = pack_mixture(
            reader, tokenizer, mixture, out=Path(work) / "packed", work=Path(work) / "state", workers=_PROCESSES
        )
        seconds = time.perf_counter() - start
        kept = []
        for shard in range(manifest.counts["shards"]):
            tokens = np.load(Path(work) / "packed" / f"tokens-{shard:05d}.npy")
            learnt = np.load(Path(work) / "packed" / f"learnt-{shard:05d}.npy")
            # What is not learnt is the filling of a shard's last block: of connected text every token is.
            kept.append(tokens[np.unpackbits(learnt, axis=1, count=_BLOCK).astype(bool)])
    return _measured(np.concatenate(kept), seconds)


def peer(folder: str, sample: float) -> dict[str, Any]:
    """Pack as ``run_clm.py`` does."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import datasets
    import numpy as np

    from lingualift.tokenization import load_tokenizer

    datasets.disable_progress_bars()
    datasets.disable_caching()
    tokenizer = load_tokenizer(Path(folder) / "tokenizer")
    entries = datasets.load_from_disk(Path(folder) / "entries")

    def tokenise(examples: dict[str, list]) -> Any:
        return tokenizer(examples["text"])

    start = time.perf_counter()
    tokenised = entries.map(tokenise, batched=True, num_proc=_PROCESSES, remove_columns=["text"])
    blocks = tokenised.map(group_texts, batched=True, num_proc=_PROCESSES)
    seconds = time.perf_counter() - start
    flat = blocks.data.column("input_ids").combine_chunks()
    return _measured(np.concatenate([chunk.flatten().to_numpy() for chunk in getattr(flat, "chunks", [flat])]), seconds)


def group_texts(examples: dict[str, list]) -> dict[str, list]:
    """Chain all texts of a batch and cut them into blocks, as ``run_clm.py`` does; the last may be short."""
    chained = {key: list(chain(*examples[key])) for key in examples}
    total = len(chained["input_ids"])
    result = {key: [t[i : i + _BLOCK] for i in range(0, total, _BLOCK)] for key, t in chained.items()}
    result["labels"] = result["input_ids"].copy()
    return result


def check_same(ours: dict[str, Any], peer: dict[str, Any]) -> None:
    """Raise unless both gave the same tokens in the same order."""
    for key in ("tokens", "digest"):
        if ours[key] != peer[key]:
            raise RuntimeError(f"not the same tokens: {key} {ours[key]} here, {peer[key]} there")


def _measured(stream: Any, seconds: float) -> dict[str, Any]:
    import hashlib

    import numpy as np

    digest = hashlib.sha256(np.ascontiguousarray(stream, np.int64).tobytes()).hexdigest()
    return {"tokens": len(stream), "digest": digest, "seconds": seconds}


if __name__ == "__main__":
    main_or_part(main, {"ours": ours, "peer": peer})
