"""The memory model against the bytes of real tensors: weights, gradients, moments, and what autograd keeps."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny import llama

from lingualift.configuration.loading import load_run
from lingualift.configuration.models import Lora, Recipe
from lingualift.estimates.architectures import KNOWN, Architecture
from lingualift.estimates.bills import Assumptions, bill
from lingualift.estimates.devices import DEVICES
from lingualift.estimates.memory import activations, logits, training_memory
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]

# A number with a factor, 7, that no matrix has: activations cannot be taken for casts of weights.
TOKENS = (3, 56)


def shape(hidden=128, layers=4, intermediate=384, vocabulary=500, shared=1):
    heads = hidden // 32
    return Architecture(
        hidden=hidden,
        layers=layers,
        heads=heads,
        key_value_heads=heads // shared,
        intermediate=intermediate,
        vocabulary=vocabulary,
        tied=False,
    )


def kept(model, *, autocast=False):
    """Bytes that autograd keeps of the layers' forward pass, but for weights and, under autocast, their casts."""
    import torch

    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    sizes = {parameter.numel() for parameter in model.parameters()}
    found = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and not (autocast and tensor.numel() in sizes):
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    within = torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext()
    ids = torch.randint(0, model.config.vocab_size, TOKENS)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), within:
        # Held until all is noted: a freed tensor's place would be used again.
        out = model.model(input_ids=ids)
    assert out.last_hidden_state.requires_grad
    return sum(found.values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "autocast"])
@pytest.mark.parametrize(
    "it",
    [shape(), shape(hidden=256, layers=2), shape(intermediate=1024), shape(shared=4)],
    ids=["small", "wide", "deep feed-forward", "shared keys"],
)
def test_activations_are_what_autograd_keeps(it, precision):
    model = llama(it)
    model = model.bfloat16() if precision == "bfloat16" else model
    measured = kept(model, autocast=precision == "autocast")
    reckoned = activations(
        it, TOKENS[0] * TOKENS[1], width=4 if precision == "float32" else 2, autocast=precision == "autocast"
    )
    assert reckoned == pytest.approx(measured, rel=0.1)


def test_checkpointing_keeps_the_inputs_of_layers():
    it = shape(layers=6)
    model = llama(it)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    one = activations(shape(layers=1), TOKENS[0] * TOKENS[1], width=4)
    reckoned = activations(it, TOKENS[0] * TOKENS[1], width=4, checkpointing=True)
    # The layer that is computed again is no longer there in the forward pass; positions and masks are.
    assert reckoned - one == pytest.approx(kept(model), rel=0.5)
    assert reckoned < activations(it, TOKENS[0] * TOKENS[1], width=4) / 3


def highest(step):
    """The most bytes of tensors that are alive at once while a step runs."""
    from torch.multiprocessing.reductions import StorageWeakRef
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Noting(TorchDispatchMode):
        alive, most = {}, 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for storage in (it.untyped_storage() for it in tree_leaves(out) if hasattr(it, "untyped_storage")):
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
            self.alive = {key: held for key, held in self.alive.items() if not held[0].expired()}
            self.most = max(self.most, sum(size for _, size in self.alive.values()))
            return out

    with Noting() as noted:
        step()
    return noted.most


@pytest.mark.parametrize("width", [2, 4])
def test_logits_are_what_the_loss_holds_at_its_highest(width):
    import torch
    from transformers.loss.loss_utils import ForCausalLMLoss

    it, dtype = shape(hidden=32, vocabulary=4000), {2: torch.bfloat16, 4: torch.float32}[width]
    hidden = torch.randn(2, 28, it.hidden, dtype=dtype, requires_grad=True)
    output = torch.nn.Linear(it.hidden, it.vocabulary, bias=False, dtype=dtype)
    ids = torch.randint(0, it.vocabulary, (2, 28))
    measured = highest(lambda: ForCausalLMLoss(output(hidden), ids, it.vocabulary).backward())
    # The weights are seen too.
    assert logits(it, 56, width=width) == pytest.approx(measured - output.weight.nbytes, rel=0.01)


def test_logits_by_hand():
    # Three numbers of float32: 12 bytes for each token and piece of the vocabulary, whatever the precision.
    assert logits(shape(vocabulary=1000), 10, width=4) == logits(shape(vocabulary=1000), 10, width=2) == 10 * 1000 * 12
    # A device batch of 8 blocks of 512 with Llama-3's 128,256 pieces: 6.3 GB.
    assert logits(KNOWN["llama-3-8b"], 8 * 512, width=2) == 4096 * 128_256 * 12
    # Liger never holds all of them.
    assert logits(KNOWN["llama-2-7b"], 16384, width=2, liger=True) < logits(KNOWN["llama-2-7b"], 16384, width=2) / 5


