"""Packed blocks as a training set whose order is a function of the seed and the step alone."""

from collections.abc import Sequence
from pathlib import Path

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
        held_out: share of the blocks that :meth:`held_out_blocks` gives and training never reads; drawn by the seed.

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
        # Still mapped, but plain arrays: those of numpy's own kind for it take their time over each row.
        self._tokens, self._learnt = (
            [np.asarray(np.load(folder / f"{kind}-{shard:05d}.npy", mmap_mode="r")) for shard in shards]
            for kind in ("tokens", "learnt")
        )
        self._ends = np.cumsum([len(tokens) for tokens in self._tokens], dtype=np.int64)
        self._all = int(self._ends[-1]) if len(self._ends) else 0
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
        return {key: value[0] for key, value in self.batch_of([item]).items()}

    def batch_of(self, items: Sequence[int]) -> dict[str, torch.Tensor]:
        """Some items of the order, a row each: what an item has, items x block."""
        return self._blocks(self._numbers(items))

    def numbers_of_step(self, step: int) -> list[int]:
        """The numbers, in the packed mixture, of the blocks that a step reads; steps count from 1, as in logs."""
        return self._numbers(range((step - 1) * self.batch, step * self.batch)).tolist()

    def held_out_blocks(self, places: Sequence[int]) -> dict[str, torch.Tensor]:
        """Some of the blocks that are held out, each of ``places`` in ``range(num_held_out)``; as items are."""
        return self._blocks(self._drawn(self.num_blocks + np.asarray(places, np.int64)))

    def _numbers(self, items: Sequence[int]) -> np.ndarray:
        epochs, places = np.divmod(np.asarray(items, np.int64), self.num_blocks)
        for epoch in np.unique(epochs):
            within = epochs == epoch
            places[within] = Permutation(self.num_blocks, seed_of(self.seed, "epoch", epoch))(places[within])
        return self._drawn(places)

    def _drawn(self, places: np.ndarray) -> np.ndarray:
        """What blocks are held out is drawn by the seed: the last ones of an order that is not one of training."""
        if not self.num_held_out:
            return places
        return Permutation(self._all, seed_of(self.seed, "held out"))(places)

    def _blocks(self, numbers: np.ndarray) -> dict[str, torch.Tensor]:
        shards = np.searchsorted(self._ends, numbers, side="right")
        # Counted from the end of their shard.
        rows = [(shard, number - self._ends[shard]) for shard, number in zip(shards, numbers, strict=True)]
        tokens = np.array([self._tokens[shard][row] for shard, row in rows], np.int64)
        learnt = np.array([self._learnt[shard][row] for shard, row in rows])
        learnt = np.unpackbits(learnt, axis=1, count=tokens.shape[1]).view(bool)
        blocks = {"input_ids": tokens, "labels": np.where(learnt, tokens, IGNORED)}
        if self.manifest["isolate"]:
            blocks["position_ids"], first = isolated_positions(tokens, self.manifest["eos"])
            # An entry's first token cannot be told from the entry before it.
            blocks["labels"][first] = IGNORED
        return {key: torch.from_numpy(value) for key, value in blocks.items()}


def isolated_positions(tokens: np.ndarray, eos: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions that start anew behind each end-of-sequence token; transformers masks attention by them.

    Args:
        tokens: of one block, or of several, a row each.

    Returns:
        The position of each token in its entry (int64), and which tokens are the first of theirs (bool).
    """
    first = np.ones(tokens.shape, bool)
    first[..., 1:] = tokens[..., :-1] == eos
    places = np.arange(tokens.shape[-1])
    return places - np.maximum.accumulate(np.where(first, places, 0), axis=-1), first
