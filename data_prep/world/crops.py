"""Pictures and points of single objects, fast enough to train an image tower on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.world.objects import ProceduralObject
from data_prep.world.surface import Light


@dataclass(frozen=True)
class ObjectViews:
    """V pictures of one object.

    Attributes:
        crops: (V, S, S, 3) uint8 RGB.
        masks: (V, S, S) bool, True on the object.
        points: V arrays (n, 3) float32, what each view sees, meters in the object's axes, row-major pixels.
        colors: V arrays (n, 3) uint8, the pixels those points came from.
    """

    crops: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    points: tuple[NDArray[np.float32], ...]
    colors: tuple[NDArray[np.uint8], ...]

    def __len__(self) -> int:
        return len(self.crops)


def render_object(
    obj: ProceduralObject,
    directions: ArrayLike,
    size: int = 64,
    *,
    rng: np.random.Generator | int | None = None,
    margin: float = 0.06,
) -> ObjectViews:
    """Photograph an object from several directions.

    Several directions in one call cost far less than several calls.

    Args:
        obj: what to photograph.
        directions: (3,) or (V, 3), from the object towards the camera, in the object's axes.
        size: side S of the square crops in pixels; the object's longer side fills it but for ``margin``.
        rng: draws lamp, distance and background of each view; None = fixed lamp on light gray.
        margin: share of the crop left free on each side.
    """
    toward = np.atleast_2d(np.asarray(directions, float))
    toward = toward / np.linalg.norm(toward, axis=1, keepdims=True)
    count = len(toward)
    generator = None if rng is None else np.random.default_rng(rng)
    distances = np.full(count, 3.5) if generator is None else generator.uniform(2.0, 5.0, count)
    rays = np.concatenate([_rays(obj, *pair, size, margin) for pair in zip(toward, distances, strict=True)])
    hits = obj.tracer.cast(rays)
    light = Light() if generator is None else _random_light(generator, toward.mean(axis=0))
    colors, rows, _ = obj.tracer.shade(rays, hits, light)

    pixels = size * size
    image = np.full((count * pixels, 3), 0.86, np.float32)
    if generator is not None:
        image = np.concatenate([_random_background(generator, size) for _ in range(count)])
        colors = np.clip(colors * generator.uniform(0.88, 1.1), 0, 1)
    image[rows] = colors
    flat = np.rint(image * 255).astype(np.uint8)
    mask = np.zeros(count * pixels, bool)
    mask[rows] = True
    points = rays[rows, :3] + rays[rows, 3:] * hits.distance[rows, None]
    cuts = np.searchsorted(rows, np.arange(1, count) * pixels)
    return ObjectViews(
        flat.reshape(count, size, size, 3),
        mask.reshape(count, size, size),
        tuple(np.split(points, cuts)),
        tuple(np.split(flat[rows], cuts)),
    )


def random_directions(
    rng: np.random.Generator, count: int, elevation: tuple[float, float] = (-5, 60)
) -> NDArray:
    """(count, 3) unit directions all around, at ``elevation`` degrees above the horizon."""
    azimuth = rng.uniform(0, 2 * np.pi, count)
    height = np.deg2rad(rng.uniform(*elevation, count))
    return np.stack(
        [np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth), np.sin(height)], axis=1
    )


def _rays(
    obj: ProceduralObject, toward: NDArray, distance: float, size: int, margin: float
) -> NDArray[np.float32]:
    """(S*S, 6) rays of a camera that frames the object tightly."""
    center = np.array([0, 0, obj.extent[2] / 2])
    eye = center + toward * distance * np.linalg.norm(obj.extent) / 2
    up = np.array([0.0, 0.0, 1.0]) if abs(toward[2]) < 0.98 else np.array([1.0, 0.0, 0.0])
    right = np.cross(-toward, up)
    right /= np.linalg.norm(right)
    down = np.cross(-toward, right)
    axes = np.stack([right, down, -toward])  # rows: camera axes in the object's
    seen = (obj.surface.corners.reshape(-1, 3) - eye.astype(np.float32)) @ axes.T.astype(np.float32)
    plane = seen[:, :2] / seen[:, 2:]
    low, high = plane.min(axis=0), plane.max(axis=0)
    half = (high - low).max() / 2 / (1 - 2 * margin)
    steps = ((np.arange(size) + 0.5) / size * 2 - 1) * half
    x, y = np.meshgrid(steps + (low[0] + high[0]) / 2, steps + (low[1] + high[1]) / 2)
    direction = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3) @ axes
    return np.concatenate([np.broadcast_to(eye, direction.shape), direction], axis=1).astype(np.float32)


def _random_light(rng: np.random.Generator, toward: NDArray) -> Light:
    lamp = rng.normal(size=3) * 0.6 + [0, 0, 1.0] + 0.5 * toward
    return Light(
        direction=(float(lamp[0]), float(lamp[1]), float(lamp[2])),
        ambient=float(rng.uniform(0.55, 0.74)),
        direct=float(rng.uniform(0.3, 0.5)),
    )


def _random_background(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """(S*S, 3) wall above floor, each with a soft gradient and grain: the places where objects stand."""
    wall, floor = rng.uniform(0.25, 0.95, (2, 1)) + rng.uniform(-0.12, 0.12, (2, 3))
    rows = np.linspace(0, 1, size)[:, None, None]
    columns = np.linspace(-1, 1, size)[None, :, None]
    picture = np.where(rows < rng.uniform(0.2, 0.9), wall, floor) + columns * rng.uniform(-0.08, 0.08)
    picture = picture + rows * rng.uniform(-0.1, 0.1) + rng.normal(0, 0.015, (size, size, 1))
    flat: NDArray[np.float32] = np.clip(picture, 0, 1).reshape(-1, 3).astype(np.float32)
    return flat
