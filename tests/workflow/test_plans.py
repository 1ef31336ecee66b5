"""Snakemake plans every preset completely, without its data."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lingualift.configuration.loading import read_yaml

ROOT = Path(__file__).parents[2]


def dry_run(folder, config, *arguments):
    """Snakemake's account of what it would run in an empty folder."""
    said = dry_run_output(folder, config, *arguments)
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)}


def dry_run_output(folder, config, *arguments):
    """What Snakemake says when it plans in an empty folder."""
    # A workflow's paths start where it is run: here, an empty folder that has the same neighbours.
    for name in ("Snakefile", "config", "demo", "envs", "rules", "src", "workflow"):
        (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--quiet", "rules"]
    done = subprocess.run(
        [*command, "--configfile", config, "--", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["demo", "multi30k", "ntrex", "llamax2", "evaluation"])
def test_presets_are_planned_completely(tmp_path, name):
    preset = read_yaml(ROOT / "config" / f"{name}.yaml")
    jobs = dry_run(tmp_path, f"config/{name}.yaml")
    assert jobs["total"] < 2000
    assert (jobs["make_table"], jobs["make_figure"]) == (len(preset["tables"]), len(preset["figures"]))
    # One alone shows scores of COMET.
    assert ("build_comet_environment" in jobs) == (name == "evaluation")
    assert "fetch_model" not in jobs


def test_a_model_of_the_hub_is_fetched(tmp_path):
    text = (ROOT / "config" / "llamax2.yaml").read_text(encoding="utf-8")
    hub = "llama2: {hub: {name: meta-llama/Llama-2-7b-hf, revision: 0123456789abcdef0123456789abcdef01234567}}"
    assert "llama2: {path: models/Llama-2-7b-hf}" in text
    config = tmp_path / "hub.yaml"
    config.write_text(text.replace("llama2: {path: models/Llama-2-7b-hf}", hub), encoding="utf-8")
    folder = tmp_path / "run"
    folder.mkdir()
    jobs = dry_run(folder, str(config), "models")
    assert jobs["fetch_model"] == 1
    assert jobs["train_model"] == 3


def test_the_comet_environment_is_a_target_of_its_own(tmp_path):
    jobs = dry_run(tmp_path, "config/demo.yaml", "build_comet_environment")
    assert jobs == {"build_comet_environment": 1, "total": 1}


def test_a_public_set_that_is_not_there_is_named_with_its_download(tmp_path):
    said = dry_run_output(tmp_path, "config/evaluation.yaml", "table4")
    assert re.search(
        r"benchmarks\.flores101: not there: .*, `snakemake fetch_flores101` downloads them; the run can", said
    )
    # What nobody publishes so has no such target.
    assert re.search(r"models/\S+; the run can be planned, not run", said)


def test_tables_and_figures_are_targets_by_their_names(tmp_path):
    """Published scores want no model and no test set."""
    jobs = dry_run(tmp_path, "config/evaluation.yaml", "table4", "figure1", "figure5")
    made = {"read_published_scores": 5, "make_table": 1, "make_figure": 2, "table4": 1, "figure1": 1, "figure5": 1}
    assert jobs == {**made, "total": 11}
