"""COMET scores of segments; runs in COMET's own environment, by its path.

    <environment>/bin/python -P comet_scoring.py '{"folder": "…", "checkpoint": "…", "cache": "…", …}'

The class of COMET-22 embeds source, hypothesis and reference apart and regresses on the three embeddings. So a
text is embedded once whatever it stands for, equal segments are scored once, and what any earlier run scored is read
from its cache. Which texts share a batch depends on the segments and on what the cache held when the run began, not
on where it was killed, nor on the number of GPUs: a resumed run gives the bits of an unbroken one.

Directions are worked on in groups, as they follow each other, so memory holds the different sources and references
and, whatever the number of directions, the hypotheses of one group alone.

In float32 the scores are those that comet-score would print in float32, in whatever batch. But the command of
unbabel-comet 2.2.7 changes to float16, where the fourth decimal hangs on the size of the batch, and two equal segments
of one file may differ in it. Here float16 is a setting, not the default.

At the top nothing but the standard library is imported: the main environment, which has not COMET, imports this too.

Source: Rei et al. 2022 (COMET-22).
"""

import contextlib
import functools
import importlib.metadata
import json
import math
import multiprocessing
import os
import sys
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any

if __package__:
    from lingualift.comet_cache import KEY_BYTES, SegmentCache, segment_key
    from lingualift.comet_model import CometError, CometModel, Embedder
    from lingualift.comet_segments import Direction, Segment, read_directions, read_texts
else:
    # Last: this folder has modules whose names others may have, too.
    sys.path.append(str(Path(__file__).parent))
    from comet_cache import KEY_BYTES, SegmentCache, segment_key
    from comet_model import CometError, CometModel, Embedder
    from comet_segments import Direction, Segment, read_directions, read_texts

_PART = 1 << 21  # segments that share a file of the cache: 150 MB of keys and scores while it is looked up
_GROUP = 1 << 16  # segments that are in memory with their texts
_CHUNK = 256  # segments between two writes to the cache

# Chunks of segments → the number of each chunk and its scores, as they come.
_Scoring = Callable[[Sequence[Sequence[Segment]]], Iterator[tuple[int, list[float]]]]


def score_segments(
    folder: Path,
    settings: CometModel,
    *,
    cache: Path,
    devices: Sequence[str] = ("cpu",),
    fingerprint: str | None = None,
) -> dict[str, int]:
    """Write the ``scores`` of the segments of a folder, see ``comet_segments``.

    Args:
        cache: the folder of all caches; those of this model lie in a folder of their own below it.
        devices: torch's names of them; a process each.
        fingerprint: of the model, where it is known already.

    Returns:
        How many segments there were; how many were different, and in the cache already, of those that share a file of it.

    Raises:
        CometError: the model cannot be used, or a score is no finite number.
    """
    texts = read_texts(folder)
    own_cache = cache / f"{fingerprint or settings.fingerprint()}-{settings.precision}"
    ahead, behind = read_directions(folder, texts), read_directions(folder, texts)
    counts = Counter(segments=0, different=0, cached=0)
    part = folder / ".scores.part"
    with part.open("wb") as file, _scoring(settings, texts, devices) as scored:
        while (found := _next_part(ahead))[1]:
            num_directions, keys = found
            with contextlib.closing(SegmentCache(own_cache, keys)) as store:
                counts.update(segments=len(store.rows), different=len(store.scores), cached=int(store.former.sum()))
                planned, start = store.former.copy(), 0
                for group in _groups(islice(behind, num_directions)):
                    segments = [segment for direction in group for segment in direction.segments]
                    rows = store.rows[start : start + len(segments)].tolist()
                    start += len(segments)
                    pending = {row: segment for row, segment in zip(rows, segments, strict=True) if not planned[row]}
                    planned[list(pending)] = True
                    for number, score in _score_pending(pending, store, scored):
                        raise _not_finite(group, pending[number], score, settings)
                    array("d", store.scores[rows].tobytes()).tofile(file)
    part.rename(folder / "scores")
    return dict(counts)


def _next_part(directions: Iterator[Direction]) -> tuple[int, bytearray]:
    """How many of the directions share a file of the cache, and the keys of their segments."""
    count, keys = 0, bytearray()
    for direction in directions:
        count += 1
        for segment in direction.segments:
            keys += segment_key(segment)
        if len(keys) >= _PART * KEY_BYTES:
            break
    return count, keys


