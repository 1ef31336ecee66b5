"""COMET scores of segments; runs in COMET's own environment, by its path.

    <environment>/bin/python -P comet_scoring.py '{"segments": "in.jsonl", "scores": "out", "checkpoint": "…", …}'

The class of COMET-22 embeds source, hypothesis and reference apart and regresses on the three embeddings. So a
text is embedded once whatever it stands for, equal segments are scored once, and what any earlier run scored is read
from its cache. Which texts share a batch depends on the segments and on what the cache held when the run began, not
on where it was killed, nor on the number of GPUs: a resumed run gives the bits of an unbroken one.

In float32 the scores are those that comet-score would print in float32, in whatever batch. But the command of
unbabel-comet 2.2.7 changes to float16, where the fourth decimal hangs on the size of the batch, and two equal segments
of one file may differ in it. Here float16 is a setting, not the default.

At the top nothing but the standard library is imported: the main environment, which has not COMET, imports this too.

Source: Rei et al. 2022 (COMET-22).
"""

import contextlib
import hashlib
import importlib.metadata
import inspect
import json
import multiprocessing
import os
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__:
    from lingualift.comet_cache import Segment, SegmentCache
else:
    # Last: this folder has modules whose names others may have, too.
    sys.path.append(str(Path(__file__).parent))
    from comet_cache import Segment, SegmentCache

_CHUNK = 256  # segments between two writes to the cache
_BLOCK = 256  # sources and references that are embedded together
_MEMORY = 1000  # blocks of embeddings that are kept: 1 GB for an encoder of 1,024 dimensions
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

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with the checkpoint, its settings and the encoder's folder."""
        files = [self.file, self.file.absolute().parents[1] / "hparams.yaml"]
        if self.encoder is not None:
            files += sorted(p for p in Path(self.encoder).iterdir() if p.suffix in (".json", ".model") and p.is_file())
        digest = hashlib.sha256()
        for path in files:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:12]


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

    def score(self, segments: Sequence[Segment]) -> list[float]:
        """The scores of some segments: the same whatever was scored before."""
        torch = self._torch
        own = sorted({hypothesis for _, hypothesis, _ in segments} - self._places.keys())
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


def score_segments(
    segments: Sequence[Segment], settings: CometModel, *, cache: Path, devices: Sequence[str] = ("cpu",)
) -> tuple[list[float], dict[str, int]]:
    """Score segments; white space around a text does not count, as for comet-score.

    Args:
        cache: the folder of all caches; those of this model lie in a folder of their own below it.
        devices: torch's names of them; a process each.

    Returns:
        A score a segment, and how many segments there were, were different, and were in the cache already.
    """
    stripped: list[Segment] = [
        (source.strip(), hypothesis.strip(), reference.strip()) for source, hypothesis, reference in segments
    ]
    different = dict.fromkeys(stripped)
    with contextlib.closing(SegmentCache(cache / f"{settings.fingerprint()}-{settings.precision}", different)) as store:
        # Segments of one source follow each other: its embedding is at hand.
        pending = sorted(store.pending(), key=lambda segment: (len(segment[0]), segment))
        chunks = [pending[start : start + _CHUNK] for start in range(0, len(pending), _CHUNK)]
        remaining = [chunk for chunk in chunks if not store.is_done(chunk)]
        counts = {"segments": len(segments), "different": len(different), "cached": len(different) - len(pending)}
        texts = sorted(
            {text for source, _, reference in pending for text in (source, reference)}, key=lambda t: (len(t), t)
        )
        for chunk, scores in _scored(remaining, settings, texts, devices):
            store.add(dict(zip(chunk, scores, strict=True)))
        return [store.score(segment) for segment in stripped], counts


def _scored(
    chunks: Sequence[Sequence[Segment]], settings: CometModel, texts: Sequence[str], devices: Sequence[str]
) -> Iterator[tuple[Sequence[Segment], list[float]]]:
    """The chunks with their scores, as they come."""
    if not chunks:
        return
    if len(devices) == 1:
        embedder = Embedder(settings, devices[0], texts)
        for chunk in chunks:
            yield chunk, embedder.score(chunk)
        return
    # Spawned: a forked process cannot use a GPU.
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    for device in devices:
        queue.put(device)
    with ProcessPoolExecutor(len(devices), context, _start_worker, (queue, settings, texts)) as pool:
        futures = [pool.submit(_score_chunk, chunk) for chunk in chunks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise CometError("the process of a GPU ended early; what it said stands above") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_worker: Embedder


def _start_worker(queue: Any, settings: CometModel, texts: Sequence[str]) -> None:
    global _worker
    threading.Thread(target=_follow, args=(multiprocessing.parent_process(),), daemon=True).start()
    _worker = Embedder(settings, queue.get(), texts)


def _follow(parent: Any) -> None:
    """End when the process that started this one is gone."""
    parent.join()
    os._exit(3)


def _score_chunk(chunk: Sequence[Segment]) -> tuple[Sequence[Segment], list[float]]:
    return chunk, _worker.score(chunk)


def _read_segments(path: Path) -> list[Segment]:
    segments = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            record = json.loads(line)
            if len(record) != 3 or not all(isinstance(text, str) for text in record):
                raise CometError(f"{path}:{number}: not a list of source, hypothesis and reference")
            segments.append(tuple(record))
    return segments


def _devices(gpus: int) -> list[str]:
    if gpus == 0:
        return ["cpu"]
    import torch

    if torch.cuda.device_count() < gpus:
        raise CometError(f"{gpus} GPUs are asked for, {torch.cuda.device_count()} are there")
    return [f"cuda:{number}" for number in range(gpus)]


def _follow_parent() -> None:
    """End when whoever started this is gone: its end of the standard input closes then."""
    # Not sys.stdin: a reader that waits on it keeps the interpreter from shutting down.
    while os.read(0, 1024):
        pass
    os._exit(3)


def main(
    *,
    segments: str,
    scores: str,
    checkpoint: str,
    cache: str,
    encoder: str | None = None,
    precision: str = "float32",
    batch: int = 32,
    gpus: int = 0,
    threads: int = 0,
    account: str | None = None,
    follow_parent: bool = False,
) -> None:
    """Score the segments of a file.

    Args:
        segments: lists of source, hypothesis and reference, one a line.
        scores: to write: a number a line.
        checkpoint, encoder, precision, batch: see ``CometModel``.
        cache: a folder, for all models.
        gpus: how many to use; a CPU if 0.
        threads: of a CPU; all if 0.
        account: to write: counts, seconds and the version of the package, as JSON.
        follow_parent: end when the standard input closes.
    """
    if follow_parent:
        threading.Thread(target=_follow_parent, daemon=True).start()
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    start = time.monotonic()
    model = CometModel(Path(checkpoint), encoder=Path(encoder) if encoder else None, precision=precision, batch=batch)
    try:
        found, counts = score_segments(_read_segments(Path(segments)), model, cache=Path(cache), devices=_devices(gpus))
    except CometError as error:
        sys.exit(f"COMET: {error}")
    _write(Path(scores), "".join(f"{score!r}\n" for score in found))
    if account is not None:
        more = {"seconds": time.monotonic() - start, "version": importlib.metadata.version("unbabel-comet")}
        _write(Path(account), json.dumps(counts | more))


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.rename(path)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
