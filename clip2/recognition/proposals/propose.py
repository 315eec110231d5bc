"""Where objects might be, from geometry alone: no classes, no training, any scan."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.proposals.lidar import propose_lidar
from clip2.recognition.proposals.room import propose_room
from data_prep.errors import InputError

Kind = Literal["auto", "lidar", "room"]
# Sensors that see further than this across are used outdoors; rooms and their depth cameras end before.
_OUTDOOR_EXTENT = 25.0


def propose_objects(
    points: NDArray, kind: Kind = "auto", viewpoint: NDArray | None = None
) -> list[NDArray[np.int64]]:
    """Groups of points that might each be one object.

    Args:
        points: (N, 3) meters, world axes (z-up).
        kind: ``lidar``: a sweep of a spinning LiDAR; ``room``: a dense indoor cloud; ``auto``: by extent.
        viewpoint: (3,) where the LiDAR was, in the points' frame; None: not known, or the cloud is of several
            sweeps. With it, gaps between beams are bridged further out; only ``lidar`` asks for it.

    Returns:
        Ascending indices into ``points``, one array per proposal, heaviest first; they do not overlap.

    Raises:
        InputError: points are not finite (N, 3), or the kind is unknown.
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError(f"must be finite with shape (N, 3), got {points.shape}", field="points")
    if kind not in ("auto", "lidar", "room"):
        raise InputError(f"{kind!r} is unknown", field="proposals", fix="use auto, lidar or room")
    if len(points) == 0:
        return []
    if kind == "auto":
        low, high = np.percentile(points[:, :2], [2, 98], axis=0)
        kind = "lidar" if float((high - low).max()) > _OUTDOOR_EXTENT else "room"
    if kind == "lidar":
        found = propose_lidar(points, None if viewpoint is None else np.asarray(viewpoint))
    else:
        found = propose_room(points)
    return sorted(found, key=len, reverse=True)
