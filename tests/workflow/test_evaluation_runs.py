"""Evaluation as it is run: FLORES-101 in all its languages from English, FLORES-200's unseen ones, a fetched set.

    python -m pytest -q tests/workflow/test_evaluation_runs.py --basetemp=/tmp/evaluation

leaves the tables and figures in ``/tmp/evaluation/run0/results/flores``. Every metric is that of the real package; the
model is tiny and random, so that its scores are near nothing; files of hypotheses, references with every third word
left out, stand beside it and score as they have to.
"""

import csv
import functools
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_runs import checkout, output_of, planned

ROOT = Path(__file__).parents[2]
SENTENCES = 3
sys.path.append(str(ROOT / "tests" / "unit"))
RESULTS = "results/flores"
NARROW = ("af", "de", "ja", "th")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def languages() -> list[str]:
    """The 102 of FLORES-101, as the preset names them."""
    preset = yaml.safe_load((ROOT / "config" / "evaluation.yaml").read_text(encoding="utf-8"))
    from lingualift.languages import load_languages

    table = load_languages(ROOT / "config" / "languages.tsv")
    found = [code for code in preset["languages"] if "flores101" in table[code].codes]
    assert len(found) == 102
    return found


@pytest.fixture(scope="module")
def unseen(shared_data: Path) -> list[str]:
    """FLORES-200's languages outside of FLORES-101, as far as they are there."""
    from lingualift.languages import load_languages

    table = load_languages(ROOT / "config" / "languages.tsv")
    files = {path.stem for path in (shared_data / "flores200" / "devtest").iterdir()}
    found = [code for code, it in table.items() if not it.seen and it.codes.get("flores200") in files]
    assert len(found) == 24
    return found


def comet_environment() -> Path | None:
    """COMET's environment as the rule builds it, for today's pins."""
    from lingualift.environments import environment_name

    folder = ROOT / "results" / "environments" / environment_name(ROOT / "envs" / "comet.txt")
    return folder if (folder / "bin" / "python").is_file() else None


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shared_data: Path, languages: list[str], unseen: list[str]) -> Path:
    """A checkout in which everything has been made."""
    if not (shared_data / "sacrebleu" / "models" / "flores200sacrebleuspm").is_file():
        pytest.skip("the model of spBLEU's tokenizer is not there")
    folder = checkout(tmp_path_factory.mktemp("run"))
    data = folder / "data"
    data.mkdir()
    for name in ("flores101", "flores200"):
        (data / name).symlink_to(shared_data / name)
    save_model(data / "model")
    references = read_references(shared_data, languages, unseen)
    write_hypotheses(data / "theirs", references)
    environment = comet_environment()
    if environment:
        make_checkpoint(environment / "bin" / "python", data / "comet", references)
        (folder / "results" / "environments").mkdir(parents=True)
        (folder / "results" / "environments" / environment.name).symlink_to(environment)
    (folder / "config" / "flores.yaml").write_text(
        yaml.safe_dump(configuration(languages, unseen, comet=environment is not None)), encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SACREBLEU", str(shared_data / "sacrebleu"))
        output_of(folder, config="config/flores.yaml")
        yield folder


def save_model(folder: Path) -> None:
    """A random model of some ten thousand parameters with a tokenizer of bytes, which any language can be asked in."""
    import tiny
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny.tokenizer(folder.with_name("tokenizer"))
    torch.manual_seed(17)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=2048, **size, **special)
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def read_references(data: Path, languages: list[str], unseen: list[str]) -> dict[str, list[str]]:
    """The first sentences of every language, straight from the files."""
    from lingualift.languages import load_languages

    table = load_languages(ROOT / "config" / "languages.tsv")
    files = {code: f"flores101/devtest/{table[code].codes['flores101']}.devtest" for code in languages}
    files |= {code: f"flores200/devtest/{table[code].codes['flores200']}.devtest" for code in unseen}
    return {code: (data / file).read_text(encoding="utf-8").splitlines()[:SENTENCES] for code, file in files.items()}


