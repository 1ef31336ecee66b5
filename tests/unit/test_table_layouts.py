"""The layouts of the papers' tables, marks of significance, and the papers' own numbers: by hand."""

import csv

import pandas as pd
import pytest
from pydantic import ValidationError

from lingualift.configuration.evaluation import Table
from lingualift.errors import InputError
from lingualift.published import read_published
from lingualift.scoring import COLUMNS
from lingualift.tables import add_published, build_table, off_target_table, read_significance, write_table


def rows(system: str, scores: dict[str, float | None], metric: str = "spbleu", benchmark: str = "flores") -> list[dict]:
    return [
        dict(zip(COLUMNS, (system, benchmark, *name.split("-"), metric, score, "", 10), strict=True))
        for name, score in scores.items()
    ]


def frame(*parts: list[dict]) -> pd.DataFrame:
    return pd.DataFrame([row for part in parts for row in part], columns=list(COLUMNS)).astype({"score": float})


def table(**keys) -> Table:
    return Table.model_validate({"systems": ["A", "B"], "benchmarks": ["flores"], **keys})


def test_benchmarks_have_a_row_for_each_group_of_directions():
    scores = frame(
        rows("A", {"en-de": 10, "en-fr": 20, "de-en": 40, "de-fr": 99}),
        rows("B", {"en-de": 11, "en-fr": 21, "de-en": 41, "de-fr": 98}),
        rows("A", {"en-zu": 1, "en-sw": 3}, benchmark="tico"),
        # Of en-sw B has nothing: only en-zu is compared.
        rows("B", {"en-zu": 2}, benchmark="tico"),
    )
    entry = {"benchmarks": ["tico", "flores"], "layout": "benchmarks"}
    built = build_table(scores, table(**entry, centre=["en"]), resource={})
    assert built.frame[("A", "spbleu")].to_dict() == {
        ("tico", "en→X"): 1,
        ("flores", "en→X"): 15,
        ("flores", "X→en"): 40,
    }
    assert built.frame[("B", "spbleu")].tolist() == [2, 16, 41]
    whole = build_table(scores, table(**entry), resource={})
    assert whole.frame[("A", "spbleu")].to_dict() == {("tico", "all"): 1, ("flores", "all"): 169 / 4}


RESOURCE = {"en": "high", "de": "high", "fr": "high", "zu": "low"}


def test_a_group_that_is_all_languages_is_printed_once(tmp_path):
    """Into German and French alone: high-resource is all of them. The CSV keeps every group."""
    scores = frame(*(rows(name, {"en-de": 10, "en-fr": 20, "de-en": 30, "zu-en": 4}) for name in "AB"))
    entry = table(layout="centre", centre=["en"])
    files = write_table(build_table(scores, entry, resource=RESOURCE), tmp_path / "t")
    assert [line.rpartition(",")[0] for line in files[0].read_text().splitlines()[1:]] == [
        "en→X,high,15.00",
        "en→X,all,15.00",
        "X→en,low,4.00",
        "X→en,high,30.00",
        "X→en,all,17.00",
    ]
    printed = [line.split("|")[1:4] for line in files[1].read_text().splitlines()[2:]]
    assert [[cell.strip(" *") for cell in row] for row in printed] == [
        ["en→X", "all", "15.00"],
        ["X→en", "low", "4.00"],
        ["X→en", "high", "30.00"],
        ["X→en", "all", "17.00"],
    ]
    for text in (files[2].read_text(), files[3].read_text()):
        assert text.count("15.00") == 2 and text.count("30.00") == 2


def test_the_csv_has_every_group_where_all_languages_are_of_one(tmp_path):
    scores = frame(*(rows(name, {"en-de": 10, "fr-en": 30}) for name in "AB"))
    files = write_table(build_table(scores, table(layout="centre", centre=["en"]), resource=RESOURCE), tmp_path / "t")
    groups = [line.split(",")[:3] for line in files[0].read_text().splitlines()[1:]]
    scored = {"en→X": "10.00", "X→en": "30.00"}
    assert groups == [[name, group, score] for name, score in scored.items() for group in ("high", "all")]
    assert "high" not in files[1].read_text()


