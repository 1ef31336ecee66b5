"""One training on one process, on two and on four, CPU: tokens/s and efficiency.

    python benchmarks/scaling.py                                           # processes of this machine
    python tests/slurm/cluster.py python benchmarks/scaling.py --nodes 2   # of two nodes of a test cluster, under srun

The same model, blocks and batch on any number of processes: each does its share of every step, on one thread. One
process without a process group is the yardstick. The sides take turns, and ratios are of one round; speed is the median
over the steps behind the first ones, so neither starting nor saving counts.

**Efficiency** is the ratio for each process, as is usual, and for each core that the processes can have: four processes
on two cores cannot be more than twice as fast as one. The nodes of the test cluster are one machine under two names:
they tell what meeting over the network costs, not what a second machine brings.
"""

import json
import logging
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import training_speed
from common import SEED, Row, arguments_parser, main_or_part, report, run_part

_KINDS = ("ddp", "zero1", "zero2", "zero3", "fsdp")
_ALONE = "1 process"
_WARM_UP = 3  # steps that are not counted


def main() -> None:
    """Measure all sides in turn and print the table."""
    parser = arguments_parser(__doc__, repetitions=3, data=False)
    parser.add_argument("--model", choices=list(training_speed.MODELS), default="3m", help="default: %(default)s")
    parser.add_argument(
        "--parallelism", nargs="+", choices=_KINDS, default=["ddp", "zero2", "fsdp"], help="default: %(default)s"
    )
    parser.add_argument("--processes", nargs="+", type=int, default=[2, 4], help="beside one; default: %(default)s")
    parser.add_argument("--nodes", type=int, default=1, help="nodes that share them, under srun; default: %(default)s")
    parser.add_argument("--steps", type=int, default=15, help="steps of a round; %(default)s by default")
    arguments = parser.parse_args()
    sides = {_ALONE: ("none", 1)}
    for number in arguments.processes:
        sides |= {f"{number} processes, {kind}": (kind, number) for kind in arguments.parallelism}
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), model=arguments.model, steps=arguments.steps)
        for turn in range(arguments.repetitions):
            for side, (kind, number) in sides.items():
                settings = {"folder": folder, "model": arguments.model, "steps": arguments.steps, "parallelism": kind}
                nodes = arguments.nodes if number > 1 else 1
                found[side].append(run_part(__file__, "train", **settings, nodes=nodes, devices=number // nodes))
                print(f"round {turn + 1}, {side}: {found[side][-1]}", flush=True)
    cores = len(os.sched_getaffinity(0))
    speeds = {side: [it["tokens_per_second"] for it in results] for side, results in found.items()}
    rows = scaling_rows(speeds, {side: number for side, (_, number) in sides.items()}, cores=cores)
    losses = [it["loss"] for results in found.values() for it in results]
    notes = [
        f"{arguments.model} on {arguments.nodes} node(s), {cores} cores in all",
        f"last losses: {min(losses):.5f} to {max(losses):.5f}",
    ]
    report("scaling" if arguments.nodes == 1 else "scaling_nodes", rows, notes=notes)


def scaling_rows(speeds: Mapping[str, Sequence[float]], processes: Mapping[str, int], *, cores: int) -> list[Row]:
    """The speed of each side with its ratio to one process in the same round, and its efficiency.

    Args:
        speeds: tokens/s a round, by side.
        processes: their number, by side.
    """
    rows, efficiencies = [], []
    for side, values in speeds.items():
        ratios = [own / alone for own, alone in zip(values, speeds[_ALONE], strict=True)]
        rows.append(Row(what=side, unit="tokens/s", values=values, ratios=() if side == _ALONE else ratios))
        if side == _ALONE:
            continue
        for what, number in (("process", processes[side]), ("core", min(processes[side], cores))):
            shares = [100 * ratio / number for ratio in ratios]
            efficiencies.append(Row(what=f"{side}: efficiency of a {what}", unit="%", values=shares))
    return rows + efficiencies


def prepare(folder: Path, *, model: str, steps: int) -> None:
    """Lay out the blocks and the tokenizer that all sides read."""
    training_speed.prepare(folder, model=model, steps=steps)
    training_speed.tokenizer_of(model).save_pretrained(folder / "tokenizer")


def train_side(folder: str, model: str, steps: int, parallelism: str, nodes: int, devices: int) -> dict[str, float]:
    """Train one side for some steps.

    Returns:
        Median tokens a second, and the last loss.
    """
    logging.disable(logging.WARNING)
    # Before torch is imported; the launcher tells its ranks.
    os.environ["OMP_NUM_THREADS"] = "1"
    from lingualift.launching import TrainingJob, launch

    *_, batch = training_speed.MODELS[model]
    recipe = {"learning_rate": 1e-4, "batch": batch, "max_steps": steps + _WARM_UP, "precision": "float32"}
    recipe |= {"log_every": 1, "checkpoint_every": 1_000_000}
    with tempfile.TemporaryDirectory(dir=folder) as work:
        job = TrainingJob(
            blocks=f"{folder}/packed",
            tokenizer=f"{folder}/tokenizer",
            recipe={**recipe, "parallelism": parallelism, "nodes": nodes, "devices": devices},
            scratch=training_speed.scratch_of(model).model_dump(mode="json"),
            out=f"{work}/model",
            state=f"{work}/state",
            seed=SEED,
        )
        launch(job, srun=["srun"] if nodes > 1 else None, threads=devices)
        text = (Path(work) / "model" / "training.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    speed = statistics.median(line["tokens_per_second"] for line in lines[_WARM_UP:])
    return {"tokens_per_second": speed, "loss": lines[-1]["loss"]}


PARTS: dict[str, Any] = {"train": train_side}


if __name__ == "__main__":
    main_or_part(main, PARTS)
