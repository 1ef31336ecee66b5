"""Checkpoints that can be trusted: complete or not there."""

import logging
from pathlib import Path

from lingualift.errors import InputError
from lingualift.files import checksum, read_json, remove, write_json

logger = logging.getLogger(__name__)
_SEAL = "complete.json"


def seal(checkpoint: Path) -> None:
    """Note the checksums of a checkpoint that has been written whole."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != _SEAL)
    write_json({str(path.relative_to(checkpoint)): checksum(path) for path in files}, checkpoint / _SEAL)


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


def step_of(checkpoint: Path) -> int:
    """The optimiser step that a checkpoint was written at."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
