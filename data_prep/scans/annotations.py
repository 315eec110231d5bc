"""Human labels of one frame, where a dataset has them. Used to score, never to mine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry import OrientedBox


@dataclass(frozen=True)
class Annotations3D:
    """Labeled boxes of one frame.

    Attributes:
        boxes: M boxes in the frame of ``Frame.points``.
        labels: M words, lower case, ``_`` replaced by spaces.
        boxes_2d: (M, 4) labeled xyxy pixels in ``views[0]``, or None.
        attributes: further (M,) arrays by name: ``truncated``, ``occluded``, ``track_id`` …
    """

    boxes: tuple[OrientedBox, ...]
    labels: tuple[str, ...]
    boxes_2d: NDArray | None = None
    attributes: Mapping[str, NDArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if len(self.labels) != count or any(len(column) != count for column in self.attributes.values()):
            raise InputError(f"columns differ in length from {count} boxes", field="annotations")

    def __len__(self) -> int:
        return len(self.boxes)