def recipe(parallelism="none", **settings):
    return Recipe(learning_rate=1e-3, batch=24, device_batch=1, parallelism=parallelism, **settings)


def parts(parallelism, ranks, bfloat16=False, **settings):
    it = training_memory(
        shape(), recipe(parallelism, **settings), block=64, ranks=ranks, bfloat16=bfloat16, liger=False
    )
    return it.weights, it.gradients, it.optimiser


def test_one_process_is_what_a_step_of_adamw_leaves():
    import torch

    model = llama(shape())
    optimiser = torch.optim.AdamW(model.parameters())
    ids = torch.randint(0, 500, (2, 16))
    model(input_ids=ids, labels=ids).loss.backward()
    optimiser.step()
    weights = sum(it.nbytes for it in model.parameters())
    gradients = sum(it.grad.nbytes for it in model.parameters())
    moments = sum(it.nbytes for state in optimiser.state.values() for it in state.values() if it.numel() > 1)
    assert parts("none", 1) == (weights, gradients, moments)


def test_zero_by_hand():
    """Rajbhandari et al. 2020, figure 1: 7.5 G parameters in bfloat16 over 64 devices."""
    whole = shape().parameters
    weights, gradients, optimiser = parts("zero1", 4, bfloat16=True)
    assert (weights, optimiser) == (2 * whole, 16 * whole // 4)
    # All gradients, the bucket they are gathered in, 500 million numbers, and in float32 what is sent of it.
    assert gradients == 2 * whole + 1_000_000_000 + 4 * whole
    # A share of the gradients summed up in float32, which the step takes as they are.
    gradients = 4 * whole // 4 + 1_000_000_000 + 4 * whole
    assert parts("zero2", 4, bfloat16=True) == (2 * whole, gradients, 12 * whole // 4)
    # In float32 they are sent from the bucket, and copied for the step.
    assert parts("zero2", 4) == (4 * whole, 4 * whole // 4 + 2_000_000_000, 16 * whole // 4)
    # Its bucket is float32, and what is sent laid out anew.
    gradients = 4 * whole // 4 + 2_000_000_000 + 4 * whole
    assert parts("zero3", 4, bfloat16=True) == (2 * whole // 4, gradients, 16 * whole // 4)
    # DDP's buckets stand beside the gradients.
    assert parts("ddp", 2) == (4 * whole, 8 * whole, 8 * whole)


def test_offload_moves_parts_to_the_host():
    whole = shape().parameters

    def moved(kind, offload):
        settings = {"block": 64, "ranks": 4, "bfloat16": True, "liger": False}
        with_it = training_memory(shape(), recipe(kind, offload=offload), **settings)
        without = training_memory(shape(), recipe(kind), **settings)
        gone = [getattr(without, part) - getattr(with_it, part) for part in ("weights", "gradients", "optimiser")]
        return (*gone, with_it.host)

    # Float32 weights, two moments and gradients: 16 bytes; and 2 for the weights on their way back.
    assert moved("zero2", "optimizer") == (0, 0, 12 * whole // 4, 18 * whole // 4)
    # Stage 3's gradients are summed up there.
    assert moved("zero3", "optimizer") == (0, 4 * whole // 4, 16 * whole // 4, 20 * whole // 4)
    assert moved("zero3", "all") == (2 * whole // 4, 4 * whole // 4, 16 * whole // 4, 22 * whole // 4)
    assert moved("fsdp", "all") == (4 * whole // 4, 4 * whole // 4, 8 * whole // 4, 16 * whole // 4)


@pytest.mark.parametrize(
    ("recipe", "gigabytes"),
    [
        ({"devices": 8, "parallelism": "zero2"}, 0),
        # 5 numbers a weight of 4 bytes, shared by 8, and by 16 on two nodes.
        ({"devices": 8, "parallelism": "zero2", "offload": "optimizer"}, 20 * 6.738 / 8),
        ({"devices": 8, "nodes": 2, "parallelism": "zero3", "offload": "optimizer"}, 20 * 6.738 / 16),
        ({"devices": 8, "parallelism": "zero3", "offload": "all"}, 24 * 6.738 / 8),
        ({"devices": 8, "parallelism": "fsdp", "offload": "all"}, 16 * 6.738 / 8),
        ({"devices": 8, "parallelism": "zero2", "offload": "optimizer", "lora": {"rank": 4}}, 0),
    ],
)
def test_jobs_ask_for_what_is_offloaded(tmp_path, recipe, gigabytes):
    """A job asks for what each of its ranks holds on the host, as the bill has it; of 7 B weights in 13.5 GB of files."""
    plan = offloading_plan(tmp_path, recipe)
    ranks = recipe["devices"] * recipe.get("nodes", 1)
    asked = plan.offloaded_mb("llamax2", ranks=ranks)
    assert asked * 2**20 / 1e9 == pytest.approx(gigabytes, rel=0.01)
    # With what each reads (rules/models.smk) no less than the bill.
    found = bill(plan, Assumptions(device=DEVICES["a100-80"], tokens={"lifting": 1e9}), results=tmp_path / "none")
    it = next(training for training in found.trainings if training.model == "llamax2")
    assert recipe["devices"] * (8000 + plan.weights_mb("llamax2") + asked) * 2**20 > it.host


def offloading_plan(tmp_path, recipe):
    """The paper's preset with another recipe, and a base whose weights are there, as holes."""
    content = yaml.safe_load((ROOT / "config/llamax2.yaml").read_text(encoding="utf-8"))
    content["data"] = str(tmp_path / "data")
    content["recipes"]["lift"] = {"learning_rate": 1e-4, "batch": 16} | recipe
    name = next(it.path for it in load_run(ROOT / "config/llamax2.yaml").configuration.models.values() if it.path)
    folder = tmp_path / "data" / name
    folder.mkdir(parents=True)
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(2 * KNOWN["llama-2-7b"].parameters)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return Plan(load_run(tmp_path / "config.yaml", root=ROOT))


def test_lora_trains_few_weights():
    it = shape()
    # Rank 8 on queries and outputs: two matrices of 128 x 128 in each of four layers.
    assert it.trained(Lora(rank=8, targets=["q_proj", "o_proj"])) == 4 * 8 * 2 * 256
    weights, gradients, optimiser = parts("none", 1, lora={"rank": 8, "targets": ["q_proj", "o_proj"]})
    trained = 4 * 8 * 2 * 256
    assert (weights, gradients, optimiser) == (4 * (it.parameters + trained), 4 * trained, 8 * trained)


def test_fsdp_gathers_by_hand():
    it = training_memory(shape(), recipe("fsdp"), block=64, ranks=4, bfloat16=True, liger=False)
    whole, layer, output = shape().parameters, 4 * 128 * 128 + 3 * 128 * 384, 500 * 128
    # Master weights, gradients and moments in float32, a quarter each.
    assert (it.weights, it.gradients, it.optimiser) == (4 * whole // 4, 4 * whole // 4, 8 * whole // 4)
    # In bfloat16: two layers, embeddings and output layer; gradients of a layer and of the output layer, and in float32
    # of a layer on their way.
    assert it.gathered == 2 * (2 * layer + 2 * output) + 2 * (layer + output) + 4 * layer


def test_seven_billion_by_hand():
    """Llama-2-7B, 6.74 G weights, on 8 devices: GB of weights, gradients and optimiser on one of them."""
    found = {}
    for kind in ("ddp", "zero1", "zero2", "zero3", "fsdp"):
        it = training_memory(KNOWN["llama-2-7b"], recipe(kind), block=512, ranks=8, bfloat16=True, liger=False)
        found[kind] = [round(part / 1e9, 1) for part in (it.weights, it.gradients, it.optimiser)]
    assert found == {
        # 4 bytes and 2 of each matrix' cast (6.61 G); gradients and their buckets, 8; moments, 8.
        "ddp": [40.2, 53.9, 53.9],
        # 2 bytes; 2, a bucket of 1 GB and 2 GB sent of it; 16 / 8.
        "zero1": [13.5, 16.5, 13.5],
        # 4 / 8 and 3 GB; 12 / 8.
        "zero2": [13.5, 6.4, 10.1],
        # 4 / 8, a bucket of 2 GB and as much sent.
        "zero3": [1.7, 7.4, 13.5],
        # 4 / 8, 4 / 8, 8 / 8.
        "fsdp": [3.4, 3.4, 6.7],
    }


_FSDP = """
import json, sys, torch
from torch.distributed.fsdp import fully_shard
sys.path.insert(0, {folder!r})
from test_estimates_memory import shape
from tiny import llama
torch.distributed.init_process_group("gloo")
model = llama(shape())
for layer in model.model.layers:
    fully_shard(layer)
fully_shard(model)
optimiser = torch.optim.AdamW(model.parameters())
ids = torch.randint(0, 500, (2, 16))
model(input_ids=ids, labels=ids).loss.backward()
optimiser.step()
own = lambda tensors: sum(it.to_local().nbytes for it in tensors)
found = [own(model.parameters()), own(it.grad for it in model.parameters())]
found.append(own(it for state in optimiser.state.values() for it in state.values() if it.numel() > 1))
if torch.distributed.get_rank() == 0:
    print(json.dumps(found))
torch.distributed.destroy_process_group()
"""


_ZERO = """
import json, os, sys, torch
sys.path.insert(0, {folder!r})
from lingualift.parallelism import parallel_options
from test_estimates_memory import recipe, shape
from tiny import llama
settings = parallel_options(recipe({parallelism!r}))["deepspeed"] | {{"train_micro_batch_size_per_gpu": 2}}
settings = {{key: value for key, value in settings.items() if "auto" not in (value, *getattr(value, "values", list)())}}
settings["bf16"] = {{"enabled": {bfloat16}}}
import deepspeed
deepspeed.init_distributed("gloo", verbose=False)
model = llama(shape())
engine, *_ = deepspeed.initialize(model=model, optimizer=torch.optim.AdamW(model.parameters()), config=settings)
zero, third = engine.optimizer, {parallelism!r} == "zero3"
storages = lambda tensors: {{it.untyped_storage().data_ptr(): it.untyped_storage().nbytes() for it in tensors}}
size = lambda tensors: sum(storages(tensors).values())
own = zero.fp32_partitioned_groups_flat if third else zero.single_partition_of_fp32_groups
seen, summed = {{"bucket": 0, "step": 0}}, {{}}
def noting(name, tensors, act):
    def noted(*given):
        found = {{place: each for place, each in storages(tensors()).items() if place not in summed}}
        seen[name] = max(seen[name], sum(found.values()))
        return act(*given)
    return noted
buffers = lambda: (it for bucket in zero.ipg_buckets.values() for it in ([bucket.buffer] if third else bucket.buffer))
zero._optimizer_step = noting("step", lambda: (it.grad for it in own if it.grad is not None), zero._optimizer_step)
if third:
    seen["bucket"] = size(buffers())
else:
    zero._release_ipg_buffers = noting("bucket", buffers, zero._release_ipg_buffers)
ids = torch.randint(0, 500, (2, 16))
engine.backward(engine(input_ids=ids, labels=ids).loss)
if third:
    gradients = [zero.grad_partitions_flat_buffer]
else:
    gradients = [it for group in zero.averaged_gradients.values() for it in group]
gradients += [it.grad for it in model.parameters() if it.grad is not None and it.grad.numel()]
summed |= storages(gradients)
engine.step()
moments = size(it for state in zero.optimizer.state.values() for it in state.values() if it.numel() > 1)
weights = [it.ds_tensor if third else it for it in model.parameters()]
if torch.distributed.get_rank() == 0:
    print(json.dumps([size(weights), size(gradients) + seen["bucket"], size(own) + moments + seen["step"]]))
torch.distributed.barrier()
# What DeepSpeed leaves running at the interpreter's end aborts it now and then, when all has been said.
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parallelism", "bfloat16"),
    [("fsdp", False), ("zero2", False), ("zero2", True), ("zero3", False), ("zero3", True)],
)
def test_memory_is_what_each_of_two_ranks_holds(tmp_path, parallelism, bfloat16):
    script = tmp_path / "ranks.py"
    ranks = _FSDP if parallelism == "fsdp" else _ZERO
    script.write_text(ranks.format(folder=str(Path(__file__).parent), parallelism=parallelism, bfloat16=bfloat16))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    weights, gradients, optimiser = parts(parallelism, 2, bfloat16)
    if parallelism == "zero3" or (bfloat16 and parallelism != "fsdp"):
        # What is sent is gone again: float32 numbers, one a weight.
        gradients -= 4 * shape().parameters
    # Of the weights: a bucket is a thousand times as large.
    assert found == pytest.approx((weights, gradients, optimiser), rel=0, abs=0.02 * 4 * shape().parameters)
