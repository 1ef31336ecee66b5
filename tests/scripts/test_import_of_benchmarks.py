"""The import of a test set, as its rule calls it: texts that are in another language are told, and stop nothing."""

import importlib.util
import logging
from pathlib import Path

from lingualift.configuration.loading import load_run
from lingualift.files import read_json
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]


def test_a_reference_in_another_language_is_told_at_import(shared_data, tmp_path, caplog) -> None:
    """Also in a run that asks for no rate of languages; of what langdetect does not know the script tells."""
    spec = importlib.util.spec_from_file_location("import_corpus", ROOT / "workflow/scripts/import_corpus.py")
    assert spec and spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for code, theirs in {"en": "eng", "de": "fra", "am": "amh", "or": "tha", "zhtrad": "zho_trad", "cs": "ces"}.items():
        text = (shared_data / "flores101" / "devtest" / f"{theirs}.devtest").read_bytes()
        (tmp_path / f"test.{code}").write_bytes(b"".join(text.splitlines(keepends=True)[:30]))
    test = {"reader": "multiway", "path": ".", "files": "test.{language}", "directions": {"centre": ["en"]}}
    languages = ["en", "de", "am", "or", "zhtrad", "cs"]
    configuration = {"run": "r", "data": str(tmp_path), "languages": languages, "benchmarks": {"test": test}}
    settings = Plan(load_run(configuration, root=ROOT)).benchmark_settings("test")
    caplog.set_level(logging.WARNING)
    script.main(folder=str(tmp_path / "out"), settings=settings, state=str(tmp_path / "state"), threads=1, version=1)
    assert read_json(tmp_path / "out" / "manifest.json")["in_their_language"] == {"cs": 100, "de": 0, "en": 100}
    assert [record.getMessage() for record in caplog.records] == [
        f"{what}: are they in another language?"
        for what in (
            "de of 'multiway': 0 % of the first 30 are taken for it",
            "or of 'multiway': 0 % of the first 30 are in its script (Orya)",
        )
    ]
