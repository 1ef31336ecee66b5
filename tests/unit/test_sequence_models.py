"""Translation models: tiny random ones of every family, saved as the published ones are."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tiny
import torch
import transformers
from transformers import AutoModelForSeq2SeqLM

from lingualift.configuration.loading import load_run, read_yaml
from lingualift.configuration.prompts import Prompt
from lingualift.configuration.systems import FAMILIES, TranslationModel
from lingualift.errors import InputError, LingualiftError
from lingualift.files import read_json, write_json
from lingualift.languages import load_languages
from lingualift.planning import Plan
from lingualift.sequence_models import (
    DirectionTranslators,
    SequenceTranslator,
    codes_in,
    detect_family,
    load_sequence_model,
    load_sequence_translator,
    told_codes,
)
from lingualift.translation import translate_directions
from lingualift.translators import open_system

ROOT = Path(__file__).parents[2]
PROMPTS = {name: Prompt.model_validate(entry) for name, entry in read_yaml(ROOT / "config/prompts.yaml").items()}
LANGUAGES = load_languages(ROOT / "config" / "languages.tsv")
SENTENCES = [*tiny.sentences(9, seed=3, words=4), *tiny.sentences(6, seed=4, words=11)]
SIZES = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}
SIZES |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64, "init_std": 0.6}
T5_SIZES = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "initializer_factor": 3.0}
MARKS = ["<2en>", "<2de>", "<2zh>"]


def _pieces(folder: Path, name: str, **options: Any) -> Path:
    """A SentencePiece model of the test's words."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.txt").write_text("\n".join(tiny.sentences(200, seed=1)), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"),
        model_prefix=str(folder / Path(name).stem),
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    path = folder / f"{Path(name).stem}.model"
    (folder / f"{Path(name).stem}.vocab").unlink()
    (folder / "text.txt").unlink()
    return path.rename(folder / name)


def _vocabulary(path: Path) -> list[tuple[str, float]]:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [(pieces.id_to_piece(number), pieces.get_score(number)) for number in range(len(pieces))]


def _m2m100(folder: Path) -> Path:
    spm = _pieces(folder, "sentencepiece.bpe.model")
    words = ["<s>", "<pad>", "</s>", "<unk>"]
    words += [piece for piece, _ in _vocabulary(spm) if piece not in words]
    write_json({word: number for number, word in enumerate(words)}, folder / "vocab.json")
    tokenizer = transformers.M2M100Tokenizer(str(folder / "vocab.json"), str(spm))
    tokenizer.save_pretrained(folder)
    return _m2m_model(folder, len(words) + len(tokenizer.lang_code_to_id) + 8)


def _m2m_model(folder: Path, size: int, *, quiet: slice | None = None) -> Path:
    config = transformers.M2M100Config(
        vocab_size=size, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, **SIZES
    )
    model = transformers.M2M100ForConditionalGeneration(config)
    if quiet:
        # Among so many tokens of languages a random model would hardly find one of text.
        model.model.shared.weight.data[quiet] = 0
    return _save(model, folder)


def _nllb(folder: Path) -> Path:
    words = ["<s>", "<pad>", "</s>", "<unk>", "▁", *sorted({letter for text in SENTENCES for letter in text} - {" "})]
    tokenizer = transformers.NllbTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])
    tokenizer.save_pretrained(folder)
    return _m2m_model(folder, len(tokenizer) + 3, quiet=slice(len(words), None))


def _t5(folder: Path, *, marks: list[str], kind: str) -> Path:
    spm = _pieces(
        folder, "spiece.model", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, user_defined_symbols=[*marks, ",", ":", "."]
    )
    tokenizer = transformers.T5Tokenizer(vocab=_vocabulary(spm), extra_ids=0)
    tokenizer.add_tokens(marks)
    tokenizer.save_pretrained(folder)
    config = {"T5": transformers.T5Config, "MT5": transformers.MT5Config}[kind](
        vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, **T5_SIZES
    )
    return _save(getattr(transformers, f"{kind}ForConditionalGeneration")(config), folder)


