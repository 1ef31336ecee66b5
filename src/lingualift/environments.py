"""Environments beside the main one, for software that cannot live in it."""

import hashlib
import logging
import subprocess
import sys
from pathlib import Path

from lingualift.errors import LingualiftError
from lingualift.files import atomic_path
from lingualift.manifests import Manifest

logger = logging.getLogger(__name__)


def read_pins(path: str | Path) -> list[str]:
    """The pins of an environment, without comments.

    Raises:
        LingualiftError: a line that is not a pin.
    """
    lines = [line.partition("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    pins = [line for line in lines if line]
    for pin in pins:
        if "==" not in pin or pin.startswith("-"):
            raise LingualiftError(f"{path}: {pin!r} is not a pin (name==version)")
    return pins


def environment_name(path: str | Path) -> str:
    """A name that changes with the pins and with nothing else: ``comet-1f0c2a9b3d4e``."""
    text = "\n".join([f"python{sys.version_info.major}.{sys.version_info.minor}", *sorted(read_pins(path))])
    return f"{Path(path).stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def build_environment(pins: Path, out: Path) -> None:
    """Make a virtual environment with these packages and no others; its interpreter is ``bin/python``.

    Raises:
        LingualiftError: Python's venv or pip fails; their last lines say why.
    """
    with atomic_path(out) as part:
        _run([sys.executable, "-m", "venv", str(part)])
        _run([str(part / "bin" / "python"), "-m", "pip", "install", "--requirement", str(pins)])
        _readdress(part, out)
        manifest = Manifest("environment", {"pins": read_pins(pins)})
        manifest.add_input(pins)
        manifest.save(part / "manifest.json")


def _run(command: list[str]) -> None:
    logger.info("%s", " ".join(command))
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    logger.info("%s", done.stdout)
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-5:])
        raise LingualiftError(f"{' '.join(command)} failed with status {done.returncode}:\n{last}")


def _readdress(built: Path, final: Path) -> None:
    """An environment's programs name its interpreter by its full path: that of where it will be."""
    before, after = str(built.absolute()), str(final.absolute())
    for file in (*(built / "bin").iterdir(), built / "pyvenv.cfg"):
        if file.is_symlink() or not file.is_file():
            continue
        content = file.read_bytes()
        if before.encode() in content:
            file.write_bytes(content.replace(before.encode(), after.encode()))
