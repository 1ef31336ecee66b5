"""The tiny preset through ``profiles/slurm`` on a real cluster of two nodes: the same results, and what SLURM was asked."""

import json
import re
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
from holding import hold
from test_runs import RESULTS, checkout, contents, finished  # noqa: F401

pytestmark = pytest.mark.slow

# Made where Snakemake runs.
LOCAL = {"all", "models", "mixtures", "lexicons", "mix_corpora", "make_table", "make_figure", "plot_training"}
MODEL = f"{RESULTS}/models/lifted-alpaca"
# The plugin asks after its jobs ever more rarely, up to every three minutes.
SNAKEMAKE = """
import snakemake_executor_plugin_slurm as plugin
from snakemake.cli import main
plugin.Executor.next_seconds_between_status_checks = property(lambda self: 2, lambda self, value: None)
main()
"""


def start(slurm: Cluster, folder: Path, *arguments: str, config: str = "config/tiny.yaml") -> subprocess.Popen[str]:
    """Snakemake with the cluster's profile, not waiting as long as for a real one."""
    command = [sys.executable, "-c", SNAKEMAKE, "--profile", "profiles/slurm", "--configfile", config]
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


def states(jobs: list[dict[str, str]]) -> list[tuple[str, str]]:
    """The state of each, and how often it was started again."""
    return [(job["JobState"], job["Restarts"]) for job in jobs]


def running(slurm: Cluster, rule: str, known: int, process: subprocess.Popen[str]) -> dict[str, str]:
    """The first job of a rule that runs, once its script has begun."""
    while process.poll() is None:
        for job in jobs_after(slurm, known):
            if job["Comment"].startswith(f"rule_{rule}") and job["JobState"] == "RUNNING":
                return job
        time.sleep(0.1)
    raise AssertionError(f"no job of {rule} ran:\n{process.communicate()[0][-8000:]}")


def again(made: Path, folder: Path, *without: str) -> Path:
    """A copy of a finished run that lacks some of its results, and what they would be made from at once."""
    shutil.copytree(made, folder, symlinks=True)
    for name in without:
        for path in (folder / RESULTS / name, folder / RESULTS / "state" / name):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
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
    process = start(slurm, folder, MODEL)
    slurm.run("scancel", running(slurm, "train_model", known, process)["JobId"])
    end(process)
    first, second = jobs_after(slurm, known)
    assert (first["JobState"], second["JobState"]) == ("CANCELLED", "COMPLETED")
    # A training mostly runs out of time: a quarter more memory is enough.
    assert 4 * int(second["MinMemoryNode"].rstrip("M")) == 5 * int(first["MinMemoryNode"].rstrip("M"))
    assert minutes(second["TimeLimit"]) == 2 * minutes(first["TimeLimit"])
    assert contents(folder) == contents(on_slurm)


def test_a_preempted_training_goes_on(slurm: Cluster, on_slurm: Path, tmp_path: Path) -> None:
    folder, known = holding(on_slurm, tmp_path, step=6), len(slurm.jobs())
    process = start(slurm, folder, MODEL)
    slurm.requeue(held(slurm, folder, 6, known, process)["JobId"])
    end(process)
    (job,) = jobs_after(slurm, known)
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    # Told to stop, it wrote a checkpoint.
    assert went_on_from(folder) == 6
    assert contents(folder) == contents(on_slurm)


def test_a_training_whose_time_is_over_has_itself_started_again(slurm: Cluster, on_slurm: Path, tmp_path: Path) -> None:
    folder, known = holding(on_slurm, tmp_path, step=6), len(slurm.jobs())
    (folder / "over-6").touch()
    process = start(slurm, folder, MODEL)
    number = running(slurm, "train_model", known, process)["JobId"]
    slurm.start_now(number)
    end(process)
    (job,) = jobs_after(slurm, known)
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    assert went_on_from(folder) == 6
    assert contents(folder) == contents(on_slurm)


