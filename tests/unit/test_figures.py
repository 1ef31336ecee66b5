"""Figures: the same bytes for the same figures, and what stands in them."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from lingualift.errors import InputError
from lingualift.figures import composition_figure, direction_matrix, training_curve, write_figure


def scores(codes: list[str]) -> pd.DataFrame:
    rows = [(s, t, 10.0 * i + j) for i, s in enumerate(codes) for j, t in enumerate(codes) if s != t]
    return pd.DataFrame(rows, columns=["source", "target", "score"])


def test_small_matrix_prints_its_figures():
    frame = scores(["de", "en", "fr"])
    figure = direction_matrix(frame[frame["score"] != 12], title="A system")
    axes = figure.axes[0]
    printed = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    # Rows are sources; de (row 0) to en (column 1) is 1, en to fr (12) was taken out.
    assert printed == {(0, 1): "1.0", (0, 2): "2.0", (1, 0): "10.0", (2, 0): "20.0", (2, 1): "21.0"}
    values = axes.images[0].get_array()
    assert np.ma.getmaskarray(values).sum() == 4
    assert axes.get_xlabel() == "Target"
    assert axes.get_title(loc="left") == "A system"


def test_large_matrix_stands_by_family():
    codes = [f"l{number:02}" for number in range(30)]
    families = {code: "Large" if number % 3 else "Small" for number, code in enumerate(codes)}
    figure = direction_matrix(scores(codes), families=families)
    axes = figure.axes[0]
    order = [label.get_text() for label in axes.get_yticklabels()]
    assert [families[code] for code in order] == ["Large"] * 20 + ["Small"] * 10
    assert {text.get_text() for text in axes.texts} == {"Large", "Small"}


def test_figures_are_the_same_bytes_again(tmp_path):
    for name in ("first", "second"):
        write_figure(direction_matrix(scores(["de", "en"]), title="A & B"), tmp_path / name)
    for suffix in ("png", "svg"):
        assert (tmp_path / f"first.{suffix}").read_bytes() == (tmp_path / f"second.{suffix}").read_bytes()
    svg = (tmp_path / "first.svg").read_text()
    assert ET.fromstring(svg).tag.endswith("svg")
    assert "matplotlib" not in svg.split("<defs>")[0].lower()


def test_training_curve_takes_the_later_of_two_lines_of_a_step(tmp_path):
    log = tmp_path / "log.jsonl"
    lines = [
        {"step": 1, "loss": 4.0, "learning_rate": 0.1},
        {"step": 2, "loss": 9.0, "learning_rate": 0.2, "memory": 3},
        {"step": 2, "loss": 3.0},
        {"step": 3, "loss": 2.0, "learning_rate": 0.1},
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    figure = training_curve(log)
    assert [axes.get_ylabel() for axes in figure.axes] == ["Loss", "Learning rate"]
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[1, 4], [2, 3], [3, 2]]
    write_figure(figure, tmp_path / "curve")


@pytest.mark.parametrize(("text", "message"), [("", "no step"), ('{"step": 1}\n{"loss": 2}\n', "log.jsonl:2")])
def test_training_curve_says_what_is_wrong_with_the_log(tmp_path, text, message):
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(InputError, match=message):
        training_curve(tmp_path / "log.jsonl")


def test_training_curve_without_any_loss(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n')
    write_figure(training_curve(tmp_path / "log.jsonl"), tmp_path / "curve")


def test_composition_is_in_percent_of_all_tokens():
    card = {"captions": {"en": 30, "de": 10}, "alpaca": {"en": 60}}
    axes = composition_figure(card).axes[0]
    # de is the smaller: the lower bar.
    assert [label.get_text() for label in axes.get_yticklabels()] == ["de", "en"]
    widths = [[bar.get_width() for bar in container] for container in axes.containers]
    assert widths == [[pytest.approx(10), pytest.approx(30)], [0, pytest.approx(60)]]
    labels = [container.get_label() for container in axes.containers]
    assert labels == ["captions (40.0 %)", "alpaca (60.0 %)"]


def test_an_empty_composition_is_still_a_figure(tmp_path):
    assert len(write_figure(composition_figure({}), tmp_path / "empty")) == 2
