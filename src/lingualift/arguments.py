"""From a recipe to the arguments of transformers' Trainer, for as many ranks as train and the hardware that is here."""

import logging
import math
import os
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.utils import is_liger_kernel_available

from lingualift.blocks import PackedBlocks
from lingualift.configuration.models import Recipe
from lingualift.errors import LingualiftError
from lingualift.parallelism import parallel_options

logger = logging.getLogger(__name__)


def training_arguments(
    recipe: Recipe, data: PackedBlocks, state: Path, *, seed: int, ranks: int = 1, universal: bool = False
) -> TrainingArguments:
    """What transformers' Trainer is told, from a recipe.

    Args:
        ranks: how many train; not the recipe's number of devices: on fewer, each does more, and a step is still the
            recipe's batch.
        universal: whether DeepSpeed's checkpoint is in its universal form.

    Raises:
        LingualiftError: the batch cannot be shared by so many, or kernels are wanted that are not installed.
    """
    warmup = recipe.warmup if recipe.warmup >= 1 else math.ceil(recipe.warmup * data.steps)
    try:
        device_batch, accumulation = recipe.share(ranks)
    except ValueError as error:
        raise LingualiftError(f"{error}: change their number") from None
    if ranks != recipe.nodes * recipe.devices:
        logger.warning(
            "the recipe is for %d devices, this training has %d: each takes %d block(s) at once, %d time(s) a step",
            *(recipe.nodes * recipe.devices, ranks, device_batch, accumulation),
        )
    gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(state),
        max_steps=data.steps,
        per_device_train_batch_size=device_batch,
        gradient_accumulation_steps=accumulation,
        learning_rate=recipe.learning_rate,
        # transformers' own `constant` has no warm-up.
        lr_scheduler_type="constant_with_warmup" if recipe.schedule == "constant" and warmup else recipe.schedule,
        warmup_steps=int(warmup),
        weight_decay=recipe.weight_decay,
        adam_beta2=recipe.beta2,
        max_grad_norm=recipe.clip,
        optim="adamw_torch_fused" if recipe.fused_optimizer else "adamw_torch",
        bf16=uses_bfloat16(recipe),
        use_cpu=not gpu,
        gradient_checkpointing=recipe.gradient_checkpointing,
        torch_compile=recipe.compile,
        use_liger_kernel=uses_liger(recipe),
        logging_steps=recipe.log_every,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_steps=recipe.checkpoint_every,
        train_sampling_strategy="sequential",
        dataloader_num_workers=0,
        dataloader_pin_memory=gpu,
        seed=seed,
        data_seed=seed,
        report_to=[],
        disable_tqdm="RANK" in os.environ,
        remove_unused_columns=False,
        **parallel_options(recipe, universal=universal),
    )


def uses_bfloat16(recipe: Recipe) -> bool:
    """Whether training computes in bfloat16 here (weights and optimiser stay float32)."""
    if recipe.precision != "auto":
        return recipe.precision == "bfloat16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def uses_liger(recipe: Recipe) -> bool:
    """Whether training uses Liger's kernels here: where the recipe wants them and there is a GPU.

    Raises:
        LingualiftError: they are wanted and not installed.
    """
    if not (recipe.liger and torch.cuda.is_available()):
        return False
    if not is_liger_kernel_available():
        raise LingualiftError(
            "the recipe has `liger: true` and Liger's kernels are not installed: python -m pip install --no-deps "
            "--requirement envs/gpu.txt, or leave `liger` out"
        )
    return True
