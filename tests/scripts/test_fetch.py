"""The scripts of the fetch rules, with a downloader that takes files from this machine."""

import fnmatch
import importlib.util
import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest

from lingualift.errors import LingualiftError
from lingualift.files import checksum

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A folder that stands for a repository of the hub, and the calls that were made."""
    files, calls = tmp_path / "hub", []
    files.mkdir()

    def snapshot_download(name, *, repo_type, revision, local_dir, allow_patterns, ignore_patterns):
        calls.append((name, repo_type, revision))
        for path in sorted(path for path in files.rglob("*") if path.is_file()):
            relative = str(path.relative_to(files))
            wanted = allow_patterns is None or any(fnmatch.fnmatch(relative, pattern) for pattern in allow_patterns)
            if wanted and not any(fnmatch.fnmatch(relative, pattern) for pattern in ignore_patterns):
                target = Path(local_dir) / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        (Path(local_dir) / ".cache").mkdir(exist_ok=True)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return files, calls


def fetch_model(tmp_path, **settings):
    script("fetch_model")(
        folder=str(tmp_path / "model"),
        settings={"name": "owner/model", "revision": COMMIT, **settings},
        state=str(tmp_path / "state"),
        version=1,
    )
    return tmp_path / "model"


def fetch_dataset(tmp_path, **settings):
    script("fetch_dataset")(
        folder=str(tmp_path / "data"),
        settings={"name": "owner/data", "revision": COMMIT, **settings},
        state=str(tmp_path / "state"),
        version=1,
    )
    return tmp_path / "data"


def test_a_model_comes_with_checksums_and_without_code_or_pickles(hub, tmp_path):
    files, calls = hub
    (files / "config.json").write_text('{"model_type": "llama"}')
    (files / "model.safetensors").write_bytes(b"weights")
    (files / "tokenizer.json").write_text("{}")
    (files / "original").mkdir()
    for name in ("pytorch_model.bin", "modeling_llama.py", "original/params.json", "consolidated.pth"):
        (files / name).write_text("never")
    # Its card, and what one may do with it.
    for name in ("README.md", "LICENSE.txt"):
        (files / name).write_text("licence: mine")
    folder = fetch_model(tmp_path)
    assert calls == [("owner/model", "model", COMMIT)]
    assert sorted(path.name for path in folder.iterdir()) == [
        "LICENSE.txt",
        "README.md",
        "config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["weights"] == {"model.safetensors": checksum(files / "model.safetensors")}
    assert set(manifest["files"]) == {"LICENSE.txt", "README.md", "config.json", "model.safetensors", "tokenizer.json"}
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.json": "{}", "pytorch_model.bin": ""}, "no safetensors"),
        ({"model.safetensors": ""}, r"no config\.json"),
        ({"model.safetensors": "", "config.json": '{"auto_map": {}}'}, "code of its own"),
    ],
)
def test_models_that_cannot_be_loaded_safely_are_refused(hub, tmp_path, files, message):
    for name, content in files.items():
        (hub[0] / name).write_text(content)
    with pytest.raises(LingualiftError, match=message):
        fetch_model(tmp_path)
    assert not (tmp_path / "model").exists()


def test_a_failed_download_says_what_could_not_be_had(monkeypatch, tmp_path):
    def no_network(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", no_network)
    with pytest.raises(LingualiftError, match=r"owner/model at 0123.*no route to host"):
        fetch_model(tmp_path)


def test_a_data_set_is_saved_for_the_reader(hub, tmp_path):
    import datasets

    (hub[0] / "train.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    (hub[0] / "other.jsonl").write_text('{"text": "three"}\n')
    folder = fetch_dataset(tmp_path, files="train.jsonl")
    assert hub[1] == [("owner/data", "dataset", COMMIT)]
    assert datasets.load_from_disk(str(folder))["train"]["text"][:] == ["one", "two"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"] == {"train.jsonl": checksum(hub[0] / "train.jsonl")}
    assert manifest["counts"] == {"rows of train": 2}


def test_a_data_set_of_pickles_is_refused(hub, tmp_path):
    (hub[0] / "train.pkl").write_bytes(b"")
    with pytest.raises(LingualiftError, match="owner/data"):
        fetch_dataset(tmp_path)
    assert not (tmp_path / "data").exists()