def test_snakemake_killed_and_started_again_while_its_training_runs(
    slurm: Cluster, on_slurm: Path, tmp_path: Path
) -> None:
    """The second job queues behind the first, without its node; what that has made is not made again."""
    folder, known = holding(on_slurm, tmp_path, step=6), len(slurm.jobs())
    with (folder / "src/lingualift/launching.py").open("a", encoding="utf-8") as file:
        file.write("\n_PATIENCE_WITH_JOBS = 1.0\n")
    killed = start(slurm, folder, MODEL)
    first = held(slurm, folder, 6, known, killed)["JobId"]
    killed.kill()
    killed.communicate()
    end(start(slurm, folder, "--unlock"))
    process = start(slurm, folder, MODEL)
    wait_for(lambda: process.poll() is not None or states(jobs_after(slurm, known))[1:] == [("PENDING", "1")])
    second = jobs_after(slurm, known)[-1]
    assert second["Dependency"] == f"afterany:{first}(unfulfilled)"
    assert slurm.job(first)["JobState"] == "RUNNING"
    (folder / "hold-6").unlink()
    wait_for(lambda: slurm.job(first)["JobState"] == "COMPLETED")
    slurm.start_now(second["JobId"])
    end(process)
    assert states(jobs_after(slurm, known)) == [("COMPLETED", "0"), ("COMPLETED", "1")]
    log = (folder / RESULTS / "state/models/lifted-alpaca.log").read_text(encoding="utf-8")
    assert len(re.findall(f"is held by job {first}, process", log)) == 1
    assert len(re.findall("the model has been trained: it is taken from", log)) == 1
    # Neither was stopped, neither trained a step that was trained.
    assert "going on from" not in log and "stopped at step" not in log
    assert contents(folder) == contents(on_slurm)


def test_what_jobs_end_without_snakemake_is_not_done_again(slurm: Cluster, on_slurm: Path, tmp_path: Path) -> None:
    folder, known = again(on_slurm, tmp_path / "run", "models/lifted-alpaca"), len(slurm.jobs())
    killed = start(slurm, folder, MODEL)
    job = running(slurm, "train_model", known, killed)["JobId"]
    killed.kill()
    killed.communicate()
    wait_for(lambda: slurm.job(job)["JobState"] == "COMPLETED")
    end(start(slurm, folder, "--unlock"))
    assert "Nothing to be done" in end(start(slurm, folder, MODEL))
    assert len(jobs_after(slurm, known)) == 1
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


def test_training_over_two_nodes_through_a_preemption(slurm: Cluster, on_slurm: Path, tmp_path: Path) -> None:
    folder, known = holding(on_slurm, tmp_path, step=6), len(slurm.jobs())
    # By the profile's word; the recipe's is one of each.
    spread = ("--set-resources", "train_model:nodes=2", "train_model:devices=2")
    process = train_on(slurm, folder, *spread, parallelism="ddp")
    slurm.requeue(held(slurm, folder, 6, known, process)["JobId"])
    end(process)
    (job,) = jobs_after(slurm, known)
    assert (job["NumNodes"], job["NodeList"], job["Restarts"]) == ("2", "n[1-2]", "1")
    assert went_on_from(folder) == 6
    same_losses(folder, on_slurm)


