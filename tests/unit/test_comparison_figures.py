"""Figures that set systems beside each other: what stands in them, worked out by hand."""

import itertools
import json
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Patch
from pydantic import ValidationError

from lingualift.configuration.evaluation import Figure
from lingualift.errors import LingualiftError
from lingualift.figures import (
    count_above,
    count_directions,
    draw_figure,
    drawing,
    pair_heatmap,
    per_language,
    seen_unseen,
    write_figure,
)
from lingualift.figures.counts import spread
from lingualift.figures.style import COLOURS, MARKERS, note_below, notes_of
from lingualift.scoring import COLUMNS, write_scores


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
    assert [text.get_text() for text in figure.axes[0].texts] == ["en", "en"]
    assert legend_of(figure) == {"System": ["A", "B"], "LG": ["en"]}


def legend_of(figure) -> dict[str, list[str]]:
    """What stands below each of the two headings of the legend."""
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    start = labels.index("LG")
    return {labels[0]: labels[1:start], "LG": labels[start + 1 :]}


def test_nothing_in_the_legend_of_counts_is_taken_for_a_point():
    """It stands beside the axes, and colours are told by patches, not by the marker of a system."""
    figure = count_above(BOTH, systems=["A", "B"], centre=["en", "de"])
    figure.draw_without_rendering()
    (axes,), (legend,) = figure.axes, figure.legends
    assert legend.get_window_extent().x0 >= axes.get_window_extent().x1
    assert axes.get_legend() is None
    assert [isinstance(handle, Patch) for handle in legend.legend_handles] == [False, False, False, False, True, True]


def test_no_count_hides_another():
    """All three are in one place; a line leads from there to each that was moved."""
    same = scores(A={"en-de": 11, "de-en": 11, "en-fr": 11, "fr-en": 11, "de-fr": 11, "fr-de": 11})
    figure = count_above(same, systems=["A"], centre=["en", "de", "fr"])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    points = np.array([collection.get_offsets()[0] for collection in axes.collections])
    across = axes.transData.transform(points) * 72 / figure.dpi
    for one, other in itertools.combinations(across, 2):
        assert np.abs(one - other).max() >= 7.5  # the markers are 56 square points
    for one, other in itertools.combinations([text.get_window_extent() for text in axes.texts], 2):
        assert not one.overlaps(other)
    ends = [line.get_xydata() for line in axes.lines[1:] if len(line.get_xydata()) == 2]
    moved = [point for point in points.tolist() if point != [2, 2]]
    assert len(moved) >= 2 and sorted(end[1].tolist() for end in ends) == sorted(moved)
    assert all(end[0].tolist() == [2, 2] for end in ends)
    assert any("moved aside" in note for note in notes_of(figure))
    assert notes_of(count_above(BOTH, systems=["A", "B"], centre=["en"])) == []


def test_boxes_are_moved_no_further_than_it_takes():
    """Of two, four wide and two high, that lie over each other by one in height, each moves by a half; a third, none."""
    places = np.array([[10.0, 10.0], [10.5, 11.0], [30.0, 10.0]])
    limits = {"low": np.zeros(2), "high": np.array([40.0, 40.0])}
    found = spread(places, np.array([[4.0, 2.0]] * 3), **limits)
    assert found == pytest.approx(np.array([[10, 9.5], [10.5, 11.5], [30, 10]]), abs=2e-3)
    # In a corner they stay inside.
    corner = spread(np.array([[0.0, 0.0]] * 4), np.array([[4.0, 2.0]] * 4), **limits)
    assert (corner >= [2, 1]).all()
    for one, other in itertools.combinations(corner, 2):
        assert (np.abs(one - other) >= np.array([4, 2]) - 2e-3).any()


def shown(figure) -> tuple[list[str], list[str], list[str]]:
    """The notes, the systems and the centres of the legend."""
    legend = legend_of(figure)
    return [note for note in notes_of(figure) if "moved" not in note], legend["System"], legend["LG"]


def test_a_count_over_a_few_directions_is_not_shown_and_named():
    part = pd.concat([BOTH, scores(C={"en-de": 99, "de-en": 99}, D={"de-en": 99, "fr-en": 99})])
    figure = count_above(part, systems=["A", "C", "D", "B", "E"], centre=["en", "cs"])
    # C has one of three both ways, D none from English, E nothing at all.
    note, systems, centres = shown(figure)
    assert note == [
        "not shown, with less than half of the directions: C (1 of 3), D (LG→X 0 of 3), E (0 of 3)",
        "no score from or into cs",
    ]
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


