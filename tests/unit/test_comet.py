"""COMET: comet-score's own numbers, each segment scored once, and the same scores whatever kills the run."""

import csv
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lingualift import comet_scoring
from lingualift.comet_metric import Comet, check_comet, read_segment_scores, score_with_comet
from lingualift.comet_model import CometError, CometModel
from lingualift.comet_segments import load_scores, write_segments
from lingualift.errors import LingualiftError
from lingualift.scoring import COLUMNS

ROOT = Path(__file__).parents[2]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def test_what_is_not_there_is_named(tmp_path):
    model = CometModel(tmp_path / "wmt22-comet-da")
    with pytest.raises(CometError, match=r"wmt22-comet-da: no such file: the checkpoint"):
        _ = model.file
    with pytest.raises(LingualiftError, match="made by build_comet_environment"):
        check_comet(Comet(python=tmp_path / "python", model=model))
    checkpoint = tmp_path / "wmt22-comet-da" / "checkpoints" / "model.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    with pytest.raises(LingualiftError, match=r"hparams\.yaml: no such file"):
        check_comet(Comet(python=Path(sys.executable), model=model))
    (tmp_path / "wmt22-comet-da" / "hparams.yaml").write_text("class_identifier: regression_metric")
    check_comet(Comet(python=Path(sys.executable), model=model))
    with pytest.raises(LingualiftError, match="no such folder: the encoder"):
        check_comet(Comet(python=Path(sys.executable), model=CometModel(model.checkpoint, encoder=tmp_path / "xlmr")))


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of COMET's environment."""
    named = os.environ.get("LINGUALIFT_COMET_PYTHON")
    built = sorted(ROOT.glob("results/environments/comet-*/bin/python"))
    if named:
        return Path(named)
    if not built:
        pytest.skip("COMET's environment is not there: LINGUALIFT_COMET_PYTHON, or the rule build_comet_environment")
    return built[-1]


@pytest.fixture(scope="module")
def lines(shared_data) -> list[tuple[str, str, str]]:
    """German into English, with words lost and doubled; a third of the lines twice, one hypothesis empty."""
    texts = []
    for name in ("ref.deu", "src.eng"):
        with gzip.open(shared_data / "ntrex128" / f"newstest2019-{name}.txt.gz", "rt", encoding="utf-8") as file:
            texts.append([line.strip() for _, line in zip(range(100), file, strict=False)])
    rng = random.Random(1)
    made = [
        (source, " ".join(word for word in reference.split() for _ in range(rng.choice((0, 1, 1, 1, 2)))), reference)
        for source, reference in zip(*texts, strict=True)
    ]
    made[7] = (made[7][0], "", made[7][2])
    made += rng.choices(made, k=50)
    rng.shuffle(made)
    return made


@pytest.fixture(scope="module")
def checkpoint(python, lines, tmp_path_factory) -> Path:
    """A small model of the real class; the benchmark makes it, too."""
    folder = tmp_path_factory.mktemp("comet")
    (folder / "text").write_text("\n".join(text for line in lines for text in line), encoding="utf-8")
    options = {"text": str(folder / "text"), "out": str(folder / "model"), "hidden": 32, "layers": 2, "vocabulary": 600}
    command = [python, ROOT / "benchmarks" / "comet_scores.py", "--part", "checkpoint", json.dumps(options)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | ONE_THREAD)
    return folder / "model"


