"""Figures: the same bytes for the same figures, and what stands in them."""

import itertools
import json
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from lingualift.errors import InputError
from lingualift.figures import composition_figure, direction_matrix, pair_heatmap, training_curve, write_figure
from lingualift.figures.style import COLOURS, DIVERGING, INKS, SEQUENTIAL, notes_of


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


def test_a_share_that_would_be_printed_as_none_is_told_from_none():
    axes = composition_figure({"text": {"en": 9996, "de": 4, "fr": 0}}).axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.0", "< 0.1", "100.0"]


def test_an_empty_composition_is_still_a_figure(tmp_path):
    assert len(write_figure(composition_figure({}), tmp_path / "empty")) == 2


def of_size(count: int) -> list[str]:
    return [f"l{number:03}" for number in range(count)]


def fits_on_a_page(figure) -> bool:
    """At most the text of an A4 page, 6.3 by 9.2 inches, letters of at least 5 points; after a draw."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return box.width <= 6.3 and box.height <= 9.2 and min(text.get_fontsize() for text in texts) >= 5


def hidden(labels) -> bool:
    """Whether a label lies over the next, as they were last drawn."""
    boxes = [label.get_window_extent() for label in labels]
    return any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def named(axis) -> tuple[list, list]:
    """The labels of one side of the matrix and of the other."""
    first = [tick.label1 for tick in axis.get_major_ticks()]
    return first, [tick.label2 for tick in axis.get_minor_ticks() if tick.label2.get_visible()]


def test_a_matrix_of_102_languages_is_a_page_with_all_of_them_named():
    codes = of_size(102)
    families = {code: f"Family {number // 20}" if number < 96 else "Small" for number, code in enumerate(codes)}
    figure = direction_matrix(scores(codes), families=families, title="LLaMAX2-7B-Alpaca on flores101")
    assert fits_on_a_page(figure)
    axes = figure.axes[0]
    for axis in (axes.xaxis, axes.yaxis):
        first, second = named(axis)
        assert [label.get_text() for label in first] == figure.account["languages"][::2]
        assert [label.get_text() for label in second] == figure.account["languages"][1::2]
        assert not hidden(first) and not hidden(second)
    assert sorted(figure.account["languages"]) == codes
    title, names = axes._left_title.get_window_extent(), [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == [*(f"Family {number}" for number in range(5)), "Small"]
    assert title.y0 >= max(name.y1 for name in names) - 1
    assert min(name.y0 for name in names) >= max(label.get_window_extent().y1 for label in named(axes.xaxis)[1])
    assert notes_of(figure)[0] == "Languages are named left and right, below and above in turn."


def test_families_without_room_for_a_name_are_named_below():
    codes = of_size(60)
    families = {code: "Large" if number < 58 else f"Small {number}" for number, code in enumerate(codes)}
    figure = direction_matrix(scores(codes), families=families)
    assert [text.get_text() for text in figure.axes[0].texts] == ["Large"]
    assert any(note.endswith("with their languages: Small 58 (1), Small 59 (1).") for note in notes_of(figure))


def test_names_of_a_matrix_are_left_out_with_a_note_only():
    """Of 204, every second: at 5.1 inches they are 1.8 points apart, 7.2 on a side."""
    figure = direction_matrix(scores(of_size(204)).sample(3000, random_state=1), languages=of_size(204))
    assert fits_on_a_page(figure)
    first, second = named(figure.axes[0].yaxis)
    assert [label.get_text() for label in first] == of_size(204)[::4]
    assert [label.get_text() for label in second] == of_size(204)[2::4]
    assert not hidden(first) and not hidden(second)
    assert notes_of(figure)[0].startswith("Every second language is named") and "manifest.json" in notes_of(figure)[0]
    assert figure.account["languages"] == of_size(204)


@pytest.mark.parametrize("count", [3, 20])
def test_printed_cells_have_room(count):
    codes = of_size(count)
    one = scores(codes).assign(system="A", score=lambda rows: rows["score"] / 2.1)
    two = pd.concat([one, one.assign(system="B", score=12.3)])
    for figure in (direction_matrix(one), pair_heatmap(two, "B", "A", languages=codes)):
        assert fits_on_a_page(figure)
        image = figure.axes[0].images[0]
        for text in figure.axes[0].texts:
            column, row = text.get_position()
            ground, ink = luminance(image.to_rgba(image.get_array())[row, column, :3]), luminance(text.get_color())
            # WCAG 2's contrast of normal text.
            assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 4.5
        assert not hidden(figure.axes[0].texts) and not hidden(figure.axes[0].get_xticklabels())
        assert {label.get_text() for label in figure.axes[0].get_yticklabels()} == set(codes)


def luminance(colour) -> float:
    """Relative luminance of sRGB, from 0 to 1: CIE's Y."""
    return float(linear(colour) @ (0.2126, 0.7152, 0.0722))


