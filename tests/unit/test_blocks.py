"""Blocks: the batch of a step is a function of the seed and the step, and entries do not see each other."""

import json

import numpy as np
import pytest
import torch
from making import byte_tokenizer, reader_of, write_corpus
from torch.utils.data import DataLoader

from lingualift.blocks import IGNORED, PackedBlocks, isolated_positions
from lingualift.configuration.mixtures import Mixture
from lingualift.errors import LingualiftError
from lingualift.packing import pack_mixture
from lingualift.trainer import TimedBlocks


def write_blocks(folder, shards, *, isolate=False, learnt=None):
    """Shards of blocks; ``learnt`` likewise, all by default."""
    folder.mkdir()
    for number, tokens in enumerate(shards):
        mask = np.ones_like(tokens, bool) if learnt is None else learnt[number]
        np.save(folder / f"tokens-{number:05d}.npy", tokens.astype(np.uint16))
        np.save(folder / f"learnt-{number:05d}.npy", np.packbits(mask, axis=1))
    manifest = {"counts": {"shards": len(shards)}, "block": 4, "isolate": isolate, "eos": 0}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def folder(tmp_path):
    """23 blocks in three shards; the first token of a block is its number."""
    numbers = np.arange(23)[:, None] + np.array([[0, 100, 200, 300]])
    return write_blocks(tmp_path / "packed", [numbers[:10], numbers[10:11], numbers[11:]])


def numbers(data, items=None):
    return [int(data[item]["input_ids"][0]) for item in (range(len(data)) if items is None else items)]


