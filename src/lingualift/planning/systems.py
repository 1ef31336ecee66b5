"""Systems on benchmarks: the files and settings of translation, whatever the kind of system."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lingualift.configuration.base import Entry
from lingualift.configuration.loading import Run
from lingualift.configuration.schema import TranslatedCorpus
from lingualift.configuration.systems import (
    FAMILIES,
    CausalModel,
    Endpoint,
    HypothesisFiles,
    Pivot,
    PublishedScores,
    TranslationModel,
    system_kind,
)
from lingualift.engines import choose_engine
from lingualift.errors import LingualiftError
from lingualift.marian import marian_directions
from lingualift.planning.base import plain
from lingualift.planning.models import ModelPlan
from lingualift.sequence_models import codes_in, detect_family, told_codes
from lingualift.translation import PACE, names_of

Direction = tuple[str, str]
_NODE = (CausalModel, TranslationModel)


def shard_of(directions: Sequence[Direction], shard: int, shards: int) -> list[Direction]:
    """The directions of one job: every ``shards``-th, so that all jobs are of like size."""
    return list(directions)[shard::shards]


class SystemPlan(ModelPlan):
    """What translates what.

    Args:
        gpus: how many the profile gives the run; they decide what ``engine: auto`` means.
    """

    def __init__(self, run: Run, *, gpus: int = 0) -> None:
        super().__init__(run)
        self.gpus = gpus
        self._directions: dict[str, list[Direction]] = {}
        self._translated: dict[tuple[str, str], list[Direction]] = {}
        self._families: dict[str, str | None] = {}

    # Which systems there are

    def system_kind(self, name: str) -> str:
        """``model``, ``translator``, ``endpoint``, ``hypotheses``, ``scores`` or ``pivot``."""
        return system_kind(self.configuration.systems[name])

    def translating_systems(self) -> list[str]:
        """Those that translate where jobs run: causal and translation models."""
        return [name for name, system in self.configuration.systems.items() if isinstance(system, _NODE)]

    def asking_systems(self) -> list[str]:
        """Those that ask over the network: endpoints, and pivots through them."""
        return [name for name in self.configuration.systems if isinstance(self._base(name), Endpoint)]

    def reading_systems(self) -> list[str]:
        """Those whose translations are files."""
        return [name for name, it in self.configuration.systems.items() if isinstance(it, HypothesisFiles)]

    def pivoting_systems(self) -> list[str]:
        """Those that go through a pivot language where jobs run."""
        systems = self.configuration.systems.items()
        return [name for name, it in systems if isinstance(it, Pivot) and isinstance(self._base(name), _NODE)]

    def _base(self, name: str) -> Any:
        """The system that does the translating."""
        return self.configuration.systems[self.base_system(name)]

    def base_system(self, name: str) -> str:
        """The name of the system that does the translating: another one for a pivot."""
        system = self.configuration.systems[name]
        return system.system if isinstance(system, Pivot) else name

    def system_weights_mb(self, name: str) -> int:
        """The most memory that the weights of a system's model fill, MB; 0 where that is not known."""
        system = self.configuration.systems[self.base_system(name)]
        return self.weights_mb(system.model) if isinstance(system, CausalModel) else 0

    # What is translated

    def directions(self, benchmark: str) -> list[Direction]:
        """The directions of a benchmark."""
        # Asked for by every shard, and ten thousand of them for a hundred languages.
        if benchmark not in self._directions:
            entry = self.configuration.benchmarks[benchmark]
            covered = entry.test.languages_covered(self.languages, self.run.languages)
            self._directions[benchmark] = entry.directions.expand(covered)
        return self._directions[benchmark]

    def translated_directions(self, system: str, benchmark: str) -> list[Direction]:
        """The directions of a benchmark that a system can translate.

        Left out are those with a language that a translation model has no code for, and those that have no model or
        file where others have one.
        """
        key = (system, benchmark)
        if key not in self._translated:
            directions, entry = self.directions(benchmark), self.configuration.systems[system]
            if isinstance(entry, Pivot):
                legs = {leg for pair in directions for leg in _legs(pair, entry.pivot)}
                can = self._possible(entry.system, sorted(legs))
                found = [pair for pair in directions if can.issuperset(_legs(pair, entry.pivot))]
            else:
                can = self._possible(system, directions)
                found = [pair for pair in directions if pair in can]
            self._translated[key] = found
        return self._translated[key]

    def _possible(self, name: str, directions: Sequence[Direction]) -> set[Direction]:
        """Those of some directions that a system, not a pivot, can translate."""
        system = self.configuration.systems[name]
        if isinstance(system, PublishedScores):
            return set()
        if isinstance(system, TranslationModel):
            names, family = self._model_codes(name), self._family(name)
            if family == "marian" and not system.by_direction:
                folder = self.run.data / system.translator
                directions = marian_directions(folder, directions, names, self.run.languages)
            elif family not in (None, "marian") and system.column(family):
                both = FAMILIES[family].source
                directions = [(a, b) for a, b in directions if b in names and (a in names or not both)]
        elif isinstance(system, HypothesisFiles):
            directions = [pair for pair in directions if set(pair) <= set(self._file_codes(system))]
        else:
            return set(directions)
        if not system.by_direction:
            return set(directions)
        there = {pair for pair in directions if self._file_of(system, pair).exists()}
        # Where there is nothing at all the data has not come yet.
        return there or set(directions)

    def _file_of(self, system: TranslationModel | HypothesisFiles, pair: Direction) -> Path:
        """The model folder or the file of hypotheses of one direction."""
        if isinstance(system, TranslationModel):
            return self.run.data / system.folder(*pair)
        codes = self._file_codes(system)
        return self.run.data / system.file(*(codes[code] for code in pair))

    def _file_codes(self, system: HypothesisFiles) -> dict[str, str]:
        """Our code → the files' code."""
        mine = {code: self.run.languages[code] for code in self.languages}
        return codes_in(mine, system.codes) if system.codes else {code: code for code in mine}

    def left_out(self) -> dict[str, str]:
        """For each system and benchmark that a table or figure shows: what is left out of its directions, in words.

        Raises:
            LingualiftError: all are, a supplement asks a system for a language that it lacks, or a translation model's
                folder is broken.
        """
        if mistakes := list(self._impossible_supplements()):
            raise LingualiftError("\n".join(mistakes))
        entries = (*self.configuration.tables.values(), *self.configuration.figures.values())
        shown = dict.fromkeys((s, b) for entry in entries for s in entry.systems for b in entry.benchmarks)
        said: dict[str, str] = {}
        for name in dict.fromkeys(system for system, _ in shown):
            base = self._base(name)
            if isinstance(base, Endpoint) and base.api_key_env and not os.environ.get(base.api_key_env):
                said[f"systems.{name}"] = f"{base.api_key_env} is not set: it can be planned, not asked"
        for system, benchmark in shown:
            if self.system_kind(system) == "scores":
                continue
            can = set(self.translated_directions(system, benchmark))
            out = ["-".join(pair) for pair in self.directions(benchmark) if pair not in can]
            if out and self.hypotheses(system, benchmark):
                why = "no code" if self._is_coded(system) else "no file"
                said[f"systems.{system} on {benchmark}"] = (
                    f"{len(out)} direction(s) left out ({why}), the first {out[0]}"
                )
        return said

    def _impossible_supplements(self) -> Iterator[str]:
        """Translated corpora with languages that their system cannot translate into: that would be found out late."""
        for name, corpus in self.configuration.corpora.items():
            if not isinstance(corpus, TranslatedCorpus):
                continue
            wanted = [("en", code) for code in corpus.languages or self.languages if code != "en"]
            can = self._possible(corpus.system, wanted)
            if lacking := [code for _, code in wanted if ("en", code) not in can]:
                what = "code" if self._is_coded(corpus.system) else "model"
                yield (
                    f"corpora.{name}.system: {corpus.system!r} has no {what} for {', '.join(lacking)}: give the "
                    "languages that it is to translate into as `languages`, with en"
                )

    def _is_coded(self, name: str) -> bool:
        base = self._base(name)
        return isinstance(base, TranslationModel) and not base.by_direction

    def missing_systems(self) -> dict[str, list[str]]:
        """For each translation model and system of files, what is not there."""
        missing: dict[str, list[str]] = {}
        for name, system in self.configuration.systems.items():
            if isinstance(system, TranslationModel | HypothesisFiles):
                pairs = [pair for it in self.configuration.benchmarks for pair in self.translated_directions(name, it)]
                files = {self._file_of(system, pair) for pair in (pairs if system.by_direction else pairs[:1])}
                missing[f"systems.{name}"] = sorted(str(path) for path in files if not path.exists())
        return missing

    # The jobs

    def shards(self, benchmark: str, system: str | None = None) -> int:
        """How many jobs translate a benchmark; those that only read or ask are one."""
        if system is None:
            return min(self.configuration.benchmarks[benchmark].shards, len(self.directions(benchmark)))
        most = self.configuration.benchmarks[benchmark].shards if isinstance(self._base(system), _NODE) else 1
        return min(most, len(self.translated_directions(system, benchmark)))

    def parts(self, benchmark: str, *systems: str) -> list[str]:
        """What follows a benchmark's name in the scores of some systems: ``/0``, ``/1``, …, nothing of one job.

        A part is some of the shards of translations; systems that translate other directions have none in common.
        """
        most = self.configuration.benchmarks[benchmark].scoring_shards
        jobs = min(most, *(self.shards(benchmark, system) for system in systems))
        if jobs < 2:
            return [""]
        first, *others = (self.translated_directions(system, benchmark) for system in systems)
        return [f"/{part}" for part in range(jobs)] if all(it == first for it in others) else [""]

    def hypotheses(self, system: str, benchmark: str, part: str = "") -> list[str]:
        """The files of translations of a system, or those of a part of them.

        Raises:
            LingualiftError: it has none of the benchmark's directions.
        """
        shards = self.shards(benchmark, system)
        if not shards:
            raise LingualiftError(
                f"systems.{system}: it cannot translate one direction of the benchmark {benchmark!r}: leave it out of "
                "the tables and figures of this benchmark"
            )
        files = [f"hypotheses/{system}/{benchmark}/{shard}.jsonl" for shard in range(shards)]
        return files[int(part[1:]) :: len(self.parts(benchmark, system))] if part else files

    def _languages_of(self, directions: Iterable[Direction], *more: str) -> list[str]:
        """The languages of some directions, and some more: a job is told of no others, whose change would rerun it."""
        used = {*more, *(code for pair in directions for code in pair)}
        return [code for code in self.languages if code in used]

    def _shard(self, system: str, benchmark: str, shard: int) -> list[Direction]:
        return shard_of(self.translated_directions(system, benchmark), shard, self.shards(benchmark, system))

    def translation_settings(self, system: str, benchmark: str, shard: int) -> dict[str, Any]:
        """What determines the translations of a shard: the system, the directions, how many sentences."""
        entry, limit = self.configuration.systems[system], self.configuration.benchmarks[benchmark].limit
        mine = self._shard(system, benchmark, shard)
        if isinstance(entry, HypothesisFiles):
            files = {"-".join(pair): str(self._file_of(entry, pair)) for pair in mine}
            languages = self._languages_of(mine)
            return {"files": files, "by_direction": entry.by_direction, "languages": languages, "limit": limit}
        pivot = {"pivot": entry.pivot} if isinstance(entry, Pivot) else {}
        languages = self._languages_of(mine, *pivot.values())
        return {
            **self._system(self.base_system(system), languages),
            **pivot,
            "directions": _named(mine),
            "limit": limit,
        }

    def translation_inputs(self, system: str, benchmark: str, shard: int) -> dict[str, Any]:
        """What a shard is made from beside the benchmark: models, files, the first legs of a pivot."""
        entry, mine = self.configuration.systems[system], self._shard(system, benchmark, shard)
        if isinstance(entry, HypothesisFiles):
            return {"files": _there(self._file_of(entry, pair) for pair in mine)}
        if not isinstance(entry, Pivot):
            return self.system_inputs(system, mine)
        legs = {"legs": self._legs_of(system, benchmark, mine)} if system in self.pivoting_systems() else {}
        return {**self.system_inputs(entry.system, [(entry.pivot, target) for _, target in mine]), **legs}

    def _legs_of(self, system: str, benchmark: str, directions: Iterable[Direction]) -> list[str]:
        pivot = self.configuration.systems[system].pivot
        sources = self._pivoted_sources(system, benchmark)
        shards = min(self.configuration.benchmarks[benchmark].shards, len(sources))
        wanted = sorted({sources.index(source) % shards for source, _ in directions if source != pivot})
        return [f"pivots/{self.base_system(system)}/{pivot}/{benchmark}/{shard}" for shard in wanted]

    def _pivoted_sources(self, system: str, benchmark: str) -> list[str]:
        pivot = self.configuration.systems[system].pivot
        return sorted({source for source, _ in self.translated_directions(system, benchmark)} - {pivot})

    def leg_settings(self, base: str, pivot: str, benchmark: str, shard: int) -> dict[str, Any]:
        """What determines the first legs of a shard of sources; pivot systems alike but for their name share them."""
        system = self._through(base, pivot)
        sources = self._pivoted_sources(system, benchmark)
        mine = set(sources[shard :: min(self.configuration.benchmarks[benchmark].shards, len(sources))])
        directions = [pair for pair in self.translated_directions(system, benchmark) if pair[0] in mine]
        limit, languages = self.configuration.benchmarks[benchmark].limit, self._languages_of(directions, pivot)
        return {**self._system(base, languages), "pivot": pivot, "directions": _named(directions), "limit": limit}

    def leg_inputs(self, base: str, pivot: str, benchmark: str) -> dict[str, Any]:
        """The models that a shard of first legs needs."""
        sources = self._pivoted_sources(self._through(base, pivot), benchmark)
        return self.system_inputs(base, [(source, pivot) for source in sources])

    def _through(self, base: str, pivot: str) -> str:
        systems = self.configuration.systems.items()
        return next(n for n, it in systems if isinstance(it, Pivot) and (it.system, it.pivot) == (base, pivot))

    # The systems themselves

    def system_settings(self, name: str) -> dict[str, Any]:
        """What determines the answers of a system, in all languages of the run."""
        return self._system(name)

    def system_inputs(self, name: str, directions: Sequence[Direction] = ()) -> dict[str, Any]:
        """The model of a system, and its converted form where the engine has one.

        Args:
            directions: those that models of one direction each are wanted for.
        """
        system = self.configuration.systems[name]
        if isinstance(system, CausalModel):
            inputs = {"model": self.model_folder(system.model)}
            if choose_engine(system, gpus=self.gpus) == "ctranslate2":
                inputs["converted"] = f"converted/{system.model}"
            return inputs
        if isinstance(system, TranslationModel) and system.by_direction:
            return {"translators": _there(self._file_of(system, pair) for pair in directions)}
        if isinstance(system, TranslationModel):
            return {"translators": _there([self.run.data / system.translator])}
        return {}

    def _system(self, name: str, languages: Sequence[str] | None = None) -> dict[str, Any]:
        """What determines the answers of a system that translates between some languages, by default all of the run."""
        system, languages = self.configuration.systems[name], languages or self.languages
        if isinstance(system, TranslationModel):
            family = self._family(name)
            prompt = self.run.prompts.get(system.prompt_name(family)) if family else None
            return {
                "system": {**_without_pace(system), "translator": str(self.run.data / system.translator)},
                "family": family,
                "column": system.column(family) if family else "",
                "prompt": plain(prompt) if prompt else None,
                "names": names_of(self._model_codes(name), languages),
                "languages": languages,
            }
        entry = _without_pace(system)
        if isinstance(system, CausalModel):
            entry = {key: entry[key] for key in ("model", "prompt") if key in entry} | entry
            entry["engine"] = choose_engine(system, gpus=self.gpus)
        prompt = self.run.prompts[system.prompt]
        names = prompt.language_names(self.run.languages, languages)
        return {"system": entry, "prompt": plain(prompt), "names": names}

    def _model_codes(self, name: str) -> Mapping[str, str]:
        """Our code → what a translation model is told; nothing for languages that it lacks."""
        family = self._family(name)
        if family is None:
            return {}
        system = self.configuration.systems[name]
        if system.column(family):
            return told_codes(self.run.languages, self.languages, family, system.codes)
        prompt = self.run.prompts.get(system.prompt_name(family))
        return prompt.language_names(self.run.languages, self.languages) if prompt else {}

    def _family(self, name: str) -> str | None:
        """The family of a translation model; None while its folder is not there to tell."""
        if name not in self._families:
            system = self.configuration.systems[name]
            family = None if system.family == "auto" else system.family
            if family is None:
                folder = self._any_folder(system)
                family = detect_family(folder) if folder is not None else None
            self._families[name] = family
        return self._families[name]

    def _any_folder(self, system: TranslationModel) -> Path | None:
        pairs = [pair for benchmark in self.configuration.benchmarks for pair in self.directions(benchmark)]
        folders = dict.fromkeys(self._file_of(system, pair) for pair in pairs) or [self.run.data / system.translator]
        return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def _without_pace(system: Entry) -> dict[str, Any]:
    """An entry without what says how fast it translates: a job is told of that apart, so that no change reruns it."""
    return {key: value for key, value in plain(system).items() if key not in PACE}


def _legs(pair: Direction, pivot: str) -> list[Direction]:
    """The legs of a direction; one where a side is the pivot itself."""
    return [(a, b) for a, b in ((pair[0], pivot), (pivot, pair[1])) if a != b]


def _named(directions: Iterable[Direction]) -> list[str]:
    return ["-".join(pair) for pair in directions]


def _there(paths: Iterable[Path]) -> list[str]:
    """What is there, absolute: what is not is the job's to complain of, so that a run can be planned."""
    return [str(path.resolve()) for path in dict.fromkeys(paths) if path.exists()]
