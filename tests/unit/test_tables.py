"""Tables: averages by hand, and the averages that the LLaMAX authors published."""

import csv

import pandas as pd
import pytest

from lingualift.configuration.evaluation import Table
from lingualift.errors import InputError, LingualiftError
from lingualift.figures import count_directions
from lingualift.languages import load_languages
from lingualift.published import import_published_scores, published_scores
from lingualift.scoring import COLUMNS, write_scores
from lingualift.tables import (
    ScoreTable,
    build_table,
    centre_table,
    direction_table,
    read_scores,
    write_table,
)

RESOURCE = {"en": "high", "de": "high", "fr": "high", "yo": "low", "zu": "low"}
SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:flores200|smooth:exp|version:2.6.0"


def rows(system: str, scores: dict[str, float], metric: str = "spbleu", benchmark: str = "flores") -> list[dict]:
    return [
        dict(
            zip(
                COLUMNS,
                (system, benchmark, *name.split("-"), metric, score, SIGNATURE if metric == "spbleu" else "", 10),
                strict=True,
            ),
        )
        for name, score in scores.items()
    ]


def frame(*parts: list[dict]) -> pd.DataFrame:
    # Row labels repeat, as where files of scores are put together by hand.
    return pd.concat([pd.DataFrame(part, columns=list(COLUMNS)) for part in parts])


def cells(table: ScoreTable, system: str, metric: str = "spbleu") -> dict:
    return table.frame[(system, metric)].round(9).dropna().to_dict()


def test_direction_table_leaves_a_missing_score_empty(tmp_path):
    scores = frame(
        rows("Base", {"en-de": 1.0, "en-fr": 2.005}),
        rows("Lifted", {"en-de": 11.0}),
        rows("Base", {"en-de": 0.0}, "copy_rate"),
        rows("Lifted", {"en-de": 5.0}, "copy_rate"),
    )
    table = direction_table(scores, systems=["Base", "Lifted"], metrics=["spbleu", "copy_rate"])
    files = write_table(table, tmp_path / "main.v1")
    assert [path.name for path in files] == ["main.v1.csv", "main.v1.md", "main.v1.tex", "main.v1.html"]
    note = f"spbleu: {SIGNATURE}"
    assert files[0].read_text().splitlines() == [
        "direction,Base spbleu,Base copy_rate,Lifted spbleu,Lifted copy_rate,notes",
        f"en→de,1.00,0.00,11.00,5.00,{note}",
        f"en→fr,2.00,,,,{note}",
    ]
    assert files[1].read_text().splitlines() == [
        "| direction | Base spbleu | Base copy_rate | Lifted spbleu | Lifted copy_rate |",
        "|---|---:|---:|---:|---:|",
        "| en→de | 1.00 | **0.00** | **11.00** | 5.00 |",
        "| en→fr | 2.00 |  |  |  |",
        "",
        note,
    ]
    latex = files[2].read_text()
    assert r"en$\rightarrow$de & 1.00 & \textbf{0.00} & \textbf{11.00} & 5.00 \\" in latex
    assert r" & \multicolumn{2}{c}{Base} & \multicolumn{2}{c}{Lifted} \\" in latex
    assert r"\cmidrule(lr){2-3}\cmidrule(lr){4-5}" in latex
    assert r"direction & spbleu & copy\_rate & spbleu & copy\_rate \\" in latex
    assert r"nrefs:1\textbar{}case:mixed" in latex


def test_the_page_has_the_figures_and_marks_of_the_other_forms(tmp_path):
    import xml.etree.ElementTree as ET

    scores = frame(
        rows("A & B", {"en-de": 1.0, "en-fr": 3.0}),
        rows("C", {"en-de": 2.0}),
        rows("C", {"en-de": 5.0}, "copy_rate"),
    )
    table = direction_table(scores, systems=["A & B", "C"], metrics=["spbleu", "copy_rate"], caption="One < two")
    page = write_table(table, tmp_path / "t")[3].read_text(encoding="utf-8")
    body = ET.fromstring(page[page.index("<table>") : page.index("</table>") + len("</table>")])
    lines = [["".join(cell.itertext()) for cell in line] for line in body.iter("tr")]
    assert lines == [
        ["direction", "A & B", "C"],
        ["spbleu", "copy_rate", "spbleu", "copy_rate"],
        # By copy_rate "A & B" has no score at all.
        ["en→de", "1.00", "–", "2.00", "5.00"],
        ["en→fr", "3.00", "–", "", ""],
    ]
    assert [bold.text for bold in body.iter("b")] == ["2.00"]
    assert body.find("caption").text == "One < two"
    assert f"<p>spbleu: {SIGNATURE}</p>" in page


