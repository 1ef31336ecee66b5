"""How a training is spread over ranks, and checkpoints that go on with another number of them."""

import argparse
import contextlib
import logging
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingualift.configuration.models import Recipe
from lingualift.errors import LingualiftError
from lingualift.files import remove

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments

logger = logging.getLogger(__name__)
SHARDED = ("zero1", "zero2", "zero3", "fsdp")  # what needs a process group, of one rank too
_UNIVERSAL = "latest_universal"
# How long ranks wait for each other: within a step, where whoever is late hangs or is dead, and has its job given up;
# and where they agree, as long as the first one may take to check, convert or write a large checkpoint alone.
_STEPPING, _AGREEING = timedelta(minutes=30), timedelta(hours=2)


@dataclass(frozen=True)
class World:
    """The ranks that train together, as one of them sees it.

    Attributes:
        group: torch's process group in which they agree; None for its own one.
    """

    rank: int = 0
    size: int = 1
    group: Any = None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def highest(self, value: int) -> int:
        """The highest of the values that all ranks give: what one of them knows, all act on."""
        if self.size == 1:
            return value
        import torch

        tensor = torch.tensor([value], dtype=torch.int64)
        torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MAX, group=self.group)
        return int(tensor)

    def total(self, values: list[float]) -> list[float]:
        """The sums over all ranks."""
        if self.size == 1:
            return values
        import torch

        tensor = torch.tensor(values, dtype=torch.float64)
        torch.distributed.all_reduce(tensor, group=self.group)
        return tensor.tolist()

    def told(self, value: Any) -> Any:
        """What the first rank says, a small JSON-like value."""
        if self.size == 1:
            return value
        import torch

        values = [value]
        torch.distributed.broadcast_object_list(values, src=0, group=self.group, device=torch.device("cpu"))
        return values[0]

    def gathered(self, value: Any) -> list[Any]:
        """What each rank says, small JSON-like values."""
        if self.size == 1:
            return [value]
        import torch

        values: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(values, value, group=self.group)
        return values

    def meet(self) -> None:
        """Wait until all ranks are here."""
        self.highest(0)


def join_world() -> World:
    """Join the ranks that torchrun started; a world of one where it started none."""
    if "WORLD_SIZE" not in os.environ:
        return World()
    import torch

    if not torch.distributed.is_initialized():
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=_STEPPING)
    # What is agreed between the processes need not wait for the GPUs, and nothing is wrong where it takes long.
    agreeing = torch.distributed.new_group(backend="gloo", timeout=_AGREEING)
    return World(torch.distributed.get_rank(), torch.distributed.get_world_size(), agreeing)


def parallel_options(recipe: Recipe, *, universal: bool = False) -> dict[str, Any]:
    """The part of transformers' training arguments that spreads a model over devices.

    Args:
        universal: DeepSpeed goes on from a checkpoint that was converted by :func:`fit_checkpoint`.
    """
    if recipe.parallelism in ("none", "ddp"):
        # Every weight gets a gradient in each step: looking for those without costs time.
        return {"ddp_find_unused_parameters": False}
    import torch

    gpu = torch.cuda.is_available()
    if recipe.parallelism == "fsdp":
        return {
            "fsdp": True,
            "fsdp_config": {
                "version": 2,
                "reshard_after_forward": True,
                "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
                "state_dict_type": "SHARDED_STATE_DICT",
                # Without GPUs they are there, and cannot be pinned for one.
                "cpu_offload": recipe.offload == "all" and gpu,
            },
            # Each micro-batch's gradients are summed over the ranks: a rank would hold them whole until the last one.
            "accelerator_config": {"gradient_accumulation_kwargs": {"sync_each_batch": True}},
        }
    if not gpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
        import deepspeed.ops

        # Without GPUs DeepSpeed would compile a kernel for ranks of one host, for minutes at the first start, that
        # two nodes on one host would take for their own. torch's operators do.
        deepspeed.ops.__compatible_ops__ = {}
    stage = int(recipe.parallelism[-1])
    zero: dict[str, Any] = {"stage": stage}
    if recipe.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu"}
    if recipe.offload == "all":
        zero["offload_param"] = {"device": "cpu"}
    return {
        "deepspeed": {
            "zero_optimization": zero,
            "zero_force_ds_cpu_optimizer": False,
            "train_micro_batch_size_per_gpu": "auto",
            "gradient_accumulation_steps": "auto",
            "gradient_clipping": "auto",
            "bf16": {"enabled": "auto"},
            # Gradients of micro-batches and ranks are summed in float32: in bfloat16, what comes of a step would
            # depend on the number of ranks. Stage 1 has an optimiser for that whose checkpoints nothing else reads.
            "communication_data_type": "fp32",
            **({"data_types": {"grad_accum_dtype": "fp32"}} if stage > 1 else {}),
            "checkpoint": {"load_universal": universal},
        }
    }


