"""The vLLM engine: its search over a stand-in for vLLM, and, where vLLM is installed, vLLM itself."""

import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from math import log
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import tiny
import torch

from lingualift.configuration.systems import CausalModel
from lingualift.engines import TransformersEngine, VllmEngine, _BeamSearch
from lingualift.errors import LingualiftError
from lingualift.files import write_json
from lingualift.tokenization import load_tokenizer
from lingualift.training import load_model

# How answers are searched for, how many tokens end them beside the end-of-sequence token, and how long they get.
CASES = [
    ({"beam": 1}, 0, 12),
    ({"beam": 1}, 2, 12),
    ({"beam": 4}, 0, 12),
    ({"beam": 4, "length_penalty": 0.4}, 1, 12),
    ({"beam": 4, "length_penalty": 1.3}, 2, 12),
    ({"beam": 3, "length_penalty": -1.0}, 1, 3),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights, sure enough of what it says, that ends its answers now and then."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("model")
    tokenizer = tiny.tokenizer(folder)
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    # What the model says most becomes its end of sequence.
    (often, *_), end = _commonest(folder), tokenizer.eos_token_id
    with torch.no_grad():
        model.lm_head.weight[[often, end]] = model.lm_head.weight[[end, often]].clone()
    model.save_pretrained(folder)
    # Of no matter to any engine: what is decoded, and how, is for the system to say.
    others = {"repetition_penalty": 5.0, "temperature": 2.0, "top_k": 3, "max_new_tokens": 2}
    write_json({"eos_token_id": [end, *_commonest(folder)[:3]], **others}, folder / "generation_config.json")
    return folder


def _prompts(model: Path) -> list[list[int]]:
    tokenizer = load_tokenizer(model)
    texts = [text for words in (1, 2, 4) for text in tiny.sentences(5, seed=words, words=words)]
    return tokenizer([f"say again: {text} =" for text in texts])["input_ids"]


def _commonest(model: Path) -> list[int]:
    """What greedy answers hold, the commonest first, but for what they begin with."""
    answers = TransformersEngine(model, CausalModel(model="m", beam=1)).generate(_prompts(model), max_new_tokens=12)
    held = [token for answer in answers for token in set(answer[1:])]
    return sorted(set(held), key=lambda token: (-held.count(token), token))


def _expected(model: Path, case: tuple[dict[str, Any], int, int]) -> list[list[int]]:
    decoding, stops, longest = case
    engine = TransformersEngine(model, CausalModel(model="m", **decoding), stops=_commonest(model)[:stops])
    return engine.generate(_prompts(model), max_new_tokens=longest)


def _answers(model: Path, cases: Sequence[tuple[dict[str, Any], int, int]], stops: Sequence[int]) -> list[Any]:
    """The answers of one vLLM engine, decoded in one way after another."""
    engine = VllmEngine(model, CausalModel(model="m", beam=4), stops=stops)
    eos, answers = engine.ends[0], []
    for decoding, number, longest in cases:
        engine.system, engine.ends = CausalModel(model="m", **decoding), [eos, *stops[:number]]
        answers.append(engine.generate(_prompts(model), max_new_tokens=longest))
    return answers


@dataclass(kw_only=True)
class SamplingParams:
    """Those of vLLM's that are asked for."""

    temperature: float
    ignore_eos: bool
    detokenize: bool
    max_tokens: int
    stop_token_ids: Sequence[int] = ()
    logprobs: int | None = None


class LLM:
    """``vllm.LLM`` as vLLM 0.33 has it, as far as it is asked, over transformers."""

    def __init__(self, model: str, **options: Any) -> None:
        self.model, self.options = load_model(Path(model)).eval(), options
        self.model_config = SimpleNamespace(max_model_len=self.model.config.max_position_embeddings)

    def generate(self, prompts: Sequence[Any], sampling_params: SamplingParams, *, use_tqdm: bool) -> list[Any]:
        assert sampling_params.temperature == 0 and sampling_params.ignore_eos
        return [SimpleNamespace(outputs=[self._answer(prompt, sampling_params)]) for prompt in prompts]

    def _answer(self, prompt: dict[str, list[int]], asked: SamplingParams) -> SimpleNamespace:
        answer, logprobs = SimpleNamespace(token_ids=[], logprobs=[]), asked.logprobs or 1
        assert logprobs <= self.options["max_logprobs"]
        ids, room = list(prompt["prompt_token_ids"]), self.model_config.max_model_len
        assert len(ids) < room
        while len(answer.token_ids) < min(asked.max_tokens, room - len(prompt["prompt_token_ids"])):
            with torch.inference_mode():
                likely = self.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1).topk(logprobs)
            found = zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
            answer.logprobs.append({token: SimpleNamespace(logprob=value) for token, value in found})
            ids.append(likely.indices[0].item())
            answer.token_ids.append(ids[-1])
            if ids[-1] in asked.stop_token_ids:
                break
        return answer


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    vllm = ModuleType("vllm")
    vllm.LLM, vllm.SamplingParams = LLM, SamplingParams
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setattr(os, "environ", {it: value for it, value in os.environ.items() if "VLLM" not in it})


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_search_is_that_of_transformers(model, stand_in, case) -> None:
    expected = _expected(model, case)
    assert len({tuple(answer) for answer in expected}) > len(expected) / 2
    assert len({len(answer) for answer in expected}) > 1  # some end by themselves
    assert _answers(model, [case], _commonest(model)[:2]) == [expected]


