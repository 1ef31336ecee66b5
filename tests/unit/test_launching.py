"""Starting a training: here, as ranks of one machine, as ranks of several nodes; through dead ranks and signals."""

import contextlib
import errno
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest
import tiny
import torch
from ranks import train_ranks

from lingualift import commands, launching
from lingualift.checkpoints import step_of
from lingualift.commands import Commands
from lingualift.configuration.models import Recipe
from lingualift.errors import LingualiftError
from lingualift.files import read_json, write_json
from lingualift.interruptions import InterruptedTrainingError, Stops
from lingualift.launching import TrainingJob, launch, log_on, ranks_of, run_rank
from lingualift.locks import HeldError, folder_lock
from lingualift.parallelism import World
from lingualift.training import LOG, load_model

RECIPE = {"learning_rate": 1e-2, "batch": 4, "epochs": 1000, "max_steps": 120, "precision": "float32"}


def _job(folder: Path, **recipe) -> TrainingJob:
    return TrainingJob(
        blocks="blocks",
        recipe={**RECIPE, **recipe},
        out=str(folder / "model"),
        state=str(folder / "state"),
        seed=1,
        scratch={"hidden": 32},
        settings={"model": "small"},
    )


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list:
    """What would have been started, instead of it."""
    found: list = []

    def made(job: TrainingJob) -> None:
        recipe = Recipe.model_validate(job.recipe).model_dump(mode="json")
        write_json({"settings": job.settings, "seed": job.seed, "recipe": recipe}, Path(job.out) / "manifest.json")

    monkeypatch.setattr(launching, "run", lambda job: (found.append("here"), made(job)))
    monkeypatch.setattr(
        launching, "_run_ranks", lambda job, *, nodes, ranks, **_: (found.append((nodes, ranks)), made(job))
    )
    return found


@pytest.mark.parametrize(
    ("recipe", "srun", "where"),
    [
        ({}, None, "here"),
        ({"parallelism": "ddp"}, None, "here"),
        # A process group of one: its checkpoints are those of several.
        ({"parallelism": "zero2"}, None, (1, 1)),
        ({"parallelism": "ddp", "devices": 2}, None, (1, 2)),
        ({"parallelism": "fsdp", "devices": 2, "nodes": 2}, ["srun"], (2, 2)),
        # On a laptop, the recipe of a cluster.
        ({"parallelism": "fsdp", "devices": 2, "nodes": 2}, None, (1, 2)),
    ],
)
def test_where_a_training_runs(tmp_path, started, recipe, srun, where) -> None:
    assert launch(_job(tmp_path, **recipe), srun=srun)["seed"] == 1
    assert started == [where]
    assert not (tmp_path / "state.lock").exists()


def test_what_earlier_jobs_of_a_training_said_is_kept(tmp_path: Path) -> None:
    former = list(logging.getLogger().handlers)
    for number in (1, 2):
        try:
            log_on(str(tmp_path / "state/models/base.log"))
            logging.warning("job %d", number)
        finally:
            logging.getLogger().handlers[:] = former
    lines = (tmp_path / "state/models/base.log").read_text(encoding="utf-8").splitlines()
    assert [line.partition(" WARNING ")[2] for line in lines] == ["job 1", "job 2"]


def test_no_more_ranks_than_gpus(monkeypatch) -> None:
    recipe = Recipe.model_validate({**RECIPE, "parallelism": "ddp", "devices": 4})
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert ranks_of(recipe) == 2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert ranks_of(recipe) == 4


def test_what_another_process_made_meanwhile_is_not_made_again(tmp_path, started, monkeypatch) -> None:
    monkeypatch.setattr(launching, "folder_lock", lambda folder, **_: contextlib.nullcontext(True))
    launch(_job(tmp_path))
    launch(_job(tmp_path))
    assert started == ["here"]
    # How it is run makes no other model.
    launch(_job(tmp_path, log_every=3, checkpoint_every=7, restarts=0))
    assert started == ["here"]
    # Another recipe is another model, and so is what another version makes.
    launch(_job(tmp_path, learning_rate=1e-3))
    assert started == ["here", "here"]
    launch(replace(_job(tmp_path, learning_rate=1e-3), version=2))
    assert started == ["here"] * 3


