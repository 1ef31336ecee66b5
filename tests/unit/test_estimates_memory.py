"""The memory model against the bytes of real tensors: weights, gradients, moments, and what autograd keeps."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lingualift.configuration.models import Lora, Recipe
from lingualift.estimates.architectures import KNOWN, Architecture
from lingualift.estimates.memory import activations, logits, training_memory

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


def build(it):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=it.vocabulary,
        hidden_size=it.hidden,
        num_hidden_layers=it.layers,
        num_attention_heads=it.heads,
        num_key_value_heads=it.key_value_heads,
        intermediate_size=it.intermediate,
        tie_word_embeddings=it.tied,
        use_cache=False,
    )
    return LlamaForCausalLM(config).train()


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
    model = build(it)
    model = model.bfloat16() if precision == "bfloat16" else model
    measured = kept(model, autocast=precision == "autocast")
    reckoned = activations(
        it, TOKENS[0] * TOKENS[1], width=4 if precision == "float32" else 2, autocast=precision == "autocast"
    )
    assert reckoned == pytest.approx(measured, rel=0.1)


def test_checkpointing_keeps_the_inputs_of_layers():
    it = shape(layers=6)
    model = build(it)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    one = activations(shape(layers=1), TOKENS[0] * TOKENS[1], width=4)
    reckoned = activations(it, TOKENS[0] * TOKENS[1], width=4, checkpointing=True)
    # The layer that is computed again is no longer there in the forward pass; positions and masks are.
    assert reckoned - one == pytest.approx(kept(model), rel=0.5)
    assert reckoned < activations(it, TOKENS[0] * TOKENS[1], width=4) / 3


def test_logits_by_hand():
    it = shape(vocabulary=1000)
    # In float32: the logits, the log-probabilities and the gradient.
    assert logits(it, 10, width=4) == 10 * 1000 * 12
    assert logits(it, 10, width=2) == 10 * 1000 * 10
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

    model = build(shape())
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
    # All gradients, and the bucket they are summed in: 500 million numbers.
    assert gradients == 2 * whole + 1_000_000_000
    assert parts("zero2", 4, bfloat16=True) == (2 * whole, 2 * whole // 4 + 1_000_000_000, 16 * whole // 4)
    assert parts("zero3", 4, bfloat16=True)[0] == 2 * whole // 4
    # DDP's buckets stand beside the gradients.
    assert parts("ddp", 2) == (4 * whole, 8 * whole, 8 * whole)


def test_offload_moves_parts_to_the_host():
    whole = shape().parameters
    it = training_memory(shape(), recipe("zero2", offload="optimizer"), block=64, ranks=4, bfloat16=True, liger=False)
    assert (it.optimiser, it.host) == (0, 16 * whole // 4)


def test_lora_trains_few_weights():
    it = shape()
    # Rank 8 on queries and outputs: two matrices of 128 x 128 in each of four layers.
    assert it.trained(Lora(rank=8, targets=["q_proj", "o_proj"])) == 4 * 8 * 2 * 256
    weights, gradients, optimiser = parts("none", 1, lora={"rank": 8, "targets": ["q_proj", "o_proj"]})
    trained = 4 * 8 * 2 * 256
    assert (weights, gradients, optimiser) == (4 * (it.parameters + trained), 4 * trained, 8 * trained)


_FSDP = """
import json, sys, torch
from torch.distributed.fsdp import fully_shard
sys.path.insert(0, {folder!r})
from test_estimates_memory import build, shape
torch.distributed.init_process_group("gloo")
model = build(shape())
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


_ZERO2 = """
import json, sys, torch
sys.path.insert(0, {folder!r})
from lingualift.configuration.models import Recipe
from lingualift.parallelism import parallel_options
from test_estimates_memory import build, recipe, shape
settings = parallel_options(recipe("zero2"))["deepspeed"] | {{"train_micro_batch_size_per_gpu": 2}}
settings = {{key: value for key, value in settings.items() if "auto" not in (value, *getattr(value, "values", list)())}}
import deepspeed
deepspeed.init_distributed("gloo", verbose=False)
model = build(shape())
engine, *_ = deepspeed.initialize(model=model, optimizer=torch.optim.AdamW(model.parameters()), config=settings)
zero = engine.optimizer
size = lambda tensors: sum(it.nbytes for it in tensors)
seen = dict.fromkeys(("bucket", "step"), 0)
def noting(name, tensors, act):
    def noted(*given):
        seen[name] = max(seen[name], size(tensors()))
        return act(*given)
    return noted
buffers = lambda: (it for bucket in zero.ipg_buckets.values() for it in bucket.buffer)
zero._release_ipg_buffers = noting("bucket", buffers, zero._release_ipg_buffers)
held = lambda: (it.grad for it in zero.single_partition_of_fp32_groups if it.grad is not None)
zero._optimizer_step = noting("step", held, zero._optimizer_step)
ids = torch.randint(0, 500, (2, 16))
engine.backward(engine(input_ids=ids, labels=ids).loss)
gradients = size(it for group in zero.averaged_gradients.values() for it in group)
gradients += size(it.grad for it in model.parameters() if it.grad is not None)
engine.step()
moments = size(it for state in zero.optimizer.state.values() for it in state.values() if it.numel() > 1)
own = size(zero.single_partition_of_fp32_groups)
if torch.distributed.get_rank() == 0:
    print(json.dumps([size(model.parameters()), gradients + seen["bucket"], own + moments + seen["step"]]))
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("parallelism", "ranks"), [("fsdp", _FSDP), ("zero2", _ZERO2)])
def test_memory_is_what_each_of_two_ranks_holds(tmp_path, parallelism, ranks):
    script = tmp_path / "ranks.py"
    script.write_text(ranks.format(folder=str(Path(__file__).parent)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    # Of the weights: a bucket is a thousand times as large.
    assert found == pytest.approx(parts(parallelism, 2), rel=0, abs=0.02 * 4 * shape().parameters)
