"""What a run took, from Snakemake's files and SLURM's accounts."""

import csv
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lingualift.cli import app
from lingualift.errors import LingualiftError
from lingualift.runtimes import add_accounting, first_start, rule_runtimes, runtime_rows

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
