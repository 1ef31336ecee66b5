"""The time of the bill: the work of a token as torch counts it, published trainings, and a measured one's speed."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import yaml

from lingualift.adapters import add_adapters
from lingualift.configuration.loading import load_run
from lingualift.configuration.models import Lora
from lingualift.errors import LingualiftError
from lingualift.estimates.architectures import KNOWN, Architecture
from lingualift.estimates.bills import Assumptions, bill
from lingualift.estimates.comet import encoder_flops, scorings
from lingualift.estimates.command import estimate
from lingualift.estimates.devices import DEVICES, device
from lingualift.estimates.efficiency import trained
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]
BATCH, BLOCK = 2, 48


def eager(it):
    """Eager attention multiplies the whole square, as the formula has it."""
    return tiny.llama(it, attn_implementation="eager")


def counted(model, *, backward=True):
    """Floating-point operations of a token by torch's own counter."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    ids = torch.randint(0, model.config.vocab_size, (BATCH, BLOCK))
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        loss = model(input_ids=ids, labels=ids).loss
        if backward:
            loss.backward()
    return counter.get_total_flops() / ids.numel()


SHAPES = [
    Architecture(hidden=64, layers=2, heads=4, key_value_heads=4, intermediate=160, vocabulary=300, tied=True),
    Architecture(hidden=128, layers=4, heads=4, key_value_heads=2, intermediate=320, vocabulary=1000, tied=False),
]


@pytest.mark.parametrize("it", SHAPES, ids=["tied", "shared keys"])
def test_work_of_a_token_is_what_torch_counts(it):
    model = eager(it)
    assert it.training_flops(BLOCK) == pytest.approx(counted(model), rel=0.01)
    assert it.evaluation_flops(BLOCK) == pytest.approx(counted(model, backward=False), rel=0.01)


@pytest.mark.parametrize("targets", [None, ["q_proj", "v_proj"]])
def test_work_of_adapters_is_what_torch_counts(targets):
    """Of frozen weights there is no gradient, of the hidden states there is."""
    it, lora = SHAPES[1], Lora(rank=4, targets=targets)
    found = counted(add_adapters(eager(it), lora, seed=1))
    assert it.training_flops(BLOCK, lora) == pytest.approx(found, rel=0.03)
    # Six operations for each weight would be so much more.
    assert it.training_flops(BLOCK) / found > 1.3


def test_checkpointing_does_a_fourth_again():
    """By torch's count: a forward pass more; 0.75 of it all is the model's own, with adapters, which take less, 0.67."""
    it, lora = SHAPES[1], Lora(rank=4)
    for adapters, share in ((None, 0.75), (lora, 2 / 3)):
        model = add_adapters(eager(it), adapters, seed=1) if adapters else eager(it)
        once = counted(model)
        again = once + counted(model, backward=False)
        assert it.checkpointing_share(BLOCK, adapters) == pytest.approx(once / again, rel=0.02)
        assert it.checkpointing_share(BLOCK, adapters) == pytest.approx(share, abs=0.02)


LLAMA_65B = Architecture(
    hidden=8192, layers=80, heads=64, key_value_heads=64, intermediate=22016, vocabulary=32000, tied=False
)


def test_work_of_a_token_by_hand():
    """6 N + 12 L H T (PaLM, appendix B) of Llama-2-7B, at its own 4,096 tokens."""
    # N without the look-up: 32 layers of 4 x 4,096 x 4,096 + 3 x 4,096 x 11,008, and 32,000 x 4,096: 6.607 G.
    assert KNOWN["llama-2-7b"].training_flops(4096) == 6 * 6_607_077_376 + 12 * 32 * 4096 * 4096
    # LLaMA-65B: 1.4 T tokens are 5.5e23 operations as Touvron et al. (2023a) count them, 6 N D, without attention.
    work = LLAMA_65B.training_flops(2048) - 12 * 80 * 8192 * 2048
    assert 1.4e12 * work == pytest.approx(5.5e23, rel=0.02)


# GPU-hours of A100-80GB of 2.0 T tokens in blocks of 4,096 (Llama 2, Touvron et al. 2023b, Tables 1 and 2).
PUBLISHED = {"llama-2-7b": 184_320, "llama-2-13b": 368_640, "llama-2-70b": 1_720_320}


def test_hours_of_one_published_training_give_those_of_others(tmp_path):
    """Llama-2-7B's hours say the share of the peak; the same share gives the 13 B's and 70 B's hours to 10 %."""
    a100 = DEVICES["a100-80"]
    seconds = PUBLISHED["llama-2-7b"] * 3600
    share = 2e12 * KNOWN["llama-2-7b"].training_flops(4096) / seconds / a100.peak
    # 46 GFLOP x 2 T of 2.07e23.
    assert share == pytest.approx(0.445, abs=0.005)
    recipe = {"learning_rate": 3e-4, "batch": 1024, "epochs": 1, "parallelism": "fsdp", "devices": 8}
    plan = preset(tmp_path, recipe, block=4096)
    for name, hours in PUBLISHED.items():
        assumptions = Assumptions(device=a100, utilisation=share, tokens={"lifting": 2e12}, shapes={"llama2": name})
        found = bill(plan, assumptions, results=tmp_path / "none")
        it = next(training for training in found.trainings if training.model == "llamax2")
        assert it.device_hours == pytest.approx(hours, rel=0.1 if name != "llama-2-7b" else 0.001)


