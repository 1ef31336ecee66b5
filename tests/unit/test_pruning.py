"""Stores of translations that a configuration no longer uses: what it may still need stays."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lingualift import pruning
from lingualift.cli import app
from lingualift.configuration.loading import load_run
from lingualift.locks import folder_lock
from lingualift.planning import STAGE_VERSIONS, Plan
from lingualift.pruning import find_stores, remove_unused
from lingualift.translation import model_key, translate_directions
from lingualift.translators import causal_engine, system_key

ROOT = Path(__file__).parents[2]
CODES = ["en", "de", "fr"]
RESULTS = Path("results/pruned")
SYSTEMS = {"It": {"model": "it", "prompt": "short"}, "Through": {"system": "It", "pivot": "fr"}}


class Says:
    """A translator that has an answer to everything."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings

    def plan(self, sentences, source, target):
        yield list(range(len(sentences))), sentences, 9

    def answer(self, prompts, longest):
        return [text.upper() for text in prompts]

    def settings(self, *languages):
        return [self._settings, languages]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder to run in, with a model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / "data/it").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / "data/it" / name).write_text(name)
    return tmp_path


def configured(systems: dict[str, Any] = SYSTEMS, directions: Any = "all") -> Path:
    path = Path("run.yaml")
    benchmark = {"reader": "multiway", "path": ".", "files": "test.{language}", "directions": directions}
    values = {
        "run": "pruned",
        "data": "data",
        "languages": CODES,
        "models": {"it": {"path": "it"}},
        "systems": systems,
        "benchmarks": {"test": benchmark},
    }
    path.write_text(yaml.safe_dump(values))
    return path


def keep(*routes: tuple[str, ...], config: Path, gpus: int = 0, weights: Any = None, version: int = 1) -> set[Path]:
    """What jobs of a configuration leave."""
    settings = Plan(load_run(config), gpus=gpus).system_settings("It")
    engine = causal_engine(settings["system"]["engine"])
    key = system_key(settings, weights or [model_key("data/it")], engine, version)
    before = stores()
    sources = {route: ["one", "two"] for route in routes}
    translate_directions(
        Says(settings["system"]), sources, state=RESULTS / "state/translations", key=key, out=Path("out.jsonl")
    )
    return stores() - before


def stores() -> set[Path]:
    return set((RESULTS / "state/translations").glob("*/*.jsonl"))


def unused(config: Path) -> set[Path]:
    return {path for it in find_stores(load_run(config), RESULTS) for path in it.unused}


def test_what_a_configuration_asks_for_stays_whatever_engine_its_jobs_choose(here) -> None:
    config = configured()
    for gpus in (0, 1):
        assert len(keep(("en", "fr"), ("fr", "en"), ("de", "fr", "en"), config=config, gpus=gpus)) == 3
    assert unused(config) == set() and len(stores()) == 6


def test_other_settings_weights_versions_and_directions_are_not_used(here) -> None:
    config = configured()
    used = keep(("en", "de"), ("en", "fr"), ("en", "fr", "de"), config=config)
    others = keep(("en", "de"), config=config, weights=[{"model.safetensors": "another"}])
    others |= keep(("en", "de"), config=config, version=99)
    others |= keep(("en", "zh"), config=config)
    for change in ({"beam": 2}, {"prompt": "alpaca"}):
        others |= keep(("en", "de"), config=configured({"It": {**SYSTEMS["It"], **change}}))
    assert len(used) == 3 and len(others) == 5
    assert unused(configured()) == others
    # How fast it is asked, and what it is called, is no matter.
    assert unused(
        configured({"Renamed": {**SYSTEMS["It"], "batch": 3}, "P": {"system": "Renamed", "pivot": "fr"}})
    ) == (others)
    # A pivot that is given up, a direction that is left out.
    second = {path for path in used if path.name.startswith("en-fr-de.")}
    assert len(second) == 1 and unused(configured({"It": SYSTEMS["It"]})) == others | second
    straight = {path for path in used if path.name.startswith("en-de.")}
    assert unused(configured(directions=["en-fr", "de-fr"])) == others | straight | second
    assert unused(configured({})) == others | used


def test_where_the_model_is_not_there_nothing_of_its_settings_is_given_up(here) -> None:
    config = configured()
    keep(("en", "de"), config=config, weights=[{"model.safetensors": "another"}])
    assert unused(config) == stores()
    (here / "data/it").rename(here / "data/elsewhere")
    assert unused(config) == set()
    assert unused(configured({"It": {**SYSTEMS["It"], "beam": 2}})) == stores()


def test_what_a_job_is_working_on_is_not_removed(here) -> None:
    config = configured()
    used = keep(("en", "de"), config=config)
    busy, idle = sorted(keep(("en", "zh"), ("zh", "en"), config=config))
    with folder_lock(busy):
        assert remove_unused(find_stores(load_run(config), RESULTS)) == 1
    assert stores() == {*used, busy} and not idle.exists()
    other = keep(("en", "de"), config=configured({"It": {**SYSTEMS["It"], "beam": 2}}))
    assert remove_unused(find_stores(load_run(configured()), RESULTS)) == 2
    assert stores() == used
    # Of a system without stores nothing stays.
    assert not any(path.parent.exists() for path in other)


def test_the_command_lists_and_removes_only_when_it_is_told_to(here) -> None:
    config, runner = configured(), CliRunner()
    used = keep(("en", "de"), config=config)
    others = keep(("en", "de"), ("de", "en"), config=configured({"It": {**SYSTEMS["It"], "beam": 2}}))
    size = sum(path.stat().st_size for path in others)
    configured()
    listed = runner.invoke(app, ["prune", str(config)])
    assert listed.exit_code == 0, listed.output
    line, total = listed.stdout.splitlines()
    assert line.startswith(
        f"{next(iter(others)).parent}: 2 of 2 directions, {size / 1e6:.1f} MB: model it, prompt short"
    )
    assert "beam 2" in line and "ctranslate2" in line
    assert total == f"2 stores, {size / 1e6:.1f} MB, that run.yaml does not use; `--yes` removes them"
    assert stores() == used | others
    assert runner.invoke(app, ["prune", str(config), "--yes"]).stdout.splitlines()[-1].endswith("; 2 removed")
    assert stores() == used
    assert runner.invoke(app, ["prune", str(config)]).stdout == "0 stores, 0.0 MB, that run.yaml does not use\n"


def test_all_stages_that_translate_have_one_version_so_that_they_share_what_they_translate() -> None:
    translating = {name: version for name, version in STAGE_VERSIONS.items() if name.startswith("translate_")}
    assert set(translating) == set(pruning._STAGES) and len(set(translating.values())) == 1