def _marian(folder: Path, *, marks: list[str]) -> Path:
    spm = _pieces(folder, "source.spm")
    (folder / "target.spm").write_bytes(spm.read_bytes())
    words = ["</s>", "<unk>", *marks, *(piece for piece, _ in _vocabulary(spm) if not piece.startswith("<")), "<pad>"]
    write_json({word: number for number, word in enumerate(words)}, folder / "vocab.json")
    transformers.MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json")
    ).save_pretrained(folder)
    pad = len(words) - 1
    config = transformers.MarianConfig(
        vocab_size=len(words),
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=0,
        **SIZES,
    )
    return _save(transformers.MarianMTModel(config), folder)


def _save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "m2m100": _m2m100,
    "nllb": _nllb,
    "madlad": lambda folder: _t5(folder, marks=MARKS, kind="T5"),
    "aya": lambda folder: _t5(folder, marks=[], kind="MT5"),
    "marian": lambda folder: _marian(folder, marks=[]),
    "marian-many": lambda folder: _marian(folder, marks=[">>deu<<", ">>cmn<<"]),
}
KNOWN = {"m2m100": ("en", "de"), "nllb": ("eng_Latn", "deu_Latn"), "madlad": ("en", "de"), "aya": ("English", "German")}
CODES = {name: FAMILIES[name.partition("-")[0]].column for name in ("m2m100", "nllb", "madlad", "marian-many")}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(11)
    return {name: make(tmp_path_factory.mktemp("models") / name) for name, make in MAKERS.items()}


def _load(folder: Path, name: str, **changes: Any) -> SequenceTranslator:
    column = CODES.get(name, "")
    plain = {code: entry.name for code, entry in LANGUAGES.items()}
    names = told_codes(LANGUAGES, list(LANGUAGES), name.partition("-")[0]) if column else plain
    translator = load_sequence_translator(
        system=TranslationModel.model_validate(
            {"translator": folder.name, "batch": 4, "max_new_tokens": 16, **changes}
        ),
        data=folder.parent,
        names=names,
        prompt=PROMPTS.get({"madlad": "madlad", "aya": "plain"}.get(name, "")),
        column=column,
    )
    assert isinstance(translator, SequenceTranslator)
    return translator


