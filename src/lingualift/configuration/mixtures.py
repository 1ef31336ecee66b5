"""Entries for mixtures: what is sampled from which corpora, and how it becomes training entries."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from lingualift.configuration.base import Entry, LanguageCode, Name
from lingualift.configuration.evaluation import Directions


class Component(Entry):
    """One source of a mixture: a corpus or an augmentation, and how its lines become entries."""

    corpus: Name | None = None
    augmentation: Name | None = None
    format: Literal["connected", "split", "instruction"] = Field(
        "connected",
        description="Of parallel text: both sides in one entry, two entries apart, or a filled-in translation prompt.",
    )
    languages: list[LanguageCode] | None = None
    directions: Directions | None = Field(None, description="Which pairs of a parallel corpus are taken.")
    sample: float | None = Field(
        None, gt=0, description="Of each language or pair: a share (at most 1) or a number of lines (above 1)."
    )
    loss: Literal["all", "target"] | None = Field(None, description="Which tokens are learnt; as the text was made.")

    @model_validator(mode="after")
    def _one_source(self) -> "Component":
        if (self.corpus is None) == (self.augmentation is None):
            raise ValueError("exactly one of corpus, augmentation is needed")
        return self

    @property
    def source(self) -> str:
        """The corpus or augmentation, by name."""
        return self.corpus or self.augmentation or ""


class SmallPairs(Entry):
    """Pairs of languages with little text are repeated (LLaMAX, section 2.1)."""

    below: PositiveInt = 25_000
    repeats: PositiveInt = 3


class Mixture(Entry):
    """What one training stage reads."""

    components: list[Component] = Field(min_length=1)
    block: PositiveInt = Field(512, description="Tokens in one training sequence.")
    loss: Literal["all", "response"] = Field("all", description="Of instructions: every token, or the response only.")
    prompt: Name = Field("alpaca", description="Template of instructions and of translation prompts.")
    small_pairs: SmallPairs | None = SmallPairs()
    packing: Literal["concatenate", "whole"] = Field(
        "concatenate",
        description="concatenate: entries run on over the end of a block; whole: an entry that fits is never cut.",
    )
    isolate: bool = Field(False, description="Attention and positions stay within one entry.")