def write_hypotheses(folder: Path, references: dict[str, list[str]]) -> None:
    """References without every third word; of Chinese, which has no spaces, the source."""
    folder.mkdir()
    for code, lines in references.items():
        kept = (
            references["en"]
            if code == "zh"
            else [" ".join(w for n, w in enumerate(line.split()) if n % 3 < 2) for line in lines]
        )
        for name in (f"en-{code}.txt", f"{code}-en.txt"):
            text = kept if name.startswith("en-") else references["en"]
            (folder / name).write_text("".join(f"{line}\n" for line in text), encoding="utf-8")


def make_checkpoint(python: Path, folder: Path, references: dict[str, list[str]]) -> None:
    text = folder.with_name("comet.txt")
    text.write_text("\n".join(line for lines in references.values() for line in lines), encoding="utf-8")
    options = {"text": str(text), "out": str(folder), "hidden": 32, "layers": 2, "vocabulary": 3000}
    command = [python, ROOT / "benchmarks" / "comet_scores.py", "--part", "checkpoint", json.dumps(options)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})


def configuration(languages: list[str], unseen: list[str], *, comet: bool) -> dict[str, Any]:
    systems, scores = ["Tiny", "Theirs"], ["spbleu", "chrf++", *(["comet"] if comet else [])]
    shown = {"systems": systems, "benchmarks": ["flores101"]}
    to_all = {"from": ["en"], "to": [code for code in languages if code != "en"]}
    return {
        "run": "flores",
        "data": "data",
        "languages": [*languages, *unseen],
        "models": {"tiny": {"path": "model"}},
        "systems": {
            "Tiny": {"model": "tiny", "prompt": "short", "beam": 1, "max_new_tokens": 24},
            "Theirs": {"hypotheses": "theirs/{source}-{target}.txt"},
        },
        "benchmarks": {
            "flores101": {
                "reader": "flores",
                "path": "flores101/devtest",
                "directions": to_all,
                "limit": SENTENCES,
                "shards": 2,
            },
            # The same data once more, for a table of some of its directions.
            "narrow": {
                "reader": "flores",
                "path": "flores101/devtest",
                "directions": [f"en-{code}" for code in NARROW],
                "limit": SENTENCES,
            },
            "flores200": {
                "reader": "flores",
                "path": "flores200/devtest",
                "codes": "flores200",
                "languages": ["en", *unseen],
                "directions": {"centre": ["en"]},
                "limit": SENTENCES,
            },
        },
        "metrics": {"comet": {"name": "comet", "checkpoint": "comet"}} if comet else {},
        "tables": {
            "directions": {**shown, "metrics": [*scores, "copy_rate", "empty_rate", "length_ratio"]},
            "centre": {**shown, "metrics": scores, "layout": "centre", "centre": ["en"]},
            "off-target": {**shown, "layout": "off-target", "centre": ["en"]},
            "narrow": {"systems": systems, "benchmarks": ["narrow"], "metrics": ["spbleu", "chrf++", "R_X"]},
        },
        "figures": {
            "figure4": {
                "kind": "seen_unseen",
                "systems": systems,
                "benchmarks": ["flores101", "flores200"],
                "centre": ["en"],
            },
        },
    }


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def scores_of(run: Path, folder: str, system: str) -> dict[tuple[str, str], float | None]:
    """(target, metric) → score."""
    rows = read_rows(run / RESULTS / folder / system / "flores101.csv")
    assert {row["source"] for row in rows} == {"en"} and {row["segments"] for row in rows} == {str(SENTENCES)}
    return {(row["target"], row["metric"]): float(row["score"]) if row["score"] else None for row in rows}


