"""Solids that categories are built from, each with the name of its paint.

Axes of an object: z up, +x its front. Every solid *stands* on the point ``at`` (the center of its base) and is then
turned about that point by ``turn`` = (roll, pitch, yaw) radians about x, y, z.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import trimesh
from numpy.typing import ArrayLike, NDArray

CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))  # signs of x and y: the four legs of anything
CREASE = np.cos(np.deg2rad(40))  # profiles that bend less than this are shaded as one smooth surface

Vector = Sequence[float]


@dataclass
class Solid:
    """Triangles of one paint.

    Attributes:
        corners: (F, 3, 3) float32 positions of the three corners of each triangle, meters.
        normals: (F, 3, 3) float32 unit normals at those corners.
        paint: name of a paint, see ``palette``.
    """

    corners: NDArray[np.float32]
    normals: NDArray[np.float32]
    paint: str


@dataclass
class Parts:
    """The parts of one object, in meters.

    Attributes:
        solids: what was added so far.
        features: phrases for captions: ``four legs``, ``armrests``.
        top: half sizes x, y and height z of a surface that things can stand on, or None.
    """

    solids: list[Solid] = field(default_factory=list)
    features: list[str] = field(default_factory=list)
    top: tuple[float, float, float] | None = None

    def has(self, feature: str) -> None:
        """Note a part worth a word in a caption."""
        self.features.append(feature)

    def box(
        self,
        size: Vector,
        at: Vector = (0, 0, 0),
        paint: str = "main",
        *,
        taper: Vector = (1, 1),
        shift: Vector = (0, 0),
        turn: Vector = (0, 0, 0),
    ) -> None:
        """A box; its top face is ``taper`` times the base along x and y and moved by ``shift`` meters."""
        corners = _unit_box() * np.asarray(size)
        upper = corners[..., 2] > 0
        for axis in (0, 1):
            corners[..., axis][upper] = corners[..., axis][upper] * taper[axis] + shift[axis]
        self._add(corners, _flat_normals(corners), at, turn, paint)

    def lathe(
        self,
        profile: Iterable[tuple[float, float]],
        at: Vector = (0, 0, 0),
        paint: str = "main",
        *,
        sections: int = 18,
        squash: float = 1.0,
        turn: Vector = (0, 0, 0),
    ) -> None:
        """A surface of revolution about z through ``profile`` = (radius, z) pairs; ``squash`` scales y."""
        corners, normals = _revolve(tuple((float(r), float(z)) for r, z in profile), sections)
        if squash != 1:
            corners = corners * np.array([1, squash, 1])
            normals = _unit(normals * np.array([1, 1 / squash, 1]))
        self._add(corners, normals, at, turn, paint)

    def cylinder(
        self,
        radius: float,
        height: float,
        at: Vector = (0, 0, 0),
        paint: str = "main",
        *,
        top: float | None = None,
        sections: int = 18,
        turn: Vector = (0, 0, 0),
    ) -> None:
        """A closed cylinder, or a cone's frustum when ``top`` (radius of the upper end) is given."""
        upper = radius if top is None else top
        profile = [(0, 0), (radius, 0), (upper, height), (0, height)]
        self.lathe(profile if upper > 0 else profile[:3], at, paint, sections=sections, turn=turn)

    def disc(
        self,
        radius: float,
        thickness: float,
        center: Vector,
        axis: str = "y",
        paint: str = "main",
        *,
        sections: int = 18,
    ) -> None:
        """A cylinder by its *center*, lying along axis ``x``, ``y`` or ``z``: wheels, dials, knobs."""
        turn = {"x": (0, np.pi / 2, 0), "y": (np.pi / 2, 0, 0), "z": (0, 0, 0)}[axis]
        offset = {"x": (-thickness / 2, 0, 0), "y": (0, thickness / 2, 0), "z": (0, 0, -thickness / 2)}[axis]
        at = [c + o for c, o in zip(center, offset, strict=True)]
        self.cylinder(radius, thickness, at, paint, sections=sections, turn=turn)

    def blob(
        self,
        size: Vector,
        at: Vector = (0, 0, 0),
        paint: str = "main",
        *,
        power: float = 1.0,
        sections: int = 14,
        turn: Vector = (0, 0, 0),
    ) -> None:
        """A superellipsoid of full ``size``: ``power`` 1 is an ellipsoid, towards 0 a box with rounded edges."""
        unit, normals = _superellipsoid(float(power), sections)
        half = np.asarray(size) / 2
        self._add((unit + np.array([0, 0, 1])) * half, _unit(normals / half), at, turn, paint)

    def tube(
        self,
        points: ArrayLike,
        radius: float,
        paint: str = "main",
        *,
        sections: int = 8,
        closed: bool = False,
        at: Vector = (0, 0, 0),
        turn: Vector = (0, 0, 0),
    ) -> None:
        """A round bar through ``points`` (n, 3); ``closed`` joins its ends into a ring."""
        corners, normals = _sweep(np.asarray(points, float), radius, sections, closed)
        self._add(corners, normals, at, turn, paint)

    def rod(self, a: Vector, b: Vector, radius: float, paint: str = "main", *, sections: int = 8) -> None:
        """A straight round bar from ``a`` to ``b``; ``sections=4`` makes it square."""
        self.tube([a, b], radius, paint, sections=sections)

    def ring(
        self,
        radius: float,
        thickness: float,
        at: Vector = (0, 0, 0),
        paint: str = "main",
        *,
        turn: Vector = (0, 0, 0),
        sections: int = 8,
    ) -> None:
        """A torus about z with its *center* at ``at``; ``thickness`` is the radius of the bar."""
        angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) * radius
        self.tube(circle, thickness, paint, sections=sections, closed=True, at=at, turn=turn)

    def ridge(
        self,
        profile: Sequence[tuple[float, float]],
        width: float,
        at: Vector = (0, 0, 0),
        paint: str = "main",
        *,
        lean: float = 1.0,
    ) -> None:
        """A side view pulled sideways: ``profile`` = (x, z) from back to front above z = 0, ``width`` along y.

        ``lean`` scales the width at the profile's highest point: windows of a car lean inwards.
        """
        line = np.asarray(profile, float)
        half = width / 2 * (1 + (lean - 1) * line[:, 1] / line[:, 1].max())
        n = len(line)
        rows = [  # base left, top left, top right, base right
            np.stack([line[:, 0], np.full(n, width / 2), np.zeros(n)], axis=1),
            np.stack([line[:, 0], half, line[:, 1]], axis=1),
            np.stack([line[:, 0], -half, line[:, 1]], axis=1),
            np.stack([line[:, 0], np.full(n, -width / 2), np.zeros(n)], axis=1),
        ]
        quads = [(a[:-1], b[:-1], b[1:], a[1:]) for a, b in zip(rows, rows[1:] + rows[:1], strict=True)]
        ends = [tuple(row[k : k + 1] for row in (rows if k else rows[::-1])) for k in (0, -1)]
        corners = np.concatenate(
            [np.stack(t, axis=1) for a, b, c, d in quads + ends for t in ((a, b, c), (a, c, d))]
        )
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        corners = corners[area > 1e-9]
        self._add(corners, _flat_normals(corners), at, (0, 0, 0), paint)

    def _add(self, corners: NDArray, normals: NDArray, at: Vector, turn: Vector, paint: str) -> None:
        if any(turn):
            rotation = _turn(turn)
            corners, normals = corners @ rotation.T, normals @ rotation.T
        self.solids.append(
            Solid((corners + np.asarray(at)).astype(np.float32), normals.astype(np.float32), paint)
        )


