"""The benchmarks compare like with like: on toy sizes both sides give the same; nothing here is timed."""

import gzip
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

_FOLDER = Path(__file__).parents[2] / "benchmarks"
_WORDS = {
    "en": ["the", "dog", "child", "runs", "sleeps", "sees", "red", "ball", "house", "1999"],
    "de": ["der", "Hund", "Kind", "läuft", "schläft", "sieht", "rote", "Ball", "Haus", "1999"],
    "fr": ["le", "chien", "enfant", "court", "dort", "voit", "rouge", "balle", "maison", "1999"],
    "cs": ["ten", "pes", "dítě", "běží", "spí", "vidí", "červený", "míč", "dům", "1999"],
}


def _load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(_FOLDER))
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", _FOLDER / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up Multi30k: word by word the same in its four languages."""
    import numpy as np

    data = tmp_path_factory.mktemp("data")
    (data / "multi30k").mkdir()
    for seed, (part, lines) in enumerate({"train": 300, "val": 40, "test_2016_flickr": 10}.items()):
        rng = np.random.default_rng(seed)
        sentences = [rng.integers(0, 10, rng.integers(3, 9)).tolist() for _ in range(lines)]
        for language, words in _WORDS.items():
            with gzip.open(data / "multi30k" / f"{part}.{language}.gz", "wt", encoding="utf-8") as file:
                file.writelines(" ".join(words[number] for number in sentence) + " .\n" for sentence in sentences)
    return data


def test_every_benchmark_explains_itself():
    for path in sorted(_FOLDER.glob("*.py")):
        if path.stem != "common":
            done = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True, check=True)
            assert "python benchmarks/" in done.stdout


def test_table_has_medians_ranges_and_ratios_of_rounds(monkeypatch):
    common = _load("common", monkeypatch)
    rows = common.speed_rows({"ours": [30.0, 10.0, 20.0], "theirs": [10.0, 10.0, 5.0]}, peer="theirs", unit="lines/s")
    cells = [row.cells() for row in rows]
    assert cells[0] == {
        "what": "ours",
        "unit": "lines/s",
        "median": "20",
        "least": "10",
        "most": "30",
        "ratio": "3.00",
        "range of the ratio": "1.00 to 4.00",
    }
    assert cells[1]["ratio"] == ""
    lines = common.markdown(cells).splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1


def test_packing_both_sides_give_the_same_tokens(captions, tmp_path, monkeypatch):
    packing = _load("packing", monkeypatch)
    packing.prepare(tmp_path, data=captions, sample=0.5, vocabulary=300)
    ours, peer = packing.ours(str(tmp_path), 0.5), packing.peer(str(tmp_path), 0.5)
    packing.check_same(ours, peer)
    # 300 lines, six pairs of languages, half of them.
    assert ours["tokens"] > 900
    with pytest.raises(RuntimeError, match="not the same tokens"):
        packing.check_same(ours, {**peer, "digest": "another"})


def test_training_all_sides_learn_the_same(captions, tmp_path, monkeypatch):
    training = _load("training", monkeypatch)
    training.prepare(tmp_path, data=captions, pairs=900, vocabulary=300, hidden=64, held_out=60)
    found = {side: training.train_side(str(tmp_path), side, seed=1, batch=2) for side in ("packed", "padded")}
    assert abs(found["packed"]["steps"] - found["padded"]["steps"]) <= 1
    # 300 tokens at random would be 5.7 nats; what is left between the two is the order of the pairs.
    assert found["padded"]["loss"] < 4
    assert found["packed"]["loss"] == pytest.approx(found["padded"]["loss"], abs=0.3)


def test_training_held_out_loss_of_a_model_that_knows_nothing(monkeypatch):
    import math

    import numpy as np
    from transformers import LlamaConfig, LlamaForCausalLM

    training = _load("training", monkeypatch)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=50, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    )
    model.lm_head.weight.data.zero_()
    rows = [np.array([1, 2, 3]), np.array([4, 5, 6, 7, 8])]
    assert training.held_out_loss(model, rows) == pytest.approx(math.log(50), abs=1e-5)


def test_translation_both_sides_translate_alike(captions, tmp_path, monkeypatch):
    translation = _load("translation", monkeypatch)
    translation.train_model(str(tmp_path), str(captions), vocabulary=300, hidden=64, layers=1, steps=60)
    given = translation.prepare(tmp_path, tmp_path / "model", captions, ["en-de"], 8)
    given = {key: str(value) if isinstance(value, Path) else value for key, value in given.items()}
    ours, peer = translation.ours(**given, threads=1), translation.peer(**given, threads=1)
    assert translation.share_equal(ours["answers"], peer["answers"]) == 1
    references = translation.texts(tmp_path / "test", ["de"], 8)
    assert translation.score({"en-de": references["de"]}, references) == pytest.approx({"BLEU": 100, "chrF++": 100})


