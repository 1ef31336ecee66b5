"""Translating directions into stores, one a direction, that serve whatever asks for the same and outlive every kill."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lingualift.configuration.prompts import Prompt
from lingualift.configuration.systems import SERVICE, CausalModel, Decoding
from lingualift.engines import Engine
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path, checksum, fingerprint, read_json, write_json
from lingualift.locks import folder_lock
from lingualift.manifests import Manifest
from lingualift.stores import TranslationStore
from lingualift.tokenization import load_tokenizer

if TYPE_CHECKING:
    from tqdm import tqdm
    from transformers import PreTrainedTokenizerFast

Direction = tuple[str, str]
# A direction, or (source, pivot, target): the source is asked for in the pivot's words.
Route = tuple[str, ...]

# What says how fast a system translates, not what: no part of what tells one system's translations from another's.
PACE = (*SERVICE, "batch")
# What names a model or a prompt in a configuration: they are told by what they are.
NAMES = ("model", "prompt")
# Seconds to wait for another job that is translating the same direction.
PATIENCE = 7 * 86_400.0
# Beside the stores of a system: what they were made with.
NOTE = "system.json"

# Files of a model's folder that determine its answers beside its weights.
_BESIDE_WEIGHTS = ("*.json", "*.jinja", "*.model", "*.spm", "merges.txt", "vocab.txt")

# Answers are cut at a multiple of this, so that sentences of like length can share a batch whatever else is in it.
_LENGTH_STEP = 16


class Translates(Protocol):
    """What translates: a causal model, a translation model, an endpoint."""

    def plan(self, sentences: Sequence[str], source: str, target: str) -> Iterator[tuple[list[int], Any, int]]:
        """The batches of some sentences of one direction.

        A batch is a function of all the sentences, not of those that are still missing: what a killed job goes on
        with is to the bit what it would have done.

        Yields:
            The numbers of the sentences of a batch, the questions that ask for them, and the longest answer allowed.
        """
        ...

    def answer(self, prompts: Any, longest: int) -> list[str]:
        """The translations that answer the questions of one batch, each on one line."""
        ...

    def settings(self, *languages: str) -> list[object]:
        """What determines the translations between some languages, beside the weights and the sentences.

        What says how fast they are made is no part of it. For people to read: where no language is given, those of all.
        """
        ...


def names_of(names: Mapping[str, str], languages: Sequence[str]) -> dict[str, str]:
    """The names of some languages, of those that have one; all names where no language is given."""
    return {code: name for code, name in names.items() if not languages or code in languages}


def longest_answer(size: int, system: Decoding) -> int:
    """The most tokens that the answer to a source of ``size`` tokens may have."""
    cap = int(size * system.max_ratio) + 16
    return min(-(-cap // _LENGTH_STEP) * _LENGTH_STEP, system.max_new_tokens)


def batches_by_length(caps: Sequence[int], lengths: Sequence[int], size: int) -> Iterator[tuple[list[int], int]]:
    """Batches of at most ``size``, of one cap each, shortest first: the numbers of a batch, and its cap."""
    order = sorted(range(len(caps)), key=lambda number: (caps[number], lengths[number], number))
    for cap, numbers in groupby(order, key=caps.__getitem__):
        same = list(numbers)
        yield from ((same[start : start + size], cap) for start in range(0, len(same), size))


class Translator:
    """A causal model that is asked with a prompt; its answers are read off."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: "PreTrainedTokenizerFast",
        system: CausalModel,
        prompt: Prompt,
        names: Mapping[str, str],
    ) -> None:
        self.engine, self.tokenizer, self.system = engine, tokenizer, system
        self.prompt, self.names = prompt, names

    def plan(
        self, sentences: Sequence[str], source: str, target: str
    ) -> Iterator[tuple[list[int], list[list[int]], int]]:
        """The batches of some sentences, those of like length together; the questions are prompts as tokens.

        Raises:
            LingualiftError: the prompt is for a chat, and the tokenizer has no chat template.
        """
        prompts = self.prompt.encode(self.tokenizer, sentences, self.names[source], self.names[target])
        sizes = [len(ids) for ids in self.tokenizer(list(sentences), add_special_tokens=False)["input_ids"]]
        caps = [longest_answer(size, self.system) for size in sizes]
        for numbers, cap in batches_by_length(caps, [len(prompt) for prompt in prompts], self.system.batch):
            yield numbers, [prompts[number] for number in numbers], cap

    def settings(self, *languages: str) -> list[object]:
        """See :class:`Translates`."""
        names = names_of(self.names, languages)
        system = self.system.model_dump(mode="json", exclude={*PACE, *(NAMES if languages else ())})
        return [system, self.prompt.model_dump(mode="json"), names]

    def answer(self, prompts: Sequence[Sequence[int]], longest: int) -> list[str]:
        """The translations that answer some prompts, each on one line."""
        answers = self.engine.generate(prompts, max_new_tokens=longest)
        return [self.prompt.decode(self.tokenizer, ids) for ids in answers]