def test_a_group_is_printed_that_only_averages_the_same():
    """zu scores what German does: another language, another row."""
    scores = frame(*(rows(name, {"en-de": 10, "en-zu": 10}) for name in "AB"))
    built = build_table(scores, table(layout="centre", centre=["en"]), resource=RESOURCE)
    assert built.printed() is built and len(built.frame) == 3


def test_a_group_is_printed_that_the_paper_has_another_number_of(tmp_path):
    scores = frame(*(rows(name, {"en-de": 10, "en-fr": 20, "de-en": 30, "zu-en": 4}) for name in "AB"))
    paper = published(tmp_path, "# P\ndirection,resource,system,spbleu\nen→X,high,A,17\nen→X,all,A,12\n")
    built = build_table(scores, table(layout="centre", centre=["en"]), resource=RESOURCE, published=paper)
    assert ("en→X", "high") in built.printed().frame.index


def test_a_group_may_stand_where_all_cannot():
    """Of all X the systems share none; each group has one of them."""
    scores = frame(rows("A", {"en-de": 10}), rows("B", {"en-zu": 2}))
    built = build_table(scores, table(layout="centre", centre=["en"]), resource=RESOURCE)
    assert list(built.printed().frame.index) == [("en→X", "low"), ("en→X", "high")]


def test_off_target_tells_unknown_from_zero_and_from_not_looked_at(tmp_path):
    scores = frame(
        rows("A", {"zh-de": 3.0, "zh-ff": 7.0}, "R_source"),
        rows("A", {"zh-de": 90.0, "zh-ff": None}, "R_X"),
        rows("B", {"zh-de": 1.0}, "R_source"),
        rows("B", {"zh-de": 0.0}, "R_X"),
    )
    built = build_table(scores, table(layout="off-target", centre=["zh"]), resource={})
    files = write_table(built, tmp_path / "table7")
    assert files[1].read_text().splitlines() == [
        "| direction | A R_source | A R_X | B R_source | B R_X |",
        "|---|---:|---:|---:|---:|",
        "| zh→de | 3.00 | **90.00** | **1.00** | 0.00 |",
        "| zh→ff | 7.00 | – |  |  |",
        "",
        "–: a language that the detector does not know",
    ]
    assert files[0].read_text().splitlines()[2].startswith("zh→ff,7.00,–,,,")
    assert r"zh$\rightarrow$ff & 7.00 & -- &  &  \\" in files[2].read_text()


def test_off_target_rows_are_by_source_as_given_then_target():
    scores = frame(rows("A", {"en-de": 1, "zh-fr": 2, "zh-de": 3}, "R_X"))
    built = off_target_table(scores, systems=["A"], metrics=["R_X"], sources=["zh", "en"])
    assert list(built.frame.index) == ["zh→de", "zh→fr", "en→de"]


def test_pivot_stands_beside_direct_over_the_same_directions():
    scores = frame(
        # From and into English there is nothing to pivot.
        rows("A", {"zh-de": 10, "zh-fr": 20, "zh-en": 90, "de-zh": 6}),
        rows("A-en", {"zh-de": 12, "zh-fr": 24, "de-zh": 8}),
    )
    entry = table(systems=["A", "A-en"], layout="pivot", pivots={"A": "A-en"}, centre=["zh"])
    built = build_table(scores, entry, resource={})
    assert list(built.frame.columns) == [("A", "spbleu src→trg"), ("A", "spbleu src→en→trg")]
    assert built.frame.T.to_dict("list") == {"zh→X": [15, 18], "X→zh": [6, 8], "average": [10.5, 13]}


def test_an_average_over_rows_with_a_gap_is_empty():
    scores = frame(rows("A", {"zh-de": 10, "de-zh": 6}), rows("A-en", {"zh-de": 12}))
    entry = table(systems=["A", "A-en"], layout="pivot", pivots={"A": "A-en"}, centre=["zh"])
    averages = build_table(scores, entry, resource={}).frame.loc["average"]
    assert averages.iloc[0] == 8 and pd.isna(averages.iloc[1])


SIGNIFICANCE = pd.DataFrame(
    [
        ("en-de", "B", "A", "spbleu", 0.01),
        ("de-en", "B", "A", "spbleu", 0.049),
        ("en-fr", "B", "A", "spbleu", 0.05),
        ("fr-en", "B", "C", "spbleu", 0.001),
    ],
    columns=["direction", "system", "baseline", "metric", "p"],
)


