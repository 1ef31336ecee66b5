"""What is read from files is read again when a file changes: a dry run after a real one."""

import os
import time

import pytest
from test_runs import checkout, output_of, planned

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A checkout whose lexicons are built."""
    folder = checkout(tmp_path_factory.mktemp("built"))
    output_of(folder, "--", "lexicons")
    return folder


def touched(path):
    """What a test of times goes by: later than anything that was made."""
    os.utime(path, (time.time() + 10,) * 2)


def test_an_edited_dictionary_is_read_again(built):
    assert planned(built, "--", "lexicons") == {}
    dictionaries = built / "demo/data/dictionaries"
    file = next(iter(sorted(dictionaries.glob("en-*.txt"))))
    text, times = file.read_text(encoding="utf-8"), file.stat()
    # A folder's own time says nothing of an edit in it.
    before = dictionaries.stat().st_mtime_ns
    file.write_text(text + "new\tneu\n", encoding="utf-8")
    touched(file)
    assert dictionaries.stat().st_mtime_ns == before
    assert planned(built, "--", "lexicons") == {"build_lexicon": 1, "lexicons": 1, "total": 2}
    file.write_text(text, encoding="utf-8")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_another_fact_of_a_language_is_not_its_matter(built):
    table = built / "config/languages.tsv"
    lines = table.read_text(encoding="utf-8").splitlines()
    rows = [line if line.startswith("#") else f"{line}\tx" for line in lines]
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert planned(built, "--", "lexicons") == {}
    # Which the run may not use, and its dictionary neither.
    changed = [row.replace("\tspace\t", "\tcharacter\t") for row in rows]
    table.write_text("\n".join(changed) + "\n", encoding="utf-8")
    assert planned(built, "--", "lexicons") == {}
