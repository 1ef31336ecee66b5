"""Planning of data: the files that jobs are read from, and what they are told of languages."""

import os
from pathlib import Path

import pytest

from lingualift.configuration.loading import load_run
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "config" / "languages.tsv"


def plan(folder, *, languages_file=None, **sections):
    """A plan of some corpora, dictionaries and augmentations of German, English and French under ``folder``."""
    values = {"run": "test", "data": str(folder), "languages": ["en", "de", "fr"], **sections}
    if languages_file is not None:
        values["languages_file"] = str(languages_file)
    return Plan(load_run(values, root=ROOT))


def write(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("dog chien\n", encoding="utf-8")


def relative(folder, paths):
    return [os.path.relpath(path, folder) for path in paths]


def test_the_missing_side_of_a_pair_is_told(tmp_path):
    write(tmp_path, "legomt/en-fr/train.en", "legomt/en-de/train.en", "legomt/en-de/train.de")
    entry = {"reader": "aligned", "path": "legomt/{source}-{target}", "files": "train.{language}"}
    it = plan(tmp_path, corpora={"legomt": entry})
    assert it.missing_data() == {"corpora.legomt": [str(tmp_path / "legomt/en-fr/train.fr")]}
    there = ["legomt/en-de/train.de", "legomt/en-de/train.en", "legomt/en-fr/train.en"]
    assert sorted(relative(tmp_path, it.raw_files("corpora", "legomt"))) == there


def test_pairs_without_any_file_are_told_by_their_pattern(tmp_path):
    (tmp_path / "tico").mkdir()
    entry = {"reader": "aligned", "path": "tico", "files": "{source}-{target}.{language}"}
    it = plan(tmp_path, corpora={"tico": entry})
    assert it.missing_data() == {"corpora.tico": [str(tmp_path / "tico/{source}-{target}.{language}")]}
    assert it.raw_files("corpora", "tico") == []


def test_a_dictionary_is_its_files_not_their_folder(tmp_path):
    write(tmp_path, "muse/en-fr.txt", "muse/fr-de.txt.gz", "muse/en-cs.txt", "muse/README")
    it = plan(tmp_path, dictionaries={"muse": {"reader": "muse", "path": "muse"}})
    assert relative(tmp_path, it.raw_files("dictionaries", "muse")) == ["muse/en-fr.txt", "muse/fr-de.txt.gz"]
    # What is not there is the job's to complain of.
    assert plan(tmp_path / "none", dictionaries={"muse": {"reader": "muse", "path": "muse"}}).missing_data() == {
        "dictionaries.muse": [str(tmp_path / "none/muse")]
    }


def test_a_saved_data_set_is_its_files_too(tmp_path):
    write(tmp_path, "saved/dataset_info.json", "saved/train/data.arrow")
    entry = {"reader": "datasets", "path": "saved", "text_field": "text", "language": "en"}
    it = plan(tmp_path, corpora={"saved": entry})
    found = relative(tmp_path, it.raw_files("corpora", "saved"))
    assert found == ["saved/dataset_info.json", "saved/train/data.arrow"]


def told(folder, languages_file):
    """What the jobs are told, by what they are of."""
    it = plan(
        folder,
        languages_file=languages_file,
        corpora={
            "own": {"reader": "lines", "path": "{language}.txt"},
            "coded": {"reader": "lines", "path": "leipzig/{language}.txt", "codes": "leipzig"},
            "counted": {"reader": "lines", "path": "{language}.txt", "limit": "mono", "languages": ["en", "de"]},
        },
        dictionaries={
            "muse": {"reader": "muse", "path": "muse"},
            "own": {"reader": "tsv", "path": "words"},
            "two": {"reader": "panlex-swadesh", "path": "x.zip", "languages": ["en", "de"]},
        },
        augmentations={"words": {"dictionary": "muse", "source": "own"}},
    )
    return {
        "own": it.corpus_settings("own"),
        "coded": it.corpus_settings("coded"),
        "counted": it.corpus_settings("counted"),
        "muse": it.lexicon_settings("muse"),
        "words": it.lexicon_settings("own"),
        "two": it.lexicon_settings("two"),
        "augmentation": it.augmentation_settings("words"),
    }


@pytest.mark.parametrize(
    ("column", "language", "cell", "jobs"),
    [
        ("new", "de", "anything", set()),
        ("mono", "de", "1", {"counted"}),
        ("mono", "fr", "1", set()),
        ("name", "de", "Deutsch", set()),
        ("family", "de", "Germanic", set()),
        ("xnli", "de", "ger", set()),
        ("leipzig", "de", "ger", {"coded"}),
        ("muse", "de", "ger", {"muse"}),
        ("panlex", "de", "deu-001", {"two"}),
        ("panlex", "fr", "fra-001", set()),
        ("segmentation", "de", "character", {"augmentation"}),
    ],
)
def test_a_cell_of_the_languages_reaches_the_jobs_that_use_it(tmp_path, column, language, cell, jobs):
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = [line.split("\t") for line in lines]
    if column not in rows[0]:
        rows = [[*row, column if row is rows[0] else ""] for row in rows]
    row = next(row for row in rows if row[0] == language)
    row[rows[0].index(column)] = cell
    changed = tmp_path / "languages.tsv"
    changed.write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding="utf-8")
    before, after = told(tmp_path, TABLE), told(tmp_path, changed)
    assert {job for job in before if before[job] != after[job]} == jobs


