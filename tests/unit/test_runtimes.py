"""What a run took, from Snakemake's files and SLURM's accounts."""

import csv
import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lingualift.cli import app
from lingualift.errors import LingualiftError
from lingualift.estimates.devices import DEVICES, device
from lingualift.estimates.efficiency import chosen_device, device_named, trained
from lingualift.runtimes import add_accounting, first_start, rule_runtimes, runtime_rows, training_rows, trainings

_HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
CONFIG = Path(__file__).parents[2] / "config" / "tiny.yaml"


@pytest.fixture
def runtimes(tmp_path):
    """Two trainings, and a job too short to be looked at."""
    lines = {
        "train_model/base.tsv": "100.0\t0:01:40\t800.0\t1\t1\t1\t1\t1\t190\t190.0\n",
        "train_model/lifted.tsv": "300.0\t0:05:00\t900.5\t1\t1\t1\t1\t1\t190\t410.0\n",
        "make_table/deep/er/main.tsv": "0.2\t0:00:00\t-\t-\t-\t-\t-\t-\t-\tNA\n",
    }
    for name, line in lines.items():
        path = tmp_path / "runtimes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_HEAD + line)
    return tmp_path / "runtimes"


def test_rules_are_summed_by_hand(runtimes):
    first, second, total = runtime_rows(rule_runtimes(runtimes), accounted=False)
    assert first == {
        "rule": "train_model",
        "jobs": "2",
        "hours": "0.111",
        "median s": "200.0",
        "longest s": "300.0",
        "cores used": "1.50",
        "most memory, MB": "900",
    }
    assert (second["rule"], second["jobs"], second["most memory, MB"]) == ("make_table", "1", "0")
    assert (total["rule"], total["jobs"], total["hours"]) == ("all", "3", "0.111")


def test_nothing_has_run(tmp_path):
    with pytest.raises(LingualiftError, match="no job has finished yet"):
        rule_runtimes(tmp_path)


