"""What each job's script runs in: its log, where user errors come without a traceback, and a lock on its output."""

import contextlib
import logging
import math
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lingualift.errors import LingualiftError
from lingualift.files import fingerprint, sweep
from lingualift.interruptions import is_running, start_again
from lingualift.locks import PATIENCE, HeldError, folder_lock

logger = logging.getLogger(__name__)
# How long to wait with GPUs for another job at the same output: it may just be ending.
_PATIENCE_WITH_GPUS = 60.0


@contextlib.contextmanager
def job_logging(path: str | Path) -> Iterator[None]:
    """Send this process's log to ``path``; end it with one readable line and status 1, or the error's own, on an error the user can mend."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers = [logging.FileHandler(path, mode="a", encoding="utf-8"), logging.StreamHandler(sys.stderr)]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )
    logging.captureWarnings(True)
    try:
        yield
    except LingualiftError as error:
        logging.error("%s", error)
        sys.exit(getattr(error, "status", 1))
    except Exception:
        logging.error("%s", traceback.format_exc())
        sys.exit(1)


@contextlib.contextmanager
def running(job: Any, *, at: str | Path | None = None) -> Iterator[None]:
    """Log a job and let no other work at its output: the lock lies beside it, ``<first output>.lock``.

    One that a killed Snakemake has left running is waited for. A job without GPUs waits in its place for another job of
    SLURM, which takes no longer than to do all of it again; one with GPUs gives them back and queues behind that job.
    If the other one has done the same, from the same inputs with the same parameters, and all outputs are there, this
    process ends here, with status 0: there is nothing left to do.

    For the scripts of rules whose work has no lock of its own.

    Args:
        job: the object ``snakemake`` of a script.
        at: what is held in place of the first output.
    """
    outputs = [Path(path) for path in job.output]
    place = outputs[0] if at is None else Path(at)
    gpus, work, others = job.resources.get("gpu", 0), _work(job), []

    def patience(owner: dict[str, Any]) -> float:
        others.append(owner.get("work"))
        if is_running(str(owner.get("job"))):
            return _PATIENCE_WITH_GPUS if gpus else math.inf
        return PATIENCE

    with job_logging(job.log[0]):
        try:
            with folder_lock(place, patience=patience, note={"work": work}) as waited:
                if waited and others[-1] == work and all(path.exists() for path in outputs):
                    logger.info("%s has been made by another process meanwhile", place)
                    sys.exit(0)
                for path in {place, *outputs}:
                    sweep(path.parent, held={path.name})
                yield
        except HeldError as error:
            if gpus and is_running(other := str(error.owner.get("job"))):
                start_again(behind=other)
            raise


def _work(job: Any) -> str:
    """What names all that determines a job's outputs; another name for any doubt: the work is then done again."""
    inputs = [(str(path), _changed(Path(path))) for path in job.input]
    return fingerprint(repr([job.rule, inputs, dict(job.params.items()), list(map(str, job.output))]))


def _changed(path: Path) -> int | None:
    """When a file, or what lies directly in a folder, was changed, in nanoseconds; None where there is none."""
    return path.stat().st_mtime_ns if path.exists() else None
