"""Pre-training and instruction tuning: one trainer over packed blocks, on transformers' Trainer."""

import logging
import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.utils import is_liger_kernel_available

from lingualift.adapters import add_adapters, merge_adapters, save_adapter
from lingualift.blocks import PackedBlocks
from lingualift.callbacks import HoldOut, JsonLog, Progress, StopInTime, has_lost_best, keeps_best, out_of_patience
from lingualift.checkpoints import clear, find_state, hand_out, is_valid, seal, step_of
from lingualift.configuration.models import Lora, Recipe, Scratch
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path, checksum, read_json
from lingualift.interruptions import InterruptedTrainingError, Stops, end_of_job, listening
from lingualift.manifests import Manifest
from lingualift.modelcards import LOG, model_card
from lingualift.parallelism import SHARDED, World, fit_checkpoint, load_weights, parallel_options
from lingualift.planning import STAGE_VERSIONS
from lingualift.trainer import BlockTrainer, read_run, saying_if_full

logger = logging.getLogger(__name__)


def scratch_model(scratch: Scratch, tokenizer: PreTrainedTokenizerFast, *, seed: int) -> PreTrainedModel:
    """A small Llama with fresh weights, float32."""
    set_seed(seed)
    return AutoModelForCausalLM.from_config(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=scratch.hidden,
            num_hidden_layers=scratch.layers,
            num_attention_heads=scratch.num_heads,
            intermediate_size=scratch.intermediate_size,
            max_position_embeddings=scratch.context,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def load_model(folder: str | Path, **options: Any) -> PreTrainedModel:
    """Load a causal language model from a local folder: safetensors only, no network, no code of its own.

    Raises:
        LingualiftError: no such folder, or no such model in it.
    """
    if not Path(folder).is_dir():
        raise LingualiftError(f"{folder}: no such model folder; `models.*.path` says where a model is")
    try:
        return AutoModelForCausalLM.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, **options
        )
    except (OSError, ValueError) as error:
        raise LingualiftError(
            f"{folder}: no causal language model in safetensors that transformers can read "
            f"({str(error).splitlines()[0]}); `models.*.path` says where a model is"
        ) from error


def train(
    *,
    blocks: Path,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    out: Path,
    state: Path,
    seed: int,
    base: Path | None = None,
    scratch: Scratch | None = None,
    settings: Mapping[str, Any] | None = None,
    world: World | None = None,
) -> Manifest:
    """Train one stage and write the model folder ``out``.

    Killed at any moment, the same call goes on from the newest valid checkpoint in ``state`` and ends with the
    weights of a run that was never killed. Each rank calls it; the first one alone writes logs and the model.

    Args:
        blocks: packed mixture.
        base: folder of the model to go on from, or None with ``scratch``.
        state: folder for checkpoints and logs while training; when it ends, the model alone is left there.
        settings: what the manifest says of the configuration.
        world: the ranks; one by default.

    Returns:
        The manifest, also in ``out/manifest.json``.

    Raises:
        InterruptedTrainingError: a signal, or the end of the job's time, with a checkpoint to go on from.
        LingualiftError: what does not fit, a loss that is not finite, a full disk.
    """
    world = world or World()
    manifest = Manifest("model", settings or {}, seed=seed)
    data = PackedBlocks(
        blocks,
        batch=recipe.batch,
        epochs=recipe.epochs,
        max_steps=recipe.max_steps,
        seed=seed,
        held_out=_held_out_share(recipe, blocks),
    )
    name = (settings or {}).get("base") or "*"
    starting = partial(starting_model, base, scratch, recipe, tokenizer, seed=seed, name=name)
    # The first rank looks at the state, and tells the others.
    made_of = {"blocks": blocks, "base": base, "recipe": recipe, "scratch": scratch, "seed": seed}
    found = find_state(state, **made_of) if world.is_first else None
    state, newest = (Path(path) if path else None for path in world.told(found))
    finished = state / f"model-{STAGE_VERSIONS['train_model']}"
    if world.told(is_valid(finished) if world.is_first else None):
        logger.info("the model has been trained: it is taken from %s", finished)
        made = read_json(finished / "manifest.json")
        manifest.counts.update(made["counts"])
        manifest.details.update(made)
        return _give(finished, out, manifest, world)
    model = starting()
    model.config.use_cache = False
    _check_fit(model, data, tokenizer, blocks)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    num_trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    set_seed(seed)
    universal = newest is not None and fit_checkpoint(newest, recipe, world, written_by=read_run(newest)["ranks"])
    arguments = training_arguments(recipe, data, state, seed=seed, ranks=world.size, universal=universal)
    trainer = BlockTrainer(model=model, args=arguments, data=data, recipe=recipe, world=world, resumed=newest)
    trainer.remove_callback(PrinterCallback)
    past = TrainerState.load_from_json(newest / "trainer_state.json") if newest else None
    forget = world.told(past is not None and has_lost_best(recipe, past, state) if world.is_first else None)
    end = world.told(end_of_job() if world.is_first else None)
    # Until one has been written: weights and the optimiser's state in float32, at half a gigabyte a second.
    stopper = StopInTime(Stops(end, writing=max(30.0, 12 * num_parameters / 5e8)), trainer)
    for callback in (
        JsonLog(state / LOG, trainer),
        *([Progress()] if arguments.disable_tqdm and world.is_first else []),
        *([HoldOut(recipe.evaluation, forget=forget)] if recipe.evaluation else []),
        stopper,
    ):
        trainer.add_callback(callback)
    if past is not None and not forget and out_of_patience(recipe.evaluation, past):
        trainer.state = past
    else:
        with listening(), saying_if_full(state, "the log could not be written, checkpoints are kept"):
            trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    if stopper.reason:
        # A job that is over after a single step would go on so for ever: it wants more time, not more jobs.
        trained = trainer.state.global_step - (step_of(newest) if newest else 0)
        raise InterruptedTrainingError(
            f"training stopped at step {trainer.state.global_step} of {trainer.state.max_steps}, {stopper.reason}; the "
            f"same command goes on from its checkpoint in {state}",
            out_of_time=stopper.out_of_time and trained > 1,
        )
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    manifest.counts.update(
        steps=trainer.state.global_step,
        parameters=num_parameters,
        tokens=trainer.state.global_step * recipe.batch * data.manifest["block"],
    )
    manifest.details.update(
        first_loss=history[0]["loss"] if history else None,
        last_loss=history[-1]["loss"] if history else None,
        precision="bfloat16" if arguments.bf16 else "float32",
        trained_on=str(blocks),
        # Whole, with what the configuration left at its default.
        recipe=recipe.model_dump(mode="json"),
    )
    if recipe.lora:
        manifest.counts.update(trained_parameters=num_trained)
    if recipe.evaluation:
        manifest.counts.update(held_out_blocks=data.num_held_out)
        manifest.details.update(
            best_held_out_loss=trainer.state.best_metric, best_held_out_step=trainer.state.best_global_step
        )
    world.meet()
    if world.is_first:
        final = trainer.model
        step = (trainer.state.best_global_step if keeps_best(recipe) else None) or trainer.state.global_step
        if recipe.parallelism in SHARDED or step != trainer.state.global_step or past is trainer.state:
            # Its weights are in parts on all ranks, or those of an earlier step: a checkpoint has them whole.
            final = _model_of(state / f"checkpoint-{step}", recipe, starting)
        with saying_if_full(state, f"the model {out} could not be written, its last checkpoint is kept"):
            # Until it is whole here, where Snakemake removes nothing, the checkpoints are all that there is.
            save_model(final, tokenizer, manifest, finished, log=state / LOG, lora=recipe.lora)
            seal(finished)
    world.meet()
    return _give(finished, out, manifest, world)


