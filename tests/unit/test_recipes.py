"""What a recipe may ask for: schedules, adapters, held-out blocks; and what it may not."""

import json
import math
import os
import re
from pathlib import Path
from unittest import mock

import pytest
import tiny
import torch
from ranks import train_ranks
from transformers import get_scheduler

from lingualift.arguments import training_arguments
from lingualift.blocks import IGNORED, PackedBlocks
from lingualift.configuration.models import Recipe
from lingualift.errors import LingualiftError
from lingualift.files import read_json
from lingualift.tokenization import load_tokenizer
from lingualift.trainer import BlockTrainer
from lingualift.training import LOG, load_model, train

SEED = 3


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("given")
    tokenizer = tiny.tokenizer(folder / "tokenizer")
    tiny.text_blocks(folder / "blocks", tokenizer, tiny.sentences(60, seed=5))
    return folder


@pytest.fixture(scope="module")
def base(given: Path) -> Path:
    return _train(given, given / "base", max_steps=2) / "model"


def _train(given: Path, out: Path, *, base: Path | None = None, world=None, **recipe) -> Path:
    train(
        blocks=given / "blocks",
        tokenizer=load_tokenizer(given / "tokenizer"),
        recipe=tiny.recipe(**{"epochs": 100, **recipe}),
        out=out / "model",
        state=out / "state",
        seed=SEED,
        base=base,
        scratch=None if base else tiny.scratch(),
        world=world,
    )
    return out


def _log(out: Path, key: str) -> dict[int, float]:
    lines = map(json.loads, (out / "model" / LOG).read_text().splitlines())
    return {line["step"]: line[key] for line in lines if key in line}