def start(python: Path, lines, checkpoint: Path, folder: Path, **options) -> subprocess.Popen:
    """Our scoring, in a process; the scores go to ``scores`` in the folder."""
    folder.mkdir(exist_ok=True)
    write_segments([("de-en", *zip(*lines, strict=True))], folder)
    job = {"folder": str(folder), "cache": str(folder / "cache"), "checkpoint": str(checkpoint), "threads": 1} | options
    command = [python, "-P", comet_scoring.__file__, json.dumps(job)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def scores_of(python: Path, lines, checkpoint: Path, folder: Path, **options) -> tuple[list[float], dict]:
    process = start(python, lines, checkpoint, folder, **options)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return load_scores(folder).tolist(), json.loads((folder / "account").read_text())


def comet_score(python: Path, lines, checkpoint: Path, folder: Path, *, half: bool = False) -> list[str]:
    """What comet-score prints, segment by segment, then for all; in float32 unless it may halve that."""
    folder.mkdir(exist_ok=True)
    for name, column in zip(("s", "t", "r"), zip(*lines, strict=True), strict=True):
        (folder / name).write_text("".join(f"{text}\n" for text in column), encoding="utf-8")
    keep = "" if half else "import torch; torch.nn.Module.half = lambda self: self; "
    command = [python, "-P", "-c", keep + "from comet.cli.score import score_command; score_command()"]
    command += [
        "-s",
        "s",
        "-t",
        "t",
        "-r",
        "r",
        "--gpus",
        "0",
        "--quiet",
        "--model",
        checkpoint / "checkpoints/model.ckpt",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | ONE_THREAD)
    assert done.returncode == 0, done.stderr
    return [line.rpartition("score: ")[2] for line in done.stdout.splitlines() if "score: " in line]


@pytest.fixture(scope="module")
def unbroken(python, lines, checkpoint, tmp_path_factory) -> list[float]:
    scores, account = scores_of(python, lines, checkpoint, tmp_path_factory.mktemp("unbroken"))
    assert (account["segments"], account["different"], account["cached"]) == (150, 100, 0)
    assert account["version"] == "2.2.7"
    return scores


@pytest.mark.slow
def test_comet_score_prints_the_same(python, lines, checkpoint, unbroken, tmp_path):
    printed = comet_score(python, lines, checkpoint, tmp_path)
    for score, line in zip([*unbroken, sum(unbroken) / len(unbroken)], printed, strict=True):
        # On the edge between two, comet-score prints one or the other, as the size of its batches is.
        assert line in {f"{score + error:.4f}" for error in (-5e-7, 0, 5e-7)}
    # The scores of different segments differ: a mistake in their order would show.
    assert len(set(printed)) > 80


@pytest.mark.slow
def test_comet_score_in_float16(python, lines, checkpoint, unbroken, tmp_path):
    """As it comes, comet-score rounds everything to eleven bits: so do we, but for what shares a batch."""
    printed = [float(score) for score in comet_score(python, lines, checkpoint, tmp_path, half=True)]
    halved, _ = scores_of(python, lines, checkpoint, tmp_path / "ours", precision="float16")
    assert halved == pytest.approx(printed[:-1], abs=2e-3)
    assert sum(halved) / len(halved) == pytest.approx(printed[-1], abs=2e-4)
    assert unbroken == pytest.approx(printed[:-1], abs=2e-3)


@pytest.mark.slow
def test_the_encoder_may_lie_elsewhere(python, lines, checkpoint, unbroken, tmp_path):
    """A published checkpoint names its encoder by a name that no folder has."""
    moved = tmp_path / "moved"
    shutil.copytree(checkpoint, moved)
    shutil.move(moved / "encoder", tmp_path / "xlmr")
    repair = (
        "import sys, torch; path = sys.argv[1]; found = torch.load(path, weights_only=True); "
        "found['hyper_parameters']['pretrained_model'] = 'xlm-roberta-large'; torch.save(found, path)"
    )
    subprocess.run([python, "-c", repair, moved / "checkpoints" / "model.ckpt"], check=True)
    scores, _ = scores_of(python, lines[:20], moved, tmp_path / "ours", encoder=str(tmp_path / "xlmr"))
    assert scores == pytest.approx(unbroken[:20], abs=1e-6)
    process = start(python, lines[:20], moved, tmp_path / "without")
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "COMET: COMET's encoder xlm-roberta-large is not there: name a folder" in errors


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(python, lines, checkpoint, tmp_path):
    """Chunks, groups and parts of few segments, killed after some of them, again and again."""
    package = Path(comet_scoring.__file__).parent
    sizes = {"_PART = 1 << 21": "_PART = 60", "_GROUP = 1 << 16": "_GROUP = 25", "_CHUNK = 256": "_CHUNK = 7"}
    for path in package.glob("comet_*.py"):
        source = path.read_text(encoding="utf-8").replace("_BLOCK = 256", "_BLOCK = 11")
        if path.name == "comet_scoring.py":
            for former, size in sizes.items():
                assert former in source
                source = source.replace(former, size)
        (tmp_path / path.name).write_text(source, encoding="utf-8")

    def run(name: str) -> subprocess.Popen:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        tens = (zip(*lines[start : start + 10], strict=True) for start in range(0, len(lines), 10))
        write_segments(((str(number), *ten) for number, ten in enumerate(tens)), folder)
        job = {"folder": folder, "cache": folder / "cache", "checkpoint": checkpoint, "threads": 1}
        command = [python, "-P", tmp_path / "comet_scoring.py", json.dumps(job, default=str)]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    assert run("unbroken").wait() == 0
    rng, kills = random.Random(3), 0
    while kills < 4:
        process = run("killed")
        records = rng.randrange(2, 20)
        known = -1
        while process.poll() is None:
            count = sum(path.read_bytes().count(b"\n") for path in (tmp_path / "killed").glob("cache/*/*.jsonl"))
            known = count if known < 0 else known
            if count >= known + records:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        if process.wait() == 0:
            break
    assert kills
    assert run("killed").wait() == 0
    assert len(list(tmp_path.glob("killed/cache/*/*.jsonl"))) == 3
    assert (tmp_path / "killed" / "scores").read_bytes() == (tmp_path / "unbroken" / "scores").read_bytes()


@pytest.mark.slow
def test_it_ends_with_whoever_started_it(python, lines, checkpoint, tmp_path):
    process = start(python, lines, checkpoint, tmp_path, follow_parent=True)
    process.stdin.close()
    assert process.wait() == 3
    assert not (tmp_path / "scores").exists()


@pytest.mark.slow
def test_two_processes_score_as_one(python, lines, checkpoint, unbroken, tmp_path):
    """As on two GPUs, a process each: here on a CPU."""
    script = (
        "import json, sys; from pathlib import Path; sys.path.append(sys.argv[1]); import comet_scoring as it; "
        "from comet_segments import load_scores; it._CHUNK = 20\n"
        "if __name__ == '__main__':\n"
        "    folder, model, found = Path(sys.argv[2]), it.CometModel(Path(sys.argv[3])), []\n"
        "    for n in (1, 2):\n"
        "        it.score_segments(folder, model, cache=folder / str(n), devices=['cpu'] * n)\n"
        "        found.append(load_scores(folder).tolist())\n"
        "    print(json.dumps(found))\n"
    )
    (tmp_path / "both.py").write_text(script)
    write_segments([("de-en", *zip(*lines, strict=True))], tmp_path)
    package = Path(comet_scoring.__file__).parent
    command = [python, "-P", "both.py", package, tmp_path, checkpoint]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | ONE_THREAD)
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout.splitlines()[-1])
    assert one == two
    assert one == pytest.approx(unbroken, abs=1e-6)


