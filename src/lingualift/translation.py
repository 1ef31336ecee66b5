"""Translating a shard of directions into a store that goes on where it was killed."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lingualift.configuration.prompts import Prompt
from lingualift.configuration.systems import CausalModel, Decoding
from lingualift.engines import Engine
from lingualift.errors import LingualiftError
from lingualift.files import checksum, fingerprint, read_json, remove
from lingualift.manifests import Manifest
from lingualift.stores import HypothesisStore, remove_others
from lingualift.tokenization import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

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

    def settings(self) -> list[object]:
        """What determines the translations, beside the weights and the sentences."""
        ...


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

    def settings(self) -> list[object]:
        """What determines the translations, beside the weights and the sentences."""
        return [self.system.model_dump(mode="json"), self.prompt.model_dump(mode="json"), dict(self.names)]

    def answer(self, prompts: Sequence[Sequence[int]], longest: int) -> list[str]:
        """The translations that answer some prompts, each on one line."""
        answers = self.engine.generate(prompts, max_new_tokens=longest)
        return [self.prompt.decode(self.tokenizer, ids) for ids in answers]


def translate_directions(
    translator: Translates,
    sources: Mapping[tuple[str, str], Sequence[str]],
    *,
    state: Path,
    key: object,
    out: Path,
) -> Manifest:
    """Translate every direction and write ``out``, JSON lines of direction, sentence and hypothesis.

    Args:
        sources: the sentences of each direction; an empty one, such as a pivot's that has no translation, stays empty.
        state: folder of the store that a killed job goes on from.
        key: what determines the translations beside the translator's settings; a store made with another key is not
            gone on with.
    """
    from tqdm import tqdm

    name_of_store = fingerprint([key, translator.settings()])
    manifest = Manifest("hypotheses", {"key": name_of_store})
    own = state / f"{name_of_store}.jsonl"
    remove_others(own)
    total = sum(map(len, sources.values()))
    with HypothesisStore(own) as store, tqdm(total=total, unit="sentence", desc="translating", mininterval=2) as bar:
        for (source, target), sentences in sources.items():
            name = f"{source}-{target}"
            missing = set(store.missing(name, len(sentences)))
            bar.update(len(sentences) - len(missing))
            if not missing:
                continue
            filled = [number for number, text in enumerate(sentences) if text]
            if empty := sorted(missing.difference(filled)):
                store.append({"direction": name, "sentence": number, "hypothesis": ""} for number in empty)
                bar.update(len(empty))
            if not filled:
                continue
            for places, prompts, longest in translator.plan([sentences[at] for at in filled], source, target):
                numbers = [filled[place] for place in places]
                if missing.isdisjoint(numbers):
                    continue
                answers = translator.answer(prompts, longest)
                store.append(
                    {"direction": name, "sentence": number, "hypothesis": answer}
                    for number, answer in zip(numbers, answers, strict=True)
                )
                bar.update(len(missing.intersection(numbers)))
        sizes = {f"{source}-{target}": len(sentences) for (source, target), sentences in sources.items()}
        store.write_final(out, sizes, sizes)
    manifest.counts.update(directions=len(sources), sentences=total)
    remove(own)
    return manifest


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
        LingualiftError: there is no such model, or the engine is not installed.
    """
    from lingualift.engines import CTranslate2Engine, TransformersEngine, VllmEngine

    if not model or not Path(model).is_dir():
        raise LingualiftError(f"the model `{system.model}` is not there: `models.{system.model}.path` says where it is")
    tokenizer = load_tokenizer(model)
    stops = prompt.stop_tokens(tokenizer)
    engine: Engine
    if converted:
        engine = CTranslate2Engine(Path(converted), Path(model), system, threads=threads, stops=stops)
    else:
        kind = VllmEngine if system.engine == "vllm" else TransformersEngine
        engine = kind(Path(model), system, stops=stops)
    return Translator(engine, tokenizer, system, prompt, names)


def model_key(model: str | Path | None) -> list[str]:
    """What tells a model's weights from others': the checksums in its manifest, or of its files."""
    model = Path(model or "")
    manifest = model / "manifest.json"
    if manifest.is_file():
        return sorted(read_json(manifest)["weights"].values())
    return [checksum(path) for path in sorted(model.glob("*.safetensors"))]
