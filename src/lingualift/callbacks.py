"""What is done between the steps of a training: its log, its progress, held-out loss, stopping in time."""

import json
import logging
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback, TrainerState, TrainingArguments

from lingualift.checkpoints import is_valid
from lingualift.configuration.models import Evaluation, Recipe
from lingualift.interruptions import Stops

if TYPE_CHECKING:
    from lingualift.trainer import BlockTrainer

logger = logging.getLogger(__name__)
# Of the time, waiting for data should take less; told of once, when so many steps have shown what is usual.
_MOST_WAITING, _USUAL_STEPS = 0.02, 100


class StopInTime(TrainerCallback):
    """Has training write a checkpoint and stop, on all ranks, where one of them is told to."""

    def __init__(self, stops: Stops, trainer: "BlockTrainer") -> None:
        self.stops, self.trainer, self.reason, self.out_of_time = stops, trainer, None, False

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        reason = self.stops.step_done()
        # Who was told to stop by somebody is not to be started again for want of time.
        urgency = self.trainer.world.highest(0 if reason is None else 1 if self.stops.out_of_time else 2)
        if urgency and state.global_step < state.max_steps:
            self.reason = reason or "another rank was told to stop"
            self.out_of_time = urgency == 1
            control.should_save = control.should_training_stop = True

    def on_evaluate(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        self.stops.evaluation_done()

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        self.stops.checkpoint_done(self.trainer.checkpoint_seconds)


class HoldOut(TrainerCallback):
    """Has the loss on held-out blocks measured, the best weights written at once, and training end in time.

    Args:
        forget: the best weights so far are lost: the next ones are the best.
    """

    def __init__(self, evaluation: Evaluation, *, forget: bool = False) -> None:
        self.evaluation, self.forget = evaluation, forget

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        if self.forget:
            state.best_metric = state.best_global_step = None

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self.evaluation.every == 0 or state.global_step >= state.max_steps:
            control.should_evaluate = True

    def on_evaluate(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        if self.evaluation.keep == "best" and state.best_global_step == state.global_step:
            control.should_save = True
        if out_of_patience(self.evaluation, state):
            logger.info("the held-out loss has not fallen below that of step %d: training ends", state.best_global_step)
            control.should_save = control.should_training_stop = True


def out_of_patience(evaluation: Evaluation | None, state: TrainerState) -> bool:
    """Whether the held-out loss has not fallen for as many evaluations as the recipe waits.

    Counted in the log that checkpoints hold: a resumed run ends where an unbroken one does.
    """
    if evaluation is None or evaluation.patience is None or state.best_global_step is None:
        return False
    steps = [entry["step"] for entry in state.log_history if "held_out_loss" in entry]
    return sum(step > state.best_global_step for step in steps) >= evaluation.patience


def keeps_best(recipe: Recipe) -> bool:
    """Whether the weights of the lowest held-out loss are the trained model."""
    return recipe.evaluation is not None and recipe.evaluation.keep == "best"


def has_lost_best(recipe: Recipe, state: TrainerState, folder: Path) -> bool:
    """Whether the weights of the lowest held-out loss are to be the model, but their checkpoint is not whole."""
    step = state.best_global_step
    if step is None or not keeps_best(recipe) or is_valid(folder / f"checkpoint-{step}"):
        return False
    logger.warning(
        "%s, that of the lowest held-out loss, is missing or corrupted: the lowest from here on counts",
        folder / f"checkpoint-{step}",
    )
    return True


class JsonLog(TrainerCallback):
    """Writes loss, learning rate, tokens/s, data-wait share and memory as JSON lines; warns of waiting for data."""

    def __init__(self, path: Path, trainer: "BlockTrainer") -> None:
        self.path, self.trainer = path, trainer
        self._time, self._step, self._waited = time.perf_counter(), 0, 0.0
        self._begun, self._first, self._waiting, self._warned = self._time, 0, 0.0, False

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        self._time = self._begun = time.perf_counter()
        self._step = self._first = state.global_step

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        # No checkpoint is written behind a loss that is not finite.
        if control.should_save:
            control.should_log = True

    def on_log(self, args: TrainingArguments, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not logs or not {"loss", "held_out_loss"} & set(logs):
            return
        # All ranks wait for the one that waits longest.
        waited = self._longest_wait() if "loss" in logs else 0.0
        if not state.is_world_process_zero:
            return
        line: dict[str, Any] = {"step": state.global_step, "steps": state.max_steps}
        if "held_out_loss" in logs:
            line["held_out_loss"] = logs["held_out_loss"]
        else:
            line |= self._account(args, state, logs, waited)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _longest_wait(self) -> float:
        """For how long the rank that waited longest has waited for data since the last line, in seconds."""
        total = self.trainer.timed.seconds
        own, self._waited = total - self._waited, total
        return self.trainer.world.highest(round(own * 1e6)) / 1e6

    def _warn_of_waiting(self, steps: int, seconds: float) -> None:
        if self._warned or steps < _USUAL_STEPS or self._waiting <= _MOST_WAITING * seconds:
            return
        self._warned = True
        logger.warning(
            "%.1f %% of the time so far, %.0f of %.0f s, was spent waiting for data, which should be under %.0f %%: "
            "the packed mixture wants to be on a faster disk",
            *(100 * self._waiting / seconds, self._waiting, seconds, 100 * _MOST_WAITING),
        )

    def _account(self, args: TrainingArguments, state: Any, logs: dict[str, Any], waited: float) -> dict[str, Any]:
        now = time.perf_counter()
        self._waiting += waited
        self._warn_of_waiting(state.global_step - self._first, now - self._begun)
        seconds = max(now - self._time, 1e-9)
        tokens = (state.global_step - self._step) * self.trainer.block * args.train_batch_size
        tokens *= args.gradient_accumulation_steps * args.world_size
        line = {
            "loss": logs["loss"],
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "tokens_per_second": round(tokens / seconds, 1),
            "data_wait_share": round(waited / seconds, 4),
            "memory_mb": _memory_mb(),
        }
        self._time, self._step = now, state.global_step
        if self.trainer.checkpoint_seconds:
            # Of the newest checkpoint, which is behind the line before.
            line["checkpoint_seconds"], self.trainer.checkpoint_seconds = (
                round(self.trainer.checkpoint_seconds, 3),
                0.0,
            )
        return line


class Progress(TrainerCallback):
    """Says how far training is, and for how long it goes on: for ranks, which have no terminal to draw a bar on."""

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        self._start, self._first = time.monotonic(), state.global_step

    def on_log(self, args: TrainingArguments, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        done = state.global_step - self._first
        if not done or "loss" not in (logs or {}):
            return
        left = (time.monotonic() - self._start) / done * (state.max_steps - state.global_step)
        logger.info(
            "step %d of %d, loss %.4f, %s left",
            state.global_step,
            state.max_steps,
            logs["loss"],
            timedelta(seconds=round(left)),
        )


def _memory_mb() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() / 2**20)
    import psutil

    return int(psutil.Process().memory_info().rss / 2**20)
