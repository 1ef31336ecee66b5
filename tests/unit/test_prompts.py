"""Prompts: every row of LLaMAX's Table 14 as it is put to the model, and where an answer ends."""

from pathlib import Path

import making
import pytest
from pydantic import ValidationError
from tokenizers import AddedToken

from lingualift.configuration.loading import read_yaml
from lingualift.configuration.prompts import Prompt
from lingualift.errors import LingualiftError
from lingualift.files import fingerprint

SHIPPED = {
    name: Prompt.model_validate(entry)
    for name, entry in read_yaml(Path(__file__).parents[2] / "config" / "prompts.yaml").items()
}
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
ASKED = {
    "TowerInstruct": (MICE, "English", "Chinese"),
    "aya23": (MICE, "English", "Chinese"),
    "Swallow": (MICE_JA, "Japanese", "Chinese Simpl"),
    "Madlad": (MICE, "en", "zh"),
}


@pytest.mark.parametrize("row", TABLE_14)
def test_rows_of_table_14(row) -> None:
    name, expected = TABLE_14[row]
    assert SHIPPED[name].translate(*ASKED.get(row, (MICE, "English", "Chinese Simpl"))) == expected


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


@pytest.mark.parametrize("name", ["alpaca", "short"])
def test_the_prompts_of_runs_that_there_are_keep_their_key(name) -> None:
    prompt = SHIPPED[name]
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
