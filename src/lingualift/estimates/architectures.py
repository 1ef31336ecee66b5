"""The shape of a model: its parameters, and the work that a token is."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingualift.configuration.models import Lora, Model, Scratch
from lingualift.errors import LingualiftError
from lingualift.files import read_json


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A Llama-like decoder.

    Attributes:
        hidden: width of the hidden states.
        intermediate: width of the feed-forward layers, which have a gate.
        key_value_heads: as many as ``heads``, or fewer that several share.
        tied: whether the output layer is the embedding.
    """

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    intermediate: int
    vocabulary: int
    tied: bool

    @property
    def key_value_width(self) -> int:
        return self.hidden // self.heads * self.key_value_heads

    @property
    def layer_matrices(self) -> int:
        """Weights of one layer's matrices."""
        attention = 2 * self.hidden * self.hidden + 2 * self.hidden * self.key_value_width
        return attention + 3 * self.hidden * self.intermediate

    @property
    def parameters(self) -> int:
        """All weights."""
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * (self.layer_matrices + 2 * self.hidden) + self.hidden

    @property
    def multiplied(self) -> int:
        """Weights that a token is multiplied with: the matrices, the output layer, not the look-up of embeddings."""
        return self.layers * self.layer_matrices + self.vocabulary * self.hidden

    def training_flops(self, block: int, lora: Lora | None = None) -> int:
        """Floating-point operations of one trained token, forward and backward.

        Six for each weight that it is multiplied with, and 12 x layers x hidden x block for attention (the convention
        of PaLM, appendix B, which does not halve it for the causal mask). Of frozen weights, under adapters, there is no
        gradient to be computed: four, and six for each weight of the adapters.
        """
        attention = 12 * self.layers * self.hidden * block
        if lora is None:
            return 6 * self.multiplied + attention
        return 4 * self.multiplied + 6 * self.trained(lora) + attention

    def evaluation_flops(self, block: int) -> int:
        """Floating-point operations of one token of which only the loss is asked: a third of those of training."""
        return self.training_flops(block) // 3

    def checkpointing_share(self, block: int, lora: Lora | None = None) -> float:
        """The model's own work as a share of all that is done where each forward pass is done again (0.75 without LoRA)."""
        own = self.training_flops(block, lora)
        return own / (own + self.evaluation_flops(block))

    def inference_flops(self, context: int) -> int:
        """Floating-point operations of one read or written token behind ``context`` others."""
        return 2 * self.multiplied + 4 * self.layers * self.hidden * context

    def trained(self, lora: Lora | None) -> int:
        """Weights that are trained: all, or those of adapters on the named layers or on all linear ones."""
        if lora is None:
            return self.parameters
        h, kv, i = self.hidden, self.key_value_width, self.intermediate
        shapes = {"q_proj": (h, h), "k_proj": (h, kv), "v_proj": (h, kv), "o_proj": (h, h)}
        shapes |= {"gate_proj": (h, i), "up_proj": (h, i), "down_proj": (i, h)}
        chosen = lora.targets or shapes
        return self.layers * lora.rank * sum(sum(shape) for name, shape in shapes.items() if name in chosen)


# What is known without its folder; from the models' published configurations.
KNOWN = {
    name: Architecture(
        hidden=hidden,
        layers=layers,
        heads=heads,
        key_value_heads=shared,
        intermediate=intermediate,
        vocabulary=vocabulary,
        tied=False,
    )
    for name, hidden, layers, heads, shared, intermediate, vocabulary in (
        ("llama-2-7b", 4096, 32, 32, 32, 11008, 32000),
        ("llama-2-13b", 5120, 40, 40, 40, 13824, 32000),
        ("llama-2-70b", 8192, 80, 64, 8, 28672, 32000),
        ("llama-3-8b", 4096, 32, 32, 8, 14336, 128256),
        ("llama-3-70b", 8192, 80, 64, 8, 28672, 128256),
    )
}


def of_scratch(scratch: Scratch) -> Architecture:
    """The shape of a model that starts from nothing."""
    return Architecture(
        hidden=scratch.hidden,
        layers=scratch.layers,
        heads=scratch.num_heads,
        key_value_heads=scratch.num_heads,
        intermediate=scratch.intermediate_size,
        vocabulary=scratch.vocabulary,
        tied=True,
    )


def of_folder(folder: Path) -> Architecture:
    """The shape of a model from the ``config.json`` in its folder.

    Raises:
        LingualiftError: no such file, or not of a Llama-like model.
    """
    config: dict[str, Any] = read_json(folder / "config.json")
    try:
        return Architecture(
            hidden=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            key_value_heads=config.get("num_key_value_heads") or config["num_attention_heads"],
            intermediate=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            tied=config.get("tie_word_embeddings", False),
        )
    except KeyError as error:
        raise LingualiftError(f"{folder}/config.json: no {error}: not of a Llama-like model") from None


def of_base(name: str, model: Model, data: Path, results: Path) -> Architecture:
    """The shape of a base: from scratch, from its folder, or by its name where it is not there yet.

    Raises:
        LingualiftError: neither its folder nor its name tells.
    """
    if model.scratch:
        return of_scratch(model.scratch)
    folder = data / model.path if model.path else results / "models" / name
    if (folder / "config.json").is_file():
        return of_folder(folder)
    called = (model.hub.name if model.hub else model.path or name).lower()
    for known, architecture in KNOWN.items():
        if re.search(rf"(^|[^a-z0-9]){known.replace('-', '[-_.]?')}($|[^0-9a-z])", called):
            return architecture
    raise LingualiftError(
        f"models.{name}: {folder} is not there, and its name tells no shape: give one, --shape {name}=<name> "
        f"with one of {', '.join(KNOWN)}"
    )
