"""COMET scores of hypotheses: segments go to COMET's own environment, scores of segments and directions come back."""

import json
import logging
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingualift import comet_scoring
from lingualift.comet_scoring import CometError, CometModel
from lingualift.configuration.evaluation import Comet as CometEntry
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path, checksum, read_json
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
        segments_out: JSON lines of direction, sentence and score, times 100, too; sorted.
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
    manifest.inputs[str(model.file)] = checksum(model.file)
    sizes: dict[Pair, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "segments").open("w", encoding="utf-8") as file:
            for pair in texts.stretches:
                segments = texts.read(pair)
                sizes[pair] = len(segments.references)
                for segment in zip(*segments, strict=True):
                    file.write(json.dumps(segment) + "\n")
        account = _run(comet, folder, Path(cache))
        signature = (
            f"nrefs:1|model:{comet.name}|checkpoint:{model.fingerprint()}|precision:{model.precision}"
            f"|version:{account['version']}"
        )
        heads = {"system": system, "benchmark": benchmark, "metric": metric, "signature": signature}
        rows = [heads | row for row in _write_segments(folder / "scores", sizes, segments_out)]
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


def read_segment_scores(path: str | Path) -> dict[str, list[float]]:
    """Direction → the scores of its segments, in their order, from a file that ``score_with_comet`` wrote."""
    scores: dict[str, list[float]] = {}
    with Path(path).open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            scores.setdefault(record["direction"], []).append(record["score"])
    return scores


def _run(comet: Comet, folder: Path, cache: Path) -> dict[str, Any]:
    """Score the file ``segments`` of a folder into ``scores``; the account of it."""
    model = comet.model
    job = {
        **{name: folder / name for name in ("segments", "scores", "account")},
        "checkpoint": Path(model.checkpoint).absolute(),
        "encoder": Path(model.encoder).absolute() if model.encoder else None,
        "cache": cache.absolute(),
        "precision": model.precision,
        "batch": model.batch,
        "gpus": comet.gpus,
        "threads": comet.threads,
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


def _write_segments(scores: Path, sizes: Mapping[Pair, int], out: str | Path) -> Iterator[dict[str, str | float]]:
    """Write the scores of all segments, and give a row a direction."""
    with scores.open(encoding="utf-8") as file, atomic_path(out) as part, part.open("w", encoding="utf-8") as written:
        for (source, target), size in sizes.items():
            total = 0.0
            for sentence in range(size):
                score = float(next(file))
                total += score
                record = {"direction": f"{source}-{target}", "sentence": sentence, "score": 100 * score}
                written.write(json.dumps(record) + "\n")
            yield {"source": source, "target": target, "score": 100 * total / size, "segments": size}
