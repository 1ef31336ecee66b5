"""Entries for models: where a model comes from, and the recipes that train it."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from lingualift.configuration.base import Entry, Name


class Scratch(Entry):
    """A small Llama with fresh weights and a byte-level BPE tokenizer of its own."""

    # The 256 bytes and the end of a sequence.
    vocabulary: int = Field(6000, ge=257, description="Tokens of the tokenizer, special tokens included.")
    hidden: PositiveInt = Field(192, description="Width of the hidden states.")
    layers: PositiveInt = Field(4, description="Transformer layers.")
    heads: PositiveInt | None = Field(None, description="Attention heads; one for every 64 hidden units by default.")
    intermediate: PositiveInt | None = Field(
        None, description="Width of the feed-forward layers; 8/3 hidden by default."
    )
    context: PositiveInt = Field(1024, description="Longest sequence, in tokens.")
    tokenizer_mixture: Name | None = Field(
        None, description="Mixture whose text the tokenizer learns; that of the pre-training by default."
    )
    tokenizer_entries: PositiveInt = Field(200_000, description="At most so many entries are read for the tokenizer.")

    @property
    def num_heads(self) -> int:
        return self.heads or max(1, self.hidden // 64)

    @property
    def intermediate_size(self) -> int:
        return self.intermediate or (8 * self.hidden // 3 + 63) // 64 * 64

    @model_validator(mode="after")
    def _heads_divide(self) -> "Scratch":
        if self.hidden % self.num_heads:
            raise ValueError(f"hidden ({self.hidden}) is not a multiple of heads ({self.num_heads})")
        return self


class Stage(Entry):
    """One training stage: what is learnt, and how."""

    mixture: Name = Field(description="What is read.")
    recipe: Name = Field(description="How it is learnt.")


class Hub(Entry):
    """A model of the Hugging Face hub, downloaded by the rule ``fetch_model`` and by nothing else."""

    name: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="Owner, slash, model.")
    revision: str = Field(
        pattern=r"^[0-9a-f]{40}$", description="The commit: what is downloaded is then always the same."
    )


class Model(Entry):
    """A base and the one stage laid on it.

    A base is ``scratch``, a local ``path``, a ``hub`` model, or another model (``from``); ``scratch`` is
    trained by ``pretrain`` at once, a base that exists needs no stage.
    """

    scratch: Scratch | None = Field(None, description="A new model, trained by `pretrain`.")
    path: str | None = Field(None, description="Folder of a transformers model, relative to the data folder.")
    hub: Hub | None = Field(None, description="A model to download.")
    from_: Name | None = Field(None, alias="from", description="Another model of this configuration.")
    pretrain: Stage | None = Field(None, description="The stage: (continual) pre-training.")
    finetune: Stage | None = Field(None, description="Or the stage: instruction tuning.")
    ablates: Name | None = Field(
        None,
        description="The model of which this one is an ablation: one thing differs, a stage or in one the mixture or the recipe.",
    )

    @model_validator(mode="after")
    def _one_base_one_stage(self) -> "Model":
        bases = [key for key in ("scratch", "path", "hub", "from_") if getattr(self, key) is not None]
        if len(bases) != 1:
            found = ", ".join(bases).replace("from_", "from") or "none"
            raise ValueError(f"exactly one of scratch, path, hub, from is needed, found {found}")
        if self.pretrain and self.finetune:
            raise ValueError("one stage a model: give the finetuned model a name of its own, with `from`")
        if self.scratch and not self.pretrain:
            raise ValueError("scratch needs pretrain: a model with random weights is of no use")
        if self.stage and (self.path or self.hub):
            raise ValueError("a base that exists is trained under another name: give the trained model a `from`")
        if self.from_ and not self.stage:
            raise ValueError("from needs pretrain or finetune")
        return self

    @property
    def stage(self) -> Stage | None:
        """The stage that makes this model, if any."""
        return self.pretrain or self.finetune

    @property
    def stage_kind(self) -> str:
        """How this model is made: ``pretrain``, ``finetune`` or ``base``."""
        return "pretrain" if self.pretrain else "finetune" if self.finetune else "base"


class Lora(Entry):
    """Low-rank adapters in place of all weights (Hu et al. 2022); the trained model has them merged in."""

    rank: PositiveInt = Field(8, description="Of the added matrices.")
    alpha: PositiveFloat = Field(16, description="The added product is scaled by alpha / rank.")
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description=(
            "Of what goes into the adapters, drawn by seed, step and place in the batch: what is dropped is the same on "
            "another number of devices that take as many blocks at once."
        ),
    )
    targets: list[str] | None = Field(
        None, min_length=1, description="Names of the layers with adapters, q_proj say; all linear ones by default."
    )
    keep_adapter: bool = Field(False, description="Keep the adapter too, in the folder `adapter` of the model.")


class Evaluation(Entry):
    """Loss on blocks that are held out of the training."""

    share: float = Field(0.01, gt=0, lt=1, description="Of the blocks, drawn by the seed; at least one.")
    blocks: PositiveInt = Field(512, description="At most so many blocks, whatever their share.")
    every: PositiveInt = Field(200, description="Optimiser steps between evaluations; the last step has one too.")
    patience: PositiveInt | None = Field(None, description="Stop after so many evaluations without a lower loss.")
    keep: Literal["best", "last"] = Field("best", description="Which weights are the trained model.")

    def held_out(self, blocks: int) -> int:
        """How many of a mixture's blocks are held out."""
        return max(1, min(round(self.share * blocks), self.blocks))


