"""Training against a loop written out by hand, and through every way of breaking off."""

import json
import logging
import math
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import accelerate
import numpy as np
import pytest
import tiny
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lingualift import arguments, callbacks, trainer, training
from lingualift.arguments import training_arguments, uses_bfloat16, uses_liger
from lingualift.blocks import IGNORED, PackedBlocks
from lingualift.configuration.models import Recipe
from lingualift.errors import LingualiftError
from lingualift.files import read_json
from lingualift.training import LOG, load_model, scratch_model, train

SEED = 3


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return tiny.tokenizer(tmp_path_factory.mktemp("tokenizer") / "out")


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory, tokenizer) -> Path:
    return tiny.text_blocks(tmp_path_factory.mktemp("blocks") / "packed", tokenizer, tiny.sentences(120, seed=5))


def _train(folder: Path, blocks: Path, tokenizer, *, version: int = 1, **recipe) -> tuple[Path, list[dict]]:
    """Train in ``folder``; the model folder, and what was logged."""
    train(
        blocks=blocks,
        tokenizer=tokenizer,
        recipe=tiny.recipe(**recipe),
        out=folder / "model",
        state=folder / "state",
        seed=SEED,
        scratch=tiny.scratch(),
        settings={"model": "small", "stage": "pretrain", "mixture": "toy", "languages": ["en"]},
        version=version,
    )
    return folder / "model", _log(folder / "model")


def _log(model: Path) -> list[dict]:
    return [json.loads(line) for line in (model / LOG).read_text().splitlines()]


def _losses(log: list[dict]) -> list[float]:
    return [line["loss"] for line in log]


def _weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


def _by_hand(blocks: Path, tokenizer, *, steps: int, batch: int, rate: float, warmup: int, clip: float) -> list[float]:
    """The loss of each step: plain torch, cosine schedule behind a linear warm-up."""
    data = PackedBlocks(blocks, batch=batch, epochs=1000, max_steps=steps, seed=SEED)
    model = scratch_model(tiny.scratch(), tokenizer, seed=SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0)
    losses = []
    for step in range(steps):
        rising = step / warmup
        falling = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
        optimizer.param_groups[0]["lr"] = rate * (rising if step < warmup else falling)
        items = [data[number] for number in range(step * batch, (step + 1) * batch)]
        inputs = torch.stack([item["input_ids"] for item in items])
        labels = torch.stack([item["labels"] for item in items])
        scores = model(input_ids=inputs).logits[:, :-1].reshape(-1, len(tokenizer))
        loss = torch.nn.functional.cross_entropy(scores, labels[:, 1:].reshape(-1), ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory, tokenizer) -> Path:
    """Blocks of which unlike shares are learnt: a mean of means is not the mean then."""
    rng = np.random.default_rng(1)
    tokens = rng.integers(1, len(tokenizer), (40, tiny.BLOCK))
    learnt = rng.random(tokens.shape) < rng.uniform(0.1, 1, (40, 1))
    learnt[:, 1] = True
    return tiny.write_blocks(
        tmp_path_factory.mktemp("masked") / "packed",
        tokens,
        learnt=learnt,
        vocabulary=len(tokenizer),
        eos=tokenizer.eos_token_id,
    )


@pytest.mark.parametrize("device_batch", [8, 2])
def test_losses_equal_a_plain_loop_also_with_accumulation(tmp_path, tokenizer, masked, device_batch) -> None:
    settings = {"schedule": "cosine", "warmup": 3, "beta2": 0.98, "clip": 0.5, "epochs": 1000, "max_steps": 12}
    _, log = _train(tmp_path, masked, tokenizer, batch=8, device_batch=device_batch, **settings)
    expected = _by_hand(masked, tokenizer, steps=12, batch=8, rate=1e-2, warmup=3, clip=0.5)
    assert [line["step"] for line in log] == list(range(1, 13))
    assert _losses(log) == pytest.approx(expected, abs=1e-5)


