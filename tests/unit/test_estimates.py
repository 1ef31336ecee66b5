"""The bill of a run: against numbers worked out by hand, published ones, and what was counted or measured."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from lingualift.cli import app
from lingualift.configuration.loading import load_run, read_yaml
from lingualift.configuration.models import Model, Recipe, Scratch
from lingualift.errors import LingualiftError
from lingualift.estimates.architectures import KNOWN, Architecture, of_base, of_scratch
from lingualift.estimates.bills import Assumptions, bill, checkpoints, checkpoints_at_once
from lingualift.estimates.command import estimate
from lingualift.estimates.devices import DEVICES, Device, device
from lingualift.estimates.llamax import checks
from lingualift.estimates.printing import print_bill
from lingualift.estimates.tokens import Text, mixture_tokens
from lingualift.languages import load_languages
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

    scratch = Scratch(vocabulary=300, hidden=32, layers=2, heads=2)
    tokenizer = SimpleNamespace(bos_token_id=0, eos_token_id=0, pad_token_id=0, __len__=lambda: 300)
    model = scratch_model(scratch, _Sized(300, tokenizer), seed=1)
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
    assert old.memory.activations > new.memory.activations


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
    plan = preset(tmp_path, "llamax2")
    text = Text(sentence_tokens=10, document_tokens=100, row_tokens={"legomt": 25})
    known = {"rows": {"legomt": 5_000_000}, "given": None}
    found = mixture_tokens(plan, "lifting", "llama2", tmp_path, text=text, **known)
    # mC4 and MADLAD, as many documents as Table 9 has rows, 55,081,793; pairs as long as they were said to be.
    assert found.number == 55_081_793 * 100 + 5_000_000 * 25
    assert found.source == "estimated"
    assert found.rows == {"mc4": 100, "madlad": 100, "legomt": 25}
    # What a system is to translate is not known, neither are its augmentations.
    assert set(found.unknown) == {"legomt-more", "muse-parallel", "panlex-parallel"}
    # Two sentences are a pair.
    found = mixture_tokens(plan, "lifting", "llama2", tmp_path, text=Text(sentence_tokens=10), **known)
    assert found.number == 55_081_793 * 950 + 5_000_000 * 20


def test_a_row_is_a_sentence_or_a_document():
    corpora = {
        "lines": SimpleNamespace(reader="lines", kind="monolingual"),
        "pages": SimpleNamespace(reader="jsonl", kind="monolingual", max_characters=None),
        "short": SimpleNamespace(reader="jsonl", kind="monolingual", max_characters=60),
        "pairs": SimpleNamespace(reader="jsonl", kind="parallel"),
        "asked": SimpleNamespace(reader="alpaca", kind="instructions"),
        "made": SimpleNamespace(reader="translated", kind="parallel", source="pages"),
    }
    text = Text(sentence_tokens=10, document_tokens=1000)
    # What is translated from pages is pairs of pages.
    wanted = {"lines": 10, "pages": 1000, "short": 20, "pairs": 20, "asked": 30, "made": 2000}
    assert {name: text.of_row(name, corpora) for name in corpora} == wanted
    assert Text(row_tokens={"pages": 7}).of_row("made", corpora) == 14


def pages_plan(tmp_path, *, augmented=False, component=None, **settings):
    """A plan whose mixture is pages of 30 bytes of text, a hundred German ones and as many Chinese, or no file at all."""
    entry = {"reader": "jsonl", "path": str(tmp_path / "pages"), "files": "{language}.jsonl", "text_field": "text"}
    component = ({"augmentation": "changed"} if augmented else {"corpus": "pages"}) | (component or {})
    return preset(
        tmp_path,
        corpora={"pages": entry | {"languages": ["de", "zh"]} | settings},
        augmentations={"changed": {"dictionary": "words", "source": "pages"}},
        mixtures={"lifting": {"components": [component], "block": 64}},
    )


def write_pages(tmp_path):
    (tmp_path / "pages").mkdir()
    for code in ("de", "zh"):
        # 15 letters of two bytes, which JSON writes in six; beside what is no text of the corpus.
        line = json.dumps({"text": "я" * 15, "url": "x" * 500}) + "\n"
        (tmp_path / f"pages/{code}.jsonl").write_text(line * 100)


def tokens(plan, tmp_path, **text):
    return mixture_tokens(plan, "lifting", "base", tmp_path / "none", text=Text(**text), rows={}, given=None)


def test_documents_are_measured_where_they_are_there(tmp_path):
    plan = pages_plan(tmp_path, limit=40)
    # Nothing there: 950 each. In either language 40.
    assert tokens(plan, tmp_path).number == 2 * 40 * 950
    assert tokens(plan, tmp_path, row_tokens={"pages": 5}).number == 2 * 40 * 5
    write_pages(tmp_path)
    found = tokens(plan, tmp_path)
    # 30 bytes, three a token.
    assert (found.number, found.rows) == (2 * 40 * 10, {})
    # What the user says goes before.
    assert tokens(plan, tmp_path, row_tokens={"pages": 5}).number == 2 * 40 * 5


@pytest.mark.parametrize(
    ("sample", "rows"),
    # An integer is a number of rows of each language, a fraction a share of them.
    [(1, 1), (1.0, 40), (0.25, 10), (7, 7), (90, 40)],
)
@pytest.mark.parametrize("augmented", [False, True])
def test_sample_is_a_share_or_a_number_of_rows(tmp_path, sample, rows, augmented):
    write_pages(tmp_path)
    found = tokens(pages_plan(tmp_path, limit=40, component={"sample": sample}, augmented=augmented), tmp_path)
    # Of monolingual text the changed row stands before the row itself.
    assert found.number == 2 * rows * 10 * (2 if augmented else 1)


def test_text_on_disk(tmp_path):
    tokens = {"english-first": 1, "instructions": 1}
    reckoned = [
        bill(plan, Assumptions(device=DEVICES["a100-80"], tokens=tokens), results=tmp_path / "results").text_disk
        for plan in (pages_plan(tmp_path, limit=40), pages_plan(tmp_path, limit=40, augmented=True))
    ]
    # 40 pages of 950 tokens of 3 bytes in two languages; augmented, these and twice as much beside.
    assert reckoned == [2 * 40 * 950 * 3, 3 * 2 * 40 * 950 * 3]
    # What is there is as large as it is.
    (tmp_path / "results/corpora/pages").mkdir(parents=True)
    (tmp_path / "results/corpora/pages/it").write_bytes(b"x" * 1234)
    there = bill(
        pages_plan(tmp_path, limit=40),
        Assumptions(device=DEVICES["a100-80"], tokens=tokens),
        results=tmp_path / "results",
    )
    assert there.text_disk == 1234


def test_components_take_their_languages_alone(tmp_path):
    write_pages(tmp_path)
    assert tokens(pages_plan(tmp_path, limit=40, component={"languages": ["zh"]}), tmp_path).number == 40 * 10


def test_small_pairs_are_repeated(tmp_path):
    plan = preset(tmp_path)
    folder = tmp_path / "results/corpora/sentences"
    folder.mkdir(parents=True)
    pairs = {"en-de": 24_999, "en-zh": 25_000, "de-zh": 10}
    table = {"name": "multiway", "languages": ["en", "de", "zh"], "rows": 30_000, "pairs": pairs, "directed": False}
    (folder / "manifest.json").write_text(json.dumps({"tables": [table]}))
    text = Text(sentence_tokens=10)
    found = mixture_tokens(plan, "lifting", "base", tmp_path / "results", text=text, rows={}, given=None)
    # Those below 25,000 three times; what was changed once.
    assert found.number == 20 * (3 * 24_999 + 25_000 + 3 * 10) + 20 * (24_999 + 25_000 + 10)


def test_prompts_are_counted_with_what_they_ask(tmp_path):
    asked = {"corpus": "sentences", "format": "instruction"}
    mixture = {"block": 64, "prompt": "short", "loss": "response"}
    reckoned = [
        mixture_tokens(
            preset(tmp_path, mixtures={"lifting": {"components": [component], **mixture}}),
            *("lifting", "base", tmp_path / "none"),
            text=Text(sentence_tokens=10),
            rows={"sentences": 600, "translations": 50},
            given=None,
        ).number
        for component in (asked, {**asked, "sample": 7}, {"corpus": "translations"})
    ]
    # Two sentences of 10 tokens; in "### Instruction:⏎Translate … from Language to Language⏎⏎### Input:⏎ ⏎⏎### Response:"
    # there are 105 bytes, 3 a token. A number of rows is taken of each of three pairs. Of "### Instruction:⏎⏎⏎###
    # Input:⏎ ⏎⏎### Response:" there are 46, and an instruction is three sentences.
    assert reckoned == [600 * (20 + 35), 3 * 7 * (20 + 35), round(50 * (30 + 46 / 3))]


def test_imported_text_is_measured(tmp_path):
    from lingualift.corpora import import_corpus

    components = [{"corpus": "sentences"}, {"augmentation": "words-parallel"}]
    plan = preset(tmp_path, mixtures={"lifting": {"components": components, "block": 64, "small_pairs": None}})
    corpus = plan.configuration.corpora["sentences"]
    table = {code: plan.run.languages[code] for code in plan.languages}
    out = tmp_path / "results/corpora/sentences"
    import_corpus(corpus, languages=plan.languages, table=table, data=plan.run.data, out=out, work=tmp_path / "work")
    texts = [(plan.run.data / f"train.{code}.txt").read_text(encoding="utf-8") for code in plan.languages]
    size = sum(len(line.encode()) for text in texts for line in text.splitlines()[:200])
    # Each language is in two of the three pairs, and the augmentation is as much again.
    found = mixture_tokens(plan, "lifting", "base", tmp_path / "results", text=Text(), rows={}, given=None)
    assert found.number == pytest.approx(4 * size / 3, rel=0.02)
    # By size alone, at most what the limit allows.
    by_size = mixture_tokens(plan, "lifting", "base", tmp_path / "none", text=Text(), rows={}, given=None)
    assert by_size.number == pytest.approx(4 * size / 3, rel=0.02)


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


def test_checkpoints_of_seven_billion_weights(tmp_path):
    plan = preset(tmp_path, "llamax2")
    found = bill(plan, Assumptions(device=DEVICES["a100-80"], tokens={"lifting": 1e9}), results=tmp_path)
    # Two kept and one being written of 14 bytes a weight, 94 GB each, and the universal form: 364 GB.
    assert {round(checkpoints(it) / 1e9) for it in found.trainings} == {364}
    # The base is tuned while it is lifted; what is lifted is tuned behind that.
    assert checkpoints_at_once(found.trainings) == 2 * (3 * 14 + 12) * 6_738_415_616
    # In float32 DeepSpeed's own weights are 4 bytes.
    old = bill(
        preset(
            tmp_path,
            "llamax2",
            recipes={
                "lift": plan.configuration.recipes["lift"].model_dump(exclude_none=True) | {"precision": "float32"}
            },
        ),
        Assumptions(device=DEVICES["a100-80"], tokens={"lifting": 1e9}),
        results=tmp_path,
    )
    lifted = next(it for it in old.trainings if it.model == "llamax2")
    assert checkpoints(lifted) == (3 * 16 + 12) * 6_738_415_616


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
    # Its source is pages of at most 500 characters, three a token: 167 in, as many of a prompt, and four beams of 167.
    work = 2000 * 6 * (500 / 3) * KNOWN["llama-2-13b"].inference_flops(333)
    assert it.device_hours == pytest.approx(work / (312e12 * 0.03) / 3600)
    unknown = bill(plan, Assumptions(device=DEVICES["a100-80"], rows=rows), results=tmp_path)
    assert len(unknown.notes) == 1 and "--shape translator=" in unknown.notes[0]
    neither = bill(plan, Assumptions(device=DEVICES["a100-80"]), results=tmp_path)
    assert "translating legomt-more with Translator is not in it: say how many rows it has" in neither.notes[0]
    assert unknown.at_least and neither.at_least


@pytest.mark.parametrize(
    "given", ["  train_model: {nodes: 2, devices: 4}", "- train_model:nodes=2\n- train_model:devices=4"]
)
def test_the_bill_is_of_the_profile(tmp_path, monkeypatch, given):
    """Its nodes and GPUs, unless others are asked for."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "config.yaml").write_text(f"cores: 1\nset-resources:\n{given}\n")
    known = {"gpu": "a100-80", "jobs": False, "profile": tmp_path}
    gpus = [
        next(line.split("|")[6].strip() for line in said.splitlines() if line.startswith("| llamax2 "))
        for said in (estimate(Path("config/llamax2.yaml"), **known, **more) for more in ({}, {"nodes": 1}))
    ]
    assert gpus == ["8", "4"]


