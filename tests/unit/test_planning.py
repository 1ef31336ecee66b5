"""Planning: what each job reads and is told, and that a change reaches what depends on it and nothing else."""

import copy
import time
from pathlib import Path

import pytest
import yaml

from lingualift.configuration.loading import load_run
from lingualift.configuration.mixtures import Mixture
from lingualift.languages import load_languages
from lingualift.planning import STAGE_VERSIONS, Plan, summary

ROOT = Path(__file__).parents[2]

CONFIGURATION = yaml.safe_load("""
run: test
data: data
languages: [en, de, fr]
corpora:
  captions: {reader: multiway, path: captions, files: "train.{language}"}
  english: {reader: lines, path: english.txt, language: en}
  spare: {reader: lines, path: spare.txt, language: en}
  tasks: {reader: alpaca, path: tasks.json}
  more: {reader: translated, source: spare, system: Plain, of: [captions]}
dictionaries:
  muse: {reader: muse, path: muse}
augmentations:
  few: {dictionary: muse, source: captions, rate: 0.3}
  many: {dictionary: muse, source: captions, rate: 0.6}
mixtures:
  first: {components: [{corpus: english}, {corpus: captions, sample: 0.02, directions: {from: [en], to: [de]}}]}
  lifting: {components: [{corpus: captions}, {corpus: more}, {augmentation: few}], block: 256}
  lifting-many: {components: [{corpus: captions}, {corpus: more}, {augmentation: many}], block: 256}
  tasks: {components: [{corpus: tasks}], loss: response}
recipes:
  train: {learning_rate: 0.001, batch: 8}
models:
  base: {scratch: {}, pretrain: {mixture: first, recipe: train}}
  plain: {from: base, finetune: {mixture: tasks, recipe: train}}
  lifted: {from: base, pretrain: {mixture: lifting, recipe: train}}
  lifted-many: {from: base, pretrain: {mixture: lifting-many, recipe: train}, ablates: lifted}
  tuned: {from: lifted, finetune: {mixture: tasks, recipe: train}}
  bought: {path: models/bought}
  bought-tuned: {from: bought, finetune: {mixture: tasks, recipe: train}}
systems:
  Plain: {model: plain, engine: transformers}
  Tuned: {model: tuned, engine: ctranslate2}
benchmarks:
  test: {reader: multiway, path: captions, files: "test.{language}", shards: 4, directions: {centre: [en]}}
tables:
  main: {systems: [Plain, Tuned], benchmarks: [test], metrics: [chrf]}
figures:
  matrix: {kind: direction_matrix, systems: [Tuned], benchmarks: [test], metric: bleu}
""")


def plan(change=None):
    values = copy.deepcopy(CONFIGURATION)
    for path, value in (change or {}).items():
        *keys, last = path.split("/")
        at = values
        for key in keys:
            at = at[int(key)] if isinstance(at, list) else at[key]
        at[int(last) if isinstance(at, list) else last] = value
    return Plan(load_run(values, root=ROOT))


def all_settings(plan):
    """The settings of every job, as the rules look them up."""
    entries = plan.configuration
    jobs = {
        **{("corpus", name): plan.corpus_settings(name) for name in plan.imported_corpora()},
        **{("supplement", name): plan.supplement_settings(name) for name in plan.translated_corpora()},
        **{("benchmark", name): plan.benchmark_settings(name) for name in entries.benchmarks},
        **{("lexicon", name): plan.lexicon_settings(name) for name in entries.dictionaries},
        **{("augmentation", name): plan.augmentation_settings(name) for name in entries.augmentations},
        **{("mixture", name): plan.mixture_settings(name) for name in entries.mixtures},
        **{("tokenizer", name): plan.tokenizer_settings(name) for name in plan.scratch_models()},
        **{("model", name): plan.model_settings(name) for name in plan.trained_models()},
        **{("table", name): plan.table_settings(name) for name in entries.tables},
        **{("figure", name): plan.figure_settings(name) for name in entries.figures},
    }
    for system in entries.systems:
        for benchmark in entries.benchmarks:
            jobs["scores", system, benchmark] = plan.score_settings(system, benchmark)
            for shard in range(plan.shards(benchmark)):
                jobs["shard", system, benchmark, shard] = plan.translation_settings(system, benchmark, shard)
    return jobs


