"""Packed blocks as a training set whose order is a function of the seed and the step alone."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lingualift.errors import LingualiftError
from lingualift.files import read_json
from lingualift.randomness import Permutation, seed_of

IGNORED = -100  # what transformers' losses leave out


class PackedBlocks(torch.utils.data.Dataset):
    """The blocks of a packed mixture in training order, all epochs on end.

    Item ``i`` is block ``i`` of the order; each epoch is a permutation of its own. The set is as long as
    ``steps * batch``, so every step is full and step ``t`` reads the items ``t * batch`` to ``(t + 1) * batch``,
    on however many ranks.

    Args:
        folder: what :func:`lingualift.packing.pack_mixture` wrote.
        batch: blocks in one optimiser step.
        epochs: passes over the blocks; the last step is filled from the next pass.
        max_steps: stop earlier.
        seed: of the order.
        held_out: share of the blocks that :meth:`held_out_block` gives and training never reads; drawn by the seed.

    Raises:
        LingualiftError: no block, or none but those held out.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        batch: int,
        epochs: float = 1,
        max_steps: int | None = None,
        seed: int = 0,
        held_out: float = 0.0,
    ) -> None:
        folder = Path(folder)
        self.manifest = read_json(folder / "manifest.json")
        shards = range(self.manifest["counts"]["shards"])
        self._tokens = [np.load(folder / f"tokens-{shard:05d}.npy", mmap_mode="r") for shard in shards]
        self._learnt = [np.load(folder / f"learnt-{shard:05d}.npy", mmap_mode="r") for shard in shards]
        self._ends = list(accumulate(len(tokens) for tokens in self._tokens))
        self._all = self._ends[-1] if self._ends else 0
        self.num_held_out = max(1, round(self._all * held_out)) if held_out else 0
        self.num_blocks = self._all - self.num_held_out
        if self.num_blocks <= 0:
            raise LingualiftError(
                f"{folder}: the mixture has no block to train on" + (" beside those held out" if held_out else "")
            )
        self.seed, self.batch = seed, batch
        self.steps = max(1, -(-round(self.num_blocks * epochs) // batch))
        if max_steps is not None:
            self.steps = min(self.steps, max_steps)

    def __len__(self) -> int:
        return self.steps * self.batch

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        """One block: ``input_ids``, ``labels`` (int64, block), and ``position_ids`` where entries are isolated."""
        return self._block(self.number_of(item))

    def number_of(self, item: int) -> int:
        """The number, in the packed mixture, of an item of the order."""
        epoch, place = divmod(item, self.num_blocks)
        number = int(Permutation(self.num_blocks, seed_of(self.seed, "epoch", epoch))(np.array([place]))[0])
        return self._number(number)

    def numbers_of_step(self, step: int) -> list[int]:
        """The numbers of the blocks that a step reads; steps count from 1, as in logs."""
        return [self.number_of(item) for item in range((step - 1) * self.batch, step * self.batch)]

    def held_out_block(self, place: int) -> dict[str, torch.Tensor]:
        """One of the blocks that are held out, ``place`` in ``range(num_held_out)``; in the form of an item."""
        return self._block(self._number(self.num_blocks + place))

    def _number(self, place: int) -> int:
        """What blocks are held out is drawn by the seed: the last ones of an order that is not one of training."""
        if not self.num_held_out:
            return place
        return int(Permutation(self._all, seed_of(self.seed, "held out"))(np.array([place]))[0])

    def _block(self, number: int) -> dict[str, torch.Tensor]:
        shard = bisect_right(self._ends, number)
        row = number - (self._ends[shard - 1] if shard else 0)
        tokens = self._tokens[shard][row].astype(np.int64)
        learnt = np.unpackbits(self._learnt[shard][row], count=len(tokens)).astype(bool)
        block = {"input_ids": tokens, "labels": np.where(learnt, tokens, IGNORED)}
        if self.manifest["isolate"]:
            block["position_ids"], first = isolated_positions(tokens, self.manifest["eos"])
            # An entry's first token cannot be told from the entry before it.
            block["labels"][first] = IGNORED
        return {key: torch.from_numpy(value) for key, value in block.items()}


def isolated_positions(tokens: np.ndarray, eos: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions that start anew behind each end-of-sequence token; transformers masks attention by them.

    Returns:
        The position of each token in its entry (int64), and which tokens are the first of theirs (bool).
    """
    first = np.ones(len(tokens), bool)
    first[1:] = tokens[:-1] == eos
    places = np.arange(len(tokens))
    return places - np.maximum.accumulate(np.where(first, places, 0)), first


def collate(blocks: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
    """Stack blocks into a batch."""
    return {key: torch.stack([block[key] for block in blocks]) for key in blocks[0]}
