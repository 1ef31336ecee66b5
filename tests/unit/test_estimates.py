"""The bill of a run: against numbers worked out by hand, published ones, and what was counted or measured."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from lingualift.cli import app
from lingualift.configuration.loading import load_run
from lingualift.configuration.models import Model, Recipe, Scratch
from lingualift.errors import LingualiftError
from lingualift.estimates.architectures import KNOWN, Architecture, of_base, of_scratch
from lingualift.estimates.bills import Assumptions, bill, checkpoints, measured_utilisation
from lingualift.estimates.devices import DEVICES, Device, device
from lingualift.estimates.llamax import checks
from lingualift.estimates.printing import print_bill
from lingualift.estimates.tokens import Text, mixture_tokens
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]
TOY = Architecture(hidden=8, layers=2, heads=2, key_value_heads=1, intermediate=16, vocabulary=10, tied=False)


def test_parameters_by_hand():
    # A layer: q and o 2 x 64, k and v 2 x 32, feed-forward 3 x 128, two norms of 8; embeddings twice 80, a norm.
    assert TOY.layer_matrices == 128 + 64 + 384
    assert TOY.parameters == 160 + 2 * (576 + 16) + 8
    # Not the look-up of the embedding, nor norms.
    assert TOY.multiplied == 80 + 2 * 576


@pytest.mark.parametrize(
    ("name", "parameters"),
    # As the models' cards print them.
    [("llama-2-7b", 6_738_415_616), ("llama-2-13b", 13_015_864_320), ("llama-3-8b", 8_030_261_248)],
)
def test_parameters_of_published_models(name, parameters):
    assert KNOWN[name].parameters == parameters


def test_parameters_of_a_model_from_scratch_are_the_real_ones():
    from lingualift.training import scratch_model

    scratch = Scratch(vocabulary=100, hidden=32, layers=2, heads=2)
    tokenizer = SimpleNamespace(bos_token_id=0, eos_token_id=0, pad_token_id=0, __len__=lambda: 100)
    model = scratch_model(scratch, _Sized(100, tokenizer), seed=1)
    assert of_scratch(scratch).parameters == sum(parameter.numel() for parameter in model.parameters())


class _Sized:
    """A tokenizer of which only the size and three ids are asked."""

    def __init__(self, size, ids):
        self.size, self.ids = size, ids

    def __len__(self):
        return self.size

    def __getattr__(self, name):
        return getattr(self.ids, name)


def test_work_of_a_token_by_hand():
    # 6 x 1,232 weights, and 12 x 2 layers x 8 x a block of 4.
    assert TOY.training_flops(4) == 6 * 1232 + 768
    assert TOY.inference_flops(4) == 2 * 1232 + 4 * 2 * 8 * 4


def test_base_is_known_by_folder_or_name(tmp_path):
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    config = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    config |= {"intermediate_size": 16, "vocab_size": 10}
    (folder / "config.json").write_text(json.dumps(config))
    assert of_base("mine", Model(path="models/mine"), tmp_path, tmp_path) == TOY
    assert of_base("it", Model(path="models/Llama-2-7b-hf"), tmp_path, tmp_path) == KNOWN["llama-2-7b"]
    # 70b is not 7b.
    assert of_base("it", Model(path="Llama-2-70b-chat"), tmp_path, tmp_path) == KNOWN["llama-2-70b"]
    with pytest.raises(LingualiftError, match="--shape it="):
        of_base("it", Model(path="models/unheard-of"), tmp_path, tmp_path)


def test_devices():
    assert device("h100", memory_gb=96) == Device(name="h100", memory=96e9, peak=989e12, float32=67e12)
    assert device("mine", memory_gb=10, peak_tflops=2) == Device(name="mine", memory=10e9, peak=2e12)
    with pytest.raises(LingualiftError, match="a100-80"):
        device("a100-8")


@pytest.mark.parametrize(
    ("name", "precision", "teraflops"),
    # As the data sheets print them, by hand: A100 312 and 19.5 (156 would be TF32); V100 knows no bfloat16, and 15.7 of
    # float32; of the two dies of an MI250X, 383 / 2 and 95.7 / 2.
    [
        ("a100-80", "auto", 312),
        ("a100-80", "float32", 19.5),
        ("v100-32", "auto", 15.7),
        ("v100-32", "bfloat16", 15.7),
        ("mi250x", "bfloat16", 383 / 2),
        ("mi250x", "float32", 95.7 / 2),
        ("h100", "auto", 989),
        ("h200", "auto", 989),
    ],
)
def test_peaks_are_of_the_precision_that_is_computed_in(name, precision, teraflops):
    assert DEVICES[name].peak_in(precision) == pytest.approx(teraflops * 1e12)
    # What is given holds for whatever is computed in.
    assert device(name, peak_tflops=3).peak_in(precision) == 3e12


def test_what_a_device_cannot_compute_in_it_does_not(tmp_path):
    """A V100 trains in float32: 312 / 15.7 times an A100's hours, and 4 bytes a number of the activations, not 2."""
    plan = preset(tmp_path, recipes={"brief": {"learning_rate": 1e-3, "batch": 8}})
    tokens = dict.fromkeys(plan.configuration.mixtures, 1e6)
    bills = [
        bill(plan, Assumptions(device=DEVICES[name], tokens=tokens), results=tmp_path / "none")
        for name in ("v100-32", "a100-80")
    ]
    old, new = (it.trainings[0] for it in bills)
    said = ["computes in float32: at most 15.7 TFLOP/s" in print_bill(it, run="tiny", jobs=None) for it in bills]
    assert said == [True, False]
    assert old.hours / new.hours == pytest.approx(312 / 15.7)
    assert old.memory.logits > new.memory.logits


