"""Entries for prompts: how an instruction, or a sentence to translate, is put to a model, and where its answer ends."""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from lingualift.configuration.base import Entry, LanguageCode
from lingualift.errors import LingualiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from lingualift.languages import Language

Message = dict[str, str]

_PLACE = re.compile(r"\{instruction\}|\{input\}")


class Prompt(Entry):
    """A template, as in LLaMAX's Table 14; the answer follows directly behind it.

    ``{instruction}`` and ``{input}`` are filled in; ``translation`` is the instruction of a translation,
    with ``{source}`` and ``{target}`` for the English names of the languages. Where ``translation`` holds
    ``{input}`` itself, the sentence stands there, and ``without_input`` goes around it.
    """

    with_input: str
    without_input: str
    translation: str = "Translate the following sentences from {source} to {target}"
    stop: tuple[str, ...] = Field((), description="The answer ends before the first of these.")
    special_tokens: bool = Field(
        True, description="The tokenizer adds its own, such as `<s>`; false where the template writes them out."
    )
    chat: bool = Field(
        False, description="What is filled in is a message of the user; the tokenizer's chat template goes around it."
    )
    system: str = Field("", description="The system's message before it; with `chat` only.")
    names: dict[LanguageCode, Annotated[str, Field(min_length=1)]] = Field(
        {},
        # They are part of what is asked in the directions of these languages alone: a plan gives them to its jobs.
        exclude=True,
        description="What it calls some languages, where that is another name than in `languages.tsv`: by our code.",
    )

    @model_validator(mode="after")
    def _places(self) -> "Prompt":
        for key, places in {
            "with_input": ("{instruction}", "{input}"),
            "without_input": ("{instruction}",),
            # A sentence that is laid out in full may leave its language unsaid.
            "translation": ("{target}",) if "{input}" in self.translation else ("{source}", "{target}"),
        }.items():
            for place in places:
                if place not in getattr(self, key):
                    raise ValueError(f"{key} has no {place}")
        if "" in self.stop:
            raise ValueError("stop holds an empty text, which every answer begins with")
        if self.system and not self.chat:
            raise ValueError("system is for 'chat: true' only: write it into the template")
        return self

    @model_serializer(mode="wrap")
    def _only_what_is_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Options at their default are left out: what was made before they existed keeps its key."""
        fields = type(self).model_fields
        options = {"stop", "special_tokens", "chat", "system"}
        kept = [name for name in fields if name not in options or getattr(self, name) != fields[name].default]
        return {key: value for key, value in handler(self).items() if key in kept}

    def language_names(self, table: "Mapping[str, Language]", codes: Iterable[str]) -> dict[str, str]:
        """What it calls some languages, by code.

        Args:
            table: all languages.

        Raises:
            LingualiftError: ``names`` has a code that the table lacks.
        """
        if unknown := self.names.keys() - table.keys():
            raise LingualiftError(f"names of a prompt: there is no language {', '.join(sorted(unknown))}")
        return {code: self.names.get(code, table[code].name) for code in codes}

    def fill(self, instruction: str, text: str = "") -> str:
        """The prompt for one instruction; ``text`` is its input, if it has one."""
        template = self.with_input if text else self.without_input
        # Not str.format, and all at once: the texts may hold braces of their own.
        places = {"{instruction}": instruction, "{input}": text}
        return _PLACE.sub(lambda place: places[place[0]], template)

    def translate(self, text: str, source: str, target: str) -> str:
        """The prompt that asks for the translation of one sentence; languages by their English names."""
        instruction = self.translation.replace("{source}", source).replace("{target}", target)
        head, inside, tail = instruction.partition("{input}")
        return self.fill(head + text + tail) if inside else self.fill(instruction, text)

    def messages(self, text: str, source: str, target: str) -> list[Message]:
        """The same as messages of a chat."""
        opening = [{"role": "system", "content": self.system}] if self.system else []
        return [*opening, {"role": "user", "content": self.translate(text, source, target)}]

    def encode(
        self, tokenizer: "PreTrainedTokenizerBase", sentences: Sequence[str], source: str, target: str
    ) -> list[list[int]]:
        """The tokens that ask for the translation of some sentences.

        Raises:
            LingualiftError: ``chat``, and the tokenizer has no chat template or its template refuses the messages.
        """
        if not self.chat:
            texts = [self.translate(text, source, target) for text in sentences]
            return tokenizer(texts, add_special_tokens=self.special_tokens)["input_ids"]
        if not tokenizer.chat_template:
            raise LingualiftError(
                f"{tokenizer.name_or_path}: the tokenizer has no chat template: "
                "choose a prompt that writes the model's format out"
            )
        from jinja2 import TemplateError

        chats = [self.messages(text, source, target) for text in sentences]
        try:
            texts = [
                cast(str, tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
                for chat in chats
            ]
        except TemplateError as error:
            raise LingualiftError(f"{tokenizer.name_or_path}: its chat template refuses the prompt: {error}") from error
        return tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []

    def stops(self, tokenizer: "PreTrainedTokenizerBase") -> list[str]:
        """What an answer ends before: ``stop``, and in a chat what its template begins the next turn with."""
        if not self.chat:
            return list(self.stop)
        turn = _next_turn(tokenizer, self.system)
        marks = [token for token in tokenizer.get_added_vocab() if token.strip() and token in turn]
        return [*self.stop, *(marks or filter(None, [turn.strip()]))]

    def stop_tokens(self, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
        """Those of :meth:`stops` that are added tokens of the tokenizer: an engine may end its search at them."""
        added = tokenizer.get_added_vocab()
        return [added[stop] for stop in self.stops(tokenizer) if stop in added]

    def decode(self, tokenizer: "PreTrainedTokenizerBase", tokens: Sequence[int]) -> str:
        """The answer in some new tokens, on one line."""
        # Decoding leaves special tokens out, and the place where they stood is lost.
        stops = set(self.stop_tokens(tokenizer))
        end = next((place for place, token in enumerate(tokens) if token in stops), len(tokens))
        text = cast(str, tokenizer.decode(list(tokens[:end]), skip_special_tokens=True))
        return _cut(text, self.stops(tokenizer))

    def cut(self, answer: str) -> str:
        """An answer up to the first of ``stop``, on one line; white space before the answer stops nothing."""
        return _cut(answer, self.stop)


def _cut(answer: str, stops: Iterable[str]) -> str:
    answer = answer.lstrip()
    ends = [place for stop in stops if (place := answer.find(stop)) >= 0]
    return " ".join(answer[: min(ends, default=len(answer))].split())


@functools.lru_cache(maxsize=2)
def _next_turn(tokenizer: "PreTrainedTokenizerBase", system: str) -> str:
    """What a chat template puts between an answer and the user's next message; nothing without one."""
    from jinja2 import TemplateError

    answer, question = "⟦answer⟧", "⟦question⟧"
    turns = [("user", "?"), ("assistant", answer), ("user", question)]
    chat = [{"role": role, "content": text} for role, text in ([("system", system)] if system else []) + turns]
    try:
        text = cast(str, tokenizer.apply_chat_template(chat, tokenize=False)) if tokenizer.chat_template else ""
    except TemplateError:
        return ""
    return text.partition(answer)[2].partition(question)[0]
