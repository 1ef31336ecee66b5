"""Checkpoints that can be trusted: complete or not there."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from lingualift.errors import InputError
from lingualift.files import checksum, read_json, remove, write_json

logger = logging.getLogger(__name__)
_SEAL = "complete.json"


def files_of(checkpoint: Path) -> list[str]:
    """The names of a checkpoint's files, as this machine sees them, but for the seal."""
    files = (path for path in checkpoint.rglob("*") if path.is_file() and path.name != _SEAL)
    return sorted(str(path.relative_to(checkpoint)) for path in files)


def checksums(checkpoint: Path, names: Iterable[str]) -> dict[str, str]:
    """The checksums of some of a checkpoint's files: ranks share them out."""
    return {name: checksum(checkpoint / name) for name in names}


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
    return all((checkpoint / name).is_file() and checksum(checkpoint / name) == value for name, value in sums.items())


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


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
