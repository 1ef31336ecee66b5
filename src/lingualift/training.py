"""Pre-training and instruction tuning: one trainer over packed blocks, on transformers' Trainer."""

import logging
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
    set_seed,
)
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from lingualift.adapters import add_adapters, merge_adapters, save_adapter
from lingualift.arguments import training_arguments
from lingualift.blocks import PackedBlocks
from lingualift.callbacks import HoldOut, JsonLog, Progress, StopInTime, has_lost_best, keeps_best, out_of_patience
from lingualift.checkpoints import clear, find_state, hand_out, is_valid, seal, step_of
from lingualift.configuration.models import Lora, Recipe, Scratch
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path, checksum, read_json
from lingualift.interruptions import InterruptedTrainingError, Stops, end_of_job, listening
from lingualift.manifests import Manifest
from lingualift.modelcards import LOG, model_card
from lingualift.parallelism import SHARDED, World, fit_checkpoint, load_weights
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
    version: int = 1,
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
        version: the stage's; what another version left in ``state`` is not gone on with.
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
    # The first rank looks at the state, and tells the others.
    made_of = {"blocks": blocks, "base": base, "recipe": recipe, "scratch": scratch, "seed": seed, "version": version}
    found = find_state(state, **made_of) if world.is_first else None
    state, newest = (Path(path) if path else None for path in world.told(found))
    finished = state / f"model-{version}"
    if world.told(is_valid(finished) if world.is_first else None):
        logger.info("the model has been trained: it is taken from %s", finished)
        made = read_json(finished / "manifest.json")
        manifest.counts.update(made["counts"])
        manifest.details.update(made)
        return _give(finished, out, manifest, world)
    name = (settings or {}).get("base") or "*"
    starting = partial(starting_model, base, scratch, recipe, tokenizer, seed=seed, name=name)
    model = starting()
    model.config.use_cache = False
    _check_fit(model, data, tokenizer, blocks)
    # Counted here: later they may be in parts on all ranks.
    parameters = [(weights.numel(), weights.requires_grad) for weights in model.parameters()]
    manifest.counts.update(parameters=sum(number for number, _ in parameters))
    if recipe.lora:
        manifest.counts.update(trained_parameters=sum(number for number, is_trained in parameters if is_trained))
    trainer = _make_trainer(model, data, recipe, state, newest, seed=seed, world=world)
    # Until one has been written: weights and the optimiser's state in float32, at half a gigabyte a second.
    ran = _run(trainer, state, newest, writing=max(30.0, 12 * manifest.counts["parameters"] / 5e8))
    _note(manifest, trainer)
    manifest.details.update(trained_on=str(blocks), version=version)
    world.meet()
    if world.is_first:
        final = _trained_model(trainer, state, starting, ran=ran)
        with saying_if_full(state, f"the model {out} could not be written, its last checkpoint is kept"):
            # Until it is whole here, where Snakemake removes nothing, the checkpoints are all that there is.
            save_model(final, tokenizer, manifest, finished, log=state / LOG, lora=recipe.lora)
            seal(finished)
    world.meet()
    return _give(finished, out, manifest, world)


def _make_trainer(
    model: PreTrainedModel,
    data: PackedBlocks,
    recipe: Recipe,
    state: Path,
    newest: Path | None,
    *,
    seed: int,
    world: World,
) -> BlockTrainer:
    """What trains a model in this rank, on from the checkpoint ``newest``, and logs into the folder ``state``."""
    set_seed(seed)
    universal = newest is not None and fit_checkpoint(newest, recipe, world, written_by=read_run(newest)["ranks"])
    arguments = training_arguments(recipe, data, state, seed=seed, ranks=world.size, universal=universal)
    trainer = BlockTrainer(model=model, args=arguments, data=data, recipe=recipe, world=world, resumed=newest)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(JsonLog(state / LOG, trainer))
    if arguments.disable_tqdm and world.is_first:
        trainer.add_callback(Progress())
    return trainer


def _run(trainer: BlockTrainer, state: Path, newest: Path | None, *, writing: float) -> bool:
    """Train to the end, on from the checkpoint ``newest``.

    Args:
        writing: the seconds that a checkpoint takes, until one has been written.

    Returns:
        Whether there was anything left to train.

    Raises:
        InterruptedTrainingError: a signal, or the end of the job's time.
    """
    recipe, world = trainer.recipe, trainer.world
    past = TrainerState.load_from_json(newest / "trainer_state.json") if newest else None
    forget = world.told(past is not None and has_lost_best(recipe, past, state) if world.is_first else None)
    end = world.told(end_of_job() if world.is_first else None)
    if past is not None and not forget and out_of_patience(recipe.evaluation, past):
        trainer.state = past
        return False
    # Until one has been measured: a pass without gradients is a third of a step's work on as many blocks.
    evaluation = trainer.data.num_held_out / (3 * recipe.batch) if recipe.evaluation else 0.0
    stopper = StopInTime(Stops(end, writing=writing, evaluation=evaluation), trainer)
    for callback in (*([HoldOut(recipe.evaluation, forget=forget)] if recipe.evaluation else []), stopper):
        trainer.add_callback(callback)
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
    return True


def _note(manifest: Manifest, trainer: BlockTrainer) -> None:
    """Note in a manifest what came of a training."""
    state, recipe, data = trainer.state, trainer.recipe, trainer.data
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    manifest.counts.update(steps=state.global_step, tokens=state.global_step * recipe.batch * data.manifest["block"])
    manifest.details.update(
        first_loss=losses[0] if losses else None,
        last_loss=losses[-1] if losses else None,
        precision="bfloat16" if trainer.args.bf16 else "float32",
        # What it ran on, whatever the recipe wished for; torchrun counts the nodes.
        ranks=trainer.world.size,
        nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        # Whole, with what the configuration left at its default.
        recipe=recipe.model_dump(mode="json"),
    )
    if recipe.evaluation:
        manifest.counts.update(held_out_blocks=data.num_held_out)
        manifest.details.update(best_held_out_loss=state.best_metric, best_held_out_step=state.best_global_step)


def _trained_model(
    trainer: BlockTrainer, state: Path, starting: Callable[[], PreTrainedModel], *, ran: bool
) -> PreTrainedModel:
    """The model that has the trained weights, in this process alone.

    Args:
        starting: makes the model as it was before training.
        ran: whether they are the trainer's, if they are those of its last step.
    """
    last, recipe = trainer.state.global_step, trainer.recipe
    step = (trainer.state.best_global_step if keeps_best(recipe) else None) or last
    if ran and step == last and recipe.parallelism not in SHARDED:
        return trainer.model
    # Its weights are in parts on all ranks, or those of an earlier step: a checkpoint has them whole.
    checkpoint = state / f"checkpoint-{step}"
    if not is_valid(checkpoint):
        raise LingualiftError(
            f"{checkpoint}, which has the trained weights, is missing or corrupted: the same command goes on from the "
            "newest checkpoint that is whole"
        )
    unset_hf_deepspeed_config()
    model = starting()
    load_weights(model, checkpoint, recipe)
    return model


def _give(finished: Path, out: Path, manifest: Manifest, world: World) -> Manifest:
    """Give a trained model to the folder ``out``, and remove what it was trained with."""
    if world.is_first:
        with saying_if_full(out.parent, f"the model {out} could not be written, it is kept in {finished}"):
            hand_out(finished, out, manifest.settings)
        clear(finished.parent, but=finished)
    world.meet()
    return manifest


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
