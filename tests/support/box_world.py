"""A world of upright boxes on a floor, swept by a sensor that casts real rays: hidden things are hidden."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clip2.recognition import Instances3D
from data_prep.geometry import rigid
from data_prep.scans import Frame

FLOOR, WALL = -1, -2
EYE = (0.0, 0.0, 1.2)


def ray_directions(step: float = 0.9) -> NDArray[np.float64]:
    """(R, 3) unit directions over the whole horizon, degrees apart."""
    azimuth, elevation = np.meshgrid(
        np.deg2rad(np.arange(-180, 180, step)), np.deg2rad(np.arange(-40, 20, step))
    )
    flat = np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=-1).reshape(
        -1, 3
    )


def sweep(
    boxes: Mapping[int, tuple], seconds: float, eye: tuple = EYE, T: NDArray | None = None
) -> tuple[Frame, Instances3D]:
    """One sweep of boxes (number → center and size), and the boxes that at least ten rays hit, as detections.

    Args:
        boxes: by number.
        seconds: timestamp.
        eye: place of the sensor.
        T: (4, 4) error of the pose.
    """
    rays, place = ray_directions(), np.asarray(eye, float)
    # A floor, and a wall ten meters away on all sides.
    with np.errstate(divide="ignore"):
        floor = np.where(rays[:, 2] < 0, -place[2] / rays[:, 2], np.inf)
        wall = ((np.copysign(10, rays[:, :2]) - place[:2]) / rays[:, :2]).min(axis=1)
    distance, owner = np.minimum(floor, wall), np.where(floor < wall, FLOOR, WALL)
    for number, (center, size) in boxes.items():
        low, high = (np.asarray(center) + sign * np.asarray(size) / 2 for sign in (-1, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = (low - place) / rays, (high - place) / rays
        near, far = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
        hit = (near > 0) & (near <= far) & (near < distance)
        distance, owner = np.where(hit, near, distance), np.where(hit, number, owner)
    points = rays * distance[:, None]
    pose = rigid(translation=place)
    frame = Frame.build(
        f"{seconds:.2f}", points, T_world_points=pose if T is None else T @ pose, timestamp=seconds
    )
    owner = owner[: len(frame.points)]
    found = [number for number in boxes if (owner == number).sum() >= 10]
    rows = np.array([[*boxes[n][0], *boxes[n][1], 0.0] for n in found]).reshape(-1, 7)
    return frame, Instances3D(
        indices=tuple(np.flatnonzero(owner == number) for number in found),
        boxes=rows,
        rotations=np.tile(np.eye(3), (len(found), 1, 1)),
        labels=("unknown",) * len(found),
        scores=np.ones(len(found), np.float32),
        embeddings=np.zeros((len(found), 0), np.float32),
    )
