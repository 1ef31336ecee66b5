"""Training on two ranks: the losses of one, and checkpoints that go on with another number of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from ranks import train_ranks

from lingualift.files import read_json, write_json
from lingualift.tokenization import load_tokenizer
from lingualift.training import LOG, load_model, train

SEED = 3
STEPS = 8
# Two ranks take two blocks at once, twice a step; unlike shares of the blocks are learnt.
RECIPE = {"schedule": "cosine", "warmup": 2, "beta2": 0.98, "clip": 0.5, "epochs": 1000, "max_steps": STEPS}
SHARING = {"batch": 8, "device_batch": 2, "checkpoint_every": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer and blocks of which unlike shares are learnt: a mean of means is not the mean then."""
    folder = tmp_path_factory.mktemp("given")
    tokenizer = tiny.tokenizer(folder / "tokenizer")
    rng = np.random.default_rng(1)
    tokens = rng.integers(1, len(tokenizer), (40, tiny.BLOCK))
    learnt = rng.random(tokens.shape) < rng.uniform(0.1, 1, (40, 1))
    learnt[:, 1] = True
    tiny.write_blocks(folder / "blocks", tokens, learnt=learnt, vocabulary=len(tokenizer), eos=tokenizer.eos_token_id)
    return folder


def _train(given: Path, out: Path, *, world, stop: int | None = None, **recipe) -> None:
    """Train in ``out``; break off when the loss of the step behind ``stop`` is asked for."""
    if stop is not None:
        from lingualift.trainer import BlockTrainer

        original = BlockTrainer.compute_loss

        def compute_loss(self, *args, **kwargs):
            if self.state.global_step >= stop:
                raise KeyboardInterrupt
            return original(self, *args, **kwargs)

        BlockTrainer.compute_loss = compute_loss
    try:
        train(
            blocks=given / "blocks",
            tokenizer=load_tokenizer(given / "tokenizer"),
            recipe=tiny.recipe(**{**RECIPE, **SHARING, **recipe}),
            out=out / "model",
            state=out / "state",
            seed=SEED,
            scratch=tiny.scratch(layers=2),
            world=world,
        )
    except KeyboardInterrupt:
        assert stop is not None


def _log(out: Path, key: str = "loss") -> dict[int, float]:
    lines = map(json.loads, (out / "model" / LOG).read_text().splitlines())
    return {line["step"]: line[key] for line in lines if key in line}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """What one process makes of it."""
    out = tmp_path_factory.mktemp("alone")
    train_ranks(1, _train, given=folder, out=out)
    return out


def _same(out: Path, alone: Path, *, weights: float = 1e-4) -> None:
    assert _log(out) == pytest.approx(_log(alone), abs=2e-5)
    assert _log(out, "grad_norm") == pytest.approx(_log(alone, "grad_norm"), rel=1e-3)
    assert list(_log(out)) == list(range(1, STEPS + 1))
    assert _log(out, "learning_rate") == _log(alone, "learning_rate")
    one, other = (load_model(folder / "model").state_dict() for folder in (out, alone))
    assert set(one) == set(other)
    for name, value in one.items():
        assert np.allclose(value.numpy(), other[name].numpy(), atol=weights), name
    assert not list((out / "state").rglob("checkpoint-*"))


KINDS = [
    "ddp",
    "fsdp",
    pytest.param("zero1", marks=pytest.mark.slow),
    pytest.param("zero2", marks=pytest.mark.slow),
    pytest.param("zero3", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("parallelism", KINDS)
def test_two_ranks_train_as_one(tmp_path, folder, alone, parallelism) -> None:
    train_ranks(2, _train, given=folder, out=tmp_path, parallelism=parallelism, devices=2)
    _same(tmp_path, alone)


@pytest.mark.parametrize("parallelism", KINDS)
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_another_number_of_ranks_goes_on(tmp_path, folder, alone, parallelism, before, after) -> None:
    """Broken off behind step 5, the run goes on from the checkpoint of step 3 with as many ranks as there are then."""
    settings = {"given": folder, "out": tmp_path, "parallelism": parallelism}
    train_ranks(before, _train, stop=5, devices=before, **settings)
    (checkpoint,) = (tmp_path / "state").glob("*/checkpoint-3")
    assert read_json(checkpoint / "run.json")["ranks"] == before
    train_ranks(after, _train, devices=after, **settings)
    _same(tmp_path, alone)


def _timeouts(out: Path, *, world) -> None:
    groups = {"steps": torch.distributed.group.WORLD, "agreeing": world.group}
    seconds = {
        name: group._get_backend(torch.device("cpu")).options._timeout.total_seconds() for name, group in groups.items()
    }
    write_json({**seconds, "told": world.told("it"), "highest": world.highest(world.rank)}, out / f"{world.rank}.json")


def test_ranks_that_hang_in_a_step_are_given_up_before_a_long_checkpoint_is(tmp_path) -> None:
    train_ranks(2, _timeouts, out=tmp_path)
    for rank in range(2):
        expected = {"steps": 1800.0, "agreeing": 7200.0, "told": "it", "highest": 1}
        assert read_json(tmp_path / f"{rank}.json") == expected
