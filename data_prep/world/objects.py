"""Synthetic objects by category, and pictures of single objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from zlib import crc32

import numpy as np
import trimesh
from numpy.typing import ArrayLike, NDArray

import data_prep.world.furniture
import data_prep.world.greenery
import data_prep.world.household
import data_prep.world.kitchen
import data_prep.world.street
import data_prep.world.traffic
import data_prep.world.vehicles  # noqa: F401  registers its categories
from data_prep.errors import InputError
from data_prep.world.category import CATEGORIES, NAMELESS, Category, Setting
from data_prep.world.palette import COLORS, SIZES, Paint, mix_paints
from data_prep.world.solids import Parts
from data_prep.world.surface import Light, Surface, Tracer


@dataclass(frozen=True)
class ProceduralObject:
    """An object in its own axes: z up, +x its front, standing on z = 0 around the origin.

    Attributes:
        category: its name, or :data:`registry.NAMELESS`.
        color, size_word, material, pattern: adjectives that describe it.
        features: phrases about its parts (``four legs``).
        surface: its painted triangles.
        top: half sizes x, y and height z of a surface that things can stand on, or None. Meters.
    """

    category: str
    color: str
    size_word: str
    material: str
    pattern: str
    features: tuple[str, ...]
    surface: Surface = field(repr=False)
    top: tuple[float, float, float] | None = None

    @cached_property
    def extent(self) -> NDArray[np.float64]:
        """(3,) full lengths along its own x, y, z in meters."""
        corners = self.surface.corners.reshape(-1, 3)
        size: NDArray[np.float64] = (corners.max(axis=0) - corners.min(axis=0)).astype(np.float64)
        return size

    @cached_property
    def tracer(self) -> Tracer:
        """Ray caster against this object alone."""
        return Tracer(self.surface)

    @property
    def synonyms(self) -> tuple[str, ...]:
        """Synonyms of its category."""
        return () if self.category == NAMELESS else get_category(self.category).synonyms

    @property
    def mesh(self) -> trimesh.Trimesh:
        """The object as a mesh with face colors, for other tools."""
        count = len(self.surface)
        colors = np.full((count, 4), 255, np.uint8)
        colors[:, :3] = np.rint((self.surface.a + self.surface.b) * 127.5)
        return trimesh.Trimesh(
            self.surface.corners.reshape(-1, 3),
            np.arange(3 * count).reshape(-1, 3),
            face_colors=colors,
            process=False,
        )


def list_categories(setting: Setting | None = None, spot: str | None = None) -> list[str]:
    """Names of categories, sorted: of a setting, and perhaps of one of its spots.

    Args:
        setting: ``room``, ``street`` or ``city``; None: rooms and streets. What only cities have is left out then,
            as the bundled models do not know it.
        spot: a key of ``SPOTS``; None: all.
    """
    kinds = (CATEGORIES[name] for name in CATEGORIES)
    wanted = ("room", "street") if setting is None else (setting,)
    return [c.name for c in kinds if c.setting in wanted and spot in (None, c.spot)]


def get_category(name: str) -> Category:
    """The category of that name.

    Raises:
        InputError: the name is unknown.
    """
    return CATEGORIES[name]


def make_object(
    category: str,
    rng: np.random.Generator | int,
    *,
    color: str | None = None,
    size: str | None = None,
) -> ProceduralObject:
    """Make one instance.

    Args:
        category: one of ``list_categories()`` or ``list_categories("city")``.
        rng: source of all its variety; a seed gives the same object every time.
        color: a key of ``palette.COLORS``; None draws one that suits the category.
        size: a key of ``palette.SIZES``; None draws one.

    Raises:
        InputError: an unknown category, color or size.
    """
    kind = get_category(category)
    for value, known, name in ((color, COLORS, "color"), (size, SIZES, "size")):
        if value is not None and value not in known:
            raise InputError(f"{value!r} is unknown", field=name, fix=f"use one of {', '.join(known)}")
    if isinstance(rng, int | np.integer):  # the same seed must not make every category red
        rng = np.random.default_rng([int(rng), crc32(category.encode())])
    generator = rng
    # Color and size are drawn even if given, so that asking for red changes only the color.
    drawn_color = kind.colors[generator.integers(len(kind.colors))]
    drawn_size = list(SIZES)[generator.integers(len(SIZES))]
    material = kind.materials[generator.integers(len(kind.materials))]
    pattern = kind.patterns[generator.integers(len(kind.patterns))] if generator.random() < 0.6 else "plain"
    color, size = color or drawn_color, size or drawn_size
    scale = float(np.interp(generator.random(), (0, 1), SIZES[size]))
    paint_rng, shape_rng = generator.spawn(2)

    parts = Parts()
    kind.build(parts, shape_rng)
    corners = np.concatenate([solid.corners.reshape(-1, 3) for solid in parts.solids])
    low, high = corners.min(axis=0), corners.max(axis=0)
    paints = mix_paints(color, material, pattern, float((high - low).max()), paint_rng)
    surface, top = stand(parts, paints, scale)
    return ProceduralObject(
        kind.label, color, size, material, pattern, tuple(dict.fromkeys(parts.features)), surface, top
    )


def stand(
    parts: Parts, paints: dict[str, Paint], scale: float
) -> tuple[Surface, tuple[float, float, float] | None]:
    """Paint parts, scale them and set them on z = 0 around the origin; with what was their ``top``."""
    surface = Surface.paint(parts.solids, paints)
    corners = surface.corners.reshape(-1, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], np.float32)
    surface.corners = (surface.corners - origin) * np.float32(scale)
    surface.local = surface.corners
    top = None if parts.top is None else (parts.top[0] * scale, parts.top[1] * scale, parts.top[2] * scale)
    return surface, top


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
