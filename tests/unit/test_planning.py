"""Planning: what each job reads and is told, and that a change reaches what depends on it and nothing else."""

import copy
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from lingualift.configuration.evaluation import Directions
from lingualift.configuration.loading import load_run
from lingualift.configuration.mixtures import Mixture
from lingualift.configuration.models import OPERATIONAL
from lingualift.errors import LingualiftError
from lingualift.languages import load_languages
from lingualift.planning import STAGE_VERSIONS, Plan, summary
from lingualift.planning.systems import SystemPlan

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
        at[int(last) if isinstance(at, list) else last] = copy.deepcopy(value)
    return Plan(load_run(values, root=ROOT))


def all_settings(plan):
    """The settings of every job, as the rules look them up."""
    entries = plan.configuration
    jobs = {
        **{("corpus", name): plan.corpus_settings(name) for name in plan.imported_corpora()},
        **{("supplement", name): plan.supplement_settings(name) for name in plan.translated_corpora()},
        **{
            ("supplement", name, shard): plan.supplement_shard_settings(name, shard)
            for name in plan.translated_corpora()
            for shard in range(plan.supplement_shards(name))
        },
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
            {("shard", "Plain", "test", shard) for shard in range(4)} | {("supplement", "more", 0)},
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
            run = {key: getattr(recipe, key) for key in OPERATIONAL}
            assert not settings or any(type(recipe).model_validate({**it, **run}) == recipe for it in settings), name


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
    sources = {"corpora": ["corpora/captions"], "english": "corpora/spare"}
    assert it.supplement_inputs("more") == sources
    assert it.supplement_shard_inputs("more", 0) == {**sources, "model": "models/plain"}
    assert it.supplement_hypotheses("more") == ["supplements/more/0.jsonl"]
    assert it.tokenizer_mixture("base") == "first"
    assert set(it.missing_data()) == {
        *("corpora.captions", "corpora.english", "corpora.spare", "corpora.tasks"),
        *("benchmarks.test", "dictionaries.muse", "models.bought"),
    }


def test_shards_are_no_more_than_directions():
    it = plan({"benchmarks/test/shards": 50})
    assert it.shards("test") == 4
    assert len(it.hypotheses("Tuned", "test")) == 4


def test_a_supplement_has_no_more_jobs_than_languages_and_their_number_changes_no_pairs():
    it = plan({"corpora/more/shards": 50})
    assert it.supplement_hypotheses("more") == ["supplements/more/0.jsonl", "supplements/more/1.jsonl"]
    assert [it.supplement_shard_settings("more", shard)["translate"]["directions"] for shard in range(2)] == [
        ["en-de"],
        ["en-fr"],
    ]
    assert it.supplement_settings("more") == plan().supplement_settings("more")


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


@pytest.fixture
def looked_at(monkeypatch):
    """How often what grows with the number of directions is done: by its system, or by what the directions are.

    How long it all takes is measured by benchmarks/dry_run.py.
    """
    found = Counter()
    possible, expand = SystemPlan._possible, Directions.expand

    def counted_possible(self, name, directions):
        found[name] += 1
        return possible(self, name, directions)

    def counted_expand(self, languages):
        found[str(self.root)] += 1
        return expand(self, languages)

    monkeypatch.setattr(SystemPlan, "_possible", counted_possible)
    monkeypatch.setattr(Directions, "expand", counted_expand)
    return found


def test_a_plan_of_a_hundred_languages_looks_at_its_directions_once(looked_at):
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
    it = plan(change)
    looked_at.clear()
    settings = all_settings(it)
    assert looked_at == {"all": 1, "Plain": 1, "Tuned": 1}
    assert len(it.directions("test")) == 102 * 101
    sizes = [len(settings["shard", "Tuned", "test", shard]["directions"]) for shard in range(100)]
    assert sum(sizes) == 102 * 101
    assert max(sizes) - min(sizes) <= 1
    # Never a job for each direction.
    assert len(settings) < 300


def test_the_papers_own_plan(looked_at):
    path = ROOT / "config" / "llamax2.yaml"
    if not path.is_file():
        pytest.skip("the paper's preset is not there")
    it = Plan(load_run(path, root=ROOT))
    looked_at.clear()
    settings = all_settings(it)
    it.missing_data()
    assert set(it.configuration.systems) <= set(looked_at) and set(looked_at.values()) == {1}
    assert len(it.languages) == 102
    assert len(settings) < 2000


def test_summary():
    assert summary(plan())["models"] == 7
    assert summary(plan())["languages"] == 3


# Systems of every kind

MORE_SYSTEMS = {
    "systems/Nllb": {"translator": "models/nllb", "family": "nllb", "beam": 2},
    "systems/Marian": {"translator": "opus/{source}-{target}", "family": "marian"},
    "systems/Asked": {
        "endpoint": "https://host/v1",
        "model": "big",
        "temperature": 0.5,
        "api_key_env": "THE_KEY",
        "timeout": 9,
        "price_in": 3,
        "requests_per_minute": 60,
    },
    "systems/Theirs": {"hypotheses": "theirs/{source}-{target}.txt", "codes": "flores101"},
    "systems/Published": {"scores": {"chrf": "theirs.csv"}, "benchmark": "test"},
    "systems/Tuned-fr": {"system": "Tuned", "pivot": "fr"},
    "systems/Tuned-fr-too": {"system": "Tuned", "pivot": "fr"},
    "systems/Asked-fr": {"system": "Asked", "pivot": "fr"},
}


def test_every_kind_of_system_has_the_rule_that_fits():
    it = plan(MORE_SYSTEMS)
    rules = {
        "translate_shard": it.translating_systems(),
        "ask_endpoint": it.asking_systems(),
        "read_hypotheses": it.reading_systems(),
        "translate_through_pivot": it.pivoting_systems(),
    }
    assert rules == {
        "translate_shard": ["Plain", "Tuned", "Nllb", "Marian"],
        "ask_endpoint": ["Asked", "Asked-fr"],
        "read_hypotheses": ["Theirs"],
        "translate_through_pivot": ["Tuned-fr", "Tuned-fr-too"],
    }
    kinds = [it.system_kind(name) for name in ("Tuned", "Nllb", "Asked", "Theirs", "Published", "Tuned-fr")]
    assert kinds == ["model", "translator", "endpoint", "hypotheses", "scores", "pivot"]
    # Published scores are no hypotheses.
    with pytest.raises(LingualiftError, match=r"systems\.Published: it cannot translate one direction"):
        it.hypotheses("Published", "test")


def test_what_is_asked_in_one_go_is_one_job():
    it = plan(MORE_SYSTEMS)
    jobs = {name: len(it.hypotheses(name, "test")) for name in ("Tuned", "Tuned-fr", "Asked", "Asked-fr", "Theirs")}
    assert jobs == {"Tuned": 4, "Tuned-fr": 4, "Asked": 1, "Asked-fr": 1, "Theirs": 1}


@pytest.mark.parametrize("key", ["timeout", "price_in", "price_out", "requests_per_minute", "max_retries", "parallel"])
def test_how_an_endpoint_is_asked_is_no_setting_of_its_answers(key):
    before, after = plan(MORE_SYSTEMS), plan({**MORE_SYSTEMS, f"systems/Asked/{key}": 2})
    for system in ("Asked", "Asked-fr"):
        settings = before.translation_settings(system, "test", 0)
        assert settings == after.translation_settings(system, "test", 0)
        assert "THE_KEY" not in str(settings)
    other = plan({**MORE_SYSTEMS, "systems/Asked/temperature": 0})
    assert other.translation_settings("Asked", "test", 0) != before.translation_settings("Asked", "test", 0)


def test_pivots_alike_share_their_first_legs():
    it = plan({**MORE_SYSTEMS, "benchmarks/test/directions": "all", "benchmarks/test/shards": 3})
    # The sources that are not the pivot, de and en, in as many jobs.
    legs = {
        leg
        for system in ("Tuned-fr", "Tuned-fr-too")
        for shard in range(3)
        for leg in it.translation_inputs(system, "test", shard)["legs"]
    }
    assert legs == {"pivots/Tuned/fr/test/0", "pivots/Tuned/fr/test/1"}
    assert it.leg_settings("Tuned", "fr", "test", 0)["directions"] == ["de-en", "de-fr"]
    assert it.leg_settings("Tuned", "fr", "test", 1)["directions"] == ["en-de", "en-fr"]
    assert it.translation_settings("Tuned-fr", "test", 0)["pivot"] == "fr"
    # A shard waits for the first legs of its own sources alone: de-en and fr-de in the first of three.
    assert it.translation_settings("Tuned-fr", "test", 0)["directions"] == ["de-en", "en-fr"]
    assert it.translation_settings("Tuned-fr", "test", 1)["directions"] == ["de-fr", "fr-de"]
    assert it.translation_inputs("Tuned-fr", "test", 1)["legs"] == ["pivots/Tuned/fr/test/0"]
    assert it.translation_inputs("Tuned-fr", "test", 1)["model"] == "models/tuned"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder that test configurations may find files in."""

    def planned(*files, **change):
        for name in files:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(json.dumps({"model_type": "marian"}))
        return plan({**MORE_SYSTEMS, "data": str(tmp_path), **change})

    return planned


def test_directions_without_a_code_are_left_out_and_told(data):
    table = {"systems": ["Tuned", "Nllb"], "benchmarks": ["test"], "metrics": ["chrf"]}
    # NLLB-200 has no Ladin here, nor any other data set but Tatoeba.
    without = next(
        code for code, it in load_languages(ROOT / "config" / "languages.tsv").items() if "nllb" not in it.codes
    )
    it = data(**{"languages": ["en", "de", "fr", without], "tables/main": table})
    assert {pair for pair in it.directions("test") if without in pair} == {("en", without), (without, "en")}
    assert it.translated_directions("Nllb", "test") == [("de", "en"), ("en", "de"), ("en", "fr"), ("fr", "en")]
    assert it.translated_directions("Tuned", "test") == it.directions("test")
    named = [f"{without}-en", f"en-{without}"]
    assert it.left_out() == {"systems.Nllb on test": f"2 direction(s) left out (no code), the first {min(named)}"}
    settings = it.translation_settings("Nllb", "test", 0)
    assert settings["directions"] == ["de-en"] and settings["languages"] == ["en", "de"]
    assert settings["names"] == {"en": "eng_Latn", "de": "deu_Latn"}


def test_a_language_more_changes_no_translation_that_it_has_no_part_in():
    more = {**MORE_SYSTEMS, "systems/Tuned-fr": {"system": "Nllb", "pivot": "fr"}}
    listed = {**more, "benchmarks/test/directions": ["en-de", "de-en"], "benchmarks/test/shards": 2}
    before, after = plan(listed), plan({**listed, "languages": [*plan(listed).languages, "ru"]})
    for system in ("Tuned", "Nllb", "Theirs", "Asked", "Asked-fr", "Tuned-fr"):
        for shard in range(before.shards("test", system)):
            settings = before.translation_settings(system, "test", shard)
            assert settings == after.translation_settings(system, "test", shard)
    assert before.leg_settings("Nllb", "fr", "test", 0) == after.leg_settings("Nllb", "fr", "test", 0)
    # Of a pivot its language is told, of which there is no direction.
    assert "fr" in before.translation_settings("Tuned-fr", "test", 0)["names"]


def test_how_many_gpus_there_are_changes_no_translation():
    run = load_run({**CONFIGURATION, "systems": {"Tuned": {"model": "tuned"}, "Plain": {"model": "plain"}}}, root=ROOT)
    one, eight = (Plan(run, gpus=gpus).translation_settings("Tuned", "test", 0) for gpus in (1, 8))
    assert one == eight


def test_a_supplement_in_a_language_that_its_system_lacks_is_a_mistake(data):
    without = next(
        code for code, it in load_languages(ROOT / "config" / "languages.tsv").items() if "nllb" not in it.codes
    )
    change = {"corpora/more/system": "Nllb", "languages": ["en", "de", "fr", without]}
    with pytest.raises(LingualiftError, match=f"^corpora.more.system: 'Nllb' has no code for {without}: give the lang"):
        data(**change).left_out()
    assert data(**change, **{"corpora/more/languages": ["en", "de", "fr"]}).left_out() == {}
    # A model for each direction: before any has come, all may.
    change["corpora/more/system"] = "Marian"
    assert data(**change).left_out() == {}
    with pytest.raises(LingualiftError, match=f"'Marian' has no model for fr, {without}"):
        data("opus/en-de/config.json", **change).left_out()


def test_directions_without_a_model_or_file_are_left_out_where_others_have_one(data):
    empty = data()
    for system in ("Marian", "Theirs"):
        assert empty.translated_directions(system, "test") == empty.directions("test")
    assert len(empty.missing_systems()["systems.Marian"]) == 4
    it = data("opus/en-de/config.json", "opus/fr-en/config.json", "theirs/eng-deu.txt")
    assert it.translated_directions("Marian", "test") == [("en", "de"), ("fr", "en")]
    assert it.translated_directions("Theirs", "test") == [("en", "de")]
    assert it.missing_systems()["systems.Marian"] == it.missing_systems()["systems.Theirs"] == []
    (folder,) = it.translation_inputs("Marian", "test", 1)["translators"]
    assert folder.endswith("opus/fr-en")
    (file,) = it.translation_inputs("Theirs", "test", 0)["files"]
    assert file.endswith("theirs/eng-deu.txt")
    assert list(it.translation_settings("Theirs", "test", 0)["files"]) == ["en-de"]


def test_a_pivot_needs_both_legs(data):
    change = {"systems/Marian-fr": {"system": "Marian", "pivot": "fr"}, "benchmarks/test/directions": "all"}
    folders = [f"opus/{pair}/config.json" for pair in ("en-fr", "fr-de", "fr-en")]
    it = data(*folders, **change)
    assert it.translated_directions("Marian-fr", "test") == [("en", "de"), ("en", "fr"), ("fr", "de"), ("fr", "en")]
    assert len(it.leg_inputs("Marian", "fr", "test")["translators"]) == 1


def test_the_family_of_a_translation_model_is_told_by_its_folder(data):
    it = data("models/opus/config.json", **{"systems/Auto": {"translator": "models/opus"}})
    settings = it.translation_settings("Auto", "test", 0)
    assert (settings["family"], settings["column"], settings["prompt"]) == ("marian", "tatoeba", None)
    assert settings["names"]["de"] == "deu_Latn deu"
    before = data(**{"systems/Auto": {"translator": "models/none"}})
    assert before.translation_settings("Auto", "test", 0)["family"] is None
    assert list(before.missing_systems()["systems.Auto"][0].split("/")[-2:]) == ["models", "none"]


def test_the_profiles_gpus_choose_the_engine():
    run = load_run({**CONFIGURATION, "systems": {"Tuned": {"model": "tuned"}, "Plain": {"model": "plain"}}}, root=ROOT)
    assert Plan(run).system_inputs("Tuned") == {"model": "models/tuned", "converted": "converted/tuned"}
    assert Plan(run, gpus=2).system_inputs("Tuned") == {"model": "models/tuned"}
    assert Plan(run, gpus=2).translation_settings("Tuned", "test", 0)["system"]["engine"] == "transformers"


def test_planning_imports_neither_torch_nor_transformers():
    """A dry run is to start at once."""
    code = (
        "import sys; from lingualift.configuration.loading import load_run; from lingualift.planning import Plan\n"
        "plan = Plan(load_run('config/tiny.yaml')); plan.left_out(); plan.missing_data(); plan.targets()\n"
        "for it in plan.configuration.systems:\n"
        "    plan.hypotheses(it, 'held-out'); plan.translation_settings(it, 'held-out', 0)\n"
        "    plan.translation_inputs(it, 'held-out', 0)\n"
        "found = {'torch', 'transformers', 'ctranslate2', 'datasets', 'vllm'} & set(sys.modules)\n"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_memory_grows_with_the_base(tmp_path) -> None:
    values = {**CONFIGURATION, "data": str(tmp_path)}
    it = Plan(load_run(values, root=ROOT))
    folder = tmp_path / CONFIGURATION["models"]["bought"]["path"]
    assert it.weights_mb("bought-tuned") == it.weights_mb("base") == 0
    folder.mkdir(parents=True)
    for name in ("model-1.safetensors", "model-2.safetensors"):
        with (folder / name).open("wb") as file:
            file.truncate(3 * 2**20)
    # Two files of three million bytes and a bit, 16 bits a weight, read as 32.
    assert it.weights_mb("bought-tuned") == 12
    assert it.weights_mb("base") == 0
