"""3D labels of a frame, before they are written in a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Camera, OrientedBox, box_to_image


@dataclass(frozen=True, eq=False)
class ImageDetection:
    """The 2D detection of an object in one image.

    Attributes:
        view, view_index: name of the image and index into ``Frame.views``.
        box: (4,) xyxy pixels.
        score: the detector's, 0..1.
        occluded: share of the points in the 2D box that nearer objects hold, 0..1; NaN: not known.
        num_points: lifted from this detection.
    """

    view: str
    view_index: int
    box: NDArray[np.float32]
    score: float
    occluded: float
    num_points: int


@dataclass(frozen=True, eq=False)
class Label3D:
    """One object in one frame.

    Attributes:
        label: its name.
        score: of its best detection in this frame, 0..1.
        track: number of the object, the same in all frames; None: objects are not followed.
        box: around the whole object, in the z-up world.
        visible: around its points, in the z-up world.
        quality: 0..1, see :class:`data_prep.geometry.box_completion.CompletedBox`.
        moving: whether it moves in the world; None: not known.
        velocity: (3,) m/s in the world; None: not known.
        detections: its detections in this frame, one per image.
    """

    label: str
    score: float
    track: int | None
    box: OrientedBox
    visible: OrientedBox
    quality: float
    moving: bool | None
    velocity: NDArray[np.float64] | None
    detections: tuple[ImageDetection, ...]

    @property
    def num_points(self) -> int:
        """Points lifted from all its detections in this frame."""
        return sum(seen.num_points for seen in self.detections)

    def seen_in(self, view_index: int) -> ImageDetection | None:
        """Its detection in one image of the frame."""
        return next((seen for seen in self.detections if seen.view_index == view_index), None)

    def to_json(self) -> dict[str, Any]:
        """The label as a JSON object, numbers rounded to a tenth of a millimeter and of a milliradian."""
        speed = None if self.velocity is None else _rounded(self.velocity)
        return {
            "label": self.label,
            "score": round(self.score, 4),
            "track": self.track,
            "box": _box_json(self.box),
            "visible": _box_json(self.visible),
            "quality": round(self.quality, 4),
            "moving": self.moving,
            "velocity": speed,
            "num_points": self.num_points,
            "detections": [
                {
                    "image": seen.view,
                    "box_2d": _rounded(seen.box),
                    "score": round(seen.score, 4),
                    "occluded": None if np.isnan(seen.occluded) else round(seen.occluded, 4),
                }
                for seen in self.detections
            ],
        }


@dataclass(frozen=True, eq=False)
class LabeledFrame:
    """The labels of one frame.

    Attributes:
        id: of the frame.
        position: in the scan.
        labels: in the order of views and detections.
        timestamp: seconds, or None.
        T_world_points: (4, 4); None where nothing was detected, so that the frame was not kept.
        cameras: index into ``Frame.views`` → camera, of the views that see a labeled object.
    """

    id: str
    position: int
    labels: tuple[Label3D, ...] = ()
    timestamp: float | None = None
    T_world_points: NDArray[np.float64] | None = None
    cameras: Mapping[int, Camera] = field(default_factory=dict)

    def only(self, keep: Callable[[Label3D], bool]) -> LabeledFrame:
        """The frame with the labels for which ``keep`` is true."""
        return replace(self, labels=tuple(filter(keep, self.labels)))


def truncation(box: OrientedBox, camera: Camera) -> float:
    """Share of a box's projection that lies outside the image, 0..1; 1 where it is out of view.

    Args:
        box: in the frame that the camera is relative to.
        camera: of the image.
    """
    whole, cut = box_to_image(box, camera, clip=False), box_to_image(box, camera)
    if whole is None or cut is None:
        return 1.0
    area = float(np.prod(whole[2:] - whole[:2]))
    return float(np.clip(1 - np.prod(cut[2:] - cut[:2]) / area, 0, 1)) if area > 0 else 0.0


def _box_json(box: OrientedBox) -> dict[str, Any]:
    return {"center": _rounded(box.center), "size_lwh": _rounded(box.size), "yaw": round(box.yaw, 5)}


def _rounded(values: NDArray) -> list[float]:
    return [round(float(value), 4) for value in values]
