"""Real runs of the tiny preset: made once, not again, after a change just what depends on it, and through kill -9."""

import base64
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lingualift.configuration.loading import load_run
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config", "envs", "profiles", "rules", "src", "workflow", "demo/data")
RESULTS = "results/tiny"

pytestmark = pytest.mark.slow


def checkout(folder: Path) -> Path:
    """What a run needs of the project, in a folder of its own."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, folder / part)
    return folder


def snakemake(folder: Path, *arguments: str, config: str = "config/tiny.yaml") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/local", "--configfile", config, *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A group of its own, to be killed with all its jobs.
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "XDG_CACHE_HOME": str(folder / "cache")},
    )


def output_of(folder: Path, *arguments: str, config: str = "config/tiny.yaml", status: int = 0) -> str:
    process = snakemake(folder, *arguments, config=config)
    output, _ = process.communicate()
    assert process.returncode == status, output
    return output


def planned(folder: Path, *arguments: str, config: str = "config/tiny.yaml") -> dict[str, int]:
    """How many jobs of each rule a dry run names."""
    output = output_of(folder, "--dry-run", *arguments, config=config)
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a finished run."""
    folder = checkout(tmp_path_factory.mktemp("finished"))
    output_of(folder)
    return folder


def test_every_target_is_made(finished: Path) -> None:
    plan = Plan(load_run(finished / "config/tiny.yaml", root=finished))
    assert [path for path in plan.targets() if not (finished / RESULTS / path).exists()] == []
    assert not [path for path in (finished / RESULTS / "state").rglob("*") if path.name.startswith("checkpoint-")]


def test_the_report_shows_tables_before_figures_with_their_captions(finished: Path) -> None:
    output_of(finished, "--report", "report.html")
    page = (finished / "report.html").read_text(encoding="utf-8")

    def told(name: str) -> dict[str, Any]:
        """What the page's own script holds under a name."""
        return json.loads(re.search(rf"var {name} = (\{{.*?\}});\s*</script>", page, re.DOTALL)[1])

    tables, pictures = f"{RESULTS}/tables/main.html", f"{RESULTS}/figures/direction_matrix/Lifted-Alpaca.held-out.png"
    categories = {
        name: [path for paths in found.values() for path in paths] for name, found in told("categories").items()
    }
    assert list(categories)[:2] == ["1 Tables", "2 Figures"]
    assert categories["1 Tables"] == [tables] and categories["2 Figures"] == [pictures]
    results = told("results")
    # In the order of the configuration; of a second label with two values the page would make a switch, and break.
    assert results[tables]["labels"] == {"table": "01 main"}
    assert results[pictures]["labels"] == {"figure": "01 direction_matrix: Lifted-Alpaca.held-out"}
    assert "The best of a row is bold" in results[tables]["caption"]
    assert "Metric: chrf. Rows are source languages" in results[pictures]["caption"]
    # Each is in the page itself, as it was made.
    for path, kind in ((tables, "text/html"), (pictures, "image/png")):
        start, content = results[path]["data_uri"].split(";base64,")
        assert start.startswith(f"data:{kind}")
        assert base64.b64decode(content) == (finished / path).read_bytes()


def test_second_run_does_nothing(finished: Path) -> None:
    assert "Nothing to be done" in output_of(finished)


def test_another_rate_reruns_what_depends_on_it_and_nothing_else(finished: Path) -> None:
    text = (finished / "config/tiny.yaml").read_text(encoding="utf-8")
    assert "rate: 0.3" in text
    (finished / "config/changed.yaml").write_text(text.replace("rate: 0.3", "rate: 0.4"), encoding="utf-8")
    assert planned(finished, config="config/changed.yaml") == {
        "augment_corpus": 1,
        "mix_corpora": 1,
        "pack_mixture": 1,
        "describe_mixture": 1,
        "train_model": 2,
        "plot_training": 2,
        "convert_model": 1,
        "translate_shard": 2,
        "score_hypotheses": 2,
        "make_table": 1,
        "make_figure": 1,
        "all": 1,
        "total": 16,
    }


def test_a_smaller_batch_reruns_nothing(finished: Path) -> None:
    text = (finished / "config/tiny.yaml").read_text(encoding="utf-8")
    assert "max_new_tokens: 32}" in text
    changed = text.replace("max_new_tokens: 32}", "max_new_tokens: 32, batch: 4}")
    (finished / "config/changed.yaml").write_text(changed, encoding="utf-8")
    assert "Nothing to be done" in output_of(finished, "--dry-run", config="config/changed.yaml")


def test_a_comment_reruns_nothing(finished: Path) -> None:
    for path in ("config/tiny.yaml", "workflow/scripts/train_model.py", "rules/models.smk", "src/lingualift/mixing.py"):
        with (finished / path).open("a", encoding="utf-8") as file:
            file.write("\n# A remark.\n")
    assert "Nothing to be done" in output_of(finished, "--dry-run")


