"""Training speed, memory and share of a GPU's peak: our trainer, transformers' Trainer, a plain loop.

    python benchmarks/training_speed.py                                # a small model on a CPU
    python benchmarks/training_speed.py --models 125m 1b 3b            # on a GPU, in bfloat16

The same Llama with fresh weights, the same text (random tokens in entries of random length, made off the clock), the
same number of tokens a step, the same optimiser and precision. They take turns, each in a process of its own; speed is
the median over steps behind the first ones, counted in tokens of text, so padding is time lost.

- **ours**: :func:`lingualift.training.train` as the workflow calls it, on packed blocks; on a GPU with `compile`.
- **plain loop**: the same blocks, scaled-dot-product attention, ``torch.compile`` (on a GPU, or with --compile), fused
  AdamW, nothing else.
- **Trainer**: transformers' with its default settings on the same entries, a row each, padded to the longest of the batch.

MFU counts the model's own work (PaLM, appendix B) against the GPU's data sheet; computing activations twice or padding
does not count as work.
"""

import json
import logging
import os
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

from common import SEED, Row, arguments_parser, main_or_part, report, run_part

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

_SIDES = ("ours", "plain loop", "Trainer")
_WARM_UP = 3  # steps that are not counted: they compile, and fill caches
# Hidden width, layers, heads, width of the feed-forward layers, vocabulary; tokens in a block, blocks a step.
MODELS = {
    "toy": (32, 1, 1, 64, 300, 32, 4),
    "3m": (192, 4, 3, 512, 6_000, 256, 8),
    "125m": (768, 12, 12, 2_048, 32_000, 512, 64),
    "1b": (2_048, 22, 32, 5_632, 32_000, 512, 32),
    "3b": (3_072, 26, 24, 8_192, 32_000, 512, 16),
}


def main() -> None:
    """Measure all sides of all models in turn and print the table."""
    parser = arguments_parser(__doc__, repetitions=1, data=False)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=["3m"], help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=20, help="steps of a round; %(default)s by default")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the GPU in bfloat16; by its name by default")
    parser.add_argument("--compile", action="store_true", help="torch.compile on a CPU, too")
    arguments = parser.parse_args()
    rows, notes = [], []
    for model in arguments.models:
        found: dict[str, list[dict[str, float]]] = {side: [] for side in _SIDES}
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder), model=model, steps=arguments.steps)
            for turn in range(arguments.repetitions):
                for side in _SIDES:
                    settings = {"folder": folder, "model": model, "side": side, "steps": arguments.steps}
                    settings |= {"compiled": arguments.compile, "peak": arguments.peak}
                    result = run_part(__file__, "train", **settings)
                    found[side].append(result)
                    print(f"{model}, round {turn + 1}, {side}: {result}", flush=True)
        rows += _rows(model, found)
        losses = ", ".join(f"{side} {found[side][-1]['loss']:.3f}" for side in _SIDES)
        notes.append(f"{model}: last loss {losses}")
    report("training_speed", rows, notes=notes)


def _rows(model: str, found: dict[str, list[dict[str, float]]]) -> list[Row]:
    """Speeds, each as a ratio to its peers in the same round; shares of the peak; memory."""
    rows = []
    speeds = {side: [it["tokens_per_second"] for it in results] for side, results in found.items()}
    for side in _SIDES:
        rows.append(Row(what=f"{model}: {side}", unit="tokens/s", values=speeds[side]))
    for peer in _SIDES[1:]:
        ratios = [own / other for own, other in zip(speeds["ours"], speeds[peer], strict=True)]
        rows.append(Row(what=f"{model}: ours to {peer}", unit="times", values=ratios, ratios=ratios, digits=2))
    for side in _SIDES:
        shares = [100 * it["mfu"] for it in found[side] if it["mfu"]]
        if shares:
            rows.append(Row(what=f"{model}: {side}, of the peak", unit="%", values=shares, digits=1))
        memory = [it["memory_gb"] for it in found[side]]
        rows.append(Row(what=f"{model}: {side}, memory", unit="GB", values=memory, digits=2))
    return rows


