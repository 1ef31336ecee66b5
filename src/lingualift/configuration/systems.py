"""Entries for systems: causal models, translation models, endpoints, files of others, pivots.

What is given tells the kind: ``translator``, ``endpoint``, ``hypotheses``, ``scores``, ``pivot``; else ``model``.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from lingualift.configuration.base import Entry, LanguageCode, Name

SIDES = frozenset({"source", "target"})
# A key may be sent in the clear to these alone.
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the models of one family are told what to translate into.

    Attributes:
        column: of languages.tsv, with their codes; empty if they are told names.
        prompt: of prompts.yaml, if they are asked in words.
        source: whether they have to be told the language of the source, too.
    """

    column: str = ""
    prompt: str = ""
    source: bool = False


FAMILIES: Mapping[str, Family] = {
    "m2m100": Family(column="m2m100", source=True),
    "nllb": Family(column="nllb", source=True),
    "madlad": Family(column="madlad_mt", prompt="madlad"),
    "aya": Family(prompt="plain"),
    # OPUS-MT marks the target as Tatoeba does, or by ISO 639-3 (marian.py); a model of one pair is told nothing.
    "marian": Family(column="tatoeba"),
}


class Decoding(Entry):
    """How translations are searched for, by a model of ours or a translation model."""

    beam: PositiveInt = Field(4, description="Hypotheses that beam search keeps; 1: greedy.")
    length_penalty: float = Field(1.0, description="Above 1 prefers long answers.")
    max_new_tokens: PositiveInt = Field(256, description="No translation is longer, whatever its source.")
    max_ratio: PositiveFloat = Field(3.0, description="Nor than so many times its source, in tokens, and 16 more.")
    batch: PositiveInt = Field(32, description="Sentences at once.")


class CausalModel(Decoding):
    """A model of this configuration, the prompt it is asked with, and how it is decoded."""

    model: Name = Field(description="The model that is asked.")
    prompt: Name = Field("alpaca", description="Template of prompts.yaml.")
    engine: Literal["auto", "transformers", "ctranslate2", "vllm"] = Field(
        "auto",
        description="auto: transformers where the profile has GPUs (`resources: [gpu=1]`), CTranslate2 otherwise and "
        "for int8; vllm is to be installed beside.",
    )
    precision: Literal["float32", "bfloat16", "float16", "int8"] = Field(
        "float32", description="Of the weights while translating; int8 is for CTranslate2."
    )

    @model_validator(mode="after")
    def _check_precision(self) -> Self:
        if self.precision == "int8" and self.engine in ("transformers", "vllm"):
            raise ValueError(f"'precision: int8' is for CTranslate2, not for 'engine: {self.engine}'")
        return self


class TranslationModel(Decoding):
    """A translation model of transformers: an encoder that reads the source, a decoder that writes the target.

    Source: LLaMAX, appendix C.2.
    """

    translator: str = Field(
        min_length=1,
        description="Its folder, relative to the data folder; with `{source}` and `{target}` (our codes), one a direction.",
    )
    family: Literal["auto", "m2m100", "nllb", "madlad", "aya", "marian"] = Field(
        "auto", description="How it is told the languages; auto: as its config.json says."
    )
    codes: str | None = Field(
        None, description="Column of languages.tsv with the model's codes; default: that of the family."
    )
    prompt: Name | None = Field(
        None, description="Template of prompts.yaml, for madlad and aya only; default: `madlad`, `plain`."
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Of the weights while translating."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_sides("translator", self.translator, needed=False)
        if self.prompt and self.family != "auto" and not FAMILIES[self.family].prompt:
            raise ValueError(f"a model of the family {self.family} is not asked in words and takes no prompt")
        return self

    @property
    def by_direction(self) -> bool:
        """Whether every direction has a model of its own."""
        return bool(_sides(self.translator))

    def folder(self, source: str, target: str) -> str:
        """The model's folder for one direction, by our codes."""
        return _filled(self.translator, source, target)

    def column(self, family: str) -> str:
        """The column of languages.tsv with the codes of a model of this family; empty if it is told names."""
        return self.codes or FAMILIES[family].column

    def prompt_name(self, family: str) -> str:
        """The prompt that a model of this family is asked with; empty if it is not asked in words."""
        return (self.prompt or FAMILIES[family].prompt) if FAMILIES[family].prompt else ""


# What says how an endpoint is asked, not what it answers: not part of what a translation is made from.
SERVICE = (
    "api_key_env",
    "parallel",
    "requests_per_minute",
    "max_retries",
    "timeout",
    "price_in",
    "price_out",
)


class Endpoint(Entry):
    """A model behind an API of OpenAI's form. Every answer is kept: the same question is never paid for twice.

    Source: LLaMAX, appendix H (GPT-4).
    """

    endpoint: str = Field(pattern=r"^https?://[^\s?#@]+$", description="Base URL, such as https://api.openai.com/v1.")
    model: str = Field(min_length=1, description="The model's name there.")
    prompt: Name = Field("chat", description="Template of prompts.yaml.")
    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the key; the key itself has no place in a configuration.",
    )
    max_tokens: PositiveInt = Field(512, description="No answer is longer.")
    temperature: NonNegativeFloat = Field(0.0, description="Of sampling; 0: the likeliest answer.")
    parallel: PositiveInt = Field(4, description="Requests at once.")
    requests_per_minute: PositiveFloat | None = Field(None, description="No more are sent; no limit by default.")
    max_retries: NonNegativeInt = Field(
        6, description="After an answer of 429 or 5xx, one that is broken, or none in time."
    )
    timeout: PositiveFloat = Field(120.0, description="Seconds to wait for an answer.")
    price_in: NonNegativeFloat = Field(0.0, description="Of a million tokens of prompts, in any currency.")
    price_out: NonNegativeFloat = Field(0.0, description="Of a million tokens of answers.")

    @model_validator(mode="after")
    def _key_in_the_clear(self) -> Self:
        url = urlsplit(self.endpoint)
        if self.api_key_env and url.scheme == "http" and url.hostname not in _LOOPBACK:
            raise ValueError("the key would be sent in the clear: use https, or leave api_key_env out")
        return self


