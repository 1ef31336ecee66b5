"""What depends on what: the files and settings of every job, looked up in a checked configuration.

Paths are relative to the folder of the run. A job's settings hold what determines its output and nothing else,
so that a change reruns what depends on it and nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lingualift.configuration.corpora import DatasetsCorpus, Hub
from lingualift.configuration.corpus_base import Corpus
from lingualift.configuration.evaluation import RATES, find_metric
from lingualift.configuration.loading import Run
from lingualift.configuration.schema import Benchmark, TranslatedCorpus
from lingualift.engines import choose_engine
from lingualift.errors import LingualiftError

# Raised when a stage's output would change though its settings do not: everything made by it is then made again.
STAGE_VERSIONS = {
    "import_corpus": 1,
    "build_lexicon": 1,
    "augment_corpus": 1,
    "translate_supplement": 1,
    "mix_corpora": 1,
    "train_tokenizer": 1,
    "pack_mixture": 1,
    "train_model": 1,
    "convert_model": 1,
    "translate_shard": 1,
    "score_hypotheses": 1,
    "make_table": 1,
    "make_figure": 1,
    "describe_mixture": 1,
    "fetch_dataset": 1,
    "fetch_model": 1,
    "build_comet_environment": 1,
}


class Plan:
    """Look-ups for the rules; every method takes names and gives paths or JSON-like settings."""

    def __init__(self, run: Run) -> None:
        self.run, self.configuration = run, run.configuration
        self.languages = list(run.configuration.languages)
        self._directions: dict[str, list[tuple[str, str]]] = {}

    # Corpora, lexicons, augmentations

    def raw_files(self, section: str, name: str) -> list[str]:
        """The files that a corpus, benchmark or dictionary is read from, those that are there.

        A file that is not there is the job's to complain of: a run can be planned before its data has come.
        """
        entry = getattr(self.configuration, section)[name]
        if section == "dictionaries":
            path = self.run.data / entry.path
            return [str(path)] if path.exists() else []
        corpus = entry.test if isinstance(entry, Benchmark) else entry
        if not isinstance(corpus, Corpus):
            return []
        fetched = self._is_fetched(corpus)
        return [str(path) for path in self._files(corpus) if fetched or path.exists()]

    def missing_data(self) -> dict[str, list[str]]:
        """For each corpus, benchmark, dictionary and base model, what is not there."""
        missing: dict[str, list[str]] = {}
        for section in ("corpora", "benchmarks"):
            for name, entry in getattr(self.configuration, section).items():
                corpus = entry.test if isinstance(entry, Benchmark) else entry
                if isinstance(corpus, Corpus) and not self._is_fetched(corpus):
                    files = self._files(corpus) or [self.run.data / corpus.path]
                    missing[f"{section}.{name}"] = [str(path) for path in files if not path.exists()]
        for name, dictionary in self.configuration.dictionaries.items():
            path = self.run.data / dictionary.path
            missing[f"dictionaries.{name}"] = [] if path.exists() else [str(path)]
        for name, model in self.configuration.models.items():
            if model.path is not None and not (self.run.data / model.path).exists():
                missing[f"models.{name}"] = [str(self.run.data / model.path)]
        return {name: files for name, files in missing.items() if files}

    def fetched_datasets(self) -> dict[str, Hub]:
        """What is fetched from the hub, by the folder it goes into, relative to the data folder."""
        entries = [
            *self.configuration.corpora.values(),
            *(benchmark.test for benchmark in self.configuration.benchmarks.values()),
        ]
        found: dict[str, Hub] = {}
        for entry in entries:
            if isinstance(entry, DatasetsCorpus):
                found.update(entry.fetched(self.languages, self.run.languages))
        return found

    def fetched_dataset_settings(self, folder: str) -> dict[str, Any]:
        return _plain(self.fetched_datasets()[folder])

    def fetched_models(self) -> list[str]:
        """The models that are downloaded from the hub."""
        return [name for name, model in self.configuration.models.items() if model.hub]

    def fetched_model_settings(self, name: str) -> dict[str, Any]:
        hub = self.configuration.models[name].hub
        assert hub is not None
        return _plain(hub)

    @staticmethod
    def _is_fetched(corpus: Corpus) -> bool:
        return isinstance(corpus, DatasetsCorpus) and corpus.hub is not None

    def _files(self, corpus: Corpus) -> list[Path]:
        try:
            tables = corpus.tables(self.languages, self.run.languages, self.run.data)
        except LingualiftError:
            return []
        return [file for table in tables for file in table.files]

    def corpus_settings(self, name: str) -> dict[str, Any]:
        corpus = self.configuration.corpora[name]
        return self._imported(corpus if isinstance(corpus, Corpus) else None, strict=False)

    def benchmark_settings(self, name: str) -> dict[str, Any]:
        return self._imported(self.configuration.benchmarks[name].test, strict=True)

    def _imported(self, corpus: Any, *, strict: bool) -> dict[str, Any]:
        covered = corpus.languages_covered(self.languages, self.run.languages)
        return {
            "corpus": _plain(corpus),
            "languages": {code: self._language(code) for code in covered or self.languages},
            "strict": strict,
            "data": str(self.run.data),
        }

    def imported_corpora(self) -> list[str]:
        """The corpora that come from files, not from a translation system."""
        return [name for name, corpus in self.configuration.corpora.items() if isinstance(corpus, Corpus)]

    def translated_corpora(self) -> list[str]:
        return [name for name in self.configuration.corpora if name not in self.imported_corpora()]

    def lexicon_settings(self, name: str) -> dict[str, Any]:
        return {
            "dictionary": _plain(self.configuration.dictionaries[name]),
            "languages": {code: self._language(code) for code in self.languages},
            "data": str(self.run.data),
        }

    def augmentation_settings(self, name: str) -> dict[str, Any]:
        return {
            "augmentation": _plain(self.configuration.augmentations[name]),
            "languages": {code: self._language(code) for code in self.languages},
        }

    def supplement_settings(self, name: str) -> dict[str, Any]:
        corpus = self.configuration.corpora[name]
        assert isinstance(corpus, TranslatedCorpus)
        return {"corpus": _plain(corpus), "languages": self.languages, **self._system(corpus.system)}

    def supplement_inputs(self, name: str) -> dict[str, Any]:
        corpus = self.configuration.corpora[name]
        assert isinstance(corpus, TranslatedCorpus)
        return {
            "corpora": [f"corpora/{other}" for other in corpus.of],
            "english": f"corpora/{corpus.source}",
            **self.system_inputs(corpus.system),
        }

    # Mixtures

    def mixture_sources(self, name: str) -> list[str]:
        """The corpus folders of a mixture, each once, in the order of its components."""
        found = [self._source_folder(component) for component in self.configuration.mixtures[name].components]
        return list(dict.fromkeys(found))

    def source_names(self, name: str) -> list[str]:
        """The names that belong to :meth:`mixture_sources`."""
        return list(dict.fromkeys(component.source for component in self.configuration.mixtures[name].components))

    def _source_folder(self, component: Any) -> str:
        return f"augmentations/{component.source}" if component.augmentation else f"corpora/{component.source}"

    def mixture_settings(self, name: str) -> dict[str, Any]:
        mixture = self.configuration.mixtures[name]
        return {
            "mixture": _plain(mixture),
            "prompt": _plain(self.run.prompts[mixture.prompt]),
            "names": {code: self.run.languages[code].name for code in self.languages},
            "sources": self.source_names(name),
            "max_ratios": self._max_ratios(name),
        }

    def _max_ratios(self, mixture: str) -> dict[str, float]:
        ratios = {
            component.corpus: getattr(self.configuration.corpora[component.corpus], "max_length_ratio", None)
            for component in self.configuration.mixtures[mixture].components
            if component.corpus
        }
        return {name: ratio for name, ratio in ratios.items() if ratio is not None}

    @cached_property
    def packed_mixtures(self) -> list[tuple[str, str]]:
        """Every mixture that a model is trained on, with the model whose tokenizer it is packed with."""
        found = {
            (model.stage.mixture, self.tokenizer_owner(name)): None
            for name, model in self.configuration.models.items()
            if model.stage is not None
        }
        return list(found)

    # Models

    def tokenizer_owner(self, name: str) -> str:
        """The base at the root of a model: its tokenizer is that of the whole chain."""
        model = self.configuration.models[name]
        return self.tokenizer_owner(model.from_) if model.from_ else name

    def tokenizer_folder(self, name: str) -> str:
        """Where the tokenizer of a model is, seen from the folder of the run; absolute for a base from outside."""
        owner = self.tokenizer_owner(name)
        return f"tokenizers/{owner}" if self.configuration.models[owner].scratch else self.model_folder(owner)

    def tokenizer_mixture(self, name: str) -> str:
        """The mixture that a scratch model's tokenizer learns from."""
        model = self.configuration.models[name]
        assert model.scratch is not None and model.pretrain is not None
        return model.scratch.tokenizer_mixture or model.pretrain.mixture

    def tokenizer_settings(self, name: str) -> dict[str, Any]:
        scratch = self.configuration.models[name].scratch
        assert scratch is not None
        return {
            "vocabulary": scratch.vocabulary,
            "max_entries": scratch.tokenizer_entries,
            **self.mixture_settings(self.tokenizer_mixture(name)),
        }

    def scratch_models(self) -> list[str]:
        return [name for name, model in self.configuration.models.items() if model.scratch]

    def trained_models(self) -> list[str]:
        return [name for name, model in self.configuration.models.items() if model.stage]

    def model_folder(self, name: str) -> str:
        model = self.configuration.models[name]
        return str((self.run.data / model.path).resolve()) if model.path is not None else f"models/{name}"

    def model_inputs(self, name: str) -> dict[str, Any]:
        """The packed mixture, the tokenizer and the base that a model is trained from."""
        model = self.configuration.models[name]
        assert model.stage is not None
        inputs = {
            "blocks": f"mixtures/{model.stage.mixture}/packed/{self.tokenizer_owner(name)}",
            "tokenizer": self.tokenizer_folder(name),
        }
        if model.from_ is not None:
            inputs["base"] = self.model_folder(model.from_)
        return inputs

    def model_settings(self, name: str) -> dict[str, Any]:
        model = self.configuration.models[name]
        assert model.stage is not None
        return {
            "model": name,
            "stage": model.stage_kind,
            "base": model.from_,
            "mixture": model.stage.mixture,
            "languages": self.languages,
            "scratch": _plain(model.scratch) if model.scratch else None,
            "recipe": _plain(self.configuration.recipes[model.stage.recipe]),
        }

    # Systems and benchmarks

    def system_inputs(self, name: str) -> dict[str, str]:
        """The model of a system, and its converted form where the engine has one."""
        system = self.configuration.systems[name]
        inputs = {"model": self.model_folder(system.model)}
        if choose_engine(system) == "ctranslate2":
            inputs["converted"] = f"converted/{system.model}"
        return inputs

    def _system(self, name: str) -> dict[str, Any]:
        system = self.configuration.systems[name]
        return {
            "system": {**_plain(system), "engine": choose_engine(system)},
            "prompt": _plain(self.run.prompts[system.prompt]),
            "names": {code: self.run.languages[code].name for code in self.languages},
        }

    def directions(self, benchmark: str) -> list[tuple[str, str]]:
        # Asked for by every shard, and ten thousand of them for a hundred languages.
        if benchmark not in self._directions:
            entry = self.configuration.benchmarks[benchmark]
            covered = entry.test.languages_covered(self.languages, self.run.languages)
            self._directions[benchmark] = entry.directions.expand(covered)
        return self._directions[benchmark]

    def translation_settings(self, system: str, benchmark: str, shard: int) -> dict[str, Any]:
        from lingualift.translation import shard_of

        entry = self.configuration.benchmarks[benchmark]
        mine = shard_of(self.directions(benchmark), shard, self.shards(benchmark))
        return {
            **self._system(system),
            "directions": [f"{source}-{target}" for source, target in mine],
            "limit": entry.limit,
        }

    def shards(self, benchmark: str) -> int:
        return min(self.configuration.benchmarks[benchmark].shards, len(self.directions(benchmark)))

    def hypotheses(self, system: str, benchmark: str) -> list[str]:
        return [f"hypotheses/{system}/{benchmark}/{shard}.jsonl" for shard in range(self.shards(benchmark))]

    def score_settings(self, system: str, benchmark: str) -> dict[str, Any]:
        """The metrics that any table or figure asks of a system on a benchmark."""
        asked = dict.fromkeys(
            metric
            for entry in (*self.configuration.tables.values(), *self.configuration.figures.values())
            if system in entry.systems and benchmark in entry.benchmarks
            for metric in (entry.metrics if hasattr(entry, "metrics") else (entry.metric,))
        )
        return {
            "system": system,
            "benchmark": benchmark,
            "metrics": {
                name: _plain(find_metric(name, self.configuration.metrics)) for name in asked if name not in RATES
            },
            "limit": self.configuration.benchmarks[benchmark].limit,
        }

    def scores(self, section: str, name: str) -> list[str]:
        """The score files that a table or figure shows."""
        entry = getattr(self.configuration, section)[name]
        return [f"scores/{system}/{benchmark}.csv" for system in entry.systems for benchmark in entry.benchmarks]

    def table_settings(self, name: str) -> dict[str, Any]:
        return {
            "table": _plain(self.configuration.tables[name]),
            "resource": {code: self.run.languages[code].resource for code in self.languages},
        }

    def figure_settings(self, name: str) -> dict[str, Any]:
        return {
            "figure": _plain(self.configuration.figures[name]),
            "families": {code: self.run.languages[code].family for code in self.languages},
        }

    def targets(self) -> list[str]:
        """Everything that a run is for: tables, figures, training curves, data cards."""
        return [
            *(f"tables/{name}.csv" for name in self.configuration.tables),
            *(f"figures/{name}" for name in self.configuration.figures),
            *(f"figures/training/{name}.png" for name in self.trained_models()),
            *(f"mixtures/{mixture}/cards/{owner}.md" for mixture, owner in self.packed_mixtures),
        ]

    def _language(self, code: str) -> dict[str, Any]:
        return {**asdict(self.run.languages[code]), "codes": dict(self.run.languages[code].codes)}


def _plain(entry: BaseModel) -> dict[str, Any]:
    """An entry as JSON-like values, without what is left at its default: a new setting reruns nothing."""
    return entry.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {
        key: getattr(entry, key) for key in ("reader", "name") if key in type(entry).model_fields
    }


def summary(plan: Plan) -> Mapping[str, int]:
    """How many entries of each kind a run has."""
    sections: Iterable[str] = [
        "languages",
        "corpora",
        "dictionaries",
        "augmentations",
        "mixtures",
        "models",
        "systems",
        "benchmarks",
        "tables",
        "figures",
    ]
    return {section: len(getattr(plan.configuration, section)) for section in sections}