# Schedules


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        # Of 1, after 0, 2, 4, 6, 9 and 16 of 16 steps, 4 of them warming up; by hand.
        ("linear", [0, 0.5, 1, 10 / 12, 7 / 12, 0]),
        ("cosine", [0, 0.5, 1, 0.5 * (1 + math.cos(math.pi / 6)), 0.5 * (1 + math.cos(math.pi * 5 / 12)), 0]),
        ("inverse_sqrt", [0, 0.5, 1, math.sqrt(4 / 6), math.sqrt(4 / 9), 0.5]),
        ("constant", [0, 0.5, 1, 1, 1, 1]),
    ],
)
def test_schedules(given, tmp_path, schedule, rates) -> None:
    recipe = tiny.recipe(schedule=schedule, warmup=4, learning_rate=1.0, max_steps=16, epochs=100)
    data = PackedBlocks(given / "blocks", batch=4, epochs=100, max_steps=16)
    arguments = training_arguments(recipe, data, tmp_path, seed=1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(
        arguments.lr_scheduler_type, optimizer, num_warmup_steps=arguments.warmup_steps, num_training_steps=16
    )
    found = []
    for _ in range(17):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert [found[step] for step in (0, 2, 4, 6, 9, 16)] == pytest.approx(rates, abs=1e-9)


# What else Trainer is told


@pytest.mark.parametrize(
    ("changes", "compiled", "optimizer"),
    [
        ({}, False, "adamw_torch_fused"),
        ({"compile": True}, True, "adamw_torch_fused"),
        ({"fused_optimizer": False}, False, "adamw_torch"),
    ],
)
def test_compilation_and_the_kernel_of_the_optimizer_are_passed_on(
    given, tmp_path, changes, compiled, optimizer
) -> None:
    data = PackedBlocks(given / "blocks", batch=4, epochs=1)
    # What transformers leaves there of compilation is for accelerate, and not for other tests.
    with mock.patch.dict(os.environ):
        arguments = training_arguments(tiny.recipe(**changes), data, tmp_path, seed=1)
    assert (arguments.torch_compile, arguments.optim) == (compiled, optimizer)


def test_one_process_shows_a_bar_with_the_time_left(given, tmp_path, monkeypatch, capsys) -> None:
    # Ranks have none: their logs say it in words.
    monkeypatch.delenv("RANK", raising=False)
    _train(given, tmp_path, max_steps=2)
    assert re.search(r"2/2 \[\d\d:\d\d<\d\d:\d\d", capsys.readouterr().err)


# Adapters

LORA = {"rank": 2, "alpha": 6, "targets": ["q_proj", "down_proj"], "keep_adapter": True}


@pytest.fixture(scope="module")
def tuned(given: Path, base: Path) -> Path:
    return _train(given, given / "tuned", base=base, max_steps=6, checkpoint_every=3, lora=LORA)


def test_the_model_is_its_base_and_the_scaled_product_of_its_adapters(tuned, base) -> None:
    from safetensors.torch import load_file

    before, after = (load_file(folder / "model.safetensors") for folder in (base, tuned / "model"))
    adapters = load_file(tuned / "model/adapter/adapter_model.safetensors")
    assert set(before) == set(after)
    changed = [name for name, value in before.items() if not torch.equal(value, after[name])]
    assert sorted(name.split(".")[-2] for name in changed) == ["down_proj", "q_proj"]
    for name in changed:
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        a, b = (adapters[f"{stem}.lora_{side}.weight"] for side in "AB")
        assert (a.shape[0], b.shape[1]) == (2, 2)
        # alpha / rank = 3
        assert torch.allclose(after[name], before[name] + 3 * b @ a, atol=1e-6)
    assert len(adapters) == 4
    # It loads as a plain model.
    assert not any("lora" in name for name in load_model(tuned / "model").state_dict())


def test_adapters_go_on_where_they_were_broken_off(given, base, tuned, tmp_path, monkeypatch) -> None:
    original = BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        if self.state.global_step == 4:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    settings = {"base": base, "max_steps": 6, "checkpoint_every": 3, "lora": LORA}
    with monkeypatch.context() as patch:
        patch.setattr(BlockTrainer, "compute_loss", compute_loss)
        with pytest.raises(KeyboardInterrupt):
            _train(given, tmp_path, **settings)
    (checkpoint,) = (tmp_path / "state").glob("*/checkpoint-3")
    assert not list(checkpoint.glob("model*.safetensors"))
    _train(given, tmp_path, **settings)
    one, other = (folder / "model/model.safetensors" for folder in (tmp_path, tuned))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    "parallelism", ["ddp", "fsdp", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("zero2", "zero3"))]
)
def test_adapters_on_two_ranks(given, base, tuned, tmp_path, parallelism) -> None:
    settings = {"base": base, "max_steps": 6, "checkpoint_every": 3, "lora": LORA}
    train_ranks(2, _train, given=given, out=tmp_path, parallelism=parallelism, devices=2, **settings)
    assert _log(tmp_path, "loss") == pytest.approx(_log(tuned, "loss"), abs=2e-5)
    one, other = (load_model(folder / "model").state_dict() for folder in (tmp_path, tuned))
    for name, value in one.items():
        assert torch.allclose(value, other[name], atol=1e-4), name


def test_targets_that_no_layer_has(given, base, tmp_path) -> None:
    with pytest.raises(LingualiftError, match="names no layer of this model"):
        _train(given, tmp_path, base=base, max_steps=1, lora={"targets": ["nothing"]})


# Held-out blocks

# So high a rate that a few steps go well and then nothing does.
HELD_OUT = {"learning_rate": 0.05, "max_steps": 40, "evaluation": {"share": 0.3, "every": 2, "patience": 3}}


@pytest.fixture(scope="module")
def watched(given: Path) -> Path:
    return _train(given, given / "watched", **HELD_OUT)


def _held_out_loss(given: Path, model: Path) -> float:
    """Mean loss of a learnt token over the held-out blocks, a block at a time in plain torch."""
    data = PackedBlocks(given / "blocks", batch=4, seed=SEED, held_out=0.3)
    loaded, total, count = load_model(model), 0.0, 0
    for place in range(data.num_held_out):
        block = {key: value[0] for key, value in data.held_out_blocks([place]).items()}
        with torch.no_grad():
            logits = loaded(input_ids=block["input_ids"][None]).logits[0, :-1]
        labels = block["labels"][1:]
        total += torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum").item()
        count += int((labels != IGNORED).sum())
    return total / count


