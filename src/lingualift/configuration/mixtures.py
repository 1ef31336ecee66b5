"""Entries for mixtures: what is sampled from which corpora, and how it becomes training entries."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from lingualift.configuration.base import Entry, LanguageCode, Name
from lingualift.configuration.evaluation import Directions

# As that of an augmentation: 1 is one line, 1.0 all of them.
Sample = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, le=1)]


class Component(Entry):
    """One source of a mixture: a corpus or an augmentation, and how its lines become entries."""

    corpus: Name | None = Field(None, description="The source: a corpus,")
    augmentation: Name | None = Field(None, description="or an augmentation.")
    format: Literal["connected", "split", "instruction"] = Field(
        "connected",
        description="Of parallel text: both sides in one entry, two entries apart, or a filled-in translation prompt.",
    )
    languages: list[LanguageCode] | None = Field(None, description="Only these; null: all of the run.")
    directions: Directions | None = Field(None, description="Which pairs of a parallel corpus are taken.")
    sample: Sample | None = Field(
        None,
        description="At most so many good rows of each language or pair (an integer), or a share of them (up to 1.0).",
    )
    loss: Literal["all", "target"] | None = Field(None, description="Which tokens are learnt; as the text was made.")

    @model_validator(mode="after")
    def _one_source(self) -> "Component":
        if (self.corpus is None) == (self.augmentation is None):
            raise ValueError("exactly one of corpus, augmentation is needed")
        if self.augmentation is not None and self.format == "split":
            raise ValueError("format split is for corpora: the two sides of an augmented pair are one entry")
        if self.format == "split" and self.loss == "target":
            raise ValueError(
                "loss target is for entries with a target: of format split each side is an entry of its own"
            )
        return self

    @property
    def source(self) -> str:
        """The corpus or augmentation, by name."""
        return self.corpus or self.augmentation or ""


class SmallPairs(Entry):
    """Pairs of languages with little text are repeated (LLaMAX, section 2.1)."""

    below: PositiveInt = Field(25_000, description="What counts as little: fewer sentence pairs than this.")
    repeats: PositiveInt = Field(3, description="How often each pair of sentences then comes.")


class Mixture(Entry):
    """What one training stage reads."""

    components: list[Component] = Field(min_length=1, description="What it is made of.")
    block: PositiveInt = Field(512, description="Tokens in one training sequence.")
    loss: Literal["all", "response"] = Field("all", description="Of instructions: every token, or the response only.")
    prompt: Name = Field("alpaca", description="Template of instructions and of translation prompts.")
    small_pairs: SmallPairs | None = Field(
        SmallPairs(), description="Repeat pairs of languages with little text; null: never."
    )
    packing: Literal["concatenate", "whole"] = Field(
        "concatenate",
        description="concatenate: entries run on over the end of a block; whole: an entry that fits is never cut.",
    )
    isolate: bool = Field(False, description="Attention and positions stay within one entry.")
