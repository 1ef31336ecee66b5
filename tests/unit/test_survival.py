"""Training through signals, the end of a job's time, losses that are no numbers, corrupted checkpoints of several ranks."""

import contextlib
import json
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from ranks import train_ranks

from lingualift import training
from lingualift.blocks import PackedBlocks
from lingualift.checkpoints import newest_valid
from lingualift.errors import LingualiftError
from lingualift.interruptions import InterruptedTrainingError, Stops
from lingualift.tokenization import load_tokenizer
from lingualift.trainer import BlockTrainer
from lingualift.training import LOG, load_model, train

SEED = 3
RECIPE = {"epochs": 10, "max_steps": 14, "checkpoint_every": 5, "log_every": 4, "schedule": "cosine"}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("given")
    tokenizer = tiny.tokenizer(folder / "tokenizer")
    tiny.text_blocks(folder / "blocks", tokenizer, tiny.sentences(60, seed=5))
    return folder


def _train(given: Path, out: Path, *, state: Path | None = None, world=None, **recipe) -> list[dict]:
    train(
        blocks=given / "blocks",
        tokenizer=load_tokenizer(given / "tokenizer"),
        recipe=tiny.recipe(**{**RECIPE, **recipe}),
        out=out / "model",
        state=state or out / "state",
        seed=SEED,
        scratch=tiny.scratch(),
        world=world,
    )
    return _log(out)


def _log(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "model" / LOG).read_text().splitlines()]