@pytest.mark.parametrize("running", [True, False])
def test_a_job_does_not_wait_with_its_gpus_for_another_that_trains_the_same(tmp_path, monkeypatch, running) -> None:
    asked, queued = [], []
    monkeypatch.setattr(launching, "_PATIENCE_WITH_JOBS", 0.0)
    monkeypatch.setattr(launching, "PATIENCE", 0.1)
    monkeypatch.setattr(launching, "is_running", lambda job: asked.append(job) or running)
    monkeypatch.setattr(launching, "start_again", lambda *, behind: queued.append(behind))
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    with folder_lock(tmp_path / "state"), pytest.raises(HeldError, match="being worked on by job 12"):
        launch(_job(tmp_path))
    assert set(asked) == {"12"}
    assert queued == ["12"] * running


@pytest.mark.parametrize(
    ("nodes", "told", "steps"),
    [
        (1, None, 3),
        # What an agent noted: srun ends all of a step by SIGTERM when one has died.
        (2, "SIGTERM", 3),
        (2, None, 3),
        (1, "launcher", 1),
        (2, "SIGUSR1", 1),
        (2, "SIGTERM\nSIGUSR1", 1),
        (2, "launcher", 1),
        (2, "preempted", 1),
    ],
)
def test_ranks_start_again_by_another_command_unless_they_were_told_to_stop(
    tmp_path, monkeypatch, nodes, told, steps
) -> None:
    seen = []

    def follow(commands: object, command: list[str], environment: dict[str, str]) -> int:
        folder = Path(command[-1])
        seen.append(folder)
        if told == "launcher":
            os.kill(os.getpid(), signal.SIGUSR1)
        elif told:
            (folder / "stop").write_text("SIGTERM\n" if told == "preempted" else f"{told}\n")
        return 1

    monkeypatch.setattr(Commands, "follow", follow)
    monkeypatch.setattr(commands, "is_preempted", lambda: told == "preempted")
    monkeypatch.setattr(launching, "is_preempted", lambda: told == "preempted")
    monkeypatch.setattr(launching, "start_again", lambda: None)
    is_told = told is not None and told != "SIGTERM"
    kind, said = (InterruptedTrainingError, "told to") if is_told else (LingualiftError, "ended with status 1")
    with pytest.raises(LingualiftError, match=f"{said}.*newest checkpoint") as caught:
        launch(_job(tmp_path, parallelism="ddp", devices=2, nodes=nodes, restarts=2), srun=["env"])
    assert type(caught.value) is kind
    assert len(seen) == steps


_AGENT = """
import signal, subprocess, sys
from pathlib import Path
from lingualift.interruptions import SIGNALS
# As a node does it: before torch, and the threads that come with it.
signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
import torch.distributed.launcher.api as api
from lingualift import launching
api.elastic_launch = lambda *_: lambda *_: subprocess.run([sys.executable, "-c", sys.argv[2]], check=True)
sys.exit(launching.run_node(Path(sys.argv[1])))
"""
# A rank that takes its time to begin.
_RANK = """
import signal, time
from lingualift.interruptions import Stops, listening
print("born", flush=True)
while signal.SIGUSR1 not in signal.sigpending():
    time.sleep(0.02)
with listening():
    print(Stops(None).step_done(), flush=True)
"""


def test_a_rank_that_does_not_listen_yet_stops_when_it_does(tmp_path) -> None:
    write_json({"nodes": 1, "ranks": 1, "threads": 1, "name": "0"}, tmp_path / "job.json")
    command = [sys.executable, "-c", _AGENT, str(tmp_path), _RANK]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "born\n"
        process.terminate()
        assert process.communicate(timeout=60)[0] == "told to by SIGUSR1\n"
        assert process.returncode == 0
    finally:
        process.kill()
    assert (tmp_path / "stop").read_text() == "SIGTERM\n"