def share_out(model: "PreTrainedModel", arguments: "TrainingArguments") -> None:
    """Leave each rank its part of a model on the CPU for ZeRO-3, one weight after the other.

    DeepSpeed does so itself, but has the whole model on each device then. As it does, weights are first rounded to the
    precision of computing; the optimiser's float32 ones are made of those.

    Args:
        arguments: with DeepSpeed's settings.
    """
    import deepspeed
    import torch

    if arguments.bf16:
        for weights in model.parameters():
            weights.data = weights.data.to(torch.bfloat16)
    deepspeed.zero.Init(module=model, config_dict_or_path=arguments.hf_deepspeed_config.config)


def fit_checkpoint(checkpoint: Path, recipe: Recipe, world: World, *, written_by: int) -> bool:
    """Make a checkpoint that some ranks wrote fit for another number of them.

    FSDP's checkpoints are torch's distributed ones, which are laid out anew where they are read. DeepSpeed's hold a
    part a rank: they are converted to its universal form (Lian et al. 2024), in the checkpoint's own folder.

    Returns:
        Whether the checkpoint is to be read in its universal form.
    """
    if not recipe.parallelism.startswith("zero") or written_by == world.size:
        return False
    if world.is_first and not (checkpoint / _UNIVERSAL).is_file():
        logger.info("%s was written by %d ranks, these are %d: converting it", checkpoint, written_by, world.size)
        _to_universal(checkpoint)
    world.meet()
    return True


def _to_universal(checkpoint: Path) -> None:
    from deepspeed.checkpoint import ds_to_universal

    tag = (checkpoint / "latest").read_text(encoding="utf-8").strip()
    target = checkpoint / f"{tag}_universal"
    # What a conversion that was killed left.
    remove(target)
    options = argparse.Namespace(
        input_folder=str(checkpoint / tag),
        output_folder=str(target),
        num_extract_workers=1,
        num_merge_workers=1,
        keep_temp_folder=False,
        strict=True,
        # transformers' Trainer does not write the account that only models with unlike layers need.
        inject_missing_state=True,
    )
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        ds_to_universal.main(options)


def load_weights(model: "PreTrainedModel", checkpoint: Path, recipe: Recipe) -> None:
    """Read the weights of a checkpoint of any number of ranks into a model on the CPU, in this process alone.

    Args:
        model: as it was before training; with adapters, those are what is read.

    Raises:
        LingualiftError: weights that the model has are not in the checkpoint.
    """
    if recipe.parallelism == "fsdp":
        import torch.distributed.checkpoint as dcp

        state = _adapters_of(model) if recipe.lora else model.state_dict()
        dcp.load({"model": state}, checkpoint_id=checkpoint / "pytorch_model_fsdp_0", no_dist=True)
        return
    if recipe.parallelism in SHARDED:
        from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

        state = get_fp32_state_dict_from_zero_checkpoint(
            str(checkpoint), exclude_frozen_parameters=recipe.lora is not None
        )
    else:
        from safetensors.torch import load_file

        pattern = "adapter_model*.safetensors" if recipe.lora else "model*.safetensors"
        state = {name: value for path in checkpoint.glob(pattern) for name, value in load_file(path).items()}
        if not state:
            raise LingualiftError(f"{checkpoint}: there are no weights in it, no {pattern}")
        if recipe.lora:
            from peft import set_peft_model_state_dict

            # peft says nothing of adapters that are not there: they would stay as fresh ones are, which change nothing.
            if lost := sorted(set(_adapters_of(model)) - set(state)):
                raise LingualiftError(f"{checkpoint}: {len(lost)} adapter weights are not in it, {lost[0]} the first")
            set_peft_model_state_dict(model, state)
            return
    problems = model.load_state_dict(state, strict=False)
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    lost = [name for name in problems.missing_keys if name not in tied and (not recipe.lora or "lora_" in name)]
    if lost or problems.unexpected_keys:
        raise LingualiftError(f"{checkpoint}: weights missing {lost[:3]}, not known {problems.unexpected_keys[:3]}")


def _adapters_of(model: "PreTrainedModel") -> dict[str, Any]:
    """A model's adapters, by the names that checkpoints have for them."""
    from peft import get_peft_model_state_dict

    return get_peft_model_state_dict(model)