def test_significant_differences_are_marked_and_counted(tmp_path):
    scores = frame(rows("A", {"en-de": 1, "de-en": 9, "en-fr": 1}), rows("B", {"en-de": 2, "de-en": 8, "en-fr": 7}))
    built = build_table(scores, table(baseline="A"), resource={}, significance=SIGNIFICANCE)
    lines = write_table(built, tmp_path / "t")[1].read_text().splitlines()
    assert lines[2:5] == [
        r"| en→de | 1.00 | **2.00**\* |",
        r"| de→en | **9.00** | 8.00\* |",
        "| en→fr | 1.00 | **7.00** |",
    ]
    assert lines[-1] == "spbleu, B against A: 1 direction won, 1 tied, 1 lost (p < 0.05)"
    assert (tmp_path / "t.csv").read_text().splitlines()[1].startswith("en→de,1.00,2.00,")


BEHIND = (
    "(+won −lost): how many of the directions averaged are better and worse than those of A, p < 0.05 (paired "
    "bootstrap); the averages themselves are not tested"
)


def test_behind_an_average_stand_its_directions_won_and_lost(tmp_path):
    """From English one is won and one tied, into it one is lost."""
    scores = frame(rows("A", {"en-de": 1, "de-en": 9, "en-fr": 1}), rows("B", {"en-de": 2, "de-en": 8, "en-fr": 7}))
    entry = table(baseline="A", layout="centre", centre=["en"])
    built = build_table(scores, entry, resource={}, significance=SIGNIFICANCE)
    summary = "spbleu, B against A: 1 direction won, 1 tied, 1 lost (p < 0.05)"
    assert built.notes == (BEHIND, summary)
    data, markdown, latex, page = (path.read_text() for path in write_table(built, tmp_path / "t"))
    assert data.splitlines()[0] == "direction,resource,A,B,B won,B lost,notes"
    assert [line.split(",")[:6] for line in data.splitlines()[1:]] == [
        ["en→X", "all", "1.00", "4.50", "1", "0"],
        ["X→en", "all", "9.00", "8.00", "0", "1"],
    ]
    assert markdown.splitlines()[2:4] == [
        "| en→X | all | 1.00 | **4.50** (+1 −0) |",
        "| X→en | all | **9.00** | 8.00 (+0 −1) |",
    ]
    assert r"en$\rightarrow$X & all & 1.00 & \textbf{4.50} (+1 $-$0) \\" in latex
    assert "1 lost (p $<$ 0.05)" in latex and "p < " not in latex
    assert "<td>1.00</td><td><b>4.50</b> (+1 −0)</td>" in page
    # Without a baseline there are no comparisons that a table has asked for.
    bare = build_table(scores, table(layout="centre", centre=["en"]), resource={}, significance=SIGNIFICANCE)
    assert bare.marks is None and bare.outcomes is None and bare.notes == (summary,)


def test_figures_with_won_and_lost_stand_below_one_another(tmp_path):
    targets = [f"t{number}" for number in range(12)]
    scores = frame(
        *(rows(name, {f"en-{t}": score for t in targets} | {"t0-en": 5}) for name, score in (("A", 1), ("B", 2)))
    )
    significance = compared(*(f"en-{t}" for t in targets))
    entry = table(baseline="A", layout="benchmarks", centre=["en"])
    built = build_table(scores, entry, resource={}, significance=pd.concat([significance, compared("t0-en")]))
    files = write_table(built, tmp_path / "t")
    # As wide as the twelve: a digit's space behind; in Markdown nothing would be seen of it.
    assert "**5.00** (+0 −0) |" in files[1].read_text() and "**2.00** (+12 −0) |" in files[1].read_text()
    assert r"(+0 $-$0)\phantom{0} \\" in files[2].read_text() and r"(+12 $-$0) \\" in files[2].read_text()
    assert "(+0 −0)\u2007</td>" in files[3].read_text()


