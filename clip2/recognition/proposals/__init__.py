"""Class-agnostic object proposals from geometry alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.proposals.groups import group_indices
from clip2.recognition.proposals.lidar import propose_lidar
from clip2.recognition.proposals.proposals import Proposals
from clip2.recognition.proposals.room import propose_room
from data_prep.errors import InputError
from data_prep.geometry.strays import far_strays
from data_prep.geometry.voxels import thin

Kind = Literal["auto", "lidar", "room"]
_SPREAD_SAMPLE = 20_000  # points that tell how wide a scan is
OUTDOOR_EXTENT = 25.0  # m across: rooms and the range of their depth cameras end before
MOST_POINTS = 4_000_000  # of larger clouds, objects are found among one point per voxel


def propose_objects(
    points: NDArray,
    kind: Kind = "auto",
    viewpoint: NDArray | None = None,
    colors: NDArray[np.uint8] | None = None,
    alternatives: bool = True,
) -> Proposals:
    """Find groups of points that might each be one object.

    Args:
        points: (N, 3) meters, world axes (z-up).
        kind: ``lidar``: a sweep of a spinning LiDAR; ``room``: a dense indoor cloud; ``auto``: by extent.
        viewpoint: (3,) position of the sensor in the points' frame; None: unknown, or several views. It lets
            ``lidar`` bridge the gaps between beams further out.
        colors: (N, 3) RGB of the points, or None. ``room`` uses them, ``lidar`` does not.
        alternatives: whether ``room`` also proposes other ways to group the same points, where they are likely objects as
            well: a chair beside its seat, two boxes that touch as one. What they are named tells which is right.

    Clouds of more than ``MOST_POINTS`` points are thinned: every point joins the group of its voxel.

    Returns:
        Groups of points: objects by falling objectness, then parts of the background. Only alternatives overlap others
        (:meth:`Proposals.distinct`). Strays far outside the scene are in no group.

    Raises:
        InputError: points that are not finite (N, 3), colors of another shape, or an unknown kind.

    >>> grid = np.stack(np.meshgrid(*[np.arange(20)] * 3), axis=-1).reshape(-1, 3)
    >>> cube = 0.01 * grid[((grid == 0) | (grid == 19)).any(axis=1)]
    >>> found = propose_objects(np.concatenate([cube, cube + [1, 1, 0]]))
    >>> [len(index) for index in found.distinct().indices]
    [2167, 2167]
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError(f"must be finite with shape (N, 3), got {points.shape}", field="points")
    if kind not in get_args(Kind):
        raise InputError(f"{kind!r} is unknown", field="proposals", fix="use auto, lidar or room")
    if colors is not None and np.shape(colors) != points.shape:
        raise InputError(f"have shape {np.shape(colors)}, the points {points.shape}", field="colors")
    if len(points) == 0:
        return Proposals.join([], [])
    strays = far_strays(points)
    if strays.any():
        kept = np.flatnonzero(~strays)
        shown = None if colors is None else colors[kept]
        found = propose_objects(points[kept], kind, viewpoint, shown, alternatives)
        return replace(found, indices=tuple(kept[index] for index in found.indices))
    if len(points) > MOST_POINTS:
        first, voxel = thin(points, MOST_POINTS)
        shown = None if colors is None else colors[first]
        found = propose_objects(points[first], kind, viewpoint, shown, alternatives)
        indices = group_indices(found.owners(len(first))[voxel], len(found))
        for number in np.flatnonzero(found.alternative).tolist():
            inside = np.zeros(len(first), bool)
            inside[found.indices[number]] = True
            indices[number] = np.flatnonzero(inside[voxel])
        return replace(found, indices=tuple(indices))
    if kind == "auto":
        kind = "lidar" if spread(points) > OUTDOOR_EXTENT else "room"
    eye = None if viewpoint is None else np.asarray(viewpoint)
    if kind == "lidar":
        return propose_lidar(points, eye)
    return propose_room(points, eye, colors, alternatives)


def spread(points: NDArray) -> float:
    """Meters across which most of a scan lies, seen from above: beyond ``OUTDOOR_EXTENT`` it was taken outdoors."""
    some = points[:: max(1, len(points) // _SPREAD_SAMPLE), :2]
    columns = np.ascontiguousarray(some.T)  # numpy is slow along an axis of two
    low, high = np.percentile(columns, [2, 98], axis=1)
    return float((high - low).max())
