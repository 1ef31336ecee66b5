"""Downloads from the Hugging Face hub: at one commit, without code, with the checksums of what came.

Nothing else in Lingualift opens a connection. A download that was killed goes on where it stopped.
"""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from lingualift.configuration.corpora import Hub as DatasetHub
from lingualift.configuration.models import Hub as ModelHub
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path, checksum, remove
from lingualift.manifests import Manifest

logger = logging.getLogger(__name__)

# The model card, and what one may do with it.
_SAID = ("README.md", "LICENSE*", "USE_POLICY*", "NOTICE*")
# Weights as safetensors, the tokenizer and settings: nothing that is run or unpickled when it is loaded.
MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt", *_SAID)
# Other forms of the same weights, for other programs.
NOT_MODEL_FILES = ("original/*", "onnx/*", "openvino/*", "coreml/*")
NEVER = ("*.py", "*.pkl", "*.pickle", "*.bin", "*.pt", "*.pth", "*.ckpt")


def fetch_model(hub: ModelHub, *, state: Path, out: Path) -> Manifest:
    """Download a model into a folder.

    Args:
        state: folder that a killed download goes on from.

    Raises:
        LingualiftError: it cannot be had, has no safetensors, or needs code of its own.
    """
    folder = state / hub.revision
    _download(hub.name, hub.revision, "model", folder, allow=MODEL_FILES, ignore=(*NOT_MODEL_FILES, *NEVER))
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise LingualiftError(f"{hub.name} has no safetensors at {hub.revision}: pickled weights are not loaded")
    _check_config(hub, folder)
    manifest = Manifest("model", {"stage": "base", **hub.model_dump(mode="json")})
    manifest.details["files"] = _checksums(folder)
    manifest.details["weights"] = {path.name: manifest.details["files"][path.name] for path in weights}
    with atomic_path(out) as part:
        os.rename(folder, part)
        manifest.save(part / "manifest.json")
    remove(state)
    return manifest


def _check_config(hub: ModelHub, folder: Path) -> None:
    config = folder / "config.json"
    if not config.is_file():
        raise LingualiftError(f"{hub.name} has no config.json at {hub.revision}: not a model of transformers")
    if "auto_map" in json.loads(config.read_text(encoding="utf-8")):
        raise LingualiftError(f"{hub.name} comes with code of its own, which is not run: choose another model")


def fetch_dataset(hub: DatasetHub, *, state: Path, out: Path) -> Manifest:
    """Download a data set and save it as the reader ``datasets`` wants it (``save_to_disk``).

    Args:
        state: folder that a killed download goes on from.

    Raises:
        LingualiftError: it cannot be had, or cannot be read without code of its own.
    """
    folder = state / hub.revision
    _download(hub.name, hub.revision, "dataset", folder, allow=[hub.files] if hub.files else None, ignore=NEVER)
    import datasets

    try:
        loaded = datasets.load_dataset(
            str(folder), name=hub.configuration, data_files=hub.files, cache_dir=str(state / "cache")
        )
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        raise LingualiftError(f"{hub.name}: {error}") from error
    manifest = Manifest("dataset", hub.model_dump(mode="json", exclude_none=True))
    manifest.details["files"] = _checksums(folder)
    manifest.counts.update({f"rows of {split}": len(rows) for split, rows in loaded.items()})
    with atomic_path(out) as part:
        loaded.save_to_disk(str(part))
        manifest.save(part / "manifest.json")
    remove(state)
    return manifest


def _download(
    name: str, revision: str, kind: str, folder: Path, *, allow: Iterable[str] | None, ignore: Iterable[str]
) -> None:
    """Bring the files of one commit into ``folder``, those that are not there yet."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    logger.info("downloading %s at %s", name, revision)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        snapshot_download(
            name,
            repo_type=kind,
            revision=revision,
            local_dir=folder,
            allow_patterns=list(allow) if allow is not None else None,
            ignore_patterns=list(ignore),
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise LingualiftError(
            f"{name} at {revision} could not be downloaded: {error}; gated models want `hf auth login` first"
        ) from error
    # The downloader's own notes of what it has.
    remove(folder / ".cache")


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): checksum(path) for path in files}
