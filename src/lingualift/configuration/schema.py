"""The whole configuration: every noun, and every reference between them resolved."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, NonNegativeInt, PositiveInt, Tag, model_validator

from lingualift.configuration.base import Entry, LanguageCode, Name
from lingualift.configuration.corpora import AnyCorpus
from lingualift.configuration.evaluation import (
    BUILT_IN_METRICS,
    OFF_TARGET,
    RATES,
    AnyMetric,
    Directions,
    Figure,
    Table,
)
from lingualift.configuration.lexicons import Augmentation, Dictionary
from lingualift.configuration.mixtures import Mixture
from lingualift.configuration.models import Model, Recipe
from lingualift.configuration.systems import (
    CausalModel,
    Endpoint,
    HypothesisFiles,
    Pivot,
    PublishedScores,
    TranslationModel,
    class_of_kind,
)


class TranslatedCorpus(Entry):
    """English sentences translated for the pairs that have too few (LLaMAX, Algorithm 1).

    Every pair of languages that has fewer than ``minimum`` rows in the corpora ``of`` gets as many English
    sentences as it lacks, translated by ``system`` into the sides that are not English.
    """

    reader: Literal["translated"]
    kind: Literal["parallel"] = "parallel"
    source: Name = Field(description="Monolingual English corpus; not one that a mixture holds as English text.")
    system: Name = Field(description="The system that translates.")
    of: tuple[Name, ...] = Field(min_length=1, description="The parallel corpora whose pairs are counted.")
    minimum: PositiveInt = Field(25_000, description="What every pair is to have.")
    languages: tuple[LanguageCode, ...] | None = Field(None, description="Only pairs of these of the run's languages.")
    shards: PositiveInt = Field(1, description="Jobs that the languages are spread over.")


CorpusEntry = Annotated[AnyCorpus | TranslatedCorpus, Field(discriminator="reader")]


System = Annotated[
    Annotated[CausalModel, Tag("CausalModel")]
    | Annotated[TranslationModel, Tag("TranslationModel")]
    | Annotated[Endpoint, Tag("Endpoint")]
    | Annotated[Pivot, Tag("Pivot")]
    | Annotated[HypothesisFiles, Tag("HypothesisFiles")]
    | Annotated[PublishedScores, Tag("PublishedScores")],
    Discriminator(class_of_kind),
]


class Benchmark(Entry):
    """Test data, and the directions that are translated."""

    test: AnyCorpus = Field(description="`reader` and its keys; in a file they stand beside those below.")
    directions: Directions = Field(Directions("all"), description="What is translated into what.")
    limit: PositiveInt | None = Field(None, description="Only the first so many sentences.")
    shards: PositiveInt = Field(1, description="Jobs that the directions are spread over.")
    scoring_shards: PositiveInt = Field(
        1, description="Jobs that score what a system translated, each the work of some of `shards`, at most as many."
    )

    @model_validator(mode="before")
    @classmethod
    def _gather_test(cls, values: Any) -> Any:
        """In a file the keys of the reader stand beside those of the benchmark."""
        if not isinstance(values, dict) or "test" in values:
            return values
        own = {key: values[key] for key in cls.model_fields.keys() - {"test"} if key in values}
        return {**own, "test": {key: value for key, value in values.items() if key not in own}}


class Configuration(Entry):
    """One run: its languages, data, models, and what is measured of them."""

    run: Name = Field(description="Name of the run: everything goes to results/<run>.")
    data: str = Field(description="The folder that every relative path of the data starts from.")
    seed: NonNegativeInt = Field(17, description="Of everything that is drawn at random.")
    languages: tuple[LanguageCode, ...] = Field(min_length=2, description="The languages of the run.")
    languages_file: str = Field("config/languages.tsv", description="The table of all languages.")
    prompts_file: str = Field("config/prompts.yaml", description="The prompt templates.")
    corpora: dict[Name, CorpusEntry] = {}
    dictionaries: dict[Name, Dictionary] = {}
    augmentations: dict[Name, Augmentation] = {}
    mixtures: dict[Name, Mixture] = {}
    recipes: dict[Name, Recipe] = {}
    models: dict[Name, Model] = {}
    systems: dict[Name, System] = {}
    benchmarks: dict[Name, Benchmark] = {}
    metrics: dict[Name, AnyMetric] = {}
    tables: dict[Name, Table] = {}
    figures: dict[Name, Figure] = {}

    def texts(self) -> dict[tuple[str, str], CorpusEntry]:
        """The corpora and the test data of the benchmarks, by the section and name of their entries."""
        tests = {("benchmarks", name): benchmark.test for name, benchmark in self.benchmarks.items()}
        return {**{("corpora", name): corpus for name, corpus in self.corpora.items()}, **tests}


class Reference(Entry):
    """A name that stands for an entry elsewhere: where it is written, and in which section it has to be."""

    place: tuple[str | int, ...]
    name: str
    section: str


def references(configuration: Configuration) -> Iterator[Reference]:
    """Every name in the configuration that stands for an entry of another section."""
    for name, corpus in configuration.corpora.items():
        if isinstance(corpus, TranslatedCorpus):
            at = ("corpora", name)
            yield _reference(at, "source", corpus.source, "corpora")
            yield _reference(at, "system", corpus.system, "systems")
            for number, other in enumerate(corpus.of):
                yield Reference(place=(*at, "of", number), name=other, section="corpora")
    for name, augmentation in configuration.augmentations.items():
        at = ("augmentations", name)
        yield _reference(at, "dictionary", augmentation.dictionary, "dictionaries")
        yield _reference(at, "source", augmentation.source, "corpora")
    for name, mixture in configuration.mixtures.items():
        yield _reference(("mixtures", name), "prompt", mixture.prompt, "prompts")
        for number, component in enumerate(mixture.components):
            at = ("mixtures", name, "components", number)
            if component.corpus is not None:
                yield _reference(at, "corpus", component.corpus, "corpora")
            if component.augmentation is not None:
                yield _reference(at, "augmentation", component.augmentation, "augmentations")
    for name, model in configuration.models.items():
        at = ("models", name)
        if model.from_ is not None:
            yield _reference(at, "from", model.from_, "models")
        if model.ablates is not None:
            yield _reference(at, "ablates", model.ablates, "models")
        if model.stage is not None:
            yield _reference((*at, model.stage_kind), "mixture", model.stage.mixture, "mixtures")
            yield _reference((*at, model.stage_kind), "recipe", model.stage.recipe, "recipes")
        if model.scratch is not None and model.scratch.tokenizer_mixture is not None:
            yield _reference((*at, "scratch"), "tokenizer_mixture", model.scratch.tokenizer_mixture, "mixtures")
    for name, system in configuration.systems.items():
        yield from _of_system(("systems", name), system)
    yield from _shown(configuration)


def _of_system(at: tuple[str | int, ...], system: Any) -> Iterator[Reference]:
    """The references of one system, whatever its kind."""
    match system:
        case CausalModel():
            yield _reference(at, "model", system.model, "models")
        case Pivot():
            yield _reference(at, "system", system.system, "systems")
        case PublishedScores():
            yield _reference(at, "benchmark", system.benchmark, "benchmarks")
    if isinstance(system, CausalModel | TranslationModel | Endpoint) and system.prompt is not None:
        yield _reference(at, "prompt", system.prompt, "prompts")


def _shown(configuration: Configuration) -> Iterator[Reference]:
    """The references of tables and figures."""
    shown: Mapping[str, Mapping[str, Table | Figure]] = {
        "tables": configuration.tables,
        "figures": configuration.figures,
    }
    for section, entries in shown.items():
        for name, entry in entries.items():
            for key in ("systems", "benchmarks"):
                for number, other in enumerate(getattr(entry, key)):
                    yield Reference(place=(section, name, key, number), name=other, section=key)
            metrics = entry.metrics if isinstance(entry, Table) else (entry.metric,)
            systems = [configuration.systems[other] for other in entry.systems if other in configuration.systems]
            # What scores are published of need not be a metric of ours; in a table others have a dash, a figure
            # would lack them.
            published = [set(it.scores) if isinstance(it, PublishedScores) else set() for it in systems] or [set()]
            theirs = set.union(*published) if isinstance(entry, Table) else set.intersection(*published)
            known = {*BUILT_IN_METRICS, *RATES, *OFF_TARGET, *theirs}
            for number, metric in enumerate(metrics):
                place = (section, name, "metrics", number) if isinstance(entry, Table) else (section, name, "metric")
                if metric not in known:
                    yield Reference(place=place, name=metric, section="metrics")


def _reference(at: tuple[str | int, ...], key: str, name: str, section: str) -> Reference:
    return Reference(place=(*at, key), name=name, section=section)