def preset(tmp_path, name="tiny", **changed):
    """A preset of the project with some sections changed, and the plan of it."""
    content = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text(encoding="utf-8"))
    content["data"] = str(ROOT / "demo/data")
    for section, entries in changed.items():
        content[section] = content[section] | entries
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    return Plan(load_run(config, root=ROOT))


def test_tokens_are_counted_where_the_mixture_is_packed(tmp_path):
    plan = preset(tmp_path)
    folder = tmp_path / "mixtures/lifting/packed/base"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"counts": {"tokens": 6000, "blocks": 101}}))
    found = mixture_tokens(plan, "lifting", "base", tmp_path, text=Text(), rows={}, given=None)
    assert (found.number, found.blocks, found.source) == (6000, 101, "packed")
    found = mixture_tokens(plan, "lifting", "base", tmp_path, text=Text(), rows={}, given=6401)
    assert (found.number, found.blocks, found.source) == (6401, 101, "given")


def test_tokens_from_rows_and_limits_by_hand(tmp_path):
    text = Text(sentence_tokens=10, bytes_per_token=1000)
    plan = preset(tmp_path, "llamax2")
    found = mixture_tokens(plan, "lifting", "llama2", tmp_path, text=text, rows={"legomt": 5_000_000}, given=None)
    # mC4 and MADLAD: 700,000 sentences of each language they have; pairs count two sentences.
    covered = sum(
        len(plan.configuration.corpora[name].languages_covered(plan.languages, plan.run.languages))
        for name in ("mc4", "madlad")
    )
    assert found.number == covered * 700_000 * 10 + 2 * 5_000_000 * 10
    assert found.source == "estimated"
    # What a system is to translate is not known, neither are its augmentations.
    assert set(found.unknown) == {"legomt-more", "muse-parallel", "panlex-parallel"}


def test_tokens_from_the_size_of_files_are_near_those_counted(tmp_path):
    from lingualift.corpora import import_corpus

    plan = preset(tmp_path)
    corpus = plan.configuration.corpora["sentences"]
    table = {code: plan.run.languages[code] for code in plan.languages}
    out = tmp_path / "results/corpora/sentences"
    import_corpus(corpus, languages=plan.languages, table=table, data=plan.run.data, out=out, work=tmp_path / "work")
    text = Text(sentence_tokens=10)
    # 200 lines in three languages are three pairs, and the augmentation is as much again.
    found = mixture_tokens(plan, "lifting", "base", tmp_path / "results", text=text, rows={}, given=None)
    assert found.number == 2 * (3 * 200 * 2 * 10)
    # By size alone, at most what the limit allows.
    by_size = mixture_tokens(plan, "lifting", "base", tmp_path / "none", text=text, rows={}, given=None)
    assert 0.5 * found.number < by_size.number <= found.number


