"""Tables and figures of a configuration: what would show nothing is a mistake; the preset translates what it shows."""

from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from lingualift.configuration.loading import ConfigurationError, load_run
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]

CONFIGURATION = """
run: test
data: data
languages: [en, de, fr]
models:
  bought: {path: models/bought}
  other: {path: models/other}
systems:
  Ours: {model: bought}
  More: {model: other}
  Printed: {scores: {spbleu: printed/spbleu.csv}, benchmark: test}
benchmarks:
  test: {reader: multiway, path: test, files: "test.{language}"}
  news: {reader: multiway, path: news, files: "news.{language}"}
tables:
  main: {systems: [Ours, More, Printed], benchmarks: [test], baseline: Ours}
figures:
  main: {kind: per_language, systems: [Ours, Printed], benchmarks: [test], centre: [en]}
"""


def said(table=None, figure=None, **sections) -> list[str]:
    """What is said of the configuration with some keys of its table and its figure changed."""
    values = yaml.safe_load(CONFIGURATION)
    values["tables"]["main"] |= table or {}
    values["figures"]["main"] |= figure or {}
    try:
        load_run(values | sections, root=ROOT)
    except ConfigurationError as error:
        return [line.removeprefix("configuration: ") for line in error.mistakes]
    return []


def test_a_table_may_hold_published_scores_beside_what_is_tested():
    assert said() == []
    # Its scores stand in the rows of one benchmark, and of the other they are empty.
    assert said({"benchmarks": ["news", "test"]}, {"benchmarks": ["test", "news"]}) == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"baseline": "Printed"},
            "'Printed' is published scores: without translations there is nothing to resample; "
            "name another of the table's systems (Ours, More), or leave it out",
        ),
        (
            {"baseline": "Printed", "systems": ["Printed"]},
            "'Printed' is published scores: without translations there is nothing to resample; leave it out",
        ),
        (
            {"systems": ["Ours", "Printed"]},
            "no other system of the table has translations that could be compared with its own: leave it out",
        ),
        (
            {"metrics": ["R_X", "copy_rate"], "systems": ["Ours", "More"]},
            "R_X, copy_rate: none of these is compared by resampling; leave it out, or add a metric",
        ),
    ],
)
def test_a_baseline_that_nothing_is_tested_against_is_a_mistake(table, message):
    assert said(table) == [f"tables.main.baseline: {message}"]


def test_comet_and_sacrebleu_are_compared_by_resampling_and_rates_by_any_name_are_not():
    metrics = {
        "comet": {"name": "comet", "checkpoint": "models/comet"},
        "own": {"name": "spbleu", "tokenizer": "flores101"},
        "R_X_fasttext": {"name": "R_X", "detector": "fasttext", "model": "models/lid.176.bin"},
    }
    for name in ("comet", "own", "chrf"):
        assert said({"metrics": [name], "systems": ["Ours", "More"]}, metrics=metrics) == []
    (mistake,) = said({"metrics": ["R_X_fasttext"], "systems": ["Ours", "More"]}, metrics=metrics)
    assert mistake.startswith("tables.main.baseline: R_X_fasttext: none of these")


def test_published_scores_of_another_benchmark_are_a_mistake():
    stands = "the scores of 'Printed' are of 'test', and here is news: it would stand there empty"
    assert said({"benchmarks": ["news"]}) == [
        f"tables.main.systems[2]: {stands}; show that benchmark, or leave the system out"
    ]
    (mistake,) = said(figure={"benchmarks": ["news"]})
    assert mistake.startswith(f"figures.main.systems[1]: {stands}")


ALL = "R_X, R_source, bleu, chrf, chrf++, copy_rate, empty_rate, length_ratio, spbleu"


@pytest.mark.parametrize(
    ("metric", "hint"),
    [
        ("copyrate", ", did you mean 'copy_rate'?"),
        ("R_Y", ", did you mean 'R_X'?"),
        ("ter", ""),
        ("comet", ": add `metrics: {comet: {name: comet, checkpoint: <its folder below data>}}`"),
        ("COMET-22", ": add `metrics: {COMET-22: {name: comet, checkpoint: <its folder below data>}}`"),
    ],
)
def test_an_unknown_metric_is_told_all_that_there_are(metric, hint):
    # Of a system of ours; a metric that only others have computed is none of it.
    assert said({"metrics": [metric]}) == [
        f"tables.main.metrics[0]: no entry {metric!r} in metrics{hint}; there are: {ALL}"
    ]


def test_where_there_is_comet_its_misspelt_name_is_corrected():
    metrics = {"comet": {"name": "comet", "checkpoint": "models/comet"}}
    (mistake,) = said({"metrics": ["comet22"]}, metrics=metrics)
    assert "in metrics, did you mean 'comet'?; there are: " in mistake


def test_bleurt_is_explained_in_a_table_too():
    (mistake,) = said(figure={"metric": "bleurt"})
    assert mistake.startswith(
        "figures.main.metric: no entry 'bleurt' in metrics: BLEURT-20 cannot be installed by pins"
    )
    assert "did you mean" not in mistake


def test_a_metric_that_only_published_scores_have_stands_beside_ours():
    """As BLEURT's explanation says: scored elsewhere, and shown as a system's scores."""
    systems = yaml.safe_load(CONFIGURATION)["systems"]
    systems["Judged"] = {"scores": {"bleurt": "judged/bleurt.csv"}, "benchmark": "test"}
    shown = {"systems": ["Ours", "More", "Judged"], "metrics": ["spbleu", "bleurt"]}
    assert said(shown, systems=systems) == []
    # Nobody has them.
    (mistake,) = said(shown | {"systems": ["Ours", "More", "Printed"]}, systems=systems)
    assert mistake.startswith("tables.main.metrics[1]: no entry 'bleurt' in metrics: BLEURT-20 cannot be installed")
    # A figure has no cell to leave empty.
    (mistake,) = said(figure={"systems": ["Ours", "Judged"], "metric": "bleurt"}, systems=systems)
    assert mistake.startswith("figures.main.metric: no entry 'bleurt' in metrics")