def differing(change):
    """The jobs whose settings a change alters."""
    before, after = all_settings(plan()), all_settings(plan(change))
    return {job for job in before | after if before.get(job) != after.get(job)}


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        ({"augmentations/few/rate": 0.5}, {("augmentation", "few")}),
        ({"corpora/english/max_characters": 500}, {("corpus", "english")}),
        ({"dictionaries/muse/hops": 2}, {("lexicon", "muse")}),
        ({"mixtures/lifting/block": 128}, {("mixture", "lifting")}),
        ({"mixtures/first/components/0/sample": 0.5}, {("mixture", "first"), ("tokenizer", "base")}),
        ({"tables/main/caption": "Main results."}, {("table", "main")}),
        ({"tables/main/metrics": ["chrf", "bleu"]}, {("table", "main"), ("scores", "Plain", "test")}),
        (
            {"recipes/train/learning_rate": 0.01},
            {("model", name) for name in CONFIGURATION["models"] if name != "bought"},
        ),
        (
            {"systems/Tuned/beam": 5},
            {("shard", "Tuned", "test", shard) for shard in range(4)},
        ),
        # What translates a supplement is asked for more than benchmarks.
        (
            {"systems/Plain/beam": 1},
            {("shard", "Plain", "test", shard) for shard in range(4)} | {("supplement", "more")},
        ),
        # Another entry is nobody else's matter.
        (
            {"augmentations/third": {"dictionary": "muse", "source": "captions", "rate": 0.9}},
            {("augmentation", "third")},
        ),
        # What is said of a setting that is at its default anyway changes nothing.
        ({"mixtures/lifting/packing": "concatenate", "systems/Tuned/beam": 4, "recipes/train/clip": 1.0}, set()),
        ({"augmentations/few/lower": True, "corpora/english/max_dropped": 0.1, "seed": 17}, set()),
    ],
)
def test_a_change_reaches_what_depends_on_it(change, jobs):
    assert differing(change) == jobs


def test_a_new_setting_at_its_default_changes_no_settings(monkeypatch):
    """As when a version of the code gives an entry another key."""
    from pydantic import Field

    from lingualift.configuration.lexicons import Augmentation
    from lingualift.planning.base import plain

    class Later(Augmentation):
        novel: int = Field(7, description="A key that came later.")

    values = CONFIGURATION["augmentations"]["few"]
    assert plain(Later.model_validate(values)) == plain(Augmentation.model_validate(values))
    assert plain(Later.model_validate({**values, "novel": 8}))["novel"] == 8


def test_settings_make_the_entry_again():
    for preset in (plan(), *(Plan(load_run(path, root=ROOT)) for path in (ROOT / "config").glob("demo.yaml"))):
        for name, mixture in preset.configuration.mixtures.items():
            assert Mixture.model_validate(preset.mixture_settings(name)["mixture"]) == mixture
        for name, recipe in preset.configuration.recipes.items():
            settings = [preset.model_settings(model)["recipe"] for model in preset.trained_models()]
            assert not settings or any(type(recipe).model_validate(it) == recipe for it in settings), name


def test_settings_are_plain_data():
    import json

    for settings in all_settings(plan()).values():
        assert json.loads(json.dumps(settings)) == settings


def test_targets():
    assert plan().targets() == [
        "tables/main.csv",
        "figures/matrix",
        *(
            f"figures/training/{name}.png"
            for name in ("base", "plain", "lifted", "lifted-many", "tuned", "bought-tuned")
        ),
        "mixtures/first/cards/base.md",
        "mixtures/tasks/cards/base.md",
        "mixtures/lifting/cards/base.md",
        "mixtures/lifting-many/cards/base.md",
        "mixtures/tasks/cards/bought.md",
    ]


