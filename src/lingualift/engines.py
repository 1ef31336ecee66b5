"""Engines: what turns prompts into answers, behind one interface."""

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import takewhile
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lingualift.configuration.systems import CausalModel
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path
from lingualift.manifests import Manifest
from lingualift.tokenization import load_tokenizer

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel

# Shared beginnings of prompts that are kept, a direction's and those of batches that share more.
_BEGINNINGS = 4


class Engine(Protocol):
    """Beam search over a batch of prompts."""

    def generate(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """The best answer to each prompt.

        Args:
            prompts: token ids.
            max_new_tokens: the longest answer.

        Returns:
            The new token ids of each, up to the end-of-sequence token or a token that the prompt stops at.
        """
        ...


class TransformersEngine:
    """transformers' ``generate``, on whatever device there is, with the prompt's shared beginning computed once.

    Args:
        model: a folder.
        stops: tokens that end an answer, beside the end-of-sequence token.
    """

    def __init__(self, model: Path, system: CausalModel, *, stops: Sequence[int] = ()) -> None:
        import torch
        from transformers.cache_utils import DynamicLayer

        from lingualift.training import load_model

        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = load_model(model, dtype=getattr(torch, system.precision)).to(self.device).eval()
        forget_decoding(self.model, keep=["bos_token_id"])
        self.system = system
        self.eos = _eos(model)
        self.ends = [self.eos, *stops]
        self._beginnings: dict[tuple[int, ...], Cache] = {}
        # Recurrent and sliding layers have no keys that padding could stand behind.
        with torch.inference_mode():
            cache = getattr(self._read([self.eos]), "past_key_values", None)
        self._shares = all(type(layer) is DynamicLayer for layer in getattr(cache, "layers", [None]))

    def generate(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """See :class:`Engine`."""
        import torch

        shared, longest = _shared_prefix(prompts) if self._shares else 0, max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self.eos)
        mask = torch.zeros_like(ids)
        # What a batch is filled up with stands behind what its prompts share: positions are counted along the mask.
        for row, prompt in enumerate(prompts):
            for part in (slice(shared), slice(longest - len(prompt) + shared, longest)):
                mask[row, part] = 1
            ids[row, mask[row].bool()] = torch.tensor(prompt)
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=ids.to(self.device),
                attention_mask=mask.to(self.device),
                past_key_values=self._beginning(prompts[0][:shared], len(prompts)),
                max_new_tokens=max_new_tokens,
                num_beams=self.system.beam,
                length_penalty=self.system.length_penalty,
                do_sample=False,
                eos_token_id=self.ends,
                pad_token_id=self.eos,
            )
        return [_cut(row, self.ends) for row in out[:, longest:].tolist()]

    def _beginning(self, tokens: Sequence[int], size: int) -> "Cache | None":
        """Keys and values of what all prompts of a batch begin with, for every beam of each."""
        if not tokens:
            return None
        if (key := tuple(tokens)) not in self._beginnings:
            # Where the sentences of a batch happen to begin alike it has its own; the template's is among the last few.
            while len(self._beginnings) >= _BEGINNINGS:
                del self._beginnings[next(iter(self._beginnings))]
            self._beginnings[key] = self._read(key).past_key_values
        cache = deepcopy(self._beginnings[key])
        cache.batch_repeat_interleave(size * self.system.beam)
        return cache

    def _read(self, tokens: Sequence[int]) -> Any:
        import torch

        return self.model(torch.tensor([list(tokens)], device=self.device), use_cache=True)


