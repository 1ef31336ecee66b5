"""Randomness that is a function of its place: no state, no order, the same on any number of workers."""

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def seed_of(*parts: object) -> int:
    """A 64-bit seed from names and numbers, e.g. ``seed_of(17, "captions", "en-de")``."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def hashes(seed: int, *counters: np.ndarray) -> np.ndarray:
    """One 64-bit hash for each place.

    Args:
        seed: from :func:`seed_of`.
        counters: integer arrays that broadcast together, e.g. line numbers and word positions.

    Returns:
        uint64 array of the broadcast shape (splitmix64's finaliser, applied once a counter).
    """
    with np.errstate(over="ignore"):
        state = np.uint64(seed)
        for counter in counters:
            state = _mix(state + (np.asarray(counter).astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return state


def uniforms(seed: int, *counters: np.ndarray) -> np.ndarray:
    """One float64 in [0, 1) for each place; arguments as in :func:`hashes`."""
    return (hashes(seed, *counters) >> np.uint64(11)) * 2.0**-53


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


class Permutation:
    """A shuffle of ``range(size)`` that needs no memory: any part of it can be asked for.

    A four-round Feistel network over the next even power of two, walked until it falls inside the range
    (Black & Rogaway 2002, "cycle walking").
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self._half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)

    def __call__(self, index: np.ndarray) -> np.ndarray:
        """Where each of ``index`` (int64, within range) is sent; same shape."""
        out = self._round_trip(np.asarray(index, dtype=np.int64))
        outside = out >= self.size
        while outside.any():
            out[outside] = self._round_trip(out[outside])
            outside = out >= self.size
        return out

    def _round_trip(self, index: np.ndarray) -> np.ndarray:
        half, mask = np.uint64(self._half), np.uint64((1 << self._half) - 1)
        x = index.astype(np.uint64)
        left, right = x >> half, x & mask
        for round_number in range(4):
            left, right = right, left ^ (hashes(self.seed + round_number & (2**64 - 1), right) & mask)
        return ((left << half) | right).astype(np.int64)