def test_sentences_of_a_benchmark_are_counted_where_it_is_there(tmp_path):
    """As many as its files have lines; else as FLORES-101, which is said."""

    def sentences(**settings):
        values = read_yaml(ROOT / "config" / "tiny.yaml")
        values["data"] = str(tmp_path)
        values["benchmarks"]["held-out"] = {"reader": "multiway", "path": ".", "files": "test.{language}", **settings}
        it = bill(Plan(load_run(values, root=ROOT)), Assumptions(device=DEVICES["a100-80"]), results=tmp_path)
        return {each.sentences / each.directions for each in it.translations}, it.notes

    taken = "held-out is taken to have 1,012 sentences a direction, as FLORES-101 has: its files do not tell"
    assert sentences() == ({1012}, (taken,))
    # Fewer are asked for than it is taken to have.
    assert sentences(limit=7) == ({7}, ())
    (tmp_path / "test.en.gz").write_bytes(gzip.compress(b"a line\n" * 30))
    assert sentences() == ({30}, ())
    assert sentences(limit=7) == ({7}, ())
    assert sentences(limit=70) == ({30}, ())
    other = {"reader": "tsv", "path": "t.tsv", "columns": {"en": 0, "de": 1}, "files": None}
    assert sentences(**other)[1] == (taken,)