@pytest.mark.slow
def test_a_process_that_cannot_start(python, lines, checkpoint, tmp_path):
    """Of several: none is waited for, and the user hears why."""
    shutil.copytree(checkpoint, tmp_path / "poor")
    drop = (
        "import sys, torch; path = sys.argv[1]; found = torch.load(path, weights_only=True); "
        "found['state_dict'].popitem(); torch.save(found, path)"
    )
    subprocess.run([python, "-c", drop, tmp_path / "poor" / "checkpoints" / "model.ckpt"], check=True)
    write_segments([("de-en", ["a"], ["b"], ["c"])], tmp_path)
    (tmp_path / "both.py").write_text(
        "import sys; from pathlib import Path; sys.path.append(sys.argv[1]); import comet_scoring as it\n"
        "if __name__ == '__main__':\n"
        "    try: it.score_segments(Path(), it.CometModel(Path('poor')), cache=Path('cache'), devices=['cpu'] * 2)\n"
        "    except it.CometError as error: sys.exit(str(error))\n"
    )
    command = [python, "-P", "both.py", Path(comet_scoring.__file__).parent]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | ONE_THREAD)
    assert done.returncode == 1
    assert "the process of a GPU ended early" in done.stderr
    assert "has no weights for estimator" in done.stderr


@pytest.mark.slow
def test_rows_of_scores(python, lines, checkpoint, unbroken, tmp_path):
    import pyarrow as pa

    folder = tmp_path / "benchmark"
    (folder / "tables").mkdir(parents=True)
    columns = {"de": [line[0] for line in lines[:30]], "en": [line[2] for line in lines[:30]]}
    with pa.ipc.new_file(folder / "tables" / "all.arrow", pa.table(columns).schema) as writer:
        writer.write_table(pa.table(columns))
    manifest = {"tables": [{"name": "all", "languages": ["de", "en"], "rows": 30}]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    made = {"de-en": [line[1] for line in lines[:30]], "en-de": [line[0] for line in lines[:30]]}
    hypotheses = tmp_path / "hypotheses.jsonl"
    hypotheses.write_text(
        "".join(
            json.dumps({"direction": direction, "sentence": number, "hypothesis": text}) + "\n"
            for direction, texts in made.items()
            for number, text in enumerate(texts)
        )
    )
    options = {
        "benchmark_folder": folder,
        "comet": Comet(python=python, model=CometModel(checkpoint), name="tiny", threads=1),
        "out": tmp_path / "scores.csv",
        "segments_out": tmp_path / "segments.jsonl",
        "cache": tmp_path / "cache",
        "benchmark": "B",
    }
    account = score_with_comet([hypotheses], system="S", **options)
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = {row["target"]: row for row in csv.DictReader(file)}
    assert tuple(rows["en"]) == COLUMNS
    assert float(rows["en"]["score"]) == pytest.approx(100 * sum(unbroken[:30]) / 30, abs=1e-4)
    assert rows["en"]["signature"].startswith("nrefs:1|model:tiny|checkpoint:")
    assert rows["en"]["signature"].endswith("|precision:float32|version:2.2.7")
    assert (rows["en"]["metric"], rows["en"]["segments"]) == ("comet22", "30")
    segments = read_segment_scores(tmp_path / "segments.jsonl")
    assert segments.signature == rows["en"]["signature"]
    assert not list(tmp_path.glob("cache/work-*"))
    assert list(segments["de-en"]) == pytest.approx([100 * score for score in unbroken[:30]], abs=1e-4)
    assert float(rows["de"]["score"]) == pytest.approx(sum(segments["en-de"]) / 30)
    assert account.counts["cached"] == 0
    # Another system with the same outputs pays nothing.
    account = score_with_comet([hypotheses], system="T", **options)
    assert account.counts["different"] == len({*lines[:30]}) + len({line[0] for line in lines[:30]})
    with (tmp_path / "scores.csv").open(newline="") as file:
        again = {row["target"]: row for row in csv.DictReader(file)}
    assert {row["score"] for row in again.values()} == {row["score"] for row in rows.values()}
    # What COMET says of a mistake reaches the user.
    (checkpoint.parent / "broken" / "checkpoints").mkdir(parents=True)
    shutil.copy(checkpoint / "hparams.yaml", checkpoint.parent / "broken")
    (checkpoint.parent / "broken" / "checkpoints" / "model.ckpt").write_bytes(b"no weights")
    broken = Comet(python=python, model=CometModel(checkpoint.parent / "broken"))
    with pytest.raises(LingualiftError, match=r"COMET failed: .*model\.ckpt: not a checkpoint of tensors"):
        score_with_comet([hypotheses], system="S", **(options | {"comet": broken}))
