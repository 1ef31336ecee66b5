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
from lingualift.translation import Translates, load_translator, model_key

logger = logging.getLogger(__name__)

# An endpoint is asked by one job at a time, so that its rate is kept and no question is asked twice.
_PATIENCE = 7 * 86_400.0


class OpenedSystem(NamedTuple):
    """A translator, what tells its models from others, and the library that they are run by, if by any of ours."""

    translator: Translates
    weights: list[Any]
    library: str | None = None

    def key(self, version: int) -> list[Any]:
        """What determines the translations beside the translator's settings and the sentences.

        Args:
            version: the stage's; what another version has made is made again.
        """
        # Models of one direction each are told apart by their settings: what others there are is no matter.
        models = [] if isinstance(self.translator, DirectionTranslators) else self.weights
        return [version, models, self.library and [self.library, importlib.metadata.version(self.library)]]

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
    service: Mapping[str, Any] | None = None,
    answers: str | Path | None = None,
) -> Iterator[OpenedSystem]:
    """Make the translator that some settings ask for.

    Args:
        settings: ``system``, ``prompt`` and ``names`` of ``Plan.translation_settings``.
        directions: those that models of one direction each are wanted for.
        model: the folder of a causal model; ``converted`` the same for CTranslate2.
        service: how an endpoint is asked: the keys of its entry that are not in the settings.
        answers: folder of the answers of all endpoints.

    Raises:
        LingualiftError: there is no such model.
    """
    entry = settings["system"]
    match system_kind(entry):
        case "translator":
            yield _open_translation_model(settings, directions)
        case "endpoint":
            assert answers is not None
            system = Endpoint.model_validate({**(service or {}), **entry})
            folder = Path(answers) / fingerprint([system.endpoint, system.model])
            with folder_lock(folder, patience=_PATIENCE):
                cache = folder / "answers.jsonl"
                prompt = Prompt.model_validate(settings["prompt"])
                with EndpointTranslator(system, prompt, settings["names"], cache=cache) as translator:
                    yield OpenedSystem(translator, [])
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
            yield OpenedSystem(causal, [model_key(model)], library)


def _open_translation_model(settings: Mapping[str, Any], directions: Sequence[tuple[str, str]]) -> OpenedSystem:
    system = TranslationModel.model_validate(settings["system"])
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
    return OpenedSystem(translator, [model_key(folder) for folder in folders], "transformers")