def test_llamax_budget():
    languages = load_languages(ROOT / "config/languages.tsv")
    rows = dict(checks(languages, Text()))
    # 35,000 h x 3,600 s x 312e12, and 6 x (6.74e9 - 32,000 x 4,096) + 12 x 32 x 4,096 x 512.
    assert rows["arithmetic in those hours at the peak of 312 TFLOP/s"] == "3.93e+22 FLOP"
    assert rows["work of a token, Llama-2-7B, blocks of 512"] == "40.4 GFLOP"
    assert rows["tokens that they pay for at 30 % and 40 % of the peak"] == "292 G tokens and 389 G tokens"
    # Table 9's columns add up to 387,781,042, each pair with both of its languages, and 55,081,793.
    assert rows["its text (Table 9)"] == "193.9 M pairs of 2 x 40 tokens, 55.1 M monolingual rows"
    # 15.51 G tokens of pairs and 40, 950, or 2.25 to 8.62 x 703 of each row; 40.4e9 x 17.7e9 / (0.3 x 312e12) / 3,600.
    assert rows["if these are sentences of 40 tokens"].startswith("18 G tokens, 1.8% of the peak, or 2,126 hours")
    assert rows["if these are documents of 950 tokens"].startswith("68 G tokens, 7.0% of the peak, or 8,143 hours")
    # A block for each pair, and two for each document: (193.89e6 + 2 x 55.08e6) x 512.
    assert rows["if these are documents of 950 tokens"].endswith("padded 156 G tokens, 16.0%")
    assert rows["if these are documents of 703 words of 8.62 tokens (Bengali)"].startswith("349 G tokens, 35.9%")
    # (292 to 389 - 15.51) G / 55.08 M.
    assert rows["a monolingual row's tokens that fill the hours"] == "5,012 to 6,776"
    verdict = rows["which can fill the hours at 30% to 40% of the peak"]
    assert verdict == "sentences cannot (1.8% to 13.1%), documents can (7.0% to 45.0%)"
    # It follows the numbers: sentences as long as documents can.
    longer = dict(checks(languages, Text(sentence_tokens=700)))
    assert "sentences can (" in longer["which can fill the hours at 30% to 40% of the peak"]
    assert checks({}, Text()) == []


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
    least, _, hours = rows["GPU-hours"][0].rpartition(" ")
    assert int(hours.replace(",", "")) > 35_000
    # What a system translates for small pairs is not known, and so is told.
    assert least == "at least"
    assert "translating legomt-more with Translator is not in it: say how many rows it has" in done.output
    assert rows["the paper's hours"][0].startswith("35,000")
    assert "6.74 G" in done.output and "yes" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpu", "a100"], "no GPU 'a100', did you mean a100-40 or a100-80?; known are"),
        (["--gpu", "a100-80", "--jobs", "--profile", "nope"], "Snakemake cannot plan the run: "),
        (["--gpu", "h100", "--rows", "legomt"], "--rows legomt: wanted is NAME=VALUE"),
        (["--gpu", "h100", "--rows", "nothing=3"], "--rows nothing: there is no such entry"),
        (["--gpu", "h100", "--row-tokens", "nothing=3"], "--row-tokens nothing: there is no such entry"),
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