def linear(colour) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def test_a_composition_of_102_languages_is_a_page():
    card = {
        name: {code: 1 + number for number, code in enumerate(of_size(102))} for name in ("text", "pairs", "pseudo")
    }
    figure = composition_figure(card, title="lifting")
    assert fits_on_a_page(figure)
    left, right = ([label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes)
    # From below: the second half of the languages, by their share, is the first column.
    assert left == of_size(102)[51:] and right == of_size(102)[:51]
    assert len({axes.get_xlim() for axes in figure.axes}) == len({np.ptp(axes.get_ylim()) for axes in figure.axes}) == 1
    assert not any(hidden(axes.get_yticklabels()) or hidden(axes.texts) for axes in figure.axes)
    # Of 1 + 2 + … + 102 = 5,253 parts.
    assert [axes.texts[-1].get_text() for axes in figure.axes] == ["1.94", "0.97"]
    assert all(
        text.get_window_extent().x1 <= axes.get_window_extent().x1 for axes in figure.axes for text in axes.texts
    )
    legend = figure.legends[0].get_window_extent()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"{name} (33.3 %)" for name in card]
    assert legend.x1 <= figure.bbox.x1 and legend.y1 <= min(axes.get_window_extent().y0 for axes in figure.axes)


def test_components_are_told_apart_without_colour():
    axes = composition_figure({f"c{number}": {"en": 1} for number in range(16)}).axes[0]
    looks = [(bars[0].get_facecolor(), bars[0].get_hatch()) for bars in axes.containers]
    assert len(set(looks)) == 16
    assert len({hatch for _, hatch in looks[:5]}) == 5


# Machado, Oliveira and Fernandes (2009), severity 1: how linear RGB is seen.
BLINDNESS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour, blindness: str | None = None) -> np.ndarray:
    """CIE L*a*b* (D65) of a colour, as it is seen."""
    light = linear(colour)
    if blindness:
        light = np.clip(np.array(BLINDNESS[blindness]) @ light, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ light
    white = xyz / [0.9505, 1.0, 1.089]
    x, y, z = np.where(white > 0.008856, np.cbrt(white), 7.787 * white + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def least_distance(colours, blindness: str) -> float:
    return min(
        np.linalg.norm(lab(one, blindness) - lab(other, blindness)) for one, other in itertools.combinations(colours, 2)
    )


# Of two colours in L*a*b*; red and green of matplotlib's are 7 apart to deuteranopes, white and black 100.
LEAST = 12
OKABE_ITO = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_colours_are_told_apart_by_colour_blind_eyes(blindness):
    assert set(COLOURS) == OKABE_ITO and set(INKS) == OKABE_ITO - {"#F0E442"}
    assert least_distance(INKS, blindness) > LEAST
    # As matplotlib's own colours are not.
    assert blindness != "deutan" or least_distance(["tab:red", "tab:green"], blindness) < LEAST
    ends = [lab(colormaps[DIVERGING](place)[:3], blindness) for place in (0.1, 0.5, 0.9)]
    assert all(np.linalg.norm(one - other) > 20 for one, other in itertools.combinations(ends, 2))
    lightness = [lab(colormaps[SEQUENTIAL](place)[:3], blindness)[0] for place in np.linspace(0, 1, 20)]
    assert np.all(np.diff(lightness) > 0)
