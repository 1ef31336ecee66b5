"""One epoch of training on short pairs on a CPU: seconds, against transformers' Trainer on padded batches.

    python benchmarks/training.py --data ../shared/data

The text is connected pairs of Multi30k's training captions, ``--pairs`` of them; the model a Llama of 2.9 million
parameters with fresh weights, float32; the optimiser, schedule and learning rate are the same. The two take turns,
each round with a seed of its own, and the table gives medians.

- **packed**: ours, :func:`lingualift.training.train` as the workflow calls it, on blocks of 256 tokens that hold whole
  pairs, attention within each pair; its whole call, with making and saving the model.
- **packed, run on**: the same with the blocks of LLaMAX: pairs run on over the ends of blocks and see each other.
- **padded**: a batch holds as many pairs as a batch of ours does on average, drawn at random, padded to its longest;
  the number of steps is the same to within one. Tokens are ready before the clock starts, for all.

Held-out loss is the mean negative log-likelihood a token of pairs of the validation set, each alone, by one function
for all; the difference between packed and padded stands beside the spread between the seeds.
"""

import logging
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import Row, arguments_parser, caption_reader, import_multi30k, main_or_part, report, run_part

_BLOCK, _BATCH, _VOCABULARY, _HELD_OUT = 256, 16, 6_000, 600
_SIDES = ("packed", "packed, run on", "padded")
_PEER = "padded"


def main() -> None:
    """Train all in turn and print the table."""
    parser = arguments_parser(__doc__, repetitions=3)
    parser.add_argument("--pairs", type=int, default=8_000, help="pairs of the epoch; %(default)s by default")
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {side: [] for side in _SIDES}
    losses: dict[str, list[float]] = {side: [] for side in _SIDES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, data=arguments.data, pairs=arguments.pairs)
        for turn in range(arguments.repetitions):
            for side in _SIDES:
                result = run_part(__file__, "train", folder=folder, side=side, seed=turn)
                seconds[side].append(result["seconds"])
                losses[side].append(result["loss"])
                print(f"round {turn + 1}, {side}: {result}", flush=True)
    rows = []
    for side in _SIDES:
        ratios = [theirs / own for theirs, own in zip(seconds[_PEER], seconds[side], strict=True)]
        ratios = [] if side == _PEER else ratios
        rows.append(Row(what=f"{side}: one epoch", unit="s", values=seconds[side], ratios=ratios, digits=1))
    rows += [Row(what=f"{side}: held-out loss", unit="nats/token", values=losses[side], digits=3) for side in _SIDES]
    report("training", rows, notes=[loss_note(losses["packed"], losses[_PEER])])


