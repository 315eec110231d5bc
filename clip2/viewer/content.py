"""Value type of one moment that the viewer shows: a cloud, its objects and its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN
from clip2.recognition.instances import Instances3D
from clip2.recognition.recognizer import Recognizer
from data_prep.errors import InputError
from data_prep.geometry import OrientedBox
from data_prep.geometry.box_iou import box_rows
from data_prep.geometry.ground import height_above_ground
from data_prep.scans import Frame, View

# Background labels of what one stands or drives on.
GROUND = ("floor", "ground", "road")
# A LiDAR scan has no background proposal of its ground: what lies this close to the lowest surface is shown as ground, meters.
_GROUND_HEIGHT = 0.15


@dataclass(frozen=True)
class Content:
    """A cloud with its objects.

    Attributes:
        objects: N objects of the cloud, whose ``points`` are the P points to show.
        intensity: (P,) float32 in 0..1, or None.
        views: images of the cloud.
        T_world_points: (4, 4) from the axes of the views' cameras to the world.
        resembles: share of false alarms (None: the model's own) → (N,) bool, whether objects resemble the training set.
        whole_boxes: labels and scores of all objects → their whole boxes; None: boxes never change.
        settle: scores of all objects → numbers of those that stay, where several hold the same points; None: all stay.
        viewpoint: (3,) world position of the sensor, or None.
        notes: oddities, one line each.
        origin: (3,) whole meters, around which the page draws everything.

    Raises:
        InputError: objects without their points.
    """

    objects: Instances3D
    intensity: NDArray[np.float32] | None = None
    views: tuple[View, ...] = ()
    T_world_points: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    resembles: Callable[[float | None], NDArray[np.bool_]] | None = None
    whole_boxes: Callable[[tuple[str, ...], NDArray[np.float32]], list[OrientedBox]] | None = None
    settle: Callable[[NDArray[np.float32]], NDArray[np.int64]] | None = None
    viewpoint: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()
    origin: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        points = self.points
        # float32 at kilometers from the origin has steps of a tenth of a millimeter to centimeters.
        object.__setattr__(self, "origin", np.floor(np.median(points, axis=0)))

    @classmethod
    def of_frame(cls, frame: Frame) -> Content:
        """A cloud whose objects are not known yet."""
        none = Instances3D(
            indices=(),
            boxes=np.zeros((0, 7)),
            rotations=np.zeros((0, 3, 3)),
            labels=(),
            scores=np.zeros(0, np.float32),
            embeddings=np.zeros((0, 1), np.float32),
            points=frame.world_points(),
            colors=frame.colors,
            frame_id=frame.id,
            timestamp=frame.timestamp,
        )
        return cls(none, frame.intensity, frame.views, frame.T_world_points, notes=frame.notes)

    @classmethod
    def of_recognizer(cls, recognizer: Recognizer, frame: Frame) -> Content:
        """The objects of the frame that was last given to ``recognizer.set_scan``.

        The recognizer must keep this scan as long as the content is used.
        """
        return cls(
            recognizer.unnamed(),
            frame.intensity,
            frame.views,
            frame.T_world_points,
            recognizer.is_in_distribution,
            recognizer.whole_boxes,
            recognizer.settle,
            recognizer.viewpoint,
            recognizer.notes,
        )

    @classmethod
    def of_result(cls, result: Instances3D, points: NDArray[np.float64]) -> Content:
        """Objects that were read from a JSON file, with the points of their scan.

        Raises:
            InputError: an object has points beyond the last one.
        """
        last = max((int(index[-1]) for index in result.indices if len(index)), default=-1)
        if last >= len(points):
            raise InputError(
                f"has objects with point {last:,}, the cloud has {len(points):,} points",
                field="indices",
                fix="give the PLY that was written beside the result",
            )
        resembles = np.array([label != UNKNOWN for label in result.labels], dtype=bool)
        return cls(replace(result, points=points), resembles=lambda _: resembles)

    def with_object(self, indices: NDArray[np.int64], box: OrientedBox) -> Content:
        """The same with one more object at the end, which has no embedding: a person names it.

        Args:
            indices: ascending, its points.
            box: around them, in the world.
        """
        known = self.objects
        assert known.objectness is not None
        assert known.visible_boxes is not None
        row = box_rows([box])
        more = replace(
            known,
            indices=(*known.indices, indices),
            boxes=np.concatenate([known.boxes, row]),
            visible_boxes=np.concatenate([known.visible_boxes, row]),
            rotations=np.concatenate([known.rotations, box.rotation[None]]),
            labels=(*known.labels, ""),
            scores=np.append(known.scores, np.float32(0)),
            embeddings=np.pad(known.embeddings, ((0, 1), (0, 0))),
            objectness=np.append(known.objectness, np.float32(1)),
        )
        return replace(self, objects=more)

    def with_points(self, number: int, indices: NDArray[np.int64]) -> Content:
        """The same with other points of one object."""
        changed = list(self.objects.indices)
        changed[number] = indices
        return replace(self, objects=replace(self.objects, indices=tuple(changed)))

    @property
    def points(self) -> NDArray[np.float64]:
        """(P, 3) world points."""
        if self.objects.points is None:
            raise InputError("are missing", field="content.points", fix="give the points of the scan")
        return self.objects.points

    @property
    def colors(self) -> NDArray[np.uint8] | None:
        """(P, 3) RGB, or None."""
        return self.objects.colors

    def centered(self, points: NDArray) -> NDArray[np.float32]:
        """World points relative to :attr:`origin`, in which the page draws everything."""
        return (np.asarray(points) - self.origin).astype(np.float32)

    def in_frame(self, points: NDArray) -> NDArray[np.float32]:
        """World points in the axes of the frame, which its cameras are relative to."""
        R, t = self.T_world_points[:3, :3], self.T_world_points[:3, 3]
        return ((np.asarray(points) - t) @ R).astype(np.float32)

    def ground(self) -> NDArray[np.bool_]:
        """(P,) bool, which points are floor or ground."""
        found = np.zeros(len(self.points), dtype=bool)
        known = [label for label in GROUND if label in self.objects.background]
        for label in known:
            found[self.objects.background[label]] = True
        if not known:
            found = (height_above_ground(self.points) < _GROUND_HEIGHT) & (self.objects.owners() < 0)
        return found
