"""The cluster's profile plans the paper's run, and asks for what it says; no cluster is needed for that."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "profiles" / "slurm" / "config.yaml"
LOCAL = ("all", "mix_corpora", "make_table", "make_figure", "plot_training")


def plan(folder: Path, profile: Path, *arguments: str, options: tuple[str, ...] = ()) -> str:
    """What Snakemake would do in an empty folder that has the neighbours of the checkout."""
    for name in ("Snakefile", "config", "demo", "envs", "rules", "src", "workflow"):
        (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "snakemake", "--profile", str(profile.parent), "--dry-run", *options]
    done = subprocess.run(
        [*command, "--configfile", "config/llamax2.yaml", "--", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_paper_s_run_is_hundreds_of_jobs(tmp_path: Path) -> None:
    output = plan(tmp_path, PROFILE, options=("--quiet", "rules"))
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}
    sent = jobs["total"] - sum(jobs.get(name, 0) for name in LOCAL)
    assert jobs["translate_shard"] == 192
    assert 192 < sent < 400


@pytest.mark.slow
def test_what_is_commented_out_is_good_when_it_is_not(tmp_path: Path) -> None:
    """A user takes the marks away: all of it has to be understood."""
    text = PROFILE.read_text(encoding="utf-8")
    lines = [
        re.sub(r"^# (?=default-res|  - |slurm-qos|resources|set-res|  \w+: \{)", "", line) for line in text.splitlines()
    ]
    profile = tmp_path / "profile" / "config.yaml"
    profile.parent.mkdir()
    profile.write_text("\n".join(lines), encoding="utf-8")
    content = yaml.safe_load(profile.read_text(encoding="utf-8"))
    assert content["resources"] == ["gpu=24"] and len(content["set-resources"]) == 6
    folder = tmp_path / "run"
    folder.mkdir()
    output = plan(folder, profile, "results/llamax2/models/llamax2-alpaca", options=("--quiet", "rules"))
    assert re.search(r"^train_model +2$", output, re.MULTILINE)
    # Every rule that can use a GPU, and no other, is sent to where GPUs are.
    rules = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk")))
    able = {part.split(":")[0] for part in re.split(r"^rule ", rules, flags=re.MULTILINE)[1:] if "gpu=" in part}
    assert set(content["set-resources"]) == able


def test_nothing_scientific() -> None:
    content = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
    assert not {"config", "configfile", "configfiles", "seed"} & set(content)
    # Growing requests need further attempts, and the state of jobs is known without accounting.
    assert content["retries"] >= 2 and content["slurm-status-command"] == "squeue"
