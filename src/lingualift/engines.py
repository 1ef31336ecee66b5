"""Engines: what turns prompts into answers, behind one interface."""

from collections.abc import Sequence
from copy import deepcopy
from itertools import takewhile
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
    """vLLM's own beam search, with its cache of prompt beginnings; for GPUs.

    Written after vLLM's documentation (``LLM.beam_search``, 0.17 to 0.22): it has not been run, for want of a machine
    that vLLM installs on. vLLM's beam search ends at the end-of-sequence token alone; what a prompt stops at is cut
    off afterwards.

    Args:
        model: a folder.
        stops: tokens that end an answer, beside the end-of-sequence token.

    Raises:
        LingualiftError: vLLM is not installed.
    """

    def __init__(self, model: Path, system: CausalModel, *, stops: Sequence[int] = ()) -> None:
        try:
            import vllm
            from vllm.sampling_params import BeamSearchParams
        except ImportError as error:
            raise LingualiftError(
                f"`engine: vllm` needs vLLM, which is not there ({error}): `pip install vllm` into the workflow's "
                "environment, or set `engine: transformers`"
            ) from error
        self._greedy, self._beam_search = vllm.SamplingParams, BeamSearchParams
        self.model = vllm.LLM(
            model=str(model),
            dtype=system.precision,
            seed=0,
            enable_prefix_caching=True,
            trust_remote_code=False,
            # The search asks for twice as many candidates as it keeps.
            max_logprobs=max(20, 2 * system.beam),
        )
        self.system = system
        self.ends = [_eos(model), *stops]

    def generate(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """See :class:`Engine`."""
        asked = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        if self.system.beam == 1:
            options = self._greedy(temperature=0.0, max_tokens=max_new_tokens, stop_token_ids=self.ends)
            outputs = self.model.generate(asked, options, use_tqdm=False)
            return [_cut(output.outputs[0].token_ids, self.ends) for output in outputs]
        options = self._beam_search(
            beam_width=self.system.beam, max_tokens=max_new_tokens, length_penalty=self.system.length_penalty
        )
        # What it gives begins with the prompt.
        found = [output.sequences[0].tokens for output in self.model.beam_search(asked, options)]
        return [_cut(tokens[len(prompt) :], self.ends) for prompt, tokens in zip(prompts, found, strict=True)]


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


def _cut(tokens: Sequence[int], ends: Sequence[int]) -> list[int]:
    return list(takewhile(lambda token: token not in ends, tokens))


def _eos(model: Path) -> int:
    return load_tokenizer(model).eos_token_id
