"""Checkpoints: sealed and whole, or left out."""

import logging
from pathlib import Path
from typing import Any

import pytest
import tiny

from lingualift.checkpoints import checksums, files_of, find_state, is_valid, newest_valid, remove_after, rotate, seal
from lingualift.files import write_json


def _checkpoint(folder: Path, step: int, *, sealed: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(bytes(range(200)))
    (path / "trainer_state.json").write_text("{}")
    if sealed:
        seal(path)
    return path


def test_steps_are_numbers_not_words(tmp_path: Path) -> None:
    for step in (5, 10, 100, 20):
        _checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-old").mkdir()
    assert newest_valid(tmp_path) == tmp_path / "checkpoint-100"


def test_no_checkpoint(tmp_path: Path) -> None:
    assert newest_valid(tmp_path / "nowhere") is None


def _truncate(path: Path) -> None:
    (path / "model.safetensors").write_bytes(bytes(range(100)))


def _change(path: Path) -> None:
    (path / "model.safetensors").write_bytes(bytes(reversed(range(200))))


def _lose(path: Path) -> None:
    (path / "trainer_state.json").unlink()


def _unseal(path: Path) -> None:
    (path / "complete.json").unlink()


def _break_seal(path: Path) -> None:
    (path / "complete.json").write_text('{"model.safe')


@pytest.mark.parametrize("damage", [_truncate, _change, _lose, _unseal, _break_seal])
def test_a_damaged_checkpoint_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage) -> None:
    good, bad = _checkpoint(tmp_path, 5), _checkpoint(tmp_path, 10)
    damage(bad)
    assert is_valid(good) and not is_valid(bad)
    with caplog.at_level(logging.WARNING):
        assert newest_valid(tmp_path) == good
    assert f"{bad} is incomplete or corrupted: left out" in caplog.text


def test_later_checkpoints_are_removed(tmp_path: Path) -> None:
    paths = [_checkpoint(tmp_path, step) for step in (5, 10, 20)]
    remove_after(tmp_path, paths[1])
    assert [path.exists() for path in paths] == [True, True, False]
    remove_after(tmp_path, None)
    assert not any(path.exists() for path in paths)


def test_ranks_share_out_the_checksums(tmp_path: Path) -> None:
    path = _checkpoint(tmp_path, 5, sealed=False)
    (path / "global_step5").mkdir()
    for rank in range(3):
        (path / "global_step5" / f"rank_{rank}.pt").write_bytes(bytes([rank]) * 10)
    names = files_of(path)
    parts = [checksums(path, names[part::2]) for part in range(2)]
    assert [len(part) for part in parts] == [3, 2]
    seal(path, {**parts[0], **parts[1]})
    assert is_valid(path)
    (path / "global_step5/rank_2.pt").write_bytes(b"")
    assert not is_valid(path)


def test_the_newest_sealed_checkpoints_and_the_best_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20, 100):
        _checkpoint(tmp_path, step)
    _checkpoint(tmp_path, 90, sealed=False)
    rotate(tmp_path, keep=2, best=10)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-10", "checkpoint-20", "checkpoint-100"}
    rotate(tmp_path, keep=1)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-100"}


# The state of exactly this training


def _find(folder: Path, *, version: int = 1, **recipe: Any) -> tuple[Path, str | None]:
    write_json({"counts": {"blocks": 40}, "seconds": 1.5}, folder / "blocks/manifest.json")
    settings = {"parallelism": "zero2", "batch": 64, **recipe}
    made_of = {"blocks": folder / "blocks", "base": None, "recipe": tiny.recipe(**settings), "scratch": None, "seed": 1}
    found, newest = find_state(folder / "state", **made_of, version=version)
    return Path(found), newest


@pytest.mark.parametrize(
    "recipe",
    [
        {"devices": 4, "nodes": 2},
        {"device_batch": 8},
        {"offload": "optimizer"},
        {"gradient_checkpointing": True},
        {"log_every": 7},
        {"checkpoint_every": 9},
        {"keep_checkpoints": 5},
        {"restarts": 0},
    ],
)
def test_a_run_goes_on_however_it_is_run(tmp_path: Path, recipe: dict[str, Any]) -> None:
    own, _ = _find(tmp_path)
    _checkpoint(own, 5)
    assert _find(tmp_path, **recipe) == (own, str(own / "checkpoint-5"))


def test_a_bound_that_is_not_reached_is_no_other_training(tmp_path: Path) -> None:
    """Of 40 blocks a tenth are 4; former versions knew of no bound, and their training goes on."""
    own, *same = (_find(tmp_path, evaluation={"share": 0.1, **bound})[0] for bound in ({}, {"blocks": 5}))
    assert same == [own]
    assert _find(tmp_path, evaluation={"share": 0.1, "blocks": 3})[0] != own


@pytest.mark.parametrize(
    "recipe",
    [
        {"learning_rate": 0.5},
        {"batch": 32},
        {"lora": {}},
        {"evaluation": {}},
        {"parallelism": "fsdp"},
        # The stage's, not the recipe's.
        {"version": 2},
    ],
)
def test_state_of_other_settings_is_told_of_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recipe: dict[str, Any]
) -> None:
    own, _ = _find(tmp_path)
    _checkpoint(own, 5), _checkpoint(own, 10)
    with caplog.at_level(logging.WARNING):
        other, newest = _find(tmp_path, **recipe)
    assert other != own and newest is None
    assert f"{own} has checkpoints up to step 10 of a training with other settings" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert _find(tmp_path) == (own, str(own / "checkpoint-10"))
    # That of the other settings has no checkpoint: there is nothing to lose.
    assert not caplog.records