def loss_note(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """How far the losses are apart, and how far one is from itself under another seed."""
    apart = statistics.mean(ours) - statistics.mean(theirs)
    noise = max(max(side) - min(side) for side in (ours, theirs))
    return f"held-out loss, packed minus padded: {apart:+.3f}; between seeds, at most: {noise:.3f}"


def prepare(
    folder: Path,
    *,
    data: Path,
    pairs: int,
    vocabulary: int = _VOCABULARY,
    hidden: int = 192,
    held_out: int = _HELD_OUT,
) -> None:
    """Import the text, learn the tokenizer, and lay out what each side reads."""
    import json

    from lingualift.packing import pack_mixture, tokenise
    from lingualift.tokenization import load_tokenizer, train_tokenizer

    corpus = import_multi30k(data, folder / "corpus")
    whole, _ = caption_reader(corpus)
    # Of each of the pairs of languages, the same share.
    share = {"sample": pairs / whole.plan.entries}
    train_tokenizer(whole, vocabulary=vocabulary, max_entries=20_000, out=folder / "tokenizer")
    tokenizer = load_tokenizer(folder / "tokenizer")
    layouts = {"packed": {"packing": "whole", "isolate": True}, "packed, run on": {}}
    for side, settings in layouts.items():
        reader, mixture = caption_reader(corpus, block=_BLOCK, **share, **settings)
        pack_mixture(reader, tokenizer, mixture, out=folder / side, work=folder / f"{side}.work")
    _save_rows(tokenise(reader.read(0, reader.plan.entries), tokenizer)[0], folder / "rows.npz")
    tests = import_multi30k(data, folder / "held-out", files="val.{language}.gz")
    reader, _ = caption_reader(tests)
    _save_rows(tokenise(reader.read(0, held_out), tokenizer)[0], folder / "held-out.npz")
    (folder / "scratch.json").write_text(json.dumps({"vocabulary": vocabulary, "hidden": hidden}), encoding="utf-8")


def train_side(folder: str, side: str, seed: int, batch: int = _BATCH) -> dict[str, Any]:
    """Train one side and evaluate it.

    Returns:
        Seconds of the whole training, held-out loss, steps, padded and real tokens a second.
    """
    # Progress belongs in logs.
    logging.disable(logging.WARNING)
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    from lingualift.blocks import PackedBlocks
    from lingualift.configuration.models import Recipe, Scratch
    from lingualift.files import read_json
    from lingualift.tokenization import load_tokenizer
    from lingualift.training import load_model, train

    here = Path(folder)
    tokenizer = load_tokenizer(here / "tokenizer")
    scratch = Scratch(**read_json(here / "scratch.json"))
    rows = _load_rows(here / "rows.npz")
    recipe = Recipe(learning_rate=2e-3, batch=batch, precision="float32", checkpoint_every=100_000)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        start = time.perf_counter()
        if side == _PEER:
            steps = PackedBlocks(here / "packed", batch=batch).steps
            _train_padded(rows, tokenizer, recipe, scratch, steps=steps, seed=seed, out=Path(work) / "model")
        else:
            state = Path(work) / "state"
            made = train(
                blocks=here / side,
                tokenizer=tokenizer,
                recipe=recipe,
                scratch=scratch,
                out=Path(work) / "model",
                state=state,
                seed=seed,
            )
            steps = made.counts["steps"]
        seconds = time.perf_counter() - start
        loss = held_out_loss(load_model(Path(work) / "model"), _load_rows(here / "held-out.npz"))
    tokens = sum(map(len, rows))
    return {"seconds": seconds, "loss": loss, "steps": steps, "tokens_per_second": round(tokens / seconds)}


def _train_padded(
    rows: list[Any], tokenizer: Any, recipe: Any, scratch: Any, *, steps: int, seed: int, out: Path
) -> None:
    """Train as transformers' own examples do: one pair a row, batches padded to their longest."""
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments, set_seed

    from lingualift.training import scratch_model

    model = scratch_model(scratch, tokenizer, seed=seed)
    model.config.use_cache = False
    set_seed(seed)
    arguments = TrainingArguments(
        output_dir=str(out),
        num_train_epochs=1,
        per_device_train_batch_size=-(-len(rows) // steps),
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=-(-steps * 3 // 100),
        optim="adamw_torch_fused",
        adam_beta2=recipe.beta2,
        max_grad_norm=recipe.clip,
        use_cpu=True,
        logging_steps=recipe.log_every,
        save_strategy="no",
        seed=seed,
        report_to=[],
    )
    examples = [{"input_ids": row.tolist(), "labels": row.tolist()} for row in rows]
    # It pads labels with -100: padding is not learnt, the end-of-sequence tokens are, as with us.
    collator = DataCollatorForSeq2Seq(tokenizer, padding=True)
    trainer = Trainer(model=model, args=arguments, train_dataset=examples, data_collator=collator)
    trainer.train()
    trainer.save_model(str(out))


def held_out_loss(model: Any, rows: Sequence[Any]) -> float:
    """Mean negative log-likelihood a token, in nats, of pairs that each stand alone; of a pair's first token none."""
    import torch

    total = count = 0
    with torch.inference_mode():
        for start in range(0, len(rows), 32):
            part = [torch.from_numpy(row) for row in rows[start : start + 32]]
            ids = torch.nn.utils.rnn.pad_sequence(part, batch_first=True)
            kept = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in part], batch_first=True)
            logits = model.eval()(input_ids=ids, attention_mask=kept).logits[:, :-1]
            labels = ids[:, 1:].masked_fill(kept[:, 1:] == 0, -100)
            total += torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="sum").item()
            count += int((labels >= 0).sum())
    return total / count


def _save_rows(entries: Any, path: Path) -> None:
    import numpy as np

    np.savez(path, tokens=entries.tokens, ends=entries.ends)


def _load_rows(path: Path) -> list[Any]:
    import numpy as np

    with np.load(path) as content:
        return [row for row in np.split(content["tokens"], content["ends"][:-1]) if len(row)]


if __name__ == "__main__":
    main_or_part(main, {"train": train_side})
