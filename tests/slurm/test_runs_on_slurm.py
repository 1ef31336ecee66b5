"""The tiny preset through ``profiles/slurm`` on a real cluster of two nodes: the same results, and what SLURM was asked."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from cluster import NODES, Cluster
from test_runs import RESULTS, checkout, contents, finished  # noqa: F401

pytestmark = pytest.mark.slow

# Made where Snakemake runs.
LOCAL = {"all", "models", "mixtures", "lexicons", "mix_corpora", "make_table", "make_figure", "plot_training"}


def start(slurm: Cluster, folder: Path, *arguments: str, config: str = "config/tiny.yaml") -> subprocess.Popen[str]:
    """Snakemake with the cluster's profile, not waiting as long as for a real one."""
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", "--configfile", config]
    command += ["--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "20", *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**slurm.environment, "PYTHONPATH": str(folder / "src"), "XDG_CACHE_HOME": str(folder / "cache")},
    )


def end(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output[-8000:]
    return output


def jobs_after(slurm: Cluster, known: int) -> list[dict[str, str]]:
    """The jobs that were sent since there were ``known``."""
    return sorted(slurm.jobs(), key=lambda job: int(job["JobId"]))[known:]


def running(slurm: Cluster, rule: str, known: int, process: subprocess.Popen[str]) -> dict[str, str]:
    """The first job of a rule that runs, once its script has begun."""
    while process.poll() is None:
        for job in jobs_after(slurm, known):
            if job["Comment"].startswith(f"rule_{rule}") and job["JobState"] == "RUNNING":
                return job
        time.sleep(0.1)
    raise AssertionError(f"no job of {rule} ran:\n{process.communicate()[0][-8000:]}")


def again(made: Path, folder: Path, *without: str) -> Path:
    """A copy of a finished run that lacks some of its results."""
    shutil.copytree(made, folder, symlinks=True)
    for name in without:
        path = folder / RESULTS / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@pytest.fixture(scope="module")
def on_slurm(slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a run that was made on the cluster."""
    folder = checkout(tmp_path_factory.mktemp("slurm"))
    end(start(slurm, folder))
    return folder


def test_nodes_share_the_jobs_and_each_says_what_it_is(slurm: Cluster, on_slurm: Path) -> None:
    jobs = slurm.jobs()
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    assert {job["NodeList"] for job in jobs} == set(NODES)
    assert all(job["JobName"].startswith("lingualift_") for job in jobs)
    sent = Counter(job["Comment"].removeprefix("rule_").partition("_wildcards_")[0] for job in jobs)
    assert not LOCAL & set(sent)
    assert sent["train_model"] == 3 and sent["translate_shard"] == 4
    assert any(job["Comment"] == "rule_translate_shard_wildcards_Base_held-out_0" for job in jobs)
    # What a rule says of itself is what SLURM was asked for.
    packing = next(job for job in jobs if job["Comment"].startswith("rule_pack_mixture"))
    assert (packing["MinMemoryNode"], packing["TimeLimit"], packing["CPUs/Task"]) == ("4000M", "04:00:00", "2")


def test_results_are_those_of_a_local_run(on_slurm: Path, finished: Path) -> None:  # noqa: F811
    assert contents(on_slurm) == contents(finished)


def test_a_killed_job_is_tried_again_with_more_memory_and_time(slurm: Cluster, on_slurm: Path, tmp_path: Path) -> None:
    folder, known = again(on_slurm, tmp_path / "run", "models/lifted-alpaca"), len(slurm.jobs())
    process = start(slurm, folder, f"{RESULTS}/models/lifted-alpaca")
    slurm.run("scancel", running(slurm, "train_model", known, process)["JobId"])
    end(process)
    first, second = jobs_after(slurm, known)
    assert (first["JobState"], second["JobState"]) == ("CANCELLED", "COMPLETED")
    # A training mostly runs out of time: a quarter more memory is enough.
    assert 4 * int(second["MinMemoryNode"].rstrip("M")) == 5 * int(first["MinMemoryNode"].rstrip("M"))
    assert minutes(second["TimeLimit"]) == 2 * minutes(first["TimeLimit"])
    assert contents(folder) == contents(on_slurm)


def test_a_preempted_job_is_started_again_by_slurm(slurm: Cluster, on_slurm: Path, tmp_path: Path) -> None:
    folder, known = again(on_slurm, tmp_path / "run", "models/lifted-alpaca"), len(slurm.jobs())
    process = start(slurm, folder, f"{RESULTS}/models/lifted-alpaca")
    slurm.requeue(running(slurm, "train_model", known, process)["JobId"])
    end(process)
    (job,) = jobs_after(slurm, known)
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    assert contents(folder) == contents(on_slurm)


def test_gpus_are_asked_for_by_type(slurm: Cluster, on_slurm: Path, tmp_path: Path) -> None:
    name = "hypotheses/Lifted-Alpaca/held-out/0.jsonl"
    folder, known = again(on_slurm, tmp_path / "run", name), len(slurm.jobs())
    options = ("--resources", "gpu=2", "--set-resources", "translate_shard:gpu_model=test")
    end(start(slurm, folder, f"{RESULTS}/{name}", *options))
    (job,) = jobs_after(slurm, known)
    assert job["TresPerJob"] == "gres:gpu:test:1"
    # With GPUs another engine translates: the same sentences, not to the byte the same answers.
    asked, before = ([sentence(line) for line in (at / RESULTS / name).open()] for at in (folder, on_slurm))
    assert asked == before


def sentence(line: str) -> tuple[str, int]:
    record = json.loads(line)
    return record["direction"], record["sentence"]


# Not yet seen to its end on this cluster: asked for by name, it does not hold up what has been.
@pytest.mark.skipif("LINGUALIFT_SLURM_TRAINING" not in os.environ, reason="set LINGUALIFT_SLURM_TRAINING=1 to run it")
@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
def test_training_over_two_nodes_has_the_losses_of_one(
    slurm: Cluster, on_slurm: Path, tmp_path: Path, parallelism: str
) -> None:
    folder, known = again(on_slurm, tmp_path / "run", "models/lifted-alpaca"), len(slurm.jobs())
    content = yaml.safe_load((folder / "config/tiny.yaml").read_text(encoding="utf-8"))
    content["recipes"]["spread"] = content["recipes"]["brief"] | {"parallelism": parallelism, "nodes": 2}
    content["models"]["lifted-alpaca"]["finetune"]["recipe"] = "spread"
    (folder / "config/two.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    end(start(slurm, folder, f"{RESULTS}/models/lifted-alpaca", config="config/two.yaml"))
    (job,) = jobs_after(slurm, known)
    assert (job["NumNodes"], job["NodeList"]) == ("2", "n[1-2]")
    one, two = (losses(run / RESULTS / "models/lifted-alpaca/training.jsonl") for run in (on_slurm, folder))
    assert two == pytest.approx(one, rel=1e-4)


def losses(log: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in log.read_text(encoding="utf-8").splitlines()]


def test_a_dead_node_is_noticed_and_its_job_goes_to_the_other(slurm: Cluster, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\necho $SLURMD_NODENAME >> {tmp_path}/ran\n[ $SLURM_RESTART_COUNT ] || sleep 600\n")
    number = slurm.run("sbatch", "--parsable", "--requeue", "--output=/dev/null", str(script)).strip()
    wait_for(lambda: (tmp_path / "ran").exists())
    dead = (tmp_path / "ran").read_text().strip()
    slurm.kill_node(dead)
    try:
        wait_for(lambda: job(slurm, number)["Restarts"] == "1")
        slurm.start_now(number)
        wait_for(lambda: job(slurm, number)["JobState"] == "COMPLETED")
        assert slurm.states()[dead].startswith("down")
        (other,) = set(NODES) - {dead}
        assert (tmp_path / "ran").read_text().split() == [dead, other]
    finally:
        slurm.start_node(dead)
        wait_for(lambda: slurm.states()[dead] == "idle")


def job(slurm: Cluster, number: str) -> dict[str, str]:
    return next(it for it in slurm.jobs() if it["JobId"] == number)


def wait_for(ready: Callable[[], bool], seconds: float = 180) -> None:
    end_ = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end_, f"not within {seconds} s"
        time.sleep(0.5)


def minutes(limit: str) -> int:
    """SLURM's ``days-hours:minutes:seconds`` in minutes."""
    days, _, clock = limit.rpartition("-")
    hours, minutes_, _ = clock.split(":")
    return int(days or 0) * 1440 + int(hours) * 60 + int(minutes_)
