"""What is not there of what a run reads, and what is odd about it, before anything runs."""

import json
from pathlib import Path

import pytest

from lingualift.configuration.loading import load_run
from lingualift.errors import LingualiftError
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]
SYSTEMS = {"Theirs": {"hypotheses": "theirs/{source}-{target}.txt"}}
BENCHMARKS = {"test": {"reader": "multiway", "path": "test", "files": "test.{language}"}}
MIXTURES = {"first": {"components": [{"corpus": "english"}]}, "tasks": {"components": [{"corpus": "tasks"}]}}
CORPORA = {
    "english": {"reader": "lines", "path": "english.txt", "language": "en"},
    "tasks": {"reader": "alpaca", "path": "tasks.json"},
}


def plan(folder, **sections):
    values = {"run": "test", "data": str(folder), "languages": ["en", "de", "fr"], **sections}
    return Plan(load_run(values, root=ROOT, file="run.yaml"))


def scored(folder, metrics, *, named=None, systems=SYSTEMS):
    """A plan with a table of some metrics; what is missing of these."""
    table = {"systems": list(systems), "benchmarks": ["test"], "metrics": named or list(metrics)}
    it = plan(folder, systems=systems, benchmarks=BENCHMARKS, metrics=metrics, tables={"t": table})
    return {name: files for name, files in it.missing_data().items() if name.startswith("metrics.")}


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("dog Hund\n", encoding="utf-8")


