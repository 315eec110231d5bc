"""Observations of objects whose motion, color and number are known."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from data_prep.associate import Associator, Observation
from data_prep.geometry import Camera
from data_prep.lift import LiftQuality

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


def observed(
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
) -> Observation:
    """One detection of ``thing``; its identity is in ``attributes["thing"]``, which association must not read."""
    center = points.mean(axis=0)
    T = np.eye(4) if T_world_points is None else T_world_points
    random = np.random.default_rng(zlib.crc32(f"{thing}{frame}{view}".encode()))
    crop = np.clip(np.array(color) + random.normal(0, 5, (crop_side, crop_side, 3)), 0, 255).astype(np.uint8)
    local = (points - T[:3, 3]) @ T[:3, :3]
    where = [*local.mean(axis=0)[:2], *local.mean(axis=0)[:2]] if box is None else box
    shade = np.clip(np.array(color) + random.normal(0, 8, (len(points), 3)), 0, 255).astype(np.uint8)
    return Observation(
        key=f"stand-in-{frame:04d}-{view}-{thing}",
        source="stand-in",
        frame=f"f{frame:04d}",
        timestamp=frame / fps,
        T_world_points=T,
        view=f"{view}/{frame}.png",
        view_index=view,
        camera=Camera(np.diag([50.0, 50.0, 1.0]), 64, 48),
        box=np.array(where, np.float64),
        window=(0, 0, crop_side, crop_side),
        label=label,
        score=score,
        detection=detection,
        attributes={"thing": thing},
        quality=LiftQuality(len(points), len(points), 5.0, truncated, occluded),
        points=(points - center).astype(np.float32),
        center=center,
        colors=shade if colored else None,
        crop=crop,
        texts=(label,),
    )


def follow(
    frames: Sequence[Sequence[Observation]], associator: Associator | None = None
) -> list[Observation]:
    """All objects of a few frames."""
    associator = associator or Associator()
    objects = [one for frame in frames for one in associator.push(frame)]
    return objects + associator.close()


def members(objects: Sequence[Observation], frames: Sequence[Sequence[Observation]]) -> list[tuple[str, ...]]:
    """Things that each object was merged from, in the order of frames, without repeats next to each other."""
    who = {one.place: one.attributes["thing"] for frame in frames for one in frame}
    return [tuple(dict.fromkeys(who[place] for place in places_of(one))) for one in objects]


def places_of(one: Observation) -> tuple[tuple[str, int, int], ...]:
    """Frame, view index and annotation id of every detection of an object."""
    return (one.place,) if one.association is None else one.association.places