def test_what_prints_equal_is_bold_alike(tmp_path):
    scores = frame(rows("A", {"en-de": 1.001}), rows("B", {"en-de": 1.004}), rows("C", {"en-de": 0.9}))
    files = write_table(direction_table(scores, systems=["A", "B", "C"], metrics=["spbleu"]), tmp_path / "table")
    assert "| en→de | **1.00** | **1.00** | 0.90 |" in files[1].read_text()
    assert "direction & A & B & C" in files[2].read_text()


def test_a_system_for_one_language_leaves_the_others_theirs():
    """Of en→X it has zh alone, as a target of its own: the others are averaged over all they share."""
    scores = frame(
        rows("A", {"en-zh": 10.0, "en-de": 20.0, "en-fr": 60.0, "zh-de": 2.0, "zh-fr": 4.0}),
        rows("B", {"en-zh": 11.0, "en-de": 21.0, "zh-de": 3.0, "zh-fr": 5.0}),
        rows("Chinese", {"en-zh": 99.0, "zh-de": 4.0, "zh-fr": 6.0}),
    )
    table = centre_table(scores, systems=["A", "B", "Chinese"], metrics=["spbleu"], resource={}, centre=["en", "zh"])
    everything = {name: cells(table, name) for name in ("A", "B", "Chinese")}
    assert everything["A"] == {("en→X", "all"): 15.0, ("zh→X", "all"): 3.0, ("X→zh", "all"): 10.0}
    assert everything["B"] == {("en→X", "all"): 16.0, ("zh→X", "all"): 4.0, ("X→zh", "all"): 11.0}
    assert everything["Chinese"] == {("zh→X", "all"): 5.0, ("X→zh", "all"): 99.0}


def test_groups_stand_in_their_order_though_one_is_not_there_at_first():
    scores = frame(rows("A", {"en-de": 30.0, "de-yo": 2.0, "de-fr": 20.0}))
    table = centre_table(scores, systems=["A"], metrics=["spbleu"], resource=RESOURCE, centre=["en", "de"])
    assert list(table.frame.index) == [
        ("en→X", "high"),
        ("en→X", "all"),
        ("de→X", "low"),
        ("de→X", "high"),
        ("de→X", "all"),
        ("X→de", "high"),
        ("X→de", "all"),
    ]


def test_centre_table_by_hand():
    scores = frame(
        rows(
            "S", {"en-de": 30.0, "en-fr": 40.0, "en-yo": 2.0, "en-zu": 4.0, "de-en": 50.0, "yo-en": 6.0, "de-yo": 99.0}
        )
    )
    table = centre_table(scores, systems=["S"], metrics=["spbleu"], resource=RESOURCE, centre=["en"])
    assert cells(table, "S") == {
        ("en→X", "low"): 3.0,
        ("en→X", "high"): 35.0,
        ("en→X", "all"): 19.0,
        ("X→en", "low"): 6.0,
        ("X→en", "high"): 50.0,
        ("X→en", "all"): 28.0,
    }
    assert list(table.frame.index)[:3] == [("en→X", "low"), ("en→X", "high"), ("en→X", "all")]


def test_centre_table_over_some_languages_and_every_centre():
    scores = frame(rows("S", {"en-de": 30.0, "en-yo": 2.0, "de-en": 50.0}))
    table = centre_table(scores, systems=["S"], metrics=["spbleu"], resource=RESOURCE, languages=["en", "de"])
    names = {"de→X": 50.0, "X→de": 30.0, "en→X": 30.0, "X→en": 50.0}
    found = {name: score for (name, group), score in cells(table, "S").items() if group == "all" and name in names}
    assert found == names


def test_averages_are_over_directions_that_all_systems_have():
    scores = frame(rows("A", {"en-de": 30.0, "en-fr": 10.0}), rows("B", {"en-de": 20.0}), rows("C", {"fr-en": 1.0}))
    table = centre_table(scores, systems=["A", "B", "C"], metrics=["spbleu"], resource=RESOURCE, centre=["en"])
    assert cells(table, "A")[("en→X", "all")] == 30.0
    assert cells(table, "B")[("en→X", "all")] == 20.0
    # All are high-resource.
    assert cells(table, "C") == {("X→en", "high"): 1.0, ("X→en", "all"): 1.0}


def test_several_benchmarks_are_the_first_name_of_a_row_in_their_order():
    scores = frame(rows("S", {"en-de": 1.0}, benchmark="ntrex"), rows("S", {"en-de": 2.0, "de-en": 3.0}))
    table = direction_table(scores, systems=["S"], metrics=["spbleu"], benchmarks=["flores", "ntrex"])
    assert list(table.frame.index) == [("flores", "en→de"), ("flores", "de→en"), ("ntrex", "en→de")]