def test_a_direction_counts_in_every_row_that_averages_it():
    """de-fr is from German and into French, of high resource and of all."""
    scores = frame(rows("A", dict.fromkeys(EVERY, 1)), rows("B", dict.fromkeys(EVERY, 2)))
    entry = table(baseline="A", layout="centre", centre=["de", "fr"])
    built = build_table(scores, entry, resource=RESOURCE, significance=compared("de-fr", "de-cs"))
    assert built.outcomes is not None
    # de→X over en and fr, which are high, and over all; into French from high and from all. cs has no resource here.
    counts = built.outcomes[("B", "spbleu")].dropna()
    assert list(counts.itertuples(name=None)) == [
        (("de→X", "high"), 1, 0),
        (("de→X", "all"), 2, 0),
        (("X→fr", "high"), 1, 0),
        (("X→fr", "all"), 1, 0),
    ]
    assert built.notes[-1] == "spbleu, B against A: 2 directions won, 0 tied, 0 lost (p < 0.05)"


def test_won_and_lost_of_each_benchmark_its_own():
    parts = [
        rows(name, {"en-de": score}, benchmark=of) for name, score in (("A", 1), ("B", 2)) for of in ("tico", "flores")
    ]
    entry = table(benchmarks=["tico", "flores"], layout="benchmarks", baseline="A")
    significance = compared("en-de").assign(benchmark="flores")
    built = build_table(frame(*parts), entry, resource={}, significance=significance)
    assert built.marks is not None
    assert built.marks[("B", "spbleu")].to_dict() == {("tico", "all"): "", ("flores", "all"): " (+1 −0)"}


def test_through_a_pivot_is_better_or_worse_in_so_many_directions():
    names = ("A", "A-en")
    scores = frame(*(rows(name, dict.fromkeys(EVERY, score)) for name, score in zip(names, (2, 1), strict=True)))
    entry = table(systems=names, layout="pivot", pivots={"A": "A-en"}, centre=["de", "fr"], baseline="A")
    built = build_table(scores, entry, resource={}, significance=compared(*EVERY).assign(system="A-en"))
    assert built.marks is not None
    assert set(built.marks[("A", "spbleu src→trg")]) == {""}
    # Three directions a row; all are ten, of twelve but en-cs and cs-en: those of two centres stand in two rows.
    assert built.marks[("A", "spbleu src→en→trg")].str.rstrip().tolist() == [" (+0 −3)"] * 4 + [" (+0 −10)"]


def test_of_a_rate_the_lower_wins():
    scores = frame(rows("A", {"en-de": 5}, "copy_rate"), rows("B", {"en-de": 1}, "copy_rate"))
    significance = SIGNIFICANCE.assign(metric="copy_rate", benchmark="flores")
    built = build_table(scores, table(metrics=["copy_rate"]), resource={}, significance=significance)
    assert built.notes[-1].startswith("copy_rate, B against A: 1 direction won, 0 tied")
    elsewhere = significance.assign(benchmark="ntrex")
    assert build_table(scores, table(metrics=["copy_rate"]), resource={}, significance=elsewhere).notes == ()


FOUR = ["en", "de", "fr", "cs"]
EVERY = [f"{source}-{target}" for source in FOUR for target in FOUR if source != target]


def compared(*names: str) -> pd.DataFrame:
    return pd.DataFrame(
        [(name, "B", "A", "spbleu", 0.01) for name in names], columns=["direction", "system", "baseline", "metric", "p"]
    )


@pytest.mark.parametrize(
    ("keys", "won"),
    [
        # Of twelve directions: three from and three into English.
        ({"layout": "centre", "centre": ["en"]}, 6),
        # Each of them stands in two rows, from one language and into another, and is counted once.
        ({"layout": "centre"}, 12),
        # en-de and de-en.
        ({"layout": "centre", "centre": ["en"], "languages": ["de"]}, 2),
        ({"layout": "benchmarks"}, 12),
        ({"layout": "benchmarks", "centre": ["en", "de"]}, 10),
        ({"languages": ["en", "de", "fr"]}, 6),
        # From de into en, fr and cs, from fr into en, de and cs.
        ({"layout": "off-target", "metrics": ["spbleu"], "centre": ["de", "fr"]}, 6),
    ],
)
def test_directions_won_are_those_that_the_table_is_of(keys, won):
    scores = frame(rows("A", dict.fromkeys(EVERY, 1)), rows("B", dict.fromkeys(EVERY, 2)))
    built = build_table(scores, table(baseline="A", **keys), resource={}, significance=compared(*EVERY))
    assert built.notes[-1] == f"spbleu, B against A: {won} directions won, 0 tied, 0 lost (p < 0.05)"


