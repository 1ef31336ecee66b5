"""COMET scores of hypotheses: segments go to COMET's own environment, scores of segments and directions come back."""

import contextlib
import itertools
import json
import logging
import os
import subprocess
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingualift import comet_scoring
from lingualift.comet_model import CometError, CometModel
from lingualift.comet_segments import load_scores, write_segments
from lingualift.configuration.evaluation import Comet as CometEntry
from lingualift.errors import InputError, LingualiftError
from lingualift.files import atomic_path, fingerprint, read_json, remove
from lingualift.manifests import Manifest
from lingualift.scoring import Hypotheses, Pair, write_scores

logger = logging.getLogger(__name__)

_LAST_LINES = 5


@dataclass(frozen=True, kw_only=True)
class Comet:
    """COMET in its environment.

    Attributes:
        python: the environment's interpreter.
        model: the checkpoint and how it computes.
        name: of the model, for signatures.
        gpus: how many to use; a CPU if 0.
        threads: of a CPU; all if 0.
    """

    python: Path
    model: CometModel
    name: str = "wmt22-comet-da"
    gpus: int = 0
    threads: int = 0


def load_comet(entry: CometEntry, *, environment: Path, gpus: int = 0, threads: int = 0) -> Comet:
    """COMET as the configuration describes it.

    Args:
        environment: the folder that ``build_comet_environment`` made.
    """
    checkpoint = Path(entry.checkpoint)
    model = CometModel(
        checkpoint,
        encoder=Path(entry.encoder) if entry.encoder else None,
        precision=entry.precision,
        batch=entry.batch,
    )
    python = environment / "bin" / "python"
    return Comet(python=python, model=model, name=checkpoint.name, gpus=gpus, threads=threads)


def score_with_comet(
    hypotheses_files: Sequence[str | Path],
    *,
    benchmark_folder: str | Path,
    comet: Comet,
    out: str | Path,
    segments_out: str | Path,
    cache: str | Path,
    system: str,
    benchmark: str,
    metric: str = "comet22",
    limit: int | None = None,
) -> Manifest:
    """Score every direction that the files hold: a direction's score is the mean over its segments, times 100.

    Args:
        hypotheses_files: JSON lines of direction, sentence and hypothesis; each direction complete.
        out: the CSV file of scores, see ``scoring.COLUMNS``; a row per direction, sorted.
        segments_out: JSON lines: the signature, then direction, sentence and score, times 100, too; sorted.
        cache: a folder for the scores of segments, of all models, systems and benchmarks; it only grows.
        system: the system's name, as written into the rows; ``benchmark`` and ``metric`` likewise.
        limit: how many of the first sentences of the benchmark were translated.

    Returns:
        The manifest of the scores.

    Raises:
        InputError: a file has a bad line.
        LingualiftError: a direction is not complete, or not in the benchmark; COMET, its checkpoint or its encoder is
            not there.

    Source: LLaMAX, section 4.1 and Table 8 (COMET-22, times 100).
    """
    check_comet(comet)
    model = comet.model
    settings = {"name": comet.name, "precision": model.precision, "batch": model.batch, "metric": metric}
    texts = Hypotheses.open(hypotheses_files, benchmark_folder, limit=limit)
    manifest = texts.manifest(settings)
    manifest.inputs[str(model.file)] = model.checksums[model.file]
    with _working_folder(Path(cache) / f"work-{fingerprint(str(Path(out).absolute()))}") as folder:
        # Directions of one target follow each other: they share its references.
        order = sorted(texts.stretches, key=lambda pair: pair[::-1])
        sizes = write_segments((("-".join(pair), *texts.read(pair)) for pair in order), folder)
        account = _run(comet, folder, Path(cache))
        signature = (
            f"nrefs:1|model:{comet.name}|checkpoint:{model.fingerprint()}|precision:{model.precision}"
            f"|version:{account['version']}"
        )
        heads = {"system": system, "benchmark": benchmark, "metric": metric, "signature": signature}
        found = _write_segment_scores(folder, dict(zip(order, sizes, strict=True)), signature, segments_out)
        rows = [heads | row for row in found]
    write_scores(rows, out)
    manifest.counts.update(
        {"directions": len(rows)} | {key: account[key] for key in ("segments", "different", "cached")}
    )
    manifest.details["unbabel-comet"] = account["version"]
    return manifest