def test_a_note_says_whose_scores_were_made_so():
    scores = frame(
        *(rows(name, {"en-de": 1.0, "en-yo": 2.0}) for name in ("Ours", "More")),
        rows("Theirs", {"en-de": 3.0}),
        # One metric may have several signatures, a tokenizer for each target.
        *(rows(name, {"en-de": 1.0, "en-yo": 2.0}, "bleu") for name in ("Ours", "More")),
    )
    scores.loc[scores["system"] == "Theirs", "signature"] = "as published"
    scores.loc[(scores["metric"] == "bleu"), "signature"] = "tok:13a"
    scores.loc[(scores["metric"] == "bleu") & (scores["target"] == "yo"), "signature"] = "tok:char"
    table = direction_table(scores, systems=["Ours", "More", "Theirs"], metrics=["spbleu", "bleu"])
    assert table.notes[:4] == (
        "spbleu of Theirs: as published",
        f"spbleu of Ours, More: {SIGNATURE}",
        "bleu: tok:13a",
        "bleu: tok:char",
    )


def test_the_configuration_chooses_the_layout():
    scores = frame(rows("S", {"en-de": 30.0, "en-yo": 2.0, "de-en": 50.0}))
    entry = {"systems": ["S"], "benchmarks": ["flores"], "languages": ["en", "de"]}
    by_direction = build_table(scores, Table.model_validate(entry), resource=RESOURCE)
    assert cells(by_direction, "S") == {"en→de": 30.0, "de→en": 50.0}
    entry |= {"layout": "centre", "centre": ["de"], "caption": "Around German"}
    around = build_table(scores, Table.model_validate(entry), resource=RESOURCE)
    assert cells(around, "S")[("X→de", "all")] == 30.0
    assert around.caption == "Around German"


def test_scores_are_read_as_they_were_written(tmp_path):
    # "nan" is no missing value here, and the last digit counts.
    write_scores(rows("null", {"en-nan": 100 / 3}), tmp_path / "scores.csv")
    scores = read_scores([tmp_path / "scores.csv"])
    assert scores.to_dict("records") == rows("null", {"en-nan": 100 / 3})


def test_mistakes_in_scores(tmp_path):
    write_scores(rows("S", {"en-de": 1.0}), tmp_path / "scores.csv")
    with pytest.raises(LingualiftError, match="spbleu of S on flores en-de stands twice"):
        read_scores([tmp_path / "scores.csv", tmp_path / "scores.csv"])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"other\.csv:1: not a file of scores"):
        read_scores([tmp_path / "other.csv"])
    with pytest.raises(LingualiftError, match="no scores of system Absent"):
        direction_table(frame(rows("S", {"en-de": 1.0})), systems=["Absent"], metrics=["spbleu"])


@pytest.mark.parametrize("score", ["nan", "inf", "-inf", "much"])
def test_a_score_that_is_no_number_names_its_line(tmp_path, score):
    """Of the numbers around it none is made text, and an empty one is no mistake."""
    path = tmp_path / "scores.csv"
    write_scores(rows("S", {"en-de": 1.0, "en-fr": "", "de-fr": score, "fr-de": 2.0}), path)
    with pytest.raises(InputError, match=rf"scores\.csv:4: {score} is no score: empty, or a finite number"):
        read_scores([path])
    write_scores(rows("S", {"en-de": 1.0, "en-fr": "", "fr-de": 2.0}), path)
    write_scores(rows("T", {"en-de": ""}), tmp_path / "unknown.csv")
    write_scores([], tmp_path / "none.csv")
    scores = read_scores([path, tmp_path / "unknown.csv", tmp_path / "none.csv"])
    assert scores["score"].fillna(-1.0).tolist() == [1.0, -1.0, 2.0, -1.0]


def released(path, system: str) -> pd.DataFrame:
    return pd.DataFrame(published_scores(path, system=system, benchmark="flores101", metric="spbleu"))


SYSTEMS = [
    "LLaMA2-7B-Alpaca",
    "LLaMA3-8B-Alpaca",
    "ChineseLLaMA2-Alpaca",
    "Swallow-7B-Instruct-v0.1",
    "LLaMAX2-7B-Alpaca",
]
# What M2M-100 does not translate: the authors' second summary leaves these out.
OUTSIDE_M2M = {"as", "kam", "kea", "ku", "ky", "luo", "mi", "mt", "ny", "om", "sn", "te", "tg", "umb", "zhtrad"}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("num_languages", [101, 85])
def test_averages_equal_those_of_the_authors(shared_data, request, system, num_languages):
    folder = shared_data / "published" / "llamax" / system / "spBLEU_score"
    scores = released(folder / "spBLEU_score.csv", system)
    languages = load_languages(request.config.rootpath / "config" / "languages.tsv")
    codes = {*scores["source"], *scores["target"]}
    table = centre_table(
        scores,
        systems=[system],
        metrics=["spbleu"],
        resource={code: language.resource for code, language in languages.items()},
        languages=sorted(codes - (OUTSIDE_M2M if num_languages == 85 else set())),
    )
    ours = cells(table, system)
    with (folder / f"summary_{num_languages}.csv").open(encoding="utf-8-sig", newline="") as file:
        summary = list(csv.DictReader(file))
    assert summary
    for row in summary:
        name = row["direct"].replace("-", "→").replace("x", "X")
        for group in ("low", "high", "all"):
            # The scores are rounded to two decimals, and so are their means.
            assert ours[(name, group)] == pytest.approx(float(row[group]), abs=0.0101), (name, group)


