"""Pre-training and instruction tuning: one trainer over packed blocks, on transformers' Trainer."""

import json
import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from lingualift.blocks import PackedBlocks, collate
from lingualift.checkpoints import newest_valid, remove_after, seal, step_of
from lingualift.configuration.models import Recipe, Scratch
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path, checksum, fingerprint, read_json, remove
from lingualift.manifests import Manifest
from lingualift.modelcards import LOG, model_card

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
) -> Manifest:
    """Train one stage and write the model folder ``out``.

    Killed at any moment, the same call goes on from the newest valid checkpoint in ``state`` and ends with the
    weights of a run that was never killed.

    Args:
        blocks: packed mixture.
        base: folder of the model to go on from, or None with ``scratch``.
        state: folder for checkpoints and logs while training; emptied when it ends.
        settings: what the manifest says of the configuration.

    Returns:
        The manifest, also in ``out/manifest.json``.
    """
    manifest = Manifest("model", settings or {}, seed=seed)
    data = PackedBlocks(blocks, batch=recipe.batch, epochs=recipe.epochs, max_steps=recipe.max_steps, seed=seed)
    state = _own_state(state, blocks=blocks, base=base, recipe=recipe, scratch=scratch, seed=seed)
    if scratch:
        model = scratch_model(scratch, tokenizer, seed=seed)
    elif base:
        model = load_model(base, dtype=torch.float32)
    else:
        name = (settings or {}).get("base") or "*"
        raise LingualiftError(f"the base model `{name}` is not there: `models.{name}.path` says where it is")
    model.config.use_cache = False
    _check_fit(model, data, tokenizer, blocks)
    set_seed(seed)
    arguments = training_arguments(recipe, data, state, seed=seed)
    trainer = BlockTrainer(
        model=model, args=arguments, train_dataset=data, data_collator=collate, block=data.manifest["block"]
    )
    trainer.add_callback(SealCheckpoints())
    trainer.add_callback(JsonLog(state / LOG, trainer))
    newest = newest_valid(state)
    if newest is not None:
        logger.info("going on from %s", newest)
        _cut_log(state / LOG, step_of(newest))
    else:
        remove(state / LOG)
    remove_after(state, newest)
    trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    manifest.counts.update(
        steps=trainer.state.global_step,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
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
    if trainer.is_world_process_zero():
        save_model(trainer.model, tokenizer, manifest, out, log=state / LOG)
        remove(state)
    return manifest


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    manifest: Manifest,
    out: Path,
    *,
    log: Path | None = None,
) -> None:
    """Write a model folder, atomically: safetensors, tokenizer, generation config, manifest, model card, log."""
    model.config.use_cache = True
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    with atomic_path(out) as part:
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        manifest.details["weights"] = {path.name: checksum(path) for path in sorted(part.glob("*.safetensors"))}
        manifest.save(part / "manifest.json")
        (part / "README.md").write_text(model_card(part / "manifest.json"), encoding="utf-8")
        if log is not None and log.is_file():
            (part / LOG).write_bytes(log.read_bytes())


def training_arguments(recipe: Recipe, data: PackedBlocks, state: Path, *, seed: int) -> TrainingArguments:
    """What transformers' Trainer is told, from a recipe."""
    warmup = recipe.warmup if recipe.warmup >= 1 else math.ceil(recipe.warmup * data.steps)
    # Not the recipe's number of devices: on fewer, each does more, and a step is still the recipe's batch.
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        device_batch, accumulation = recipe.share(ranks)
    except ValueError as error:
        raise LingualiftError(f"{error}: change the recipe's device_batch, or the number of devices") from None
    if ranks != recipe.nodes * recipe.devices:
        logger.warning("the recipe is for %d devices, this training has %d", recipe.nodes * recipe.devices, ranks)
    gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(state),
        max_steps=data.steps,
        per_device_train_batch_size=device_batch,
        gradient_accumulation_steps=accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        warmup_steps=int(warmup),
        weight_decay=recipe.weight_decay,
        adam_beta2=recipe.beta2,
        max_grad_norm=recipe.clip,
        optim="adamw_torch_fused" if recipe.fused_optimizer else "adamw_torch",
        bf16=uses_bfloat16(recipe),
        use_cpu=not gpu,
        gradient_checkpointing=recipe.gradient_checkpointing,
        torch_compile=recipe.compile,
        use_liger_kernel=recipe.liger and gpu,
        logging_steps=recipe.log_every,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_steps=recipe.checkpoint_every,
        save_total_limit=recipe.keep_checkpoints,
        train_sampling_strategy="sequential",
        dataloader_num_workers=0,
        dataloader_pin_memory=gpu,
        seed=seed,
        data_seed=seed,
        report_to=[],
        disable_tqdm=False,
        remove_unused_columns=False,
        **parallel_options(recipe),
    )