class HypothesisFiles(Entry):
    """Translations that are there already, in the order of the test set's sentences.

    Plain text, a line a sentence; or, in files named `.jsonl`, an object a line with `hypothesis` and, if they are in
    another order, `sentence`, counted from 0. One JSON-lines file may hold all directions: its lines then have
    `direction`, such as `en-de`, as those of `results/<run>/hypotheses` do.
    """

    hypotheses: str = Field(
        description="Their files, relative to the data folder, with `{source}` and `{target}`; `.gz`, `.xz`, `.bz2` "
        "and `.zst` are decompressed."
    )
    codes: str | None = Field(
        None, description="Column of languages.tsv with the files' codes; default: our own codes."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_sides("hypotheses", self.hypotheses, needed=not self.json_lines)
        return self

    @property
    def json_lines(self) -> bool:
        """Whether the files hold JSON lines, not plain text."""
        return ".jsonl" in self.hypotheses.rpartition("/")[2]

    @property
    def by_direction(self) -> bool:
        """Whether every direction has a file of its own."""
        return bool(_sides(self.hypotheses))

    def file(self, source: str, target: str) -> str:
        """The file of one direction; languages by the files' codes."""
        return _filled(self.hypotheses, source, target)


_Signature = Annotated[str, Field(min_length=1)]


class PublishedScores(Entry):
    """Scores that its authors published, without the translations."""

    scores: dict[Name, str] = Field(min_length=1, description="Metric → file, relative to the data folder.")
    benchmark: Name = Field(description="What was translated.")
    layout: Literal["centre"] = Field(
        "centre", description="centre: rows such as `en-x` and `x-en`, a column a language, `/` for no score."
    )
    signature: _Signature | dict[Name, _Signature] = Field(
        "as published", description="How they were made, as far as it is known: one for all metrics, or metric → it."
    )

    @model_validator(mode="after")
    def _check_signature(self) -> Self:
        if isinstance(self.signature, dict) and self.signature.keys() != self.scores.keys():
            there, given = ", ".join(self.scores), ", ".join(self.signature) or "none"
            raise ValueError(f"signature has to name the metrics of scores, {there}, each once; here is {given}")
        return self


class Pivot(Entry):
    """Another system, twice: into the pivot language, and from there into the target.

    Source: LLaMAX, Table 8.
    """

    system: Name = Field(description="The system that translates both legs.")
    pivot: LanguageCode = Field(description="The language between.")


KINDS: Mapping[str, type[Entry]] = {
    "translator": TranslationModel,
    "endpoint": Endpoint,
    "hypotheses": HypothesisFiles,
    "scores": PublishedScores,
    "pivot": Pivot,
    # Last: an endpoint has a `model` as well.
    "model": CausalModel,
}


def system_kind(value: Any) -> str:
    """The key that tells what kind of system an entry is, one of :data:`KINDS`; ``model`` if nothing does.

    Takes what a file says as well as an entry.
    """
    if not isinstance(value, Mapping):
        return next((key for key, kind in KINDS.items() if isinstance(value, kind)), "model")
    given = next((key for key in KINDS if key in value), None)
    # A misspelt key still tells what was meant, and is told so.
    alike = [key for key in KINDS if difflib.get_close_matches(key, map(str, value), n=1, cutoff=0.8)]
    return given or next(iter(alike), "model")


def class_of_kind(value: Any) -> str:
    """The name of the class of :func:`system_kind`, for pydantic's ``Discriminator``."""
    return KINDS[system_kind(value)].__name__


def _sides(template: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(template) if field is not None}


def _check_sides(key: str, template: str, *, needed: bool) -> None:
    try:
        found = _sides(template)
    except ValueError as error:
        raise ValueError(f"{key} is no template: {error}") from error
    if (found or needed) and found != SIDES:
        raise ValueError(f"{key} has to hold {{source}} and {{target}}, and no other place; it holds: {sorted(found)}")


def _filled(template: str, source: str, target: str) -> str:
    return template.format(source=source, target=target)
