"""The console script."""

import json
from pathlib import Path

import pytest
import test_sequence_models
import torch
import yaml
from typer.testing import CliRunner

from lingualift.cli import app
from lingualift.configuration.loading import read_yaml
from lingualift.configuration.prompts import Prompt
from lingualift.configuration.systems import TranslationModel
from lingualift.languages import load_languages
from lingualift.sequence_models import codes_in, load_sequence_translator

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "config" / "demo.yaml"


@pytest.fixture
def call(monkeypatch):
    monkeypatch.chdir(ROOT)
    runner = CliRunner()
    return lambda *arguments, **options: runner.invoke(app, list(map(str, arguments)), **options)


@pytest.fixture
def changed(tmp_path):
    """A copy of the demo's configuration with some of it changed."""

    def write(change):
        values = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
        change(values)
        path = tmp_path / "changed.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return write


def test_check_sums_up_a_good_configuration(call):
    result = call("check", DEMO)
    assert result.exit_code == 0
    assert "good; 4 languages, 5 corpora, 1 dictionary, 1 augmentation, 3 mixtures" in result.stdout
    assert "held-out: 12 directions in 1 job a system" in result.stdout
    assert "missing" not in result.stdout


def test_check_prints_a_line_for_each_mistake(call, changed):
    def change(values):
        values["models"]["lifted"]["from"] = "bass"
        values["mixtures"]["lifting"]["prompt"] = "shirt"

    result = call("check", changed(change))
    assert result.exit_code == 1
    first, second = sorted(result.stderr.splitlines())
    assert "mixtures.lifting.prompt: no entry 'shirt' in prompts, did you mean 'short'?" in first
    assert "models.lifted.from: no entry 'bass' in models, did you mean 'base'?" in second


def test_check_lists_what_is_not_there(call, changed):
    def change(values):
        values["corpora"]["english"].update(path="nowhere.txt")
        values["corpora"]["others"].update(files="nothing.{language}.txt")

    path = changed(change)
    for options, status in (((), 0), (("--complete",), 2)):
        result = call("check", path, *options)
        assert result.exit_code == status
        assert "missing: corpora.english: demo/data/nowhere.txt\n" in result.stdout
        assert "missing: corpora.others: demo/data/nothing.de.txt and 2 more\n" in result.stdout


def test_a_complete_run_is_told_by_the_status(call):
    assert call("check", "--complete", DEMO).exit_code == 0


def test_check_says_what_is_odd(call, changed):
    result = call("check", changed(lambda values: values["systems"]["Base-Alpaca"].update(prompt="alpaca")))
    assert result.exit_code == 0
    assert "systems.Base-Alpaca: asks with the prompt 'alpaca'; its model was tuned with 'short'" in result.stdout


def test_check_works_outside_of_the_checkout(call, changed, tmp_path, monkeypatch):
    path = changed(lambda values: values.update(data=str(ROOT / "demo" / "data")))
    monkeypatch.chdir(tmp_path)
    result = call("check", path)
    assert (result.exit_code, "missing" in result.stdout) == (0, False)


def test_a_language_is_added_by_the_names_of_its_columns(call, tmp_path):
    table = tmp_path / "languages.tsv"
    table.write_bytes((ROOT / "config" / "languages.tsv").read_bytes())
    before = load_languages(table)
    row = ["code=qlx", "name=Qualaxian", "iso639_3=qlx", "script=Cyrl Latn", "mc4=ql"]
    result = call("add-language", *row, "--languages-file", table)
    assert result.exit_code == 0
    assert "qlx, Qualaxian; in mc4" in result.stdout
    after = load_languages(table)
    added = after["qlx"]
    assert (added.scripts, added.codes, added.seen, added.mono) == (("Cyrl", "Latn"), {"mc4": "ql"}, False, None)
    assert (added.resource, added.segmentation) == ("low", "space")
    assert {code: it for code, it in after.items() if code != "qlx"} == before


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (["code=qlx", "name=Q", "script=Latn"], "give iso639_3=…, too"),
        (["code=qlx", "name=Q", "script=latin", "iso639_3=qlx"], "script is 'latin', not ISO 15924"),
        (["code=q-x", "name=Q", "script=Latn", "iso639_3=qlx"], "code is 'q-x', not letters"),
        (["code=qlx", "mc44=Q"], "no column 'mc44' in"),
        (["code=de", "name=Q", "script=Latn", "iso639_3=deu"], "'de' is there: German"),
        (["qlx"], "wanted is COLUMN=VALUE"),
    ],
)
def test_a_language_that_cannot_be_added_changes_nothing(call, tmp_path, row, said):
    table = tmp_path / "languages.tsv"
    table.write_bytes((ROOT / "config" / "languages.tsv").read_bytes())
    result = call("add-language", *row, "--languages-file", table)
    assert result.exit_code == 1
    assert said in result.stderr
    assert table.read_bytes() == (ROOT / "config" / "languages.tsv").read_bytes()
    assert list(tmp_path.iterdir()) == [table]


