"""Manifests: what an artifact says of itself."""

import time

from lingualift.manifests import Manifest, load_manifest


def test_a_manifest_is_read_back(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    manifest = Manifest("corpus", {"path": "abc"}, seed=3)
    manifest.add_input(tmp_path / "abc")
    manifest.counts.update(rows=2)
    manifest.dropped.update(empty=1)
    manifest.details["tables"] = []
    time.sleep(0.01)
    manifest.save(tmp_path / "manifest.json")
    found = load_manifest(tmp_path / "manifest.json")
    assert (found["kind"], found["seed"], found["counts"], found["dropped"]) == ("corpus", 3, {"rows": 2}, {"empty": 1})
    assert found["inputs"][str(tmp_path / "abc")].startswith("ba7816bf")
    assert found["seconds"] >= 0.01
    assert {"lingualift", "python", "pyarrow"} <= set(found["versions"])