def test_training_ends_with_patience_and_the_best_weights_are_the_model(given, watched) -> None:
    losses = _log(watched, "held_out_loss")
    best = min(losses, key=losses.get)
    assert list(losses) == list(range(2, best + 8, 2))
    assert best + 6 < 40
    manifest = read_json(watched / "model/manifest.json")
    assert manifest["counts"]["steps"] == best + 6
    assert (manifest["best_held_out_step"], manifest["best_held_out_loss"]) == (best, losses[best])
    assert _held_out_loss(given, watched / "model") == pytest.approx(losses[best], abs=1e-5)
    assert not list((watched / "state").rglob("checkpoint-*"))


def test_the_last_weights_are_the_model_where_the_recipe_says_so(given, watched, tmp_path) -> None:
    recipe = {**HELD_OUT, "evaluation": {**HELD_OUT["evaluation"], "keep": "last"}}
    losses = _log(_train(given, tmp_path, **recipe), "held_out_loss")
    assert losses == _log(watched, "held_out_loss")
    assert _held_out_loss(given, tmp_path / "model") == pytest.approx(list(losses.values())[-1], abs=1e-5)


def test_what_is_measured_changes_nothing_that_is_learnt(given, watched, tmp_path) -> None:
    """Broken off behind the best step and gone on with, it ends at the same step with the same weights."""
    best = read_json(watched / "model/manifest.json")["best_held_out_step"]
    original = BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        if self.model.training and self.state.global_step == best + 3:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BlockTrainer, "compute_loss", compute_loss)
        with pytest.raises(KeyboardInterrupt):
            _train(given, tmp_path, **HELD_OUT)
    _train(given, tmp_path, **HELD_OUT)
    assert _log(tmp_path, "held_out_loss") == _log(watched, "held_out_loss")
    one, other = (folder / "model/model.safetensors" for folder in (tmp_path, watched))
    assert one.read_bytes() == other.read_bytes()


def test_best_weights_that_are_lost_are_not_the_model(given, watched, tmp_path, monkeypatch, caplog) -> None:
    """Damaged behind their evaluation, they are refused at the end; gone on with, the next ones are the best."""
    caplog.set_level("WARNING")
    best = read_json(watched / "model/manifest.json")["best_held_out_step"]
    original = BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        if self.model.training and self.state.global_step == best + 3:
            weights = Path(self.args.output_dir) / f"checkpoint-{best}/model.safetensors"
            content = bytearray(weights.read_bytes())
            content[-1] ^= 1
            weights.write_bytes(content)
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(BlockTrainer, "compute_loss", compute_loss)
        with pytest.raises(LingualiftError, match=rf"checkpoint-{best}, which has the trained weights, is missing or"):
            _train(given, tmp_path, **HELD_OUT)
    assert not (tmp_path / "model").exists()
    _train(given, tmp_path, **HELD_OUT)
    assert f"checkpoint-{best}, that of the lowest held-out loss, is missing or corrupted" in caplog.text
    losses = _log(tmp_path, "held_out_loss")
    later = {step: loss for step, loss in losses.items() if step > best + 6}
    manifest = read_json(tmp_path / "model/manifest.json")
    assert manifest["best_held_out_step"] == min(later, key=later.get)
    assert _held_out_loss(given, tmp_path / "model") == pytest.approx(min(later.values()), abs=1e-5)