def sacct(folder, monkeypatch, *lines):
    """A ``sacct`` that prints these lines; without ``--duplicates`` only the last attempt of each job."""
    command = folder / "sacct"
    numbers = [line.split("|")[0] for line in lines]
    last = [line for place, line in enumerate(lines) if numbers[place] not in numbers[place + 1 :]]
    every, few = ("cat <<'EOF'\n" + "\n".join(some) + "\nEOF\n" for some in (lines, last))
    command.write_text(f'#!/bin/sh\nif [ "$1" = --duplicates ]; then\n{every}else\n{few}fi\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_accounts_are_added_by_hand(runtimes, tmp_path, monkeypatch):
    job = "rule_train_model_wildcards_base"
    sacct(
        tmp_path,
        monkeypatch,
        f"7|lingualift_x|{job}|TIMEOUT|3600|billing=16,cpu=16,gres/gpu=8,mem=1G,node=1||{tmp_path}",
        "7.batch|batch||CANCELLED|3600|cpu=16|2048M|",
        f"8|lingualift_x|{job}|COMPLETED|1800|billing=16,cpu=16,gres/gpu:a100=8,gres/gpu=8,node=1||{tmp_path}",
        "8.0|python|ignored|COMPLETED|1790|cpu=16|1G|",
        # Of another folder, and not of ours.
        f"9|lingualift_y|{job}|COMPLETED|99999|cpu=1,gres/gpu=8||/elsewhere",
        f"10|bash||COMPLETED|99999|cpu=1||{tmp_path}",
    )
    found = rule_runtimes(runtimes)
    assert add_accounting(found, tmp_path, since="now-1days")
    row = runtime_rows(found, accounted=True)[0]
    # An hour and a half of eight GPUs and sixteen cores; 2,048 MiB.
    assert (row["GPU-hours held"], row["core-hours held"], row["attempts that broke off"]) == ("12.00", "24.00", "1")
    assert (row["most memory, MB"], row["hours of all attempts"]) == ("2147", "1.500")


def test_every_attempt_of_a_job_that_slurm_started_again_counts(runtimes, tmp_path, monkeypatch):
    job = f"lingualift_x|rule_train_model_wildcards_base|%s|%d|cpu=2,gres/gpu=1||{tmp_path}"
    sacct(
        tmp_path,
        monkeypatch,
        "7|" + job % ("REQUEUED", 3600),
        "7.0|python||CANCELLED|3600|cpu=2|2048M|",
        "7|" + job % ("PREEMPTED", 1800),
        "7.0|python||CANCELLED|1800|cpu=2|1G|",
        "7|" + job % ("COMPLETED", 900),
        "7.0|python||COMPLETED|900|cpu=2|1G|",
        "8|" + job % ("RUNNING", 900),
    )
    found = rule_runtimes(runtimes)
    assert add_accounting(found, tmp_path, since="now-1days")
    row = runtime_rows(found, accounted=True)[0]
    # An hour, half of one, and two quarters.
    assert (row["hours of all attempts"], row["GPU-hours held"], row["core-hours held"]) == ("2.000", "2.00", "4.00")
    assert (row["attempts that broke off"], row["most memory, MB"]) == ("2", "2147")


def test_slurm_is_asked_from_the_first_job_on(runtimes, tmp_path, monkeypatch):
    """By hand: a training of 300 s that ended at 12:00:00 UTC began at 11:55; all else came later."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    noon = 1795262400
    for path in runtimes.rglob("*.tsv"):
        os.utime(path, (noon + 9999, noon + 9999))
    os.utime(runtimes / "train_model/lifted.tsv", (noon, noon))
    assert first_start(runtimes) == "2026-11-21T11:55:00"
    with pytest.raises(LingualiftError, match="no job has finished yet"):
        first_start(tmp_path / "nothing")
    asked = tmp_path / "sacct"
    asked.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    asked.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/tiny").symlink_to(tmp_path)
    (tmp_path / "config").symlink_to(CONFIG.parent)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["runtimes", str(CONFIG)]).exit_code == 0
    assert "--starttime=2026-11-21T11:55:00" in (tmp_path / "asked").read_text()
    monkeypatch.delenv("TZ")
    time.tzset()


def test_ranks_of_several_nodes_are_slurm_s_to_see(runtimes, tmp_path, monkeypatch):
    """Snakemake measures the client of srun: 410 s of processor time and 900.5 MB are not the training's."""
    found = rule_runtimes(runtimes, nodes={"lifted": 2})
    first, _, total = runtime_rows(found, accounted=False)
    assert (first["jobs"], first["hours"]) == ("2", "0.111")
    assert {row[key] for row in (first, total) for key in ("cores used", "most memory, MB")} == {""}
    job = f"lingualift_x|rule_train_model_wildcards_lifted|%s|%d|cpu=8,node=2||{tmp_path}|%s"
    sacct(
        tmp_path,
        monkeypatch,
        "7|" + job % ("PREEMPTED", 500, "00:09:00"),
        "8|" + job % ("COMPLETED", 400, "01:06:40.500"),
        "8.0|python||COMPLETED|390|cpu=8|2048M||01:06:40",
    )
    assert add_accounting(found, tmp_path, since="now-1days")
    first = runtime_rows(found, accounted=True)[0]
    # 190 s in 100 s of the one, 4,000.5 s in 400 s of the other: 8.38 cores.
    assert (first["cores used"], first["most memory, MB"]) == ("8.38", "2147")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:05", 5), ("01:02.5", 62.5), ("02:00:01", 7201), ("1-00:00:02", 86402), ("", 0), ("INVALID", 0)],
)
def test_times_of_slurm(text, seconds):
    from lingualift.runtimes import _seconds

    assert _seconds(text) == seconds


