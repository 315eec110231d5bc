"""Value type of proposals: groups of points, each with its objectness or a background label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from clip2.recognition.proposals.groups import owners
from data_prep.errors import InputError
from data_prep.geometry.ground import GroundMap

_UNNAMED = 0.2  # worth of an object without a name, against a sure name
_SECOND = 0.3  # of the less likely of two parts: naming both right is rarer
_ALONE = 0.3  # of an alternative to nothing


@dataclass(frozen=True)
class Proposals:
    """N groups of points of one scan, each perhaps one object. Slices like an array.

    Attributes:
        indices: N ascending int64 arrays into the scan's points; only alternatives overlap others.
        objectness: (N,) float32 in 0..1, calibrated on the synthetic world: of the groups with objectness 0.7, 70 %
            share at least half of their union with one whole object.
        background: N; None for an object, else what the group is part of: ``wall``, ``floor``, ``ceiling``, ...
        alternative: (N,) bool, other ways to group the same points: the whole of two proposals, a part of one, or what is
            seen without colors. None: no group is one.
        ground: under the scene, where it was fitted to find them.

    Raises:
        InputError: fields that do not fit together.

    >>> found = Proposals((np.array([0, 1]), np.array([2])), np.array([0.9, 0.1], np.float32), (None, "wall"))
    >>> len(found), len(found.objects()), found.owners(4).tolist()
    (2, 1, [0, 0, 1, -1])
    """

    indices: tuple[NDArray[np.int64], ...]
    objectness: NDArray[np.float32]
    background: tuple[str | None, ...]
    alternative: NDArray[np.bool_] = None  # type: ignore[assignment]
    ground: GroundMap | None = None

    def __post_init__(self) -> None:
        if self.alternative is None:
            object.__setattr__(self, "alternative", np.zeros(len(self.indices), bool))
        for name in ("objectness", "background", "alternative"):
            if len(getattr(self, name)) != len(self.indices):
                raise InputError(
                    f"has {len(getattr(self, name))} entries for {len(self.indices)} groups",
                    field=f"proposals.{name}",
                )

    @classmethod
    def join(
        cls,
        indices: Sequence[NDArray[np.int64]],
        objectness: ArrayLike,
        background: Sequence[str | None] | None = None,
        alternative: Sequence[bool] | None = None,
    ) -> Proposals:
        """Proposals by falling objectness, objects before background.

        Args:
            indices: N ascending arrays.
            objectness: N in 0..1.
            background: N labels or None; None: all are objects.
            alternative: N, or None: no group is one.
        """
        score = np.asarray(objectness, dtype=np.float32).reshape(-1)
        labels = tuple(background) if background is not None else (None,) * len(indices)
        other = np.zeros(len(score), bool) if alternative is None else np.asarray(alternative, bool)
        whole = cls(tuple(indices), score, labels, other)
        sizes = np.array([len(index) for index in indices], dtype=np.int64)
        is_background = np.array([label is not None for label in labels], dtype=bool)
        return whole[np.lexsort((-sizes, -score, is_background))] if len(indices) else whole

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int | slice | ArrayLike) -> Proposals:
        keep = np.atleast_1d(np.arange(len(self))[index])  # type: ignore[index]
        return Proposals(
            tuple(self.indices[i] for i in keep),
            self.objectness[keep],
            tuple(self.background[i] for i in keep),
            self.alternative[keep],
            self.ground,
        )

    def __iter__(self) -> Iterator[Proposals]:
        return (self[i] for i in range(len(self)))

    def objects(self) -> Proposals:
        """Those that are not background."""
        return self[np.array([label is None for label in self.background], dtype=bool)]

    def distinct(self) -> Proposals:
        """Those that do not overlap: all but the alternatives."""
        return self[~self.alternative]

    def settle(self, scores: NDArray[np.floating]) -> NDArray[np.int64]:
        """Choose among alternatives when it is known what each would be named.

        An alternative replaces what it overlaps if it is worth more: more than the best of these and a part of the others. What
        has points that the alternative leaves out counts up to double. The figures were chosen on synthetic rooms and table
        tops with ``mini-points``.

        Args:
            scores: (N,) of the best label of each, 0..1.

        Returns:
            Ascending numbers of the proposals that stay. Without alternatives all do.
        """
        worth = scores + _UNNAMED * self.objectness
        stays = ~self.alternative
        others = np.flatnonzero(self.alternative)
        for number in others[np.argsort(-worth[others], kind="stable")].tolist():
            rivals, left_out = self._rivals[number]
            rivals, left_out = rivals[stays[rivals]], left_out[stays[rivals]]
            held = np.sort(worth[rivals] * (1 + left_out))[::-1]
            needed = held[0] + _SECOND * held[1:].sum() if len(held) else _ALONE
            if scores[number] > 0 and worth[number] > needed:
                stays[rivals], stays[number] = False, True
        return np.flatnonzero(stays)

    @cached_property
    def _rivals(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Of each alternative: what it shares more than half of the smaller one's points with, and the share of it left out."""
        sizes = np.array([len(index) for index in self.indices], np.int64)
        columns = np.concatenate([np.zeros(0, np.int64), *self.indices])
        shape = (len(self), int(columns.max(initial=-1)) + 1)
        members = csr_array((np.ones(len(columns), np.int64), columns, np.append(0, np.cumsum(sizes))), shape)
        others = np.flatnonzero(self.alternative)
        shared = (members[others] @ members.T).toarray()
        close = shared > 0.5 * np.minimum(sizes[others, None], sizes)
        close[np.arange(len(others)), others] = False
        left_out = 1 - shared / sizes
        return {
            int(n): (np.flatnonzero(row), left[row])
            for n, row, left in zip(others, close, left_out, strict=True)
        }

    def owners(self, count: int) -> NDArray[np.int64]:
        """(count,) number of the proposal of each of the scan's ``count`` points, -1 for none; alternatives own none."""
        owner = owners(self.distinct().indices, count)
        return np.append(np.flatnonzero(~self.alternative), -1)[owner]