def test_adapters_take_two_thirds_of_the_hours(tmp_path):
    """Llama-2-7B, blocks of 512: 4 x 6.607 G and 0.8 G of attention, for 6 x 6.607 G and 0.8 G: 27.2 for 40.4 GFLOP."""
    hours = {}
    for lora in (None, {"rank": 8, "targets": ["q_proj", "v_proj"]}):
        recipe = {"learning_rate": 1e-4, "batch": 16, "parallelism": "fsdp", "devices": 8} | (
            {"lora": lora} if lora else {}
        )
        plan = preset(tmp_path, recipe)
        assumptions = Assumptions(device=DEVICES["a100-80"], tokens={"lifting": 1e9})
        found = bill(plan, assumptions, results=tmp_path / "none")
        hours[bool(lora)] = next(it.device_hours for it in found.trainings if it.model == "llamax2")
    # 4.19 M weights of adapters, of six operations each.
    assert hours[True] / hours[False] == pytest.approx((27.23 + 0.025) / 40.45, rel=0.002)


def preset(tmp_path, recipe, *, block=512, **changed):
    """The paper's preset with another recipe for its pre-training."""
    content = yaml.safe_load((ROOT / "config/llamax2.yaml").read_text(encoding="utf-8"))
    content["data"] = str(tmp_path / "data")
    content["recipes"]["lift"] = recipe
    content["mixtures"]["lifting"]["block"] = block
    for section, entries in changed.items():
        content[section] = content.get(section, {}) | entries
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    return Plan(load_run(config, root=ROOT))


def test_speed_of_one_shape_gives_that_of_another(tmp_path):
    """Three Llamas, trained one after the other on one core, float32: one's speed says the others' within a factor.

    Tokens a second of processor time by the training's own log, the median of its lines behind the first and of three
    rounds, beside other work. Matrices of width 128 fill a core less than those of 256 and 384.
    """
    cpu = device("cpu", memory_gb=24, peak_tflops=0.1)
    sizes = {"tiny": (128, 3, 2, 384, 4000), "small": (256, 6, 4, 704, 8000), "large": (384, 8, 6, 1024, 8000)}
    measured = {"tiny": (128, 7424.5), "small": (256, 1455.3), "large": (256, 626.4)}
    share = {}
    for name, (block, speed) in measured.items():
        hidden, layers, heads, intermediate, vocabulary = sizes[name]
        it = Architecture(
            hidden=hidden,
            layers=layers,
            heads=heads,
            key_value_heads=heads,
            intermediate=intermediate,
            vocabulary=vocabulary,
            tied=True,
        )
        folder = write_training(tmp_path / name, it, [1, speed], block=block, ranks=1, precision="float32")
        share[name] = trained(folder).share(trained(folder).steady_speed, cpu)
    # The large one has 2.5 times the weights of the small one, and 15 times those of the tiny one.
    assert share["small"] / share["large"] == pytest.approx(1, rel=0.1)
    assert share["tiny"] / share["large"] == pytest.approx(1, rel=0.3)