def write_training(folder, lines, **details):
    """A model folder that tells of a training with batches of 4 blocks of 8 tokens."""
    folder.mkdir(parents=True)
    config = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 44}
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 200, "tie_word_embeddings": True}))
    last = lines[-1]["step"]
    recipe = {"batch": 4, "nodes": 1, "devices": 8} | details.pop("recipe", {})
    counts = {"steps": last, "tokens": last * 4 * 8}
    (folder / "manifest.json").write_text(json.dumps({"recipe": recipe, "counts": counts} | details))
    (folder / "training.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def line(step, speed, waiting=0.0):
    return {"step": step, "tokens_per_second": speed, "data_wait_share": waiting}


def test_share_of_the_peak_by_hand(tmp_path):
    """Steps of 32 tokens: one takes 2 s, nine take 9 s, ten 5 s, so 640 tokens 16 s, a quarter of the last 5 s waiting."""
    lines = [line(1, 16), line(10, 32), {"step": 10, "held_out_loss": 3.0}, line(20, 64, 0.25)]
    known = {"ranks": 2, "precision": "bfloat16", "gpu": "NVIDIA A100-SXM4-80GB"}
    it = trained(write_training(tmp_path / "it", lines, **known))
    # 6 x (2 x (4 x 32 x 32 + 3 x 32 x 44) + 200 x 32) + 12 x 2 x 32 x 8 operations a token.
    assert it.flops == 6 * (2 * (4096 + 4224) + 6400) + 6144
    assert it.timed == pytest.approx((640, 16, 1.25))
    (row,) = training_rows({"it": it})
    assert row == {
        "model": "it",
        "devices": "2",
        "GPU": "NVIDIA A100-SXM4-80GB",
        # 16 s are 0.0044 hours.
        "hours": "0.00",
        "device-hours": "0.01",
        "tokens/s": "40",
        "share of peak": "0.0%",
        "waiting for data": "7.81%",
    }
    # 40 tokens a second of 144,384 operations, of two devices of 10 MFLOP/s.
    unknown = trained(write_training(tmp_path / "unknown", lines, ranks=2, precision="bfloat16"))
    assert training_rows({"it": unknown}, device("mine", memory_gb=1, peak_tflops=1e-5))[0]["share of peak"] == "28.9%"
    # A CPU has no peak that anybody knows, whatever GPU is named; nor has a GPU that nobody names.
    cpu = trained(write_training(tmp_path / "cpu", lines, ranks=2, gpu=""))
    assert training_rows({"it": cpu}, DEVICES["h100"])[0]["share of peak"] == ""
    assert training_rows({"it": unknown})[0]["share of peak"] == ""


def test_steps_taken_twice_are_there_twice(tmp_path):
    """Stopped behind step 15 and gone on with from step 10: of 32 tokens, 10 + 5 + 8 steps, at a step a second."""
    lines = [line(10, 32), line(15, 32), line(12, 32), line(20, 32)]
    assert trained(write_training(tmp_path / "it", lines)).timed[:2] == (23 * 32, 23)


def test_trainings_share_the_line_of_their_rule(runtimes, tmp_path):
    gpu = {"ranks": 1, "precision": "bfloat16", "gpu": "NVIDIA A100-SXM4-80GB"}
    # Of the peak, which is 312e12: one does 1e9 tokens a second, the other half as many for twice as long.
    write_training(tmp_path / "models/base", [line(1, 1e9, 0.3)], **gpu)
    write_training(tmp_path / "models/lifted", [line(1, 0.5e9)], **gpu)
    (tmp_path / "models/fetched").mkdir()
    runs = trainings(tmp_path / "models")
    assert list(runs) == ["base", "lifted"]
    first, second, total = runtime_rows(rule_runtimes(runtimes), accounted=False, runs=runs)
    # 64 tokens in 96 ns: 2 / 3 of 1e9 a second, of 144,384 operations; 0.3 of 32 ns waiting.
    assert first["share of peak"] == f"{2 / 3 * 1e9 * 144_384 / 312e12:.1%}" == "30.9%"
    assert first["waiting for data"] == "10.00%"
    assert second["share of peak"] == total["share of peak"] == ""
    # One device that nobody knows, and nobody knows of them all.
    write_training(tmp_path / "models/other", [line(1, 1e9)], ranks=1, gpu="NVIDIA Z999")
    runs = trainings(tmp_path / "models")
    assert runtime_rows(rule_runtimes(runtimes), accounted=False, runs=runs)[0]["share of peak"] == ""


@pytest.mark.parametrize(
    ("driver", "name"),
    # As torch.cuda.get_device_name prints them.
    [
        ("NVIDIA A100-SXM4-80GB", "a100-80"),
        ("NVIDIA A100-SXM4-40GB", "a100-40"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("Tesla V100-SXM2-32GB", "v100-32"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA L40S", "l40s"),
        ("AMD Instinct MI300X", "mi300x"),
        # Other boards, other peaks.
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA H100 NVL", None),
        ("NVIDIA L40", None),
        ("NVIDIA GH200 480GB", None),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", None),
        ("", None),
    ],
)
def test_devices_by_their_driver_s_names(driver, name):
    assert device_named(driver) is DEVICES.get(name)


def test_named_devices():
    assert chosen_device(None) is None
    assert chosen_device("h100").peak == 989e12
    assert chosen_device("mine", 3).peak_in("float32") == 3e12
    with pytest.raises(LingualiftError, match=r"no GPU 'mine'.*--peak"):
        chosen_device("mine")


def test_no_accounts(runtimes, tmp_path, monkeypatch):
    found = rule_runtimes(runtimes)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not add_accounting(found, tmp_path, since="now-1days")


def test_command_writes_a_table(runtimes, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/tiny").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "config").symlink_to(CONFIG.parent)
    done = CliRunner().invoke(app, ["runtimes", str(CONFIG)])
    assert done.exit_code == 0, done.output
    with (tmp_path / "tables/runtimes.csv").open(newline="") as file:
        assert [row["rule"] for row in csv.DictReader(file)] == ["train_model", "make_table", "all"]
    assert "SLURM keeps no accounts here" in done.output
