"""Figures that set systems beside each other: what stands in them, worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from pydantic import ValidationError

from lingualift.configuration.evaluation import Figure
from lingualift.errors import LingualiftError
from lingualift.figures import (
    count_above,
    count_directions,
    draw_figure,
    pair_heatmap,
    per_language,
    seen_unseen,
)
from lingualift.figures.style import COLOURS
from lingualift.scoring import COLUMNS


def scores(**systems: dict[str, float]) -> pd.DataFrame:
    rows = [
        (system, "flores", *name.split("-"), "spbleu", score, "", 10)
        for system, own in systems.items()
        for name, score in own.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


BOTH = scores(
    A={"en-de": 30, "en-fr": 10, "en-zu": 1, "de-en": 20, "fr-en": 10.01, "zu-en": 2, "de-fr": 50},
    B={"en-de": 29, "en-fr": 15, "en-zu": 5, "de-en": 24, "fr-en": 12, "zu-en": 12, "de-fr": 40},
)


def test_directions_above_the_threshold_are_counted_both_ways():
    counts = count_directions(BOTH, centre=["en"])
    # Ten itself is not above ten.
    assert counts.to_numpy().tolist() == [["A", "en", 1, 2, 3, 3], ["B", "en", 2, 3, 3, 3]]
    few = count_directions(BOTH, centre=["en"], threshold=20, languages=["de", "zu"])
    assert few.to_numpy().tolist() == [["A", "en", 1, 0, 2, 2], ["B", "en", 1, 1, 2, 2]]
    assert count_directions(BOTH, centre=["cs"]).empty


def test_counts_are_points_with_a_marker_a_system():
    figure = count_above(BOTH, systems=["A", "B"], centre=["en"])
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        assert all(tick == round(tick) for tick in axis.get_ticklocs())
    points = [collection.get_offsets().tolist() for collection in figure.axes[0].collections]
    assert points == [[[1, 2]], [[2, 3]]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B"]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["en"]


def test_points_in_one_place_are_drawn_one_inside_the_other():
    same = scores(A={"en-de": 1, "de-en": 1, "en-fr": 1, "fr-en": 1, "de-fr": 1, "fr-de": 1})
    figure = count_above(same, systems=["A"], centre=["en", "de", "fr"])
    sizes = [collection.get_sizes()[0] for collection in figure.axes[0].collections]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 3


def shown(figure) -> tuple[list[str], list[str], list[str]]:
    """The note above, the systems and the centres of the legends."""
    (axes,) = figure.axes
    systems = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return axes.texts[0].get_text().splitlines(), systems, [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_count_over_a_few_directions_is_not_shown_and_named():
    part = pd.concat([BOTH, scores(C={"en-de": 99, "de-en": 99}, D={"de-en": 99, "fr-en": 99})])
    figure = count_above(part, systems=["A", "C", "D", "B", "E"], centre=["en", "cs"])
    # C has one of three both ways, D none from English, E nothing at all.
    note, systems, centres = shown(figure)
    assert " ".join(note) == (
        "not shown, with less than half of the directions: C (1 of 3), D (LG→X 0 of 3), E (0 of 3) no score from or into cs"
    )
    assert (systems, centres) == (["A", "B"], ["en"])
    # B keeps its marker and its place, whatever is left out before it.
    assert [drawn.get_offsets().tolist() for drawn in figure.axes[0].collections] == [[[1, 2]], [[2, 3]]]
    whole = count_above(BOTH, systems=["A", "C", "D", "B"], centre=["en"]).axes[0].collections[1]
    vertices = [it.get_paths()[0].vertices for it in (figure.axes[0].collections[1], whole)]
    assert np.array_equal(*vertices)


def test_a_system_that_lacks_some_languages_is_shown_with_their_number():
    """As M2M-100, with 86 of 101."""
    part = pd.concat([BOTH, scores(C={"en-de": 99, "en-fr": 99, "de-en": 99, "fr-en": 99, "de-fr": 99})])
    note, systems, _ = shown(count_above(part, systems=["A", "B", "C"], centre=["en"]))
    assert (note, systems) == (["counted over fewer directions than others: C (2 of 3)"], ["A", "B", "C"])
    # Around German it has all.
    note, systems, _ = shown(count_above(part, systems=["A", "B", "C"], centre=["en", "de"]))
    assert note == ["counted over fewer directions than others: C around en (2 of 3)"]
    assert shown(count_above(BOTH, systems=["A", "B"], centre=["en"]))[0] == []


def test_the_note_of_counts_stays_above_the_square():
    names = [f"a-system-with-a-long-name-{number}" for number in range(9)]
    rows = scores(**{names[0]: {"en-de": 1, "en-fr": 2, "en-zu": 3}}, **{name: {"en-de": 1} for name in names[1:]})
    figure = count_above(rows, systems=names, centre=["en"], title="flores")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    note, frame, title = (it.get_window_extent() for it in (axes.texts[0], axes, axes._left_title))
    (legend,) = figure.legends
    assert len(axes.texts[0].get_text().splitlines()) > 3
    assert note.x1 <= legend.get_window_extent().x0
    assert frame.y1 <= note.y0 and note.y1 <= title.y0


def test_unseen_languages_stand_apart():
    figure = seen_unseen(BOTH, "A", "B", seen={"en", "de", "fr"})
    out, into = figure.axes
    assert [axes.get_ylabel() for axes in (out, into)] == ["en→X, spBLEU", "X→en, spBLEU"]
    # By the score of the first system, the unseen after the seen.
    assert [label.get_text() for label in out.get_xticklabels()] == ["fr", "de", "zu"]
    assert {text.get_text() for text in out.texts} == {
        "seen in training (2): mean 20.0 → 22.0",
        "unseen (1): mean 1.0 → 5.0",
    }
    assert len(out.patches) == len(into.patches) == 1


def labelled(axes) -> dict[str, list[float]]:
    """The scores that are drawn above each language, in the order of the systems."""
    codes = {
        round(place): label.get_text() for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    }
    points = [
        point for drawn in axes.collections for point in drawn.get_offsets().tolist() if len(drawn.get_offsets()) > 1
    ]
    found: dict[str, list[float]] = {}
    for x, y in points:
        found.setdefault(codes[round(x)], []).append(y)
    return found


@pytest.mark.parametrize("draw", ["per_language", "seen_unseen"])
def test_each_panel_has_its_own_order_of_languages(draw):
    rows = scores(
        A={"en-de": 1, "en-fr": 2, "en-cs": 3, "de-en": 30, "fr-en": 20, "cs-en": 25},
        B={"en-de": 4, "en-fr": 5, "en-cs": 9, "de-en": 40, "fr-en": 27, "cs-en": 26},
    )
    if draw == "per_language":
        figure = per_language(rows, systems=["A", "B"], centre="en")
    else:
        figure = seen_unseen(rows, "A", "B", seen={"de", "fr", "cs"})
    out, into = figure.axes
    assert labelled(out) == {"de": [1, 4], "fr": [2, 5], "cs": [3, 9]}
    assert labelled(into) == {"de": [30, 40], "fr": [20, 27], "cs": [25, 26]}


def many(count: int, *, benchmark: str = "flores", first: int = 0) -> pd.DataFrame:
    """Scores from English into languages l000, l001, …: of A their number, of B one more."""
    codes = [f"l{number:03d}" for number in range(first, first + count)]
    rows = [
        (system, benchmark, "en", code, "spbleu", int(code[1:]) / 2 + more, "", 10)
        for system, more in (("A", 0), ("B", 1))
        for code in codes
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def codes_of(axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def test_more_languages_than_a_page_is_wide_stand_in_rows():
    """Sixty that were seen in two rows of thirty, five that were not in one of their own, all on one scale."""
    figure = seen_unseen(many(65), "A", "B", seen={f"l{number:03d}" for number in range(60)})
    assert [len(codes_of(axes)) for axes in figure.axes] == [30, 30, 5]
    assert [code for axes in figure.axes for code in codes_of(axes)] == [f"l{number:03d}" for number in range(65)]
    # A group's means are told once, and are those of all its rows.
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [
        ["seen in training (60): mean 14.8 → 15.8"],
        [],
        ["unseen (5): mean 31.0 → 32.0"],
    ]
    assert [len(axes.patches) for axes in figure.axes] == [0, 0, 1]
    assert len({axes.get_ylim() for axes in figure.axes}) == len({axes.get_xlim() for axes in figure.axes}) == 1
    assert figure.axes[0].get_ylim()[1] > 33
    assert figure.get_size_inches()[0] == 7
    rows = per_language(many(65), systems=["A", "B"], centre="en").axes
    assert [len(codes_of(axes)) for axes in rows] == [33, 32]
    assert codes_of(rows[0])[0] == "l064" and codes_of(rows[1])[-1] == "l000"
    assert [len(axes.texts) for axes in rows] == [1, 0]


def test_seen_and_unseen_languages_of_two_benchmarks_are_one_picture(tmp_path):
    both = pd.concat([many(4), many(3, benchmark="more", first=4)])
    keys = {"kind": "seen_unseen", "systems": ["A", "B"], "benchmarks": ["flores", "more"], "centre": ["en"]}
    entry = Figure.model_validate(keys)
    seen = {f"l{number:03d}" for number in range(4)}
    written = draw_figure(both, entry, families={}, out=tmp_path / "two", seen=seen)
    assert [path.name for path in written] == ["flores+more.en.png", "flores+more.en.svg"]
    twice = pd.concat([many(4), many(3, benchmark="more", first=3)])
    with pytest.raises(LingualiftError, match="A has two scores of en-l003, of flores and more"):
        draw_figure(twice, entry, families={}, out=tmp_path / "twice", seen=seen)
    part = both[(both["benchmark"] == "flores") | (both["system"] == "A")]
    with pytest.raises(LingualiftError, match="no score of spbleu of B on more"):
        draw_figure(part, entry, families={}, out=tmp_path / "part", seen=seen)


def test_languages_stand_by_the_best_score_around_a_centre():
    figure = per_language(BOTH, systems=["A", "B"], centre="en")
    out, into = figure.axes
    assert [label.get_text() for label in out.get_xticklabels()] == ["de", "fr", "zu"]
    # The best from fr and from zu is 12 in both: in alphabetical order.
    assert [label.get_text() for label in into.get_xticklabels()] == ["de", "fr", "zu"]
    assert out.texts[0].get_text() == "means of 3 languages: A 13.7, B 16.3"


def test_means_of_a_panel_are_over_the_languages_that_all_systems_have():
    rows = scores(
        A={"en-de": 30, "en-fr": 10, "en-zu": 2, "de-en": 1},
        # Nothing of zu, where A is weak; C goes into English alone.
        B={"en-de": 20, "en-fr": 12, "fr-en": 3},
        C={"de-en": 5},
    )
    out, into = per_language(rows, systems=["A", "B", "C"], centre="en").axes
    assert out.texts[0].get_text().splitlines() == [
        "means of 2 of 3 languages: A 20.0, B 16.0",
        "not shown, with less than half of the languages: C (0 of 3)",
    ]
    assert into.texts[0].get_text() == "no language that all systems have"


def test_a_system_with_less_than_half_of_the_languages_is_not_shown():
    """Three of four are enough, two of four too, one is not: and a language that only that one has is none."""
    rows = scores(
        A={"zh-en": 9, "zh-de": 7, "zh-fr": 5, "zh-cs": 3},
        B={"zh-en": 8, "zh-de": 6},
        C={"zh-uk": 99},
        D={"en-zh": 2},
    )
    figure = per_language(rows, systems=["A", "B", "C", "D"], centre="zh")
    out, into = figure.axes
    assert codes_of(out) == ["en", "de", "fr", "cs"]
    assert out.texts[0].get_text().splitlines() == [
        "means of 2 of 4 languages: A 8.0, B 7.0",
        "not shown, with less than half of the languages: C (1 of 4), D (0 of 4)",
    ]
    assert into.texts[0].get_text().startswith("means of 1 languages: D 2.0")
    # Only systems that are drawn somewhere; each in its own colour, whatever is left out before it.
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B", "D"]
    (drawn,) = [it for it in into.collections if it.get_label() == "D"]
    assert to_hex(drawn.get_facecolor()[0]).upper() == COLOURS[3]


def test_the_note_of_many_systems_stays_beside_its_axes():
    names = [f"a-system-with-a-long-name-{number}" for number in range(9)]
    rows = scores(**{name: {"en-de": 1, "en-fr": 2} for name in names[:6]}, **{name: {} for name in names[6:]})
    figure = per_language(rows, systems=names, centre="en", title="flores, around en")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    note, frame, title = (it.get_window_extent() for it in (axes.texts[0], axes, axes._left_title))
    assert len(axes.texts[0].get_text().splitlines()) > 3
    assert frame.x0 - 1 <= note.x0 and note.x1 <= figure.bbox.x1
    assert frame.y1 <= note.y0 and note.y1 <= title.y0


def test_systems_that_share_no_language_are_not_drawn_as_empty_axes(tmp_path):
    rows = scores(A={"en-de": 1, "en-fr": 2, "cs-en": 3}, B={"en-de": 4, "fr-en": 5})
    out, into = seen_unseen(rows, "A", "B", seen={"de"}).axes
    assert codes_of(out) == ["de"] and not codes_of(into) and not len(into.get_yticks())
    assert [text.get_text() for text in into.texts] == ["no language that both systems have a score of"]
    keys = {"kind": "seen_unseen", "systems": ["A", "B"], "benchmarks": ["flores"], "centre": ["en"]}
    apart = rows[rows["target"] != "de"]
    with pytest.raises(LingualiftError, match="A and B share no direction from or into en on flores"):
        draw_figure(apart, Figure.model_validate(keys), families={}, out=tmp_path / "none", seen={"de"})


def test_a_heatmap_shows_those_of_the_papers_languages_that_the_run_has(tmp_path):
    entry = Figure.model_validate({"kind": "pair_heatmap", "systems": ["A", "B"], "benchmarks": ["flores"]})
    assert entry.heatmap_languages(["de", "fr", "ar", "en"]) == ("en", "de", "ar")
    draw_figure(BOTH, entry, families=dict.fromkeys(["de", "fr", "en"], ""), out=tmp_path / "heatmap")
    named = entry.model_copy(update={"languages": ("en", "de")})
    draw_figure(BOTH, named, families={}, out=tmp_path / "named")
    name = "A.B.flores.png"
    assert (tmp_path / "heatmap" / name).read_bytes() == (tmp_path / "named" / name).read_bytes()


def test_heatmap_is_first_minus_second():
    figure = pair_heatmap(BOTH, "B", "A", languages=["en", "de", "fr"])
    axes = figure.axes[0]
    printed = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    assert printed == {(0, 1): "−1.0", (0, 2): "+5.0", (1, 0): "+4.0", (1, 2): "−10.0", (2, 0): "+2.0"}
    image = axes.images[0]
    assert (image.norm.vmin, image.norm.vmax) == (-10, 10)
    assert np.ma.getmaskarray(image.get_array()).sum() == 4


ENTRIES = {
    "count_above": ({"centre": ["en"]}, ["flores"]),
    "seen_unseen": ({"centre": ["en", "de"]}, ["flores.de", "flores.en"]),
    "per_language": ({"centre": ["en"]}, ["flores.en"]),
    "pair_heatmap": ({"languages": ["en", "de"]}, ["A.B.flores"]),
    "direction_matrix": ({}, ["A.flores", "B.flores"]),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_every_kind_is_drawn_twice_alike(tmp_path, kind):
    keys, names = ENTRIES[kind]
    entry = Figure.model_validate({"kind": kind, "systems": ["A", "B"], "benchmarks": ["flores"], **keys})
    written = [draw_figure(BOTH, entry, families={}, out=tmp_path / turn, seen={"en", "de"}) for turn in ("one", "two")]
    assert sorted(path.name for path in written[0]) == sorted(
        f"{name}.{kind}" for name in names for kind in ("png", "svg")
    )
    for first, second in zip(*written, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_a_figure_without_scores_is_an_error(tmp_path):
    entry = {"systems": ["A", "C"], "benchmarks": ["flores"], "kind": "per_language", "centre": ["en"]}
    with pytest.raises(LingualiftError, match="no score of spbleu of C on flores"):
        draw_figure(BOTH, Figure.model_validate(entry), families={}, out=tmp_path / "figure")
    entry |= {"systems": ["A", "B"], "centre": ["cs"]}
    with pytest.raises(LingualiftError, match="from or into cs"):
        draw_figure(BOTH, Figure.model_validate(entry), families={}, out=tmp_path / "figure")
    assert not (tmp_path / "figure").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "count_above"}, "needs centre languages"),
        ({"centre": ["en"]}, "has no centre languages"),
        ({"kind": "pair_heatmap"}, "compares two systems, here are 1"),
        ({"threshold": 5}, "threshold is for"),
    ],
)
def test_keys_of_a_figure_fit_its_kind(keys, message):
    with pytest.raises(ValidationError, match=message):
        Figure.model_validate({"systems": ["A"], "benchmarks": ["flores"], **keys})
