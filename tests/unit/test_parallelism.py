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


@pytest.fixture(scope="module")
def alone_in_bfloat16(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    out = tmp_path_factory.mktemp("alone")
    train_ranks(1, _train, given=folder, out=out, precision="bfloat16")
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


QUICK, SLOW = ("ddp", "fsdp"), ("zero1", "zero2", "zero3")
KINDS = [*QUICK, *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW)]


@pytest.mark.parametrize("parallelism", KINDS)
def test_two_ranks_train_as_one(tmp_path, folder, alone, parallelism) -> None:
    train_ranks(2, _train, given=folder, out=tmp_path, parallelism=parallelism, devices=2)
    _same(tmp_path, alone)


@pytest.mark.parametrize(
    ("parallelism", "offload"),
    [
        ("fsdp", "all"),
        pytest.param("zero2", "optimizer", marks=pytest.mark.slow),
        pytest.param("zero3", "all", marks=pytest.mark.slow),
    ],
)
def test_two_ranks_that_offload_train_as_one(tmp_path, folder, alone, parallelism, offload) -> None:
    """Without a GPU there is nowhere to move to; the recipe runs all the same."""
    train_ranks(2, _train, given=folder, out=tmp_path, parallelism=parallelism, devices=2, offload=offload)
    _same(tmp_path, alone)


CHECKPOINTED = [("fsdp", True), pytest.param("zero2", True, marks=pytest.mark.slow)]


@pytest.mark.parametrize(
    ("parallelism", "checkpointing"),
    [
        *((kind, False) for kind in QUICK),
        *(pytest.param(kind, False, marks=pytest.mark.slow) for kind in SLOW),
        *CHECKPOINTED,
    ],
)
def test_two_ranks_train_as_one_in_bfloat16(tmp_path, folder, alone_in_bfloat16, parallelism, checkpointing) -> None:
    """Sharded weights are rounded as a whole, autocast rounds what goes into a product: the losses are not the same.

    They are much closer than bfloat16 could tell two losses apart: between 4 and 8 its numbers are 0.03 apart.
    """
    settings = {"precision": "bfloat16", "gradient_checkpointing": checkpointing}
    train_ranks(2, _train, given=folder, out=tmp_path, parallelism=parallelism, devices=2, **settings)
    assert _log(tmp_path) == pytest.approx(_log(alone_in_bfloat16), abs=2e-3)
    assert _log(tmp_path, "grad_norm") == pytest.approx(_log(alone_in_bfloat16, "grad_norm"), rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("parallelism", ["fsdp", "zero2"])
def test_gradients_are_summed_in_float32(tmp_path, folder, parallelism) -> None:
    """Of 64 micro-batches, a rank sums 64 or 32: in bfloat16 the fifth loss would be another by 1e-4."""
    settings = {"precision": "bfloat16", "batch": 64, "device_batch": 1, "max_steps": 5, "parallelism": parallelism}
    for ranks in (1, 2):
        (tmp_path / str(ranks)).mkdir()
        train_ranks(ranks, _train, given=folder, out=tmp_path / str(ranks), devices=ranks, **settings)
    assert _log(tmp_path / "2") == pytest.approx(_log(tmp_path / "1"), abs=2e-5)


def _note_gradients(given: Path, out: Path, *, world) -> None:
    """Train, and note behind each micro-batch which share of the gradients this rank has."""
    from lingualift.trainer import BlockTrainer

    original, shares = BlockTrainer.training_step, []

    def training_step(self, model, *args, **kwargs):
        loss = original(self, model, *args, **kwargs)
        own = sum(weights.grad.to_local().numel() for weights in model.parameters() if weights.grad is not None)
        shares.append(own / sum(weights.numel() for weights in model.parameters()))
        return loss

    BlockTrainer.training_step = training_step
    _train(given, out, world=world, parallelism="fsdp", devices=2, batch=12, max_steps=2)
    write_json(shares, out / f"{world.rank}.json")


def test_no_rank_holds_whole_gradients_between_micro_batches(tmp_path, folder) -> None:
    """torch's FSDP keeps those that are not yet summed over the ranks whole, and none of a rank's own."""
    train_ranks(2, _note_gradients, given=folder, out=tmp_path)
    for rank in range(2):
        shares = read_json(tmp_path / f"{rank}.json")
        # Two steps of three micro-batches; the widths are even.
        assert shares == pytest.approx([0.5] * 6, abs=0.01)


def _note_weights(given: Path, out: Path, *, world) -> None:
    """Train, and note what of the weights this rank has when DeepSpeed is given the model: whole ones, and parts."""
    import deepspeed

    original = deepspeed.initialize

    def initialize(*args, model, **kwargs):
        own = [sum(weights.numel() for weights in model.parameters())]
        own.append(sum(getattr(weights, "ds_tensor", weights).numel() for weights in model.parameters()))
        write_json(own, out / f"{world.rank}.json")
        return original(*args, model=model, **kwargs)

    deepspeed.initialize = initialize
    _train(given, out, world=world, parallelism="zero3", devices=2, max_steps=1)


@pytest.mark.slow
def test_zero3_puts_the_whole_model_on_no_device(tmp_path, folder) -> None:
    """DeepSpeed moves what it is given whole to the device before it takes it apart."""
    train_ranks(2, _note_weights, given=folder, out=tmp_path)
    whole = read_json(tmp_path / "model/manifest.json")["counts"]["parameters"]
    # Two layers of four matrices of 32 x 32 and three of 32 x 64 alone are 20,480.
    assert whole > 20_480
    for rank in range(2):
        assert read_json(tmp_path / f"{rank}.json") == [0, whole // 2]


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


@pytest.mark.slow
@pytest.mark.parametrize("parallelism", ["fsdp", "zero2"])
def test_half_the_ranks_go_on_in_bfloat16(tmp_path, folder, alone_in_bfloat16, parallelism) -> None:
    settings = {"precision": "bfloat16", "gradient_checkpointing": True, "parallelism": parallelism}
    train_ranks(2, _train, given=folder, out=tmp_path, stop=5, devices=2, **settings)
    train_ranks(1, _train, given=folder, out=tmp_path, devices=1, **settings)
    assert _log(tmp_path) == pytest.approx(_log(alone_in_bfloat16), abs=2e-3)


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
