"""Sampler of training objects: a pure function of seed and step, so resuming needs no saved state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """63-bit seed for all random draws of one step on one rank."""
    state = np.random.SeedSequence([seed, step, rank, 0x5EED]).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))


def balancing_weights(first_texts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights that draw each text in proportion to the square root of its count.

    Objects without a text are not one class, so each is drawn once per pass.

    Args:
        first_texts: (n,) row of each object's first text; -1: it has none.

    Returns:
        (n,) weights with mean 1.

    >>> balancing_weights(np.array([0, 0, 0, 0, 1])).round(3).tolist()  # text 0 twice as often as text 1
    [0.833, 0.833, 0.833, 0.833, 1.667]
    >>> balancing_weights(np.array([0, 0, 0, 0, 1, -1])).round(3).tolist()
    [0.833, 0.833, 0.833, 0.833, 1.667, 1.0]
    """
    weights = np.ones(len(first_texts))
    named = first_texts >= 0
    if named.any():
        _, inverse, counts = np.unique(first_texts[named], return_inverse=True, return_counts=True)
        drawn = 1 / np.sqrt(counts[inverse])
        weights[named] = drawn * len(drawn) / drawn.sum()
    return weights


class ObjectSampler:
    """An endless shuffled stream of objects, cut into batches.

    The stream is a sequence of passes of n draws each. A pass draws an object of weight w either floor(w) or ceil(w)
    times (systematic resampling), so with equal weights a pass is a permutation.

    With ``shards``, objects of one shard come close together, so that a shard can be read once per pass and dropped:
    the shards of a pass are shuffled and their draws form one line, which is cut into as many equal pieces as there are
    ``lanes``. Each lane fills its own places in every batch, from its own piece, and the draws within a shard are
    shuffled. As the lanes are counted over all ranks and reader processes, the batches do not depend on how many of
    those there are.

    Args:
        objects: (n,) indices to draw from.
        weights: (n,) expected draws per pass, mean 1.
        batch_size: objects per step over all ranks.
        seed: of the run.
        shards: (n,) shard of each object; None: shuffle all objects.
        lanes: shards that a batch draws from; divides ``batch_size``.
    """

    def __init__(
        self,
        objects: NDArray[np.int64],
        weights: NDArray[np.float64],
        batch_size: int,
        seed: int,
        shards: NDArray[np.int64] | None = None,
        lanes: int = 1,
    ) -> None:
        self.objects, self.weights = objects, weights
        self.batch_size, self.seed = batch_size, seed
        self.shards, self.lanes = shards, lanes
        self._passes: dict[int, NDArray[np.int64]] = {}

    def batch(self, step: int) -> NDArray[np.int64]:
        """Objects (batch_size,) of a step, counted from 0."""
        count = len(self.objects)
        position, stop = step * self.batch_size, (step + 1) * self.batch_size
        parts = []
        while position < stop:
            number, offset = divmod(position, count)
            part = self._order(number)[offset : offset + stop - position]
            parts.append(part)
            position += len(part)
        return np.concatenate(parts)

    def _order(self, number: int) -> NDArray[np.int64]:
        if number not in self._passes:
            if len(self._passes) > 1:  # readers look ahead into the next pass
                del self._passes[min(self._passes)]
            random = np.random.default_rng([self.seed, number, 0x0DE2])
            drawn = self._shuffled(random) if self.shards is None else self._by_shard(number, random)
            self._passes[number] = self.objects[drawn]
        return self._passes[number]

    def _shuffled(self, random: np.random.Generator) -> NDArray[np.int64]:
        return random.permutation(self._draw(random.permutation(len(self.objects)), random))

    def _by_shard(self, number: int, random: np.random.Generator) -> NDArray[np.int64]:
        assert self.shards is not None
        _, shard = np.unique(self.shards, return_inverse=True)
        rank = random.permutation(shard.max() + 1)[shard]
        line = self._draw(np.lexsort((random.random(len(rank)), rank)), random)
        line = line[np.lexsort((random.random(len(line)), rank[line]))]
        place = (number * len(line) + np.arange(len(line))) % self.batch_size
        lane = place // (self.batch_size // self.lanes)
        order = np.empty_like(line)
        order[np.argsort(lane, kind="stable")] = line
        return order

    def _draw(self, shuffled: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """n of the positions ``shuffled``, in their order, each as often as its weight says."""
        ends = np.cumsum(self.weights[shuffled])
        ticks = np.arange(len(shuffled)) + random.random()
        # Rounding may put the last end just below the last tick.
        return shuffled[np.minimum(np.searchsorted(ends, ticks, side="right"), len(shuffled) - 1)]