def test_a_direction_that_is_averaged_of_one_system_alone_is_not_won():
    # Of en→X B has one in three and an empty cell; into English it has all.
    scores = frame(
        rows("A", {"en-de": 1, "en-fr": 1, "en-cs": 1, "de-en": 1, "fr-en": 5}),
        rows("B", {"en-de": 2, "de-en": 2, "fr-en": 4}),
    )
    significance = compared("en-de", "de-en", "fr-en")
    entry = table(layout="centre", centre=["en"], baseline="A")
    built = build_table(scores, entry, resource={}, significance=significance)
    assert built.notes == (
        "flores, spbleu: no average of B, with scores of less than half of the directions: en→X all 1 of 3",
        BEHIND,
        "spbleu, B against A: 1 direction won, 0 tied, 1 lost (p < 0.05)",
    )


def test_averages_over_fewer_directions_say_so():
    scores = frame(
        rows("A", {"en-de": 1, "en-fr": 2, "en-cs": 3, "de-en": 4, "fr-en": 5}),
        rows("B", {"en-de": 1, "en-fr": 2, "de-en": 4, "fr-en": 5}),
        # Too little to stand in the row of en→X over all, and so nothing is left out for it there.
        rows("C", {"en-de": 9, "de-en": 9}),
    )
    entry = table(systems=["A", "B", "C"], layout="centre", centre=["en"])
    assert build_table(scores, entry, resource={"de": "high", "fr": "high"}).notes == (
        "flores, spbleu: averages leave out directions without a score of C: "
        "en→X high 1 of 2, X→en high 1 of 2, X→en all 1 of 2",
        "flores, spbleu: averages leave out directions without a score of B: en→X all 2 of 3",
        "flores, spbleu: no average of C, with scores of less than half of the directions: en→X all 1 of 3",
    )
    # With de, fr and cs of A and B alone both rows lack one and the same number.
    alike = table(layout="centre", centre=["en"], languages=["de", "fr", "cs"])
    both = pd.concat([scores, frame(rows("A", {"cs-en": 6}))])
    assert build_table(both, alike, resource={}).notes == (
        "flores, spbleu: averages leave out directions without a score of B: 2 of 3 in each row",
    )
    complete = table(layout="centre", centre=["en"], languages=["de", "fr"])
    assert build_table(scores, complete, resource={}).notes == ()
    whole = build_table(scores, table(layout="benchmarks"), resource={})
    assert whole.notes == ("flores, spbleu: averages leave out directions without a score of B: all 4 of 5",)


@pytest.mark.parametrize(
    "layout",
    [
        {"layout": "centre", "centre": ["en"]},
        {"layout": "benchmarks", "centre": ["en"]},
        {"layout": "pivot", "pivots": {"A": "B"}, "centre": ["en"], "through": "de"},
    ],
)
def test_every_empty_average_has_its_note(layout):
    """B has too few scores from English by one metric, and none there by the other."""
    every = {"en-de": 1, "en-fr": 2, "en-cs": 3, "de-en": 4}
    scores = frame(
        *(rows("A", every, metric) for metric in "xy"),
        rows("B", {"en-de": 1, "de-en": 4}, "x"),
        rows("B", {"de-fr": 1}, "y"),
    )
    built = build_table(scores, table(metrics=["x", "y"], **layout), resource={})
    said = "no average of B, with scores of less than half of the directions"
    notes = [note.replace(" all", "") for note in built.notes if said in note]
    assert notes == [f"flores, x: {said}: en→X 1 of 3", f"flores, y: {said}: en→X 0 of 3, X→en 0 of 1"]
    assert built.frame.isna().to_numpy().any()


RATES = frame(
    rows("A", {"zh-de": 90, "zh-fr": 80, "zh-ff": None, "zh-am": None, "de-zh": 60}, "R_X"),
    rows("B", {"zh-de": 92, "zh-fr": 82, "zh-ff": None, "zh-am": None, "de-zh": 62}, "R_X"),
)
KNOWS = "averages of the directions whose language the detector knows"
UNKNOWN = "–: a language that the detector does not know"