@pytest.mark.parametrize(("parallelism", "fewer"), [("zero2", 1), ("fsdp", 2)])
def test_another_number_of_ranks_goes_on_and_back(
    slurm: Cluster, on_slurm: Path, tmp_path: Path, parallelism: str, fewer: int
) -> None:
    """Of three jobs each goes on where the one before was cancelled: two nodes with two ranks, one node, two again."""
    folder = holding(on_slurm, tmp_path, step=7)
    for ranks, nodes, step in ((4, 2, 7), (fewer, 1, 9)):
        known = len(slurm.jobs())
        (folder / f"hold-{step}").touch()
        recipe = {"parallelism": parallelism, "nodes": nodes, "devices": ranks // nodes}
        process = train_on(slurm, folder, "--retries", "0", **recipe)
        slurm.run("scancel", held(slurm, folder, step, known, process)["JobId"])
        process.communicate()
        (checkpoint,) = (folder / RESULTS / "state/models/lifted-alpaca").glob(f"*/checkpoint-{step}")
        assert json.loads((checkpoint / "run.json").read_text(encoding="utf-8"))["ranks"] == ranks
    known = len(slurm.jobs())
    end(train_on(slurm, folder, parallelism=parallelism, nodes=2, devices=2))
    (job,) = jobs_after(slurm, known)
    assert (job["NumNodes"], job["NodeList"]) == ("2", "n[1-2]")
    assert went_on_from(folder) == 9
    same_losses(folder, on_slurm)


def holding(made: Path, folder: Path, *, step: int) -> Path:
    """A copy of a finished run that lacks its last model, and whose training waits behind a step."""
    return hold(again(made, folder / "run", "models/lifted-alpaca"), step)


def train_on(slurm: Cluster, folder: Path, *arguments: str, **recipe: str | int) -> subprocess.Popen[str]:
    """Train the last model, with some settings of its recipe."""
    content = yaml.safe_load((folder / "config/tiny.yaml").read_text(encoding="utf-8"))
    content["recipes"]["spread"] = content["recipes"]["brief"] | recipe
    content["models"]["lifted-alpaca"]["finetune"]["recipe"] = "spread"
    (folder / "config/spread.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    # Threads that wait for each other on too few cores make a step take seconds.
    threads = ("--set-threads", f"train_model={recipe.get('devices', 1)}")
    return start(slurm, folder, MODEL, *threads, *arguments, config="config/spread.yaml")


def held(slurm: Cluster, folder: Path, step: int, known: int, process: subprocess.Popen[str]) -> dict[str, str]:
    """The job whose training waits behind a step."""
    while process.poll() is None:
        if (folder / f"held-{step}").exists():
            return running(slurm, "train_model", known, process)
        time.sleep(0.1)
    raise AssertionError(f"no training came to step {step}:\n{process.communicate()[0][-8000:]}")


def went_on_from(folder: Path) -> int:
    """The step of the checkpoint that the last training went on from."""
    log = (folder / RESULTS / "logs/train_model/lifted-alpaca.log").read_text(encoding="utf-8")
    return int(re.findall(r"going on from .*/checkpoint-(\d+)", log)[-1])


def same_losses(folder: Path, other: Path) -> None:
    found, wanted = (losses(run / MODEL / "training.jsonl") for run in (folder, other))
    assert list(found) == list(wanted)
    assert found == pytest.approx(wanted, rel=1e-4)


def losses(log: Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in map(json.loads, log.read_text(encoding="utf-8").splitlines())}


def test_a_dead_node_s_training_goes_on_on_the_other(slurm: Cluster, on_slurm: Path, tmp_path: Path) -> None:
    folder, known = holding(on_slurm, tmp_path, step=6), len(slurm.jobs())
    process = start(slurm, folder, MODEL)
    job = held(slurm, folder, 6, known, process)
    dead = job["NodeList"]
    slurm.kill_node(dead)
    try:
        wait_for(lambda: slurm.job(job["JobId"])["Restarts"] == "1")
        slurm.start_now(job["JobId"])
        end(process)
        assert slurm.states()[dead].startswith("down")
    finally:
        slurm.start_node(dead)
        wait_for(lambda: slurm.states()[dead] == "idle")
    (job,) = jobs_after(slurm, known)
    (other,) = set(NODES) - {dead}
    assert (job["JobState"], job["NodeList"], job["Restarts"]) == ("COMPLETED", other, "1")
    assert went_on_from(folder) == 4
    assert contents(folder) == contents(on_slurm)


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