def _give(finished: Path, out: Path, manifest: Manifest, world: World) -> Manifest:
    """Give a trained model to the folder ``out``, and remove what it was trained with."""
    if world.is_first:
        with saying_if_full(out.parent, f"the model {out} could not be written, it is kept in {finished}"):
            hand_out(finished, out, manifest.settings)
        clear(finished.parent, but=finished)
    world.meet()
    return manifest


def _model_of(checkpoint: Path, recipe: Recipe, starting: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    """The model that has a checkpoint's weights; read in this process alone."""
    if not is_valid(checkpoint):
        raise LingualiftError(
            f"{checkpoint}, which has the trained weights, is missing or corrupted: the same command goes on from the "
            "newest checkpoint that is whole"
        )
    unset_hf_deepspeed_config()
    model = starting()
    load_weights(model, checkpoint, recipe)
    return model


def _held_out_share(recipe: Recipe, blocks: Path) -> float:
    """The share of the blocks that training does not read."""
    if recipe.evaluation is None:
        return 0.0
    number = read_json(blocks / "manifest.json")["counts"]["blocks"]
    return recipe.evaluation.held_out(number) / max(number, 1)


def starting_model(
    base: Path | None,
    scratch: Scratch | None,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    *,
    seed: int,
    name: str = "*",
) -> PreTrainedModel:
    """The model as it is before training: fresh or read from its folder, float32, with adapters if the recipe has.

    Raises:
        LingualiftError: there is no such model.
    """
    if scratch:
        model = scratch_model(scratch, tokenizer, seed=seed)
    elif base:
        model = load_model(base, dtype=torch.float32)
    else:
        raise LingualiftError(f"the base model `{name}` is not there: `models.{name}.path` says where it is")
    return add_adapters(model, recipe.lora, seed=seed) if recipe.lora else model


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    manifest: Manifest,
    out: Path,
    *,
    log: Path | None = None,
    lora: Lora | None = None,
) -> None:
    """Write a model folder, atomically: safetensors, tokenizer, generation config, manifest, model card, log."""
    model.config.use_cache = True
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    with atomic_path(out) as part:
        if lora is not None:
            if lora.keep_adapter:
                save_adapter(model, part)
            model = merge_adapters(model)
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        manifest.details["weights"] = {path.name: checksum(path) for path in sorted(part.glob("*.safetensors"))}
        manifest.save(part / "manifest.json")
        (part / "README.md").write_text(model_card(part / "manifest.json"), encoding="utf-8")
        if log is not None and log.is_file():
            (part / LOG).write_bytes(log.read_bytes())


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


def _check_fit(model: PreTrainedModel, data: PackedBlocks, tokenizer: PreTrainedTokenizerFast, blocks: Path) -> None:
    rows = model.get_input_embeddings().num_embeddings
    if data.manifest["vocabulary"] > rows:
        raise LingualiftError(
            f"{blocks}: packed with {data.manifest['vocabulary']} tokens, the model has embeddings for {rows}: "
            "pack the mixture with this model's tokenizer"
        )
    if data.manifest["eos"] != tokenizer.eos_token_id:
        raise LingualiftError(f"{blocks}: packed with another tokenizer than the model's")
    context = getattr(model.config, "max_position_embeddings", None)
    if context and data.manifest["block"] > context:
        raise LingualiftError(f"block {data.manifest['block']} is longer than the model's context, {context}")
