"""Scan frames: points, the images taken with them, their place in the world, and human labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError, InputError
from data_prep.geometry import Camera, OrientedBox
from data_prep.geometry.strays import far_strays, stray_note
from data_prep.geometry.transforms import transform_points, validate_rigid

# Camera axes (x right, y down, z forward) to a z-up world at the camera: x right, y forward, z up.
_LEVEL = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


@dataclass(frozen=True)
class View:
    """One image and the camera that took it.

    Attributes:
        name: the image file relative to the scan's root with ``/`` separators; detections are matched by it.
        camera: intrinsics and pose relative to ``Frame.points``.
        image: (H, W, 3) uint8 RGB.

    Raises:
        BadFrameError: the image is not uint8 RGB of the camera's size.

    >>> from data_prep import Camera
    >>> camera = Camera(np.array([[500.0, 0, 1], [0, 500, 1], [0, 0, 1]]), width=4, height=3)
    >>> View("color/000000.png", camera, np.zeros((3, 4, 3), np.uint8)).image.shape
    (3, 4, 3)
    """

    name: str
    camera: Camera
    image: NDArray[np.uint8]

    def __post_init__(self) -> None:
        shape = (self.camera.height, self.camera.width, 3)
        if self.image.shape != shape or self.image.dtype != np.uint8:
            raise BadFrameError(
                f"is {self.image.dtype} {self.image.shape}, the camera expects uint8 {shape}",
                source=self.name,
                field="image",
                fix="use the image that belongs to this calibration, not a resized copy",
            )


@dataclass(frozen=True)
class Frame:
    """A frame of a scan. Points that are not finite are refused: readers drop them first (``Frame.build``).

    Attributes:
        id: unique within its scan, safe in file names.
        points: (N, 3) float32, meters, in the sensor's own axes (each reader says which).
        T_world_points: (4, 4) float64; takes points to the world, which is z-up.
        views: the images, possibly none.
        colors: (N, 3) uint8 RGB, or None where the source has none. Never zeros by default.
        intensity: (N,) float32 in 0..1, or None.
        depth: (H, W) float32 meters of ``views[0]``'s camera, 0 = no measurement; None for LiDAR.
        timestamp: seconds, or None.
        notes: oddities that do not stop the frame, one line each.

    Raises:
        BadFrameError: wrong shapes or dtypes, no points, values that are not finite.

    >>> frame = Frame.build("000000", np.array([[1.0, 2, 3], [np.nan, 0, 0]]))
    >>> frame.points.tolist(), frame.world_points().dtype.name
    ([[1.0, 2.0, 3.0]], 'float64')
    """

    id: str
    points: NDArray[np.float32]
    T_world_points: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    views: tuple[View, ...] = ()
    colors: NDArray[np.uint8] | None = None
    intensity: NDArray[np.float32] | None = None
    depth: NDArray[np.float32] | None = None
    timestamp: float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.points)
        self._require(
            self.points.ndim == 2 and self.points.shape[1] == 3, "points", f"{self.points.shape}", "(N, 3)"
        )
        self._require(self.points.dtype == np.float32, "points", str(self.points.dtype), "float32")
        self._require(count > 0, "points", "none", "at least one finite point")
        self._require(bool(np.isfinite(self.points).all()), "points", "NaN or inf", "finite values")
        if self.colors is not None:
            self._require(self.colors.shape == (count, 3), "colors", f"{self.colors.shape}", f"({count}, 3)")
            self._require(self.colors.dtype == np.uint8, "colors", str(self.colors.dtype), "uint8")
        if self.intensity is not None:
            self._require(
                self.intensity.shape == (count,), "intensity", f"{self.intensity.shape}", f"({count},)"
            )
        if self.timestamp is not None:
            finite = math.isfinite(self.timestamp)
            self._require(finite, "timestamp", f"{self.timestamp}", "seconds")
        if self.depth is not None:
            self._require(len(self.views) > 0, "depth", "no view", "a camera for it in views[0]")
            camera = self.views[0].camera
            shape = (camera.height, camera.width)
            self._require(self.depth.shape == shape, "depth", f"{self.depth.shape}", f"{shape}")
        object.__setattr__(
            self,
            "T_world_points",
            validate_rigid(self.T_world_points, source=self.id, field="T_world_points"),
        )

    def _require(self, holds: bool, name: str, got: str, expected: str) -> None:
        if not holds:
            raise BadFrameError(f"has {got}, expected {expected}", source=f"frame {self.id}", field=name)

    @classmethod
    def build(
        cls,
        id: str,
        points: NDArray,
        *,
        colors: NDArray[np.uint8] | None = None,
        intensity: NDArray[np.float32] | None = None,
        **fields: object,
    ) -> Frame:
        """Make a frame from raw arrays.

        Points that are not finite are dropped together with their attributes, and a note tells. So are far strays, but in a
        frame with depth they stay, as its points are its measured pixels. Intensities outside 0..1 are clipped, NaN becomes
        0, and a note tells.
        """
        kept = np.isfinite(points).all(axis=1)
        if not kept.all():
            note = f"{(~kept).sum():,} of {len(kept):,} points are NaN or inf and left out"
            fields["notes"] = (*fields.get("notes", ()), note)  # type: ignore[misc]
        if fields.get("depth") is None:
            finite = np.flatnonzero(kept)
            strays = far_strays(points if len(finite) == len(points) else points[finite])
            if strays.any():
                kept[finite[strays]] = False
                fields["notes"] = (*fields.get("notes", ()), stray_note(points[finite], strays))  # type: ignore[misc]
        if not kept.all():
            points = points[kept]
            colors = None if colors is None else colors[kept]
            intensity = None if intensity is None else intensity[kept]
        if intensity is not None and len(intensity) == len(points):
            intensity, damaged = _within_range(intensity)
            if damaged:
                note = f"{damaged:,} intensities outside 0..1 were clipped"
                fields["notes"] = (*fields.get("notes", ()), note)  # type: ignore[misc]
        points = np.ascontiguousarray(points, dtype=np.float32)
        return cls(id=id, points=points, colors=colors, intensity=intensity, **fields)  # type: ignore[arg-type]

    @classmethod
    def from_depth(
        cls,
        id: str,
        camera: Camera,
        image: NDArray[np.uint8],
        depth: NDArray,
        T_world_cam: NDArray | None = None,
        name: str = "color",
        timestamp: float | None = None,
    ) -> Frame:
        """Make a frame whose points are an unprojected depth image, in camera axes, colored by the image.

        Args:
            id: of the frame.
            camera: of both images; its ``T_points_cam`` is the identity.
            image: (H, W, 3) uint8 RGB, registered to the depth.
            depth: (H, W) meters along z; 0 = no measurement.
            T_world_cam: (4, 4) pose of the camera in a z-up world; None: x right, y forward, z up at the camera.
            name: of the image; detections are matched by it.
            timestamp: seconds, or None.

        Raises:
            BadFrameError: nothing was measured, or the images do not have the camera's size.

        >>> camera = Camera(np.array([[2.0, 0, 0.5], [0, 2.0, 0.5], [0, 0, 1]]), width=2, height=2)
        >>> Frame.from_depth("0", camera, np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 4.0)).points[0].tolist()
        [-1.0, -1.0, 4.0]
        """
        if image.shape[:2] != depth.shape:
            raise BadFrameError(
                f"has {image.shape[1]}x{image.shape[0]} pixels, the depth {depth.shape[1]}x{depth.shape[0]}",
                source=f"frame {id}",
                field="color",
                fix="register the color image to the depth, at its size",
            )
        points, pixels = camera.unproject(np.asarray(depth, np.float32))
        if len(points) == 0:
            raise BadFrameError(
                "holds no measurement", source=f"frame {id}", field="depth", fix="leave it out"
            )
        # Lifting counts on points and measured pixels being the same list.
        measured = np.zeros(depth.size, bool)
        measured[pixels] = True
        return cls(
            id,
            points,
            colors=image.reshape(-1, 3)[pixels],
            views=(View(name, camera, image),),
            depth=np.where(measured.reshape(depth.shape), depth, 0).astype(np.float32),
            T_world_points=_LEVEL if T_world_cam is None else T_world_cam,
            timestamp=timestamp,
        )

    def world_points(self) -> NDArray[np.float64]:
        """(N, 3) float64 points in the z-up world."""
        return transform_points(self.T_world_points, self.points, np.float64)


@dataclass(frozen=True)
class Annotations3D:
    """Human labels of one frame, where a dataset has them. Used to score, never to mine.

    Attributes:
        boxes: M boxes in the frame of ``Frame.points``.
        labels: M labels, lower case, ``_`` replaced by spaces.
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


def _within_range(intensity: NDArray) -> tuple[NDArray[np.float32], int]:
    """Intensities in 0..1, and how many were not."""
    inside = (intensity >= 0) & (intensity <= 1)
    damaged = len(intensity) - int(np.count_nonzero(inside))
    if damaged:
        intensity = np.where(inside, intensity, np.clip(np.nan_to_num(intensity, nan=0.0), 0, 1))
    return np.asarray(intensity, np.float32), damaged