def test_a_system_that_would_stand_empty_is_a_mistake():
    systems = yaml.safe_load(CONFIGURATION)["systems"]
    systems["Printed"]["scores"] = {"bleurt": "printed/bleurt.csv"}
    figure = {"systems": ["Ours"]}
    shown = {"systems": ["Ours", "Printed"], "metrics": ["bleurt"], "baseline": None}
    empty = "it would stand there empty; show"
    assert said(shown, figure, systems=systems) == [
        "tables.main.systems[0]: 'Ours' has no scores by bleurt, known from published scores alone: "
        f"{empty} another metric, too, or leave the system out"
    ]
    assert said(shown | {"metrics": ["chrf", "spbleu"]}, figure, systems=systems) == [
        "tables.main.systems[1]: the scores of 'Printed' are by bleurt, and here is chrf, spbleu: "
        f"{empty} such a metric, or leave the system out"
    ]
    (mistake,) = said(shown | {"metrics": ["spbleu", "bleurt"]}, systems=systems)
    assert mistake.startswith("figures.main.systems[1]: the scores of 'Printed' are by bleurt, and here is spbleu")


# The preset of the paper's evaluation


@pytest.fixture(scope="module")
def preset():
    return Plan(load_run(ROOT / "config" / "evaluation.yaml", root=ROOT))


def shows(entry, source: str, target: str, languages) -> bool:
    """Whether a table or figure shows a direction, by the definitions of its layout."""
    match getattr(entry, "layout", None) or entry.kind:
        case "off-target":
            return source in entry.centre
        case "pair_heatmap":
            return {source, target} <= set(entry.heatmap_languages(languages))
    return not entry.centre or bool({source, target} & set(entry.centre))


def test_the_preset_translates_what_it_shows_and_no_more(preset):
    """Of each system and each data set, whatever benchmarks ask for it."""
    translated, shown = defaultdict(set), defaultdict(set)
    for entry in (*preset.configuration.tables.values(), *preset.configuration.figures.values()):
        for system in entry.systems:
            for benchmark in entry.benchmarks:
                # Of published scores no direction is translated.
                pairs = preset.translated_directions(system, benchmark)
                key = (system, preset.configuration.benchmarks[benchmark].test.path)
                translated[key].update(pairs)
                shown[key].update(pair for pair in pairs if shows(entry, *pair, preset.languages))
    assert translated == shown
    flores = {
        system: len(pairs) for (system, path), pairs in translated.items() if path == "flores101/devtest" and pairs
    }
    # Around eight languages 8 · 101 · 2 - 8 · 7; M2M-100 lacks 15 of the 102, MADLAD-400 five, but reads them. From
    # Chinese 101; from Japanese 101; around six languages 6 · 101 · 2 - 6 · 5.
    assert flores == {
        **dict.fromkeys(("PolyLM", "TowerInstruct", "Aya-23", "Qwen2", "Aya-101", "LLaMA2", "LLaMAX2"), 1560),
        "M2M-100": 1560 - 15 * 16,
        "MADLAD-400": 1560 - 5 * 8,
        "ChineseLLaMA2": 101,
        "Swallow": 101,
        "LLaMA3": 1182,
        "LLaMA3-pivot": 1182,
        "LLaMAX2-pivot": 1182,
        "GPT-4": 42,
    }


def test_benchmarks_over_the_same_data_read_it_alike(preset):
    """Sentences are shared by their text: a limit, or another folder, would leave tables with other numbers."""
    entries = {name: entry for name, entry in preset.configuration.benchmarks.items() if name.startswith("flores101")}
    assert len(entries) == 5
    assert len({entry.test.model_copy(update={"languages": None}) for entry in entries.values()}) == 1
    assert {entry.limit for entry in entries.values()} == {None}


def test_figure7_is_that_of_the_paper(preset):
    """LLaMAX, appendix H: the gap between LLaMAX2 and GPT-4 among seven languages."""
    figure = preset.configuration.figures["figure7"]
    assert (figure.kind, figure.systems) == ("pair_heatmap", ("LLaMAX2", "GPT-4"))
    (benchmark,) = figure.benchmarks
    languages = {"en", "zh", "de", "ne", "ar", "az", "ceb"}
    assert {code for pair in preset.directions(benchmark) for code in pair} == languages
    assert len(preset.directions(benchmark)) == 42
    assert preset.asking_systems() == ["GPT-4"]
    # No other table or figure asks it.
    entries = [*preset.configuration.tables.values(), *preset.configuration.figures.values()]
    assert [entry for entry in entries if "GPT-4" in entry.systems] == [figure]


def test_table5_is_from_english_and_into_it(preset):
    """LLaMAX, section B.2: WMT23 has seven from English and six into it, TICO-19 none into it."""
    table = preset.configuration.tables["table5"]
    assert (table.layout, table.centre) == ("benchmarks", ("en",))
    assert table.benchmarks == ("flores200", "wmt23", "tico19", "ted")
    ways = {
        name: [sum(pair[side] == "en" for pair in preset.directions(name)) for side in (0, 1)]
        for name in (*table.benchmarks, "ntrex")
    }
    assert ways == {"flores200": [203, 203], "wmt23": [7, 6], "tico19": [38, 0], "ted": [55, 55], "ntrex": [88, 88]}
