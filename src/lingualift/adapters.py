"""Low-rank adapters (Hu et al. 2022), by peft."""

from pathlib import Path
from typing import TYPE_CHECKING

from lingualift.configuration.models import Lora
from lingualift.errors import LingualiftError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FOLDER = "adapter"


def add_adapters(model: "PreTrainedModel", lora: Lora, *, seed: int) -> "PreTrainedModel":
    """Freeze a model and lay fresh adapters on it, drawn by the seed.

    Raises:
        LingualiftError: no layer of the model has a name of ``lora.targets``.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    set_seed(seed)
    settings = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets or "all-linear",
    )
    try:
        return get_peft_model(model, settings)
    except ValueError as error:
        raise LingualiftError(
            f"`lora.targets` {lora.targets} names no layer of this model ({str(error).splitlines()[0]})"
        ) from error


def merge_adapters(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model with its adapters' products added to its weights; no adapters any more."""
    return model.merge_and_unload()


def save_adapter(model: "PreTrainedModel", folder: Path) -> None:
    """Write the adapters alone, in peft's form, into the folder ``adapter``."""
    model.save_pretrained(folder / FOLDER)
