"""The training curve of a run that measured its held-out loss."""

import json

from lingualift.figures import training_curve, write_figure


def test_held_out_loss_is_drawn_beside_the_training_loss(tmp_path) -> None:
    lines = [{"step": step, "loss": 5.0 - step, "learning_rate": 0.1} for step in (1, 2, 3, 4)]
    lines += [{"step": 2, "held_out_loss": 3.5}, {"step": 4, "held_out_loss": 2.5}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    figure = training_curve(tmp_path / "log.jsonl")
    training, held_out = figure.axes[0].lines
    assert training.get_xydata().tolist() == [[1, 4], [2, 3], [3, 2], [4, 1]]
    assert held_out.get_xydata().tolist() == [[2, 3.5], [4, 2.5]]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["training", "held out"]
    assert len(figure.axes[1].lines) == 1
    write_figure(figure, tmp_path / "curve")


def test_waiting_and_memory_are_drawn_in_units_a_reader_knows(tmp_path) -> None:
    lines = [{"step": step, "loss": 2.0, "data_wait_share": 0.015, "memory_mb": 1500 * step} for step in (1, 2)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, waiting, memory = training_curve(tmp_path / "log.jsonl").axes
    assert waiting.get_ylabel() == "Waiting for\ndata (%)"
    assert waiting.lines[0].get_xydata().tolist() == [[1, 1.5], [2, 1.5]]
    assert memory.get_ylabel() == "Memory (GB)"
    assert memory.lines[0].get_xydata().tolist() == [[1, 1.5], [2, 3.0]]
    # Small shares look small: the axis goes on to 2 %.
    assert waiting.get_ylim() == (0, 2)