def test_averages_say_of_how_many_directions_the_detector_knows_the_language(tmp_path):
    resource = {"de": "high", "fr": "high", "ff": "low", "am": "low"}
    entry = table(layout="centre", centre=["zh"], metrics=["R_X"])
    built = build_table(RATES, entry, resource=resource)
    # Of no low-resource language it is known, and the high-resource ones are not all that there are.
    assert write_table(built, tmp_path / "t")[1].read_text().splitlines()[2:] == [
        "| zh→X | low | – | – |",
        "| zh→X | high | 85.00 | **87.00** |",
        "| zh→X | all | 85.00 | **87.00** |",
        "| X→zh | all | 60.00 | **62.00** |",
        "",
        f"flores, R_X: {KNOWS}: zh→X low 0 of 2, zh→X all 2 of 4  ",
        UNKNOWN,
    ]


@pytest.mark.parametrize(
    ("layout", "notes"),
    [
        ({"layout": "benchmarks"}, (f"flores, R_X: {KNOWS}: all 3 of 5",)),
        ({"layout": "benchmarks", "centre": ["zh"]}, (f"flores, R_X: {KNOWS}: zh→X 2 of 4",)),
        ({"layout": "pivot", "pivots": {"A": "B"}, "centre": ["zh"]}, (f"flores, R_X: {KNOWS}: zh→X 2 of 4",)),
        (
            {"layout": "pivot", "pivots": {"A": "B"}, "centre": ["am", "ff", "zh"]},
            (f"flores, R_X: {KNOWS}: X→am 0 of 1, X→ff 0 of 1, zh→X 2 of 4", UNKNOWN),
        ),
        # Only German and French: all are known.
        ({"layout": "centre", "centre": ["zh"], "languages": ["de", "fr"]}, ()),
        # Of either language the one direction that there is.
        (
            {"layout": "centre", "centre": ["am", "ff"], "languages": ["zh"]},
            (f"flores, R_X: {KNOWS}: 0 of 1 in each row", UNKNOWN),
        ),
    ],
)
def test_every_average_of_known_languages_has_its_note(layout, notes):
    assert build_table(RATES, table(metrics=["R_X"], **layout), resource={}).notes == notes


def test_an_unknown_rate_is_a_dash_beside_scores_too():
    scores = pd.concat([RATES, frame(*(rows(name, {"zh-de": 1, "zh-ff": 2}) for name in "AB"))])
    built = build_table(scores, table(metrics=["spbleu", "R_X"]), resource={})
    assert built.marks is not None
    assert built.marks[("A", "R_X")].to_dict() == {"zh→de": "", "zh→fr": "", "zh→ff": "–", "zh→am": "–", "de→zh": ""}
    assert set(built.marks[("A", "spbleu")]) == {""}
    assert built.notes == (UNKNOWN,)


BLEURT = frame(
    *(rows(name, {"en-de": score, "de-en": score}) for name, score in (("Ours", 30), ("More", 31))),
    rows("Judged", {"en-de": 70, "de-en": 72}, "bleurt"),
)
LACKING = ("–: no scores of Judged by spbleu", "–: no scores of Ours, More by bleurt")


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ({}, "en→de"),
        ({"layout": "centre", "centre": ["en"]}, ("en→X", "all")),
        ({"layout": "benchmarks", "centre": ["en"]}, ("flores", "en→X")),
        ({"layout": "pivot", "centre": ["en"], "pivots": {"Ours": "More"}, "through": "de"}, "en→X"),
    ],
)
def test_a_metric_that_some_systems_have_is_a_dash_of_the_others(layout, name):
    """BLEURT's scores are brought from outside, those of one system."""
    names = ["Ours", "More", "Judged"]
    built = build_table(BLEURT, table(systems=names, metrics=["spbleu", "bleurt"], **layout), resource={})
    shown = [built.marks.loc[[name]].iloc[0, place] or value for place, value in enumerate(built.frame.loc[name])]
    in_order = [30, 31, "–", "–"] if layout.get("layout") == "pivot" else [30, "–", 31, "–"]
    assert shown == [*in_order, "–", 70]
    # The mean of rows that have none is none, and that of the others is no dash.
    assert all(set(column) == ({"–"} if column.iloc[0] else {""}) for _, column in built.marks.items())
    # Nothing is averaged of them, and it is said once why.
    assert tuple(note for note in built.notes if "–" in note or "average" in note) == LACKING