def prepare(folder: Path, *, model: str, steps: int) -> None:
    """Make the entries and lay them out as packed blocks."""
    import numpy as np

    from lingualift.files import write_json

    *_, vocabulary, block, batch = MODELS[model]
    rng = np.random.default_rng(SEED)
    # Pairs of sentences: half of them shorter than a tenth of a block, few above a half.
    wanted = (steps + _WARM_UP) * batch * block
    lengths = np.clip(rng.lognormal(np.log(block / 10), 0.7, wanted // 4), 4, block).astype(int)
    lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), wanted)) + 1]
    tokens = rng.integers(3, vocabulary, lengths.sum(), dtype=np.uint16)
    # An entry ends with the end-of-sequence token.
    tokens[np.cumsum(lengths) - 1] = 0
    blocks = tokens[:wanted].reshape(-1, block)
    packed = folder / "packed"
    packed.mkdir()
    np.save(packed / "tokens-00000.npy", blocks)
    np.save(packed / "learnt-00000.npy", np.packbits(np.ones(blocks.shape, bool), axis=1))
    counts = {"blocks": len(blocks), "tokens": int(blocks.size), "shards": 1}
    manifest = {"counts": counts, "block": block, "isolate": False, "vocabulary": vocabulary, "eos": 0}
    write_json(manifest, packed / "manifest.json")
    np.savez(folder / "entries.npz", tokens=tokens, ends=np.cumsum(lengths))


def train_side(folder: str, model: str, side: str, steps: int, compiled: bool, peak: float | None) -> dict[str, Any]:
    """Train one side for some steps.

    Returns:
        Median tokens a second, share of the peak (None on a CPU), memory in GB, the last loss.
    """
    logging.disable(logging.WARNING)
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"
    import torch

    from lingualift.estimates.architectures import of_scratch

    gpu = torch.cuda.is_available()
    sides = {"ours": _ours, "plain loop": _plain_loop, "Trainer": _trainer}
    speed, loss = sides[side](Path(folder), model, steps, gpu or compiled, gpu)
    peak = _peak(peak) if gpu else None
    work = of_scratch(scratch_of(model)).training_flops(MODELS[model][-2])
    return {
        "tokens_per_second": speed,
        "mfu": speed * work / peak if peak else None,
        "memory_gb": _memory(gpu),
        "loss": loss,
    }


def _ours(folder: Path, model: str, steps: int, compiled: bool, gpu: bool) -> tuple[float, float]:
    from lingualift.configuration.models import Recipe
    from lingualift.training import train

    *_, batch = MODELS[model]
    recipe = Recipe(
        learning_rate=1e-4,
        batch=batch,
        max_steps=steps + _WARM_UP,
        precision="bfloat16" if gpu else "float32",
        compile=compiled,
        checkpoint_every=1_000_000,
        log_every=1,
    )
    with tempfile.TemporaryDirectory(dir=folder) as work:
        out = Path(work) / "model"
        train(
            blocks=folder / "packed",
            tokenizer=tokenizer_of(model),
            recipe=recipe,
            scratch=scratch_of(model),
            out=out,
            state=Path(work) / "state",
            seed=SEED,
        )
        lines = [json.loads(line) for line in (out / "training.jsonl").read_text(encoding="utf-8").splitlines()]
    return statistics.median(line["tokens_per_second"] for line in lines[_WARM_UP:]), lines[-1]["loss"]


