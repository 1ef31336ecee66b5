"""What a training asks of the cluster, and what of its recipe makes it run again."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string
from snakemake_executor_plugin_slurm.validation import validate_slurm_extra

from lingualift.configuration.loading import load_run, read_yaml
from lingualift.configuration.models import OPERATIONAL, Recipe
from lingualift.errors import LingualiftError
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


ONE = {"devices": 4, "parallelism": "ddp", "batch": 64}
TWO = {"nodes": 2, "devices": 4, "parallelism": "fsdp", "batch": 64}
BY_SRUN = {"mpi": "srun", "tasks": 2}
APPEND = {"slurm_extra": "--open-mode=append"}
A_NODE = {"slurm_extra": "--open-mode=append --ntasks-per-node=1"}


@pytest.mark.parametrize(
    ("recipe", "gpus", "given", "asked"),
    [
        ({}, True, {}, APPEND | {"gpu": 1}),
        ({}, False, {}, APPEND | {"gpu": 0}),
        (ONE, True, {}, APPEND | {"gpu": 4}),
        # The plugin lays the type on `gpu` by itself.
        (ONE, True, {"gpu_model": "a100", "mem_mb": "9"}, APPEND | {"gpu": 4}),
        (ONE, True, {"gres": "gpu:a100:4"}, APPEND),
        (
            TWO,
            True,
            {},
            BY_SRUN | {"slurm_extra": f"{A_NODE['slurm_extra']} --gpus-per-node=4", "gpu": 8, "tasks_per_gpu": 0},
        ),
        (
            TWO,
            True,
            {"gpu_model": "a100"},
            BY_SRUN | {"slurm_extra": f"{A_NODE['slurm_extra']} --gpus-per-node=a100:4", "gpu": 8, "tasks_per_gpu": 0},
        ),
        (TWO, True, {"gres": "gpu:a100:4"}, BY_SRUN | A_NODE | {"tasks_per_gpu": 0}),
        (TWO, False, {}, BY_SRUN | A_NODE | {"gpu": 0}),
        # The profile's word goes before the recipe's; its values come as they are written.
        (
            ONE,
            True,
            {"nodes": "2", "devices": "8", "gpu_model": "a100"},
            BY_SRUN | {"slurm_extra": f"{A_NODE['slurm_extra']} --gpus-per-node=a100:8", "gpu": 16, "tasks_per_gpu": 0},
        ),
        (TWO, True, {"nodes": 1}, APPEND | {"gpu": 4}),
    ],
)
def test_what_slurm_is_asked_for(recipe, gpus, given, asked) -> None:
    plan, model = _plan(**recipe)
    assert plan.training_resources(model, gpus=gpus, given=given) == asked


@pytest.mark.parametrize("recipe", [ONE, TWO])
@pytest.mark.parametrize("given", [{}, {"gpu_model": "a100"}, {"gres": "gpu:a100:4"}])
def test_gpus_are_all_asked_for_with_a_type_or_all_without(recipe, given) -> None:
    """SLURM refuses a job of both: "Invalid GRES specification (with and without type identification)"."""
    plan, model = _plan(**recipe)
    resources = given | {"nodes": recipe.get("nodes", 1)} | plan.training_resources(model, gpus=True, given=given)
    job = SimpleNamespace(resources=_Resources(resources), threads=8)
    params = dict.fromkeys(("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir"), "x")
    line = get_submit_command(job, params) + set_gres_string(job)
    asked = re.findall(r"--(gres|gpus|gpus-per-node)[= ](\S+)", line)
    assert asked
    assert {"a100" in value for _, value in asked} == {bool(given)}
    # Tasks of a node and tasks of a GPU contradict each other.
    assert "--ntasks-per-gpu" not in line


class _Resources(dict):
    """As jobs have them: items and attributes."""

    __getattr__ = dict.__getitem__


def test_a_type_by_two_names_is_a_mistake() -> None:
    plan, model = _plan()
    with pytest.raises(LingualiftError, match=r"gpu_model \(a100\) or gres \(gpu:1\) in the profile, not both"):
        plan.training_resources(model, gpus=True, given={"gpu_model": "a100", "gres": "gpu:1"})


def test_a_type_of_gpus_and_no_gpus_is_a_mistake() -> None:
    plan, model = _plan()
    with pytest.raises(LingualiftError, match=r"gpu_model \(a100\) in the profile and no GPUs: `resources: \[gpu=8\]`"):
        plan.training_resources(model, gpus=False, given={"gpu_model": "a100"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"devices": "5"}, r"base: 2 node\(s\) with 5 device\(s\) by the profile: batch \(64\) is not a multiple"),
        ({"nodes": "two"}, r"train_model: nodes \(two\) in the profile is not a whole number"),
        ({"devices": -1}, r"devices \(-1\)"),
        ({"devices": 0}, "greater than 0"),
    ],
)
def test_nodes_and_devices_of_a_profile_go_with_the_recipe(given, said) -> None:
    plan, model = _plan(**TWO)
    assert plan.spread(model) == (2, 4)
    assert plan.spread(model, given={"nodes": "1", "devices": "8", "mem_mb": "9"}) == (1, 8)
    with pytest.raises(LingualiftError, match=said):
        plan.check_spread(model, gpus=0, given=given)


def test_fewer_gpus_than_a_training_takes_are_a_mistake() -> None:
    """Snakemake gives a job no more than there are, and SLURM would be asked for less than the ranks need."""
    plan, model = _plan(**TWO)
    plan.check_spread(model, gpus=8)
    # None at all: processes on CPU. What is asked for as `gres` is not counted.
    plan.check_spread(model, gpus=0)
    plan.check_spread(model, gpus=1, given={"gres": "gpu:4"})
    plan.check_spread(model, gpus=2, given={"nodes": "1", "devices": "2"})
    with pytest.raises(
        LingualiftError, match=r"8 GPUs \(nodes 2 x devices 4\), the run may hold 7: `resources: \[gpu=8\]`"
    ):
        plan.check_spread(model, gpus=7)


def test_the_plugin_lets_a_training_append_to_its_output() -> None:
    plan, model = _plan(**TWO)
    asked = plan.training_resources(model, gpus=True, given={})
    validate_slurm_extra(SimpleNamespace(resources=SimpleNamespace(**asked)))


def test_how_many_blocks_are_held_out_is_a_setting_also_by_default() -> None:
    """What is not held out is learnt."""
    plan, model = _plan(evaluation={})
    assert plan.model_settings(model)["recipe"]["evaluation"] == {"blocks": 512}
    other, _ = _plan(evaluation={"blocks": 9, "share": 0.1})
    assert other.model_settings(model)["recipe"]["evaluation"] == {"blocks": 9, "share": 0.1}
    none, _ = _plan()
    assert "evaluation" not in none.model_settings(model)["recipe"]


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


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_model", ROOT / "workflow/scripts/train_model.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_how_a_training_is_run_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, model = _configuration(parallelism="zero2", batch=64, **RUN)
    plan = Plan(load_run(raw, root=ROOT))
    script, started = _script(), []
    monkeypatch.setattr(script, "launch", lambda job, **_: started.append(job))
    given = {"settings": plan.model_settings(model), "blocks": "", "folder": "", "state": "", "seed": 1, "version": 7}
    script.main(**given, nodes=3, devices=1, config=raw)
    recipe = Recipe.model_validate({**started[0].recipe, "batch": 63})
    # Nodes and devices are those of the job's resources.
    assert {key: getattr(recipe, key) for key in RUN} == {**RUN, "nodes": 3, "devices": 1}
    assert recipe.parallelism == "zero2"
    assert started[0].version == 7


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