def test_what_jobs_read():
    it = plan()
    assert it.scores("tables", "main") == ["scores/Plain/test.csv", "scores/Tuned/test.csv"]
    # Four directions in four shards.
    assert it.directions("test") == [("de", "en"), ("en", "de"), ("en", "fr"), ("fr", "en")]
    assert it.hypotheses("Tuned", "test") == [f"hypotheses/Tuned/test/{shard}.jsonl" for shard in range(4)]
    translated = [it.translation_settings("Tuned", "test", shard)["directions"] for shard in range(4)]
    assert sorted(direction for shard in translated for direction in shard) == ["de-en", "en-de", "en-fr", "fr-en"]
    assert it.system_inputs("Plain") == {"model": "models/plain"}
    assert it.system_inputs("Tuned") == {"model": "models/tuned", "converted": "converted/tuned"}
    assert it.model_inputs("base") == {"blocks": "mixtures/first/packed/base", "tokenizer": "tokenizers/base"}
    assert it.model_inputs("tuned") == {
        "blocks": "mixtures/tasks/packed/base",
        "tokenizer": "tokenizers/base",
        "base": "models/lifted",
    }
    bought = str((ROOT / "data" / "models" / "bought").resolve())
    assert it.model_inputs("bought-tuned") == {
        "blocks": "mixtures/tasks/packed/bought",
        "tokenizer": bought,
        "base": bought,
    }
    assert it.mixture_sources("lifting") == ["corpora/captions", "corpora/more", "augmentations/few"]
    assert it.source_names("lifting") == ["captions", "more", "few"]
    assert it.supplement_inputs("more") == {
        "corpora": ["corpora/captions"],
        "english": "corpora/spare",
        "model": "models/plain",
    }
    assert it.tokenizer_mixture("base") == "first"
    assert set(it.missing_data()) == {
        *("corpora.captions", "corpora.english", "corpora.spare", "corpora.tasks"),
        *("benchmarks.test", "dictionaries.muse", "models.bought"),
    }


def test_shards_are_no_more_than_directions():
    it = plan({"benchmarks/test/shards": 50})
    assert it.shards("test") == 4
    assert len(it.hypotheses("Tuned", "test")) == 4


def test_ablations_share_work():
    """Two mixtures of the same corpora, one tokenizer, one base: each is made once."""
    packed = plan().packed_mixtures
    assert packed.count(("tasks", "base")) == 1
    assert {owner for _, owner in packed} == {"base", "bought"}


def test_every_stage_has_a_version_and_every_rule_names_one():
    import re

    rules = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk")))
    named = set(re.findall(r'version\("(\w+)"\)', rules))
    assert named <= set(STAGE_VERSIONS)
    assert set(STAGE_VERSIONS) <= named


def test_a_plan_of_a_hundred_languages_is_made_in_seconds():
    seen = [code for code, it in load_languages(ROOT / "config" / "languages.tsv").items() if it.seen]
    change = {
        "languages": seen,
        "corpora/legomt": {"reader": "aligned", "path": "legomt/{source}-{target}", "files": "train.{language}"},
        "corpora/mc4": {"reader": "jsonl", "path": "mc4/{language}", "files": "*.json.gz", "text_field": "text"},
        "mixtures/lifting/components/0": {"corpus": "legomt"},
        "mixtures/lifting/components/1": {"corpus": "mc4"},
        "benchmarks/test/directions": "all",
        "benchmarks/test/shards": 100,
    }
    start = time.process_time()
    it = plan(change)
    settings = all_settings(it)
    assert time.process_time() - start < 5
    assert len(it.directions("test")) == 102 * 101
    sizes = [len(settings["shard", "Tuned", "test", shard]["directions"]) for shard in range(100)]
    assert sum(sizes) == 102 * 101
    assert max(sizes) - min(sizes) <= 1
    # Never a job for each direction.
    assert len(settings) < 300


def test_the_papers_own_plan():
    path = ROOT / "config" / "llamax2.yaml"
    if not path.is_file():
        pytest.skip("the paper's preset is not there")
    start = time.process_time()
    it = Plan(load_run(path, root=ROOT))
    settings = all_settings(it)
    it.missing_data()
    assert time.process_time() - start < 5
    assert len(it.languages) == 102
    assert len(settings) < 2000


def test_summary():
    assert summary(plan())["models"] == 7
    assert summary(plan())["languages"] == 3
