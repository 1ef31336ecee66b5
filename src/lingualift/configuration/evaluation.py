"""What is judged and how it is shown: directions, metrics, tables, figures."""

from collections.abc import Collection, Mapping, Sequence
from itertools import permutations
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveInt,
    RootModel,
    Tag,
    model_validator,
)

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
# Shares of outputs whose detected language is the source's, or the target's; LLaMAX, Table 7.
OFF_TARGET = ("R_source", "R_X")
# Those of LLaMAX, Figure 7.
PAPER_LANGUAGES = ("en", "zh", "de", "ne", "ar", "az", "ceb")


class Metric(Entry):
    """A metric of sacrebleu and its tokenizer; the bare name means the metric with its default tokenizer.

    Source: LLaMAX, section 4.1 (spBLEU); Popović 2017 (chrF++).
    """

    name: Literal["spbleu", "bleu", "chrf", "chrf++"]
    tokenizer: str | None = Field(
        default=None,
        description="spbleu: flores200 (default), flores101 or spm:<path of a SentencePiece model, from the data folder>; "
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


class Comet(Entry):
    """COMET, in an environment of its own that the rule ``build_comet_environment`` makes.

    Source: Rei et al. 2022 (COMET-22); LLaMAX, section 4.1.
    """

    name: Literal["comet"]
    checkpoint: str = Field(
        min_length=1,
        description="comet: the checkpoint's folder (hparams.yaml, checkpoints/model.ckpt), from the data folder.",
    )
    encoder: str | None = Field(
        default=None,
        description="The folder of its encoder's config.json and tokenizer, from the data folder; default: what the "
        "checkpoint names.",
    )
    precision: Literal["float32", "float16"] = Field(
        default="float32", description="float16 is what the command comet-score computes in."
    )
    batch: PositiveInt = Field(default=32, description="Texts that are embedded at once.")
    devices: PositiveInt = Field(default=1, description="GPUs to use, where the profile has any.")


class OffTarget(Entry):
    """The share of outputs whose detected language is the source's (R_source), or the target's (R_X).

    Source: LLaMAX, Tables 7 and 13.
    """

    name: Literal["R_source", "R_X"]
    detector: Literal["langdetect", "fasttext"] = Field(
        default="langdetect", description="What tells the language: langdetect as in the paper, or fastText."
    )
    seed: NonNegativeInt = Field(default=0, description="Of langdetect, which draws n-grams at random.")
    model: str | None = Field(
        default=None, description="fasttext: its file lid.176.bin or lid.176.ftz, from the data folder."
    )

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        if (self.detector == "fasttext") != (self.model is not None):
            raise ValueError("'detector: fasttext' and model, the path of lid.176.bin, belong together")
        return self


class Bleurt(Entry):
    """BLEURT-20: named to be told apart from a mistake."""

    name: Literal["bleurt"]

    @model_validator(mode="after")
    def _explain(self) -> Self:
        raise ValueError(
            "BLEURT-20 cannot be installed by pins: its package is not on PyPI and its checkpoint is a download of "
            "2 GB. Install it apart (pip install git+https://github.com/google-research/bleurt, TensorFlow), score "
            "the files in results/<run>/hypotheses there with the checkpoint BLEURT-20, and show the scores as a "
            "system with 'scores: {bleurt: <file>}'; see docs/evaluation.md"
        )


def _metric_kind(value: Any) -> str:
    name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", value)
    return str(name) if name in ("comet", "bleurt") else "off-target" if name in OFF_TARGET else "sacrebleu"


AnyMetric = Annotated[
    Annotated[Metric, Tag("sacrebleu")]
    | Annotated[Comet, Tag("comet")]
    | Annotated[OffTarget, Tag("off-target")]
    | Annotated[Bleurt, Tag("bleurt")],
    Discriminator(_metric_kind),
]


def find_metric(name: str, entries: Mapping[str, AnyMetric]) -> AnyMetric:
    """The metric that a table means by a name: an entry of the configuration, or a built-in one with its defaults.

    Raises:
        LingualiftError: neither.
    """
    if name in entries:
        return entries[name]
    if name in BUILT_IN_METRICS:
        return Metric(name=name)
    if name in OFF_TARGET:
        return OffTarget(name=name)
    there = sorted({*entries, *BUILT_IN_METRICS, *OFF_TARGET})
    raise LingualiftError(f"no metric {name!r}; there are {', '.join(there)}")


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
    """Systems × benchmarks × metrics, laid out.

    ``directions``: a row per direction. ``centre``: averages around centre languages, by resource. ``benchmarks``:
    averages of each benchmark, over all its directions or around centre languages. ``off-target``: a row per
    direction with the shares of outputs in the source's and in the target's language. ``pivot``: averages around
    centre languages, direct beside through another language.

    Source: LLaMAX, Table 4 (``centre``), Table 5 (``benchmarks``), Tables 7 and 13 (``off-target``), Table 8
    (``pivot``).
    """

    systems: tuple[Name, ...] = Field(min_length=1)
    benchmarks: tuple[Name, ...] = Field(min_length=1)
    metrics: tuple[Name, ...] = Field(
        default=("spbleu",),
        min_length=1,
        description="In the off-target layout R_source and R_X by default. One that only published scores have is a dash "
        "in the columns of other systems.",
    )
    layout: Literal["centre", "directions", "benchmarks", "off-target", "pivot"] = "directions"
    centre: tuple[LanguageCode, ...] = Field(
        default=(),
        description="Centre languages, in the order of the rows; every language in turn if empty, and in the layout "
        "`benchmarks` no language; in the layout `off-target` the sources.",
    )
    languages: tuple[LanguageCode, ...] = Field(
        default=(), description="Languages that rows or averages are taken over; all that have scores if empty."
    )
    pivots: dict[Name, Name] = Field(
        default={},
        description="Layout `pivot`: for each system the one that is the same through the language `through`: "
        "{system: <the first>, pivot: <through>}.",
    )
    through: LanguageCode = Field(default="en", description="Layout `pivot`: the pivot language of `pivots`.")
    baseline: Name | None = Field(
        default=None,
        description="Mark what differs from this system with p < 0.05, by paired bootstrap: directions by `*`, averages "
        "by how many of theirs are won and lost.",
    )
    published: Name | None = Field(
        default=None, description="A file of config/published, without .csv: the paper's numbers stand beside ours."
    )
    published_as: dict[Name, str] = Field(
        default={}, description="The name that a system has in that file, where it is another one."
    )
    caption: str = Field(default="", description="Stands over the table.")

    @model_validator(mode="before")
    @classmethod
    def _fill_in_metrics(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("layout") == "off-target" and "metrics" not in values:
            return {**values, "metrics": OFF_TARGET}
        return values

    @model_validator(mode="after")
    def _check_centre(self) -> Self:
        if self.centre and self.layout == "directions":
            raise ValueError("centre is not for 'layout: directions', but for 'layout: centre' and others")
        return self

    @model_validator(mode="after")
    def _check_systems(self) -> Self:
        if bool(self.pivots) != (self.layout == "pivot"):
            raise ValueError("pivots and 'layout: pivot' belong together")
        for key, names in (
            ("pivots", (*self.pivots, *self.pivots.values())),
            ("baseline", (self.baseline,) if self.baseline else ()),
            ("published_as", tuple(self.published_as)),
        ):
            if absent := [name for name in names if name not in self.systems]:
                raise ValueError(f"{key} names {absent[0]!r}, which is not among the table's systems")
        return self


class Figure(Entry):
    """A figure of one metric.

    ``direction_matrix``: the matrix of all directions, a picture a system. ``count_above``: how many directions of
    each centre language are above a threshold, from it against into it. ``seen_unseen``: two systems, language by
    language, with the languages that were not trained on apart. ``per_language``: systems, language by language,
    around a centre language. ``pair_heatmap``: by how much the first of two systems is better, some languages by
    some languages.

    Source: LLaMAX, Figure 1 (``count_above``), Figure 4 (``seen_unseen``), Figure 5 (``per_language``), Figure 7
    (``pair_heatmap``).
    """

    kind: Literal["direction_matrix", "count_above", "seen_unseen", "per_language", "pair_heatmap"] = "direction_matrix"
    systems: tuple[Name, ...] = Field(min_length=1)
    benchmarks: tuple[Name, ...] = Field(min_length=1)
    metric: Name = "spbleu"
    centre: tuple[LanguageCode, ...] = Field(
        default=(), description="Centre languages of count_above, seen_unseen and per_language."
    )
    languages: tuple[LanguageCode, ...] = Field(
        default=(),
        description="Only these languages; all that have scores if empty, in pair_heatmap those of the paper's seven "
        "that the run has.",
    )
    threshold: float = Field(default=10.0, description="Of count_above.")
    caption: str = ""

    def heatmap_languages(self, languages: Collection[str]) -> tuple[str, ...]:
        """The languages of a ``pair_heatmap``: those that are given, or of the paper's seven those of the run."""
        return self.languages or tuple(code for code in PAPER_LANGUAGES if code in languages)

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        around = self.kind in ("count_above", "seen_unseen", "per_language")
        if around != bool(self.centre):
            raise ValueError(f"'kind: {self.kind}' {'needs' if around else 'has no'} centre languages")
        if self.kind in ("seen_unseen", "pair_heatmap") and len(self.systems) != 2:
            raise ValueError(f"'kind: {self.kind}' compares two systems, here are {len(self.systems)}")
        if self.kind != "count_above" and self.threshold != 10:
            raise ValueError("threshold is for 'kind: count_above' only")
        return self