class LazyEngine:
    """An engine that is made when it is first asked: where all is translated already, no model is loaded."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._engine: Engine | None = None

    def generate(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """See :class:`Engine`."""
        if self._engine is None:
            self._engine = self._make()
        return self._engine.generate(prompts, max_new_tokens=max_new_tokens)


def translate_directions(
    translator: Translates,
    sources: Mapping[Route, Sequence[str]],
    *,
    state: Path,
    key: object,
    out: Path,
    known: Mapping[Direction, Sequence[str]] | None = None,
) -> Manifest:
    """Translate every direction and write ``out``, JSON lines of direction, sentence and hypothesis.

    Each direction of a system has a store, which stays: a sentence is translated once, whichever jobs ask for it, in
    whatever order and however many others with it. Of two jobs at the same direction one waits, and finds it there.

    Args:
        sources: the sentences of each direction; an empty one, such as a pivot's that has no translation, stays empty.
        state: folder of the stores of all systems, directions and jobs.
        key: what determines the translations beside the translator's settings and the sentences, JSON-like.
        known: directions whose hypotheses are there already.
    """
    from tqdm import tqdm

    known = known or {}
    settings = {route: translator.settings(*route[-2:]) for route in sources}
    folder = state / fingerprint(key)
    paths = {route: folder / f"{'-'.join(route)}.{fingerprint(it)}.jsonl" for route, it in settings.items()}
    asked = {route: list(dict.fromkeys(filter(None, texts))) for route, texts in sources.items()}
    with tqdm(total=sum(map(len, asked.values())), unit="sentence", desc="translating", mininterval=2) as bar:
        if any(asked.values()):
            _note(folder, key, translator)
        ends = _translate_all(translator, {route: texts for route, texts in asked.items() if texts}, paths, bar)
    hypotheses = {_direction(route): route for route in (*sources, *known)}
    with atomic_path(out) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        for name, route in sorted(hypotheses.items()):
            found = known[route] if route in known else _read(paths[route], route, sources[route], ends.get(route, 0))
            file.writelines(_line(name, number, hypothesis) for number, hypothesis in enumerate(found))
    manifest = Manifest("hypotheses", {})
    made = {_direction(route): [key, settings.get(route), list(it)] for route, it in {**sources, **known}.items()}
    manifest.settings["key"] = fingerprint({name: fingerprint(it) for name, it in made.items()})
    manifest.counts.update(directions=len(made), sentences=sum(len(texts) for *_, texts in made.values()))
    return manifest


def _direction(route: Route) -> str:
    return f"{route[0]}-{route[-1]}"


def _line(direction: str, sentence: int, hypothesis: str) -> str:
    record = {"direction": direction, "sentence": sentence, "hypothesis": hypothesis}
    return json.dumps(record, ensure_ascii=False) + "\n"


def _note(folder: Path, key: object, translator: Translates) -> None:
    if not (folder / NOTE).exists():
        with folder_lock(folder / NOTE):
            write_json({"key": key, "translator": translator.settings()}, folder / NOTE)


def _translate_all(
    translator: Translates, asked: Mapping[Route, Sequence[str]], paths: Mapping[Route, Path], bar: "tqdm"
) -> dict[Route, int]:
    """Have all there; a direction that another job is at is come back to at the end.

    Returns:
        The bytes of each store that hold what was asked for.
    """
    left, patience, ends = list(asked), 0.0, {}
    while left:
        held = []
        for route in left:
            with ExitStack() as stack:
                try:
                    # One direction at a time: two jobs never wait for each other.
                    stack.enter_context(folder_lock(paths[route], patience=patience))
                except LingualiftError:
                    if patience:
                        raise
                    held.append(route)
                    continue
                with TranslationStore(paths[route], "-".join(route)) as store:
                    _translate(translator, route, asked[route], store, bar)
                    ends[route] = store.end
        patience = PATIENCE if len(held) == len(left) else 0.0
        left = held
    return ends


def _translate(
    translator: Translates, route: Route, texts: Sequence[str], store: TranslationStore, bar: "tqdm"
) -> None:
    """Translate what a store lacks of some sentences, in batches; those with nothing missing are left out."""
    missing = set(texts) - store.find(texts).keys()
    bar.update(len(texts) - len(missing))
    if not missing:
        return
    plan, sentences = store.plan(texts)
    for places, prompts, longest in translator.plan(sentences, *route[-2:]):
        batch = [sentences[place] for place in places]
        if not missing.isdisjoint(batch):
            answers = translator.answer(prompts, longest)
            bar.update(store.add(plan, zip(batch, answers, strict=True)))


def _read(path: Path, route: Route, texts: Sequence[str], end: int) -> Iterator[str]:
    found = TranslationStore(path, "-".join(route), until=end).find(texts)
    for text in texts:
        if text and text not in found:
            raise LingualiftError(f"{path}: translations that were there are gone: run again")
        yield found[text] if text else ""


def load_translator(
    *,
    model: str | Path | None,
    converted: str | Path | None,
    system: CausalModel,
    prompt: Prompt,
    names: Mapping[str, str],
    threads: int,
) -> Translator:
    """A translator from a model folder; by CTranslate2 where there is its converted form.

    Raises:
        LingualiftError: there is no such model. That its engine is not installed is found out at the first question.
    """
    from lingualift.engines import CTranslate2Engine, TransformersEngine, VllmEngine

    if not model or not Path(model).is_dir():
        raise LingualiftError(f"the model `{system.model}` is not there: `models.{system.model}.path` says where it is")
    tokenizer = load_tokenizer(model)
    stops = prompt.stop_tokens(tokenizer)

    def engine() -> Engine:
        if converted:
            return CTranslate2Engine(Path(converted), Path(model), system, threads=threads, stops=stops)
        kind = VllmEngine if system.engine == "vllm" else TransformersEngine
        return kind(Path(model), system, stops=stops)

    return Translator(LazyEngine(engine), tokenizer, system, prompt, names)


def model_key(model: str | Path | None) -> dict[str, str]:
    """What tells a model from others: the checksums of its weights, those in its manifest where that has them, and of
    all that says how they are used: configuration, tokenizer, chat template.

    Returns:
        Checksums by the name of the file.
    """
    model = Path(model or "")
    manifest = model / "manifest.json"
    weights = read_json(manifest).get("weights") if manifest.is_file() else None
    beside = {path for pattern in _BESIDE_WEIGHTS for path in model.glob(pattern)} - {manifest}
    files = beside if weights else beside.union(model.glob("*.safetensors"))
    return {**(weights or {}), **{path.name: checksum(path) for path in sorted(files)}}