def check_comet(comet: Comet) -> None:
    """See that the environment and the checkpoint are there, before any work starts.

    Raises:
        LingualiftError: what is not.
    """
    if not Path(comet.python).is_file():
        raise LingualiftError(f"{comet.python}: no such file: COMET's environment, made by build_comet_environment")
    try:
        _ = comet.model.file
    except CometError as error:
        raise LingualiftError(str(error)) from error
    if comet.model.encoder is not None and not Path(comet.model.encoder).is_dir():
        raise LingualiftError(f"{comet.model.encoder}: no such folder: the encoder of COMET's checkpoint")


class SegmentScores(dict[str, Sequence[float]]):
    """Direction → the scores of its segments, in their order.

    Attributes:
        signature: COMET's; empty where the file does not say.
    """

    signature: str = ""


def read_segment_scores(*paths: str | Path) -> SegmentScores:
    """The scores of files that ``score_with_comet`` wrote of one system.

    Raises:
        InputError: a file has another signature than the first.
    """
    scores = SegmentScores()
    for number, path in enumerate(paths):
        with Path(path).open(encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                if "signature" not in record:
                    scores.setdefault(record["direction"], array("d")).append(record["score"])
                elif number and record["signature"] != scores.signature:
                    what = f"made with {record['signature']}, but {paths[0]} with {scores.signature}"
                    raise InputError(path, what, line=1)
                else:
                    scores.signature = record["signature"]
    return scores


@contextlib.contextmanager
def _working_folder(path: Path) -> Iterator[Path]:
    """An empty folder, on the disk of the results: it may take gigabytes. What a killed job left in it is removed."""
    remove(path)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        remove(path)


def _run(comet: Comet, folder: Path, cache: Path) -> dict[str, Any]:
    """Score the segments of a folder, see ``comet_segments``; the account of it."""
    model = comet.model
    job = {
        "folder": folder.absolute(),
        "checkpoint": Path(model.checkpoint).absolute(),
        "encoder": Path(model.encoder).absolute() if model.encoder else None,
        "cache": cache.absolute(),
        "precision": model.precision,
        "batch": model.batch,
        "gpus": comet.gpus,
        "threads": comet.threads,
        "fingerprint": model.fingerprint(),
        "follow_parent": True,
    }
    # -P: the package's folder would stand before COMET's own modules.
    command = [str(comet.python), "-P", str(Path(comet_scoring.__file__).absolute()), json.dumps(job, default=str)]
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    last: list[str] = []
    with subprocess.Popen(
        command,
        env=environment,
        # Never written to: it closes when this process ends, however it ends, and COMET with it.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                logger.info("%s", line.rstrip())
                last = [*last, line.rstrip()][-_LAST_LINES:]
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        # What it says itself, or else the end of what was printed.
        said = [line.removeprefix("COMET: ") for line in last if line.startswith("COMET: ")]
        raise LingualiftError("COMET failed: " + "\n".join(said or last))
    return read_json(folder / "account")


def _write_segment_scores(
    folder: Path, sizes: Mapping[Pair, int], signature: str, out: str | Path
) -> Iterator[dict[str, str | float]]:
    """Write the scores of all segments, sorted by direction, and give a row a direction.

    Args:
        sizes: how many segments each direction has, in the order of the folder's ``scores``.
    """
    starts = dict(zip(sizes, itertools.accumulate(sizes.values(), initial=0), strict=False))
    with atomic_path(out) as part, part.open("w", encoding="utf-8") as written:
        written.write(json.dumps({"signature": signature}) + "\n")
        for pair, size in sorted(sizes.items()):
            source, target = pair
            total = 0.0
            for sentence, score in enumerate(load_scores(folder, starts[pair], size)):
                total += score
                record = {"direction": f"{source}-{target}", "sentence": sentence, "score": 100 * score}
                written.write(json.dumps(record) + "\n")
            yield {"source": source, "target": target, "score": 100 * total / size, "segments": size}
