"""Engines: the same answers from transformers and from CTranslate2."""

import shutil
from pathlib import Path

import pytest
import tiny
import torch

from lingualift import engines
from lingualift.configuration.systems import CausalModel
from lingualift.engines import (
    CTranslate2Engine,
    TransformersEngine,
    choose_engine,
    convert_to_ctranslate2,
)
from lingualift.errors import LingualiftError
from lingualift.files import read_json, write_json
from lingualift.tokenization import load_tokenizer
from lingualift.training import load_model, train


def _prompts(tokenizer, texts: list[str]) -> list[list[int]]:
    return tokenizer([f"say again: {text} =" for text in texts])["input_ids"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has half learnt to say once more what it read."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = tiny.tokenizer(folder / "tokenizer")
    texts = [
        f"say again: {text} = {text}" for words in (1, 2) for text in tiny.sentences(2000, seed=words, words=words)
    ]
    torch.set_num_threads(1)
    train(
        blocks=tiny.text_blocks(folder / "packed", tokenizer, texts, block=32),
        tokenizer=tokenizer,
        recipe=tiny.recipe(batch=32, epochs=100, max_steps=250, learning_rate=5e-3, warmup=0, beta2=0.98, log_every=50),
        out=folder / "model",
        state=folder / "state",
        seed=1,
        scratch=tiny.scratch(hidden=64, layers=2, heads=4),
    )
    return folder / "model"


@pytest.fixture(scope="module")
def converted(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted") / "out"
    convert_to_ctranslate2(model, out)
    return out


@pytest.fixture(scope="module")
def prompts(model: Path) -> list[list[int]]:
    """Prompts of unlike lengths, as many as make a share of them mean something."""
    tokenizer = load_tokenizer(model)
    texts = [text for words in (1, 2, 3) for text in tiny.sentences(34, seed=100 + words, words=words)]
    return _prompts(tokenizer, texts)


def _answers(engine, prompts: list[list[int]], *, batch: int = 20) -> list[list[int]]:
    parts = [prompts[start : start + batch] for start in range(0, len(prompts), batch)]
    return [answer for part in parts for answer in engine.generate(part, max_new_tokens=16)]


def _both(model: Path, converted: Path, prompts: list[list[int]], **decoding) -> tuple[list, list]:
    system = CausalModel(model="m", **decoding)
    ours = _answers(CTranslate2Engine(converted, model, system, threads=1), prompts)
    theirs = _answers(TransformersEngine(model, system), prompts)
    return ours, theirs


def test_greedy_answers_are_the_same(model, converted, prompts) -> None:
    ours, theirs = _both(model, converted, prompts, beam=1)
    assert ours == theirs
    assert len({tuple(answer) for answer in ours}) > 20
    assert sum(len(answer) < 16 for answer in ours) > len(prompts) / 2  # most end by themselves


@pytest.mark.parametrize("length_penalty", [1.0, 0.6])
def test_beam_answers_are_the_same(model, converted, prompts, length_penalty) -> None:
    ours, theirs = _both(model, converted, prompts, beam=4, length_penalty=length_penalty)
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    assert same >= 0.95 * len(prompts), f"{same} of {len(prompts)} answers are the same"


@pytest.mark.parametrize("beam", [1, 4])
def test_penalties_of_the_models_own_file_change_nothing(model, prompts, tmp_path, beam) -> None:
    shutil.copytree(model, tmp_path / "model")
    file = tmp_path / "model" / "generation_config.json"
    own = read_json(file) if file.is_file() else {}
    write_json({**own, "repetition_penalty": 5.0, "no_repeat_ngram_size": 1, "bos_token_id": 3}, file)
    system = CausalModel(model="m", beam=beam)
    engine = TransformersEngine(tmp_path / "model", system)
    expected = _answers(TransformersEngine(model, system), prompts)
    assert _answers(engine, prompts) == expected
    assert engine.model.generation_config.bos_token_id == 3
    # The file does speak to transformers.
    engine.model = load_model(tmp_path / "model").eval()
    assert _answers(engine, prompts) != expected


@pytest.mark.parametrize("beam", [1, 4])
def test_a_shared_beginning_computed_once_changes_nothing(model, converted, prompts, beam, monkeypatch) -> None:
    system = CausalModel(model="m", beam=beam)
    for engine in (CTranslate2Engine(converted, model, system, threads=1), TransformersEngine(model, system)):
        cached = _answers(engine, prompts)
        again = _answers(engine, prompts)
        with monkeypatch.context() as context:
            context.setattr(engines, "_shared_prefix", lambda prompts: 0)
            assert cached == again == _answers(engine, prompts)


def test_transformers_reads_a_shared_beginning_once(model, prompts, monkeypatch) -> None:
    engine = TransformersEngine(model, CausalModel(model="m", beam=2))
    read, forward = [], engine.model.forward

    def counted(input_ids, **options):
        read.append(tuple(input_ids.shape))
        return forward(input_ids=input_ids, **options)

    monkeypatch.setattr(engine.model, "forward", counted)
    shared = next(place for place, column in enumerate(zip(*prompts, strict=False)) if len(set(column)) > 1)
    assert shared > 3 and len(set(map(len, prompts))) > 1
    for part in (prompts, prompts[::-1], prompts[1:]):
        engine.generate(part, max_new_tokens=4)
    longest = max(map(len, prompts)) - shared
    whole = [shape for shape in read if shape[1] > 1]
    assert whole == [(1, shared), *((2 * number, longest) for number in (len(prompts), len(prompts), len(prompts) - 1))]


def test_layers_that_keep_no_keys_get_the_whole_prompt(prompts, tmp_path) -> None:
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = tiny.tokenizer(tmp_path / "model")
    torch.manual_seed(2)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = MistralConfig(vocab_size=len(tokenizer), intermediate_size=64, sliding_window=12, **shape)
    MistralForCausalLM(config).save_pretrained(tmp_path / "model")
    engine = TransformersEngine(tmp_path / "model", CausalModel(model="m", beam=2))
    assert not engine._shares
    assert _answers(engine, prompts[:6], batch=1) == _answers(engine, prompts[:6], batch=6)


def test_an_answer_does_not_depend_on_its_batch(model, converted, prompts) -> None:
    system = CausalModel(model="m", beam=4)
    for engine in (CTranslate2Engine(converted, model, system, threads=1), TransformersEngine(model, system)):
        alone = _answers(engine, prompts[:10], batch=1)
        assert _answers(engine, prompts[:10], batch=10) == alone


def test_no_answer_is_longer_than_asked(model, converted, prompts) -> None:
    system = CausalModel(model="m", beam=2)
    for engine in (CTranslate2Engine(converted, model, system, threads=1), TransformersEngine(model, system)):
        assert max(map(len, engine.generate(prompts[:5], max_new_tokens=2))) <= 2


def test_shared_prefix_leaves_every_prompt_a_token() -> None:
    assert engines._shared_prefix([[1, 2, 3, 4], [1, 2, 9]]) == 2
    assert engines._shared_prefix([[1, 2, 3], [1, 2, 3]]) == 2
    assert engines._shared_prefix([[1, 2], [1, 2, 3]]) == 1
    assert engines._shared_prefix([[5], [5]]) == 0
    assert engines._shared_prefix([[1, 2], [3, 4]]) == 0


def test_an_unknown_architecture_says_what_to_set(tmp_path: Path) -> None:
    from transformers import LlamaConfig

    tiny.tokenizer(tmp_path / "model")
    config = LlamaConfig(vocab_size=317, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    config.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").touch()
    text = (tmp_path / "model/config.json").read_text()
    (tmp_path / "model/config.json").write_text(
        text.replace("LlamaForCausalLM", "x").replace('"llama"', '"blenderbot"')
    )
    with pytest.raises(LingualiftError, match="engine: transformers"):
        convert_to_ctranslate2(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pickled_weights_are_not_opened(model, tmp_path) -> None:
    shutil.copytree(model, tmp_path / "model")
    for path in (tmp_path / "model").glob("*.safetensors"):
        path.rename(path.with_name("pytorch_model.bin"))
    with pytest.raises(LingualiftError, match="no weights in safetensors"):
        convert_to_ctranslate2(tmp_path / "model", tmp_path / "out")


def test_a_folder_of_no_model_is_no_matter_of_the_engine(model, tmp_path) -> None:
    shutil.copytree(model, tmp_path / "model")
    write_json({"model_type": "no such type"}, tmp_path / "model" / "config.json")
    with pytest.raises(LingualiftError, match="is this the folder of a model"):
        convert_to_ctranslate2(tmp_path / "model", tmp_path / "out")


def test_engine_named_in_the_configuration_stands() -> None:
    for gpus in (0, 8):
        assert choose_engine(CausalModel(model="m", engine="transformers"), gpus=gpus) == "transformers"
        assert choose_engine(CausalModel(model="m", engine="ctranslate2"), gpus=gpus) == "ctranslate2"


def test_the_profiles_gpus_choose_the_engine() -> None:
    assert choose_engine(CausalModel(model="m"), gpus=0) == "ctranslate2"
    assert choose_engine(CausalModel(model="m"), gpus=1) == "transformers"
    assert choose_engine(CausalModel(model="m", precision="int8"), gpus=1) == "ctranslate2"


def test_an_answer_ends_at_a_token_that_the_prompt_stops_at(model, converted, prompts) -> None:
    system = CausalModel(model="m", beam=1)
    whole = _answers(TransformersEngine(model, system), prompts)
    # What many answers hold, but none begins with.
    stop = max({token for answer in whole for token in answer[1:]}, key=lambda token: sum(token in it for it in whole))
    cut = [answer[: answer.index(stop)] if stop in answer else answer for answer in whole]
    assert cut != whole
    assert _answers(TransformersEngine(model, system, stops=[stop]), prompts) == cut
    assert _answers(CTranslate2Engine(converted, model, system, threads=1, stops=[stop]), prompts) == cut
