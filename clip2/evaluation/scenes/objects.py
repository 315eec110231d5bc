"""Objects of one frame, labeled or predicted, as the protocols compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.errors import InputError


@dataclass(frozen=True, eq=False)
class SceneObjects:
    """N objects of one frame in world axes. Slices like an array.

    Attributes:
        boxes: (N, 7) float64 center x y z, length, width, height, yaw; meters, radians about z.
        labels: N; empty strings where an object has no label.
        scores: (N,) float64 confidence in the label; None: 1 for all, as for labeled objects.
        indices: N int64 arrays into the frame's points; None: only boxes are known.
        tracks: (N,) int64 number of the object over all frames; None: unknown.
        objectness: (N,) float64 confidence that the box holds one whole object; None: the scores.
        ignored: (N,) bool: labeled objects that count neither way; None: all count.
        viewpoint: (3,) position of the sensor.

    Raises:
        InputError: columns of different lengths, or numbers that are not finite.

    >>> one = SceneObjects(boxes=np.array([[10.0, 0, 0, 4, 2, 2, 0]]), labels=("car",))
    >>> len(one), one.distances().tolist(), one.scores.tolist()
    (1, [10.0], [1.0])
    """

    boxes: NDArray[np.float64]
    labels: tuple[str, ...]
    scores: NDArray[np.float64] = None  # type: ignore[assignment]
    indices: tuple[NDArray[np.int64], ...] | None = None
    tracks: NDArray[np.int64] | None = None
    objectness: NDArray[np.float64] = None  # type: ignore[assignment]
    ignored: NDArray[np.bool_] = None  # type: ignore[assignment]
    viewpoint: NDArray[np.float64] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, np.float64).reshape(-1, 7)
        defaults: dict[str, Any] = {
            "scores": np.ones(len(boxes)),
            "ignored": np.zeros(len(boxes), bool),
            "viewpoint": np.zeros(3),
        }
        object.__setattr__(self, "boxes", boxes)
        defaults["objectness"] = defaults["scores"] if self.scores is None else self.scores
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in ("labels", "scores", "objectness", "indices", "tracks", "ignored"):
            column = getattr(self, name)
            if column is not None and len(column) != len(boxes):
                raise InputError(f"has {len(column)} entries for {len(boxes)} boxes", field=f"objects.{name}")
        for name in ("boxes", "scores", "objectness"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError("holds NaN or inf", field=f"objects.{name}", fix="leave those objects out")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int | slice | ArrayLike) -> SceneObjects:
        keep = np.atleast_1d(np.arange(len(self))[index])  # type: ignore[index]
        return replace(
            self,
            boxes=self.boxes[keep],
            labels=tuple(self.labels[i] for i in keep),
            scores=self.scores[keep],
            indices=None if self.indices is None else tuple(self.indices[i] for i in keep),
            tracks=None if self.tracks is None else self.tracks[keep],
            objectness=self.objectness[keep],
            ignored=self.ignored[keep],
        )

    def labeled(self, label: str) -> SceneObjects:
        """Those with this label."""
        return self[np.array([one == label for one in self.labels], bool)]

    def distances(self) -> NDArray[np.float64]:
        """(N,) meters from the sensor to the center of each box."""
        away: NDArray[np.float64] = np.linalg.norm(self.boxes[:, :3] - self.viewpoint, axis=1)
        return away


def point_iou(
    a: Sequence[NDArray[np.int64]], b: Sequence[NDArray[np.int64]], count: int
) -> NDArray[np.float64]:
    """(A, B) IoU of two lists of distinct point indices, each below ``count``.

    >>> point_iou([np.array([0, 1, 2])], [np.array([1, 2, 3, 4])], 5).tolist()
    [[0.4]]
    """
    result = np.zeros((len(a), len(b)))
    for column, index in enumerate(b):
        inside = np.zeros(count, bool)
        inside[index] = True
        for row, other in enumerate(a):
            shared = int(inside[other].sum())
            result[row, column] = shared / max(len(other) + len(index) - shared, 1)
    return result
