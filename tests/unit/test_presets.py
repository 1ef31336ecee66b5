"""The presets that are shipped: each loads, and is what it says it is."""

from pathlib import Path

import pytest
import yaml

from lingualift.configuration.loading import load_run
from lingualift.languages import load_languages
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]
PRESETS = sorted(
    path for path in (ROOT / "config").glob("*.yaml") if "run" in yaml.safe_load(path.read_text(encoding="utf-8"))
)


def plan(name):
    return Plan(load_run(ROOT / "config" / f"{name}.yaml", root=ROOT))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_loads_and_is_named_after_its_run(path):
    assert plan(path.stem).configuration.run == path.stem


def test_the_readme_names_every_file():
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    files = [path.name for path in (ROOT / "config").iterdir() if path.suffix in (".yaml", ".tsv")]
    assert [name for name in files if f"| `{name}` |" not in text] == []


def test_ntrex_has_all_languages_that_ntrex_and_flores_share():
    table = load_languages(ROOT / "config" / "languages.tsv")
    shared = {code for code, language in table.items() if {"ntrex", "flores101"} <= set(language.codes)}
    assert set(plan("ntrex").languages) == shared


def test_llamax2_is_the_run_of_the_paper():
    it = plan("llamax2")
    table = load_languages(ROOT / "config" / "languages.tsv")
    assert set(it.languages) == {code for code, language in table.items() if language.seen}
    assert len(it.languages) == 102
    recipe = it.configuration.recipes["lift"]
    # LLaMAX, section C.1: 24 GPUs, 32 a device, 2e-5, one epoch.
    assert recipe.nodes * recipe.devices == 24
    assert recipe.share(24) == (recipe.device_batch, 1) == (32, 1)
    assert (recipe.learning_rate, recipe.epochs) == (2e-5, 1)
    lifting = it.configuration.mixtures["lifting"]
    assert (lifting.block, lifting.small_pairs.below, lifting.small_pairs.repeats) == (512, 25_000, 3)
    # The monolingual corpora together have each of section 2.1's 94 languages once: those that Table 9 has sentences of.
    codes = [
        code
        for name in ("mc4", "madlad")
        for code in it.configuration.corpora[name].languages_covered(it.languages, table)
    ]
    assert sorted(codes) == sorted(code for code, language in table.items() if language.mono)
    assert len(codes) == 94
    # As many rows as that table has sentences; D_mono and D_En have nothing in common (Algorithm 1).
    corpora = it.configuration.corpora
    mono, more = (corpora[name].counted(it.languages, table) for name in ("mc4", "english-more"))
    assert [mono.rows_of([code]) for code in ("he", "en", "de")] == [(0, 300_000), (0, 846_712), (0, 881_553)]
    assert corpora["madlad"].counted(it.languages, table).rows_of(["hr"]) == (0, 300_000)
    assert more.rows_of(["en"]) == (846_712, 500_000)
    # Short pages alone: what is translated is asked for by the sentence.
    assert (more.max_characters, more.max_dropped) == (500, 1)
    # Seven centre languages with 101 others both ways, the 42 among themselves counted once.
    assert len(it.directions("flores101")) == 7 * 101 * 2 - 42


def test_llamax2_reads_the_files_of_their_publishers(tmp_path):
    """The training files of allenai/c4 and the clean ones of allenai/MADLAD-400, as these repositories name them."""
    read = {
        "mc4/multilingual/c4-bg.tfrecord-00000-of-00512.json.gz": ("mc4", "bg"),
        "mc4/multilingual/c4-bg-validation.tfrecord-00000-of-00001.json.gz": None,
        "mc4/multilingual/c4-bg-Latn.tfrecord-00000-of-00004.json.gz": None,
        "mc4/multilingual/c4-iw.tfrecord-00000-of-00512.json.gz": ("mc4", "he"),
        "mc4/multilingual/c4-en.tfrecord-00001-of-11264.json.gz": ("mc4", "en"),
        "madlad/data/as/as_clean_0000.jsonl.gz": ("madlad", "as"),
        "madlad/data/as/as_noisy_0000.jsonl.gz": None,
        "madlad/data/ckb/ckb_clean_0000.jsonl.gz": ("madlad", "ku"),
    }
    for name in read:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    it = plan("llamax2")
    found = {}
    for corpus in ("mc4", "madlad"):
        for source in it.configuration.corpora[corpus].tables(it.languages, it.run.languages, tmp_path):
            found |= {str(path.relative_to(tmp_path)): (corpus, source.name) for path in source.files if path.exists()}
    assert found == {name: where for name, where in read.items() if where}
    [more] = it.configuration.corpora["english-more"].tables(it.languages, it.run.languages, tmp_path)
    assert [path.name for path in more.files] == ["c4-en.tfrecord-00001-of-11264.json.gz"]


def test_llamax2_tunes_on_as_many_examples_as_alpaca():
    """Stanford Alpaca: 128 examples of at most 512 tokens a step, each by itself, three times over, at 2e-5."""
    it = plan("llamax2").configuration
    mixture, recipe = it.mixtures["alpaca"], it.recipes["tune"]
    assert (mixture.block, mixture.isolate, mixture.packing, mixture.loss) == (512, True, "whole", "response")
    # Alpaca's examples have some 130 tokens of LLaMA's: 520 characters with the prompt.
    assert recipe.batch * mixture.block / 130 == pytest.approx(128, rel=0.05)
    assert recipe.share(recipe.nodes * recipe.devices) == (4, 1)
    assert (recipe.learning_rate, recipe.epochs) == (2e-5, 3)


def test_tables_of_the_evaluation_have_every_system_whose_numbers_are_printed():
    """What stands in config/published is shown: systems and, of Table 8, metrics."""
    tables = plan("evaluation").configuration.tables
    checked = 0
    for name in ("table4", "table7", "table8", "table13"):
        table = tables[name]
        lines = (ROOT / "config" / "published" / f"{table.published}.csv").read_text(encoding="utf-8").splitlines()
        header, *rows = [line.split(",") for line in lines if not line.startswith("#")]
        printed = {row[header.index("system")] for row in rows}
        shown = {table.published_as.get(system, system) for system in table.systems}
        # A system through a pivot is a column of the system itself.
        assert printed == shown - {system for system in table.systems if system.endswith("-pivot")}, name
        if name == "table8":
            # The copies stand there because COMET does not see them.
            assert {column.split()[0] for column in header[2:]} == {"spbleu", "comet"}
            assert table.metrics == ("spbleu", "comet", "copy_rate")
        checked += 1
    assert checked == 4


def test_figure5_is_that_of_the_paper():
    """LLaMAX, Figure 5: beside models made for Chinese and for Japanese, around these."""
    figure = plan("evaluation").configuration.figures["figure5"]
    assert figure.centre == ("zh", "ja")
    assert [name.split("-")[0] for name in figure.systems] == ["LLaMA2", "ChineseLLaMA2", "Swallow", "LLaMAX2"]
