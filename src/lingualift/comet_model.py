"""A model of COMET-22's class and the embeddings of texts; for COMET's own environment.

At the top nothing but the standard library is imported: the main environment, which has not COMET, imports this too.

Source: Rei et al. 2022 (COMET-22).
"""

import hashlib
import inspect
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

_BLOCK = 256  # sources and references that are embedded together
_MEMORY = 1000  # blocks of embeddings that are kept: 1 GB for an encoder of 1,024 dimensions
_NAMED = re.compile(r"""^pretrained_model:[ \t]*['"]?([^'"#\n]+?)['"]?[ \t]*(?:#.*)?$""", re.MULTILINE)
_LEFT_OUT = re.compile(r"\.(position_ids|dropout_mask|dropout_fill)$")


class CometError(Exception):
    """What is wrong, in words for the user."""


@dataclass(frozen=True)
class CometModel:
    """A checkpoint of the class of COMET-22, and how it computes.

    Attributes:
        checkpoint: the model's folder (``hparams.yaml``, ``checkpoints/model.ckpt``) or its ``.ckpt`` file.
        encoder: the folder of the encoder's ``config.json`` and tokenizer; by default what the checkpoint names,
            a folder or a model of the Hugging Face cache.
        precision: float32, or float16 as comet-score 2.2.7 computes.
        batch: texts that are embedded at once.
    """

    checkpoint: Path
    encoder: Path | None = None
    precision: str = "float32"
    batch: int = 32

    @property
    def file(self) -> Path:
        """The checkpoint's file.

        Raises:
            CometError: it is not there, or the settings beside it are not.
        """
        path = Path(self.checkpoint)
        file = path / "checkpoints" / "model.ckpt" if path.is_dir() else path
        if not file.is_file():
            raise CometError(f"{file}: no such file: the checkpoint of COMET")
        if not (file.absolute().parents[1] / "hparams.yaml").is_file():
            raise CometError(
                f"{file.absolute().parents[1] / 'hparams.yaml'}: no such file, but the checkpoint needs it"
            )
        return file

    @cached_property
    def checksums(self) -> dict[Path, str]:
        """SHA-256, in hexadecimal, of the checkpoint, its settings and the encoder's configuration and tokenizer.

        Read once. Of an encoder that the settings name and that is not there, they have the name.
        """
        files = [self.file, self.file.absolute().parents[1] / "hparams.yaml"]
        encoder = _named_encoder(files[1]) if self.encoder is None else Path(self.encoder)
        if encoder is not None:
            files += sorted(p for p in encoder.iterdir() if p.suffix in (".json", ".model") and p.is_file())
        found = {}
        for path in files:
            with path.open("rb") as file:
                found[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with the checkpoint, its settings and the encoder's files."""
        return hashlib.sha256(b"".join(map(bytes.fromhex, self.checksums.values()))).hexdigest()[:12]


def _named_encoder(settings: Path) -> Path | None:
    """The folder of the encoder that a checkpoint's settings name, or that of the hub's cache; None if there is neither."""
    named = _NAMED.search(settings.read_text(encoding="utf-8"))
    if named is None or Path(named[1]).is_dir():
        return named and Path(named[1])
    from huggingface_hub import try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(named[1], "config.json")
    except ValueError:
        # A path, which is no name of the hub.
        return None
    return Path(cached).parent if isinstance(cached, str) else None


class Embedder:
    """A loaded model on one device.

    Args:
        texts: sources and references, in an order of their own: they are embedded in blocks of it, when needed,
            and kept for the segments to come.
    """

    def __init__(self, settings: CometModel, device: str, texts: Sequence[str]) -> None:
        import torch

        self._torch, self._settings, self._device = torch, settings, device
        self._model = load_model(settings).to(device)
        self._texts = texts
        self._places = {text: place for place, text in enumerate(texts)}
        self._blocks: OrderedDict[int, Any] = OrderedDict()

    def score(self, segments: Sequence[tuple[str, str, str]]) -> list[float]:
        """The scores of some segments: the same whatever was scored before."""
        torch = self._torch
        own = sorted({hypothesis for _, hypothesis, _ in segments if hypothesis not in self._places})
        with torch.inference_mode():
            embeddings = self._embed(own) if own else None
            places = {text: place for place, text in enumerate(own)}

            def rows(texts: Iterable[str]) -> Any:
                found = [embeddings[places[t]] if t in places else self._shared(self._places[t]) for t in texts]
                return torch.stack(found)

            sources, hypotheses, references = map(rows, zip(*segments, strict=True))
            return self._model.estimate(sources, hypotheses, references).score.float().tolist()

    def _shared(self, place: int) -> Any:
        """The embedding of a source or reference; its whole block is computed, so that its batch is always the same."""
        block = place // _BLOCK
        if block not in self._blocks:
            self._blocks[block] = self._embed(self._texts[block * _BLOCK : (block + 1) * _BLOCK])
            if len(self._blocks) > _MEMORY:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(block)
        return self._blocks[block][place % _BLOCK]

    def _embed(self, texts: Sequence[str]) -> Any:
        """A row a text; texts of like length share a batch."""
        torch, encoder = self._torch, self._model.encoder
        # As the encoder's own prepare_sample cuts them.
        ids = encoder.tokenizer(list(texts), truncation=True, max_length=encoder.max_positions - 2)["input_ids"]
        order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
        rows: list[Any] = [None] * len(ids)
        for start in range(0, len(order), self._settings.batch):
            places = order[start : start + self._settings.batch]
            batch = torch.full((len(places), len(ids[places[-1]])), encoder.tokenizer.pad_token_id)
            mask = torch.zeros_like(batch)
            for number, place in enumerate(places):
                batch[number, : len(ids[place])] = torch.tensor(ids[place])
                mask[number, : len(ids[place])] = 1
            found = self._model.compute_sentence_embedding(batch.to(self._device), mask.to(self._device))
            for place, row in zip(places, found, strict=True):
                rows[place] = row
        return torch.stack(rows)


def load_model(settings: CometModel) -> Any:
    """The model, from local files alone, ready to score.

    Raises:
        CometError: it is no model of COMET-22's class, a file is missing, or the checkpoint is not whole.
    """
    import torch
    import yaml
    from comet.models import RegressionMetric

    hparams = yaml.safe_load((settings.file.absolute().parents[1] / "hparams.yaml").read_text(encoding="utf-8"))
    if hparams.get("class_identifier") != "regression_metric":
        raise CometError(f"{settings.file}: of the class {hparams.get('class_identifier')}, not regression_metric")
    try:
        checkpoint = torch.load(settings.file, map_location="cpu", weights_only=True, mmap=True)
        hyperparameters, weights = checkpoint["hyper_parameters"], checkpoint["state_dict"]
    except Exception as error:
        raise CometError(f"{settings.file}: not a checkpoint of tensors and plain values: {error!r}") from error
    known = inspect.signature(RegressionMetric.__init__).parameters
    options = {name: value for name, value in hyperparameters.items() if name in known}
    options |= {"load_pretrained_weights": False, "local_files_only": True}
    # As comet.load_from_checkpoint does: checkpoints that say so were trained with sparsemax, but used with softmax.
    if hparams.get("layer_transformation") == "sparsemax_patch":
        options["layer_transformation"] = "softmax"
    if settings.encoder is not None:
        options["pretrained_model"] = str(settings.encoder)
    try:
        model = RegressionMetric(**options)
    except (OSError, ValueError, TypeError) as error:
        raise CometError(
            f"COMET's encoder {options['pretrained_model']} is not there: name a folder with its config.json and "
            f"its tokenizer's files as the encoder ({error})"
        ) from error
    missing = [key for key in model.load_state_dict(weights, strict=False)[0] if not _LEFT_OUT.search(key)]
    if missing:
        raise CometError(
            f"{settings.file}: has no weights for {missing[0]}" + f" and {len(missing) - 1} more" * (len(missing) > 1)
        )
    model.eval()
    if settings.precision == "float16":
        # As the command comet-score.
        torch.set_float32_matmul_precision("high")
        model.half()
    return model
