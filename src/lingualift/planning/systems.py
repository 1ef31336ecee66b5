"""Systems on benchmarks: the files and settings of translation."""

from typing import Any

from lingualift.configuration.loading import Run
from lingualift.engines import choose_engine
from lingualift.planning.base import plain
from lingualift.planning.models import ModelPlan


class SystemPlan(ModelPlan):
    """What translates what."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._directions: dict[str, list[tuple[str, str]]] = {}

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
            "system": {**plain(system), "engine": choose_engine(system)},
            "prompt": plain(self.run.prompts[system.prompt]),
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