def test_memory_every_stage_runs_and_is_seen(tmp_path, monkeypatch):
    memory = _load("memory", monkeypatch)
    rows = memory.measure(tmp_path, 400)
    assert [row["stage"] for row in rows] == ["import", "plan", "pack", "read"]
    # An interpreter with its libraries takes more than this.
    assert all(float(row["anonymous, MB"].replace(",", "")) > 5 for row in rows)
    assert len((tmp_path / "raw" / "mono.en").read_text().splitlines()) == 200


def test_memory_counts_what_a_process_and_its_children_hold(monkeypatch):
    memory = _load("memory", monkeypatch)
    child = "import time; held = bytearray(b'x') * 50_000_000; time.sleep(1)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    anonymous, resident = memory.watch([sys.executable, "-c", code])
    assert 45 < anonymous < 150 and resident >= anonymous


def test_lexicon_is_built_and_opened(tmp_path, monkeypatch):
    lexicon = _load("lexicon", monkeypatch)
    (tmp_path / "muse").mkdir()
    (tmp_path / "muse" / "en-de.txt").write_text("dog Hund\nhouse Haus\n", encoding="utf-8")
    assert lexicon.build(str(tmp_path), str(tmp_path / "lexicon"))["memory"] > 0
    assert lexicon.open_one(str(tmp_path / "lexicon"))["seconds"] >= 0


def test_tables_are_all_made(tmp_path, monkeypatch):
    tables = _load("tables", monkeypatch)
    tables.prepare(tmp_path, num_languages=11)
    seconds = tables.summarise(str(tmp_path))
    assert list(seconds) == ["reading", *tables.ENTRIES, "in all"]
    # The last table: a row for each of 110 directions below the head.
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 111


def test_spbleu_both_sides_score_alike(shared_data, tmp_path, monkeypatch):
    if not (shared_data / "sacrebleu" / "models" / "flores200sacrebleuspm").is_file():
        pytest.skip("the model of spBLEU's tokenizer is not there")
    monkeypatch.setenv("SACREBLEU", str(shared_data / "sacrebleu"))
    spbleu = _load("spbleu", monkeypatch)
    # zhtrad has no spaces; af, ga and so on have.
    spbleu.prepare(tmp_path, data=shared_data, num_languages=4, num_directions=12, sentences=5)
    ours, peer = spbleu.ours(str(tmp_path)), spbleu.peer(str(tmp_path), every=1)
    assert len(ours["scores"]) == len(peer["scores"]) == 12
    spbleu.check_same(ours["scores"], peer["scores"])
    assert all(10 < score < 90 for score in ours["scores"].values())
    assert list(spbleu.peer(str(tmp_path), every=5)["scores"]) == [list(peer["scores"])[n] for n in (0, 5, 10)]
    with pytest.raises(RuntimeError, match="by sacrebleu"):
        spbleu.check_same({**ours["scores"], "af-ff": 1.0, "ff-af": 1.0}, dict.fromkeys(ours["scores"], 1.5))


def test_a_complete_evaluation_is_planned(monkeypatch):
    dry_run = _load("dry_run", monkeypatch)
    # Three languages, six directions: a job a direction and a system, and what follows.
    seconds, jobs = dry_run.plan(3)
    assert seconds > 0 and jobs > 6 * 6
    assert len(dry_run.configuration(102)["languages"]) == 102


def test_one_benchmark_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    run_all = _load("run_all", monkeypatch)
    started = []

    def fail_first(command):
        started.append(Path(command[1]).stem)
        return subprocess.CompletedProcess(command, len(started) == 1)

    monkeypatch.setattr(run_all.subprocess, "run", fail_first)
    monkeypatch.setattr(sys, "argv", ["run_all.py", "spbleu", "tables"])
    with pytest.raises(SystemExit, match="failed: spbleu"):
        run_all.main()
    assert started == ["spbleu", "tables"]


def test_run_all_knows_every_benchmark(monkeypatch):
    run_all = _load("run_all", monkeypatch)
    there = {path.stem for path in _FOLDER.glob("*.py")} - {"common", "run_all"}
    assert {*run_all._WITH_DATA, *run_all._WITHOUT} == there