def test_all_languages_are_a_benchmark(run, languages):
    manifest = json.loads((run / RESULTS / "benchmarks" / "flores101" / "manifest.json").read_text(encoding="utf-8"))
    (table,) = manifest["tables"]
    assert sorted(table["languages"]) == sorted(languages)
    assert table["rows"] == 1012 and set(table["valid"].values()) == {1012}
    assert manifest["dropped"] == {}


def test_every_direction_has_a_score_of_every_metric(run, languages):
    targets = set(languages) - {"en"}
    for system in ("Tiny", "Theirs"):
        scores = scores_of(run, "scores", system)
        for metric in ("spbleu", "chrf++", "copy_rate", "empty_rate", "length_ratio"):
            assert {target for target, name in scores if name == metric} == targets
        assert None not in scores.values()
        rates = scores_of(run, "off_target", system)
        assert {target for target, name in rates if name == "R_X"} == targets
        # langdetect has no Amharic: nobody knows how much of it there is.
        assert rates["am", "R_X"] is None and rates["de", "R_X"] is not None
    theirs = scores_of(run, "off_target", "Theirs")
    assert [theirs[code, "R_X"] for code in ("de", "fr", "ru", "ja", "zh")] == [100, 100, 100, 100, 0]
    assert theirs["zh", "R_source"] == 100
    assert scores_of(run, "scores", "Theirs")["zh", "copy_rate"] == 100


def test_scores_are_those_of_sacrebleu(run, shared_data, languages):
    from sacrebleu.metrics import BLEU, CHRF

    references = read_references(shared_data, languages, [])
    ours = {system: scores_of(run, "scores", system) for system in ("Tiny", "Theirs")}
    hypotheses = read_hypotheses(run, "Tiny")
    # Of every script and family: with spaces and without, from the left and from the right.
    for code in ("de", "zh", "ja", "th", "ar", "am", "my", "kea"):
        for system, found in (("Tiny", hypotheses[f"en-{code}"]), ("Theirs", theirs_of(run, code))):
            for metric, name in ((BLEU(tokenize="flores200"), "spbleu"), (CHRF(word_order=2), "chrf++")):
                expected = metric.corpus_score(found, [references[code]]).score
                assert ours[system][code, name] == pytest.approx(expected, abs=1e-9), (code, name)
    assert ours["Theirs"]["de", "spbleu"] > 20 > ours["Tiny"]["de", "spbleu"]


def read_hypotheses(run: Path, system: str) -> dict[str, list[str]]:
    found: dict[str, dict[int, str]] = {}
    for path in (run / RESULTS / "hypotheses" / system / "flores101").glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            found.setdefault(record["direction"], {})[record["sentence"]] = record["hypothesis"]
    return {direction: [texts[number] for number in range(SENTENCES)] for direction, texts in found.items()}


def theirs_of(run: Path, code: str) -> list[str]:
    return (run / "data" / "theirs" / f"en-{code}.txt").read_text(encoding="utf-8").splitlines()


def test_tables_show_all_of_it(run, languages):
    rows = read_rows(run / RESULTS / "tables" / "directions.csv")
    assert len(rows) == 101
    off_target = read_rows(run / RESULTS / "tables" / "off-target.csv")
    assert len(off_target) == 101
    centre = {(row["direction"], row["resource"]): row for row in read_rows(run / RESULTS / "tables" / "centre.csv")}
    assert set(centre) == {("en→X", resource) for resource in ("low", "high", "all")}
    spbleu = [score for (_, name), score in scores_of(run, "scores", "Theirs").items() if name == "spbleu"]
    assert float(centre["en→X", "all"]["Theirs spbleu"]) == pytest.approx(sum(spbleu) / 101, abs=0.005)
    for name in ("directions", "off-target", "centre"):
        for suffix in (".md", ".tex", ".html"):
            assert (run / RESULTS / "tables" / f"{name}{suffix}").stat().st_size > 300


