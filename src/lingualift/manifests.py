"""Manifests: what an artifact is made of, and what was lost on the way."""

import importlib.metadata
import platform
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lingualift import __version__
from lingualift.files import checksum, read_json, write_json

_VERSIONED = ("torch", "transformers", "tokenizers", "sacrebleu", "ctranslate2", "pyarrow", "marisa-trie", "jieba")


class Manifest:
    """The account of one artifact: settings, input checksums, counts, dropped lines by reason, time.

    Args:
        kind: what the artifact is ("corpus", "lexicon", ...).
        settings: the configuration it was made from, JSON-like.
        seed: the seed of whatever was drawn at random.
    """

    def __init__(self, kind: str, settings: Mapping[str, Any], *, seed: int | None = None) -> None:
        self.kind, self.settings, self.seed = kind, dict(settings), seed
        self.counts: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.inputs: dict[str, str] = {}
        self.details: dict[str, Any] = {}
        self._start = time.monotonic()

    def add_input(self, path: str | Path) -> None:
        """Note a file that was read, with its checksum."""
        self.inputs[str(path)] = checksum(path)

    def save(self, path: str | Path) -> None:
        """Write the manifest as JSON, atomically."""
        write_json(
            {
                "kind": self.kind,
                "counts": dict(sorted(self.counts.items())),
                "dropped": dict(sorted(self.dropped.items())),
                **self.details,
                "seed": self.seed,
                "settings": self.settings,
                "inputs": self.inputs,
                "seconds": round(time.monotonic() - self._start, 3),
                "versions": versions(),
            },
            path,
        )


def load_manifest(path: str | Path) -> dict[str, Any]:
    """Read a manifest back."""
    return read_json(path)


def versions() -> dict[str, str]:
    """The versions of what shapes results: ours, Python's and the libraries' that are installed."""
    found = {"lingualift": __version__, "python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
