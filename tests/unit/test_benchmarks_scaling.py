"""The scaling benchmark compares one training with itself, spread over processes."""

import pytest
from test_benchmarks import _load


def test_efficiency_is_of_rounds_by_process_and_by_core(monkeypatch):
    scaling = _load("scaling", monkeypatch)
    speeds = {"1 process": [100.0, 50.0], "4 processes, ddp": [150.0, 100.0]}
    rows = scaling.scaling_rows(speeds, {"1 process": 1, "4 processes, ddp": 4}, cores=2)
    alone, four, by_process, by_core = rows
    assert not alone.ratios and four.ratios == [1.5, 2.0]
    assert by_process.values == [37.5, 50.0]
    assert by_core.values == [75.0, 100.0]


@pytest.mark.slow
def test_the_same_training_on_one_process_and_on_two(tmp_path, monkeypatch):
    scaling = _load("scaling", monkeypatch)
    scaling.prepare(tmp_path, model="toy", steps=2)
    given = {"folder": str(tmp_path), "model": "toy", "steps": 2, "nodes": 1}
    one, two = (
        scaling.run_part(scaling.__file__, "train", **given, parallelism=kind, devices=number)
        for kind, number in (("none", 1), ("ddp", 2))
    )
    assert one["tokens_per_second"] > 0 and two["tokens_per_second"] > 0
    assert two["loss"] == pytest.approx(one["loss"], abs=1e-5)