def _by_hand(folder: Path, name: str, sentences: list[str], longest: int, *, beam: int = 4) -> list[str]:
    """What the model's own documentation would do: its tokenizer and ``generate``."""
    kind = {"m2m100": "M2M100", "nllb": "Nllb", "madlad": "T5", "aya": "T5"}.get(name, "Marian")
    tokenizer = getattr(transformers, f"{kind}Tokenizer").from_pretrained(folder)
    model, options = AutoModelForSeq2SeqLM.from_pretrained(folder).eval(), {}
    if name in ("m2m100", "nllb"):
        tokenizer.src_lang, target = KNOWN[name]
        options["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids("__de__" if name == "m2m100" else target)
    elif name == "madlad":
        sentences = [f"<2de> {text}" for text in sentences]
    elif name == "aya":
        sentences = [f"Translate the following sentences from English to German: {text}" for text in sentences]
    elif name == "marian-many":
        sentences = [f">>deu<< {text}" for text in sentences]
    inputs = tokenizer(sentences, return_tensors="pt", padding=True)
    with torch.inference_mode():
        out = model.generate(
            **inputs, max_new_tokens=longest, num_beams=beam, do_sample=False, length_penalty=1.0, **options
        )
    marks = {} if name != "m2m100" else set(tokenizer.lang_code_to_id.values())
    rows = [[token for token in row if token not in marks] for row in out.tolist()]
    return [" ".join(tokenizer.decode(row, skip_special_tokens=True).split()) for row in rows]


@pytest.mark.parametrize("name", MAKERS)
def test_families_are_told_apart_by_their_files(folders, name) -> None:
    assert detect_family(folders[name]) == name.partition("-")[0]


@pytest.mark.parametrize("name", MAKERS)
def test_translations_are_those_of_generate_by_hand(folders, name) -> None:
    translator = _load(folders[name], name)
    said = []
    for numbers, questions, longest in translator.plan(SENTENCES, "en", "de"):
        answers = translator.answer(questions, longest)
        assert answers == _by_hand(folders[name], name, [SENTENCES[number] for number in numbers], longest)
        said += answers
    assert len(said) == len(SENTENCES) and any(said)


@pytest.mark.parametrize("name", ["m2m100", "marian", "aya"])
def test_penalties_of_the_models_own_file_change_nothing(folders, tmp_path, name) -> None:
    shutil.copytree(folders[name], tmp_path / name)
    file = tmp_path / name / "generation_config.json"
    write_json({**read_json(file), "repetition_penalty": 5.0, "no_repeat_ngram_size": 1, "max_length": 3}, file)
    plain, own = _load(folders[name], name), _load(tmp_path / name, name)
    for numbers, questions, longest in plain.plan(SENTENCES, "en", "de"):
        assert own.answer(questions, longest) == (said := plain.answer(questions, longest))
        # The file does speak to transformers.
        assert _by_hand(tmp_path / name, name, [SENTENCES[number] for number in numbers], longest) != said


def test_marians_bans_and_forced_end_stay(folders, tmp_path) -> None:
    shutil.copytree(folders["marian"], tmp_path / "marian")
    file = tmp_path / "marian" / "generation_config.json"
    settings = read_json(file)
    write_json({**settings, "bad_words_ids": [[7]]}, file)
    kept = load_sequence_model(tmp_path / "marian")[0].generation_config
    assert kept.bad_words_ids == [[7]]
    assert kept.forced_eos_token_id == settings["forced_eos_token_id"] == 0
    assert kept.decoder_start_token_id == settings["decoder_start_token_id"] > 0


@pytest.mark.parametrize(
    ("name", "source", "target"), [("m2m100", "__en__", "__de__"), ("nllb", "eng_Latn", "deu_Latn")]
)
def test_the_answer_begins_with_the_token_of_the_target_language(folders, monkeypatch, name, source, target) -> None:
    translator = _load(folders[name], name)
    token = translator.tokenizer.convert_tokens_to_ids
    rows: list[list[int]] = []
    generate = translator.model.generate
    monkeypatch.setattr(
        translator.model, "generate", lambda **options: rows.extend((out := generate(**options)).tolist()) or out
    )
    for _, questions, longest in translator.plan(SENTENCES, "en", "de"):
        assert {question.tokens[0] for question in questions} == {token(source)}
        assert {question.forced for question in questions} == {token(target)}
        answers = translator.answer(questions, longest)
        assert not [text for text in answers if target in text]
    assert {row[1] for row in rows} == {token(target)}
    # The source's token is that of each direction, not of the one before.
    (_, questions, _), *_ = translator.plan(SENTENCES, "de", "en")
    assert (questions[0].tokens[0], questions[0].forced) == (token(target), token(source))


@pytest.mark.parametrize(("name", "first"), [("madlad", "<2de>"), ("marian-many", ">>deu<<")])
def test_the_source_begins_with_the_mark_of_the_target_language(folders, name, first) -> None:
    translator = _load(folders[name], name)
    (_, questions, _), *_ = translator.plan(SENTENCES, "en", "de")
    for question in questions:
        assert translator.tokenizer.convert_ids_to_tokens(question.tokens[:2]).count(first) == 1
        assert question.tokens[-1] == translator.tokenizer.eos_token_id and question.forced is None


def test_batches_hold_like_lengths_and_every_sentence(folders) -> None:
    translator = _load(folders["nllb"], "nllb", max_new_tokens=256, max_ratio=1)
    batches = list(translator.plan(SENTENCES, "en", "de"))
    assert sorted(number for numbers, _, _ in batches for number in numbers) == list(range(len(SENTENCES)))
    assert max(len(numbers) for numbers, _, _ in batches) == 4
    caps = [cap for _, _, cap in batches]
    # The model has 64 positions, one of which is the decoder's first token.
    assert caps == sorted(caps) and len(set(caps)) > 1 and caps[-1] == 63
    assert list(translator.plan([], "en", "de")) == []


@pytest.mark.parametrize(
    ("name", "pair", "message"),
    [
        ("m2m100", ("en", "as"), r"no code for 'as': .* fill the column 'm2m100' of config/languages.tsv"),
        ("nllb", ("xx", "de"), r"no code for 'xx': .* the column 'nllb'"),
        ("madlad", ("en", "fr"), r"\(madlad\) does not know 'fr', its code for 'fr' in column 'madlad_mt'"),
        (
            "marian-many",
            ("en", "fr"),
            r"\(marian\) does not know 'fra_Latn fra', its code for 'fr' in column 'tatoeba'",
        ),
    ],
)
def test_a_language_that_the_model_lacks(folders, name, pair, message) -> None:
    with pytest.raises(LingualiftError, match=message):
        next(_load(folders[name], name).plan(SENTENCES, *pair))


def test_codes_of_another_data_set_are_found_out(folders) -> None:
    translator = _load(folders["nllb"], "nllb")
    translator.names = codes_in(LANGUAGES, "flores101")
    with pytest.raises(LingualiftError, match=r"does not know 'eng', its code for 'en' in column 'nllb'"):
        next(translator.plan(SENTENCES, "en", "de"))
    # A piece of words is no language.
    assert translator.tokenizer.convert_tokens_to_ids("a") != translator.tokenizer.unk_token_id
    translator.names = {"en": "eng_Latn", "de": "a"}
    with pytest.raises(LingualiftError, match="does not know 'a'"):
        next(translator.plan(SENTENCES, "en", "de"))


def test_a_tokenizer_that_takes_the_mark_apart_is_not_trusted(folders, monkeypatch) -> None:
    translator = _load(folders["madlad"], "madlad")
    monkeypatch.setattr(
        translator, "prompt", PROMPTS["madlad"].model_copy(update={"translation": "<2 {target}> {input}"})
    )
    with pytest.raises(LingualiftError, match=r"takes <2de> \(token \d+\) apart"):
        next(translator.plan(SENTENCES, "en", "de"))


def test_a_source_longer_than_the_model_is_cut_and_told(folders, caplog) -> None:
    caplog.set_level(logging.WARNING)
    translator = _load(folders["marian"], "marian")
    (_, questions, longest), *_ = translator.plan([" ".join(tiny.sentences(30)), "a dog"][:1], "en", "de")
    assert len(questions[0].tokens) == 64 and questions[0].tokens[-1] == translator.tokenizer.eos_token_id
    assert "1 of 1 sentences are longer than the 64 tokens" in caplog.text
    assert len(translator.answer(questions, longest)) == 1


@pytest.mark.parametrize("name", ["m2m100", "madlad"])
@pytest.mark.parametrize("call", [0, 2, 5])
def test_a_broken_off_run_ends_as_an_unbroken_one(folders, tmp_path, monkeypatch, name, call) -> None:
    sources = {("en", "de"): SENTENCES, ("de", "en"): SENTENCES[:5]}

    def run(folder: Path, *, fail_at: int | None = None) -> tuple[bytes, list[Any]]:
        translator, calls = _load(folders[name], name, beam=2), []
        answer = translator.answer

        def counted(prompts, longest):
            if len(calls) == fail_at:
                raise KeyboardInterrupt
            calls.append(prompts)
            return answer(prompts, longest)

        monkeypatch.setattr(translator, "answer", counted)
        translate_directions(translator, sources, state=folder / "state", key=1, out=folder / "out.jsonl")
        return (folder / "out.jsonl").read_bytes(), calls

    expected, calls = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", fail_at=call)
    assert run(tmp_path / "broken") == (expected, calls[call:])
    records = [json.loads(line) for line in expected.splitlines()]
    assert len({record["hypothesis"] for record in records}) > 3


def _plan(languages: list[str], system: dict[str, Any], data: Path) -> Plan:
    """A run with a test set in all directions, and a system with a table of it."""
    configuration = {
        "run": "pairs",
        "data": str(data),
        "languages": languages,
        "systems": {"Opus": system},
        "benchmarks": {"test": {"reader": "multiway", "path": "x", "files": "{language}", "directions": "all"}},
        "tables": {"main": {"systems": ["Opus"], "benchmarks": ["test"], "metrics": ["chrf"]}},
    }
    return Plan(load_run(configuration, root=ROOT))


def _pair(folders, tmp_path: Path, **settings: str) -> Path:
    """A Marian of one pair, whose tokenizer says so."""
    folder = shutil.copytree(folders["marian"], tmp_path / "opus")
    file = folder / "tokenizer_config.json"
    write_json({**read_json(file), **settings}, file)
    return folder


def test_a_marian_of_one_pair_needs_no_code(folders, tmp_path) -> None:
    """Hausa has none of Tatoeba's."""
    _pair(folders, tmp_path, source_lang="en", target_lang="ha")
    assert "tatoeba" not in LANGUAGES["ha"].codes
    plan = _plan(["en", "ha", "de"], {"translator": "opus", "family": "marian", "max_new_tokens": 16}, tmp_path)
    # It translates into no other language, and from none.
    assert plan.translated_directions("Opus", "test") == [("en", "ha")]
    with open_system(plan.translation_settings("Opus", "test", 0), directions=[("en", "ha")]) as system:
        [(_, questions, longest)] = system.translator.plan(SENTENCES[:3], "en", "ha")
        assert system.translator.answer(questions, longest) == _by_hand(
            tmp_path / "opus", "marian", SENTENCES[:3], longest
        )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "de-en de-ha en-de en-ha ha-de ha-en"),
        ({"source_lang": "eng", "target_lang": "hau"}, "en-ha"),
        ({"source_lang": "mul", "target_lang": "en"}, "de-en ha-en"),
        ({"source_lang": "de", "target_lang": "gmq"}, "de-en de-ha"),
        # Of a language that the run lacks.
        ({"source_lang": "en", "target_lang": "fr"}, ""),
    ],
)
def test_a_marian_of_one_pair_translates_what_its_tokenizer_says(folders, tmp_path, settings, expected) -> None:
    _pair(folders, tmp_path, **settings)
    plan = _plan(["en", "ha", "de"], {"translator": "opus"}, tmp_path)
    assert sorted("-".join(pair) for pair in plan.translated_directions("Opus", "test")) == expected.split()


