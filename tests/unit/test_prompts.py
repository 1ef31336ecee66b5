"""Prompts: every row of LLaMAX's Table 14 as it is put to the model, and where an answer ends."""

from pathlib import Path
from typing import Any

import making
import pytest
from pydantic import ValidationError
from tokenizers import AddedToken

from lingualift.configuration.loading import load_run, read_yaml
from lingualift.configuration.prompts import Prompt
from lingualift.configuration.systems import CausalModel
from lingualift.errors import LingualiftError
from lingualift.files import fingerprint
from lingualift.languages import load_languages
from lingualift.planning import Plan
from lingualift.translation import LazyEngine, Translator

ROOT = Path(__file__).parents[2]
SHIPPED = {name: Prompt.model_validate(it) for name, it in read_yaml(ROOT / "config" / "prompts.yaml").items()}
MICE = '"We now have 4-month-old mice that are non-diabetic that used to be diabetic," he added.'
MICE_JA = "「我々が飼っている生後4か月のマウスはかつて糖尿病でしたが現在は糖尿病ではない、」と彼は付け加えました。"
ALPACA = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\nTranslate the following sentences from English to Chinese Simpl\n\n"
    f"### Input:\n{MICE}\n\n### Response:"
)
TABLE_14 = {
    "LLaMAX-Alpaca": ("alpaca", ALPACA),
    "LLaMA Series Models": ("alpaca", ALPACA),
    "yayi2": ("alpaca", ALPACA),
    "polylm": ("polylm", f"{MICE}\nTranslate this sentence English to Chinese Simpl."),
    "TowerInstruct": (
        "tower-instruct",
        "<|im_start|>user\nTranslate the following text from English into Chinese.\n"
        f"English: {MICE}\nChinese:<|im_end|>\n<|im_start|>assistant\n",
    ),
    "aya23": (
        "aya-23",
        "<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>Translate the following sentences from English to Chinese: "
        f"{MICE}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    ),
    "Qwen2 instruct": (
        "qwen2-instruct",
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\nTranslate the following sentences from English to Chinese Simpl: {MICE}<|im_end|>\n"
        "<|im_start|>assistant\n",
    ),
    "ChineseAlpaca-2": (
        "chinese-alpaca-2",
        "[INST] <<SYS>>\nYou are a helpful assistant. 你是一个乐于助人的助手。\n<</SYS>>\n\n"
        f"Translate the following sentences from English to Chinese Simpl: {MICE} [/INST]",
    ),
    "Swallow": (
        "swallow",
        "[INST] <<SYS>>\nあなたは誠実で優秀な日本人のアシスタントです。\n<</SYS>>\n\n"
        f"Translate the following sentences from Japanese to Chinese Simpl: {MICE_JA} [/INST]",
    ),
    "Madlad": ("madlad", f"<2zh> {MICE}"),
}


def planned(languages: list[str], **system: str) -> dict[str, Any]:
    """What a job is told by which a system translates from the first of some languages into the others."""
    directions = {"from": languages[:1], "to": languages[1:]}
    configuration = {
        "run": "asked",
        "data": "nowhere",
        "languages": languages,
        "models": {"any": {"path": "any"}},
        "systems": {"Asked": system},
        "benchmarks": {"test": {"reader": "multiway", "path": "x", "files": "{language}", "directions": directions}},
    }
    return Plan(load_run(configuration, root=ROOT)).translation_settings("Asked", "test", 0)


def translator_of(settings: dict[str, Any]) -> Translator:
    system, prompt = CausalModel.model_validate(settings["system"]), Prompt.model_validate(settings["prompt"])
    return Translator(LazyEngine(list), making.byte_tokenizer(), system, prompt, settings["names"])


@pytest.mark.parametrize("row", TABLE_14)
def test_rows_of_table_14(row) -> None:
    """From the configuration to the tokens that a model is given."""
    name, expected = TABLE_14[row]
    source, sentence = ("ja", MICE_JA) if row == "Swallow" else ("en", MICE)
    system = {"translator": "m", "family": "madlad"} if name == "madlad" else {"model": "any", "prompt": name}
    settings = planned([source, "zh"], **system)
    if name == "madlad":
        asked = Prompt.model_validate(settings["prompt"]).translate(
            sentence, *(settings["names"][it] for it in ("en", "zh"))
        )
    else:
        translator = translator_of(settings)
        [(_, [tokens], _)] = translator.plan([sentence], source, "zh")
        asked = translator.tokenizer.decode(tokens)
    assert asked == expected


@pytest.mark.parametrize("row", [row for row in TABLE_14 if row != "Madlad"])
def test_languages_are_called_as_the_authors_called_them(row, shared_data) -> None:
    rows = (shared_data / "published" / "llamax" / "supported_languages.csv").read_text(encoding="utf-8").splitlines()
    released = [row.rpartition(",")[0] for row in rows[1:]]
    codes = [code for code, language in load_languages(ROOT / "config" / "languages.tsv").items() if language.seen]
    names = planned(codes, model="any", prompt=TABLE_14[row][0])["names"]
    # The table prints "Chinese" for two of its models.
    short = {"Chinese Simpl": "Chinese"} if row in ("TowerInstruct", "aya23") else {}
    assert sorted(names.values()) == sorted(short.get(name, name) for name in released)
    assert (names["zh"], names["zhtrad"]) == (short.get("Chinese Simpl", "Chinese Simpl"), "Chinese Trad")
    # What is no row of the table asks with our names.
    assert planned(codes, model="any", prompt="short")["names"]["zh"] == "Chinese (Simplified)"


def test_the_preset_of_the_papers_tables_asks_as_they_do() -> None:
    plan = Plan(load_run(ROOT / "config" / "evaluation.yaml", root=ROOT))
    for system in ("LLaMA2", "LLaMA3", "ChineseLLaMA2", "Swallow", "LLaMAX2"):
        settings = plan.system_settings(system)
        asked = Prompt.model_validate(settings["prompt"]).translate(
            MICE, *(settings["names"][it] for it in ("en", "zh"))
        )
        assert "Translate the following sentences from English to Chinese Simpl" in asked
        assert settings["prompt"]["stop"]


def test_a_name_is_part_of_the_directions_of_its_language_alone(monkeypatch) -> None:
    after = translator_of(planned(["en", "de", "zh"], model="any", prompt="alpaca"))
    monkeypatch.setattr(Prompt, "language_names", lambda self, table, codes: {code: table[code].name for code in codes})
    before = translator_of(planned(["en", "de", "zh"], model="any", prompt="alpaca"))
    assert before.settings("en", "de") == after.settings("en", "de")
    assert before.settings("en", "zh") != after.settings("en", "zh")


def test_a_translation_model_that_is_told_names_is_told_those_of_its_prompt() -> None:
    for prompt, name in (("plain", "Chinese (Simplified)"), ("alpaca", "Chinese Simpl")):
        settings = planned(["en", "zh"], translator="m", family="aya", prompt=prompt)
        assert settings["names"] == {"en": "English", "zh": name}


def test_a_name_of_no_language() -> None:
    prompt = SHIPPED["short"].model_copy(update={"names": {"zh": "Chinese", "zz": "Zed"}})
    with pytest.raises(LingualiftError, match="there is no language zz"):
        prompt.language_names(load_languages(ROOT / "config" / "languages.tsv"), ["zh"])


# What a model writes between its answer and the next turn, where its format has anything there.
TURNS = {
    "tower-instruct": "<|im_end|>\n",
    "qwen2-instruct": "<|im_end|>\n",
    "aya-23": "<|END_OF_TURN_TOKEN|>",
    "chinese-alpaca-2": " </s><s>",
    "swallow": " </s><s>",
    "polylm": "\n",
    "alpaca": "\n\n",
    "plain": "\n",
}


@pytest.mark.parametrize("name", TURNS)
def test_a_model_that_runs_on_into_the_next_turn_is_cut(name) -> None:
    prompt = SHIPPED[name]
    for more in (prompt.translate("a cat", "English", "German"), prompt.fill("Do this.")):
        if name not in ("plain", "polylm") or "Do this." not in more:
            kept = prompt.cut(f"Ein Hund.{TURNS[name]}{more} Eine Katze.")
            assert kept.replace("</s><s>", "").strip() == "Ein Hund."
    if name == "alpaca":
        for heading in ("Instruction", "Input", "Response"):
            assert prompt.cut(f"Ein Hund.\n\n### {heading}:\nmore") == "Ein Hund."


def test_every_row_of_table_14_has_its_end() -> None:
    assert {name for name, _ in TABLE_14.values()} - set(TURNS) == {"madlad"}


def test_every_shipped_prompt_asks_for_the_sentence_once() -> None:
    for name, prompt in SHIPPED.items():
        for text in (prompt.translate(MICE, "A", "B"), prompt.fill("Do this.", MICE)):
            assert text.count(MICE) == 1, name
            assert "{" not in text, name
        assert "Do this." in prompt.fill("Do this.") and "{" not in prompt.fill("Do this."), name


def test_braces_of_a_sentence_are_its_own() -> None:
    text = "{input} {source} {target} {instruction}"
    for prompt in SHIPPED.values():
        assert prompt.translate(text, "A", "B").count(text) == 1


def test_an_option_at_its_default_is_not_written() -> None:
    before = {"with_input": "{instruction}{input}", "without_input": "{instruction}", "translation": "{source}{target}"}
    assert Prompt.model_validate(before).model_dump(mode="json") == before
    more = {**before, "stop": ["x"], "special_tokens": False, "chat": True, "system": "s"}
    assert Prompt.model_validate(more).model_dump(mode="json") == more
    assert Prompt.model_validate(more).model_dump(mode="json", exclude_defaults=True) == more


def test_the_prompt_of_runs_that_there_are_keeps_its_key() -> None:
    prompt = SHIPPED["short"]
    plain = {key: getattr(prompt, key) for key in ("with_input", "without_input", "translation")}
    assert fingerprint(prompt.model_dump(mode="json")) == fingerprint(plain)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"with_input": "{instruction}"}, "with_input has no {input}"),
        ({"without_input": "x"}, "without_input has no {instruction}"),
        ({"translation": "into {target}"}, "translation has no {source}"),
        ({"translation": "{input} from {source}"}, "translation has no {target}"),
        ({"stop": [""]}, "which every answer begins with"),
        ({"system": "s"}, "system is for 'chat: true' only"),
    ],
)
def test_mistakes(changes, message) -> None:
    with pytest.raises(ValidationError, match=message):
        Prompt.model_validate({"with_input": "{instruction}{input}", "without_input": "{instruction}", **changes})


