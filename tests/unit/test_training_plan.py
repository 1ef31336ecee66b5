"""What a training asks of the cluster, and what of its recipe makes it run again."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from lingualift.configuration.loading import load_run, read_yaml
from lingualift.configuration.models import OPERATIONAL, Recipe
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]


def _configuration(**recipe: Any) -> tuple[dict[str, Any], str]:
    """The tiny preset with one recipe changed, as it is written, and a model trained by it."""
    raw = read_yaml(ROOT / "config/tiny.yaml")
    model, entry = next((name, entry) for name, entry in raw["models"].items() if "pretrain" in entry)
    recipes = {**raw["recipes"]}
    name = entry["pretrain"]["recipe"]
    recipes[name] = {**recipes[name], **recipe}
    return {**raw, "recipes": recipes}, model


def _plan(**recipe: Any) -> tuple[Plan, str]:
    raw, model = _configuration(**recipe)
    return Plan(load_run(raw, root=ROOT)), model


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


# Each unlike its default.
RUN = {
    "device_batch": 2,
    "offload": "optimizer",
    "nodes": 2,
    "devices": 4,
    "gradient_checkpointing": True,
    "log_every": 7,
    "checkpoint_every": 9,
    "keep_checkpoints": 5,
    "restarts": 0,
}


def test_how_a_training_is_run_trains_nothing_again_another_rate_does() -> None:
    assert set(RUN) == set(OPERATIONAL)
    plan, model = _plan(parallelism="zero2", batch=64)
    other, _ = _plan(parallelism="zero2", batch=64, **RUN)
    faster, _ = _plan(parallelism="zero2", batch=64, learning_rate=0.5)
    assert plan.model_settings(model) == other.model_settings(model)
    assert plan.model_settings(model) != faster.model_settings(model)


def test_how_a_training_is_run_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, model = _configuration(parallelism="zero2", batch=64, **RUN)
    plan = Plan(load_run(raw, root=ROOT))
    spec = importlib.util.spec_from_file_location("train_model", ROOT / "workflow/scripts/train_model.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    started = []
    monkeypatch.setattr(script, "launch", lambda job, **_: started.append(job))
    given = {"settings": plan.model_settings(model), "blocks": "", "folder": "", "state": "", "seed": 1, "version": 1}
    script.main(**given, nodes=3, devices=1, config=raw)
    recipe = Recipe.model_validate({**started[0].recipe, "batch": 63})
    # Nodes and devices are those of the job's resources.
    assert {key: getattr(recipe, key) for key in RUN} == {**RUN, "nodes": 3, "devices": 1}
    assert recipe.parallelism == "zero2"


def test_memory_grows_with_a_base_that_was_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, _ = _configuration()
    name = next(iter(raw["recipes"]))
    models = {
        **raw["models"],
        "fetched": {"hub": {"name": "owner/model", "revision": "0" * 40}},
        "tuned": {"from": "fetched", "pretrain": {"mixture": next(iter(raw["mixtures"])), "recipe": name}},
    }
    plan = Plan(load_run({**raw, "models": models}, root=ROOT))
    monkeypatch.chdir(tmp_path)
    assert plan.weights_mb("tuned") == 0
    folder = tmp_path / "results" / raw["run"] / "models/fetched"
    folder.mkdir(parents=True)
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(3 * 2**20)
    # 16 bits a weight, read as 32.
    assert plan.weights_mb("tuned") == 6
