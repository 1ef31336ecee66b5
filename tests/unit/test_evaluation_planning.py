"""What tables and figures want is planned: scores of every kind, each by its own job, with exactly what it depends on."""

from pathlib import Path

import pytest
import yaml

from lingualift.configuration.loading import ConfigurationError, load_run
from lingualift.errors import LingualiftError
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]

CONFIGURATION = """
run: test
data: data
languages: [en, de, fr, am, zu]
corpora:
  captions: {reader: multiway, path: captions, files: "train.{language}", languages: [en, de, fr]}
  tasks: {reader: alpaca, path: tasks.json}
mixtures:
  first: {components: [{corpus: captions, languages: [en, de]}]}
  more: {components: [{corpus: captions, directions: {from: [en], to: [fr]}}]}
  tasks: {components: [{corpus: tasks}], loss: response}
recipes:
  train: {learning_rate: 0.001, batch: 8}
models:
  base: {scratch: {}, pretrain: {mixture: first, recipe: train}}
  lifted: {from: base, pretrain: {mixture: more, recipe: train}}
  tuned: {from: lifted, finetune: {mixture: tasks, recipe: train}}
  bought: {path: models/bought}
systems:
  Base: {model: base}
  Tuned: {model: tuned}
  Bought: {model: bought}
  Printed: {scores: {own: printed/own.csv, bleurt: printed/bleurt.csv}, benchmark: test}
benchmarks:
  test: {reader: multiway, path: captions, files: "test.{language}", directions: all}
  other: {reader: multiway, path: other, files: "test.{language}", directions: all, limit: 7}
metrics:
  comet: {name: comet, checkpoint: models/comet, encoder: models/xlmr, devices: 4}
  R_X_fasttext: {name: R_X, detector: fasttext, model: models/lid.176.bin}
  own: {name: spbleu, tokenizer: "spm:models/own.model"}
tables:
  scores: {systems: [Base, Tuned, Printed], benchmarks: [test, other], metrics: [own, comet, copy_rate], baseline: Base}
  languages: {systems: [Tuned], benchmarks: [test], metrics: [R_source, R_X, R_X_fasttext], layout: off-target}
  only-printed: {systems: [Printed], benchmarks: [test], metrics: [bleurt], published: llamax-table4}
figures:
  unseen: {kind: seen_unseen, systems: [Base, Tuned], benchmarks: [test], centre: [en], metric: chrf}
  bought: {kind: seen_unseen, systems: [Bought, Bought], benchmarks: [test], centre: [en], metric: chrf}
"""


def plan(text: str = CONFIGURATION) -> Plan:
    return Plan(load_run(yaml.safe_load(text), root=ROOT))


def test_a_table_reads_what_its_metrics_want_and_nothing_else():
    assert plan().scores("tables", "scores") == [
        "scores/Base/test.csv",
        "comet/comet/Base/test.csv",
        "scores/Base/other.csv",
        "comet/comet/Base/other.csv",
        "scores/Tuned/test.csv",
        "comet/comet/Tuned/test.csv",
        "scores/Tuned/other.csv",
        "comet/comet/Tuned/other.csv",
        # Of the other benchmark nobody published anything.
        "published/Printed.csv",
    ]
    assert plan().scores("tables", "languages") == ["off_target/Tuned/test.csv"]
    # Rates of copies and blanks are computed for COMET, too, though they are not asked for.
    alone = plan(CONFIGURATION.replace("metric: chrf", "metric: comet"))
    assert alone.scores("figures", "bought") == ["scores/Bought/test.csv", "comet/comet/Bought/test.csv"]
    assert alone.score_settings("Bought", "test")["metrics"] == {}
    assert plan().scores("tables", "only-printed") == ["published/Printed.csv"]
    assert plan().published_tables("only-printed") == ["llamax-table4"]
    assert plan().published_tables("scores") == []


def test_scoring_is_spread_over_jobs_as_translating_is():
    """Each scores what it needs no other for; systems are compared part by part where their parts are the same."""
    whole = 'test: {reader: multiway, path: captions, files: "test.{language}", directions: all'
    assert whole in CONFIGURATION
    it = plan(CONFIGURATION.replace(whole, f"{whole}, shards: 5, scoring_shards: 2"))
    assert it.parts("test", "Tuned") == it.parts("test", "Tuned", "Base") == ["/0", "/1"]
    assert it.parts("other", "Tuned") == [""]
    # Every translation is scored once.
    assert [it.hypotheses("Tuned", "test", part) for part in ("/0", "/1")] == [
        [f"hypotheses/Tuned/test/{shard}.jsonl" for shard in shards] for shards in ((0, 2, 4), (1, 3))
    ]
    assert it.scores("tables", "languages") == ["off_target/Tuned/test/0.csv", "off_target/Tuned/test/1.csv"]
    assert [path for path in it.scores("tables", "scores") if "/Tuned/test" in path] == [
        f"{kind}/Tuned/test/{part}.csv" for kind in ("scores", "comet/comet") for part in range(2)
    ]
    assert it.comparisons("scores")[:3] == [
        "comparisons/sacrebleu/Tuned/Base/test/0.csv",
        "comparisons/sacrebleu/Tuned/Base/test/1.csv",
        "comparisons/sacrebleu/Tuned/Base/other.csv",
    ]
    inputs = it.comparison_inputs("comet", "Tuned", "Base", "test", "/1")
    assert inputs["baseline_hypotheses"] == it.hypotheses("Base", "test", "/1")
    assert inputs["segments"] == ["comet/comet/Tuned/test/1.jsonl"]