def test_an_epoch_has_every_block_once_and_another_order(folder):
    data = PackedBlocks(folder, batch=1, epochs=3, seed=5)
    assert len(data) == 69
    epochs = [numbers(data, range(start, start + 23)) for start in (0, 23, 46)]
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert numbers(PackedBlocks(folder, batch=1, epochs=3, seed=5)) == [number for epoch in epochs for number in epoch]
    assert numbers(PackedBlocks(folder, batch=1, epochs=1, seed=6)) != epochs[0]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"batch": 4}, 6),  # 23 blocks: the sixth step takes one of the next pass
        ({"batch": 23}, 1),
        ({"batch": 64}, 1),
        ({"batch": 4, "epochs": 2}, 12),
        ({"batch": 4, "epochs": 0.5}, 3),  # 11.5 blocks, 12 by rounding to even
        ({"batch": 4, "epochs": 0.01}, 1),
        ({"batch": 4, "epochs": 9, "max_steps": 5}, 5),
    ],
)
def test_every_step_is_full(folder, options, steps):
    data = PackedBlocks(folder, **options)
    assert data.steps == steps
    assert len(data) == steps * options["batch"]
    assert len(numbers(data)) == len(data)


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_a_step_reads_the_same_blocks_on_any_number_of_ranks(folder, ranks, accumulation):
    """With the sharding that accelerate does for transformers' Trainer."""
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler, SequentialSampler

    batch = 8
    data = PackedBlocks(folder, batch=batch, epochs=4, seed=2)
    expected = [sorted(numbers(data, range(step * batch, (step + 1) * batch))) for step in range(data.steps)]
    micro = BatchSampler(SequentialSampler(data), batch // ranks // accumulation, drop_last=False)
    of_rank = [list(BatchSamplerShard(micro, num_processes=ranks, process_index=rank)) for rank in range(ranks)]
    for step in range(data.steps):
        read = [
            number
            for batches in of_rank
            for items in batches[step * accumulation : (step + 1) * accumulation]
            for number in numbers(data, items)
        ]
        assert sorted(read) == expected[step]
    assert all(len(batches) == data.steps * accumulation for batches in of_rank)


def test_numbers_of_a_step_are_what_it_reads(folder):
    data = PackedBlocks(folder, batch=4, epochs=3, seed=5)
    for step in range(1, data.steps + 1):
        assert data.numbers_of_step(step) == numbers(data, range((step - 1) * 4, step * 4))


@pytest.mark.parametrize("isolate", [True, False])
def test_a_batch_is_its_blocks_whatever_is_asked_for_at_once(tmp_path, isolate):
    """Over the border of two epochs, from several shards."""
    rng = np.random.default_rng(3)
    shards = [rng.integers(0, 5, (rows, 4)) for rows in (6, 1, 9)]
    learnt = [rng.random(shard.shape) < 0.5 for shard in shards]
    data = PackedBlocks(
        write_blocks(tmp_path / "packed", shards, isolate=isolate, learnt=learnt), batch=8, epochs=3, held_out=0.1
    )
    assert data.num_blocks == 14
    rows = [data[item] for item in range(len(data))]
    batches = list(DataLoader(TimedBlocks(data), batch_size=5, collate_fn=TimedBlocks.collate))
    for key in ("input_ids", "labels", *(["position_ids"] if isolate else [])):
        assert torch.equal(torch.cat([batch[key] for batch in batches]), torch.stack([row[key] for row in rows]))


@pytest.mark.parametrize(("share", "count"), [(0.3, 7), (0.01, 1)])
def test_held_out_blocks_are_never_trained_on(folder, share, count):
    """23 blocks: 30 % are 6.9; one per cent is one at least."""
    data = PackedBlocks(folder, batch=1, epochs=2, seed=5, held_out=share)
    assert data.num_held_out == count
    held = data.held_out_blocks(range(count))["input_ids"][:, 0].tolist()
    trained = numbers(data)
    assert len(data) == 2 * (23 - count)
    assert sorted(held + trained[: 23 - count]) == list(range(23))
    assert sorted(trained[23 - count :]) == sorted(trained[: 23 - count])
    other = PackedBlocks(folder, batch=1, seed=6, held_out=share)
    assert other.held_out_blocks(range(count))["input_ids"][:, 0].tolist() != held


def test_what_is_held_out_leaves_something_to_train_on(tmp_path):
    one = write_blocks(tmp_path / "packed", [np.ones((1, 4))])
    with pytest.raises(LingualiftError, match="no block to train on beside those held out"):
        PackedBlocks(one, batch=1, held_out=0.5)


def test_what_is_not_learnt_is_left_out_of_the_loss(tmp_path):
    tokens = np.array([[5, 6, 0, 7], [8, 9, 0, 0]])
    learnt = np.array([[True, False, True, True], [True, True, True, False]])
    data = PackedBlocks(write_blocks(tmp_path / "packed", [tokens], learnt=[learnt]), batch=2)
    batch = data.batch_of([0, 1])
    assert batch["input_ids"].dtype == batch["labels"].dtype == torch.int64
    assert set(batch) == {"input_ids", "labels"}
    found = dict(zip(map(tuple, batch["input_ids"].tolist()), batch["labels"].tolist(), strict=True))
    assert found == {(5, 6, 0, 7): [5, IGNORED, 0, 7], (8, 9, 0, 0): [8, 9, 0, IGNORED]}


def test_positions_of_isolated_entries_by_hand():
    tokens = np.array([7, 8, 0, 9, 0, 0, 5, 6])
    positions, first = isolated_positions(tokens, 0)
    assert positions.tolist() == [0, 1, 2, 0, 1, 0, 0, 1]
    assert np.flatnonzero(first).tolist() == [0, 3, 5, 6]


def test_the_first_token_of_an_isolated_entry_is_not_learnt(tmp_path):
    tokens = np.array([[7, 8, 0, 9, 0, 5, 6, 0]])
    data = PackedBlocks(write_blocks(tmp_path / "packed", [tokens], isolate=True), batch=1)
    assert data[0]["labels"].tolist() == [IGNORED, 8, 0, IGNORED, 0, IGNORED, 6, 0]
    assert data[0]["position_ids"].tolist() == [0, 1, 2, 0, 1, 0, 1, 2]


def test_no_blocks(tmp_path):
    with pytest.raises(LingualiftError, match="has no block to train on"):
        PackedBlocks(write_blocks(tmp_path / "packed", [np.zeros((0, 4))]), batch=1)


def tiny_llama(attention, vocabulary):
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    torch.set_num_threads(1)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=vocabulary, **sizes, use_cache=False)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("isolate", [True, False])
def test_transformers_keeps_isolated_entries_apart(tmp_path, attention, isolate):
    """The logits of an entry in a packed block are those of the entry alone, in a batch of several blocks."""
    texts = ["ab cd", "a longer entry", "x", "yet another", "z z z", "and more of it"]
    tokenizer = byte_tokenizer()
    mixture = Mixture.model_validate(
        {"components": [{"corpus": "it"}], "block": 24, "packing": "whole", "isolate": isolate}
    )
    reader = reader_of(mixture, {"it": write_corpus(tmp_path / "it", {"en": {"en": texts}})})
    pack_mixture(reader, tokenizer, mixture, out=tmp_path / "packed", work=tmp_path / "work")
    data = PackedBlocks(tmp_path / "packed", batch=3)
    batch = data.batch_of(range(3))
    assert ("position_ids" in batch) == isolate
    model = tiny_llama(attention, len(tokenizer))
    seen = 0
    with torch.no_grad():
        packed = model(**{key: value for key, value in batch.items() if key != "labels"}).logits
        for row, tokens in enumerate(batch["input_ids"]):
            ends = (np.flatnonzero(tokens.numpy() == 0) + 1).tolist()
            for start, end in zip([0, *ends], ends, strict=False):
                alone = model(input_ids=tokens[None, start:end]).logits[0]
                apart = torch.allclose(packed[row, start:end], alone, atol=1e-5)
                # Without isolation an entry sees those before it: only the first of a block does not.
                assert apart == (isolate or start == 0)
                seen += end - start > 1
    assert seen == len(texts)