def test_sacrebleus_model_is_missed_before_training(tmp_path, monkeypatch):
    monkeypatch.delenv("SACREBLEU", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    file = ".sacrebleu/models/flores200sacrebleuspm"
    metrics = {"spbleu": {"name": "spbleu"}, "unused": {"name": "spbleu", "tokenizer": "flores101"}}
    assert scored(tmp_path, metrics, named=["spbleu", "chrf"]) == {"metrics.spbleu": [str(tmp_path / file)]}
    touch(tmp_path, file)
    assert scored(tmp_path, metrics, named=["spbleu", "chrf"]) == {}
    monkeypatch.setenv("SACREBLEU", str(tmp_path / "elsewhere"))
    assert list(scored(tmp_path, metrics, named=["spbleu"])) == ["metrics.spbleu"]


def test_scores_of_others_need_no_tokenizer(tmp_path, monkeypatch):
    monkeypatch.setenv("SACREBLEU", str(tmp_path / "none"))
    systems = {"Published": {"scores": {"spbleu": "theirs.csv"}, "benchmark": "test"}}
    assert scored(tmp_path, {"spbleu": "spbleu"}, systems=systems) == {}


@pytest.mark.parametrize(
    ("metric", "files"),
    [
        ({"name": "spbleu", "tokenizer": "spm:my/own.model"}, ["my/own.model"]),
        ({"name": "R_X", "detector": "fasttext", "model": "lid.176.bin"}, ["lid.176.bin"]),
        ({"name": "comet", "checkpoint": "da"}, ["da/hparams.yaml", "da/checkpoints/model.ckpt"]),
        (
            {"name": "comet", "checkpoint": "da", "encoder": "xlmr"},
            ["da/hparams.yaml", "da/checkpoints/model.ckpt", "xlmr/config.json"],
        ),
    ],
)
def test_the_models_of_metrics_are_missed(tmp_path, metric, files):
    assert scored(tmp_path, {"m": metric}) == {"metrics.m": [str(tmp_path / file) for file in files]}
    touch(tmp_path, *files)
    if "checkpoint" in metric:
        (tmp_path / "da" / "hparams.yaml").write_text("class_identifier: regression_metric\n", encoding="utf-8")
    assert scored(tmp_path, {"m": metric}) == {}


def test_the_encoder_that_a_checkpoint_names_is_missed(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    touch(tmp_path, "da/hparams.yaml", "da/checkpoints/model.ckpt")
    (tmp_path / "da" / "hparams.yaml").write_text("pretrained_model: owner/encoder\n", encoding="utf-8")
    metrics = {"m": {"name": "comet", "checkpoint": "da"}}
    assert scored(tmp_path, metrics) == {"metrics.m": ["owner/encoder/config.json"]}
    cached = "cache/models--owner--encoder"
    touch(tmp_path, f"{cached}/snapshots/abc/config.json", f"{cached}/refs/main")
    (tmp_path / cached / "refs" / "main").write_text("abc", encoding="utf-8")
    assert scored(tmp_path, metrics) == {}


def test_published_scores_are_missed(tmp_path):
    systems = {"Published": {"scores": {"chrf": "theirs.csv"}, "benchmark": "test"}}
    assert plan(tmp_path, systems=systems, benchmarks=BENCHMARKS).missing_data()["systems.Published"] == [
        str(tmp_path / "theirs.csv")
    ]


def test_a_dictionary_of_other_files_is_missed(tmp_path):
    touch(tmp_path, "muse/README", "muse/en-cs.txt")
    words = {"muse": {"reader": "muse", "path": "muse"}}
    missed = {"dictionaries.muse": [str(tmp_path / "muse" / "{source}-{target}.txt")]}
    assert plan(tmp_path, dictionaries=words).missing_data() == missed
    touch(tmp_path, "muse/en-de.txt")
    assert plan(tmp_path, dictionaries=words).missing_data() == {}


@pytest.mark.parametrize("section", ["models", "systems"])
def test_what_a_models_folder_lacks(tmp_path, section):
    entry = {"path": "base"} if section == "models" else {"translator": "base", "family": "nllb"}

    def missed():
        return plan(tmp_path, benchmarks=BENCHMARKS, **{section: {"m": entry}}).missing_data().get(f"{section}.m", [])

    assert missed() == [str(tmp_path / "base")]
    touch(tmp_path, "base/config.json", "base/pytorch_model.bin")
    assert missed() == [str(tmp_path / "base" / "*.safetensors")]
    touch(tmp_path, "base/model.safetensors")
    assert missed() == []


def test_pairs_outside_the_run_are_said(tmp_path):
    corpora = {
        "ted": {
            "reader": "aligned",
            "path": "ted",
            "files": "{source}-{target}.{language}",
            "pairs": [["en", "de"], ["en", "cs"], ["cs", "de"]],
        },
        "all": {"reader": "tsv", "path": "t.tsv", "columns": {"en": 0, "de": 1, "uk": 2}},
        "sides": {
            "reader": "tsv",
            "path": "t.tsv",
            "header": True,
            "columns": {"source": "a", "target": "b"},
            "pair": ["en", "de"],
        },
    }
    assert plan(tmp_path, corpora=corpora).remarks() == {
        "corpora.ted": "left out, as the run lacks a language: en-cs and 1 more",
        "corpora.all": "left out, as the run lacks a language: uk",
    }


def asked(folder, system, *, mixtures=MIXTURES):
    models = {
        "base": {"scratch": {}, "pretrain": {"mixture": "first", "recipe": "r"}},
        "tuned": {"from": "base", "finetune": {"mixture": "tasks", "recipe": "r"}},
        # Trained on: what it was tuned to answer is what it was tuned to before.
        "more": {"from": "tuned", "pretrain": {"mixture": "first", "recipe": "r"}},
        "theirs": {"path": "theirs"},
    }
    recipes = {"r": {"learning_rate": 0.1, "batch": 8}}
    sections = {"corpora": CORPORA, "mixtures": mixtures, "models": models, "recipes": recipes}
    return plan(folder, **sections, systems={"S": system}).remarks()


@pytest.mark.parametrize(
    ("model", "prompt", "said"),
    [
        ("tuned", "alpaca", False),
        ("tuned", "short", True),
        ("more", "short", True),
        ("more", "alpaca", False),
        ("base", "short", False),
        ("theirs", "short", False),
        # The tokenizer's own form.
        ("tuned", "chat", False),
    ],
)
def test_another_prompt_than_the_tuned_one_is_said(tmp_path, model, prompt, said):
    expected = "asks with the prompt 'short'; its model was tuned with 'alpaca' (mixtures.tasks)"
    assert asked(tmp_path, {"model": model, "prompt": prompt}) == ({"systems.S": expected} if said else {})


def test_the_words_of_a_translation_matter_where_they_were_tuned_on(tmp_path):
    prompts = {name: {"with_input": "{instruction}\n{input}", "without_input": "{instruction}"} for name in "ab"}
    prompts["b"]["translation"] = "{target} for {source}, please"
    (tmp_path / "prompts.yaml").write_text(json.dumps(prompts), encoding="utf-8")
    corpora = {**CORPORA, "pairs": {"reader": "multiway", "path": "p", "files": "{language}"}}

    def remarks(components):
        return plan(
            tmp_path,
            prompts_file=str(tmp_path / "prompts.yaml"),
            corpora=corpora,
            mixtures={"m": {"components": components, "prompt": "a"}},
            recipes={"r": {"learning_rate": 0.1, "batch": 8}},
            models={"tuned": {"scratch": {}, "pretrain": {"mixture": "m", "recipe": "r"}}},
            systems={"S": {"model": "tuned", "prompt": "b"}},
        ).remarks()

    assert remarks([{"corpus": "tasks"}]) == {}
    assert list(remarks([{"corpus": "tasks"}, {"corpus": "pairs", "format": "instruction"}])) == ["systems.S"]


def test_a_system_that_translates_nothing_is_said_with_the_file(tmp_path):
    systems = {"Nllb": {"translator": "nllb", "family": "nllb"}}
    table = {"systems": ["Nllb"], "benchmarks": ["test"], "metrics": ["chrf"]}
    (tmp_path / "nllb").mkdir()
    languages = ROOT / "config" / "languages.tsv"
    rows = [line.split("\t") for line in languages.read_text(encoding="utf-8").splitlines()]
    header = next(row for row in rows if row[0] == "code")
    for row in rows:
        if row[0] in ("en", "de", "fr"):
            row[header.index("nllb")] = ""
    (tmp_path / "languages.tsv").write_text("\n".join(map("\t".join, rows)) + "\n", encoding="utf-8")
    it = plan(
        tmp_path,
        languages_file=str(tmp_path / "languages.tsv"),
        systems=systems,
        benchmarks=BENCHMARKS,
        tables={"t": table},
    )
    with pytest.raises(LingualiftError, match=r"^run\.yaml: systems\.Nllb: it cannot translate one direction"):
        it.remarks()
