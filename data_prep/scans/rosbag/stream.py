"""Message times of one topic, and the search for the message nearest to a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Stream:
    """Messages by stamp, although clocks jump.

    Stamps that run backwards by no more than ``max_gap`` arrived out of order and are sorted. A larger step back is
    a jump of the clock (a simulation that started again, a late time synchronization): what follows is kept
    apart from what came before, and a moment is looked up in the part that was recorded nearest to it.

    Args:
        stamps: (n,) ns, in the order of recording.
        bag_times: (n,) ns, when each was recorded.
        max_gap: ns; what is farther away in time does not belong to a moment.

    Attributes:
        stamps, bag_times: (m,) int64, by stamp within each part; of equal stamps the first is kept.
        order: (m,) int64, which of the n each is.
        jumps: ns by which the clock jumped back, one number per jump.
        repeated: how many were left out because of an equal stamp.
    """

    def __init__(self, stamps: ArrayLike, bag_times: ArrayLike, max_gap: int) -> None:
        given, times = np.asarray(stamps, dtype=np.int64), np.asarray(bag_times, dtype=np.int64)
        self._max_gap = max_gap
        parts: list[NDArray[np.int64]] = []
        self.jumps: list[int] = []
        begin = 0
        while True:
            # Against the latest stamp so far, or one late message would open a part of its own.
            late = np.maximum.accumulate(given[begin:]) - given[begin:]
            back = np.flatnonzero(late > max_gap)
            end = begin + int(back[0]) if len(back) else len(given)
            parts.append(np.arange(begin, end))
            if not len(back):
                break
            self.jumps.append(int(late[back[0]]))
            begin = end
        kept = [part[np.unique(given[part], return_index=True)[1]] for part in parts]
        self.order: NDArray[np.int64] = np.concatenate(kept)
        self.stamps: NDArray[np.int64] = given[self.order]
        self.bag_times: NDArray[np.int64] = times[self.order]
        self.repeated = len(given) - len(self.order)
        ends = np.cumsum([len(part) for part in kept]).tolist()
        self._bounds = list(zip([0, *ends], ends, strict=False))

    def __len__(self) -> int:
        return len(self.stamps)

    def nearest(self, stamp: int, bag_time: int, max_gap: int | None = None) -> int | None:
        """Position of the message nearest to ``stamp``, of several parts in the one recorded nearest; None if too far."""
        gap = self._max_gap if max_gap is None else max_gap
        best, best_distance = None, -1
        for low, high in self._bounds:
            if low == high:
                continue
            k = self._closest(stamp, low, high)
            distance = abs(int(self.bag_times[k]) - bag_time)
            if abs(int(self.stamps[k]) - stamp) <= gap and (best is None or distance < best_distance):
                best, best_distance = k, distance
        return best

    def bracket(self, stamp: int, bag_time: int) -> tuple[int, int] | None:
        """Positions before and after ``stamp``; the nearest one twice at the ends; None if that is too far away."""
        k = self.nearest(stamp, bag_time)
        if k is None:
            return None
        low, high = next(bounds for bounds in self._bounds if bounds[0] <= k < bounds[1])
        if self.stamps[k] <= stamp:
            return k, min(k + 1, high - 1)
        return max(k - 1, low), k

    def distance(self, stamp: int) -> int:
        """ns from ``stamp`` to the nearest message of any part."""
        return int(np.abs(self.stamps - stamp).min())

    def _closest(self, stamp: int, low: int, high: int) -> int:
        after = low + int(np.searchsorted(self.stamps[low:high], stamp))
        return min(
            (k for k in (after - 1, after) if low <= k < high), key=lambda k: abs(int(self.stamps[k]) - stamp)
        )
