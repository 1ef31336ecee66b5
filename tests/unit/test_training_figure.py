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
