"""transformers' Trainer with what long runs need: an account of each step, checkpoints of all ranks, held-out loss."""

import contextlib
import errno
import logging
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import DistributedType, PartialState
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.fsdp import MixedPrecisionPolicy
from transformers import PreTrainedModel, Trainer, TrainingArguments

from lingualift.blocks import IGNORED, PackedBlocks
from lingualift.callbacks import keeps_best
from lingualift.checkpoints import checksums, files_of, rotate, seal, step_of
from lingualift.configuration.models import Recipe
from lingualift.errors import LingualiftError
from lingualift.files import read_json, remove, write_json
from lingualift.parallelism import SHARDED, World, share_out
from lingualift.randomness import seed_of

logger = logging.getLogger(__name__)
RUN = "run.json"  # of a checkpoint: the ranks that wrote it, and the losses that no line of the log has yet


class TimedBlocks(torch.utils.data.Dataset):
    """Blocks, and the time that reading them takes; not that of copying them to a GPU."""

    def __init__(self, data: PackedBlocks) -> None:
        self.data, self.seconds = data, 0.0

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, items: list[int]) -> dict[str, torch.Tensor]:
        """What torch's loader asks for: a batch, here put together at once, with nothing left to collate."""
        start = time.perf_counter()
        try:
            return self.data.batch_of(items)
        finally:
            self.seconds += time.perf_counter() - start

    @staticmethod
    def collate(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return batch


class BlockTrainer(Trainer):
    """transformers' Trainer over packed blocks.

    Args:
        model: on the CPU, float32; with ZeRO-3, what is left of it here is this rank's part.
        args: what :func:`lingualift.arguments.training_arguments` made of the recipe.
        data: the blocks; also those held out.
        recipe: how to train.
        world: the ranks.
        resumed: the checkpoint that training goes on from.
    """

    def __init__(
        self,
        *,
        model: PreTrainedModel,
        args: TrainingArguments,
        data: PackedBlocks,
        recipe: Recipe,
        world: World,
        resumed: Path | None = None,
    ) -> None:
        self.data, self.recipe, self.world = data, recipe, world
        self.timed = TimedBlocks(data)
        if recipe.parallelism == "zero3":
            share_out(model, args)
        super().__init__(model=model, args=args, train_dataset=self.timed, data_collator=self.timed.collate)
        self.block, self.checkpoint_seconds = data.manifest["block"], 0.0
        # Of each step since the last line of the log: losses of this rank's micro-batches, the norm of the gradient.
        self._losses: list[tuple[int, torch.Tensor]] = []
        self._norms: list[tuple[int, torch.Tensor | float]] = []
        self._turn = 0  # micro-batches of this step that this rank has had
        # A checkpoint at a step without a line of the log: the sum and number of the losses since the last line.
        self._unlogged = read_run(resumed)["unlogged"] if resumed else [0.0, 0]
        self._line = step_of(resumed) if resumed else 0

    def create_accelerator_and_postprocess(self) -> None:
        if self.recipe.parallelism == "fsdp" and not torch.cuda.is_available():
            # accelerate takes FSDP for a thing of GPUs, and would quietly lay DDP on; torch runs it over gloo as well.
            _ = self.args.device
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        super().create_accelerator_and_postprocess()
        if self.recipe.parallelism == "fsdp" and self.args.bf16:
            # accelerate would round to bfloat16 what the model gives, the loss too, and the sums over the ranks.
            policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
            self.accelerator.state.fsdp_plugin.mixed_precision_policy = policy

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        step = self.state.global_step + 1
        # Micro-batches are dealt out to the ranks in turn. What dropout leaves out is drawn by their place in the step:
        # the random states of checkpoints are of one number of ranks.
        place = self._turn * self.world.size + self.world.rank
        torch.manual_seed(seed_of(self.args.seed, "dropout", step, place))
        loss = super().training_step(*args, **kwargs)
        # Not looked at before the next line of the log: that would wait for the device in each step.
        self._losses.append((step, loss))
        self._turn += 1
        return loss

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> torch.Tensor | float | None:
        norm = super()._get_grad_norm(*args, **kwargs)
        if isinstance(norm, float | int) and norm < 0:
            # DeepSpeed says so of one that is not finite.
            norm = math.nan
        if norm is not None:
            self._norms.append((self.state.global_step + 1, norm))
        self._turn = 0
        return norm

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs:
            total, steps = self._unlogged
            if steps:
                # What was summed up before the checkpoint that this run went on from belongs to this line too.
                now = self.state.global_step - self._line
                logs["loss"] = (total + logs["loss"] * now) / (steps + now)
            self._unlogged, self._line = [0.0, 0], self.state.global_step
        super().log(logs, *args, **kwargs)
        if "loss" in logs:
            self._refuse_infinite(logs["loss"], logs.get("grad_norm") or 0.0)
            self._losses.clear()
            self._norms.clear()

    def _refuse_infinite(self, *values: float, of: str | None = None) -> None:
        """Stop, on all ranks, where one of these values, the same on all of them, is not finite; say what was so first.

        Args:
            of: what the values are, where they are no losses and gradients of steps.
        """
        if all(map(math.isfinite, values)):
            return
        now = self.state.global_step
        # A loss that is not finite has a gradient that is not, on all ranks.
        found = [2 * step for step, loss in self._losses if not math.isfinite(loss.item())]
        found += [2 * step + 1 for step, norm in self._norms if not math.isfinite(float(norm))]
        first = -self.world.highest(-min(found, default=2 * now + 1))
        name, step = ("gradient" if first % 2 else "loss"), first // 2
        said = f"the {of or name} is not finite at step {now if of else step} of {self.state.max_steps}"
        if of and step < now:
            said += f", nor is the {name} of step {step}"
        numbers = self.data.numbers_of_step(step)
        shown = ", ".join(map(str, numbers[:32])) + (", …" if len(numbers) > 32 else "")
        raise LingualiftError(
            f"{said}: training stopped; the checkpoints before it are kept in {self.args.output_dir}. Lower the "
            f"learning rate, or look at the blocks of step {step}, numbers {shown}"
        )

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None and self.is_deepspeed_enabled and self.deepspeed.load_universal_checkpoint():
            # Of Adam's state, DeepSpeed's universal form of stage 3 loses the number of steps.
            optimizer = self.deepspeed.optimizer.optimizer
            for values in optimizer.state.values():
                step = torch.as_tensor(values.get("step", 0.0), dtype=torch.float32)
                values["step"] = torch.full_like(step, self.state.global_step)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        if self.is_deepspeed_enabled:
            # DeepSpeed's own checkpoint holds the weights: they are not gathered a second time.
            Path(output_dir or self.args.output_dir).mkdir(parents=True, exist_ok=True)
            return
        super().save_model(output_dir, _internal_call)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        start = time.perf_counter()
        checkpoint = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        unlogged = self._pending()
        # The gradient too: what it made of the weights, only the loss of the next step would show.
        self._refuse_infinite(unlogged[0], *(float(norm) for _, norm in self._norms[-1:]))
        if self.world.is_first:
            # What a run with another end left there.
            remove(checkpoint)
        self.world.meet()
        said = "was removed, those before it are kept: training goes on from the newest"
        consequence = f"checkpoint {checkpoint} could not be written and {said}"
        with saying_if_full(checkpoint.parent, consequence, spoilt=checkpoint):
            super()._save_checkpoint(*args, **kwargs)
            self._seal(checkpoint, unlogged)
        self.checkpoint_seconds = time.perf_counter() - start
        logger.info("%s written in %.1f s", checkpoint, self.checkpoint_seconds)

    def _pending(self) -> list[float]:
        """The sum and number of the losses that no line of the log has yet, over all ranks."""
        total, steps = self._unlogged
        now = self.state.global_step - self._line
        if not now:
            return [total, steps]
        return [total + self.world.total([self._tr_loss.item()])[0] / self.world.size, steps + now]

    def _seal(self, checkpoint: Path, unlogged: list[float]) -> None:
        if self.world.is_first:
            content = {"ranks": self.world.size, "parallelism": self.recipe.parallelism, "unlogged": unlogged}
            write_json(content, checkpoint / RUN)
        # All ranks have written before any file is looked at, and each looks at a part of the files. A network file
        # system may show a rank its own files before those of others: the names are gathered first.
        self.world.meet()
        names = sorted({name for seen in self.world.gathered(files_of(checkpoint)) for name in seen})
        parts = self.world.gathered(checksums(checkpoint, names[self.world.rank :: self.world.size]))
        if self.world.is_first:
            seal(checkpoint, {name: value for part in parts for name, value in part.items()})
            best = self.state.best_global_step if keeps_best(self.recipe) else None
            rotate(checkpoint.parent, keep=self.recipe.keep_checkpoints, best=best)
        self.world.meet()

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The mean loss of a learnt token of the blocks held out, whatever the number of ranks."""
        loss = self._held_out_loss()
        # Nothing is below a loss that is no number: as the lowest one it would stay for ever.
        self._refuse_infinite(loss, of="held-out loss")
        if self.state.best_metric is None or loss < self.state.best_metric:
            self.state.best_metric, self.state.best_global_step = loss, self.state.global_step
        metrics = {"held_out_loss": loss}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _held_out_loss(self) -> float:
        at_once, size = self.args.per_device_train_batch_size, self.world.size
        model = self.model_wrapped if self.recipe.parallelism in SHARDED else self.model
        model.eval()
        sums = [0.0, 0.0]
        # Of the ranks, each runs the model as often as every other: where the weights are shared out, all have to.
        for start in range(0, self.data.num_held_out, at_once * size):
            first = start + self.world.rank * at_once
            places = range(first, first + at_once)
            batch = self.data.held_out_blocks([min(place, self.data.num_held_out - 1) for place in places])
            batch["labels"][[place >= self.data.num_held_out for place in places]] = IGNORED
            batch = self._prepare_inputs(batch)
            with torch.no_grad(), self.compute_loss_context_manager():
                one = torch.ones((), device=batch["labels"].device)
                # The loss is a sum over tokens, divided by this number.
                sums[0] += float(model(**batch, num_items_in_batch=one).loss)
            sums[1] += int((batch["labels"][:, 1:] != IGNORED).sum())
        total, count = self.world.total(sums)
        return total / max(count, 1)


def read_run(checkpoint: Path) -> dict[str, Any]:
    """By how many ranks a checkpoint was written, and what was not logged yet; one of a former version by one rank."""
    path = checkpoint / RUN
    return read_json(path) if path.is_file() else {"ranks": 1, "unlogged": [0.0, 0]}


@contextlib.contextmanager
def saying_if_full(folder: Path, consequence: str, *, spoilt: Path | None = None) -> Iterator[None]:
    """Say so where writing fails for want of space in ``folder``.

    Args:
        spoilt: what is half written when anything fails; it is removed.

    Raises:
        LingualiftError: the disk is full, and what comes of it.
    """
    try:
        yield
    except BaseException as error:
        # Looked at before there is room again.
        is_full = not isinstance(error, LingualiftError) and _is_full(error, folder)
        if spoilt is not None:
            shutil.rmtree(spoilt, ignore_errors=True)
        if not is_full:
            raise
        raise LingualiftError(
            f"the disk is full: {consequence}. Free some space in {folder} and start again"
        ) from error


def _is_full(error: BaseException, folder: Path) -> bool:
    """Whether an error in writing comes from a full disk or quota: each library has its own way to say so."""
    # That of torch's distributed checkpoints, which has what failed on each rank in its text, is no Exception.
    if not isinstance(error, Exception | CheckpointException):
        return False
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(seen) or "os error 28" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    # torch's writer of archives says only that writing failed.
    return isinstance(error, RuntimeError | OSError | CheckpointException) and shutil.disk_usage(folder).free < 2**20