def test_tables_of_the_same_data_show_the_same_and_translate_it_once(run):
    narrow = {row["direction"]: row for row in read_rows(run / RESULTS / "tables" / "narrow.csv")}
    assert sorted(narrow) == sorted(f"en→{code}" for code in NARROW)
    for table, metrics in (("directions", ("spbleu", "chrf++")), ("off-target", ("R_X",))):
        wide = {row["direction"]: row for row in read_rows(run / RESULTS / "tables" / f"{table}.csv")}
        columns = [f"{system} {metric}" for system in ("Tiny", "Theirs") for metric in metrics]
        for direction, row in narrow.items():
            assert [row[name] for name in columns] == [wide[direction][name] for name in columns]
            assert all(row[name] for name in columns)
    for code in NARROW:
        (store,) = (run / RESULTS / "state" / "translations").glob(f"*/en-{code}.*.jsonl")
        assert store.read_bytes().count(b"\n") == SENTENCES


def test_unseen_languages_are_drawn(run):
    (folder,) = (run / RESULTS / "figures").glob("figure4")
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == [
        # More languages than a page holds: from English, and into it, apart.
        *(f"flores101+flores200.en.{side}.{suffix}" for side in ("from", "into") for suffix in ("png", "svg")),
        "manifest.json",
    ]


def test_the_run_is_done(run):
    assert "Nothing to be done" in output_of(run, "--dry-run", config="config/flores.yaml")


# COMET, by its rule


@pytest.fixture
def with_comet(run) -> Path:
    if comet_environment() is None:
        pytest.skip("COMET's environment is not there: snakemake build_comet_environment makes it")
    return run


