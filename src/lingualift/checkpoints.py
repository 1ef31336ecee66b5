"""Checkpoints that can be trusted: complete or not there, and of exactly this training."""

import json
import logging
import math
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lingualift.configuration.models import OPERATIONAL, Recipe, Scratch
from lingualift.errors import InputError
from lingualift.files import atomic_path, checksum, fingerprint, link_or_copy, read_json, remove, write_json
from lingualift.modelcards import LOG, model_card

logger = logging.getLogger(__name__)
_SEAL = "complete.json"
_AT_ONCE = 8  # files that are read at once
# Settings of a recipe that former versions did not have: left out where they say nothing, their state is gone on with.
_LATER = ("lora", "evaluation")
_LATER_OPERATIONAL = ("offload", "restarts")


def files_of(checkpoint: Path) -> list[str]:
    """The names of a checkpoint's files, as this machine sees them, but for the seal."""
    files = (path for path in checkpoint.rglob("*") if path.is_file() and path.name != _SEAL)
    return sorted(str(path.relative_to(checkpoint)) for path in files)


def checksums(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The checksums of some of a folder's files, several at a time: of large ones, each takes a core for itself."""
    names = list(names)
    with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool:
        return dict(zip(names, pool.map(lambda name: checksum(folder / name), names), strict=True))


def seal(checkpoint: Path, sums: Mapping[str, str] | None = None) -> None:
    """Note the checksums of a checkpoint that has been written whole, by all ranks."""
    sums = checksums(checkpoint, files_of(checkpoint)) if sums is None else sums
    write_json(dict(sorted(sums.items())), checkpoint / _SEAL)


def is_valid(checkpoint: Path) -> bool:
    """Whether a checkpoint was sealed and its files are what they were then."""
    if not (checkpoint / _SEAL).is_file():
        return False
    try:
        sums = read_json(checkpoint / _SEAL)
    except InputError:
        return False
    return all((checkpoint / name).is_file() for name in sums) and checksums(checkpoint, sums) == sums


def newest_valid(folder: Path) -> Path | None:
    """The checkpoint of the highest step that is valid; broken ones are named in the log."""
    for path in sorted(_checkpoints(folder), key=step_of, reverse=True):
        if is_valid(path):
            return path
        logger.warning("%s is incomplete or corrupted: left out", path)
    return None


def remove_after(folder: Path, checkpoint: Path | None) -> None:
    """Remove the checkpoints of later steps than ``checkpoint``, all if None: they would count among those to keep."""
    for path in _checkpoints(folder):
        if checkpoint is None or step_of(path) > step_of(checkpoint):
            remove(path)


def rotate(folder: Path, *, keep: int, best: int | None = None) -> None:
    """Remove all but the newest ``keep`` sealed checkpoints and that of the step ``best``; unsealed ones too."""
    sealed = [path for path in sorted(_checkpoints(folder), key=step_of) if (path / _SEAL).is_file()]
    kept = {*sealed[-keep:], folder / f"checkpoint-{best}"}
    for path in _checkpoints(folder):
        if path not in kept:
            remove(path)


def step_of(checkpoint: Path) -> int:
    """The optimiser step that a checkpoint was written at."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def hand_out(finished: Path, out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give a trained model, which stays in its state folder, to the folder ``out``; atomically, by links where it can.

    Snakemake removes an output that it was not told is finished: the model is then handed out again.

    Args:
        finished: the model folder as :func:`seal` left it.
        settings: what the manifest says of the configuration now; the weights do not depend on all of it.

    Returns:
        The manifest.
    """
    manifest = read_json(finished / "manifest.json") | {"settings": dict(settings)}
    with atomic_path(out) as part:
        part.mkdir()
        for name in files_of(finished):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            if name not in ("manifest.json", "README.md"):
                link_or_copy(finished / name, part / name)
        write_json(manifest, part / "manifest.json")
        (part / "README.md").write_text(model_card(part / "manifest.json"), encoding="utf-8")
    return manifest


def clear(own: Path, *, but: Path) -> None:
    """Remove all state of a model, but for what is finished in the folder of its training, ``own``."""
    for path in (*own.parent.iterdir(), *own.iterdir()):
        if path not in (own, but):
            remove(path)


def find_state(
    state: Path,
    *,
    blocks: Path,
    base: Path | None,
    recipe: Recipe,
    scratch: Scratch | None,
    seed: int,
    version: int = 1,
) -> tuple[str, str | None]:
    """The folder of exactly this training, and the checkpoint to go on from; what is behind that one is removed.

    Args:
        state: where a model's trainings are, each in a folder of its own; those of other settings are left alone.
        blocks: packed mixture.
        base: folder of the model to go on from.
        version: the stage's; what another version has trained is not gone on with.
    """
    packed = read_json(blocks / "manifest.json")
    key = fingerprint(
        {
            "scratch": scratch.model_dump(mode="json") if scratch else None,
            "seed": seed,
            "recipe": _shaping(recipe, packed),
            # Not its checksum: the time that packing took is not part of what was packed.
            "blocks": _without(packed, "seconds", "versions"),
            "base": _weights_of(base) if base else None,
            # The first is left out, as the folders once named none: what it has finished is not trained again.
            **({"version": version} if version > 1 else {}),
        }
    )
    own = state / key
    for other in sorted(state.iterdir()) if state.is_dir() else ():
        if other != own and (steps := [step_of(path) for path in _checkpoints(other)]):
            logger.warning(
                "%s has checkpoints up to step %d of a training with other settings (or another mixture, base or version): "
                "not gone on with; with those settings again it is. It is removed when the model has been written",
                *(other, max(steps)),
            )
    own.mkdir(parents=True, exist_ok=True)
    newest = newest_valid(own)
    if newest is not None:
        logger.info("going on from %s", newest)
        _cut_log(own / LOG, step_of(newest))
    else:
        remove(own / LOG)
    remove_after(own, newest)
    return str(own), str(newest) if newest else None


def _weights_of(base: Path) -> list[str]:
    """The checksums of a model's weights."""
    return list(checksums(base, sorted(path.name for path in base.glob("*.safetensors"))).values())


def _shaping(recipe: Recipe, packed: Mapping[str, Any]) -> dict[str, Any]:
    """What of a recipe shapes the weights; the rest, which may change halfway, at its default.

    Args:
        packed: the manifest of the mixture.
    """
    content = recipe.model_dump(mode="json")
    if (evaluation := recipe.evaluation) and evaluation.held_out(packed["counts"]["blocks"]) < evaluation.blocks:
        # A bound that is not reached says nothing; former versions had none.
        content["evaluation"] = _without(content["evaluation"], "blocks")
    content |= {name: Recipe.model_fields[name].default for name in OPERATIONAL}
    return _without(content, *_LATER_OPERATIONAL, *(name for name in _LATER if content[name] is None))


def _without(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}


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


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
