"""What a training asks of the cluster, and what of its recipe makes it run again."""

from pathlib import Path
from typing import Any

import pytest

from lingualift.configuration.loading import load_run, read_yaml
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]


def _plan(**recipe: Any) -> tuple[Plan, str]:
    """The tiny preset with one recipe changed, and a model trained by it."""
    raw = read_yaml(ROOT / "config/tiny.yaml")
    model, entry = next((name, entry) for name, entry in raw["models"].items() if "pretrain" in entry)
    recipes = {**raw["recipes"]}
    name = entry["pretrain"]["recipe"]
    recipes[name] = {**recipes[name], **recipe}
    return Plan(load_run({**raw, "recipes": recipes}, root=ROOT)), model


@pytest.mark.parametrize(
    ("recipe", "gpus", "asked"),
    [
        ({}, True, {"gpu": 1}),
        ({}, False, {"gpu": 0}),
        ({"devices": 4, "parallelism": "ddp", "batch": 64}, True, {"gpu": 4}),
        (
            {"nodes": 2, "devices": 4, "parallelism": "fsdp", "batch": 64},
            True,
            {"mpi": "srun", "tasks": 2, "slurm_extra": "--ntasks-per-node=1", "gres": "gpu:4", "tasks_per_gpu": 0},
        ),
        (
            {"nodes": 2, "devices": 2, "parallelism": "zero2", "batch": 64},
            False,
            {"mpi": "srun", "tasks": 2, "slurm_extra": "--ntasks-per-node=1"},
        ),
    ],
)
def test_what_slurm_is_asked_for(recipe, gpus, asked) -> None:
    plan, model = _plan(**recipe)
    assert plan.training_resources(model, gpus=gpus) == asked


def test_other_devices_train_nothing_again_another_rate_does() -> None:
    plan, model = _plan(parallelism="ddp", batch=64)
    spread, _ = _plan(parallelism="ddp", batch=64, nodes=2, devices=4)
    faster, _ = _plan(parallelism="ddp", batch=64, learning_rate=0.5)
    assert plan.model_settings(model) == spread.model_settings(model)
    assert plan.model_settings(model) != faster.model_settings(model)