def write_training(folder, it, speeds, *, batch=4, block=8, **details):
    """A model folder whose log has these speeds, a line a step; of a recipe for one node of eight devices."""
    folder.mkdir()
    config = {"hidden_size": it.hidden, "num_hidden_layers": it.layers, "num_attention_heads": it.heads}
    config |= {"num_key_value_heads": it.key_value_heads, "intermediate_size": it.intermediate}
    config |= {"vocab_size": it.vocabulary, "tie_word_embeddings": it.tied}
    (folder / "config.json").write_text(json.dumps(config))
    counts = {"steps": len(speeds), "tokens": len(speeds) * batch * block}
    recipe = {"batch": batch, "nodes": 1, "devices": 8} | details.pop("recipe", {})
    (folder / "manifest.json").write_text(json.dumps({"recipe": recipe, "counts": counts} | details))
    lines = [{"step": number, "tokens_per_second": speed} for number, speed in enumerate(speeds, 1)]
    (folder / "training.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_measured_share_is_of_the_ranks_that_ran(tmp_path):
    """A recipe for eight devices ran on one: 1,000 tokens a second are those of one."""
    it = SHAPES[0]
    one = trained(write_training(tmp_path / "one", it, [1, 1000, 1000], ranks=1, nodes=1))
    gpu = device("mine", memory_gb=1, peak_tflops=0.001)
    assert one.share(one.steady_speed, gpu) == pytest.approx(1000 * it.training_flops(8) / 1e9)
    # A manifest that does not say it was written when only the wish was noted.
    old = trained(write_training(tmp_path / "old", it, [1, 1000]))
    assert (one.ranks, old.ranks, old.nodes) == (1, 8, 1)
    with pytest.raises(LingualiftError, match="too short"):
        _ = trained(write_training(tmp_path / "short", it, [1000])).steady_speed


def test_measured_speed_is_the_bill_s(tmp_path, monkeypatch):
    """The tokens a second of a training, with checkpointing and adapters, are those that its own bill has, one a GPU."""
    monkeypatch.chdir(ROOT)
    lora = {"rank": 8, "targets": ["q_proj"]}
    recipe = {"learning_rate": 1e-4, "batch": 24, "parallelism": "fsdp", "devices": 8, "gradient_checkpointing": True}
    recipe |= {"lora": lora}
    preset(tmp_path, recipe)
    kept = {"gradient_checkpointing": True, "lora": lora, "batch": 24}
    folder = write_training(
        tmp_path / "it", KNOWN["llama-2-7b"], [9, 6000, 6000], batch=24, block=512, ranks=4, recipe=kept
    )
    said = estimate(
        tmp_path / "config.yaml",
        gpu="a100-80",
        measured=folder,
        jobs=False,
        tokens=["lifting=1e9"],
        rows=["alpaca=52000"],
    )
    row = next(line for line in said.splitlines() if line.startswith("| llamax2 "))
    # 6,000 of four GPUs.
    assert "1,500" in [cell.strip() for cell in row.split("|")]
    assert f"measured in {folder}/training.jsonl" in said


def test_manifest_says_what_a_training_ran_on(tmp_path, monkeypatch):
    from collections import Counter

    from lingualift.configuration.models import Recipe
    from lingualift.manifests import Manifest
    from lingualift.training import _note

    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    recipe = Recipe(learning_rate=1e-3, batch=8, devices=8, parallelism="ddp")
    trainer = SimpleNamespace(
        state=SimpleNamespace(log_history=[], global_step=3),
        recipe=recipe,
        data=SimpleNamespace(manifest={"block": 4}),
        args=SimpleNamespace(bf16=False),
        world=SimpleNamespace(size=4),
    )
    manifest = Manifest("model", {})
    _note(manifest, trainer)
    assert (manifest.details["ranks"], manifest.details["nodes"], manifest.details["gpu"]) == (4, 2, "")
    assert manifest.counts == Counter(steps=3, tokens=3 * 8 * 4)


def test_comet_by_hand(tmp_path):
    """XLM-R large: 24 layers of 12 x 1,024 x 1,024 weights, and of 40 tokens 4 x 24 x 1,024 x 40 for attention."""
    assert encoder_flops(40) == 2 * 301_989_888 + 3_932_160
    plan = Plan(load_run(ROOT / "config/evaluation.yaml"))
    (it,) = scorings(plan, tmp_path, device=DEVICES["a100-80"], utilisation=0.5, length=40)
    # Table 8, and the systems of Table 4 that translate here; published scores are read. Around eight of 102 languages
    # there are 2 x 8 x 101 directions without the 8 x 7 that come twice; M2M-100 and MADLAD-400 lack some languages.
    around = 2 * 8 * 101 - 8 * 7
    lacking = sum(around - len(plan.translated_directions(name, "flores101")) for name in ("M2M-100", "MADLAD-400"))
    assert len(set(it.systems)) == 9 + 3 and "LLaMA2-7B-Alpaca" not in it.systems
    assert it.segments == (4 * len(plan.directions("flores101-pivot")) + 9 * around - lacking) * 1012
    assert lacking > 0


def test_comet_is_in_the_bill(tmp_path):
    metrics = {
        "comet": {"name": "comet", "checkpoint": "c"},
        "half": {"name": "comet", "checkpoint": "c", "precision": "float16"},
    }
    table = {"systems": ["LLaMA2-Alpaca", "LLaMAX2-Alpaca"], "benchmarks": ["flores101"], "layout": "centre"}
    tables = {"one": table | {"metrics": ["comet"]}, "two": table | {"metrics": ["comet", "half"]}}
    plan = preset(tmp_path, {"learning_rate": 1e-4, "batch": 16}, metrics=metrics, tables=tables)
    assumptions = Assumptions(device=DEVICES["a100-80"], scoring=0.5, tokens={"lifting": 1e9})
    found = bill(plan, assumptions, results=tmp_path / "none")
    own = {it.metric: it for it in found.scorings}
    directions = len(plan.directions("flores101"))
    # Two systems, each direction 1,012 segments of three texts of 40 tokens; once, however many tables show it.
    assert own["comet"].segments == own["half"].segments == 2 * directions * 1012
    seconds = 2 * directions * 1012 * 3 * 40 * encoder_flops(40) / (19.5e12 * 0.5)
    assert own["comet"].device_hours == pytest.approx(seconds / 3600)
    # In float16 on tensor cores, 312 for 19.5.
    assert own["comet"].device_hours / own["half"].device_hours == pytest.approx(16)
    others = sum(it.device_hours for it in (*found.trainings, *found.translations))
    assert found.device_hours - others == pytest.approx(own["comet"].device_hours + own["half"].device_hours)