def test_a_checkpoint_without_weights_is_not_the_base(given, base, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    from lingualift.adapters import add_adapters
    from lingualift.parallelism import load_weights

    recipe = tiny.recipe(lora=LORA)
    model = add_adapters(load_model(base), recipe.lora, seed=SEED)
    with pytest.raises(LingualiftError, match=r"there are no weights in it, no adapter_model"):
        load_weights(model, tmp_path, recipe)
    with pytest.raises(LingualiftError, match=r"there are no weights in it, no model"):
        load_weights(load_model(base), tmp_path, tiny.recipe())
    model.save_pretrained(tmp_path)
    load_weights(model, tmp_path, recipe)
    file = tmp_path / "adapter_model.safetensors"
    adapters = load_file(file)
    first = min(adapters)
    save_file({name: value for name, value in adapters.items() if name != first}, file)
    with pytest.raises(LingualiftError, match=f"1 adapter weights are not in it, {first} the first"):
        load_weights(model, tmp_path, recipe)


def test_a_held_out_loss_that_is_not_finite_is_not_the_lowest(given, tmp_path, monkeypatch) -> None:
    """The gradient of step 2 spoils the weights; neither its loss nor a line of the log shows it."""
    original = BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        loss = original(self, *args, **kwargs)
        if self.model.training and self.state.global_step == 1:
            loss.register_hook(lambda gradient: gradient * math.nan)
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(BlockTrainer, "compute_loss", compute_loss)
        with pytest.raises(LingualiftError, match="the held-out loss is not finite at step 2 of 40"):
            _train(given, tmp_path, **HELD_OUT, log_every=100)
    assert not list((tmp_path / "state").glob("*/checkpoint-*"))


@pytest.mark.parametrize(
    ("evaluation", "blocks", "held_out"),
    # A hundredth of what LLaMAX reads, 18 G tokens in blocks of 512, would be 352,000 blocks.
    [({}, 35_156_250, 512), ({}, 20_000, 200), ({}, 10, 1), ({"share": 0.5, "blocks": 3}, 10, 3)],
)
def test_what_is_held_out_is_a_share_within_a_bound(evaluation, blocks, held_out) -> None:
    assert tiny.recipe(evaluation=evaluation).evaluation.held_out(blocks) == held_out


def test_no_more_blocks_are_held_out_than_asked_for(given, tmp_path) -> None:
    _train(given, tmp_path, max_steps=2, evaluation={"share": 0.9, "every": 2, "blocks": 3})
    assert read_json(tmp_path / "model/manifest.json")["counts"]["held_out_blocks"] == 3


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp", pytest.param("zero2", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("precision", "near"), [("float32", 2e-5), ("bfloat16", 1e-3)])
def test_held_out_loss_on_two_ranks(given, tmp_path, parallelism, precision, near) -> None:
    """Of an odd number of blocks, the last rank's last batch is not full.

    In bfloat16 the losses are still float32: numbers of bfloat16 between 4 and 8 are 0.03 apart.
    """
    settings = {"max_steps": 4, "evaluation": {"share": 0.25, "every": 2}, "learning_rate": 1e-4}
    settings["precision"] = precision
    train_ranks(1, _train, given=given, out=tmp_path / "one", **settings)
    train_ranks(2, _train, given=given, out=tmp_path / "two", parallelism=parallelism, devices=2, **settings)
    assert read_json(tmp_path / "two/model/manifest.json")["counts"]["held_out_blocks"] % 4
    one, two = (_log(tmp_path / name, "held_out_loss") for name in ("one", "two"))
    assert list(two) == [2, 4]
    assert two == pytest.approx(one, abs=near)


# What a recipe may not ask for


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"offload": "optimizer", "parallelism": "ddp"}, "offload optimizer goes with parallelism zero1"),
        ({"offload": "all", "parallelism": "zero2"}, "offload all goes with parallelism zero3 or fsdp"),
        ({"evaluation": {"share": 0.0}}, "greater than 0"),
        ({"lora": {"rank": 0}}, "greater than 0"),
        ({"lora": {"targets": []}}, "at least 1 item"),
        ({"restarts": -1}, "greater than or equal to 0"),
    ],
)
def test_refused(changes, said) -> None:
    with pytest.raises(ValueError, match=said):
        Recipe.model_validate({"learning_rate": 1e-3, "batch": 8, **changes})