def path(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> NDArray[np.float64]:
    """(n, 3) points of a bar from its columns; a number stands for a constant column."""
    return np.stack(np.broadcast_arrays(*(np.asarray(column, float) for column in (x, y, z))), axis=1)


def _turn(turn: Vector) -> NDArray[np.float64]:
    """(3, 3) rotation: roll about x, then pitch about y, then yaw about z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(turn), np.sin(turn)
    return (
        np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    )


def _unit(vectors: NDArray) -> NDArray:
    return vectors / np.maximum(np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True)), 1e-12)


def _flat_normals(corners: NDArray) -> NDArray:
    normal = _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    return np.repeat(normal[:, None], 3, axis=1)


@lru_cache(maxsize=1)
def _box_template() -> NDArray[np.float64]:
    box = trimesh.creation.box((1, 1, 1))
    return np.asarray(box.triangles) + np.array([0, 0, 0.5])


def _unit_box() -> NDArray[np.float64]:
    return _box_template().copy()


def _grid_triangles(rows: int, columns: int, wrap_rows: bool = False) -> NDArray[np.int64]:
    """(F, 3) vertex numbers of a rows x columns grid whose columns wrap around."""
    r = np.arange(rows if wrap_rows else rows - 1)[:, None] * columns
    below = (r + columns) % (rows * columns)
    c, following = np.arange(columns), (np.arange(columns) + 1) % columns
    a, b, d, e = r + c, r + following, below + following, below + c
    return np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, e], -1).reshape(-1, 3)])


@lru_cache(maxsize=512)
def _revolve(profile: tuple[tuple[float, float], ...], sections: int) -> tuple[NDArray, NDArray]:
    line = np.asarray(profile)
    n = len(line) - 1
    step = np.diff(line, axis=0)
    segment = _unit(np.stack([step[:, 1], -step[:, 0]], axis=1))  # outward for a profile drawn upwards
    start, end = segment.copy(), segment.copy()
    smooth = (segment[:-1] * segment[1:]).sum(axis=1) > CREASE
    joint = _unit(segment[:-1] + segment[1:])
    end[:-1][smooth], start[1:][smooth] = joint[smooth], joint[smooth]
    angle = np.arange(sections) * (2 * np.pi / sections)
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def ring(radius: NDArray, z: NDArray) -> NDArray:  # (n,) -> (n, sections, 3)
        xy = radius[:, None, None] * around
        return np.concatenate([xy, np.broadcast_to(z[:, None, None], (*xy.shape[:2], 1))], axis=2)

    def spin(grid: NDArray) -> NDArray:
        return np.roll(grid, -1, axis=1)

    low, high = ring(line[:-1, 0], line[:-1, 1]), ring(line[1:, 0], line[1:, 1])
    low_n, high_n = ring(start[:, 0], start[:, 1]), ring(end[:, 0], end[:, 1])
    corners = np.stack(
        [np.stack([low, spin(low), spin(high)], axis=2), np.stack([low, spin(high), high], axis=2)]
    )
    normals = np.stack(
        [
            np.stack([low_n, spin(low_n), spin(high_n)], axis=2),
            np.stack([low_n, spin(high_n), high_n], axis=2),
        ]
    )
    keep = np.ones((2, n, sections), bool)
    keep[0, line[:-1, 0] <= 0] = False  # at the axis a quad is a triangle
    keep[1, line[1:, 0] <= 0] = False
    return corners[keep], normals[keep]


@lru_cache(maxsize=64)
def _superellipsoid(power: float, sections: int) -> tuple[NDArray, NDArray]:
    rows = max(sections * 2 // 3, 6)
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rows)[:, None]
    longitude = np.arange(sections)[None] * (2 * np.pi / sections) + np.pi / sections

    def bent(value: NDArray, exponent: float) -> NDArray:
        return np.sign(value) * np.abs(value) ** exponent

    def surface(exponent: float) -> NDArray:
        ring = bent(np.cos(latitude), exponent)
        return np.stack(
            [
                ring * bent(np.cos(longitude), exponent),
                ring * bent(np.sin(longitude), exponent),
                np.broadcast_to(bent(np.sin(latitude), exponent), (rows, sections)),
            ],
            axis=-1,
        ).reshape(-1, 3)

    positions, normals = surface(power), surface(2 - power)
    triangles = _grid_triangles(rows, sections)
    corners = positions[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    keep = area > 1e-9
    return corners[keep], normals[triangles][keep]


def _sweep(points: NDArray, radius: float, sections: int, closed: bool) -> tuple[NDArray, NDArray]:
    before = np.roll(points, 1, axis=0) if closed else np.vstack([points[:1], points[:-1]])
    after = np.roll(points, -1, axis=0) if closed else np.vstack([points[1:], points[-1:]])
    along = _unit(after - before)
    # One reference direction for the whole sweep: bars here bend in a plane or gently, so it need not be carried along.
    reference = np.eye(3)[np.argmin(np.abs(along).max(axis=0))]
    side = _unit(np.cross(along, reference))
    up = np.cross(along, side)
    angle = np.arange(sections) * (2 * np.pi / sections) + np.pi / sections
    normal = side[:, None] * np.cos(angle)[:, None] + up[:, None] * np.sin(angle)[:, None]
    vertices = points[:, None] + normal * radius
    triangles = _grid_triangles(len(points), sections, wrap_rows=closed)
    corners, normals = vertices.reshape(-1, 3)[triangles], normal.reshape(-1, 3)[triangles]
    if sections <= 4:
        normals = _flat_normals(corners)
    if closed:
        return corners, normals
    caps = [
        np.stack([np.repeat(points[k][None], sections, axis=0), ring, np.roll(ring, -1, axis=0)], axis=1)
        for k, ring in ((0, vertices[0]), (-1, vertices[-1]))
    ]
    ends = [np.broadcast_to(along[k] * s, (sections, 3, 3)) for k, s in ((0, -1), (-1, 1))]
    return np.concatenate([corners, *caps]), np.concatenate([normals, *ends])