@pytest.mark.parametrize("system", SYSTEMS)
def test_counts_of_figure_1_are_those_of_the_raw_file(shared_data, system):
    path = shared_data / "published" / "llamax" / system / "spBLEU_score" / "spBLEU_score.csv"
    scores = released(path, system)
    raw = pd.read_csv(path, index_col=0, na_values=["/"])
    centres = [name.removesuffix("-x") for name in raw.index if name.endswith("-x")]
    counts = count_directions(scores, centre=centres).set_index("centre")
    for code in centres:
        row = counts.loc[code]
        assert (row["outward"], row["inward"]) == ((raw.loc[f"{code}-x"] > 10).sum(), (raw.loc[f"x-{code}"] > 10).sum())
        assert (row["num_outward"], row["num_inward"]) == (101, 101)


def test_published_scores_are_written_as_ours_are(tmp_path):
    (tmp_path / "spbleu.csv").write_text("\ufeffdirect,en,de,fr\nen-x,/,1.5,2\nx-de,9.9,/,3\n")
    out = tmp_path / "S.csv"
    files = {"spbleu": tmp_path / "spbleu.csv"}
    account = import_published_scores(files, system="S", benchmark="B", signature="as printed", out=out)
    assert account.counts == {"directions of spbleu": 3}
    read = read_scores([out])
    # en→de stands in both rows: the first counts.
    assert list(read[["source", "target", "score"]].itertuples(index=False, name=None)) == [
        ("en", "de", 1.5),
        ("en", "fr", 2.0),
        ("fr", "de", 3.0),
    ]
    assert set(read["signature"]) == {"as printed"}
    with pytest.raises(InputError, match=r"absent\.csv: no such file"):
        published_scores(tmp_path / "absent.csv", system="S", benchmark="B", metric="spbleu")


def test_published_scores_may_say_of_each_metric_how_it_was_made(tmp_path):
    files = {metric: tmp_path / f"{metric}.csv" for metric in ("spbleu", "comet")}
    for path in files.values():
        path.write_text("direct,en,de\nen-x,/,1.5\n")
    said = {"comet": "COMET-22, times 100", "spbleu": "flores101"}
    out = tmp_path / "S.csv"
    import_published_scores(files, system="S", benchmark="B", signature=said, out=out)
    table = direction_table(read_scores([out]), systems=["S"], metrics=["spbleu", "comet"])
    assert table.notes == ("spbleu: flores101", "comet: COMET-22, times 100")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"scores\.csv:1: expected a first line with a column for each language, found none"),
        ("\ndirect,en,de\nen-x,/,1.5\n", r"scores\.csv:1: expected a first line with a column for each language"),
        ("direct\nen-x\n", r"scores\.csv:1: expected a first line"),
        ("direct,en,de\n", r"scores\.csv: not one score in it"),
        ("direct,en,de\nen-x,/,/\n", r"scores\.csv: not one score in it"),
    ],
)
def test_published_scores_that_are_none_are_told(tmp_path, text, message):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        published_scores(tmp_path / "scores.csv", system="S", benchmark="B", metric="spbleu")


def test_published_scores_name_a_bad_cell(tmp_path):
    for cell in ("many", "nan"):
        # Blank lines count.
        (tmp_path / "scores.csv").write_text(f"direct,en,de\n\nen-x,/,1.5\nx-en,/,{cell}\n")
        with pytest.raises(InputError, match=rf"scores\.csv:4: not a number: '{cell}' in column de"):
            published_scores(tmp_path / "scores.csv", system="S", benchmark="B", metric="spbleu")
    (tmp_path / "scores.csv").write_bytes("direct,en,é\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"scores\.csv: not UTF-8"):
        published_scores(tmp_path / "scores.csv", system="S", benchmark="B", metric="spbleu")
    (tmp_path / "scores.csv").write_text("direct,en,de\nen-de,1,2\n")
    with pytest.raises(InputError, match=r"scores\.csv:2: expected a row such as en-x"):
        published_scores(tmp_path / "scores.csv", system="S", benchmark="B", metric="spbleu")
