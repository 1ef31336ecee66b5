"""Logging of one job: what it says goes to its log file and to the terminal; user errors come without a traceback."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from lingualift.errors import LingualiftError


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