def test_steps_hours_and_disk_by_hand(tmp_path):
    recipe = {"learning_rate": 1e-3, "batch": 16, "epochs": 2, "nodes": 2, "devices": 2, "parallelism": "zero2"}
    plan = preset(tmp_path, recipes={"brief": recipe})
    assumptions = Assumptions(device=DEVICES["a100-80"], utilisation=0.5, tokens={"lifting": 64_000})
    found = bill(plan, assumptions, results=tmp_path / "none")
    it = next(training for training in found.trainings if training.model == "lifted")
    # 64,000 tokens are 1,000 blocks of 64; two passes in batches of 16.
    assert (it.steps, it.ranks) == (125, 4)
    shape = of_scratch(plan.configuration.models["base"].scratch)
    seconds = 125 * 16 * 64 * shape.training_flops(64) / (312e12 * 0.5)
    assert it.device_hours == pytest.approx(seconds / 3600)
    assert it.hours == pytest.approx(it.device_hours / 4)
    # Two kept and one being written, of 14 bytes a weight; of one the universal form, of 12.
    assert checkpoints(it) == (3 * 14 + 12) * shape.parameters
    fewer = bill(plan, Assumptions(device=DEVICES["a100-80"], nodes=1), results=tmp_path / "none")
    assert {training.ranks for training in fewer.trainings} == {2}


def test_held_out_blocks_by_hand(tmp_path):
    recipe = {"learning_rate": 1e-3, "batch": 16, "devices": 2, "parallelism": "ddp"}
    evaluation = {"share": 0.5, "blocks": 40, "every": 7}
    plan = preset(tmp_path, recipes={"brief": recipe | {"evaluation": evaluation}})
    assumptions = Assumptions(device=DEVICES["a100-80"], utilisation=0.5, tokens={"lifting": 64_000})
    found = bill(plan, assumptions, results=tmp_path / "none")
    it = next(training for training in found.trainings if training.model == "lifted")
    # Of 1,000 blocks 960 are trained on, in 60 steps: 8 evaluations on the way, and one at the end; a forward pass is a
    # third of a step's work.
    assert it.steps == 60
    shape = of_scratch(plan.configuration.models["base"].scratch)
    seconds = 9 * 40 * 64 * shape.training_flops(64) / 3 / (312e12 * 0.5 * 2)
    assert it.evaluating == pytest.approx(seconds / 3600, rel=1e-6)
    assert it.hours - it.evaluating == pytest.approx(
        60 * 16 * 64 * shape.training_flops(64) / (312e12 * 0.5 * 2) / 3600
    )
    assert it.tokens_a_second == pytest.approx(312e12 * 0.5 / shape.training_flops(64))
    # Two kept, the best, and one being written, of 12 bytes a weight.
    assert checkpoints(it) == 4 * 12 * shape.parameters
    assert "of them for the held-out loss" in print_bill(found, run="tiny", jobs=None)


def test_checkpoints_of_adapters_are_theirs_alone(tmp_path):
    lora = {"learning_rate": 1e-3, "batch": 16, "lora": {"rank": 2, "targets": ["q_proj"]}}
    plan = preset(tmp_path, recipes={"brief": lora})
    found = bill(plan, Assumptions(device=DEVICES["a100-80"]), results=tmp_path / "none")
    shape = of_scratch(plan.configuration.models["base"].scratch)
    # A matrix of hidden x 2 and one of 2 x hidden in each layer; 12 bytes a weight, three checkpoints.
    assert {checkpoints(it) for it in found.trainings} == {3 * 12 * shape.layers * 4 * shape.hidden}


def test_max_steps_are_kept(tmp_path):
    plan = preset(tmp_path)
    tokens = dict.fromkeys(plan.configuration.mixtures, 1e6)
    found = bill(plan, Assumptions(device=DEVICES["h100"], tokens=tokens), results=tmp_path / "none")
    assert [training.steps for training in found.trainings] == [12, 12, 12]


def test_translations_by_hand(tmp_path):
    plan = preset(tmp_path)
    assumptions = Assumptions(device=DEVICES["a100-80"], decoding=0.1, text=Text(sentence_tokens=10))
    it = bill(plan, assumptions, results=tmp_path / "none").translations[0]
    # Three languages, six directions of ten sentences, two jobs; a prompt of 20 tokens and four beams of 10.
    assert (it.directions, it.sentences, it.jobs) == (6, 60, 2)
    shape = of_scratch(plan.configuration.models["base"].scratch)
    assert it.device_hours == pytest.approx(60 * 60 * shape.inference_flops(20) / (312e12 * 0.1) / 3600)