def test_metrics_that_lack_the_same_share_a_note():
    full, part = {"en-de": 1, "en-fr": 2}, {"en-de": 1}
    scores = frame(*(rows(name, own, metric) for metric in "xy" for name, own in (("A", full), ("B", part))))
    built = build_table(scores, table(layout="benchmarks", metrics=["x", "y"]), resource={})
    assert built.notes == ("flores, x, y: averages leave out directions without a score of B: all 1 of 2",)


def test_pivot_says_how_many_directions_have_nothing_between():
    scores = frame(*(rows(name, dict.fromkeys(EVERY, 1)) for name in ("A", "A-en")))
    entry = table(systems=["A", "A-en"], layout="pivot", pivots={"A": "A-en"}, centre=["de", "fr"])
    said = "spbleu: directions from or into en, whose two scores are the same: "
    assert build_table(scores, entry, resource={}).notes == (said + "1 of 3 in each row",)
    entry = entry.model_copy(update={"centre": ("de", "en")})
    assert build_table(scores, entry, resource={}).notes == (
        said + "de→X 1 of 3, X→de 1 of 3, en→X 3 of 3, X→en 3 of 3",
    )
    entry = entry.model_copy(update={"centre": ("de",), "languages": ("fr", "cs")})
    assert build_table(scores, entry, resource={}).notes == ()


def test_of_an_off_target_rate_by_another_name_the_lower_is_better(tmp_path):
    scores = frame(
        rows("A", {"en-de": 5}, "R_source_fasttext"),
        rows("B", {"en-de": 1}, "R_source_fasttext"),
        rows("A", {"en-de": 70}, "R_X_fasttext"),
        rows("B", {"en-de": 80}, "R_X_fasttext"),
    )
    names = ["R_source_fasttext", "R_X_fasttext"]
    entry = table(layout="off-target", metrics=names)
    kinds = {"R_source_fasttext": "R_source", "R_X_fasttext": "R_X"}
    significance = pd.concat([compared("en-de").assign(metric=name) for name in names])
    built = build_table(scores, entry, resource={}, kinds=kinds, significance=significance)
    text = write_table(built, tmp_path / "t")[1].read_text()
    assert r"| en→de | 5.00 | 70.00 | **1.00**\* | **80.00**\* |" in text
    assert [note.split(":")[1] for note in built.notes[1:]] == [" 1 direction won, 0 tied, 0 lost (p < 0.05)"] * 2


def test_files_of_comparisons_are_checked(tmp_path):
    path = tmp_path / "p.csv"
    SIGNIFICANCE.to_csv(path, index=False)
    assert read_significance([path]).equals(SIGNIFICANCE)
    path.write_text("direction,system,baseline,metric,p\nen-de,B,A,spbleu,1.5\n")
    with pytest.raises(InputError, match=r"p\.csv:2: p is not between 0 and 1"):
        read_significance([path])
    path.write_text("direction,p\nen-de,1\n")
    with pytest.raises(InputError, match=r"no column system, baseline, metric"):
        read_significance([path])


def published(tmp_path, text):
    (tmp_path / "paper.csv").write_text(text, encoding="utf-8")
    return read_published(tmp_path / "paper.csv")


def test_the_papers_number_stands_beside_ours(tmp_path):
    scores = frame(rows("A", {"en-de": 30, "de-en": 20}), rows("B", {"en-de": 31, "de-en": 21}))
    paper = published(
        tmp_path, "# A paper, Table 4.\ndirection,resource,system,spbleu\nen→X,all,Theirs,29.5\nX→en,all,Theirs,\n"
    )
    entry = table(layout="centre", centre=["en"], published="paper", published_as={"B": "Theirs"}, baseline="A")
    built = build_table(scores, entry, resource={}, published=paper)
    lines = write_table(built, tmp_path / "t")[1].read_text().splitlines()
    assert lines == [
        "| direction | resource | A spbleu | B spbleu | B paper |",
        "|---|---|---:|---:|---:|",
        "| en→X | all | 30.00 | **31.00** | 29.50 |",
        "| X→en | all | 20.00 | **21.00** |  |",
        "",
        "paper: A paper, Table 4.",
    ]
    latex = (tmp_path / "t.tex").read_text()
    assert r"\multicolumn{1}{c}{A} & \multicolumn{2}{c}{B}" in latex
    assert r"\cmidrule(lr){3-3}\cmidrule(lr){4-5}" in latex
    tested = build_table(scores, entry, resource={}, published=paper, significance=compared("en-de"))
    lines = write_table(tested, tmp_path / "t")[0].read_text().splitlines()
    assert lines[0] == "direction,resource,A spbleu,B spbleu,B spbleu won,B spbleu lost,B paper,notes"
    assert [line.split(",")[2:7] for line in lines[1:]] == [
        ["30.00", "31.00", "1", "0", "29.50"],
        ["20.00", "21.00", "", "", ""],
    ]
    assert "| 30.00 | **31.00** (+1 −0) | 29.50 |" in (tmp_path / "t.md").read_text()


