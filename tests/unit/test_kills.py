"""Augmenting and mixing, killed at whatever they do to a file and begun again: the bytes of an unbroken run.

Packing, training and translating are killed in tests of their own.
"""

import json
import os
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from killing import Fuse
from making import write_corpus

from lingualift.arrow_tables import TableWriter
from lingualift.augmentation import augment_corpus
from lingualift.configuration.lexicons import Augmentation, MuseDictionary
from lingualift.configuration.mixtures import Mixture
from lingualift.corpora import corpus_tables
from lingualift.languages import load_languages
from lingualift.lexicons import build_lexicon
from lingualift.mixing import plan_mixture

CODES = ["en", "fr", "de"]
LANGUAGES = load_languages(Path(__file__).parents[2] / "config" / "languages.tsv")
SENTENCES = {"en": "The dog {}", "fr": "Le chien {}", "de": "Der Hund {}"}
WORDS = {"en-fr": "dog chien\nthe le\n", "en-de": "dog hund\nthe der\n", "fr-de": "chien hund\n"}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of three languages, one of one language, and a lexicon."""
    folder = tmp_path_factory.mktemp("given")
    columns = {code: [text.format(line) for line in range(40)] for code, text in SENTENCES.items()}
    write_corpus(folder / "captions", {"multiway": columns})
    write_corpus(folder / "english", {"en": {"en": [f"A cat {line}" for line in range(30)]}})
    (folder / "muse").mkdir()
    for pair, text in WORDS.items():
        (folder / "muse" / f"{pair}.txt").write_text(text, encoding="utf-8")
    dictionary = MuseDictionary(reader="muse", path="muse")
    build_lexicon(dictionary, languages={code: LANGUAGES[code] for code in CODES}, data=folder, out=folder / "lexicon")
    return folder


def augment(given: Path, folder: Path) -> None:
    """Two pairs of the corpus, both directions of each."""
    augment_corpus(
        Augmentation(dictionary="muse", source="captions", rate=0.5, pairs=["en-fr", "en-de"]),
        corpus_folder=given / "captions",
        lexicon_folder=given / "lexicon",
        languages=LANGUAGES,
        codes=CODES,
        seed=17,
        out=folder / "out",
        work=folder / "work",
    )


def mix(given: Path, folder: Path) -> None:
    components = [{"corpus": "captions"}, {"corpus": "english", "sample": 0.5}]
    mixture = Mixture.model_validate({"components": components})
    tables = {name: corpus_tables(given / name) for name in ("captions", "english")}
    plan_mixture(mixture, tables=tables, languages=CODES, seed=17).save(folder / "plan.json")


def made(folder: Path) -> dict[str, Any]:
    """All files in a folder, without the time that they took."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    if manifest := files.get("out/manifest.json"):
        files["out/manifest.json"] = {**json.loads(manifest), "seconds": None}
    return files


def survive(work: Callable[[Path], None], folder: Path, fuse: Fuse, *, product: str, leaves: set[str]) -> int:
    """Kill some work at each call that is counted, and do it again; beside all that, ``unbroken`` is what it makes.

    Args:
        product: what it makes, in its folder; there only if it is whole.
        leaves: what is in its folder at the end.

    Returns:
        How often it was killed.
    """
    work(folder / "unbroken")
    expected = made(folder / "unbroken")
    for after in count():
        here = folder / str(after)
        killed = fuse.kills(partial(work, here), after=after)
        if (here / product).exists():
            whole = {name: content for name, content in made(here).items() if name.startswith(product)}
            assert whole == expected, f"killed after {after} calls"
        if not killed:
            return after
        work(here)
        assert made(here) == expected, f"killed after {after} calls"
        assert {path.name for path in here.iterdir()} == leaves


def test_augmentation_killed_at_each_thing_that_it_does(given, tmp_path, monkeypatch) -> None:
    fuse = Fuse(monkeypatch)
    fuse.lay(TableWriter, "add")
    for name in ("rename", "link", "unlink", "rmdir"):
        fuse.lay(os, name)
    kills = survive(partial(augment, given), tmp_path, fuse, product="out", leaves={"out", "work"})
    tables = {f"out/tables/{name}.arrow" for name in ("en-fr", "fr-en", "en-de", "de-en")}
    assert set(made(tmp_path / "unbroken")) == {*tables, "out/coverage.csv", "out/manifest.json"}
    # At least: four tables filled, renamed, linked and removed; of two pairs, what is done renamed and removed; the
    # coverage, the manifest and the whole renamed; the state removed.
    assert kills >= 4 * 4 + 2 * 2 + 3 + 1


def test_mixing_killed_at_each_thing_that_it_does(given, tmp_path, monkeypatch) -> None:
    fuse = Fuse(monkeypatch)
    fuse.lay(Path, "write_text")
    for name in ("rename", "unlink", "fsync"):
        fuse.lay(os, name)
    kills = survive(partial(mix, given), tmp_path, fuse, product="plan.json", leaves={"plan.json"})
    plan = json.loads(made(tmp_path / "unbroken")["plan.json"])
    assert [stream["take"] for stream in plan["streams"]] == [40, 40, 40, 15]
    # At least: written, on the disk, renamed.
    assert kills >= 3
