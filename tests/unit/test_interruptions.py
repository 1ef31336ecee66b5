"""Stopping in time: by signal, by the clock."""

import os
import signal
import threading
from pathlib import Path

import pytest

from lingualift import interruptions
from lingualift.interruptions import Stops, end_of_job, is_preempted, is_running, listening, start_again


class Clock:
    """A time that tests set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_stops_while_a_checkpoint_can_still_be_written() -> None:
    """By hand: 10,000 s; steps of 100 s, 400 s a checkpoint, a minute: 2 x 100 + 2 x 400 + 60 = 1,060 s before."""
    clock = Clock()
    stops = Stops(11_000.0, clock=clock)
    stops.checkpoint_done(400)
    stopped = None
    while stopped is None:
        clock.now += 100
        stopped = stops.step_done()
    assert stops.margin == pytest.approx(1060, rel=0.01)
    # 9,940 is the first moment with less than that to go; steps end at whole hundreds.
    assert clock.now == 10_000
    assert stops.out_of_time
    assert stopped == "1000 s are left of the job's time"


def test_a_checkpoint_is_part_of_no_step() -> None:
    clock = Clock()
    stops = Stops(10_000.0, clock=clock)
    clock.now += 10
    assert stops.step_done() is None
    clock.now += 500
    stops.checkpoint_done(500)
    clock.now += 10
    assert stops.step_done() is None
    assert (stops.stepping, stops.writing) == (10, 500)


def test_an_evaluation_is_part_of_no_step_and_there_is_time_for_one() -> None:
    """By hand: a checkpoint of 10 s before, then steps of 5 s and every 200th an evaluation of 300 s; a minute."""
    clock = Clock()
    stops = Stops(11_000.0, clock=clock)
    stops.checkpoint_done(10)
    for step in range(1, 401):
        clock.now += 5
        assert stops.step_done() is None
        if step % 200 == 0:
            clock.now += 300
            stops.evaluation_done()
    assert (stops.stepping, stops.evaluating) == (5, 300)
    # 2 x 5 + 300 + 2 x 10 + 60; the first evaluation, 200 steps ago, counts as much as the last.
    assert stops.margin == 390


def test_there_is_time_for_the_first_evaluation_too() -> None:
    """By hand: as long as 40 steps of 5 s until one has taken 90 s; 2 x 5 of steps, 2 x 10 of writing, a minute."""
    clock = Clock()
    stops = Stops(11_000.0, evaluation=40, clock=clock)
    stops.checkpoint_done(10)
    for _ in range(2):
        clock.now += 5
        assert stops.step_done() is None
    assert stops.margin == 10 + 40 * 5 + 20 + 60
    clock.now += 90
    stops.evaluation_done()
    assert stops.margin == 10 + 90 + 20 + 60


def test_what_comes_before_a_checkpoint_is_no_part_of_writing_it() -> None:
    clock = Clock()
    stops = Stops(100_000.0, clock=clock)
    clock.now += 5
    assert stops.step_done() is None
    clock.now += 310
    stops.checkpoint_done(10)
    assert (stops.stepping, stops.evaluating, stops.writing) == (0, 300, 10)


def test_a_short_job_is_not_all_margin() -> None:
    clock = Clock()
    assert Stops(1100.0, clock=clock).safety == 10
    assert Stops(1e6, clock=clock).safety == 60


def test_no_limit_no_stop() -> None:
    clock = Clock()
    stops = Stops(None, clock=clock)
    clock.now += 1e9
    assert stops.step_done() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_and_is_forgotten_behind_the_training(number: signal.Signals) -> None:
    stops = Stops(None)
    before = signal.getsignal(number)
    with listening():
        with listening():
            assert stops.step_done() is None
            os.kill(os.getpid(), number)
        # Heard by the inner one, known to the outer.
        assert stops.step_done() == f"told to by {number.name}"
        assert not stops.out_of_time
    assert stops.step_done() is None
    assert signal.getsignal(number) is before


@pytest.fixture
def _no_slurm(monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_JOB_END_TIME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_no_slurm")
def test_end_of_a_job(monkeypatch, tmp_path) -> None:
    assert end_of_job() is None
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("TZ", "UTC")
    interruptions.time.tzset()
    squeue = tmp_path / "squeue"
    squeue.write_text('#!/bin/sh\n[ "$2 $3" = "--jobs 17" ] && echo 2026-11-21T12:30:00\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert end_of_job() == 1795264200
    monkeypatch.delenv("TZ")
    interruptions.time.tzset()
    squeue.write_text("#!/bin/sh\necho N/A\n")
    assert end_of_job() is None
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1234")
    assert end_of_job() == 1234.0


def test_a_signal_that_was_held_back_is_noted() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        # To this thread: another one, of a library, does not hold it back.
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        with listening():
            assert Stops(None).step_done() == "told to by SIGUSR1"
    finally:
        # One that was not noted would end all tests.
        signal.sigtimedwait([signal.SIGUSR1], 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])


def _command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.usefixtures("_no_slurm")
def test_only_a_job_of_the_profile_is_started_again(monkeypatch, tmp_path, caplog) -> None:
    monkeypatch.setattr(interruptions, "_ENDING_SECONDS", 0.0)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _command(tmp_path, "scontrol", f'echo "$@" >> {tmp_path}/asked')
    # Not in a job at all.
    start_again()
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    training = "rule_train_model_wildcards_base"
    for said in (
        f"bash|{training}",
        "lingualift_1f2e|(null)",
        "lingualift_1f2e|rule_translate_shard_wildcards_Base_test_0",
        f"lingualift_1f2e|{training}",
    ):
        _command(tmp_path, "squeue", f'[ "$2 $3 $5" = "--jobs 17 %j|%k" ] && echo "{said}"')
        caplog.clear()
        start_again()
        # Whoever changed name or comment (a site's submit plugin, say) is told why nothing happens.
        assert ("SLURM is not asked to start it again" in caplog.text) is (said != f"lingualift_1f2e|{training}")
        assert caplog.text.count("'(null)'") == ("null" in said)
    assert (tmp_path / "asked").read_text() == "requeue 17\n"
    # Where SLURM may not.
    _command(tmp_path, "scontrol", "exit 1")
    start_again()
    assert "SLURM does not start job 17 again" in caplog.text


@pytest.mark.usefixtures("_no_slurm")
@pytest.mark.parametrize("comment", ["rule_train_model_wildcards_base", "rule_translate_shard_wildcards_Base_test_0"])
def test_a_job_behind_another_waits_for_its_end_in_the_queue(monkeypatch, tmp_path, caplog, comment) -> None:
    monkeypatch.setattr(interruptions, "_ENDING_SECONDS", 0.0)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    _command(tmp_path, "squeue", f'echo "lingualift_1f2e|{comment}"')
    # SLURM ends all of a job that it starts again, what is asked of it meanwhile too.
    _command(tmp_path, "scontrol", f'echo "$@" >> {tmp_path}/asked; kill -TERM {os.getpid()} $$')
    before = signal.getsignal(signal.SIGTERM)
    start_again(behind="12")
    assert (tmp_path / "asked").read_text().splitlines() == ["requeue 17", "update jobid=17 dependency=afterany:12"]
    assert signal.getsignal(signal.SIGTERM) is before
    assert not caplog.text
    _command(tmp_path, "scontrol", '[ "$1" = requeue ]')
    start_again(behind="12")
    assert "job 17 does not wait for the end of job 12" in caplog.text


@pytest.mark.usefixtures("_no_slurm")
def test_whether_another_job_runs(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _command(tmp_path, "squeue", '[ "$3 $5" = "12 %T" ] && echo RUNNING')
    # Outside of SLURM there is none; a job is not another one than itself; of one that is over squeue says nothing.
    assert not is_running("12")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert is_running("12")
    assert not is_running("17") and not is_running("13")
    _command(tmp_path, "squeue", "echo COMPLETING")
    assert not is_running("12")


@pytest.mark.usefixtures("_no_slurm")
@pytest.mark.parametrize(
    ("state", "found"),
    [
        # As SLURM 22.05 prints it in the grace time; without one, behind it; in a job that is left alone.
        ("JobState=RUNNING Reason=None PreemptTime=2026-11-21T16:38:59 SuspendTime=None", True),
        ("JobState=COMPLETING Reason=None PreemptTime=2026-11-21T16:38:59 SuspendTime=None", False),
        ("JobState=COMPLETING Reason=None SuspendTime=None", False),
        ("JobState=RUNNING Reason=None PreemptTime=None SuspendTime=None", False),
        ("JobState=RUNNING Reason=None SuspendTime=None", False),
    ],
)
def test_preempted_is_who_still_runs_and_has_a_time_of_it(monkeypatch, tmp_path, state, found) -> None:
    assert not is_preempted()
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _command(tmp_path, "scontrol", f'[ "$*" = "--oneliner show job 17" ] && echo "JobId=17 JobName=a b {state}"')
    assert is_preempted() is found
    _command(tmp_path, "scontrol", "exit 1")
    assert not is_preempted()