def test_no_more_jobs_score_than_translate():
    it = plan(CONFIGURATION.replace("limit: 7}", "limit: 7, shards: 2, scoring_shards: 9}"))
    assert it.parts("other", "Tuned") == ["/0", "/1"]
    # Its translations are read by one job.
    theirs = '  Theirs: {hypotheses: "theirs/{source}-{target}.txt"}\n'
    with_theirs = CONFIGURATION.replace("benchmarks:\n  test", f"{theirs}benchmarks:\n  test")
    it = plan(with_theirs.replace("limit: 7}", "limit: 7, shards: 2, scoring_shards: 9}"))
    assert it.parts("other", "Theirs") == it.parts("other", "Tuned", "Theirs") == [""]
    # Scored in parts or not: of one system all parts are read.
    assert it.comparison_inputs("comet", "Tuned", "Theirs", "other") == {
        "hypotheses": ["hypotheses/Tuned/other/0.jsonl", "hypotheses/Tuned/other/1.jsonl"],
        "baseline_hypotheses": ["hypotheses/Theirs/other/0.jsonl"],
        "segments": ["comet/comet/Tuned/other/0.jsonl", "comet/comet/Tuned/other/1.jsonl"],
        "baseline_segments": ["comet/comet/Theirs/other.jsonl"],
    }


def test_a_table_is_told_what_a_rate_by_another_name_is():
    assert plan().table_settings("languages")["kinds"] == {"R_X_fasttext": "R_X"}
    assert "kinds" not in plan().table_settings("scores")


def test_each_job_is_told_of_its_own_metrics():
    it = plan()
    own = {"name": "spbleu", "tokenizer": f"spm:{ROOT / 'data/models/own.model'}"}
    assert it.score_settings("Tuned", "other") == {
        "system": "Tuned",
        "benchmark": "other",
        "metrics": {"own": own},
        "limit": 7,
    }
    assert it.score_settings("Tuned", "test")["metrics"] == {"own": own, "chrf": {"name": "chrf"}}
    detected = it.language_settings("Tuned", "test")
    assert detected["metrics"] == {
        "R_source": {"name": "R_source"},
        "R_X": {"name": "R_X"},
        "R_X_fasttext": {"name": "R_X", "detector": "fasttext", "model": str(ROOT / "data/models/lid.176.bin")},
    }
    assert list(detected["languages"]) == ["en", "de", "fr", "am", "zu"]
    # What a detector calls a language by, and nothing else of it: langdetect does not know Amharic.
    assert detected["languages"]["de"] == {
        "name": "German",
        "iso639_3": "deu",
        "scripts": ("Latn",),
        "codes": {"langdetect": "de"},
    }
    assert detected["languages"]["am"] == {
        "name": "Amharic",
        "iso639_3": "amh",
        "scripts": ("Ethi",),
        "codes": {},
    }
    comet = it.comet_settings("comet", "Base", "other")
    # How many GPUs there are changes nothing about the scores.
    assert comet["comet"] == {
        "name": "comet",
        "checkpoint": str(ROOT / "data/models/comet"),
        "encoder": str(ROOT / "data/models/xlmr"),
    }
    assert (comet["metric"], comet["limit"], it.comet_devices("comet")) == ("comet", 7, 4)


def test_systems_are_compared_where_both_have_translations():
    it = plan()
    assert it.comparisons("scores") == [
        f"comparisons/{judge}/Tuned/Base/{benchmark}.csv"
        for judge in ("sacrebleu", "comet")
        for benchmark in ("test", "other")
    ]
    assert it.comparisons("languages") == []
    settings = it.comparison_settings("sacrebleu", "Tuned", "Base", "test")
    assert (list(settings["metrics"]), settings["comet"]) == (["own"], [])
    files = {
        "hypotheses": ["hypotheses/Tuned/test/0.jsonl"],
        "baseline_hypotheses": ["hypotheses/Base/test/0.jsonl"],
    }
    # Who asks for BLEU alone does not wait for COMET.
    none = {"segments": [], "baseline_segments": []}
    assert it.comparison_inputs("sacrebleu", "Tuned", "Base", "test") == files | none
    settings = it.comparison_settings("comet", "Tuned", "Base", "test")
    assert (list(settings["metrics"]), settings["comet"]) == ([], ["comet"])
    assert it.comparison_inputs("comet", "Tuned", "Base", "test") == {
        **files,
        "segments": ["comet/comet/Tuned/test.jsonl"],
        "baseline_segments": ["comet/comet/Base/test.jsonl"],
    }