# How a training is run, not what comes of it: changed, a run goes on where it is, and one that has ended stays as it is.
OPERATIONAL = (
    "device_batch",
    "offload",
    "nodes",
    "devices",
    "gradient_checkpointing",
    "log_every",
    "checkpoint_every",
    "keep_checkpoints",
    "restarts",
)


class Recipe(Entry):
    """Hyperparameters of one training stage and how it is spread over devices."""

    learning_rate: PositiveFloat = Field(description="The highest, after the warm-up.")
    schedule: Literal["cosine", "linear", "constant", "inverse_sqrt"] = Field(
        "cosine", description="How the learning rate goes on behind the warm-up."
    )
    warmup: float = Field(0.03, ge=0, description="Share of the steps (below 1) or number of steps.")
    epochs: PositiveFloat = Field(1, description="How often the mixture is read.")
    max_steps: PositiveInt | None = Field(None, description="Stop after so many optimiser steps.")
    batch: PositiveInt = Field(description="Blocks in one optimiser step, over all devices and accumulation.")
    device_batch: PositiveInt | None = Field(
        None, description="The most blocks a device takes at once; its whole share of `batch` by default."
    )
    weight_decay: float = Field(0.0, ge=0, description="Of AdamW.")
    clip: float = Field(1.0, ge=0, description="Largest gradient norm; 0 for none.")
    beta2: float = Field(0.999, gt=0, lt=1, description="Of AdamW; 0.98 for small models with a high learning rate.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the hardware multiplies it natively, float32 elsewhere."
    )
    parallelism: Literal["none", "ddp", "zero1", "zero2", "zero3", "fsdp"] = Field(
        "none", description="How the devices share the model: zero1 to zero3 are DeepSpeed's stages."
    )
    offload: Literal["none", "optimizer", "all"] = Field(
        "none", description="What of ZeRO's and FSDP's share is held in the memory of the host; all: weights too."
    )
    nodes: PositiveInt = Field(1, description="Machines.")
    devices: PositiveInt = Field(1, description="Devices (GPUs, or processes on CPU) a node.")
    gradient_checkpointing: bool = Field(False, description="Compute activations twice, to hold fewer.")
    fused_optimizer: bool = Field(True, description="One kernel for all of AdamW.")
    compile: bool = Field(False, description="torch.compile.")
    liger: bool = Field(False, description="Liger kernels; on a GPU only.")
    log_every: PositiveInt = Field(10, description="Optimiser steps between lines of the training log.")
    checkpoint_every: PositiveInt = Field(200, description="Optimiser steps between checkpoints.")
    keep_checkpoints: PositiveInt = Field(2, description="How many of the newest are kept.")
    restarts: int = Field(2, ge=0, description="How often ranks start again within a job when one of them dies.")
    lora: Lora | None = Field(None, description="Train low-rank adapters; all weights by default.")
    evaluation: Evaluation | None = Field(None, description="Hold blocks out and measure the loss on them.")

    @model_validator(mode="after")
    def _batch_divides(self) -> "Recipe":
        ranks = self.nodes * self.devices
        if self.batch % ranks:
            raise ValueError(f"batch ({self.batch}) is not a multiple of nodes x devices ({ranks})")
        if self.parallelism == "none" and ranks > 1:
            raise ValueError("parallelism none runs on one device: choose ddp, zero1, zero2, zero3 or fsdp")
        return self

    @model_validator(mode="after")
    def _can_offload(self) -> "Recipe":
        able = {"none": None, "optimizer": ("zero1", "zero2", "zero3"), "all": ("zero3", "fsdp")}[self.offload]
        if able is not None and self.parallelism not in able:
            raise ValueError(
                f"offload {self.offload} goes with parallelism {' or '.join(able)}, not {self.parallelism}"
            )
        return self

    def share(self, devices: int) -> tuple[int, int]:
        """What each of some devices does of one optimiser step, which is of the same blocks on any number of them.

        ``device_batch`` is the most that fits into a device: where it does not divide a device's share, the device
        takes fewer at once.

        Returns:
            Blocks that a device takes at once, and how many times it does.

        Raises:
            ValueError: the batch cannot be shared out evenly.
        """
        each, rest = divmod(self.batch, devices)
        if rest or not each:
            raise ValueError(f"a batch of {self.batch} cannot be shared by {devices} devices")
        most = self.device_batch or max(1, self.batch // (self.nodes * self.devices))
        at_once = next(count for count in range(min(most, each), 0, -1) if each % count == 0)
        return at_once, each // at_once