@pytest.mark.parametrize(
    ("stop", "answer", "expected"),
    [
        ([], " Ein\n Hund. ", "Ein Hund."),
        (["\n"], "\n\nEin Hund.\nUnd mehr.", "Ein Hund."),
        (["###", "\n\n"], "Ein Hund.\n\nUnd ### mehr.", "Ein Hund."),
        (["###"], "###", ""),
        (["x"], "Ein Hund.", "Ein Hund."),
    ],
)
def test_where_an_answer_ends(stop, answer, expected) -> None:
    prompt = Prompt(with_input="{instruction}{input}", without_input="{instruction}", stop=stop)
    assert prompt.cut(answer) == expected


def _tokenizer(*, template: str | None = None):
    tokenizer = making.byte_tokenizer(opening=True)
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken("<|im_end|>", special=True)]})
    tokenizer.chat_template = template
    return tokenizer


def test_an_answer_ends_at_a_special_token_though_decoding_drops_it() -> None:
    tokenizer, prompt = _tokenizer(), SHIPPED["qwen2-instruct"]
    tokens = tokenizer("Ein Hund.<|im_end|>\nuser", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(tokens, skip_special_tokens=True) == "Ein Hund.\nuser"
    assert prompt.stop_tokens(tokenizer) == [tokenizer.convert_tokens_to_ids("<|im_end|>")]
    assert prompt.decode(tokenizer, tokens) == "Ein Hund."
    assert SHIPPED["polylm"].stop_tokens(tokenizer) == []
    assert SHIPPED["polylm"].decode(tokenizer, tokens) == "Ein Hund."


def test_tokens_of_a_template_with_and_without_the_tokenizers_own() -> None:
    tokenizer = _tokenizer()
    plain = Prompt(with_input="{instruction}{input}", without_input="{instruction}", translation="{source}>{target}:")
    (own,) = plain.encode(tokenizer, ["x"], "A", "B")
    (bare,) = plain.model_copy(update={"special_tokens": False}).encode(tokenizer, ["x"], "A", "B")
    assert tokenizer.decode(own) == "<s>A>B:x" and tokenizer.decode(bare) == "A>B:x"
    assert plain.encode(tokenizer, ["x"], "A", "B") == tokenizer(["A>B:x"], add_special_tokens=True)["input_ids"]


CHAT = "{% for m in messages %}<s>[{{ m.role }}] {{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"


def test_the_tokenizers_chat_template() -> None:
    tokenizer = _tokenizer(template=CHAT)
    first, second = SHIPPED["chat"].encode(tokenizer, ["a dog", "two"], "English", "German")
    assert tokenizer.decode(first) == (
        "<s>[system] You are a translator. Answer with the translation alone.<|im_end|>"
        "<s>[user] Translate the following sentences from English to German: a dog<|im_end|>[assistant] "
    )
    assert tokenizer.decode(second).endswith("German: two<|im_end|>[assistant] ")
    assert first.count(tokenizer.convert_tokens_to_ids("<s>")) == 2
    assert SHIPPED["chat"].encode(tokenizer, [], "English", "German") == []


@pytest.mark.parametrize(
    ("template", "goes_on"),
    [
        (CHAT, "<|im_end|><s>[user] Was?"),
        (CHAT, "<s>[user] Was?"),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: ", "\nuser: Was?"),
    ],
)
def test_an_answer_in_a_chat_ends_where_the_template_begins_the_next_turn(template, goes_on) -> None:
    tokenizer = _tokenizer(template=template)
    tokens = tokenizer(f"Ein Hund.{goes_on}", add_special_tokens=False)["input_ids"]
    assert SHIPPED["chat"].decode(tokenizer, tokens) == "Ein Hund."
    # Not so where the prompt writes its form out.
    assert "Was?" in SHIPPED["short"].decode(tokenizer, tokens)


def test_an_engine_may_end_its_search_where_a_chats_turn_ends() -> None:
    tokenizer = _tokenizer(template=CHAT)
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") in SHIPPED["chat"].stop_tokens(tokenizer)
    for template in (None, "{{ raise_exception('one turn only') }}"):
        assert SHIPPED["chat"].stop_tokens(_tokenizer(template=template)) == []


def test_a_tokenizer_without_a_chat_template_or_with_one_that_refuses() -> None:
    with pytest.raises(LingualiftError, match="has no chat template"):
        SHIPPED["chat"].encode(_tokenizer(), ["x"], "A", "B")
    with pytest.raises(LingualiftError, match="refuses the prompt: no system here"):
        SHIPPED["chat"].encode(_tokenizer(template="{{ raise_exception('no system here') }}"), ["x"], "A", "B")


def test_messages() -> None:
    assert SHIPPED["chat"].messages("a dog", "English", "German") == [
        {"role": "system", "content": "You are a translator. Answer with the translation alone."},
        {"role": "user", "content": "Translate the following sentences from English to German: a dog"},
    ]
    assert [message["role"] for message in SHIPPED["alpaca"].messages("a", "A", "B")] == ["user"]
