"""Engines: what turns prompts into answers, behind one interface."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lingualift.configuration.schema import System
from lingualift.errors import LingualiftError
from lingualift.files import atomic_path
from lingualift.tokenization import load_tokenizer


class Engine(Protocol):
    """Beam search over a batch of prompts."""

    def generate(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """The best answer to each prompt.

        Args:
            prompts: token ids.
            max_new_tokens: the longest answer.

        Returns:
            The new token ids of each, without the end-of-sequence token.
        """
        ...


class TransformersEngine:
    """transformers' ``generate``, on whatever device there is."""

    def __init__(self, model: Path, system: System) -> None:
        import torch

        from lingualift.training import load_model

        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        kind = torch.float32 if system.precision == "int8" else getattr(torch, system.precision)
        self.model = load_model(model, dtype=kind).to(self.device).eval()
        self.system = system
        self.eos = _eos(model)

    def generate(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        import torch

        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self.eos)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=ids.to(self.device),
                attention_mask=mask.to(self.device),
                max_new_tokens=max_new_tokens,
                num_beams=self.system.beam,
                length_penalty=self.system.length_penalty,
                do_sample=False,
                eos_token_id=self.eos,
                pad_token_id=self.eos,
            )
        return [_cut(row, self.eos) for row in out[:, longest:].tolist()]


class CTranslate2Engine:
    """CTranslate2: the same search in C++, with the prompt's shared beginning computed once."""

    def __init__(self, converted: Path, model: Path, system: System, *, threads: int) -> None:
        import ctranslate2

        self.generator = ctranslate2.Generator(
            str(converted), device="auto", compute_type=system.precision, intra_threads=threads
        )
        self.tokenizer = load_tokenizer(model)
        self.system = system
        self.eos = _eos(model)

    def generate(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
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
            end_token=[self.eos],
        )
        return [_cut(result.sequences_ids[0], self.eos) for result in results]


def convert_to_ctranslate2(model: str | Path | None, out: Path) -> None:
    """Write a model in CTranslate2's own form; ``out`` has the model's name.

    Raises:
        LingualiftError: there is no such model, or CTranslate2 does not know its architecture.
    """
    if not model or not Path(model).is_dir():
        raise LingualiftError(f"the model `{out.name}` is not there: `models.{out.name}.path` says where it is")
    from ctranslate2.converters import TransformersConverter

    with atomic_path(out) as part:
        try:
            TransformersConverter(str(model), load_as_float16=False).convert(str(part))
        except ValueError as error:
            raise LingualiftError(f"{model}: {error}; set `engine: transformers` for this system") from error


def choose_engine(system: System) -> str:
    """What ``auto`` means here: CTranslate2 on a CPU, transformers on a GPU."""
    if system.engine != "auto":
        return system.engine
    import torch

    return "transformers" if torch.cuda.is_available() else "ctranslate2"


def _shared_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with; each keeps one of its own."""
    first, last = min(prompts), max(prompts)
    most = min(map(len, prompts)) - 1
    for place in range(most):
        if first[place] != last[place]:
            return place
    return max(most, 0)


def _cut(tokens: Sequence[int], eos: int) -> list[int]:
    return list(tokens[: tokens.index(eos)] if eos in tokens else tokens)


def _eos(model: Path) -> int:
    return load_tokenizer(model).eos_token_id