def test_a_marian_of_many_languages_has_those_that_it_marks(tmp_path) -> None:
    """By Tatoeba's codes or by ISO 639-3, with or without a script."""
    _marian(tmp_path / "opus", marks=[">>deu<<", ">>hau<<", ">>fas<<", ">>cmn<<", ">>cmn_Hans<<", ">>cmn_Hant<<"])
    languages = ["en", "de", "ha", "fa", "zh", "zhtrad", "fr"]
    plan = _plan(languages, {"translator": "opus"}, tmp_path)
    directions = plan.translated_directions("Opus", "test")
    assert {target for _, target in directions} == {"de", "ha", "fa", "zh", "zhtrad"}
    assert {source for source, _ in directions} == set(languages)
    asked = {}
    with open_system(plan.translation_settings("Opus", "test", 0), directions=directions) as system:
        for target in ("de", "ha", "fa", "zh", "zhtrad"):
            (_, questions, _), *_ = system.translator.plan(["a dog"], "en", target)
            asked[target] = system.translator.tokenizer.convert_ids_to_tokens(questions[0].tokens[0])
        with pytest.raises(LingualiftError, match=r"\(marian\) does not know 'fra_Latn fra'"):
            next(system.translator.plan(["a dog"], "en", "fr"))
    marks = {"de": "deu", "ha": "hau", "fa": "fas", "zh": "cmn_Hans", "zhtrad": "cmn_Hant"}
    assert asked == {code: f">>{mark}<<" for code, mark in marks.items()}


