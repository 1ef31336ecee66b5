"""Corpora, lexicons, augmentations and mixtures: the files and settings of their jobs."""

from functools import cached_property
from pathlib import Path
from typing import Any

from lingualift.configuration.corpora import DatasetsCorpus, Hub
from lingualift.configuration.corpus_base import Corpus
from lingualift.configuration.lexicons import Dictionary
from lingualift.configuration.mixtures import Component
from lingualift.configuration.schema import Benchmark, TranslatedCorpus
from lingualift.errors import LingualiftError
from lingualift.files import files_below
from lingualift.lexicon_readers import dictionary_files
from lingualift.planning.base import plain
from lingualift.planning.systems import SystemPlan


class DataPlan(SystemPlan):
    """What text comes from where, and what becomes of it."""

    def raw_files(self, section: str, name: str) -> list[str]:
        """The files that a corpus, benchmark or dictionary is read from, those that are there.

        A file that is not there is the job's to complain of: a run can be planned before its data has come.
        """
        entry = getattr(self.configuration, section)[name]
        if section == "dictionaries":
            return [str(path) for path in self._dictionary_files(entry)]
        corpus = entry.test if isinstance(entry, Benchmark) else entry
        if not isinstance(corpus, Corpus):
            return []
        files = self._files(corpus)
        if not self._is_fetched(corpus):
            # Files, not folders: a folder's own time says nothing of what is in its files.
            files = [file for path in files for file in files_below(path)]
        return [str(path) for path in files]

    def _dictionary_files(self, dictionary: Dictionary) -> list[Path]:
        languages = {code: self.run.languages[code] for code in self._dictionary_languages(dictionary)}
        try:
            return dictionary_files(dictionary, languages=languages, data=self.run.data)
        except LingualiftError:
            return []

    def _dictionary_languages(self, dictionary: Dictionary) -> list[str]:
        """Those of the run's languages that a dictionary may have words of."""
        wanted, column = dictionary.languages or self.languages, dictionary.codes
        return [
            code
            for code in self.languages
            if code in wanted and (column is None or column in self.run.languages[code].codes)
        ]

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
        return plain(self.fetched_datasets()[folder])

    def fetched_models(self) -> list[str]:
        """The models that are downloaded from the hub."""
        return [name for name, model in self.configuration.models.items() if model.hub]

    def fetched_model_settings(self, name: str) -> dict[str, Any]:
        hub = self.configuration.models[name].hub
        assert hub is not None
        return plain(hub)

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
        """As of a corpus, and what langdetect calls its languages, and their scripts, which are looked at."""
        settings = self._imported(self.configuration.benchmarks[name].test, strict=True)
        known = {code: self.run.languages[code] for code in settings["languages"]}
        labels = {code: it.codes["langdetect"] for code, it in known.items() if "langdetect" in it.codes}
        return {**settings, "langdetect": labels, "scripts": {code: list(it.scripts) for code, it in known.items()}}

    def _imported(self, corpus: Any, *, strict: bool) -> dict[str, Any]:
        covered = corpus.languages_covered(self.languages, self.run.languages)
        return {
            "corpus": plain(corpus.counted(covered, self.run.languages)),
            "languages": self._codes(covered or self.languages, getattr(corpus, "codes", None)),
            "strict": strict,
            "data": str(self.run.data),
        }

    def imported_corpora(self) -> list[str]:
        """The corpora that come from files, not from a translation system."""
        return [name for name, corpus in self.configuration.corpora.items() if isinstance(corpus, Corpus)]

    def translated_corpora(self) -> list[str]:
        return [name for name in self.configuration.corpora if name not in self.imported_corpora()]

    def lexicon_settings(self, name: str) -> dict[str, Any]:
        dictionary = self.configuration.dictionaries[name]
        covered = self._dictionary_languages(dictionary)
        codes = self._codes(covered, dictionary.codes)
        return {
            "dictionary": plain(dictionary),
            "languages": {code: codes[code] | {"scripts": list(self.run.languages[code].scripts)} for code in covered},
            "data": str(self.run.data),
        }

    def augmentation_settings(self, name: str) -> dict[str, Any]:
        return {
            "augmentation": plain(self.configuration.augmentations[name]),
            "languages": self._facts(self.languages, "segmentation"),
        }

    def _supplement(self, name: str) -> TranslatedCorpus:
        corpus = self.configuration.corpora[name]
        assert isinstance(corpus, TranslatedCorpus)
        return corpus

    def _supplement_directions(self, name: str) -> list[tuple[str, str]]:
        return [("en", code) for code in self._supplement(name).languages or self.languages if code != "en"]

    def supplement_shards(self, name: str) -> int:
        """How many jobs translate a supplement."""
        return min(self._supplement(name).shards, len(self._supplement_directions(name)))

    def supplement_settings(self, name: str) -> dict[str, Any]:
        """What determines which sentences a supplement takes; how many jobs translate them does not."""
        return {"corpus": plain(self._supplement(name).model_copy(update={"shards": 1})), "languages": self.languages}

    def supplement_inputs(self, name: str) -> dict[str, Any]:
        corpus = self._supplement(name)
        return {"corpora": [f"corpora/{other}" for other in corpus.of], "english": f"corpora/{corpus.source}"}

    def supplement_hypotheses(self, name: str) -> list[str]:
        """The files of a supplement's translations."""
        return [f"supplements/{name}/{shard}.jsonl" for shard in range(self.supplement_shards(name))]

    def supplement_shard_settings(self, name: str, shard: int) -> dict[str, Any]:
        """What determines the translations of a shard of a supplement's languages."""
        mine = self._supplement_directions(name)[shard :: self.supplement_shards(name)]
        codes = ["en", *(code for _, code in mine)]
        system = self._system(self._supplement(name).system, [code for code in self.languages if code in codes])
        return {**self.supplement_settings(name), "translate": {**system, "directions": ["-".join(it) for it in mine]}}

    def supplement_shard_inputs(self, name: str, shard: int) -> dict[str, Any]:
        mine = self._supplement_directions(name)[shard :: self.supplement_shards(name)]
        return {**self.supplement_inputs(name), **self.system_inputs(self._supplement(name).system, mine)}

    def mixture_sources(self, name: str) -> list[str]:
        """The corpus folders of a mixture, each once, in the order of its components."""
        found = [self._source_folder(component) for component in self.configuration.mixtures[name].components]
        return list(dict.fromkeys(found))

    def source_names(self, name: str) -> list[str]:
        """The names that belong to :meth:`mixture_sources`."""
        return list(dict.fromkeys(component.source for component in self.configuration.mixtures[name].components))

    def _source_folder(self, component: Component) -> str:
        return f"augmentations/{component.source}" if component.augmentation else f"corpora/{component.source}"

    def mixture_settings(self, name: str) -> dict[str, Any]:
        """What determines a mixture: the prompt only where something is asked, names only where a translation is."""
        mixture = self.configuration.mixtures[name]
        settings: dict[str, Any] = {
            "mixture": plain(mixture),
            "languages": self.languages,
            "sources": self.source_names(name),
            "max_ratios": self._max_ratios(name),
        }
        parallel = [it for it in mixture.components if it.format == "instruction"]
        if parallel or any(self._kind(it) == "instructions" for it in mixture.components):
            # Where an answer is cut is no matter of what is learnt.
            settings["prompt"] = plain(self.run.prompts[mixture.prompt].model_copy(update={"stop": ()}))
        if parallel:
            asked = {code for it in parallel for code in it.languages or self.languages}
            codes = [code for code in self.languages if code in asked]
            settings["names"] = self.run.prompts[mixture.prompt].language_names(self.run.languages, codes)
        return settings

    def _kind(self, component: Component) -> str:
        return "parallel" if component.augmentation else self.configuration.corpora[component.source].kind

    def _max_ratios(self, mixture: str) -> dict[str, float]:
        ratios = {
            component.corpus: getattr(self.configuration.corpora[component.corpus], "max_length_ratio", None)
            for component in self.configuration.mixtures[mixture].components
            if component.corpus and self._kind(component) == "parallel"
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

    def tokenizer_settings(self, name: str) -> dict[str, Any]:
        scratch = self.configuration.models[name].scratch
        assert scratch is not None
        return {
            "vocabulary": scratch.vocabulary,
            "max_entries": scratch.tokenizer_entries,
            **self.mixture_settings(self.tokenizer_mixture(name)),
        }
