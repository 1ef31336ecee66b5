"""Entries for systems that are not a causal model of ours."""

import pytest
from pydantic import TypeAdapter, ValidationError

from lingualift.configuration.schema import System
from lingualift.configuration.systems import (
    FAMILIES,
    KINDS,
    SERVICE,
    Endpoint,
    HypothesisFiles,
    TranslationModel,
    system_kind,
)
from lingualift.languages import load_languages

ANY = TypeAdapter(System)
EXAMPLES = {
    "model": {"model": "lifted", "prompt": "alpaca"},
    "translator": {"translator": "models/nllb", "family": "nllb"},
    "endpoint": {"endpoint": "https://api.openai.com/v1", "model": "gpt-4", "api_key_env": "OPENAI_API_KEY"},
    "hypotheses": {"hypotheses": "theirs/{source}-{target}.txt.gz"},
    "scores": {"scores": {"spbleu": "theirs.csv"}, "benchmark": "flores101"},
    "pivot": {"system": "lifted", "pivot": "en"},
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_key_that_is_given_tells_the_kind(kind) -> None:
    entry = ANY.validate_python(EXAMPLES[kind])
    assert type(entry) is KINDS[kind]
    assert system_kind(entry) == kind
    assert ANY.validate_python(entry) is entry
    assert ANY.validate_python(ANY.dump_python(entry, mode="json", exclude_defaults=True)) == entry


def test_an_entry_of_no_kind_is_told_of_the_first() -> None:
    with pytest.raises(ValidationError, match=r"model\n  Field required"):
        ANY.validate_python({"beam": 4})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"translator": "m", "model": "base"}, "model\n  Extra inputs"),
        ({"translator": "m/{source}"}, "has to hold {source} and {target}"),
        ({"translator": "m/{source}-{target}-{user}"}, "and no other place"),
        ({"translator": "m/{source"}, "translator is no template"),
        ({"translator": "m", "family": "nllb", "prompt": "plain"}, "takes no prompt"),
        ({"translator": "m", "family": "opus"}, "'auto', 'm2m100', 'nllb', 'madlad', 'aya' or 'marian'"),
        ({"model": "m", "precision": "int8", "engine": "vllm"}, "'precision: int8' is for CTranslate2"),
        ({"translator": "m", "precision": "int8"}, "'float32', 'bfloat16' or 'float16'"),
        ({"hypotheses": "theirs.txt"}, "has to hold {source} and {target}"),
        ({"hypotheses": "a.jsonl/theirs.txt"}, "has to hold {source} and {target}"),
        ({"hypotheses": "{source}.jsonl"}, "has to hold {source} and {target}"),
        ({"hypotheses": "{source}-{target.real}.txt"}, "and no other place"),
        ({"endpoint": "api.openai.com", "model": "m"}, "String should match"),
        ({"endpoint": "https://me:word@host/v1", "model": "m"}, "String should match"),
        ({"endpoint": "https://host/v1", "model": "m", "api_key": "sk-1"}, "api_key\n  Extra inputs"),
        ({"endpoint": "https://host/v1", "model": "m", "api_key_env": "sk-proj-1"}, "String should match"),
        ({"endpoint": "http://host/v1", "model": "m", "api_key_env": "KEY"}, "sent in the clear"),
        ({"endpoint": "https://host/v1", "model": "m", "requests_per_minute": 0}, "greater than 0"),
        ({"scores": {}, "benchmark": "b"}, "at least 1 item"),
        ({"pivot": "en"}, "system\n  Field required"),
    ],
)
def test_mistakes(entry, message) -> None:
    with pytest.raises(ValidationError) as caught:
        ANY.validate_python(entry)
    assert message in str(caught.value)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:1", "[::1]:80"])
def test_a_local_server_may_have_a_key(host) -> None:
    assert Endpoint(endpoint=f"http://{host}/v1", model="m", api_key_env="KEY").parallel == 4


@pytest.mark.parametrize(
    ("key", "kind"), [("translater", "translator"), ("end_point", "endpoint"), ("hypothesis", "hypotheses")]
)
def test_a_misspelt_key_still_tells_the_kind(key, kind) -> None:
    assert system_kind({key: "x", "beam": 4}) == kind


def test_what_is_no_part_of_an_answer_are_keys_of_an_endpoint() -> None:
    made_of = set(Endpoint.model_fields) - set(SERVICE)
    assert set(SERVICE) < set(Endpoint.model_fields)
    assert made_of == {"endpoint", "model", "prompt", "max_tokens", "temperature"}


def test_norwegian_is_a_pivot() -> None:
    assert ANY.validate_python({"system": "lifted", "pivot": False}).pivot == "no"


def test_folders_and_files_of_a_direction() -> None:
    assert TranslationModel(translator="nllb").folder("en", "de") == "nllb"
    pairs = TranslationModel(translator="opus/{source}-{target}")
    assert pairs.by_direction and pairs.folder("en", "zh") == "opus/en-zh"
    files = HypothesisFiles(hypotheses="{target}/from-{source}.gz")
    assert files.file("en", "de") == "de/from-en.gz" and files.by_direction and not files.json_lines
    one = HypothesisFiles(hypotheses="all.jsonl.gz")
    assert one.file("en", "de") == "all.jsonl.gz" and not one.by_direction and one.json_lines


def test_columns_and_prompts_of_families() -> None:
    plain, own = TranslationModel(translator="m"), TranslationModel(translator="m", codes="mc4", prompt="mine")
    assert [plain.column(family) for family in FAMILIES] == ["m2m100", "nllb", "madlad_mt", "", "tatoeba"]
    assert [plain.prompt_name(family) for family in FAMILIES] == ["", "", "madlad", "plain", ""]
    assert [own.column(family) for family in FAMILIES] == ["mc4"] * 5
    assert [own.prompt_name(family) for family in FAMILIES] == ["", "", "mine", "mine", ""]


def test_the_columns_are_in_the_table_of_languages(request) -> None:
    languages = load_languages(request.config.rootpath / "config" / "languages.tsv")
    columns = [family.column for family in FAMILIES.values() if family.column]
    assert [languages["de"].codes[column] for column in columns] == ["de", "deu_Latn", "de", "deu"]
