"""Directions, metrics and tables of the configuration."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from lingualift.configuration.evaluation import Directions, Figure, Metric, Table, find_metric, split_direction
from lingualift.configuration.systems import PublishedScores
from lingualift.errors import LingualiftError

LANGUAGES = ["en", "de", "fr"]


def directions(value: object) -> list[tuple[str, str]]:
    return Directions.model_validate(value).expand(LANGUAGES)


def test_all_directions_are_sorted_pairs():
    assert directions("all") == [("de", "en"), ("de", "fr"), ("en", "de"), ("en", "fr"), ("fr", "de"), ("fr", "en")]


def test_centre_goes_both_ways():
    assert directions({"centre": ["en"]}) == [("de", "en"), ("en", "de"), ("en", "fr"), ("fr", "en")]


def test_from_to_leaves_out_a_language_into_itself():
    assert directions({"from": ["en", "de"], "to": ["de", "fr"]}) == [("de", "fr"), ("en", "de"), ("en", "fr")]


def test_list_of_directions_counts_each_once():
    assert directions(["en-de", "fr-en", "en-de"]) == [("en", "de"), ("fr", "en")]


def test_hyphenated_codes_are_told_apart():
    assert split_direction("zh-Hant-en", ["zh-Hant", "en"]) == ("zh-Hant", "en")
    assert split_direction("en-zh-Hant", ["zh-Hant", "en"]) == ("en", "zh-Hant")


@pytest.mark.parametrize("value", [{"centre": ["xx"]}, {"from": ["en"], "to": ["xx"]}, ["en-xx"], ["en-en"]])
def test_unknown_languages_and_loops_are_errors(value):
    with pytest.raises(LingualiftError, match=r"xx|itself"):
        directions(value)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("every", "all"),
        ({"centre": []}, "centre"),
        ({"centre": ["en"], "beside": 1}, "beside"),
        ({"from": ["en"]}, "to"),
        (["en_de"], "0"),
    ],
)
def test_a_mistake_is_one_error_at_its_place(value, place):
    with pytest.raises(ValidationError) as caught:
        Directions.model_validate(value)
    (error,) = caught.value.errors()
    assert place in map(str, error["loc"])


@pytest.mark.parametrize("value", ["all", {"centre": ["en"]}, {"from": ["en"], "to": ["de"]}, ["en-de"]])
def test_directions_survive_writing_and_reading(value):
    read = Directions.model_validate(value)
    assert Directions.model_validate(read.model_dump(mode="json")) == read
    assert Directions.model_validate_json(read.model_dump_json()) == read


def test_directions_have_a_schema_for_editors():
    schema = TypeAdapter(Directions).json_schema()
    assert len(schema["oneOf"]) == 4


@given(st.sets(st.sampled_from("abcdefgh"), min_size=2), st.data())
def test_centres_of_all_languages_are_all_directions(codes, data):
    centre = data.draw(st.permutations(sorted(codes)))
    found = Directions.model_validate({"centre": centre}).expand(sorted(codes))
    assert found == sorted(permutations(codes, 2))


def test_metric_from_its_name_has_its_default_tokenizer():
    assert Metric.model_validate("spbleu") == Metric(name="spbleu", tokenizer="flores200")
    assert Metric.model_validate("bleu").tokenizer == "auto"
    assert Metric.model_validate("chrf++").tokenizer is None


@pytest.mark.parametrize(
    ("name", "tokenizer"),
    [("spbleu", "13a"), ("spbleu", "spm"), ("spbleu", "spm:"), ("bleu", "flores200"), ("chrf", "13a")],
)
def test_tokenizer_must_fit_the_metric(name, tokenizer):
    with pytest.raises(ValidationError, match="tokenizer"):
        Metric(name=name, tokenizer=tokenizer)


def test_metric_of_a_table_is_an_entry_or_built_in():
    entries = {"spbleu": Metric(name="spbleu", tokenizer="flores101")}
    assert find_metric("spbleu", entries).tokenizer == "flores101"
    assert find_metric("spbleu", {}).tokenizer == "flores200"
    with pytest.raises(
        LingualiftError, match=r"no metric 'comte'; there are R_X, R_source, bleu, chrf, chrf\+\+, spbleu"
    ):
        find_metric("comte", entries)


def test_published_scores_say_how_each_metric_was_made_or_all():
    entry = {"scores": {"spbleu": "a.csv", "comet": "b.csv"}, "benchmark": "test"}
    assert PublishedScores.model_validate(entry).signature == "as published"
    assert PublishedScores.model_validate({**entry, "signature": "Table 4"}).signature == "Table 4"
    by_metric = {"spbleu": "flores101", "comet": "COMET-22"}
    assert PublishedScores.model_validate({**entry, "signature": by_metric}).signature == by_metric
    for wrong in ({"spbleu": "flores101"}, by_metric | {"chrf": "x"}, {}):
        with pytest.raises(ValidationError, match="has to name the metrics of scores, spbleu, comet, each once"):
            PublishedScores.model_validate({**entry, "signature": wrong})
    for blank in ("", by_metric | {"comet": ""}):
        with pytest.raises(ValidationError, match="at least 1 character"):
            PublishedScores.model_validate({**entry, "signature": blank})


def test_table_has_a_centre_only_in_that_layout():
    table = Table(systems=("a",), benchmarks=("b",), metrics=("spbleu", "chrf++"), layout="centre", centre=("en",))
    assert table.centre == ("en",)
    with pytest.raises(ValidationError, match="layout: centre"):
        Table(systems=("a",), benchmarks=("b",), centre=("en",))
    with pytest.raises(ValidationError, match="extra"):
        Figure(kind="direction_matrix", systems=("a",), benchmarks=("b",), colour="red")