@pytest.fixture(scope="module")
def unbroken(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    _train(given, out)
    return out


def _same_run(out: Path, unbroken: Path) -> None:
    one, other = (folder / "model" / "model.safetensors" for folder in (out, unbroken))
    assert one.read_bytes() == other.read_bytes()
    logs = [{line["step"]: line["loss"] for line in _log(folder)} for folder in (out, unbroken)]
    # Steps before and behind the break that share a line are summed up apart.
    assert logs[0] == pytest.approx(logs[1], abs=1e-6)
    assert list(logs[0]) == list(logs[1]) == [1, 4, 5, 8, 10, 12, 14]


def _at(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Do something to the loss of a step."""
    original = BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        loss = original(self, *args, **kwargs)
        return act(loss) if self.state.global_step + 1 == step else loss

    monkeypatch.setattr(BlockTrainer, "compute_loss", compute_loss)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_behind_the_step(given, tmp_path, unbroken, monkeypatch, number) -> None:
    def send(loss: torch.Tensor) -> torch.Tensor:
        os.kill(os.getpid(), number)
        return loss

    with monkeypatch.context() as patch:
        _at(patch, 7, send)
        with pytest.raises(InterruptedTrainingError, match=rf"stopped at step 7 of 14, told to by {number.name}"):
            _train(given, tmp_path)
    (state,) = (tmp_path / "state").iterdir()
    assert newest_valid(state) == state / "checkpoint-7"
    assert not (tmp_path / "model").exists()
    _train(given, tmp_path)
    _same_run(tmp_path, unbroken)


def test_the_end_of_the_time_stops_and_each_retry_goes_on(given, tmp_path, unbroken, monkeypatch) -> None:
    """With no time left, a step a job."""
    monkeypatch.setattr(training, "end_of_job", time.time)
    stopped = []
    for _ in range(13):
        with pytest.raises(InterruptedTrainingError, match="0 s are left of the job's time") as caught:
            _train(given, tmp_path)
        stopped.append(int(str(caught.value).split()[4]))
        # Started again without end, it would take a job a step.
        assert not caught.value.out_of_time
    assert stopped == list(range(1, 14))
    # Behind the last step there is nothing to stop for.
    _train(given, tmp_path)
    _same_run(tmp_path, unbroken)


class _Third(Stops):
    """Stops behind the third step."""

    steps, late = 0, True

    def step_done(self) -> str | None:
        self.steps += 1
        self.out_of_time = self.steps == 3 and self.late
        return "as it is" if self.steps == 3 else None


@pytest.mark.parametrize("late", [True, False])
def test_what_was_stopped_for_want_of_time_says_so(given, tmp_path, monkeypatch, late) -> None:
    monkeypatch.setattr(training, "Stops", _Third)
    monkeypatch.setattr(_Third, "late", late)
    with pytest.raises(InterruptedTrainingError, match="stopped at step 3 of 14, as it is") as caught:
        _train(given, tmp_path)
    assert caught.value.out_of_time is late


def test_a_job_that_measures_the_held_out_loss_stops_before_there_is_no_time_for_it(
    given, tmp_path, monkeypatch
) -> None:
    """An evaluation that takes so long lies within the time that is kept free, whatever else was done."""
    original, made = BlockTrainer._held_out_loss, []

    def slow(self) -> float:
        time.sleep(0.2)
        return original(self)

    class Kept(Stops):
        def __init__(self, *given, **more) -> None:
            super().__init__(*given, **more)
            made.append(self)

    monkeypatch.setattr(BlockTrainer, "_held_out_loss", slow)
    monkeypatch.setattr(training, "Stops", Kept)
    _train(given, tmp_path, max_steps=3, evaluation={"share": 0.2, "every": 2})
    (stops,) = made
    assert stops.evaluating >= 0.2
    assert stops.margin >= 0.2 + 2 * stops.writing


@pytest.mark.parametrize("stopped", [True, False])
def test_a_gradient_that_is_not_finite_leaves_no_checkpoint(given, tmp_path, unbroken, monkeypatch, stopped) -> None:
    """The loss of the step is finite and no line of the log is due: weights that are no numbers would be sealed."""

    def spoil(loss: torch.Tensor) -> torch.Tensor:
        loss.register_hook(lambda gradient: gradient * math.nan)
        if stopped:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    step = 7 if stopped else 10
    with monkeypatch.context() as patch:
        _at(patch, step, spoil)
        with pytest.raises(LingualiftError, match=f"the gradient is not finite at step {step} of 14"):
            _train(given, tmp_path)
    (state,) = (tmp_path / "state").iterdir()
    assert [path.name for path in state.glob("checkpoint-*")] == ["checkpoint-5"]
    _train(given, tmp_path)
    _same_run(tmp_path, unbroken)


def _nan_gradient(loss: torch.Tensor) -> torch.Tensor:
    loss.register_hook(lambda gradient: gradient * math.nan)
    return loss


def _said(given: Path, step: int, **more: float) -> str:
    """The end of the message that names a step's blocks."""
    data = PackedBlocks(given / "blocks", batch=4, epochs=10, max_steps=14, seed=SEED, **more)
    return f"blocks of step {step}, numbers {', '.join(map(str, data.numbers_of_step(step)))}"


@pytest.mark.parametrize("every", [4, 10])
def test_of_a_gradient_that_is_not_finite_its_own_step_is_named(given, tmp_path, monkeypatch, every) -> None:
    """The losses of the steps behind it are not finite either; all are looked at when the next line of the log is due."""
    _at(monkeypatch, 3, _nan_gradient)
    with pytest.raises(LingualiftError, match="the gradient is not finite at step 3 of 14: training stopped") as caught:
        _train(given, tmp_path, log_every=every, checkpoint_every=10)
    assert str(caught.value).endswith(_said(given, 3))


def test_of_a_held_out_loss_that_is_not_finite_the_step_that_made_it_so_is_named(given, tmp_path, monkeypatch) -> None:
    _at(monkeypatch, 3, _nan_gradient)
    evaluation = {"share": 0.3, "every": 4}
    said = "the held-out loss is not finite at step 4 of 14, nor is the gradient of step 3: training stopped"
    with pytest.raises(LingualiftError, match=said) as caught:
        _train(given, tmp_path, log_every=100, checkpoint_every=100, evaluation=evaluation)
    assert str(caught.value).endswith(_said(given, 3, held_out=0.3))


def _spoil(given: Path, out: Path, *, world, rank: int) -> None:
    """Training whose loss at step 7 is not finite, on one of the ranks: all of them say the same."""
    original = BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        loss = original(self, *args, **kwargs)
        return loss * math.inf if self.state.global_step == 6 and world.rank == rank else loss

    BlockTrainer.compute_loss = compute_loss
    try:
        _train(given, out, world=world, parallelism="ddp", devices=2)
    except LingualiftError as error:
        (out / f"said-{world.rank}").write_text(str(error))


def test_a_loss_that_is_not_finite_on_one_rank_stops_all(given, tmp_path) -> None:
    train_ranks(2, _spoil, given=given, out=tmp_path, rank=1)
    numbers = PackedBlocks(given / "blocks", batch=4, epochs=10, max_steps=14, seed=SEED).numbers_of_step(7)
    said = {(tmp_path / f"said-{rank}").read_text() for rank in range(2)}
    assert len(said) == 1
    assert "loss is not finite at step 7 of 14" in said.copy().pop()
    assert said.pop().endswith(f"numbers {', '.join(map(str, numbers))}")
    (state,) = (tmp_path / "state").iterdir()
    assert newest_valid(state) == state / "checkpoint-5"


def _spoil_gradient(given: Path, out: Path, *, world, parallelism: str) -> None:
    original = BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        loss = original(self, *args, **kwargs)
        if self.state.global_step == 6:
            loss.register_hook(lambda gradient: gradient * math.nan)
            os.kill(os.getpid(), signal.SIGUSR1)
        return loss

    BlockTrainer.compute_loss = compute_loss
    try:
        _train(given, out, world=world, parallelism=parallelism)
    except LingualiftError as error:
        (out / f"said-{world.rank}").write_text(str(error))


@pytest.mark.parametrize("parallelism", ["fsdp", pytest.param("zero2", marks=pytest.mark.slow)])
def test_a_gradient_that_is_not_finite_where_the_weights_are_shared_out(given, tmp_path, parallelism) -> None:
    train_ranks(1, _spoil_gradient, given=given, out=tmp_path, parallelism=parallelism)
    assert (tmp_path / "said-0").read_text().startswith("the gradient is not finite at step 7 of 14")
    (state,) = (tmp_path / "state").iterdir()
    assert [path.name for path in state.glob("checkpoint-*")] == ["checkpoint-5"]


def _stop_one(given: Path, out: Path, *, world, rank: int) -> None:
    original = BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        if self.state.global_step == 6 and world.rank == rank:
            os.kill(os.getpid(), signal.SIGUSR1)
        return original(self, *args, **kwargs)

    BlockTrainer.compute_loss = compute_loss
    try:
        _train(given, out, world=world, parallelism="ddp", devices=2)
    except InterruptedTrainingError as error:
        (out / f"said-{world.rank}").write_text(str(error))


def test_ranks_stop_together(given, tmp_path, unbroken) -> None:
    train_ranks(2, _stop_one, given=given, out=tmp_path, rank=1)
    said = [(tmp_path / f"said-{rank}").read_text() for rank in range(2)]
    assert all(text.startswith("training stopped at step 7 of 14") for text in said)
    (state,) = (tmp_path / "state").iterdir()
    assert newest_valid(state) == state / "checkpoint-7"
    train_ranks(2, _train, given=given, out=tmp_path, parallelism="ddp", devices=2)
    logs = [{line["step"]: line["loss"] for line in _log(folder)} for folder in (tmp_path, unbroken)]
    assert logs[0] == pytest.approx(logs[1], abs=1e-5)


# Corrupted checkpoints of several ranks


def _go_on(given: Path, out: Path, *, world, stop: int | None = None, **recipe) -> None:
    """Train as one of two ranks, and note at which step; break off at another."""
    original, first = BlockTrainer.compute_loss, out / f"first-{world.rank}"
    first.unlink(missing_ok=True)

    def compute_loss(self, *args, **kwargs):
        if not first.exists():
            first.write_text(str(self.state.global_step))
        if self.state.global_step == stop:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    BlockTrainer.compute_loss = compute_loss
    with contextlib.suppress(KeyboardInterrupt):
        _train(given, out, world=world, devices=2, **recipe)


@pytest.mark.parametrize(
    ("parallelism", "part"),
    [
        ("fsdp", "pytorch_model_fsdp_0/__1_0.distcp"),
        pytest.param("zero2", "global_step10/*zero_pp_rank_1_*optim_states.pt", marks=pytest.mark.slow),
    ],
)
def test_of_a_corrupted_part_of_one_rank_all_leave_the_checkpoint_out(
    given, tmp_path, unbroken, parallelism, part
) -> None:
    train_ranks(2, _go_on, given=given, out=tmp_path, stop=11, parallelism=parallelism)
    (state,) = (tmp_path / "state").iterdir()
    assert newest_valid(state) == state / "checkpoint-10"
    (path,) = (state / "checkpoint-10").glob(part)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    train_ranks(2, _go_on, given=given, out=tmp_path, parallelism=parallelism)
    assert [(tmp_path / f"first-{rank}").read_text() for rank in range(2)] == ["5", "5"]
    logs = [{line["step"]: line["loss"] for line in _log(folder)} for folder in (tmp_path, unbroken)]
    assert logs[0] == pytest.approx(logs[1], abs=1e-5)
    one, other = (load_model(folder / "model").state_dict() for folder in (tmp_path, unbroken))
    assert all(torch.allclose(value, other[name], atol=1e-4) for name, value in one.items())
