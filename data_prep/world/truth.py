"""What is really there: exact instances, boxes, masks, occlusion and truncation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.detect import Detections2D
from data_prep.geometry import Camera, box_to_image, invert
from data_prep.world.world import PlacedObject

MIN_PIXELS = 12  # an object of which less is visible has no 2D box
SAMPLES = 20_000  # rays per object and view at most when its whole outline is measured


@dataclass(frozen=True)
class ProceduralTruth:
    """Exact answers for one frame.

    Attributes:
        instances: (N,) int32 instance id of every point of the frame, -1 = background.
        detections: per view, the visible objects: boxes around their visible pixels, outer edges as in COCO (the
            whole image is 0 0 W H), masks of those pixels, labels, scores of 1; attributes ``track_id`` (instance), ``occluded`` and ``truncated`` (shares 0..1),
            ``pixels`` (visible area).
    """

    instances: NDArray[np.int32]
    detections: tuple[Detections2D, ...]


def pixel_rays(
    camera: Camera, T_world_points: NDArray[np.float64], u: NDArray, v: NDArray
) -> NDArray[np.float32]:
    """World rays (R, 6) through pixels ``u``, ``v`` (R,); directions have z = 1 in the camera, so distances are depths."""
    T = T_world_points @ camera.T_points_cam
    x = ((np.asarray(u) - camera.K[0, 2]) / camera.K[0, 0]).astype(np.float32)
    y = ((np.asarray(v) - camera.K[1, 2]) / camera.K[1, 1]).astype(np.float32)
    rotation = T[:3, :3].astype(np.float32)
    rays = np.empty((len(x), 6), np.float32)
    rays[:, :3] = T[:3, 3]
    for axis in range(3):  # by columns: a matrix product this thin spends its time in thread start-up
        rays[:, 3 + axis] = x * rotation[axis, 0] + y * rotation[axis, 1] + rotation[axis, 2]
    return rays


def true_detections(
    objects: tuple[PlacedObject, ...],
    owner: NDArray[np.int32],
    camera: Camera,
    T_world_points: NDArray[np.float64],
) -> Detections2D:
    """The perfect detector.

    Args:
        objects: everything that may be seen.
        owner: (H, W) int32 instance id of every pixel, -1 = background.
        camera: the camera that sees ``owner``.
        T_world_points: (4, 4) pose of the frame that ``camera`` is relative to.
    """
    by_id = {placed.instance: placed for placed in objects}
    ids, counts = np.unique(owner[owner >= 0], return_counts=True)
    kept = [(int(i), int(n)) for i, n in zip(ids, counts, strict=True) if n >= MIN_PIXELS]
    if not kept:
        return Detections2D.empty()
    masks = np.stack([owner == i for i, _ in kept])
    boxes = []
    for mask in masks:
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    hidden = np.array(
        [_hidden(by_id[i], mask, camera, T_world_points) for (i, _), mask in zip(kept, masks, strict=True)]
    )
    return Detections2D(
        boxes=np.array(boxes, np.float32),
        scores=np.ones(len(kept), np.float32),
        labels=tuple(by_id[i].label for i, _ in kept),
        ids=np.arange(len(kept)),
        masks=masks,
        attributes={
            "track_id": np.array([i for i, _ in kept]),
            "occluded": hidden[:, 0],
            "truncated": hidden[:, 1],
            "pixels": np.array([n for _, n in kept]),
        },
    )


def _hidden(
    placed: PlacedObject, visible: NDArray[np.bool_], camera: Camera, T_world_points: NDArray[np.float64]
) -> tuple[float, float]:
    """Share of the object's outline inside the image that others hide, and share of it that lies outside the image."""
    T_points_world = invert(T_world_points)
    box = box_to_image(placed.box.transformed(T_points_world), camera, clip=False)
    if box is None:
        return 0.0, 0.0
    # Something half behind the camera has no finite outline: three image sizes around count as all of it.
    size = np.array([camera.width, camera.height] * 2)
    low, high = np.array([-3, -3, -3, -3]) * size, np.array([4, 4, 4, 4]) * size
    x0, y0, x1, y1 = np.clip(box, low, high)
    stride = max(1, int(np.ceil(np.sqrt((x1 - x0 + 1) * (y1 - y0 + 1) / SAMPLES))))
    columns, rows = np.arange(np.floor(x0), x1 + 1, stride), np.arange(np.floor(y0), y1 + 1, stride)
    u, v = np.tile(columns, len(rows)), np.repeat(rows, len(columns))
    alone = placed.tracer.cast(pixel_rays(camera, T_world_points, u, v)).face >= 0
    inside = alone & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    whole, within = int(alone.sum()), int(inside.sum())
    if within == 0:
        return 0.0, 0.0
    seen = visible[v[inside].astype(int), u[inside].astype(int)]
    return 1 - float(seen.mean()), 1 - within / whole