def test_lint_finds_nothing_else(finished: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint", "--configfile", "config/tiny.yaml"],
        cwd=finished,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    # One environment of pinned pip files serves all rules (envs/): none has one of its own.
    assert set(re.findall(r"^    \* (.*)", output, re.MULTILINE)) <= {
        "Specify a conda environment or container for each rule.:"
    }
    assert "Lints for rule" in output or "Congratulations" in output, output


@pytest.mark.parametrize(("there", "asked"), [({}, 0), ({"gpu": 4}, 1)])
def test_gpus_are_asked_for_where_the_profile_says_there_are_some(
    finished: Path, monkeypatch: pytest.MonkeyPatch, there: dict[str, int], asked: int
) -> None:
    from snakemake.api import ConfigSettings, ResourceSettings, SnakemakeApi

    monkeypatch.chdir(finished)
    with SnakemakeApi() as api:
        workflow = api.workflow(
            snakefile=Path("Snakefile"),
            resource_settings=ResourceSettings(cores=1, resources=there),
            config_settings=ConfigSettings(configfiles=[Path("config/tiny.yaml")]),
        )._workflow
        gpus = {rule.name: rule.resources["gpu"] for rule in workflow.rules if "gpu" in rule.resources}
    translating = {"translate_shard", "translate_legs", "translate_through_pivot", "translate_supplement"}
    assert set(gpus) == {"train_model", "score_comet", *translating}
    assert gpus["translate_shard"].value == asked


# kill -9

# A file that comes up at each moment.
MOMENTS = {
    "packing": "logs/pack_mixture/*.log",
    "training": "state/models/base/*/checkpoint-*",
    "training further": "state/models/lifted/*/checkpoint-4",
    "translating": "state/translations/*/*.held",
}
# A job is done with its few sentences in no time: it waits with those of its first batch in the store.
HOLD = """

_add = TranslationStore.add


def _hold(self, *translations):
    import time

    count = _add(self, *translations)
    if Path("hold").exists():
        Path(f"{self.path}.held").touch()
    while Path("hold").exists():
        time.sleep(0.05)
    return count


TranslationStore.add = _hold
"""

# The systems of config/tiny.yaml by their models, and its directions, every second one in a shard.
SYSTEMS = {"base": "Base", "lifted-alpaca": "Lifted-Alpaca"}
DIRECTIONS = ["de-en", "de-zh", "en-de", "en-zh", "zh-de", "zh-en"]


def hold_translations(folder: Path) -> Path:
    """Have the translations of a checkout wait while there is the file that is returned."""
    with (folder / "src/lingualift/stores.py").open("a", encoding="utf-8") as file:
        file.write(HOLD)
    (folder / "hold").touch()
    return folder / "hold"


def product(results: Path, found: Path) -> Path:
    """The manifest that the job ends with which wrote a file, both from the folder of results."""
    match found.parts:
        case "logs", "pack_mixture", log:
            mixture, model, _ = log.split(".")
            return Path("mixtures", mixture, "packed", model, "manifest.json")
        case "state", "models", model, *_:
            return Path("models", model, "manifest.json")
        case "state", "translations", folder, store:
            made = json.loads((results / "state/translations" / folder / "system.json").read_text(encoding="utf-8"))
            shard = DIRECTIONS.index(store.split(".")[0]) % 2
            return Path("hypotheses", SYSTEMS[made["translator"][0]["model"]], "held-out", f"{shard}.manifest.json")
    raise ValueError(found)


def kill_at(folder: Path, moment: str) -> bool:
    """Start a run and kill all of it shortly after a file has come up; False where its job was done before."""
    results = folder / RESULTS
    process, found = snakemake(folder), []
    while process.poll() is None and not found:
        time.sleep(0.01)
        found = list(results.glob(moment))
    time.sleep(random.Random().uniform(0, 0.1))
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return bool(found) and not (results / product(results, found[0].relative_to(results))).exists()


def test_kill_9_changes_no_result(finished: Path, tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    midway = []
    for name, moment in MOMENTS.items():
        hold = hold_translations(folder) if name == "translating" else None
        if kill_at(folder, moment):
            midway.append(name)
        if len(midway) == 1:
            # What a user sees then, and is told to do.
            assert "--unlock" in output_of(folder, status=1)
        output_of(folder, "--unlock")
    # The second training may have been over by then.
    assert [name for name in midway if name != "training further"] == ["packing", "training", "translating"]
    hold.unlink()
    output_of(folder)
    assert contents(folder) == contents(finished)


def contents(folder: Path) -> dict[str, Any]:
    """What a run made, by path, without the time that it took."""
    found = {}
    for path in sorted((folder / RESULTS).rglob("*")):
        name = str(path.relative_to(folder / RESULTS))
        if not path.is_file() or name.startswith(("logs/", "runtimes/", "state/", "figures/training/")):
            continue
        found[name] = without_time(path)
    assert any(name.endswith(".safetensors") for name in found)
    assert any(name.startswith("hypotheses/") for name in found)
    return found


def without_time(path: Path) -> Any:
    if path.name.endswith("manifest.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        # Inputs and sources are checksums, also of manifests, which hold times of their own.
        return {key: value for key, value in manifest.items() if key not in ("seconds", "inputs", "sources")}
    if path.name == "training.jsonl":
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [(line["step"], line["loss"], line["grad_norm"]) for line in lines]
    return path.read_bytes()