def test_a_search_ends_where_transformers_hopes_for_nothing_better() -> None:
    search = _BeamSearch(CausalModel(model="m", beam=2), ends=[0], longest=9)
    search.advance([{0: log(0.5), 1: log(0.3), 2: log(0.2)}])
    assert [tokens for _, tokens in search.found] == [[0]]
    assert [tokens for _, tokens in search.beams] == [[1], [2]] and not search.ended
    search.advance([{0: log(0.9), 1: log(0.1)}, {0: log(0.4), 3: log(0.6)}])
    # 0.27, 0.12, 0.08, 0.03: what ends with 0.08 is not among the best two.
    assert search.found == [(pytest.approx(log(0.27) / 2), [1, 0]), (pytest.approx(log(0.5)), [0])]
    assert [tokens for _, tokens in search.beams] == [[2, 3], [1, 1]]
    # log 0.12 / 2 is below log 0.5, though two sure tokens more would lift it above.
    assert search.ended


def test_an_answer_ends_where_the_model_reads_no_further(model, stand_in) -> None:
    prompt, room = _prompts(model)[0], 64
    longer = (prompt * room)[: room - 3]
    for beam in (1, 4):
        engine = VllmEngine(model, CausalModel(model="m", beam=beam))
        engine.model.model_config.max_model_len = room
        short, cut = engine.generate([prompt, longer], max_new_tokens=5)
        assert [short] == engine.generate([prompt], max_new_tokens=5)
        assert [cut] == engine.generate([longer], max_new_tokens=3) and cut


def test_what_a_model_brings_is_not_run_and_nothing_is_reported(model, stand_in) -> None:
    options = VllmEngine(model, CausalModel(model="m", precision="bfloat16")).model.options
    assert options["trust_remote_code"] is False and options["dtype"] == "bfloat16"
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1" and os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"


def test_vllm_that_is_not_installed(model, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(LingualiftError, match=r"`engine: vllm` needs vLLM.*`pip install vllm`"):
        VllmEngine(model, CausalModel(model="m", engine="vllm"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_itself_answers_as_transformers(model, monkeypatch) -> None:
    """In a process of its own, which ends with it: vLLM changes torch's settings for good."""
    # Where it runs on a CPU: a gigabyte for its cache, and nothing is compiled.
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("VLLM_CPU_CI_ENV", "1")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(_answers, model, CASES, _commonest(model)[:2]).result()
    for case, answers in zip(CASES, found, strict=True):
        expected = _expected(model, case)
        same = sum(a == b for a, b in zip(answers, expected, strict=True))
        assert same >= 0.95 * len(expected), f"{case}: {same} of {len(expected)} answers are the same"
