"""Translating a shard of directions into stores, one a direction, that go on where a job was killed."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lingualift.configuration.prompts import Prompt
from lingualift.configuration.systems import CausalModel, Decoding
from lingualift.engines import Engine
from lingualift.errors import LingualiftError
from lingualift.files import checksum, fingerprint, read_json
from lingualift.manifests import Manifest
from lingualift.stores import HypothesisStore, merge_stores, remove_others
from lingualift.tokenization import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Direction = tuple[str, str]

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
        """What determines the translations between some languages, or all, beside the weights and the sentences."""
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
        return [self.system.model_dump(mode="json"), self.prompt.model_dump(mode="json"), names]

    def answer(self, prompts: Sequence[Sequence[int]], longest: int) -> list[str]:
        """The translations that answer some prompts, each on one line."""
        answers = self.engine.generate(prompts, max_new_tokens=longest)
        return [self.prompt.decode(self.tokenizer, ids) for ids in answers]


def translate_directions(
    translator: Translates,
    sources: Mapping[Direction, Sequence[str]],
    *,
    state: Path,
    key: object,
    out: Path,
) -> Manifest:
    """Translate every direction and write ``out``, JSON lines of direction, sentence and hypothesis.

    Each direction has a store of its own, named by all that determines its translations, which stays: a job that was
    killed goes on from it, and so does one that is given other directions beside. Where sentences have come after
    those of a store, they have another beside it, and batches of their own.

    Args:
        sources: the sentences of each direction; an empty one, such as a pivot's that has no translation, stays empty.
        state: folder of the stores; jobs of different directions may share it.
        key: what determines the translations beside the translator's settings and the sentences.
    """
    from tqdm import tqdm

    manifest = Manifest("hypotheses", {})
    stores, keys = [], {}
    total = sum(map(len, sources.values()))
    with tqdm(total=total, unit="sentence", desc="translating", mininterval=2) as bar:
        for pair, sentences in sources.items():
            name = "-".join(pair)
            identity = [key, translator.settings(*pair)]
            keys[name] = fingerprint([*identity, list(sentences)])
            own = _stores_of(state / name, identity, sentences)
            remove_others(*own)
            for path, stretch in own.items():
                with HypothesisStore(path) as store:
                    missing = {number for number in stretch if (name, number) not in store}
                    bar.update(len(stretch) - len(missing))
                    for records in _translate(translator, pair, sentences, stretch, missing):
                        bar.update(store.append({"direction": name, **record} for record in records))
                stores.append(store)
    sizes = {"-".join(pair): len(sentences) for pair, sentences in sources.items()}
    merge_stores(stores, out, sizes, sizes)
    manifest.settings["key"] = fingerprint(keys)
    manifest.counts.update(directions=len(sources), sentences=total)
    return manifest


def _stores_of(folder: Path, identity: object, sentences: Sequence[str]) -> dict[Path, range]:
    """The stores of a direction and the stretch of its sentences that each is for, in their order.

    Those that are there come first, as long as they are for just these sentences; the rest is one more.
    """

    def path(stretch: range) -> Path:
        texts = list(sentences[stretch.start : stretch.stop])
        return folder / f"{stretch.start}-{stretch.stop}-{fingerprint([identity, texts])}.jsonl"

    found: dict[Path, range] = {}
    there = [range(*map(int, it.name.split("-")[:2])) for it in folder.glob("*-*-*.jsonl")]
    start = 0
    # Each begins where one before it ends.
    for stretch in sorted(there, key=lambda it: (it.start, -it.stop)):
        if stretch.start == start and stretch.stop <= len(sentences) and path(stretch).exists():
            found[path(stretch)] = stretch
            start = stretch.stop
    if start < len(sentences) or not found:
        rest = range(start, len(sentences))
        found[path(rest)] = rest
    return found


def _translate(
    translator: Translates, pair: Direction, sentences: Sequence[str], stretch: range, missing: set[int]
) -> Iterator[list[dict[str, Any]]]:
    """The translations of a stretch of a direction, in batches, those with nothing missing left out."""
    filled = [number for number in stretch if sentences[number]]
    if empty := sorted(missing.difference(filled)):
        yield [{"sentence": number, "hypothesis": ""} for number in empty]
    if missing.isdisjoint(filled):
        return
    for places, prompts, longest in translator.plan([sentences[at] for at in filled], *pair):
        numbers = [filled[place] for place in places]
        if not missing.isdisjoint(numbers):
            answers = translator.answer(prompts, longest)
            yield [{"sentence": n, "hypothesis": it} for n, it in zip(numbers, answers, strict=True)]


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