def parallel_options(recipe: Recipe) -> dict[str, Any]:
    """The part of the training arguments that spreads a model over devices."""
    if recipe.parallelism in ("none", "ddp"):
        return {}
    if recipe.parallelism == "fsdp":
        return {"fsdp": True, "fsdp_config": {"version": 2, "reshard_after_forward": True}}
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    return {
        "deepspeed": {
            "zero_optimization": {"stage": int(recipe.parallelism[-1])},
            "zero_force_ds_cpu_optimizer": False,
            "train_micro_batch_size_per_gpu": "auto",
            "gradient_accumulation_steps": "auto",
            "gradient_clipping": "auto",
            "bf16": {"enabled": "auto"},
        }
    }


def uses_bfloat16(recipe: Recipe) -> bool:
    """Whether training computes in bfloat16 here (weights and optimiser stay float32)."""
    if recipe.precision != "auto":
        return recipe.precision == "bfloat16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


class BlockTrainer(Trainer):
    """transformers' Trainer, told how long it waits for data."""

    def __init__(self, *args: Any, block: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.block, self.data_seconds = block, 0.0

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        batch = super().get_batch_samples(*args, **kwargs)
        self.data_seconds += time.perf_counter() - start
        return batch


class SealCheckpoints(TrainerCallback):
    """Seals each checkpoint once it is written whole."""

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")


class JsonLog(TrainerCallback):
    """Writes loss, learning rate, tokens/s, data-wait share and memory as JSON lines; stops where the loss is not finite."""

    def __init__(self, path: Path, trainer: BlockTrainer) -> None:
        self.path, self.trainer = path, trainer
        self._time, self._step, self._waited = time.perf_counter(), 0, 0.0

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        self._time, self._step = time.perf_counter(), state.global_step

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        # A logged loss is the mean since the line before: with a line at each checkpoint, a resumed run logs the
        # same lines as an unbroken one, and no checkpoint is written behind a loss that is not finite.
        if control.should_save:
            control.should_log = True

    def on_log(self, args: TrainingArguments, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        now, waited = time.perf_counter(), self.trainer.data_seconds
        seconds = max(now - self._time, 1e-9)
        tokens = (state.global_step - self._step) * self.trainer.block * args.train_batch_size
        tokens *= args.gradient_accumulation_steps * args.world_size
        line = {
            "step": state.global_step,
            "steps": state.max_steps,
            "loss": logs["loss"],
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "tokens_per_second": round(tokens / seconds, 1),
            "data_wait_share": round((waited - self._waited) / seconds, 4),
            "memory_mb": _memory_mb(),
        }
        self._time, self._step, self._waited = now, state.global_step, waited
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        broken = [key for key in ("loss", "grad_norm") if not math.isfinite(logs.get(key) or 0.0)]
        if broken:
            raise LingualiftError(
                f"{broken[0]} is {logs[broken[0]]} at step {state.global_step} of {state.max_steps}: training stopped; the "
                f"checkpoints before it are kept in {args.output_dir}. Lower the learning rate, or look at the blocks "
                f"of that step."
            )


def _memory_mb() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() / 2**20)
    import psutil

    return int(psutil.Process().memory_info().rss / 2**20)


def _own_state(state: Path, **made_of: Any) -> Path:
    """The folder for the state of exactly this training; what other settings left is removed."""
    base = made_of.pop("base")
    key = fingerprint(
        {
            **{name: _plain(value) for name, value in made_of.items() if name != "blocks"},
            # Not its checksum: the time that packing took is not part of what was packed.
            "blocks": _without(read_json(made_of["blocks"] / "manifest.json"), "seconds", "versions"),
            "base": [checksum(path) for path in sorted(Path(base).glob("*.safetensors"))] if base else None,
        }
    )
    if state.is_dir():
        for other in state.iterdir():
            if other.name != key:
                remove(other)
    own = state / key
    own.mkdir(parents=True, exist_ok=True)
    return own


def _without(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _cut_log(path: Path, step: int) -> None:
    """Drop what a killed run logged behind the checkpoint that training goes on from."""
    if path.is_file():
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError):
        return math.inf  # half a line, from the kill


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


def config_of(folder: Path) -> Any:
    """The transformers configuration of a model folder."""
    return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
