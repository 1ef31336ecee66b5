"""The speed benchmark compares like with like: the same tokens a step, the same start, numbers that make sense."""

import math

import pytest
from test_benchmarks import _load


@pytest.mark.slow
def test_all_sides_train_on_the_same_tokens(tmp_path, monkeypatch):
    import numpy as np

    speed = _load("training_speed", monkeypatch)
    speed.prepare(tmp_path, model="toy", steps=2)
    blocks = np.load(tmp_path / "packed" / "tokens-00000.npy")
    with np.load(tmp_path / "entries.npz") as entries:
        # Blocks are the entries on end, for each step and those of the warm-up.
        assert blocks.shape == ((2 + 3) * 4, 32)
        assert (blocks.ravel() == entries["tokens"][: blocks.size]).all()
        assert (entries["tokens"][entries["ends"] - 1] == 0).all()
    # Random tokens cannot be learnt: a loss near that of 300 equally likely ones, for all.
    for side in ("ours", "plain loop", "Trainer"):
        found = speed.train_side(str(tmp_path), "toy", side, 2, False, None)
        assert found["tokens_per_second"] > 0 and found["memory_gb"] > 0
        assert found["loss"] == pytest.approx(math.log(300), abs=0.3)


def test_models_are_as_large_as_they_are_called(monkeypatch):
    from lingualift.estimates.architectures import of_scratch

    speed = _load("training_speed", monkeypatch)
    for name, low, high in (("3m", 2.5e6, 3.5e6), ("125m", 100e6, 140e6), ("1b", 0.9e9, 1.3e9), ("3b", 2.7e9, 3.3e9)):
        assert low < of_scratch(speed.scratch_of(name)).parameters < high
