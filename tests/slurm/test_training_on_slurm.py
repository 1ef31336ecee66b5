"""A training of two ranks on the two nodes of a real cluster: of what dies there, it ends as an unbroken one does."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import pytest
import tiny
import torch
from cluster import Cluster
from holding import hold
from safetensors.torch import load_file

from lingualift.files import write_json
from lingualift.launching import TrainingJob

ROOT = Path(__file__).parents[2]
RECIPE = {
    "learning_rate": 1e-2,
    "batch": 8,
    "epochs": 100,
    "max_steps": 12,
    "precision": "float32",
    "parallelism": "ddp",
}
RECIPE |= {"checkpoint_every": 4, "log_every": 1}
LAUNCHER = """
import sys
from lingualift.files import read_json
from lingualift.joblog import job_logging
from lingualift.launching import TrainingJob, launch
with job_logging("log"):
    launch(TrainingJob(**read_json("job.json")), srun=sys.argv[1:], threads=1)
"""
# As the profile sends a training: the job may have itself started again.
SENT = ("--job-name=lingualift_test", "--comment=rule_train_model_wildcards_small", "--requeue", "--open-mode=append")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Training:
    """A training in a folder of its own, with a copy of the package in which it waits behind its sixth step."""

    folder: Path
    slurm: Cluster

    def send(self) -> str:
        """Send it as a job of two nodes, and give the job's number once the training waits."""
        command = ["sbatch", "--parsable", *SENT, "--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1"]
        command += [f"--chdir={self.folder}", f"--output={self.folder}/out"]
        command += [f"--export=ALL,PYTHONPATH={self.folder}/src"]
        script = self.folder / "job.sh"
        script.write_text(f"#!/bin/bash\nexec {sys.executable} -c '{LAUNCHER}' srun\n", encoding="utf-8")
        job = self.slurm.run(*command, str(script)).strip()
        self.wait(lambda: (self.folder / "held-6").exists())
        return job

    def wait(self, ready: Callable[[], bool], seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, self.log()
            time.sleep(0.1)

    def end(self, job: str) -> dict[str, str]:
        """Wait for the job's end, and give what SLURM says of it."""
        self.wait(lambda: self.slurm.job(job)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING"))
        return self.slurm.job(job)

    def rank(self, node: str) -> psutil.Process:
        """The training's process on a node."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if "lingualift.train_worker" not in process.cmdline() or process.cwd() != str(self.folder):
                    continue
                if process.environ()["SLURMD_NODENAME"] == node:
                    return process
        raise AssertionError(f"no rank on {node}: {self.log()}")

    def log(self) -> str:
        """What all starts of its job said."""
        output = self.folder / "out"
        return output.read_text(encoding="utf-8") if output.is_file() else ""

    def went_on_from(self) -> list[int]:
        """The steps of the checkpoints that its starts went on from."""
        return [int(step) for step in re.findall(r"going on from \S*/checkpoint-(\d+)", self.log())]

    def made(self) -> tuple[dict[int, float], dict[str, torch.Tensor]]:
        """Its losses by step, and its weights."""
        lines = map(json.loads, (self.folder / "model/training.jsonl").read_text(encoding="utf-8").splitlines())
        return {line["step"]: line["loss"] for line in lines}, load_file(self.folder / "model/model.safetensors")


def same(training: Training, other: Training) -> None:
    (losses, weights), (wanted, whole) = training.made(), other.made()
    assert losses == wanted and len(losses) == 12
    assert weights.keys() == whole.keys()
    assert [name for name in whole if not torch.equal(weights[name], whole[name])] == []


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    tokenizer = tiny.tokenizer(folder / "tokenizer")
    tiny.text_blocks(folder / "blocks", tokenizer, tiny.sentences(120, seed=5))
    return folder


def prepare(folder: Path, data: Path, slurm: Cluster, **recipe: int) -> Training:
    job = TrainingJob(
        blocks=str(data / "blocks"),
        tokenizer=str(data / "tokenizer"),
        recipe=RECIPE | recipe,
        out=str(folder / "model"),
        state=str(folder / "state"),
        seed=1,
        scratch=tiny.scratch().model_dump(mode="json"),
    )
    write_json(asdict(job), folder / "job.json")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return Training(folder, slurm)


@pytest.fixture
def training(tmp_path: Path, data: Path, slurm: Cluster) -> Training:
    made = prepare(tmp_path, data, slurm, nodes=2)
    hold(tmp_path, 6)
    return made


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, data: Path, slurm: Cluster) -> Training:
    """The same training by two ranks of one machine, without SLURM."""
    made = prepare(tmp_path_factory.mktemp("unbroken"), data, slurm, devices=2)
    environment = {**slurm.environment, "PYTHONPATH": str(made.folder / "src")}
    subprocess.run([sys.executable, "-c", LAUNCHER], cwd=made.folder, env=environment, check=True)
    return made


def test_a_dead_rank_on_another_node_costs_a_step_and_no_attempt(training: Training, unbroken: Training) -> None:
    job = training.send()
    rank = training.rank("n2")
    # Both nodes are one machine: its loopback is the way from one to the other.
    assert "127.0.0.1" in [it.address for it in psutil.net_if_addrs()[rank.environ()["GLOO_SOCKET_IFNAME"]]]
    rank.kill()
    ended = training.end(job)
    assert (ended["JobState"], ended["Restarts"], ended["NodeList"]) == ("COMPLETED", "0", "n[1-2]"), training.log()
    assert len(re.findall("the ranks ended with status", training.log())) == 1
    assert "told to" not in training.log()
    assert training.went_on_from() == [4]
    same(training, unbroken)


def test_a_dead_node_s_training_is_started_again_when_there_are_two_nodes(
    training: Training, unbroken: Training
) -> None:
    job = training.send()
    training.slurm.kill_node("n2")
    try:
        training.wait(lambda: training.slurm.job(job)["Restarts"] == "1")
    finally:
        training.slurm.start_node("n2")
        training.wait(lambda: training.slurm.states()["n2"] in ("idle", "completing"))
    training.slurm.start_now(job)
    ended = training.end(job)
    assert (ended["JobState"], ended["Restarts"], ended["NodeList"]) == ("COMPLETED", "1", "n[1-2]"), training.log()
    assert training.went_on_from() == [4]
    same(training, unbroken)


def test_a_preempted_training_writes_a_checkpoint_in_its_grace_time(training: Training, unbroken: Training) -> None:
    """Of that SLURM tells the ranks alone, not the batch script that started them."""
    job = training.send()
    whole = ("--partition=urgent", "--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=4", "--mem=1000")
    other = training.slurm.run("sbatch", "--parsable", "--output=/dev/null", *whole, "--wrap=true").strip()
    assert training.end(other)["JobState"] == "COMPLETED"
    training.slurm.start_now(job)
    ended = training.end(job)
    assert (ended["JobState"], ended["Restarts"], ended["NodeList"]) == ("COMPLETED", "1", "n[1-2]"), training.log()
    assert "the ranks ended with status" not in training.log()
    assert training.went_on_from() == [6]
    same(training, unbroken)
