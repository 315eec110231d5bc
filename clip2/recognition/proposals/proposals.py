"""Value type of proposals: groups of points, each with its objectness or a background label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.recognition.proposals.groups import owners
from data_prep.errors import InputError
from data_prep.geometry.ground import GroundMap


@dataclass(frozen=True)
class Proposals:
    """N groups of points of one scan, each perhaps one object. Slices like an array.

    Attributes:
        indices: N ascending int64 arrays into the scan's points; they do not overlap.
        objectness: (N,) float32 in 0..1, calibrated on the synthetic world: of the groups with objectness 0.7, 70 %
            share at least half of their union with one whole object.
        background: N; None for an object, else what the group is part of: ``wall``, ``floor``, ``ceiling``, ...
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
    ground: GroundMap | None = None

    def __post_init__(self) -> None:
        for name in ("objectness", "background"):
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
    ) -> Proposals:
        """Proposals by falling objectness, objects before background.

        Args:
            indices: N ascending arrays.
            objectness: N in 0..1.
            background: N labels or None; None: all are objects.
        """
        score = np.asarray(objectness, dtype=np.float32).reshape(-1)
        labels = tuple(background) if background is not None else (None,) * len(indices)
        whole = cls(tuple(indices), score, labels)
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
            self.ground,
        )

    def __iter__(self) -> Iterator[Proposals]:
        return (self[i] for i in range(len(self)))

    def objects(self) -> Proposals:
        """Those that are not background."""
        return self[np.array([label is None for label in self.background], dtype=bool)]

    def owners(self, count: int) -> NDArray[np.int64]:
        """(count,) number of the proposal of each of the scan's ``count`` points, -1 for none."""
        return owners(self.indices, count)