def test_the_notes_of_counts_stay_below_the_square_one_below_the_other():
    names = [f"a-system-with-a-long-name-{number}" for number in range(9)]
    rows = scores(**{names[0]: {"en-de": 1, "en-fr": 2, "en-zu": 3}}, **{name: {"en-de": 1} for name in names[1:]})
    figure = count_above(rows, systems=names, centre=["en", "cs"], title="flores")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    first, second = (text.get_window_extent() for text in figure.texts)
    assert figure.texts[0].get_text().count("\n") > 1
    assert first.x1 <= figure.bbox.x1 and first.y1 <= axes.xaxis.label.get_window_extent().y0
    assert second.y1 <= first.y0 + 1


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
    assert figure.get_size_inches()[0] <= 6.3
    rows = per_language(many(65), systems=["A", "B"], centre="en").axes
    assert [len(codes_of(axes)) for axes in rows] == [33, 32]
    assert codes_of(rows[0])[0] == "l064" and codes_of(rows[1])[-1] == "l000"
    assert [len(axes.texts) for axes in rows] == [1, 0]


def test_seen_and_unseen_languages_of_two_benchmarks_are_one_picture(tmp_path):
    both = pd.concat([many(4), many(3, benchmark="more", first=4)])
    keys = {"kind": "seen_unseen", "systems": ["A", "B"], "benchmarks": ["flores", "more"], "centre": ["en"]}
    entry = Figure.model_validate(keys)
    seen = {f"l{number:03d}" for number in range(4)}
    drawn = draw_figure(both, entry, families={}, out=tmp_path / "two", seen=seen)
    assert list(drawn) == ["flores+more.en"]
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["flores+more.en.png", "flores+more.en.svg"]
    assert drawn["flores+more.en"]["languages"] == {"en→X": [f"l{number:03d}" for number in range(7)]}
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
    for turn in ("one", "two"):
        assert sorted(draw_figure(BOTH, entry, families={}, out=tmp_path / turn, seen={"en", "de"})) == names
    first, second = (sorted((tmp_path / turn).iterdir()) for turn in ("one", "two"))
    assert [path.name for path in first] == sorted(f"{name}.{kind}" for name in names for kind in ("png", "svg"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


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


FLORES = {
    tokenizer: f"nrefs:1|case:mixed|eff:no|tok:{tokenizer}|smooth:exp" for tokenizer in ("flores101", "flores200")
}


def signed(signatures: dict[str, list[str]]) -> pd.DataFrame:
    """The scores of A and B, the signatures of a system's directions in turn."""
    rows = BOTH.copy()
    for system, own in signatures.items():
        places = rows["system"] == system
        rows.loc[places, "signature"] = list(itertools.islice(itertools.cycle(own), places.sum()))
    return rows


@pytest.mark.parametrize("kind", ENTRIES)
def test_signatures_stand_below_every_picture_and_in_its_manifest(tmp_path, kind):
    """Those of spBLEU by two tokenizers are told apart, as ``tok:``."""
    keys, names = ENTRIES[kind]
    settings = {"kind": kind, "systems": ["A", "B"], "benchmarks": ["flores"], **keys}
    rows = signed({"A": [FLORES["flores101"]], "B": [FLORES["flores200"]]})
    write_scores(rows.to_dict("records"), tmp_path / "scores.csv")
    script = Path(__file__).parents[2] / "workflow" / "scripts" / "make_figure.py"
    runpy.run_path(str(script))["main"](
        scores=[str(tmp_path / "scores.csv")],
        folder=str(tmp_path / "figure"),
        settings={"figure": settings, "families": {}, "seen": ["en", "de"]},
        version=1,
    )
    told = json.loads((tmp_path / "figure" / "manifest.json").read_text())["pictures"]
    assert sorted(told) == names
    for name, picture in told.items():
        whose = {"A.flores": ["A"], "B.flores": ["B"]}.get(name, ["A", "B"])
        assert {system: list(own) for system, own in picture["signatures"].items()} == {
            system: [FLORES[{"A": "flores101", "B": "flores200"}[system]]] for system in whose
        }
        lines = [note for note in picture["notes"] if note.startswith("Signature of spBLEU")]
        if len(whose) == 1:
            (system,) = whose
            assert lines == [f"Signature of spBLEU: {FLORES['flores101' if system == 'A' else 'flores200']}"]
        else:
            assert lines == [
                f"Signature of spBLEU of A: {FLORES['flores101']}",
                f"Signature of spBLEU of B: {FLORES['flores200']}",
            ]


def test_a_signature_that_all_have_stands_once_and_directions_are_counted(tmp_path):
    entry = Figure.model_validate(
        {"kind": "per_language", "systems": ["A", "B"], "benchmarks": ["flores"], "centre": ["en"]}
    )
    rows = signed({"A": ["13a"], "B": ["13a"]})
    (drawn,) = draw_figure(rows, entry, families={}, out=tmp_path / "alike").values()
    # Six of seven directions are from or into English.
    assert drawn["signatures"] == {"A": {"13a": 6}, "B": {"13a": 6}}
    assert drawn["notes"] == ["Signature of spBLEU: 13a"]
    # en-de, en-zu and fr-en of A's, then en-fr, de-en and zu-en.
    rows = signed({"A": ["zh", "13a"], "B": ["13a"]})
    (drawn,) = draw_figure(rows, entry, families={}, out=tmp_path / "apart").values()
    assert drawn["signatures"] == {"A": {"13a": 3, "zh": 3}, "B": {"13a": 6}}
    assert drawn["notes"] == ["Signature of spBLEU of A: 13a; zh", "Signature of spBLEU of B: 13a"]
    rows = signed({"A": [""], "B": ["13a"]})
    (drawn,) = draw_figure(rows, entry, families={}, out=tmp_path / "none").values()
    assert drawn["notes"][0] == "Signature of spBLEU of A: none"


def test_systems_are_told_apart_without_colour():
    two = seen_unseen(BOTH, "A", "B", seen={"de"}).axes[0]
    assert not np.array_equal(
        *(drawn.get_paths()[0].vertices for drawn in two.collections if drawn.get_label() in "AB")
    )
    names = [f"S{number}" for number in range(len(MARKERS))]
    many_systems = scores(**{name: {"en-de": 1, "de-en": 1} for name in names})
    for figure in (
        per_language(many_systems, systems=names, centre="en"),
        count_above(many_systems, systems=names, centre=["en"]),
    ):
        shapes = {
            drawn.get_paths()[0].vertices.tobytes() for drawn in figure.axes[0].collections if len(drawn.get_offsets())
        }
        assert len(shapes) >= len(names)


def test_204_languages_are_two_pages_with_all_of_them_named(tmp_path, monkeypatch):
    """Half of them seen: two rows of these and two of others, from English on one page and into it on another."""
    pages = {}
    monkeypatch.setattr(drawing, "write_figure", lambda figure, stem: pages.setdefault(stem.name, figure))
    rows = many(204)
    back = rows.assign(source=rows["target"], target="en")
    keys = {"kind": "seen_unseen", "systems": ["A", "B"], "benchmarks": ["flores"], "centre": ["en"]}
    seen = {f"l{number:03d}" for number in range(102)}
    told = draw_figure(
        pd.concat([rows, back]), Figure.model_validate(keys), families={}, seen=seen, out=tmp_path / "figure"
    )
    assert list(pages) == list(told) == ["flores.en.from", "flores.en.into"]
    for figure, label in zip(pages.values(), ("en→X, spBLEU", "X→en, spBLEU"), strict=True):
        width, height = printed(figure)
        assert width <= 6.3 and height <= 9.2 and smallest(figure) >= 5
        assert [axes.get_ylabel() for axes in figure.axes] == [label] * 4
        assert [code for axes in figure.axes for code in codes_of(axes)] == [f"l{number:03d}" for number in range(204)]
        assert not any(hidden(axes.get_xticklabels()) for axes in figure.axes)
        assert min(axes.get_window_extent().height for axes in figure.axes) > 0.8 * figure.dpi


def test_a_page_has_room_for_108_languages_from_and_into_a_centre(tmp_path):
    rows = many(108)
    back = rows.assign(source=rows["target"], target="en")
    keys = {"kind": "per_language", "systems": ["A", "B"], "benchmarks": ["flores"], "centre": ["en"]}
    told = draw_figure(pd.concat([rows, back]), Figure.model_validate(keys), families={}, out=tmp_path / "figure")
    assert list(told) == ["flores.en"]


def test_more_languages_than_a_page_names_are_thinned_out_and_a_note_says_so():
    rows = many(700)
    back = rows.assign(source=rows["target"], target="en")
    figure = per_language(pd.concat([rows, back]), systems=["A", "B"], centre="en")
    assert printed(figure)[1] <= 9.2
    named = [code for axes in figure.axes for code in codes_of(axes)]
    assert 100 < len(named) < 1400 / 2
    assert not any(hidden(axes.get_xticklabels()) for axes in figure.axes)
    (note,) = notes_of(figure)
    assert note.startswith("One of ") and "manifest.json" in note
    assert [len(own) for own in figure.account["languages"].values()] == [700, 700]


def test_the_legend_stays_above_the_notes_in_the_file(tmp_path):
    """A file is cut out to what was drawn, also below the figure, and legends keep to edges."""
    figure = per_language(BOTH, systems=["A", "B"], centre="en")
    note_below(figure, "Signature of spBLEU: tok:flores101")
    found = []

    def look(event) -> None:
        (legend,), (note,) = figure.legends, figure.texts
        found.append((legend.get_window_extent().y0, note.get_window_extent().y1))

    figure.canvas.mpl_connect("draw_event", look)
    write_figure(figure, tmp_path / "figure")
    assert len(found) >= 2 and all(legend > note for legend, note in found)


def printed(figure) -> tuple[float, float]:
    """Width and height in inches, with all that stands outside of the axes."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    return box.width, box.height


def smallest(figure) -> float:
    """The size of the smallest letters, in points; a page takes up to 6.3 inches as they are."""
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return min(text.get_fontsize() for text in texts)


def hidden(labels) -> list[str]:
    """Labels that lie over the next, as they were last drawn."""
    boxes = [(label.get_text(), label.get_window_extent()) for label in labels if label.get_text()]
    return [one[0] for one, other in itertools.pairwise(boxes) if one[1].overlaps(other[1])]
