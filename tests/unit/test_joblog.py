"""Jobs run by two Snakemakes at a time, one of which was killed: one works at an output, the other waits."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lingualift import joblog
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path
from lingualift.joblog import running
from lingualift.locks import HeldError, folder_lock

_JOB = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from lingualift.files import atomic_path
from lingualift.joblog import running

folder, name, letter, size = Path(sys.argv[1]), *sys.argv[2:]
job = SimpleNamespace(
    rule="write", input=[str(folder / "given")], output=[str(folder / "made"), str(folder / "manifest.json")],
    params={"letter": letter}, resources={}, log=[str(folder / f"{name}.log")],
)
with running(job):
    with (folder / "turns").open("a") as file:
        file.write(f"in {name}\\n")
    for path in job.output:
        with atomic_path(path) as part:
            if not path.endswith("json"):
                part.mkdir()
            with (part / "text" if part.is_dir() else part).open("w") as file:
                file.write(letter * int(size))
                file.flush()
                print("working", flush=True)
                sys.stdin.readline()
                file.write(letter * int(size))
    print("written", flush=True)
    sys.stdin.readline()
    with (folder / "turns").open("a") as file:
        file.write(f"out {name}\\n")
"""


def begin(folder: Path, name: str, letter: str = "A", size: int = 1000) -> subprocess.Popen:
    """A process that writes two outputs; in the middle of each, and behind them, it waits for a line, or for no more."""
    command = [sys.executable, "-c", _JOB, str(folder), name, letter, str(size)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 100
    while not (path.is_file() and text in path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def made(folder: Path) -> list[str]:
    return [(folder / "made/text").read_text(), (folder / "manifest.json").read_text()]


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"given", "turns", "first.log", "second.log"}


def two(folder: Path, *, second: str, change: bool = False) -> list[str]:
    """Run a job and, when it is in its middle, another one at the same outputs; in which order they worked."""
    (folder / "given").touch()
    one = begin(folder, "first")
    assert one.stdout is not None and one.stdout.readline() == "working\n"
    if change:
        os.utime(folder / "given", (1.0, 1.0))
    other = begin(folder, "second", second, 10)
    wait_for(folder / "second.log", "is held by process")
    assert one.communicate("")[0] == "working\nwritten\n"
    other.communicate("")
    assert (one.returncode, other.returncode) == (0, 0)
    assert left(folder) == {"made", "manifest.json"}
    return (folder / "turns").read_text().splitlines()


def test_the_same_job_finds_it_made(tmp_path: Path) -> None:
    assert two(tmp_path, second="A") == ["in first", "out first"]
    assert made(tmp_path) == ["A" * 2000] * 2
    assert "made has been made by another process meanwhile" in (tmp_path / "second.log").read_text()


@pytest.mark.parametrize(("second", "change"), [("B", False), ("A", True)])
def test_another_job_or_one_with_other_inputs_makes_it_again(tmp_path: Path, second: str, change: bool) -> None:
    assert two(tmp_path, second=second, change=change) == ["in first", "out first", "in second", "out second"]
    assert made(tmp_path) == [second * 20] * 2


@pytest.mark.parametrize("waiting", [False, True])
@pytest.mark.parametrize("written", [1, 2])
def test_a_job_behind_one_that_was_killed_makes_it(tmp_path: Path, waiting: bool, written: int) -> None:
    """The lock and the half-made output of the dead one are cleared; that its outputs are there is not enough."""
    (tmp_path / "given").touch()
    one = begin(tmp_path, "first")
    assert one.stdout is not None and one.stdin is not None
    one.stdin.write("\n" * written)
    one.stdin.flush()
    for said in ["working\n", "working\n", "written\n"][: written + 1]:
        assert one.stdout.readline() == said
    if not waiting:
        one.kill()
        one.communicate()
        assert {"made", "made.lock"} < left(tmp_path) and len(left(tmp_path)) == 3
    other = begin(tmp_path, "second")
    if waiting:
        wait_for(tmp_path / "second.log", "is held by process")
        one.kill()
        one.communicate()
    other.communicate("")
    assert other.returncode == 0
    assert (tmp_path / "turns").read_text().splitlines() == ["in first", "in second", "out second"]
    assert made(tmp_path) == ["A" * 2000] * 2
    assert left(tmp_path) == {"made", "manifest.json"}


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors as they are, in this process."""
    monkeypatch.setattr(joblog, "job_logging", lambda path: contextlib.nullcontext())
    monkeypatch.setattr(joblog, "PATIENCE", 0.05)
    monkeypatch.setattr(joblog, "_PATIENCE_WITH_GPUS", 0.05)


def job_at(folder: Path, **changes: Any) -> SimpleNamespace:
    job = {
        "rule": "write",
        "input": [],
        "output": [str(folder / "made")],
        "params": {},
        "resources": {},
        "log": ["log"],
    }
    return SimpleNamespace(**job | changes)


@contextlib.contextmanager
def held(folder: Path, monkeypatch: pytest.MonkeyPatch, *, seconds: float, running_jobs: list[str]) -> Any:
    """Job 12 of SLURM is at the output, which it has made when it ends; those that were started behind it."""
    queue: list[str] = []
    monkeypatch.setattr(joblog, "is_running", lambda job: job in running_jobs)
    monkeypatch.setattr(joblog, "start_again", lambda *, behind: queue.append(behind))
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    lock = folder_lock(folder / "made", note={"work": joblog._work(job_at(folder))})
    lock.__enter__()

    def end() -> None:
        (folder / "made").touch()
        lock.__exit__(None, None, None)

    ending = threading.Timer(seconds, end)
    ending.start()
    try:
        yield queue
    finally:
        ending.cancel()
        ending.join()
        if not (folder / "made").exists():
            end()


@pytest.mark.usefixtures("plain")
def test_a_job_without_gpus_waits_for_another_of_slurm_as_long_as_that_takes(tmp_path, monkeypatch) -> None:
    with held(tmp_path, monkeypatch, seconds=0.5, running_jobs=["12"]) as behind:
        with pytest.raises(SystemExit) as ended, running(job_at(tmp_path)):
            raise AssertionError
        assert ended.value.code == 0
        assert behind == []


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(("gpus", "running_jobs"), [(1, ["12"]), (1, []), (0, [])])
def test_a_job_that_has_waited_long_enough_fails_or_queues_behind_the_other(
    tmp_path, monkeypatch, gpus: int, running_jobs: list[str]
) -> None:
    with held(tmp_path, monkeypatch, seconds=60, running_jobs=running_jobs) as behind:
        held_by_another = pytest.raises(HeldError, match="made is being worked on by job 12")
        with held_by_another, running(job_at(tmp_path, resources={"gpu": gpus})):
            raise AssertionError
        assert behind == running_jobs


@pytest.mark.usefixtures("plain")
def test_what_dead_processes_elsewhere_left_of_all_outputs_is_removed(tmp_path) -> None:
    """None can be alive: this process holds the lock."""
    outputs = [tmp_path / "set/made", tmp_path / "set/table.csv", tmp_path / "notes/manifest.json"]
    parts = [path.with_name(f".{path.name}.0123456789ab-1-1-0.part") for path in outputs]
    other = tmp_path / "notes/.other.0123456789ab-1-1-0.part"
    place = tmp_path / ".set.0123456789ab-1-1-0.part"
    place.mkdir()
    for path in (*parts, other):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with running(job_at(tmp_path, output=list(map(str, outputs))), at=tmp_path / "set"):
        assert json.loads((tmp_path / "set.lock").read_text())["pid"] == os.getpid()
        assert not any(part.exists() for part in (*parts, place))
        assert other.exists()
    assert not list(tmp_path.rglob("*.lock"))


@pytest.mark.usefixtures("plain")
def test_a_job_that_fails_gives_its_lock_back(tmp_path) -> None:
    def fail() -> None:
        with running(job_at(tmp_path)), atomic_path(tmp_path / "made") as part:
            part.touch()
            raise LingualiftError("bad line")

    with pytest.raises(LingualiftError, match="bad line"):
        fail()
    assert not list(tmp_path.iterdir())


def test_what_determines_a_job_names_it(tmp_path) -> None:
    (tmp_path / "given").write_text("a")
    given = {"input": [str(tmp_path / "given")], "params": {"settings": {1: "a", "b": None}, "version": 1}}
    names = [joblog._work(job_at(tmp_path, **given)) for _ in range(2)]
    assert names[0] == names[1]
    os.utime(tmp_path / "given", (1.0, 1.0))
    changes = [{}, {"rule": "other"}, {"params": {"settings": {1: "a"}, "version": 1}}, {"output": ["elsewhere"]}]
    names += [joblog._work(job_at(tmp_path, **given | change)) for change in changes]
    names.append(joblog._work(job_at(tmp_path, **given | {"input": [str(tmp_path / "none")]})))
    assert len(set(names[1:])) == 6