def test_a_language_that_a_dictionary_lacks_is_not_its_matter(tmp_path):
    muse = {"muse": {"reader": "muse", "path": "muse"}}
    before, after = (
        plan(tmp_path, dictionaries=muse),
        plan(tmp_path, dictionaries=muse, languages=["en", "de", "fr", "zu"]),
    )
    assert before.lexicon_settings("muse") == after.lexicon_settings("muse")


def test_the_sentences_of_table_9_are_told_as_numbers(tmp_path):
    entry = {"reader": "lines", "path": "{language}.txt", "limit": "mono"}
    more = {"reader": "lines", "path": "en.txt", "language": "en", "skip": "mono", "limit": 7}
    it = plan(tmp_path, corpora={"own": entry, "more": more}, languages=["he", "en", "de"])
    # LLaMAX, Table 9.
    counts = {"he": 300_000, "en": 846_712, "de": 881_553}
    assert it.corpus_settings("own")["corpus"]["limit"] == counts
    assert it.corpus_settings("more")["corpus"]["skip"] == {"en": 846_712}
    assert it.corpus_settings("more")["corpus"]["limit"] == 7


MIXTURES = {
    "connected": {"components": [{"corpus": "captions"}, {"augmentation": "words"}]},
    "split": {"components": [{"corpus": "captions", "format": "split"}]},
    "tasks": {"components": [{"corpus": "tasks"}]},
    "translations": {"components": [{"corpus": "captions", "format": "instruction", "languages": ["en", "de"]}]},
}


@pytest.mark.parametrize(
    ("file", "old", "new", "mixtures"),
    [
        ("languages.tsv", "\tGerman\t", "\tDeutsch\t", {"translations"}),
        # Nothing is asked in French.
        ("languages.tsv", "\tFrench\t", "\tFrançais\t", set()),
        ("prompts.yaml", "Below is an instruction", "Here is an instruction", {"tasks", "translations"}),
    ],
)
def test_what_nothing_is_asked_with_packs_nothing_again(tmp_path, file, old, new, mixtures):
    def settings(**files):
        it = plan(
            tmp_path,
            corpora={
                "captions": {"reader": "multiway", "path": "captions", "files": "train.{language}"},
                "tasks": {"reader": "alpaca", "path": "tasks.json"},
            },
            dictionaries={"muse": {"reader": "muse", "path": "muse"}},
            augmentations={"words": {"dictionary": "muse", "source": "captions"}},
            mixtures=MIXTURES,
            **files,
        )
        return {name: it.mixture_settings(name) for name in MIXTURES}

    text = (ROOT / "config" / file).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new), encoding="utf-8")
    before, after = settings(), settings(**{f"{Path(file).stem}_file": str(tmp_path / file)})
    assert {name for name in MIXTURES if before[name] != after[name]} == mixtures
