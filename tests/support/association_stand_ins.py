"""Sightings of objects whose motion, color and number are known, as mining would cut them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.associate import Associator
from data_prep.triplets import Triplet

RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (30, 180, 30)


def surface(
    center: Sequence[float], size: Sequence[float], seed: int, count: int = 300, faces: str = "xyz"
) -> np.ndarray:
    """(count, 3) points on the faces of a box that are at right angles to the axes in ``faces``."""
    random = np.random.default_rng(seed)
    points = random.uniform(-0.5, 0.5, (count, 3))
    axis = random.choice(["xyz".index(name) for name in faces], count)
    points[np.arange(count), axis] = np.sign(points[np.arange(count), axis]) / 2
    return points * np.array(size) + np.array(center)


def sighting(
    thing: str,
    frame: int,
    points: np.ndarray,
    *,
    label: str = "chair",
    color: tuple[int, int, int] = RED,
    score: float = 0.8,
    box: Sequence[float] | None = None,
    detection: int = 0,
    view: int = 0,
    fps: float = 10.0,
    T_world_points: np.ndarray | None = None,
    truncated: float = 0.0,
    occluded: float = 0.0,
    crop_side: int = 32,
    colored: bool = True,
) -> Triplet:
    """One detection of ``thing``; who it is stands in ``attributes["thing"]``, which association must not read."""
    center = points.mean(axis=0)
    T = np.eye(4) if T_world_points is None else T_world_points
    random = np.random.default_rng(zlib.crc32(f"{thing}{frame}{view}".encode()))
    crop = np.clip(np.array(color) + random.normal(0, 5, (crop_side, crop_side, 3)), 0, 255).astype(np.uint8)
    local = (points - T[:3, 3]) @ T[:3, :3]
    where = [*local.mean(axis=0)[:2], *local.mean(axis=0)[:2]] if box is None else box
    provenance: dict[str, Any] = {
        "source": "stand-in",
        "frame": f"f{frame:04d}",
        "timestamp": frame / fps,
        "center": center.tolist(),
        "T_world_points": T.tolist(),
        "view": f"{view}/{frame}.png",
        "view_index": view,
        "camera": {"T_points_cam": np.eye(4).tolist()},
        "box": [float(value) for value in where],
        "label": label,
        "score": score,
        "detection": detection,
        "attributes": {"thing": thing},
        "quality": {"truncated": truncated, "occluded": occluded, "num_points": len(points)},
    }
    shade = np.clip(np.array(color) + random.normal(0, 8, (len(points), 3)), 0, 255).astype(np.uint8)
    return Triplet(
        key=f"stand-in-{frame:04d}-{view}-{thing}",
        points=(points - center).astype(np.float32),
        colors=shade if colored else None,
        crop=crop,
        texts=(label,),
        provenance=provenance,
    )


def follow(frames: Sequence[Sequence[Triplet]], associator: Associator | None = None) -> list[Triplet]:
    """All objects of a few frames."""
    associator = associator or Associator()
    objects = [triplet for frame in frames for triplet in associator.push(frame)]
    return objects + associator.close()


def members(objects: Sequence[Triplet], frames: Sequence[Sequence[Triplet]]) -> list[tuple[str, ...]]:
    """Things whose sightings each object holds, in the order of frames, without repeats next to each other."""
    who = {
        (t.provenance["frame"], t.provenance["view_index"], t.provenance["detection"]): t.provenance["attributes"]["thing"]
        for frame in frames
        for t in frame
    }  # fmt: skip
    result = []
    for triplet in objects:
        record = triplet.provenance
        rows = record.get("sightings") or [[record["frame"], record["view_index"], record["detection"]]]
        result.append(tuple(dict.fromkeys(who[tuple(row)] for row in rows)))
    return result
