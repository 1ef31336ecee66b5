"""Resolve a list of direct requirements to pins of everything it needs: ``python envs/pin.py envs/main.in``.

Nothing is installed. Local version tags (``2.13.0+cpu``) are left out, so that each platform takes its own wheel,
and so are the packages that only this platform's wheel of torch brings along.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

_OF_THE_PLATFORM = re.compile(r"^(nvidia-|cuda-|triton|pytorch-triton)")
_NEVER = {"pip", "lingualift"}


def resolve(requirements: Path) -> dict[str, str]:
    """Name and version of every package that the requirements come to, by pip."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    report = subprocess.run([*command, "-r", str(requirements)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return pins(json.loads(report))


def pins(report: dict) -> dict[str, str]:
    """The pins in one of pip's installation reports."""
    found = {item["metadata"]["name"]: item["metadata"]["version"].partition("+")[0] for item in report["install"]}
    kept = {name: version for name, version in found.items() if not _OF_THE_PLATFORM.match(name.lower())}
    return {name: kept[name] for name in sorted(kept, key=str.lower) if name.lower() not in _NEVER}


def main(path: str) -> None:
    """Write the pins beside the requirements: ``main.in`` to ``main.txt``."""
    source = Path(path)
    lines = [
        f"# Every package of the environment, pinned. Made from {source.name}; to make it again:",
        "#   make pins",
        f"# which is: python envs/pin.py envs/{source.name}",
        *(f"{name}=={version}" for name, version in resolve(source).items()),
    ]
    source.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(argument)