def test_first_loss_is_that_of_a_guess_and_repeated_text_is_learnt(tmp_path, tokenizer) -> None:
    blocks = tiny.text_blocks(tmp_path / "packed", tokenizer, tiny.sentences(3) * 24)
    model, log = _train(tmp_path, blocks, tokenizer, max_steps=120, epochs=1000, log_every=10)
    assert log[0]["loss"] == pytest.approx(math.log(len(tokenizer)), abs=0.1)
    assert log[-1]["loss"] < 0.2
    manifest = read_json(model / "manifest.json")
    assert (manifest["first_loss"], manifest["last_loss"]) == (log[0]["loss"], log[-1]["loss"])
    assert manifest["counts"]["tokens"] == 120 * 4 * tiny.BLOCK


def test_a_token_that_is_not_learnt_moves_nothing(tmp_path, tokenizer) -> None:
    """Of blocks of which the first half is learnt, the second half may be anything."""
    rng = np.random.default_rng(2)
    tokens = rng.integers(1, len(tokenizer), (8, tiny.BLOCK))
    learnt = np.tile(np.arange(tiny.BLOCK) < tiny.BLOCK // 2, (8, 1))
    other = np.where(learnt, tokens, rng.integers(1, len(tokenizer), tokens.shape))
    models = []
    for name, content in (("one", tokens), ("other", other)):
        packed = tiny.write_blocks(
            tmp_path / name / "packed", content, learnt=learnt, vocabulary=len(tokenizer), eos=tokenizer.eos_token_id
        )
        models.append(_train(tmp_path / name, packed, tokenizer, max_steps=4, epochs=10)[0])
    weights = [load_model(model).state_dict() for model in models]
    assert not np.array_equal(tokens, other)
    for key, value in weights[0].items():
        assert torch.allclose(value, weights[1][key], atol=1e-6), key


def test_same_seed_same_bytes_and_another_seed_others(tmp_path, tokenizer, blocks) -> None:
    first, _ = _train(tmp_path / "a", blocks, tokenizer, max_steps=3)
    second, _ = _train(tmp_path / "b", blocks, tokenizer, max_steps=3)
    assert _weights(first) == _weights(second)
    assert (first / "README.md").read_bytes() == (second / "README.md").read_bytes()


def test_model_folder_is_complete_and_loads_offline(tmp_path, tokenizer, blocks, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder, log = _train(tmp_path, blocks, tokenizer, max_steps=3)
    names = {path.name for path in folder.iterdir()}
    assert {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "manifest.json",
        "README.md",
        LOG,
    } <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    model, loaded = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float32 and model.config.use_cache
    assert model.generation_config.eos_token_id == loaded.eos_token_id
    text = loaded.decode(model.generate(**loaded("the cat", return_tensors="pt"), max_new_tokens=3)[0])
    assert text.startswith("the cat")
    assert not list((tmp_path / "state").rglob("checkpoint-*"))
    assert {"step", "steps", "loss", "learning_rate", "tokens_per_second", "data_wait_share", "memory_mb"} <= set(
        log[0]
    )


def test_a_model_goes_on_from_its_base(tmp_path, tokenizer, blocks) -> None:
    base, log = _train(tmp_path / "base", blocks, tokenizer, max_steps=30, epochs=10)
    train(
        blocks=blocks,
        tokenizer=tokenizer,
        recipe=tiny.recipe(max_steps=2),
        base=base,
        out=tmp_path / "next",
        state=tmp_path / "state",
        seed=SEED,
    )
    assert _log(tmp_path / "next")[0]["loss"] < log[0]["loss"] - 0.5


# Breaking off


class BrokenOffError(Exception):
    """The end of a run that is broken off in its own process."""


def _stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Have training break off when the loss of a step is asked for."""
    original = training.BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        if self.state.global_step >= step:
            raise BrokenOffError
        return original(self, *args, **kwargs)

    monkeypatch.setattr(training.BlockTrainer, "compute_loss", compute_loss)


RESUMED = {"epochs": 10, "max_steps": 23, "checkpoint_every": 5, "log_every": 3, "schedule": "cosine"}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, tokenizer, blocks) -> Path:
    torch.set_num_threads(1)
    return _train(tmp_path_factory.mktemp("unbroken"), blocks, tokenizer, **RESUMED)[0]


def _same_run(one: Path, other: Path) -> None:
    assert _weights(one) == _weights(other)
    assert (one / "README.md").read_bytes() == (other / "README.md").read_bytes()
    keys = ("step", "loss", "grad_norm", "learning_rate")
    logs = [[[line[key] for key in keys] for line in _log(model)] for model in (one, other)]
    assert logs[0] == logs[1]
    assert [line["step"] for line in _log(one)] == [1, 3, 5, 6, 9, 10, 12, 15, 18, 20, 21, 23]


@pytest.mark.parametrize("step", [4, 5, 7, 14, 22])
def test_a_run_broken_off_anywhere_ends_as_an_unbroken_one(
    tmp_path, tokenizer, blocks, unbroken, monkeypatch, step
) -> None:
    with monkeypatch.context() as patch:
        _stop_at(patch, step)
        with pytest.raises(BrokenOffError):
            _train(tmp_path, blocks, tokenizer, **RESUMED)
    assert not (tmp_path / "model").exists()
    _same_run(_train(tmp_path, blocks, tokenizer, **RESUMED)[0], unbroken)


@pytest.mark.parametrize("damaged", ["model.safetensors", "optimizer.pt", "trainer_state.json", "complete.json"])
def test_a_half_written_checkpoint_is_left_out(
    tmp_path, tokenizer, blocks, unbroken, monkeypatch, caplog, damaged
) -> None:
    with monkeypatch.context() as patch:
        _stop_at(patch, 17)
        with pytest.raises(BrokenOffError):
            _train(tmp_path, blocks, tokenizer, **RESUMED)
    (newest,) = (tmp_path / "state").glob("*/checkpoint-15")
    whole = (newest / damaged).read_bytes()
    (newest / damaged).write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        _same_run(_train(tmp_path, blocks, tokenizer, **RESUMED)[0], unbroken)
    assert "checkpoint-15 is incomplete or corrupted" in caplog.text


@pytest.mark.parametrize("behind", ["save_model", "seal", "hand_out", "clear"])
def test_a_model_whose_job_is_killed_at_its_very_end_is_not_trained_again(
    tmp_path, tokenizer, blocks, unbroken, monkeypatch, behind
) -> None:
    """Snakemake, which was not told of the output, removes it."""
    original = getattr(training, behind)

    def break_off(*given, **more):
        original(*given, **more)
        raise BrokenOffError

    with monkeypatch.context() as patch:
        patch.setattr(training, behind, break_off)
        with pytest.raises(BrokenOffError):
            _train(tmp_path, blocks, tokenizer, **RESUMED)
    shutil.rmtree(tmp_path / "model", ignore_errors=True)
    # Whoever goes on behind the last step has no loss to ask for.
    _stop_at(monkeypatch, 0)
    _same_run(_train(tmp_path, blocks, tokenizer, **RESUMED)[0], unbroken)
    (state,) = (tmp_path / "state").iterdir()
    assert [path.name for path in state.iterdir()] == ["model-1"]
    # A second name, not a second file.
    assert (state / "model-1/model.safetensors").samefile(tmp_path / "model/model.safetensors")


def test_a_finished_model_is_of_its_settings_version_and_bytes_alone(tmp_path, tokenizer, blocks, monkeypatch) -> None:
    settings = {"max_steps": 3}
    model, _ = _train(tmp_path, blocks, tokenizer, **settings)
    assert read_json(model / "manifest.json")["version"] == 1

    def trains(**more) -> bool:
        with monkeypatch.context() as patch:
            _stop_at(patch, 0)
            try:
                _train(tmp_path, blocks, tokenizer, **settings | more)
            except BrokenOffError:
                return True
        return False

    assert not trains()
    # How it is run makes no other model.
    assert not trains(log_every=2)
    assert trains(learning_rate=1e-3)
    assert trains(version=9)
    assert not trains()
    (kept,) = (tmp_path / "state").glob("*/model-1/model.safetensors")
    content = kept.read_bytes()
    kept.write_bytes(content[:-1])
    assert trains()


def test_state_of_other_settings_is_not_gone_on_with(tmp_path, tokenizer, blocks, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        _stop_at(patch, 7)
        with pytest.raises(BrokenOffError):
            _train(tmp_path / "a", blocks, tokenizer, **{**RESUMED, "learning_rate": 1e-3})
    model, _ = _train(tmp_path / "a", blocks, tokenizer, max_steps=6)
    fresh, _ = _train(tmp_path / "b", blocks, tokenizer, max_steps=6)
    assert _weights(model) == _weights(fresh)


KILLED = {**RESUMED, "epochs": 100, "max_steps": 300}

_CHILD = """
import sys; sys.path.insert(0, {here!r})
from pathlib import Path
import torch; torch.set_num_threads(1)
import test_training
from lingualift.tokenization import load_tokenizer
test_training._train(Path({folder!r}), Path({blocks!r}), load_tokenizer({tokenizer!r}), **test_training.KILLED)
"""


@pytest.mark.slow
def test_kill_9_at_a_random_moment(tmp_path, tokenizer, blocks) -> None:
    unbroken, _ = _train(tmp_path / "unbroken", blocks, tokenizer, **KILLED)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    folder = tmp_path / "killed"
    child = _CHILD.format(
        here=str(Path(__file__).parent),
        folder=str(folder),
        blocks=str(blocks),
        tokenizer=str(tmp_path / "tokenizer"),
    )
    rng, kills = random.Random(), 0
    for _ in range(3):
        seen = set(folder.glob("state/*/checkpoint-*"))
        process = subprocess.Popen([sys.executable, "-c", child], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and not set(folder.glob("state/*/checkpoint-*")) - seen:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        if (folder / "model").exists():
            break
    assert kills
    model, log = _train(folder, blocks, tokenizer, **KILLED)
    assert _weights(model) == _weights(unbroken)
    assert [line["step"] for line in log] == [line["step"] for line in _log(unbroken)]
    assert _losses(log) == _losses(_log(unbroken))


def test_a_loss_that_is_not_finite_stops_before_the_checkpoint(tmp_path, tokenizer, blocks, monkeypatch) -> None:
    original = training.BlockTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        loss = original(self, *args, **kwargs)
        return loss * math.nan if self.state.global_step == 8 else loss

    monkeypatch.setattr(training.BlockTrainer, "compute_loss", compute_loss)
    numbers = PackedBlocks(blocks, batch=4, epochs=10, max_steps=23, seed=SEED).numbers_of_step(9)
    # Seen at the checkpoint of step 10; the step that it happened in is named.
    said = rf"loss is not finite at step 9 of 23.*Lower the learning rate.*numbers {', '.join(map(str, numbers))}$"
    with pytest.raises(LingualiftError, match=said) as caught:
        _train(tmp_path, blocks, tokenizer, **{**RESUMED, "log_every": 100})
    (state,) = (tmp_path / "state").iterdir()
    assert str(state) in str(caught.value)
    assert [path.name for path in state.glob("checkpoint-*")] == ["checkpoint-5"]
    assert not (tmp_path / "model").exists()


# What does not fit


def test_blocks_of_another_tokenizer_are_refused(tmp_path, tokenizer, blocks) -> None:
    tokens = np.ones((4, tiny.BLOCK), int)
    larger = tiny.write_blocks(tmp_path / "larger", tokens, vocabulary=5000, eos=0)
    with pytest.raises(
        LingualiftError, match=f"packed with 5000 tokens, the model has embeddings for {len(tokenizer)}"
    ):
        _train(tmp_path, larger, tokenizer)
    other_end = tiny.write_blocks(tmp_path / "other", tokens, vocabulary=len(tokenizer), eos=2)
    with pytest.raises(LingualiftError, match="another tokenizer"):
        _train(tmp_path, other_end, tokenizer)


def test_blocks_longer_than_the_context_are_refused(tmp_path, tokenizer) -> None:
    long = tiny.write_blocks(tmp_path / "long", np.ones((4, 2048), int), vocabulary=len(tokenizer), eos=0)
    with pytest.raises(LingualiftError, match="block 2048 is longer than the model's context, 1024"):
        _train(tmp_path, long, tokenizer)


def test_a_missing_model_is_named_with_its_key(tmp_path, tokenizer, blocks) -> None:
    with pytest.raises(LingualiftError, match=r"nowhere: no such model folder.*models\.\*\.path"):
        load_model(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LingualiftError, match=r"empty: no causal language model"):
        load_model(tmp_path / "empty")


# The account of each step


def test_waiting_for_data_is_reading_it_not_copying_it_to_a_device(tmp_path, tokenizer, blocks, monkeypatch) -> None:
    """A clock by hand: a batch of 4 blocks is read in 6 s and copied in 100 s, a step takes 50 s."""
    clock = SimpleNamespace(now=0.0)

    def taking(seconds: float, function):
        def slow(*args, **kwargs):
            clock.now += seconds
            return function(*args, **kwargs)

        return slow

    for module in (trainer, callbacks):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(PackedBlocks, "batch_of", taking(6, PackedBlocks.batch_of))
    monkeypatch.setattr(accelerate.data_loader, "send_to_device", taking(100, accelerate.data_loader.send_to_device))
    monkeypatch.setattr(trainer.BlockTrainer, "compute_loss", taking(50, trainer.BlockTrainer.compute_loss))
    _, log = _train(tmp_path, blocks, tokenizer, max_steps=6, log_every=5)
    # Between the first line and that of step 5, four batches are read, copied and learnt.
    assert (log[1]["step"], log[1]["data_wait_share"]) == (5, round(4 * 6 / (4 * (6 + 100 + 50)), 4))


@pytest.fixture
def account(tmp_path, monkeypatch):
    """Logs a line: at a step, after so many seconds, with so many spent waiting here and at the slowest rank."""
    clock, timed = SimpleNamespace(now=7.0), SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    slowest = SimpleNamespace(highest=lambda own: max(own, round(1e6 * slowest.waited)), waited=0.0)
    watched = SimpleNamespace(timed=timed, world=slowest, block=16, checkpoint_seconds=0.0)
    log = callbacks.JsonLog(tmp_path / LOG, watched)
    args = SimpleNamespace(train_batch_size=2, gradient_accumulation_steps=1, world_size=2)
    log.on_train_begin(args, SimpleNamespace(global_step=1000), None)

    def line(step: int, seconds: float, *, own: float, other: float = 0.0) -> float:
        clock.now += seconds
        timed.seconds += own
        slowest.waited = other
        state = SimpleNamespace(global_step=step, max_steps=5000, is_world_process_zero=True)
        log.on_log(args, state, None, logs={"loss": 1.0})
        return json.loads((tmp_path / LOG).read_text().splitlines()[-1])["data_wait_share"]

    return line


def test_waiting_for_data_is_that_of_the_rank_that_waits_longest(account) -> None:
    assert account(1010, 20.0, own=1.0, other=4.0) == 0.2
    assert account(1020, 20.0, own=2.0, other=1.0) == 0.1


def test_who_waits_for_data_too_long_is_told_so_once(account, caplog) -> None:
    """Not of the first hundred steps, nor of a share that most of the time is low."""
    with caplog.at_level(logging.WARNING):
        account(1050, 50.0, own=5.0)
        account(1099, 50.0, own=0.0)
        assert not caplog.messages
        # 5 of 250 s; then 6 of 300 s, all of them 2 %.
        account(1249, 150.0, own=0.0)
        account(1299, 50.0, own=0.5, other=1.0)
        assert not caplog.messages
        account(1309, 10.0, own=2.0)
        account(1319, 10.0, own=9.0)
    (said,) = caplog.messages
    # 8 of 310 s
    assert said.startswith("2.6 % of the time so far, 8 of 310 s, was spent waiting for data")


# Recipes


def test_bfloat16_trains_on_a_cpu(tmp_path, tokenizer, blocks) -> None:
    model, log = _train(tmp_path, blocks, tokenizer, max_steps=20, epochs=10, precision="bfloat16")
    assert log[-1]["loss"] < log[0]["loss"] - 0.5
    assert read_json(model / "manifest.json")["precision"] == "bfloat16"
    assert load_model(model).dtype == torch.float32


def test_precision_is_what_the_recipe_says(monkeypatch) -> None:
    assert uses_bfloat16(tiny.recipe(precision="bfloat16"))
    assert not uses_bfloat16(tiny.recipe(precision="float32"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert uses_bfloat16(tiny.recipe(precision="auto"))
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert not uses_bfloat16(tiny.recipe(precision="auto"))


def test_kernels_that_are_not_installed_are_named(monkeypatch) -> None:
    assert not uses_liger(tiny.recipe(liger=True))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not uses_liger(tiny.recipe())
    monkeypatch.setattr(arguments, "is_liger_kernel_available", lambda: False)
    with pytest.raises(LingualiftError, match=r"not installed: .* --no-deps --requirement envs/gpu\.txt"):
        uses_liger(tiny.recipe(liger=True))
    assert (Path(__file__).parents[2] / "envs/gpu.txt").read_text().splitlines()[-1].startswith("liger-kernel==")
    monkeypatch.setattr(arguments, "is_liger_kernel_available", lambda: True)
    assert uses_liger(tiny.recipe(liger=True))


def test_ranks_say_how_far_they_are_and_how_long_it_goes_on(monkeypatch, caplog) -> None:
    """Ten steps in 20 s after going on from step 100: the 50 that are left take 100 s."""
    clock = SimpleNamespace(now=7.0)
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: clock.now))
    progress, state = callbacks.Progress(), SimpleNamespace(global_step=100, max_steps=160)
    progress.on_train_begin(None, state, None)
    clock.now, state.global_step = 27.0, 110
    with caplog.at_level(logging.INFO):
        progress.on_log(None, state, None, logs={"held_out_loss": 3.0})
        progress.on_log(None, state, None, logs={"loss": 2.5})
    assert caplog.messages == ["step 110 of 160, loss 2.5000, 0:01:40 left"]


def test_gradient_checkpointing_changes_no_loss(tmp_path, tokenizer, blocks) -> None:
    _, plain = _train(tmp_path / "a", blocks, tokenizer, max_steps=4)
    _, saving = _train(tmp_path / "b", blocks, tokenizer, max_steps=4, gradient_checkpointing=True)
    assert _losses(plain) == pytest.approx(_losses(saving), abs=1e-6)


@pytest.mark.parametrize(("warmup", "steps"), [(0.1, 3), (7, 7), (0, 0)])
def test_warmup_is_a_share_or_a_number_of_steps(tmp_path, blocks, warmup, steps) -> None:
    recipe = tiny.recipe(warmup=warmup, epochs=100, max_steps=30)
    data = PackedBlocks(blocks, batch=4, epochs=100, max_steps=30)
    assert training_arguments(recipe, data, tmp_path, seed=1).warmup_steps == steps


@pytest.mark.parametrize(
    ("ranks", "at_once", "times"), [(1, 32, 24), (2, 32, 12), (24, 32, 1), (16, 24, 2), (32, 24, 1), (256, 3, 1)]
)
def test_a_step_is_the_same_batch_on_any_number_of_devices(ranks: int, at_once: int, times: int) -> None:
    """768 blocks, at most 32 at once: by hand; on 16 devices each has 48, and 32 does not divide them."""
    recipe = Recipe(learning_rate=2e-5, batch=768, device_batch=32, parallelism="zero2", nodes=3, devices=8)
    assert recipe.share(ranks) == (at_once, times)


def test_a_device_takes_no_more_at_once_than_on_the_devices_that_the_recipe_is_for() -> None:
    recipe = Recipe(learning_rate=1e-3, batch=24, parallelism="ddp", devices=4)
    assert [recipe.share(ranks) for ranks in (1, 3, 4, 8)] == [(6, 4), (4, 2), (6, 1), (3, 1)]


@pytest.mark.parametrize("devices", [7, 1536])
def test_a_batch_that_cannot_be_shared_is_an_error(devices: int) -> None:
    with pytest.raises(ValueError, match=f"a batch of 768 cannot be shared by {devices} devices"):
        Recipe(learning_rate=1e-3, batch=768, device_batch=32).share(devices)
    with pytest.raises(ValueError, match=rf"batch \(768\) is not a multiple of nodes x devices \({devices}\)"):
        Recipe(learning_rate=1e-3, batch=768, device_batch=32, parallelism="ddp", devices=devices)