def test_a_mark_without_a_script_is_of_the_usual_one() -> None:
    codes = told_codes(LANGUAGES, ["zh", "zhtrad", "ace", "ace_Arab", "ti_ER", "ar"], "marian")
    assert codes == {
        "zh": "cmn_Hans zho_Hans cmn zho",
        "zhtrad": "cmn_Hant zho_Hant",
        "ace": "ace_Latn ace",
        "ace_Arab": "ace_Arab",
        "ti_ER": "tir_Ethi tir",
        "ar": "ara_Arab ara",
    }
    assert all(told_codes(LANGUAGES, list(LANGUAGES), "marian").values())


def test_marians_directions_before_its_folder_is_there(tmp_path) -> None:
    plan = _plan(["en", "ha"], {"translator": "opus", "family": "marian"}, tmp_path)
    assert plan.translated_directions("Opus", "test") == [("en", "ha"), ("ha", "en")]


def test_marian_by_codes_of_a_column(tmp_path) -> None:
    _marian(tmp_path / "opus", marks=[">>de<<"])
    plan = _plan(["en", "de", "ha"], {"translator": "opus", "codes": "m2m100"}, tmp_path)
    assert plan.translated_directions("Opus", "test") == [("en", "de"), ("ha", "de")]


def test_a_model_for_every_direction(folders, tmp_path) -> None:
    for pair, name in {"en-de": "marian", "de-en": "m2m100"}.items():
        (tmp_path / pair).symlink_to(folders[name])
    system = TranslationModel(translator="{source}-{target}", batch=4, max_new_tokens=16)
    translator = load_sequence_translator(system=system, data=tmp_path, names=codes_in(LANGUAGES, "m2m100"))
    assert isinstance(translator, DirectionTranslators)
    for pair, name in {("en", "de"): "marian", ("de", "en"): "m2m100"}.items():
        one = _load(folders[name], name)
        for (_, questions, longest), (_, same, _) in zip(
            translator.plan(SENTENCES, *pair), one.plan(SENTENCES, *pair), strict=True
        ):
            assert questions == same and translator.answer(questions, longest) == one.answer(same, longest)
    with pytest.raises(LingualiftError, match=r"en-fr: no such model folder; `translator` says where it is"):
        next(translator.plan(SENTENCES, "en", "fr"))


