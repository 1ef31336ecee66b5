"""Entries for prompts: how an instruction, or a sentence to translate, is put to a model."""

from pydantic import model_validator

from lingualift.configuration.base import Entry


class Prompt(Entry):
    """A template, as in LLaMAX's Table 14; the answer follows directly behind it.

    ``{instruction}`` and ``{input}`` are filled in; ``translation`` is the instruction of a translation,
    with ``{source}`` and ``{target}`` for the English names of the languages.
    """

    with_input: str
    without_input: str
    translation: str = "Translate the following sentences from {source} to {target}"

    @model_validator(mode="after")
    def _places(self) -> "Prompt":
        for key, places in {
            "with_input": ("{instruction}", "{input}"),
            "without_input": ("{instruction}",),
            "translation": ("{source}", "{target}"),
        }.items():
            for place in places:
                if place not in getattr(self, key):
                    raise ValueError(f"{key} has no {place}")
        return self

    def fill(self, instruction: str, text: str = "") -> str:
        """The prompt for one instruction; ``text`` is its input, if it has one."""
        template = self.with_input if text else self.without_input
        # Not str.format: the text may hold braces of its own.
        head, _, tail = template.partition("{instruction}")
        return head + instruction + tail.replace("{input}", text)

    def translate(self, text: str, source: str, target: str) -> str:
        """The prompt that asks for the translation of one sentence; languages by their English names."""
        return self.fill(self.translation.replace("{source}", source).replace("{target}", target), text)
