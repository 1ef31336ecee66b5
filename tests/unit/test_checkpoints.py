"""Checkpoints: sealed and whole, or left out."""

import logging
from pathlib import Path

import pytest

from lingualift.checkpoints import checksums, files_of, is_valid, newest_valid, remove_after, rotate, seal


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