def test_a_comparison_that_no_table_makes_is_an_error():
    """Asked for by its path: it would be a file without a row."""
    it = plan()
    for system, baseline, benchmark in (("Base", "Tuned", "test"), ("Bought", "Base", "test")):
        said = f"no table compares {system} with {baseline} on {benchmark} by a metric of sacrebleu"
        with pytest.raises(LingualiftError, match=f"{said}.*`baseline: {baseline}`"):
            it.comparison_settings("sacrebleu", system, baseline, benchmark)
    # A table that has COMET alone makes no other.
    alone = plan(CONFIGURATION.replace("[own, comet, copy_rate]", "[comet, bleurt]"))
    with pytest.raises(LingualiftError, match="no table compares Tuned with Base on test by a metric of sacrebleu"):
        alone.comparison_settings("sacrebleu", "Tuned", "Base", "test")
    assert alone.comparison_settings("comet", "Tuned", "Base", "test")["comet"] == ["comet"]
    assert alone.comparisons("scores")[0] == "comparisons/comet/Tuned/Base/test.csv"


def test_files_that_decide_scores_are_inputs_where_they_are_there(tmp_path):
    it = plan(CONFIGURATION.replace("data: data", f"data: {tmp_path}"))

    def found() -> list[list[str]]:
        settings = (
            it.score_settings("Tuned", "test"),
            it.comparison_settings("sacrebleu", "Tuned", "Base", "test"),
            it.comparison_settings("comet", "Tuned", "Base", "test"),
            it.language_settings("Tuned", "test"),
        )
        return [[*map(it.metric_files, settings)], it.comet_files("comet")]

    assert found() == [[[], [], [], []], []]
    names = ["own.model", "lid.176.bin", "xlmr/config.json", "xlmr/sentencepiece.bpe.model", "comet/hparams.yaml"]
    own, detector, *comet = (str(tmp_path / "models" / name) for name in names)
    for path in (own, detector, *comet, f"{tmp_path}/models/xlmr/model.safetensors"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    assert found() == [[[own], [own], [], [detector]], [comet[2], comet[0], comet[1]]]


def test_languages_seen_are_those_of_the_mixtures():
    it = plan()
    # de and en by the base, en and fr on top of it; instructions say nothing of their language.
    assert it.figure_settings("unseen")["seen"] == ["en", "de", "fr"]
    # Of what was not trained here only LLaMAX's own languages are known; all five are among them.
    assert it.figure_settings("bought")["seen"] == ["en", "de", "fr", "am", "zu"]


def test_names_are_targets_in_the_order_of_the_configuration():
    it = plan()
    assert it.shown()["scores"] == ["tables/scores.csv"]
    assert it.shown()["unseen"] == ["figures/unseen"]
    assert [it.place("tables", name) for name in it.configuration.tables] == ["01", "02", "03"]


def test_published_scores_are_read_from_the_data_folder():
    assert plan().published_settings("Printed") == {
        "system": "Printed",
        "benchmark": "test",
        "scores": {metric: str(ROOT / f"data/printed/{metric}.csv") for metric in ("own", "bleurt")},
        "signature": "as published",
    }
    made = {"own": "flores101", "bleurt": "BLEURT-20"}
    said = plan(
        CONFIGURATION.replace("bleurt: printed/bleurt.csv}", f"bleurt: printed/bleurt.csv}}, signature: {made}")
    )
    assert said.published_settings("Printed")["signature"] == made


def test_what_only_published_scores_have_is_asked_of_no_other_system():
    it = plan(CONFIGURATION.replace("[own, comet, copy_rate]", "[own, bleurt]"))
    assert it.scores("tables", "scores") == [
        *(f"scores/{system}/{benchmark}.csv" for system in ("Base", "Tuned") for benchmark in ("test", "other")),
        "published/Printed.csv",
    ]
    assert list(it.score_settings("Tuned", "test")["metrics"]) == ["own", "chrf"]
    assert list(it.comparison_settings("sacrebleu", "Tuned", "Base", "test")["metrics"]) == ["own"]
    assert it.missing_data().keys().isdisjoint({"metrics.bleurt"})


WITH_BLEURT = "[Bought, Bought], benchmarks: [test], centre: [en], metric: bleurt"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        # A metric that only others have computed cannot be asked of a system of ours.
        (
            "[Bought, Bought], benchmarks: [test], centre: [en], metric: chrf",
            WITH_BLEURT,
            "no entry 'bleurt' in metrics",
        ),
        ('name: spbleu, tokenizer: "spm:models/own.model"', "name: bleurt", "BLEURT-20 cannot be installed by pins"),
        ("detector: fasttext, ", "", "belong together"),
        ("name: comet, checkpoint: models/comet", "name: comet", "metrics.comet.checkpoint: this key is missing"),
        ("encoder: models/xlmr", "encodre: models/xlmr", "did you mean 'encoder'"),
    ],
)
def test_mistakes_are_one_line(before, after, message):
    assert before in CONFIGURATION
    with pytest.raises(ConfigurationError) as caught:
        plan(CONFIGURATION.replace(before, after))
    assert message in str(caught.value)
    assert len(caught.value.mistakes) == 1, caught.value.mistakes