class CTranslate2Engine:
    """CTranslate2: the same search in C++, with the prompt's shared beginning computed once.

    Args:
        converted: the model's folder, in CTranslate2's form.
        model: the model's own folder.
        stops: tokens that end an answer, beside the end-of-sequence token.
    """

    def __init__(
        self, converted: Path, model: Path, system: CausalModel, *, threads: int, stops: Sequence[int] = ()
    ) -> None:
        import ctranslate2

        self.generator = ctranslate2.Generator(
            str(converted), device="auto", compute_type=system.precision, intra_threads=threads
        )
        self.tokenizer = load_tokenizer(model)
        self.system = system
        self.ends = [_eos(model), *stops]

    def generate(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """See :class:`Engine`."""
        shared = _shared_prefix(prompts)
        name = self.tokenizer.convert_ids_to_tokens
        results = self.generator.generate_batch(
            [name(list(prompt[shared:])) for prompt in prompts],
            static_prompt=name(list(prompts[0][:shared])) or None,
            cache_static_prompt=True,
            beam_size=self.system.beam,
            length_penalty=self.system.length_penalty,
            max_length=max_new_tokens,
            include_prompt_in_result=False,
            end_token=self.ends,
        )
        return [_cut(result.sequences_ids[0], self.ends) for result in results]


class VllmEngine:
    """vLLM, with its cache of prompt beginnings; for GPUs.

    vLLM's own ``LLM.beam_search`` is another search (0.33): it never stops before the longest answer, ranks what has
    not ended beside what has, and takes no stops; in 0.32 the length that scores are divided by was that with the
    prompt. So vLLM is asked for log-probabilities, and :class:`_BeamSearch` searches.

    Args:
        model: a folder.
        stops: tokens that end an answer, beside the end-of-sequence token.

    Raises:
        LingualiftError: vLLM is not installed.
    """

    def __init__(self, model: Path, system: CausalModel, *, stops: Sequence[int] = ()) -> None:
        try:
            import vllm
        except ImportError as error:
            raise LingualiftError(
                f"`engine: vllm` needs vLLM, which is not there ({error}): `pip install vllm` into a copy of the "
                "workflow's environment (it wants other versions than the pins), or set `engine: transformers`"
            ) from error
        # In this process: a second one would get the signals that this one is to stop at, and a spawned one would run
        # the job's script again. vLLM reports its use to its makers unless told not to.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        self.system = system
        self.ends = [_eos(model), *stops]
        self._parameters = vllm.SamplingParams
        self.model = vllm.LLM(
            model=str(model),
            dtype=system.precision,
            seed=0,
            enable_prefix_caching=True,
            trust_remote_code=False,
            # As many tokens as the model reads, or as there is memory for.
            max_model_len=-1,
            max_logprobs=_candidates(system.beam, self.ends),
        )

    def generate(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """See :class:`Engine`."""
        if self.system.beam == 1:
            outputs = self._ask(prompts, max_tokens=max_new_tokens, stop_token_ids=self.ends)
            return [_cut(output.token_ids, self.ends) for output in outputs]
        room = self.model.model_config.max_model_len
        searches = [
            _BeamSearch(self.system, self.ends, longest=min(max_new_tokens, room - len(prompt))) for prompt in prompts
        ]
        while running := [pair for pair in zip(prompts, searches, strict=True) if not pair[1].ended]:
            grown = [[*prompt, *tokens] for prompt, search in running for _, tokens in search.beams]
            outputs = iter(self._ask(grown, max_tokens=1, logprobs=_candidates(self.system.beam, self.ends)))
            for _, search in running:
                likely = [next(outputs).logprobs[0] for _ in search.beams]
                search.advance([{token: it.logprob for token, it in tokens.items()} for tokens in likely])
        return [_cut(search.found[0][1], self.ends) for search in searches]

    def _ask(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[Any]:
        # The end-of-sequence tokens of `generation_config.json` are ignored, as in the other engines.
        asked = self._parameters(temperature=0.0, ignore_eos=True, detokenize=False, **options)
        tokens = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        return [output.outputs[0] for output in self.model.generate(tokens, asked, use_tqdm=False)]


class _BeamSearch:
    """The search of transformers' ``generate``, a token at a time, for one prompt.

    Source: ``GenerationMixin._beam_search`` of transformers 5 with ``early_stopping=False``.

    Args:
        ends: tokens that end an answer.
        longest: an answer of so many tokens has ended, too.

    Attributes:
        beams: log-probability and tokens of what goes on, the best first.
        found: score and tokens of what has ended, the best first; there is one at the end.
        ended: whether nothing better is hoped for.
    """

    def __init__(self, system: CausalModel, ends: Sequence[int], *, longest: int) -> None:
        self.system, self.ends, self.longest = system, ends, longest
        self.beams: list[tuple[float, list[int]]] = [(0.0, [])]
        self.found: list[tuple[float, list[int]]] = []
        self.ended = False

    def advance(self, likely: Sequence[Mapping[int, float]]) -> None:
        """Take a step.

        Args:
            likely: for each beam the log-probabilities of its likeliest next tokens, :func:`_candidates` or more.
        """
        width, score = self.system.beam, itemgetter(0)
        grown = [
            (past + more, [*tokens, token])
            for (past, tokens), following in zip(self.beams, likely, strict=True)
            for token, more in following.items()
        ]
        grown.sort(key=score, reverse=True)
        length = len(grown[0][1])
        ended = [length >= self.longest or tokens[-1] in self.ends for _, tokens in grown]
        self.beams = [beam for beam, end in zip(grown, ended, strict=True) if not end][:width]
        norm = length**self.system.length_penalty
        # What ends outside of the best is dropped.
        new = [(past / norm, tokens) for (past, tokens), end in zip(grown[:width], ended, strict=False) if end]
        self.found = sorted([*self.found, *new], key=score, reverse=True)[:width]
        full = len(self.found) == width
        self.ended = not self.beams or (full and self.beams[0][0] / norm <= self.found[-1][0])


def convert_to_ctranslate2(model: str | Path | None, out: Path) -> None:
    """Write a model in CTranslate2's own form; ``out`` has the model's name.

    Raises:
        LingualiftError: there is no such model, none in safetensors, or CTranslate2 does not know its architecture.
    """
    if not model or not Path(model).is_dir():
        raise LingualiftError(f"the model `{out.name}` is not there: `models.{out.name}.path` says where it is")
    # The converter would also unpickle `pytorch_model.bin`, and run what stands in it.
    if not any(Path(model).glob("*.safetensors")):
        raise LingualiftError(
            f"{model}: no weights in safetensors; save the model again with `safe_serialization=True`"
        )
    from ctranslate2.converters import TransformersConverter

    manifest = Manifest("converted model", {"model": out.name})
    with atomic_path(out) as part:
        try:
            TransformersConverter(str(model), load_as_float16=False).convert(str(part))
        except ValueError as error:
            unknown = "No conversion is registered" in str(error)
            hint = "set `engine: transformers` for this system" if unknown else "is this the folder of a model?"
            raise LingualiftError(f"{model}: {str(error).splitlines()[0]}; {hint}") from error
        # One of ours names the weights by their checksums.
        own = Path(model) / "manifest.json"
        manifest.add_input(own if own.is_file() else Path(model) / "config.json")
        manifest.save(part / "manifest.json")


def forget_decoding(model: "PreTrainedModel", *, keep: Sequence[str]) -> None:
    """Have a model decoded by what its system says alone, not by penalties or bans of its ``generation_config.json``.

    CTranslate2 and vLLM follow nothing of the kind, and the same system means the same search in every engine.

    Args:
        keep: what of the file stays, because the model cannot do without it.
    """
    from transformers import GenerationConfig

    own = model.generation_config
    model.generation_config = GenerationConfig(**{name: getattr(own, name, None) for name in keep})


def choose_engine(system: CausalModel, *, gpus: int) -> str:
    """What ``auto`` means where a profile has so many GPUs: transformers with any, CTranslate2 with none or for int8."""
    if system.engine != "auto":
        return system.engine
    return "transformers" if gpus and system.precision != "int8" else "ctranslate2"


def _shared_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with; each keeps one of its own."""
    first, last = min(prompts), max(prompts)
    most = min(map(len, prompts)) - 1
    for place in range(most):
        if first[place] != last[place]:
            return place
    return max(most, 0)


def _candidates(beam: int, ends: Sequence[int]) -> int:
    """How many continuations a step of beam search looks at, so that ``beam`` of them go on."""
    return (1 + len(ends)) * beam


def _cut(tokens: Sequence[int], ends: Sequence[int]) -> list[int]:
    return list(takewhile(lambda token: token not in ends, tokens))


def _eos(model: Path) -> int:
    return load_tokenizer(model).eos_token_id
