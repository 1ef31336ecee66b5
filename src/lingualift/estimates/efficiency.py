"""What a training reached of its devices' peak, by the log and the manifest in its model folder."""

import json
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingualift.configuration.models import Lora
from lingualift.errors import LingualiftError
from lingualift.estimates.architectures import Architecture, of_folder
from lingualift.estimates.devices import DEVICES, Device, device
from lingualift.files import read_json

_LOG = "training.jsonl"
# Of one name and another peak than what the table of devices is of: other boards, and parts of a GPU.
_OTHER_BOARDS = re.compile(r"h[12]00.*(pcie|nvl)|\bmig\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A training that has ended.

    Attributes:
        lines: of its log, those with a speed.
        block: tokens in a sequence.
        ranks: devices that it ran on in the end.
        nodes: machines that they were on.
        precision: that it computed in, ``bfloat16`` or ``float32``.
        gpu: the device by its driver's name; "" for a CPU, None where it was not noted.
    """

    lines: tuple[Mapping[str, Any], ...]
    architecture: Architecture
    recipe: Mapping[str, Any]
    block: int
    ranks: int
    nodes: int
    precision: str
    gpu: str | None

    @property
    def flops(self) -> int:
        """Floating-point operations of a token, the model's own: neither recomputing nor padding is work."""
        return self.architecture.training_flops(self.block, self._lora)

    @property
    def checkpointing_share(self) -> float:
        """The model's own work as a share of all that was done."""
        again = self.recipe.get("gradient_checkpointing")
        return self.architecture.checkpointing_share(self.block, self._lora) if again else 1.0

    @property
    def _lora(self) -> Lora | None:
        return Lora.model_validate(self.recipe["lora"]) if self.recipe.get("lora") else None

    @property
    def steady_speed(self) -> float:
        """Tokens a second of all ranks in the median of the log's lines but the first, which holds the start.

        Raises:
            LingualiftError: fewer than two lines.
        """
        speeds = [line["tokens_per_second"] for line in self.lines[1:]]
        if not speeds:
            raise LingualiftError(f"{_LOG} is too short to measure a speed")
        return statistics.median(speeds)

    @property
    def timed(self) -> tuple[float, float, float]:
        """Tokens of all lines, their seconds, and the seconds of these that waiting for data took.

        Nothing is left out: starting, waiting, checkpoints and the held-out loss are in the lines. Steps that a run which
        was stopped took twice are there twice; of its first line then, whose beginning is not known, nothing.
        """
        tokens = seconds = waiting = 0.0
        before = 0
        for line in self.lines:
            if (steps := line["step"] - before) > 0:
                part = steps * self.recipe["batch"] * self.block
                tokens += part
                seconds += part / line["tokens_per_second"]
                waiting += part / line["tokens_per_second"] * line.get("data_wait_share", 0.0)
            before = line["step"]
        return tokens, seconds, waiting

    def device(self, given: Device | None = None) -> Device | None:
        """The device that it ran on: as it was noted, else as it is given; None on a CPU or where nobody knows."""
        return None if self.gpu == "" else (device_named(self.gpu or "") or given)

    def share(self, speed: float, gpu: Device) -> float:
        """The share of all devices' peak that some tokens a second are."""
        return speed * self.flops / (gpu.peak_in(self.precision) * self.ranks)


def trained(folder: Path) -> Trained:
    """Read what the folder of a trained model says of its training.

    Raises:
        LingualiftError: it was not trained here, or is not Llama-like.
    """
    manifest = read_json(folder / "manifest.json")
    if "recipe" not in manifest or not (folder / _LOG).is_file():
        raise LingualiftError(f"{folder}: no model that was trained here")
    recipe, counts = manifest["recipe"], manifest["counts"]
    lines = [json.loads(line) for line in (folder / _LOG).read_text(encoding="utf-8").splitlines()]
    return Trained(
        lines=tuple(line for line in lines if line.get("tokens_per_second")),
        architecture=of_folder(folder),
        recipe=recipe,
        block=round(counts["tokens"] / counts["steps"] / recipe["batch"]),
        # Former versions noted only what the recipe wished for.
        ranks=manifest.get("ranks", recipe["nodes"] * recipe["devices"]),
        nodes=manifest.get("nodes", recipe["nodes"]),
        precision=manifest.get("precision", "auto"),
        gpu=manifest.get("gpu"),
    )


def chosen_device(name: str | None, peak_tflops: float | None = None) -> Device | None:
    """The GPU that a user names for trainings that do not say theirs; None where none is named.

    Raises:
        LingualiftError: an unknown name, without its peak.
    """
    if name is None and peak_tflops is None:
        return None
    if name not in DEVICES and peak_tflops is None:
        raise LingualiftError(f"no GPU {name!r}; known are {', '.join(DEVICES)}; for any other give --peak")
    return device(name or "GPU", memory_gb=0, peak_tflops=peak_tflops)


def device_named(name: str) -> Device | None:
    """A known device by its driver's name, ``NVIDIA A100-SXM4-80GB`` say; None where its peak is not known."""
    if _OTHER_BOARDS.search(name):
        return None
    words = re.split(r"[^a-z0-9]+", name.lower().replace("rtx ", "rtx"))
    found = [it for key, it in DEVICES.items() if key.split("-")[0] in words]
    # Of one model with more or less memory, the one whose memory is in the name.
    return next((it for it in found if f"{it.memory / 1e9:.0f}gb" in words), found[0] if found else None)


def reached(runs: Mapping[str, Trained], given: Device | None = None) -> dict[str, float | None]:
    """The share of the peak that trainings reached from their first step to their last, and what waiting took of it.

    Args:
        given: the device of those that do not say.

    Returns:
        ``share``, None where a device is not known, and ``waiting``, the share of the time; of several trainings what
        they did together of what their devices could have.
    """
    work = could = seconds = waiting = 0.0
    known = bool(runs)
    for it in runs.values():
        tokens, took, waited = it.timed
        seconds, waiting = seconds + took, waiting + waited
        gpu = it.device(given)
        known = known and gpu is not None
        if gpu is not None:
            work += tokens * it.flops
            could += took * it.ranks * gpu.peak_in(it.precision)
    return {"share": work / could if known and could else None, "waiting": waiting / seconds if seconds else None}