def test_supplements_are_translated_too(tmp_path):
    plan = preset(tmp_path, "llamax2")
    rows = {"legomt-more": 1000}
    known = Assumptions(device=DEVICES["a100-80"], rows=rows, shapes={"translator": "llama-2-13b"})
    it = bill(plan, known, results=tmp_path).translations[-1]
    assert (it.system, it.benchmark, it.sentences) == ("Translator", "legomt-more", 2000)
    unknown = bill(plan, Assumptions(device=DEVICES["a100-80"], rows=rows), results=tmp_path)
    assert len(unknown.notes) == 1 and "--shape translator=" in unknown.notes[0]


def test_time_agrees_with_a_measured_run(tmp_path):
    """What one training's log says of the machine gives the time of another to within a few per cent."""
    shape = Architecture(hidden=256, layers=4, heads=8, key_value_heads=8, intermediate=704, vocabulary=8000, tied=True)
    cpu = device("cpu", memory_gb=24, peak_tflops=0.1)
    # Lines of two trainings of the multi30k preset on two cores: the base's, then the tuned model's.
    log = tmp_path / "training.jsonl"
    speeds = (1428.1, 3135.3, 3122.6, 3105.9, 2720.5)
    log.write_text("".join(json.dumps({"step": n, "tokens_per_second": it}) + "\n" for n, it in enumerate(speeds)))
    share = measured_utilisation(log, shape, block=256, ranks=1, device=cpu)
    tokens, seconds = 1_446_912, 445.753
    assert tokens * shape.training_flops(256) / (cpu.peak * share) == pytest.approx(seconds, rel=0.1)


def test_llamax_budget():
    rows = dict(checks(40))
    # 35,000 h x 3,600 s x 312e12, and 6 x (6.74e9 - 32,000 x 4,096) + 12 x 32 x 4,096 x 512.
    assert rows["arithmetic in those hours at the peak of 312 TFLOP/s"] == "3.93e+22 FLOP"
    assert rows["work of a token, Llama-2-7B, blocks of 512"] == "40.4 GFLOP"
    assert rows["tokens that they pay for at 30 % and 40 % of the peak"] == "292 G tokens and 389 G tokens"


def test_command_prints_the_paper_s_bill(monkeypatch):
    monkeypatch.chdir(ROOT)
    words = ["estimate", "config/llamax2.yaml", "--gpu", "a100-80", "--no-jobs", "--tokens", "lifting=3e11"]
    done = CliRunner().invoke(app, [*words, "--rows", "alpaca=52000"])
    assert done.exit_code == 0, done.output
    rows = {
        cells[0]: cells[1:]
        for line in done.output.splitlines()
        if line.startswith("|") and (cells := [cell.strip() for cell in line.strip("|").split("|")])
    }
    # The tokens that the paper's hours pay for at 30 % of the peak take its hours: 35,000 for 292 G.
    assert int(rows["GPU-hours"][0].replace(",", "")) > 35_000
    assert rows["the paper's hours"][0].startswith("35,000")
    assert "6.74 G" in done.output and "yes" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpu", "a100"], "no GPU 'a100'"),
        (["--gpu", "h100", "--rows", "legomt"], "--rows legomt: wanted is NAME=VALUE"),
        (["--gpu", "h100", "--rows", "nothing=3"], "--rows nothing: there is no such entry"),
        (["--gpu", "h100", "--tokens", "lifting=many"], "'many' is not a number"),
        (["--gpu", "h100", "--shape", "llama2=gpt"], "known are llama-2-7b"),
        (["--gpu", "h100", "--nodes", "5"], "cannot be shared by 40 devices"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, words, said):
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, ["estimate", "config/llamax2.yaml", "--no-jobs", *words])
    assert done.exit_code == 1
    assert said in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_recipe_of_the_paper_fits_and_without_zero_does_not(tmp_path):
    plan = preset(tmp_path, "llamax2")
    found = bill(plan, Assumptions(device=DEVICES["a100-80"], tokens={"lifting": 1e9}), results=tmp_path)
    assert all(training.fits for training in found.trainings)
    lift = plan.configuration.recipes["lift"].model_dump() | {"parallelism": "ddp"}
    plan = preset(
        tmp_path, "llamax2", recipes={"lift": {key: value for key, value in lift.items() if value is not None}}
    )
    found = bill(plan, Assumptions(device=DEVICES["a100-80"], tokens={"lifting": 1e9}), results=tmp_path)
    # 16 bytes a weight are 108 GB.
    assert not next(training for training in found.trainings if training.model == "llamax2").fits
    assert Recipe.model_validate(lift).parallelism == "ddp"
