"""Checkpoints: sealed and whole, or left out."""

import logging
from pathlib import Path

import pytest

from lingualift.checkpoints import is_valid, newest_valid, remove_after, seal


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