def test_check_of_no_file(call):
    result = call("check", "config/nothing.yaml")
    assert result.exit_code == 1
    assert result.stderr.strip() == "config/nothing.yaml: no such file"


def test_schema_knows_every_section(call):
    printed = call("schema").stdout
    schema = json.loads(printed)
    assert {"corpora", "mixtures", "models", "tables"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    # The file that editors read is the same.
    assert printed == (ROOT / "config" / "schema.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("pattern", ["cy", "welsh", "Welsh", "cym"])
def test_languages_are_found_by_code_and_name(call, pattern):
    result = call("languages", pattern)
    assert result.exit_code == 0
    assert any(line.startswith("cy ") and "flores101=cym" in line for line in result.stdout.splitlines())


def test_a_language_that_is_not_there(call):
    result = call("languages", "klingon")
    assert result.exit_code == 1
    assert "no language like 'klingon'" in result.stderr


def test_results_says_what_is_not_made_yet(call, monkeypatch, tmp_path, changed):
    path = changed(lambda values: values.update(run="never-run"))
    result = call("results", path)
    assert result.exit_code == 0
    assert "table   results/never-run/tables/main.md  (not made yet)" in result.stdout
    assert "model   results/never-run/models/lifted-alpaca  (not made yet)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "dd"), "no language 'dd'"),
        (("--prompt", "alpacca"), "no prompt 'alpacca', did you mean 'alpaca'?"),
        ((), "not the folder of a model"),
    ],
)
def test_translate_says_what_is_wrong(call, tmp_path, arguments, message):
    result = call("translate", tmp_path, "A dog.", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    """A model folder with random weights and a byte-level tokenizer: its answers mean nothing, but are answers."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["</s>", *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="</s>", eos_token="</s>", unk_token="</s>", pad_token="</s>"
    )
    torch.manual_seed(3)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
        )
    )
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_both_engines_translate_alike(call, random_model):
    outputs = [
        call("translate", random_model, "A dog.", "--prompt", "short", "--beam", 1, "--engine", engine).stdout
        for engine in ("transformers", "ctranslate2")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].count("\n") == 1


def test_languages_are_called_as_the_prompt_calls_them(call, random_model, monkeypatch):
    """LLaMAX asks for "Chinese Simpl" (Table 14), where languages.tsv has another name."""
    asked, encode = [], Prompt.encode

    def noting(self, tokenizer, sentences, source, target):
        asked.append((source, target))
        return encode(self, tokenizer, sentences, source, target)

    monkeypatch.setattr(Prompt, "encode", noting)
    for prompt in ("alpaca", "short"):
        call("translate", random_model, "A dog.", "--target", "zh", "--prompt", prompt, "--beam", 1)
    assert asked == [("English", "Chinese Simpl"), ("English", "Chinese (Simplified)")]


def test_lines_of_the_standard_input_keep_their_places(call, random_model):
    result = call("translate", random_model, "--prompt", "short", "--beam", 1, input="A dog barks loudly.\n\nA cat.\n")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.split("\n")
    assert len(lines) == 4
    assert lines[1] == ""
    assert lines[2] == call("translate", random_model, "A cat.", "--prompt", "short", "--beam", 1).stdout.strip("\n")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A tiny random translation model of two families."""
    folder = tmp_path_factory.mktemp("translation-models")
    torch.manual_seed(11)
    for name in ("m2m100", "madlad"):
        test_sequence_models.MAKERS[name](folder / name)
    return folder


@pytest.mark.parametrize("family", ["m2m100", "madlad"])
def test_a_translation_model_translates(call, folders, family):
    """As it does for a system of the configuration: told the codes of its own, and in its own words."""
    languages = load_languages(ROOT / "config/languages.tsv")
    one = load_sequence_translator(
        system=TranslationModel(translator=family, beam=1),
        data=folders,
        names=codes_in({code: languages[code] for code in ("en", "de")}, family),
        prompt=Prompt.model_validate(read_yaml(ROOT / "config/prompts.yaml")["madlad"]),
    )
    ((_, questions, longest),) = one.plan(["a dog"], "en", "de")
    result = call("translate", folders / family, "--beam", 1, input="a dog\n\n")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split("\n") == [*one.answer(questions, longest), "", ""]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--prompt", "alpaca"), "a translation model that is not asked in words and takes no prompt"),
        (("--engine", "ctranslate2"), "a translation model, which transformers runs, not ctranslate2"),
        (("--target", "te"), "the translation model has no code for 'te'"),
    ],
)
def test_what_a_translation_model_cannot_be_asked(call, folders, arguments, message):
    result = call("translate", folders / "m2m100", "a dog", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
