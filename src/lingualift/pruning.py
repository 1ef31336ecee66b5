"""Stores of translations that a configuration no longer uses: found, listed, and removed where it is asked for."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingualift.configuration.loading import Run
from lingualift.configuration.schema import TranslatedCorpus
from lingualift.configuration.systems import Pivot, TranslationModel
from lingualift.errors import LingualiftError
from lingualift.files import read_json, remove
from lingualift.locks import folder_lock
from lingualift.planning import STAGE_VERSIONS, Plan
from lingualift.translation import NOTE, Route, model_key
from lingualift.translators import causal_engine, sequence_engine, system_key

logger = logging.getLogger(__name__)

_STAGES = ("translate_shard", "translate_legs", "translate_through_pivot", "translate_supplement")


@dataclass(frozen=True)
class SystemStores:
    """The stores of one system.

    Attributes:
        folder: where they are.
        note: what they were made with.
        used: those that the configuration uses.
        unused: those that it does not.
    """

    folder: Path
    note: Mapping[str, Any]
    used: Sequence[Path]
    unused: Sequence[Path]

    @property
    def size(self) -> int:
        """Bytes of those that are not used."""
        return sum(path.stat().st_size for path in self.unused)

    def describe(self) -> str:
        """What they were made with, in a line."""
        key, (settings, *_) = self.note["key"], self.note["translator"]
        named = {**settings, "engine": " ".join(map(str, key["engine"][:2]))}
        wanted = ("model", "prompt", "engine", "precision", "beam", "length_penalty", "max_new_tokens", "max_ratio")
        return ", ".join(f"{name} {named[name]}" for name in wanted if name in named)


def find_stores(run: Run, results: Path) -> list[SystemStores]:
    """The stores of a run, those told apart that no system of its configuration uses, or in no direction.

    A system uses what was made with its settings by its model, on whatever engine its jobs may choose, by the library
    that is installed here. Where its model is not there, or the library is not, all that was made with its settings
    counts as used.

    Args:
        results: the folder of the run.
    """
    wanted = list(_wanted(run, results))
    found = []
    for note in sorted((results / "state/translations").glob(f"*/{NOTE}")):
        made, folder = read_json(note), note.parent
        names = {name for key, names in wanted if _is_made_with(made["key"], key) for name in names}
        stores = sorted(folder.glob("*.jsonl"))
        used = [path for path in stores if path.name.split(".")[0] in names]
        found.append(SystemStores(folder, made, used, [path for path in stores if path not in used]))
    return found


def remove_unused(stores: Iterable[SystemStores]) -> int:
    """Remove the stores that are not used, but for those that a job is working on.

    Returns:
        How many were removed.
    """
    count = 0
    for system in stores:
        for path in system.unused:
            try:
                with folder_lock(path, patience=0):
                    remove(path)
                    count += 1
            except LingualiftError as error:
                logger.warning("not removed: %s", error)
        if not [*system.folder.glob("*.jsonl"), *system.folder.glob("*.lock")]:
            remove(system.folder)
    return count


def _wanted(run: Run, results: Path) -> Iterator[tuple[dict[str, Any], set[str]]]:
    """The keys of the systems of a configuration, None where it cannot be told, and the names of their directions."""
    # A profile says how many GPUs there are, and so which engine a system has: all are looked at.
    for plan in (Plan(run), Plan(run, gpus=1)):
        for name in plan.translating_systems():
            settings, system = plan.system_settings(name), plan.configuration.systems[name]
            if isinstance(system, TranslationModel):
                folder = Path(settings["system"]["translator"])
                weights = [] if system.by_direction else _weights(folder)
                engine: list[Any] | None = sequence_engine()
            else:
                weights = _weights(results / plan.system_inputs(name)["model"])
                engine = _engine(settings["system"]["engine"])
            names = {"-".join(route) for route in _routes(plan, name)}
            for version in {STAGE_VERSIONS[stage] for stage in _STAGES}:
                yield json.loads(json.dumps(system_key(settings, weights, engine, version))), names


def _weights(folder: Path) -> list[Any] | None:
    return [model_key(folder)] if folder.is_dir() else None


def _engine(name: str) -> list[Any] | None:
    try:
        return causal_engine(name)
    except LingualiftError:
        return None


def _is_made_with(made: Mapping[str, Any], key: Mapping[str, Any]) -> bool:
    return all(value is None or made.get(part) == value for part, value in key.items())


def _routes(plan: Plan, name: str) -> Iterator[Route]:
    """All ways that a system may be asked to go: directions, legs of the pivots that it translates, supplements."""
    for other, entry in plan.configuration.systems.items():
        if plan.base_system(other) != name:
            continue
        for benchmark in plan.configuration.benchmarks:
            for source, target in plan.translated_directions(other, benchmark):
                if isinstance(entry, Pivot) and source != entry.pivot:
                    yield source, entry.pivot
                    if target != entry.pivot:
                        yield source, entry.pivot, target
                else:
                    yield source, target
    for corpus in plan.configuration.corpora.values():
        if isinstance(corpus, TranslatedCorpus) and corpus.system == name:
            yield from (("en", code) for code in corpus.languages or plan.languages)