def _groups(directions: Iterable[Direction]) -> Iterator[list[Direction]]:
    """Directions that are in memory together."""
    group: list[Direction] = []
    size = 0
    for direction in directions:
        group.append(direction)
        size += len(direction.segments)
        if size >= _GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group


def _score_pending(pending: dict[int, Segment], store: SegmentCache, scored: _Scoring) -> Iterator[tuple[int, float]]:
    """Have the store hold the scores of some rows; gives those that are not finite, which it never holds."""
    # Segments of one source follow each other: its embedding is at hand.
    order = sorted(pending, key=lambda row: (len(pending[row][0]), pending[row]))
    chunks = [order[start : start + _CHUNK] for start in range(0, len(order), _CHUNK)]
    remaining = [chunk for chunk in chunks if not store.is_done(chunk)]
    for place, scores in scored([[pending[row] for row in chunk] for chunk in remaining]):
        found = dict(zip(remaining[place], scores, strict=True))
        store.add({row: score for row, score in found.items() if math.isfinite(score)})
        yield from ((row, score) for row, score in found.items() if not math.isfinite(score))


def _not_finite(group: Sequence[Direction], segment: Segment, score: float, settings: CometModel) -> CometError:
    name, sentence = next(
        (direction.name, sentence)
        for direction in group
        for sentence, other in enumerate(direction.segments)
        if other == segment
    )
    advice = f"are the weights of {settings.checkpoint} sound?"
    if settings.precision == "float16":
        advice = "float16 ends at 65,504: set the metric's `precision: float32`"
    return CometError(f"{name}, sentence {sentence}: the score is {score}, no number to keep; {advice}")


@contextlib.contextmanager
def _scoring(settings: CometModel, texts: Sequence[str], devices: Sequence[str]) -> Iterator[_Scoring]:
    """What scores chunks of segments; the model is loaded for the first of them."""
    if len(devices) == 1:
        embedder = functools.cache(functools.partial(Embedder, settings, devices[0], texts))
        yield lambda chunks: ((place, embedder().score(chunk)) for place, chunk in enumerate(chunks))
        return
    # Spawned: a forked process cannot use a GPU.
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    for device in devices:
        queue.put(device)
    with ProcessPoolExecutor(len(devices), context, _start_worker, (queue, settings, texts)) as pool:
        try:
            yield functools.partial(_score_in, pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _score_in(pool: ProcessPoolExecutor, chunks: Sequence[Sequence[Segment]]) -> Iterator[tuple[int, list[float]]]:
    try:
        for future in as_completed([pool.submit(_score_chunk, *chunk) for chunk in enumerate(chunks)]):
            yield future.result()
    except BrokenProcessPool as error:
        raise CometError("the process of a GPU ended early; what it said stands above") from error


_worker: Embedder


def _start_worker(queue: Any, settings: CometModel, texts: Sequence[str]) -> None:
    global _worker
    threading.Thread(target=_follow, args=(multiprocessing.parent_process(),), daemon=True).start()
    _worker = Embedder(settings, queue.get(), texts)


def _follow(parent: Any) -> None:
    """End when the process that started this one is gone."""
    parent.join()
    os._exit(3)


def _score_chunk(place: int, chunk: Sequence[Segment]) -> tuple[int, list[float]]:
    return place, _worker.score(chunk)


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
    folder: str,
    checkpoint: str,
    cache: str,
    encoder: str | None = None,
    precision: str = "float32",
    batch: int = 32,
    gpus: int = 0,
    threads: int = 0,
    fingerprint: str | None = None,
    follow_parent: bool = False,
) -> None:
    """Score the segments of a folder, see ``comet_segments``.

    Args:
        folder: has ``texts`` and ``segments``; ``scores`` is written, and ``account``: counts, seconds and the version
            of the package, as JSON.
        checkpoint, encoder, precision, batch: see ``CometModel``.
        cache: a folder, for all models.
        gpus: how many to use; a CPU if 0.
        threads: of a CPU; all if 0.
        fingerprint: of the model, where it is known already.
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
        counts = score_segments(Path(folder), model, cache=Path(cache), devices=_devices(gpus), fingerprint=fingerprint)
    except CometError as error:
        sys.exit(f"COMET: {error}")
    more = {"seconds": time.monotonic() - start, "version": importlib.metadata.version("unbabel-comet")}
    (Path(folder) / "account").write_text(json.dumps(counts | more), encoding="utf-8")


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