def test_comet_is_that_of_its_own_command(with_comet, shared_data, languages):
    """A file of all languages, as comet-score scores it in float32; more where the pins of one side change."""
    references = read_references(shared_data, languages, [])
    hypotheses = read_hypotheses(with_comet, "Tiny")
    targets = [code for code in languages if code != "en"]
    columns = {
        "s": [line for _ in targets for line in references["en"]],
        "t": [line for code in targets for line in hypotheses[f"en-{code}"]],
        "r": [line for code in targets for line in references[code]],
    }
    folder = with_comet / "comet-score"
    folder.mkdir()
    for name, lines in columns.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    keep = "import torch; torch.nn.Module.half = lambda self: self; "
    command = [comet_environment() / "bin" / "python", "-P", "-c"]
    command += [keep + "from comet.cli.score import score_command; score_command()"]
    command += ["-s", "s", "-t", "t", "-r", "r", "--gpus", "0", "--quiet", "--to_json", "scores.json"]
    command += ["--model", with_comet / "data" / "comet" / "checkpoints" / "model.ckpt"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((folder / "scores.json").read_text(encoding="utf-8")).values()
    theirs = [100 * segment["COMET"] for segment in found]
    ours = scores_of(with_comet, "comet/comet", "Tiny")
    for place, code in enumerate(targets):
        segments = theirs[place * SENTENCES : (place + 1) * SENTENCES]
        assert ours[code, "comet"] == pytest.approx(sum(segments) / SENTENCES, abs=1e-4), code
    # Different languages, different scores: a mistake in the order would show.
    assert len({round(score, 3) for score in ours.values()}) > 60
    rows = read_rows(with_comet / RESULTS / "comet" / "comet" / "Tiny" / "flores101.csv")
    (signature,) = {row["signature"] for row in rows}
    assert re.fullmatch(r"nrefs:1\|model:comet\|checkpoint:[0-9a-f]{12}\|precision:float32\|version:2\.2\.7", signature)


def read_cache(run: Path) -> dict[str, bytes]:
    folder = run / "results" / "state" / "comet"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jsonl")}


def test_comet_is_not_paid_twice(with_comet):
    """Scored again from nothing but the cache of segments."""
    scores = with_comet / RESULTS / "comet" / "comet" / "Tiny" / "flores101.csv"
    before, cached = scores.read_bytes(), read_cache(with_comet)
    # Nothing of the two systems is the same: two files, a line a segment below a head.
    assert [text.count(b"\n") for text in cached.values()] == [101 * SENTENCES + 1] * 2
    scores.unlink()
    assert planned(with_comet, "--", str(scores.relative_to(with_comet)), config="config/flores.yaml") == {
        "score_comet": 1,
        "total": 1,
    }
    output_of(with_comet, "--", str(scores.relative_to(with_comet)), config="config/flores.yaml")
    assert scores.read_bytes() == before
    assert scores.read_bytes() == before and read_cache(with_comet) == cached


# Fetching


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder that a server of this machine publishes, and its address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "published"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_public_set_is_fetched_by_its_name(published, tmp_path):
    source, address = published
    for code in ("en", "de"):
        (source / f"test.{code}").write_text(f"{code}\n")
    folder = tmp_path / "checkout"
    folder.mkdir()
    checkout(folder)
    sets = {"small": {"licence": "CC0-1.0", "reader": "multiway", "url": f"{address}/test.{{language}}"}}
    sets["small"]["fill"] = {"language": ["en", "de"]}
    (folder / "config" / "public_sets.yaml").write_text(yaml.safe_dump(sets))
    english = hashlib.sha256(b"en\n").hexdigest()
    sums = f"url\tchecksum\tbytes\torigin\n{address}/test.en\tsha256:{english}\t3\ttheir publisher\n"
    (folder / "config" / "checksums.tsv").write_text(sums)
    output = output_of(folder, "--", "fetch_small")
    got = folder / "demo" / "data" / "small"
    assert (got / "test.de").read_text() == "de\n"
    assert "no checksum of it is known" in output
    # Now both are known; of what is there nothing is made again, though the table of checksums has changed.
    assert (folder / "config" / "checksums.tsv").read_text().startswith(sums + f"{address}/test.de\tsha256:")
    assert "Nothing to be done" in output_of(folder, "--", "fetch_small")
    # Nor by another run, nor because more is said of it.
    sets["small"]["licence"] = "CC-BY-4.0"
    (folder / "config" / "public_sets.yaml").write_text(yaml.safe_dump(sets))
    assert "Nothing to be done" in output_of(folder, "--config", "run=other", "--", "fetch_small")
    # A set that lost its manifest alone gets it back, whatever there is to be downloaded now.
    (got / "manifest.json").rename(folder / "former.json")
    (source / "test.de").write_text("something else\n")
    output_of(folder, "--", "fetch_small")
    assert (got / "manifest.json").read_text() == (folder / "former.json").read_text()
    for path in got.iterdir():
        path.unlink()
    output = output_of(folder, "--", "fetch_small", status=1)
    assert re.search(r"/test\.de: what came \(15 bytes\) has the sha256 [0-9a-f]{64}, not", output)
    assert not got.exists()


def test_a_data_set_of_the_hub_belongs_to_no_run(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    checkout(folder)
    values = yaml.safe_load((folder / "config" / "demo.yaml").read_text(encoding="utf-8"))
    hub = {"name": "owner/web", "revision": "0123456789abcdef" * 2 + "01234567", "files": "{language}/*.parquet"}
    values["corpora"]["web"] = {"reader": "datasets", "path": "web/{language}", "codes": "mc4", "text_field": "text"}
    values["corpora"]["web"] |= {"languages": ["de"], "hub": hub}
    (folder / "config" / "web.yaml").write_text(yaml.safe_dump(values))
    fetched = "demo/data/web/de"
    (folder / fetched).mkdir(parents=True)
    # As if it had been downloaded: Snakemake notes with which parameters.
    output_of(folder, "--touch", "--force", "--", fetched, config="config/web.yaml")
    said = output_of(folder, "--dry-run", "--config", "run=other", "--", fetched, config="config/web.yaml")
    assert "Nothing to be done" in said and "missing provenance" not in said
