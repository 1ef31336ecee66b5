"""Trainings that go on with another number of ranks: adapters and what dropout leaves out, patience, the very end."""

import contextlib
import json
from pathlib import Path

import pytest
import tiny
import torch
from ranks import train_ranks

from lingualift import training
from lingualift.checkpoints import step_of
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


def _train(given: Path, out: Path, *, world=None, stop: int | None = None, **recipe) -> Path:
    """Train in ``out``; break off when the loss of the step behind ``stop`` is asked for."""
    original = BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        if self.model.training and self.state.global_step == stop:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(BlockTrainer, "compute_loss", compute_loss)
        train(
            blocks=given / "blocks",
            tokenizer=load_tokenizer(given / "tokenizer"),
            recipe=tiny.recipe(**{"epochs": 100, **recipe}),
            out=out / "model",
            state=out / "state",
            seed=SEED,
            scratch=tiny.scratch(),
            world=world,
        )
    return out


def _log(out: Path, key: str = "loss") -> dict[int, float]:
    lines = map(json.loads, (out / "model" / LOG).read_text().splitlines())
    return {line["step"]: line[key] for line in lines if key in line}


def _same_weights(out: Path, other: Path, *, near: float) -> None:
    one, two = (load_model(folder / "model").state_dict() for folder in (out, other))
    assert one.keys() == two.keys()
    assert [name for name, value in one.items() if not torch.allclose(value, two[name], atol=near)] == []


# Adapters, with dropout: two micro-batches of two blocks a step, dealt out to one rank or to two.

LORA = {"rank": 4, "alpha": 16, "dropout": 0.5}
ADAPTED = {"max_steps": 8, "checkpoint_every": 3, "device_batch": 2, "lora": LORA}


@pytest.fixture(scope="module")
def adapted(given: Path) -> Path:
    return _train(given, given / "adapted", **ADAPTED)


def test_dropout_is_another_in_each_micro_batch_and_the_same_behind_a_break(
    given, tmp_path, adapted, monkeypatch
) -> None:
    seeds, original = [], BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        seeds.append((self.state.global_step, torch.initial_seed()))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(BlockTrainer, "compute_loss", compute_loss)
    _train(given, tmp_path, stop=5, **ADAPTED)
    assert not (tmp_path / "model").exists()
    before, seeds[:] = list(seeds), []
    _train(given, tmp_path, **ADAPTED)
    assert [step for step, _ in seeds] == [step for step in range(3, 8) for _ in range(2)]
    # Steps 3 and 4 were done before, too.
    assert seeds[:4] == before[6:10]
    assert len({seed for _, seed in before + seeds[4:]}) == 16
    assert _log(tmp_path) == _log(adapted)
    one, other = (folder / "model/model.safetensors" for folder in (tmp_path, adapted))
    assert one.read_bytes() == other.read_bytes()


def test_dropout_changes_what_is_learnt(given, tmp_path, adapted) -> None:
    """Else it would be no wonder that it is the same on other ranks."""
    without = _log(_train(given, tmp_path, **ADAPTED | {"lora": LORA | {"dropout": 0.0}}))
    # Adapters begin as nothing.
    assert without[1] == _log(adapted)[1]
    assert abs(without[8] - _log(adapted)[8]) > 1e-3


@pytest.mark.parametrize(
    ("parallelism", "before", "after"),
    [
        ("ddp", 2, 1),
        *(pytest.param(kind, 2, 1, marks=pytest.mark.slow) for kind in ("fsdp", "zero2")),
        pytest.param("fsdp", 1, 2, marks=pytest.mark.slow),
    ],
)
def test_adapters_go_on_with_another_number_of_ranks(given, tmp_path, adapted, parallelism, before, after) -> None:
    """Broken off behind step 5, they go on from the checkpoint of step 3, with the same dropout."""
    settings = {"given": given, "out": tmp_path, "parallelism": parallelism, **ADAPTED}
    train_ranks(before, _train, stop=5, devices=before, **settings)
    (checkpoint,) = (tmp_path / "state").glob("*/checkpoint-3")
    assert read_json(checkpoint / "run.json")["ranks"] == before
    train_ranks(after, _train, devices=after, **settings)
    assert list(_log(tmp_path)) == list(range(1, 9))
    assert _log(tmp_path) == pytest.approx(_log(adapted), abs=2e-5)
    _same_weights(tmp_path, adapted, near=1e-4)


# Patience


@pytest.mark.slow
@pytest.mark.parametrize("parallelism", ["fsdp", "zero2"])
def test_patience_begun_on_two_ranks_ends_on_one(given, tmp_path, parallelism) -> None:
    """So high a rate that a few steps go well and then nothing does; broken off behind the best step."""
    settings = {"learning_rate": 0.05, "max_steps": 40, "evaluation": {"share": 0.3, "every": 2, "patience": 3}}
    alone, out = tmp_path / "alone", tmp_path / "out"
    train_ranks(1, _train, given=given, out=alone, **settings)
    manifest = read_json(alone / "model/manifest.json")
    best = manifest["best_held_out_step"]
    assert manifest["counts"]["steps"] == best + 6 < 40
    settings |= {"given": given, "out": out, "parallelism": parallelism}
    train_ranks(2, _train, stop=best + 3, devices=2, **settings)
    assert max((out / "state").glob("*/checkpoint-*"), key=step_of).name == f"checkpoint-{best}"
    train_ranks(1, _train, devices=1, **settings)
    made = read_json(out / "model/manifest.json")
    assert (made["counts"]["steps"], made["best_held_out_step"]) == (best + 6, best)
    # Behind the best step the rate is too high for two runs to stay close.
    losses, wanted = (
        {step: it for step, it in _log(at, "held_out_loss").items() if step <= best} for at in (out, alone)
    )
    assert losses == pytest.approx(wanted, abs=1e-3)
    _same_weights(out, alone, near=1e-2)


# The very end


def _kill_at_the_end(given: Path, out: Path, *, world, **recipe) -> None:
    def save_model(*_, **__) -> None:
        raise KeyboardInterrupt

    training.save_model = save_model
    _train(given, out, world=world, **recipe)


def _refuse_to_train(given: Path, out: Path, *, world, **recipe) -> None:
    def training_step(*_, **__) -> None:
        raise AssertionError("trained again")

    BlockTrainer.training_step = training_step
    _train(given, out, world=world, **recipe)


@pytest.mark.slow
def test_what_one_rank_has_trained_two_write(given, tmp_path) -> None:
    """Killed when the model was to be written."""
    settings = {"given": given, "max_steps": 6, "checkpoint_every": 4, "parallelism": "fsdp"}
    train_ranks(1, _train, out=tmp_path / "whole", **settings)
    train_ranks(1, _kill_at_the_end, out=tmp_path / "out", **settings)
    assert not (tmp_path / "out/model").exists()
    train_ranks(2, _refuse_to_train, out=tmp_path / "out", devices=2, **settings)
    _same_weights(tmp_path / "out", tmp_path / "whole", near=0.0)