# A rank that waits for one that is not there, in a library that hears of no signal.
_JOINING = """
import signal, sys, threading
from pathlib import Path
from lingualift import launching, parallelism
from lingualift.interruptions import SIGNALS

def join_world():
    print("joining", flush=True)
    lock = threading.Lock()
    while lock.acquire():
        pass

signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
parallelism.join_world = join_world
launching.run_rank(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_rank_that_waits_for_the_others_dies_of_the_signal(tmp_path, number) -> None:
    write_json({"job": asdict(_job(tmp_path))}, tmp_path / "job.json")
    process = subprocess.Popen([sys.executable, "-c", _JOINING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "joining\n"
        process.send_signal(number)
        assert process.wait(timeout=60) == -number
    finally:
        process.kill()


def test_a_rank_that_is_started_behind_the_signal_stops_too(tmp_path, monkeypatch) -> None:
    write_json({"job": asdict(_job(tmp_path))}, tmp_path / "job.json")
    seen = []
    monkeypatch.setattr(launching, "run", lambda *_: seen.append(Stops(None).step_done()))
    assert run_rank(tmp_path) == 0
    (tmp_path / "stop").touch()
    assert run_rank(tmp_path) == 0
    assert seen == [None, "told to by SIGUSR1"]


@pytest.mark.parametrize("parallelism", ["none", "ddp"])
@pytest.mark.parametrize(("out_of_time", "preempted"), [(True, False), (False, True), (False, False)])
def test_a_job_that_is_out_of_time_or_preempted_is_started_again_behind_its_lock(
    tmp_path, monkeypatch, parallelism, out_of_time, preempted
) -> None:
    locked = []
    monkeypatch.setattr(launching, "is_preempted", lambda: preempted)
    monkeypatch.setattr(launching, "start_again", lambda: locked.append((tmp_path / "state.lock").exists()))

    def run(job: TrainingJob, world: World | None = None) -> None:
        raise InterruptedTrainingError("stopped", out_of_time=out_of_time)

    monkeypatch.setattr(launching, "run", run)
    monkeypatch.setattr(Commands, "follow", lambda _, command, __: run_rank(Path(command[-1])))
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InterruptedTrainingError, match="stopped"):
        launch(_job(tmp_path, parallelism=parallelism, devices=1 + (parallelism == "ddp")))
    assert locked == [False] * (out_of_time or preempted)


def test_without_srun_the_nodes_of_a_recipe_are_this_one(tmp_path, monkeypatch, caplog) -> None:
    caplog.set_level("WARNING")
    seen = []
    monkeypatch.setattr(Commands, "follow", lambda _, command, __: seen.append(command) or 1)
    with pytest.raises(LingualiftError, match="ended with status 1"):
        launch(_job(tmp_path, parallelism="ddp", devices=2, nodes=2, restarts=0), srun=["no-such-srun"])
    assert [command[0] for command in seen] == [sys.executable]
    assert "no no-such-srun here" in caplog.text


@pytest.mark.parametrize("kind", [LingualiftError, InterruptedTrainingError])
def test_what_a_rank_says_is_what_the_launcher_says(tmp_path, monkeypatch, kind) -> None:
    """A rank says it in a file."""
    job, calls = _job(tmp_path, parallelism="ddp", devices=2), []

    def run(job: TrainingJob, world: World) -> None:
        calls.append(job)
        raise kind("as it is")

    def follow(commands: object, command: list[str], environment: dict[str, str]) -> int:
        status = run_rank(Path(command[-1]))
        assert status == (0 if kind is InterruptedTrainingError else 1)
        return status

    monkeypatch.setattr(launching, "run", run)
    monkeypatch.setattr(Commands, "follow", follow)
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(kind, match="as it is"):
        launch(job)
    assert calls == [job]
    assert not list(tmp_path.iterdir())


def test_where_a_rank_cannot_write_down_why_it_ends_none_starts_again(tmp_path, monkeypatch, caplog) -> None:
    """On a full disk, that is: they would fail alike."""
    seen = []

    def run(job: TrainingJob, world: World) -> None:
        raise LingualiftError("the disk is full")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def follow(commands: object, command: list[str], environment: dict[str, str]) -> int:
        with monkeypatch.context() as patch:
            patch.setattr(launching, "write_json", full)
            seen.append(run_rank(Path(command[-1])))
        return seen[-1]

    monkeypatch.setattr(launching, "run", run)
    monkeypatch.setattr(Commands, "follow", follow)
    with pytest.raises(LingualiftError, match=r"could not write down why in .*state\.launch: the log above"):
        launch(_job(tmp_path, parallelism="ddp", devices=2))
    # Of several tasks, srun has the highest status; one that a signal ended has 128 and its number.
    assert len(seen) == 1 and 128 + signal.SIGRTMAX < seen[0] < 256
    assert "the disk is full (and this could not be written down" in caplog.text


_STUBS = """
import sys
from pathlib import Path
from lingualift import launching
sys.executable = sys.argv[2]
sys.exit(launching.run_node(Path(sys.argv[1])))
"""


@pytest.mark.parametrize(("status", "given"), [(7, 1), (launching._NO_VERDICT, launching._NO_VERDICT)])
def test_a_node_passes_on_that_its_ranks_could_not_write_down_why_they_ended(tmp_path, status, given) -> None:
    write_json({"nodes": 1, "ranks": 2, "threads": 1, "name": "0"}, tmp_path / "job.json")
    rank = tmp_path / "rank"
    rank.write_text(f"#!/bin/bash\nexit {status}\n")
    rank.chmod(0o755)
    assert subprocess.run([sys.executable, "-c", _STUBS, str(tmp_path), str(rank)], check=False).returncode == given


def test_ranks_that_end_without_a_word(tmp_path, monkeypatch) -> None:
    names = []
    monkeypatch.setattr(
        Commands,
        "follow",
        lambda _, command, __: names.append(read_json(Path(command[-1]) / "job.json")) or 1,
    )
    for _ in range(2):
        with pytest.raises(LingualiftError, match=r"ended with status 1.*goes on from the newest checkpoint"):
            launch(_job(tmp_path, parallelism="ddp", devices=2, restarts=0))
    # Each start meets elsewhere.
    assert names[0]["name"] != names[1]["name"]


# The real thing

_SRUN = """#!/bin/bash
# As srun does: the command once a node, SIGUSR1 passed on, and with --kill-on-bad-exit all ended when one fails.
while [[ $1 == --* ]]; do
    [[ $1 == --nodes=* ]] && nodes=${1#*=}
    [[ $1 == --kill-on-bad-exit=1 ]] && strict=1
    shift
done
trap 'kill -USR1 "${pids[@]}"' USR1
export SLURM_STEP_ID=$$
for ((node = 0; node < nodes; node++)); do SLURM_NODEID=$node "$@" & pids+=($!); done
status=0
# One after the other, in the order in which they end; a signal that is passed on ends no wait for good.
while ((${#pids[@]})); do
    wait -n -p ended "${pids[@]}"; code=$?
    [[ $ended ]] || continue
    left=(); for pid in "${pids[@]}"; do [[ $pid == "$ended" ]] || left+=("$pid"); done; pids=("${left[@]}")
    if ((code)); then
        status=$code
        ((strict && ${#pids[@]})) && kill -TERM "${pids[@]}"
    fi
done
exit $status
"""

_LAUNCHER = """
import json, sys
from lingualift.joblog import job_logging
from lingualift.locks import HeldError, folder_lock
from lingualift.launching import TrainingJob, launch
job, srun, log = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
with job_logging(log):
    launch(TrainingJob(**job), srun=[srun] if srun else None, threads=1)
"""


def _until(condition: Callable[[], object], process: subprocess.Popen, log: Path) -> None:
    while not condition():
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)


def _workers(process: subprocess.Popen) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        # One that has just ended has no command any more.
        with contextlib.suppress(psutil.Error):
            found += [child] * ("lingualift.train_worker" in child.cmdline())
    return found


def _as_rank(job: TrainingJob, *, world: World) -> None:
    launching.run(job, world)


@pytest.mark.slow
def test_a_dead_rank_of_one_node_costs_what_is_behind_the_checkpoint(tmp_path) -> None:
    """All ranks start again, from the newest checkpoint, and end with the weights of those that were never killed."""
    tokenizer = tiny.tokenizer(tmp_path / "tokenizer")
    blocks = tiny.text_blocks(tmp_path / "blocks", tokenizer, tiny.sentences(120, seed=5))

    def job(name: str) -> TrainingJob:
        recipe = {"checkpoint_every": 10, "log_every": 5, "parallelism": "ddp", "devices": 2}
        given = {"blocks": str(blocks), "tokenizer": str(tmp_path / "tokenizer")}
        scratch = tiny.scratch().model_dump(mode="json")
        return replace(_job(tmp_path / name, **recipe), **given, scratch=scratch)

    log = tmp_path / "log"
    process = subprocess.Popen([sys.executable, "-c", _LAUNCHER, json.dumps(asdict(job("broken"))), "", str(log)])
    try:
        _until(lambda: list(tmp_path.glob("broken/state/*/checkpoint-*/complete.json")), process, log)
        first = _workers(process)
        assert len(first) == 2
        first[1].kill()
        assert process.wait(timeout=180) == 0, log.read_text()
    finally:
        process.kill()
    assert len(re.findall("the ranks ended with status 1; they start again, 2 more", log.read_text())) == 1
    assert len(re.findall("going on from .*/checkpoint-", log.read_text())) == 1
    train_ranks(2, _as_rank, job=job("whole"))
    one, other = (tmp_path / name / "model" / "model.safetensors" for name in ("broken", "whole"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_two_nodes_through_a_dead_rank_and_a_signal_and_on_with_one_process(tmp_path, monkeypatch) -> None:
    tokenizer = tiny.tokenizer(tmp_path / "tokenizer")
    blocks = tiny.text_blocks(tmp_path / "blocks", tokenizer, tiny.sentences(120, seed=5))
    srun = tmp_path / "srun"
    srun.write_text(_SRUN)
    srun.chmod(0o755)
    monkeypatch.setenv("SLURM_STEP_NODELIST", "localhost,localhost")
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 100_000))

    def job(name: str, **recipe) -> TrainingJob:
        given = {"blocks": str(blocks), "tokenizer": str(tmp_path / "tokenizer")}
        steps = {"checkpoint_every": 10, "log_every": 5, "parallelism": "ddp", "keep_checkpoints": 3}
        values = asdict(_job(tmp_path / name, **steps, **recipe))
        return TrainingJob(**{**values, **given, "scratch": tiny.scratch().model_dump(mode="json")})

    log = tmp_path / "log"
    broken = json.dumps(asdict(job("broken", nodes=2)))
    process = subprocess.Popen([sys.executable, "-c", _LAUNCHER, broken, str(srun), str(log)])
    try:
        _until(lambda: list(tmp_path.glob("broken/state/*/checkpoint-*/complete.json")), process, log)
        first = _workers(process)
        assert len(first) == 2
        first[0].kill()
        # All ranks start again, within the job, and get further than they were.
        _until(lambda: (new := _workers(process)) and not set(new) & set(first), process, log)
        reached = max(map(step_of, tmp_path.glob("broken/state/*/checkpoint-*")))
        _until(
            lambda: max(map(step_of, tmp_path.glob("broken/state/*/checkpoint-*")), default=0) > reached, process, log
        )
        left = _workers(process)
        process.terminate()
        assert process.wait() == InterruptedTrainingError.status, log.read_text()
    finally:
        process.kill()
    assert "training stopped at step" in log.read_text().splitlines()[-1]
    # What is gone, or only waits to be counted.
    assert not [worker for worker in left if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    assert not (tmp_path / "broken/model").exists()
    made = launch(job("broken"))
    whole = launch(job("whole"))
    assert made["counts"] == whole["counts"]
    losses = [
        {line["step"]: line["loss"] for line in map(json.loads, (tmp_path / name / "model" / LOG).open())}
        for name in ("broken", "whole")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    one, other = (load_model(tmp_path / name / "model").state_dict() for name in ("broken", "whole"))
    for name, value in one.items():
        assert torch.allclose(value, other[name], atol=2e-3), name
    assert read_json(tmp_path / "broken/model/manifest.json")["counts"]["steps"] == 120