def test_published_numbers_of_other_rows_are_refused(tmp_path):
    paper = published(tmp_path, "# P\ntarget,system,spbleu\nde,A,1\n")
    built = build_table(frame(rows("A", {"en-de": 30})), table(systems=["A"]), resource={})
    with pytest.raises(InputError, match=r"rows are by target, those of the table by direction"):
        add_published(built, paper)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("direction,system,spbleu\n", r"paper\.csv:1: does not say which table"),
        ("# P\ndirection,spbleu\n", r"paper\.csv:2: no column 'system'"),
        ("# P\ndirection,system,spbleu\na,S,x\n", r"paper\.csv:3: not a number: 'x'"),
        ("# P\ndirection,system,spbleu\na,S\n", r"paper\.csv:3: expected 3 columns, found 2"),
        ("# P\ndirection,system,spbleu\na,S,1\na,S,2\n", r"paper\.csv:4: spbleu of S for a stands twice"),
    ],
)
def test_mistakes_in_published_numbers(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        published(tmp_path, text)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"layout": "pivot"}, "belong together"),
        ({"pivots": {"A": "B"}}, "belong together"),
        ({"baseline": "C"}, "baseline names 'C'"),
        ({"published_as": {"C": "D"}}, "published_as names 'C'"),
        ({"layout": "pivot", "pivots": {"A": "C"}}, "pivots names 'C'"),
    ],
)
def test_keys_of_a_table_fit_its_layout(keys, message):
    with pytest.raises(ValidationError, match=message):
        table(**keys)


def test_settings_of_the_first_layouts_stay_as_they_were():
    entry = {"systems": ("A",), "benchmarks": ("flores",), "layout": "centre", "centre": ("en",)}
    assert Table.model_validate(entry).model_dump(exclude_defaults=True) == entry


PAPERS = {"llamax-table4": 150, "llamax-table7": 303, "llamax-table8": 26, "llamax-table13": 303}


@pytest.mark.parametrize(("name", "num_rows"), PAPERS.items())
def test_published_files_say_where_they_are_from(request, name, num_rows):
    numbers = read_published(request.config.rootpath / "config" / "published" / f"{name}.csv")
    assert numbers.source.startswith(f"LLaMAX, Table {name.removeprefix('llamax-table')},")
    assert len({(row, system) for row, system, _ in numbers.numbers}) == num_rows


def test_table_8_agrees_with_the_released_summaries_and_with_itself(shared_data, request):
    paper = read_published(request.config.rootpath / "config" / "published" / "llamax-table8.csv")
    for system in ("LLaMA3-8B-Alpaca", "LLaMAX2-7B-Alpaca"):
        for metric, folder in (("spbleu", "spBLEU_score"), ("comet", "comet_score")):
            path = shared_data / "published" / "llamax" / system / folder / "summary_101.csv"
            with path.open(encoding="utf-8-sig", newline="") as file:
                summary = {row["direct"]: float(row["all"]) for row in csv.DictReader(file)}
            names = [key[0][0] for key in paper.numbers if key[1:] == (system, f"{metric} src→trg")]
            for name in names[:-1]:
                direct = paper.number((name,), system, f"{metric} src→trg")
                assert direct == summary[name.replace("→", "-").replace("X", "x")], (system, name)
            for way in ("src→trg", "src→en→trg"):
                numbers = [paper.number((name,), system, f"{metric} {way}") for name in names]
                assert numbers[-1] == pytest.approx(sum(numbers[:-1]) / 12, abs=0.0101)
