"""Stopping in time: signals, and the end of the time that SLURM gives a job."""

import contextlib
import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from types import FrameType

from lingualift.errors import LingualiftError

logger = logging.getLogger(__name__)
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


# How the profile names its jobs (slurm-jobname-prefix), and how SLURM's plugin says what a job runs.
JOB_PREFIX = "lingualift_"
_RULE = "rule_"
_COMMENT = f"{_RULE}train_model"
# Longer than SLURM takes to end a job that it is to start again.
_ENDING_SECONDS = 120.0


class InterruptedTrainingError(LingualiftError):
    """Stopped before its end, with all that is needed to go on: the same job, sent again, does.

    Args:
        out_of_time: the job's time was over, and it got on in it: more of the same is all that it needs.
    """

    status = 75  # EX_TEMPFAIL of sysexits.h: try again

    def __init__(self, message: str, *, out_of_time: bool = False) -> None:
        super().__init__(message)
        self.out_of_time = out_of_time


class Stops:
    """Whether to stop after this step, and why.

    Args:
        end: when the job's time is over, in seconds since the epoch, or None for never.
        writing: a first guess at the seconds that a checkpoint takes.
        evaluation: a first guess at what a measurement of the held-out loss takes, in steps.
        clock: for tests.
    """

    def __init__(
        self,
        end: float | None,
        *,
        writing: float = 30.0,
        evaluation: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._evaluation = clock, evaluation
        self.end, self.writing, self.stepping, self.evaluating = end, writing, 0.0, 0.0
        self._last, self._started = self._clock(), False
        # A minute to end all processes in; less where the whole job is short.
        self.safety = 60.0 if end is None else min(60.0, 0.1 * max(end - self._last, 0.0))
        self._measured = False
        self.out_of_time = False

    def step_done(self) -> str | None:
        """To be called after each step: None, or why to stop here."""
        now = self._clock()
        if self._started:
            # The slowest of late. Not the first: it reads the model, compiles and warms up.
            self.stepping = max(self.stepping * 0.99, now - self._last)
        self._last, self._started = now, True
        if _received:
            return f"told to by {_received[0].name}"
        self.out_of_time = self.end is not None and now + self.margin > self.end
        if self.end is not None and self.out_of_time:
            return f"{max(self.end - now, 0):.0f} s are left of the job's time"
        return None

    def checkpoint_done(self, seconds: float) -> None:
        """To be called with the time that writing a checkpoint took: it is part of no step."""
        self._evaluated(seconds)
        self.writing = max(self.writing, seconds) if self._measured else seconds
        self._measured = True

    def evaluation_done(self) -> None:
        """To be called behind a measurement of the held-out loss: it is part of no step."""
        self._evaluated(0.0)

    def _evaluated(self, but: float) -> None:
        """Count what was done since the last step, but for some seconds, as evaluation."""
        now = self._clock()
        if self._started:
            # The longest, however long ago: hundreds of steps lie between two of them.
            self.evaluating = max(self.evaluating, now - but - self._last)
        self._last = now

    @property
    def margin(self) -> float:
        """Seconds before the end at which to stop.

        For another step, a measurement of the held-out loss, a checkpoint at twice its time, and some safety.
        """
        evaluating = self.evaluating or self._evaluation * self.stepping
        return 2 * self.stepping + evaluating + 2 * self.writing + self.safety


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Note SIGTERM and SIGUSR1 for :class:`Stops`, where this is the main thread, in place of dying of them.

    Those that were held back until now (a rank is started with them blocked) are noted at once.
    """
    former = {}
    try:
        for number in SIGNALS:
            former[number] = signal.signal(number, _note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    except ValueError:
        logger.debug("signals are not listened to outside of the main thread")
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if _note not in former.values():
            _received.clear()


_received: list[signal.Signals] = []


def _note(number: int, frame: FrameType | None) -> None:
    _received.append(signal.Signals(number))


def end_of_job() -> float | None:
    """When this SLURM job's time is over, in seconds since the epoch; None outside of SLURM or without a limit.

    From ``SLURM_JOB_END_TIME`` where SLURM sets it, else asked of ``squeue``.
    """
    known = os.environ.get("SLURM_JOB_END_TIME", "")
    if known.isdigit():
        return float(known)
    job = _own_job()
    if job is None:
        return None
    try:
        return datetime.fromisoformat(_answer("squeue", "--noheader", "--jobs", job, "--format", "%e")).timestamp()
    except (OSError, subprocess.SubprocessError, ValueError):
        logger.warning("squeue does not say when job %s ends: training will not stop by itself before that", job)
        return None


def start_again(*, behind: str | None = None) -> None:
    """Have SLURM start this job again, and wait for it to end this process; ``behind`` another, only have it do so.

    Only a job that the profile sent, a training where it is not ``behind`` another: any other job is not ours to start
    again. Where SLURM may not (``--no-requeue``), nothing happens, and it is Snakemake's turn to send the job again.

    Args:
        behind: another job, whose end is waited for in the queue.
    """
    job = _own_job()
    if job is None:
        return
    try:
        name, _, comment = _answer("squeue", "--noheader", "--jobs", job, "--format", "%j|%k").partition("|")
        if not (name.startswith(JOB_PREFIX) and comment.startswith(_COMMENT if behind is None else _RULE)):
            logger.warning(
                "job %s is called %r and has the comment %r, other than those that profiles/slurm sends: SLURM is not "
                "asked to start it again, another attempt has to be sent",
                *(job, name, comment),
            )
            return
        # SLURM begins to end this job at once, and all commands in it.
        former = signal.signal(signal.SIGTERM, signal.SIG_IGN) if behind else None
        try:
            _answer("scontrol", "requeue", job)
            if behind:
                _wait_behind(job, behind)
        finally:
            if behind:
                signal.signal(signal.SIGTERM, former)
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("SLURM does not start job %s again (%s): another attempt has to be sent", job, error)
        return
    if behind:
        logger.info("SLURM starts job %s again when job %s is over", job, behind)
        return
    logger.info("SLURM starts job %s again; it goes on from its checkpoint", job)
    time.sleep(_ENDING_SECONDS)


def _wait_behind(job: str, other: str) -> None:
    """Have a job that is to be started again wait in the queue for the end of another."""
    try:
        _answer("scontrol", "update", f"jobid={job}", f"dependency=afterany:{other}")
    except subprocess.SubprocessError as error:
        logger.warning(
            "job %s does not wait for the end of job %s: it asks again when it starts (%s)", job, other, error
        )


def is_running(job: str) -> bool:
    """Whether another job than this one runs, by SLURM's word; no outside of SLURM."""
    own = _own_job()
    if own is None or own == job:
        return False
    try:
        return _answer("squeue", "--noheader", "--jobs", job, "--format", "%T") in ("RUNNING", "SUSPENDED")
    except (OSError, subprocess.SubprocessError):
        return False


def is_preempted() -> bool:
    """Whether SLURM takes this job's place for another job, and has given it time to end (GraceTime).

    Ended by itself within that time, a job is not started again by SLURM. One that has no such time is, and is no longer
    running when it hears of it.
    """
    job = _own_job()
    if job is None:
        return False
    try:
        said = _answer("scontrol", "--oneliner", "show", "job", job)
    except (OSError, subprocess.SubprocessError):
        return False
    found = dict(item.split("=", 1) for item in said.split() if "=" in item)
    return found.get("JobState") == "RUNNING" and found.get("PreemptTime", "None") != "None"


def _own_job() -> str | None:
    job = os.environ.get("SLURM_JOB_ID", "")
    return job if re.fullmatch(r"\d+", job) else None


def _answer(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
