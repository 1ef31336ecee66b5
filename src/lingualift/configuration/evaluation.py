"""What is judged and how it is shown: directions, metrics, tables, figures."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, RootModel, Tag, model_validator

from lingualift.configuration.base import Entry, LanguageCode, Name
from lingualift.errors import LingualiftError

Direction = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*-[A-Za-z][A-Za-z0-9_-]*$",
        description="Two language codes: source, '-', target.",
    ),
]

_DEFAULT_TOKENIZERS = {"spbleu": "flores200", "bleu": "auto"}
_TOKENIZERS = {
    "spbleu": ("flores200", "flores101"),
    "bleu": ("auto", "13a", "zh", "ja-mecab", "ko-mecab", "char", "intl"),
}
BUILT_IN_METRICS = ("spbleu", "bleu", "chrf", "chrf++")
# Computed beside every score, and shown by these names.
RATES = ("copy_rate", "empty_rate", "length_ratio")


class Metric(Entry):
    """A metric of sacrebleu and its tokenizer; the bare name means the metric with its default tokenizer.

    Source: LLaMAX, section 4.1 (spBLEU); Popović 2017 (chrF++).
    """

    name: Literal["spbleu", "bleu", "chrf", "chrf++"]
    tokenizer: str | None = Field(
        default=None,
        description="spbleu: flores200 (default), flores101 or spm:<path of a SentencePiece model>; "
        "bleu: auto (default: by target language), 13a, zh, ja-mecab, ko-mecab, char or intl; chrf has none.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, value: Any) -> Any:
        """A bare name is a metric; a metric without a tokenizer has its default one."""
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Mapping) and value.get("tokenizer") is None:
            return {**value, "tokenizer": _DEFAULT_TOKENIZERS.get(str(value.get("name")))}
        return value

    @model_validator(mode="after")
    def _check_tokenizer(self) -> Self:
        allowed = _TOKENIZERS.get(self.name, ())
        if not allowed and self.tokenizer is not None:
            raise ValueError(f"{self.name} works on characters and takes no tokenizer")
        own_model = self.name == "spbleu" and (self.tokenizer or "").removeprefix("spm:") not in ("", self.tokenizer)
        if allowed and self.tokenizer not in allowed and not own_model:
            words = ", ".join(allowed) + (" or spm:<path>" if self.name == "spbleu" else "")
            raise ValueError(f"no tokenizer {self.tokenizer!r} for {self.name}; there are {words}")
        return self


def find_metric(name: str, entries: Mapping[str, Metric]) -> Metric:
    """The metric that a table means by a name: an entry of the configuration, or a built-in one with its defaults.

    Raises:
        LingualiftError: neither.
    """
    if name in entries:
        return entries[name]
    if name in BUILT_IN_METRICS:
        return Metric(name=name)
    raise LingualiftError(f"no metric {name!r}; there are {', '.join(sorted({*entries, *BUILT_IN_METRICS}))}")


class Centre(Entry):
    """Between each centre language and all others, both ways."""

    centre: tuple[LanguageCode, ...] = Field(min_length=1)


class FromTo(Entry):
    """From each language of one list into each of another."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    from_: tuple[LanguageCode, ...] = Field(alias="from", min_length=1)
    to: tuple[LanguageCode, ...] = Field(min_length=1)


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "all"
    if isinstance(value, Centre) or (isinstance(value, Mapping) and "centre" in value):
        return "centre"
    if isinstance(value, FromTo | Mapping):
        return "from-to"
    return "list"


class Directions(
    RootModel[
        Annotated[
            Annotated[Literal["all"], Tag("all")]
            | Annotated[Centre, Tag("centre")]
            | Annotated[FromTo, Tag("from-to")]
            | Annotated[tuple[Direction, ...], Tag("list")],
            Discriminator(_kind),
        ]
    ]
):
    """Directions of translation: ``all``, ``{centre: [...]}``, ``{from: [...], to: [...]}`` or a list of ``en-de``."""

    model_config = ConfigDict(frozen=True)

    def expand(self, languages: Sequence[str]) -> list[tuple[str, str]]:
        """The directions among some languages.

        Args:
            languages: the codes that the benchmark has.

        Returns:
            (source, target) pairs, sorted, each once, never a language into itself.

        Raises:
            LingualiftError: a direction names a language that is not in ``languages``, or translates into itself.
        """
        match self.root:
            case "all":
                pairs = set(permutations(languages, 2))
            case Centre(centre=centre):
                _check_known(centre, languages)
                pairs = {pair for code in centre for other in languages for pair in ((code, other), (other, code))}
            case FromTo(from_=sources, to=targets):
                _check_known((*sources, *targets), languages)
                pairs = {(source, target) for source in sources for target in targets}
            case names:
                pairs = {split_direction(name, languages) for name in names}
        return sorted(pair for pair in pairs if pair[0] != pair[1])


def split_direction(direction: str, languages: Sequence[str]) -> tuple[str, str]:
    """Source and target of a direction's name; codes may hold hyphens themselves.

    Raises:
        LingualiftError: not two different languages of ``languages``.
    """
    known = set(languages)
    parts = direction.split("-")
    for cut in range(1, len(parts)):
        source, target = "-".join(parts[:cut]), "-".join(parts[cut:])
        if source in known and target in known:
            if source == target:
                raise LingualiftError(f"direction {direction!r} translates a language into itself")
            return source, target
    raise LingualiftError(f"direction {direction!r} is not between two of {_shortened(languages)}")


def _check_known(codes: Sequence[str], languages: Sequence[str]) -> None:
    for code in codes:
        if code not in languages:
            raise LingualiftError(f"directions name {code!r}, which is not among {_shortened(languages)}")


def _shortened(languages: Sequence[str]) -> str:
    return ", ".join(sorted(languages)[:12]) + (f", … ({len(languages)} languages)" if len(languages) > 12 else "")


class Table(Entry):
    """Systems × benchmarks × metrics: a row per direction, or the averages around centre languages.

    Source: LLaMAX, Table 4 (``layout: centre``).
    """

    systems: tuple[Name, ...] = Field(min_length=1)
    benchmarks: tuple[Name, ...] = Field(min_length=1)
    metrics: tuple[Name, ...] = Field(default=("spbleu",), min_length=1)
    layout: Literal["centre", "directions"] = "directions"
    centre: tuple[LanguageCode, ...] = Field(
        default=(), description="Centre languages, in the order of the rows; every language in turn if empty."
    )
    languages: tuple[LanguageCode, ...] = Field(
        default=(), description="Languages that rows or averages are taken over; all that have scores if empty."
    )
    caption: str = Field(default="", description="Stands over the table.")

    @model_validator(mode="after")
    def _check_centre(self) -> Self:
        if self.centre and self.layout != "centre":
            raise ValueError("centre is for 'layout: centre' only")
        return self


class Figure(Entry):
    """A figure of one metric: the matrix of all directions, one picture a system."""

    kind: Literal["direction_matrix"] = "direction_matrix"
    systems: tuple[Name, ...] = Field(min_length=1)
    benchmarks: tuple[Name, ...] = Field(min_length=1)
    metric: Name = "spbleu"
    caption: str = ""