def _plain_loop(folder: Path, model: str, steps: int, compiled: bool, gpu: bool) -> tuple[float, float]:
    import torch

    from lingualift.blocks import PackedBlocks
    from lingualift.training import scratch_model

    *_, block, batch = MODELS[model]
    device = "cuda" if gpu else "cpu"
    data = PackedBlocks(folder / "packed", batch=batch, seed=SEED)
    net = scratch_model(scratch_of(model), tokenizer_of(model), seed=SEED).to(device).train()
    net.config.use_cache = False
    net.set_attn_implementation("sdpa")
    run = torch.compile(net) if compiled else net
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
    seconds, loss = [], 0.0
    for step in range(steps + _WARM_UP):
        start = time.perf_counter()
        batch_of = data.batch_of(range(step * batch, (step + 1) * batch))
        with torch.autocast("cuda", torch.bfloat16) if gpu else nullcontext():
            found = run(**{key: value.to(device) for key, value in batch_of.items()}).loss
        found.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        # Waits for the device.
        loss = found.item()
        seconds.append(time.perf_counter() - start)
    return batch * block / statistics.median(seconds[_WARM_UP:]), loss


def _trainer(folder: Path, model: str, steps: int, compiled: bool, gpu: bool) -> tuple[float, float]:
    import numpy as np
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments

    from lingualift.training import scratch_model

    *_, block, batch = MODELS[model]
    with np.load(folder / "entries.npz") as content:
        entries = np.split(content["tokens"].astype(np.int64), content["ends"][:-1])
    # As many entries as hold the tokens of a packed step, on average.
    rows = max(1, round(batch * block / (sum(map(len, entries)) / len(entries))))
    examples = [{"input_ids": entry.tolist(), "labels": entry.tolist()} for entry in entries]
    net = scratch_model(scratch_of(model), tokenizer_of(model), seed=SEED)
    net.config.use_cache = False

    class Clock(TrainerCallback):
        """When each step ended."""

        times: list[float] = []

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            if gpu:
                import torch

                torch.cuda.synchronize()
            self.times.append(time.perf_counter())

    with tempfile.TemporaryDirectory(dir=folder) as work:
        arguments = TrainingArguments(
            output_dir=work,
            max_steps=steps + _WARM_UP,
            per_device_train_batch_size=rows,
            learning_rate=1e-4,
            bf16=gpu,
            use_cpu=not gpu,
            logging_steps=1,
            save_strategy="no",
            seed=SEED,
            report_to=[],
            disable_tqdm=True,
        )
        collator = DataCollatorForSeq2Seq(tokenizer_of(model), padding=True)
        trainer = Trainer(model=net, args=arguments, train_dataset=examples, data_collator=collator)
        trainer.add_callback(Clock())
        trainer.train()
    seconds = [after - before for before, after in pairwise(Clock.times[_WARM_UP - 1 :])]
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    tokens = rows * sum(map(len, entries)) / len(entries)
    return tokens / statistics.median(seconds), losses[-1]


def scratch_of(model: str) -> Any:
    """The shape of one of ``MODELS``."""
    from lingualift.configuration.models import Scratch

    hidden, layers, heads, intermediate, vocabulary, block, _ = MODELS[model]
    return Scratch(
        hidden=hidden, layers=layers, heads=heads, intermediate=intermediate, vocabulary=vocabulary, context=block
    )


def tokenizer_of(model: str) -> Any:
    """A tokenizer of as many words as the model has tokens."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {f"t{number}": number for number in range(MODELS[model][4])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="t2"))
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="t0", bos_token="t0", pad_token="t1", unk_token="t2"
    )


def _peak(given: float | None) -> float:
    import torch

    from lingualift.estimates.devices import DEVICES

    if given:
        return given * 1e12
    name = torch.cuda.get_device_name().lower().replace(" ", "")
    known = [device.peak for key, device in DEVICES.items() if key.split("-")[0] in name]
    if not known:
        raise SystemExit(f"the peak of {torch.cuda.get_device_name()} is not known: give --peak, in TFLOP/s")
    return known[0]


def _memory(gpu: bool) -> float:
    """The highest memory in GB: the GPU's, or the process's."""
    if gpu:
        import torch

        return torch.cuda.max_memory_allocated() / 1e9
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main_or_part(main, {"train": train_side})
