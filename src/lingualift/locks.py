"""A lock on a folder that a dead owner does not hold for ever."""

import contextlib
import json
import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from lingualift.errors import LingualiftError
from lingualift.files import path_beside, remove, sweep_once
from lingualift.owners import processes, runs

logger = logging.getLogger(__name__)
HEARTBEAT = 20.0  # seconds between signs of life
STALE = 180.0  # seconds without one after which an owner on another host counts as dead
PATIENCE = 600.0  # seconds that an owner who is alive is waited for


class HeldError(LingualiftError):
    """An owner that is alive has held a lock for longer than it was waited for.

    Attributes:
        owner: what its lock says: ``host``, ``pid``, ``since``; ``job``, its SLURM job, if it is in one.
    """

    def __init__(self, path: Path, owner: dict[str, Any]) -> None:
        job = f", `scancel {owner['job']}`" if "job" in owner else ""
        super().__init__(
            f"{path.with_suffix('')} is being worked on by {_named(owner)}: wait for it or end it{job}. If there is no "
            f"such process, remove {path}"
        )
        self.owner = owner


def _named(owner: dict[str, Any]) -> str:
    job = f"job {owner['job']}, " if "job" in owner else ""
    return f"{job}process {owner.get('pid')} on {owner.get('host')}, since {owner.get('since')}"


@contextlib.contextmanager
def folder_lock(
    folder: str | Path,
    *,
    patience: float | Callable[[dict[str, Any]], float] = PATIENCE,
    note: Mapping[str, Any] | None = None,
    heartbeat: float = HEARTBEAT,
    stale: float = STALE,
) -> Iterator[bool]:
    """Hold ``folder`` alone; the lock is a file beside it, ``<folder>.lock``.

    It names its owner's host, process, when that process began and its SLURM job, and is touched every ``heartbeat``
    seconds. An owner on this host is dead if no such process runs, one on another host, or among processes that are not
    seen from here (a container's), if its lock was not touched for ``stale`` seconds, by the clock of the file system. A
    dead owner's lock is taken over; an owner that was taken for dead and is not (a host that hung) is killed by its own
    next sign of life.

    Args:
        patience: seconds to wait for an owner that is alive, or what says so of an owner: asked once for each.
        note: what else the lock says of its owner, to those that wait for it; JSON-like.

    Yields:
        Whether another owner was waited for, and has given it back: it may have finished what this one was to do.

    Raises:
        HeldError: an owner that is alive has held it all the time.
    """
    path = Path(f"{folder}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_once(path.parent)
    token = uuid.uuid4().hex
    waited = _acquire(path, {**(note or {}), "token": token}, patience=patience, stale=stale)
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, token, heartbeat, done), daemon=True)
    beating.start()
    try:
        yield waited
    finally:
        done.set()
        beating.join()
        if (_read(path) or {}).get("token") == token:
            path.unlink(missing_ok=True)


def _acquire(
    path: Path, note: Mapping[str, Any], *, patience: float | Callable[[dict[str, Any]], float], stale: float
) -> bool:
    start, seen, allowed = time.monotonic(), None, 0.0
    while not _claim(path, note):
        owner = _read(path)
        if owner is None or _is_dead(path, owner, stale):
            _take_away(path, owner)
            seen = None if owner else seen
            continue
        if seen != owner:
            allowed = patience(owner) if callable(patience) else patience
            logger.warning("%s is held by %s: waiting", path.with_suffix(""), _named(owner))
            seen = owner
        if time.monotonic() - start >= allowed:
            raise HeldError(path, owner)
        time.sleep(min(1.0, max(allowed / 10, 0.01)))
    return seen is not None


def _claim(path: Path, note: Mapping[str, Any]) -> bool:
    """Put the lock in place, whole, if there is none."""
    process = psutil.Process()
    owner = {
        "host": socket.gethostname(),
        "processes": processes(),
        "pid": process.pid,
        "started": process.create_time(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        **note,
    }
    if job := os.environ.get("SLURM_JOB_ID"):
        owner["job"] = job
    part = path_beside(path)
    part.write_text(json.dumps(owner), encoding="utf-8")
    try:
        # A link is made or not made, on network file systems too; a file opened to be written is empty at first.
        os.link(part, path)
    except FileExistsError:
        return False
    finally:
        part.unlink()
    return True


def _take_away(path: Path, owner: dict[str, Any] | None) -> None:
    """Remove a dead owner's lock, but not one that another process has put there meanwhile."""
    aside = path_beside(path)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _read(aside) != owner:
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    elif owner is not None:
        logger.warning("%s: its owner, process %s on %s, is dead; taken over", path, owner["pid"], owner["host"])
    remove(aside)


def _is_dead(path: Path, owner: dict[str, Any], stale: float) -> bool:
    here = socket.gethostname(), processes()
    if (owner.get("host"), owner.get("processes", here[1])) == here:
        return not ("pid" in owner and "started" in owner and runs(owner["pid"], owner["started"]))
    try:
        return _clock_of(path.parent) - path.stat().st_mtime > stale
    except FileNotFoundError:
        return False


def _clock_of(folder: Path) -> float:
    """The time by the file system, whose clock is not that of this host."""
    probe = path_beside(folder / "clock")
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def _read(path: Path) -> dict[str, Any] | None:
    """What a lock says; None for one that says nothing, or is not there."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) else None


def _beat(path: Path, token: str, heartbeat: float, done: threading.Event) -> None:
    """Give signs of life; end this process where another has taken the lock over.

    It was taken for dead, having been stopped or cut off from the file system for long, and the other one works in the
    folder by now: whatever this one still wrote would fall into the other's work.
    """
    while not done.wait(heartbeat):
        owner = _read(path)
        holder = (owner or {}).get("token")
        if holder == token:
            with contextlib.suppress(OSError):
                os.utime(path)
        elif owner is not None and holder is not None and not done.is_set():
            logger.error(
                "%s was taken over by process %s on %s, since %s: this process ends at once",
                *(path, owner.get("pid"), owner.get("host"), owner.get("since")),
            )
            os.kill(os.getpid(), signal.SIGKILL)
