"""What is planned to be fetched from the hub; tests/scripts/test_fetch.py has the downloads."""

from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from lingualift.configuration.corpora import AnyCorpus
from lingualift.configuration.loading import ConfigurationError, load_run
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def plan(**changes):
    values = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"))
    for section, entries in changes.items():
        values[section].update(entries)
    return Plan(load_run(values, root=ROOT))


WEB = {
    "reader": "datasets",
    "path": "web/{language}",
    "codes": "mc4",
    "text_field": "text",
    "languages": ["de", "ru"],
    "hub": {"name": "owner/web", "revision": COMMIT, "files": "{language}/*.parquet"},
}


def test_a_folder_a_language_with_the_codes_of_the_data_set():
    it = plan(corpora={"web": WEB})
    assert {folder: hub.files for folder, hub in it.fetched_datasets().items()} == {
        "web/de": "de/*.parquet",
        "web/ru": "ru/*.parquet",
    }
    assert it.fetched_dataset_settings("web/ru") == {"name": "owner/web", "revision": COMMIT, "files": "ru/*.parquet"}


def test_what_is_fetched_is_an_input_before_it_is_there_and_not_missing():
    it = plan(corpora={"web": WEB})
    assert it.raw_files("corpora", "web") == [str(ROOT / "demo/data/web/de"), str(ROOT / "demo/data/web/ru")]
    assert "corpora.web" not in it.missing_data()


def test_a_model_of_the_hub_lives_in_the_run_and_is_the_tokenizer_of_its_chain():
    it = plan(
        models={
            "llama": {"hub": {"name": "owner/llama", "revision": COMMIT}},
            "tuned": {"from": "llama", "finetune": {"mixture": "instructions", "recipe": "tune"}},
        }
    )
    assert it.fetched_models() == ["llama"]
    assert it.fetched_model_settings("llama") == {"name": "owner/llama", "revision": COMMIT}
    assert it.model_inputs("tuned") == {
        "blocks": "mixtures/instructions/packed/llama",
        "tokenizer": "models/llama",
        "base": "models/llama",
    }
    assert "llama" not in it.trained_models()


def test_a_base_that_exists_has_no_stage_of_its_own():
    with pytest.raises(ConfigurationError, match=r"models\.llama: .*give the trained model a `from`"):
        plan(
            models={
                "llama": {"path": "llama", "finetune": {"mixture": "instructions", "recipe": "tune"}},
            }
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "/web/{language}"}, "a folder under the data folder"),
        ({"path": "web/{language}/*"}, "without globs"),
        ({"hub": {**WEB["hub"], "files": "{source}.json"}}, r"\{source\} in 'hub' is not in 'path'"),
        ({"hub": {**WEB["hub"], "configuration": "a"}}, "not both"),
        ({"hub": {**WEB["hub"], "revision": "main"}}, "revision"),
    ],
)
def test_what_could_not_be_fetched_the_same_way_again_is_an_error(changes, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(AnyCorpus).validate_python({**WEB, **changes})