def test_settings_are_what_determines_the_translations(folders) -> None:
    base = _load(folders["aya"], "aya")
    assert base.settings() == _load(folders["aya"], "aya").settings()
    assert base.settings() != _load(folders["aya"], "aya", beam=2).settings()
    moved = base.system.model_copy(update={"translator": "elsewhere"})
    other = SequenceTranslator(base.model, base.tokenizer, moved, family="aya", names=base.names, prompt=base.prompt)
    assert base.settings() == other.settings()


def test_a_model_that_is_asked_in_words_needs_the_words(folders) -> None:
    with pytest.raises(LingualiftError, match="the family aya is asked in words"):
        load_sequence_translator(system=TranslationModel(translator="aya"), data=folders["aya"].parent, names={})


def test_folders_that_hold_no_translation_model(folders, tmp_path) -> None:
    for call in (detect_family, load_sequence_model):
        with pytest.raises(LingualiftError, match="no such model folder"):
            call(tmp_path / "none")
    with pytest.raises(InputError, match="no such file"):
        detect_family(tmp_path)
    write_json({"model_type": "llama"}, tmp_path / "config.json")
    with pytest.raises(LingualiftError, match="a model of type 'llama' is not known for translating"):
        detect_family(tmp_path)
    with pytest.raises(LingualiftError, match="no translation model in safetensors"):
        load_sequence_model(tmp_path)


def test_weights_that_are_pickled_are_not_read(folders, tmp_path) -> None:
    for path in folders["marian"].iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(LingualiftError, match="no translation model in safetensors"):
        load_sequence_model(tmp_path)
