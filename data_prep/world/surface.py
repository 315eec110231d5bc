"""Painted triangles, ray casting and shading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from data_prep.world.palette import Paint, mix_factor
from data_prep.world.solids import Solid

BACKGROUND = -1
MISS = -1
CHUNK = 1 << 14  # rays shaded at a time: their attributes stay in the cache
FAR = 60.0  # meters; shadows of a lamp as far as the sun are looked for up to here
_NO_HIT = np.uint32(o3d.t.geometry.RaycastingScene.INVALID_ID)


@dataclass
class Surface:
    """F painted triangles.

    Attributes:
        corners: (F, 3, 3) float32 meters.
        normals: (F, 3, 3) float32 unit, at the corners.
        local: (F, 3, 3) float32 meters, in the axes of the object the triangle belongs to: textures live there.
        a, b: (F, 3) float32 sRGB 0..1, the two colors that the texture mixes.
        texture: (F,) uint8; scale: (F,) float32 meters; gloss, glow: (F,) float32 0..1.
        owner: (F,) int32 instance id, -1 = background.
    """

    corners: NDArray[np.float32]
    normals: NDArray[np.float32]
    local: NDArray[np.float32]
    a: NDArray[np.float32]
    b: NDArray[np.float32]
    texture: NDArray[np.uint8]
    scale: NDArray[np.float32]
    gloss: NDArray[np.float32]
    glow: NDArray[np.float32]
    owner: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.corners)

    @classmethod
    def paint(cls, solids: Sequence[Solid], paints: dict[str, Paint], owner: int = BACKGROUND) -> Surface:
        """Painted triangles of ``solids`` in their own axes."""
        counts = [len(solid.corners) for solid in solids]
        used = [paints[solid.paint] for solid in solids]

        def column(values: Sequence, dtype: type) -> NDArray:
            return np.repeat(np.asarray(values, dtype), counts, axis=0)

        corners = np.concatenate([solid.corners for solid in solids])
        return cls(
            corners=corners,
            normals=np.concatenate([solid.normals for solid in solids]),
            local=corners,
            a=column([p.a for p in used], np.float32),
            b=column([p.b or p.a for p in used], np.float32),
            texture=column([p.texture for p in used], np.uint8),
            scale=column([p.scale for p in used], np.float32),
            gloss=column([p.gloss for p in used], np.float32),
            glow=column([p.glow for p in used], np.float32),
            owner=np.full(len(corners), owner, np.int32),
        )

    @classmethod
    def join(cls, surfaces: Sequence[Surface]) -> Surface:
        """One surface of many."""
        return cls(*(np.concatenate([getattr(s, f.name) for s in surfaces]) for f in fields(cls)))

    def select(self, rows: NDArray[np.bool_]) -> Surface:
        """Some of the triangles: (F,) True for those to keep."""
        return Surface(*(getattr(self, f.name)[rows] for f in fields(self)))

    def moved(self, T: NDArray[np.float64], owner: int) -> Surface:
        """The same triangles under a rigid (4, 4) transform, given to ``owner``; textures stay with the object."""
        rotation, shift = T[:3, :3].astype(np.float32), T[:3, 3].astype(np.float32)
        return Surface(
            **{
                **vars(self),
                "corners": self.corners @ rotation.T + shift,
                "normals": self.normals @ rotation.T,
                "owner": np.full(len(self), owner, np.int32),
            }
        )


@dataclass(frozen=True)
class Light:
    """Light of a scene: an even part and one from a lamp.

    Attributes:
        direction: (3,) towards a lamp as far away as the sun.
        lamp: (3,) position of a lamp nearby, meters; replaces ``direction``.
        ambient, direct: how much of each.
        shadows: whether the direct part is blocked by other triangles (one more ray per pixel).
    """

    direction: tuple[float, float, float] = (0.35, 0.25, 0.9)
    lamp: tuple[float, float, float] | None = None
    ambient: float = 0.62
    direct: float = 0.5
    shadows: bool = False


@dataclass(frozen=True)
class Hits:
    """End points of R rays.

    Attributes:
        distance: (R,) float32 in lengths of the ray's direction, inf where it hits nothing.
        face: (R,) int64 triangle, -1 where it hits nothing.
        uv: (R, 2) float32 barycentric coordinates within the triangle.
    """

    distance: NDArray[np.float32]
    face: NDArray[np.int64]
    uv: NDArray[np.float32]


class Tracer:
    """Casts rays at a surface and shades what they meet.

    Args:
        surface: the triangles; not to be changed afterwards.
    """

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        self._scene = o3d.t.geometry.RaycastingScene()
        vertices = np.ascontiguousarray(surface.corners.reshape(-1, 3))
        triangles = np.arange(len(vertices), dtype=np.uint32).reshape(-1, 3)
        self._scene.add_triangles(_tensor(vertices), _tensor(triangles))

    def cast(self, rays: NDArray[np.float32]) -> Hits:
        """Cast (R, 6) rays: origin and direction (any length)."""
        found = self._scene.cast_rays(_tensor(rays))
        face = found["primitive_ids"].numpy()
        return Hits(
            distance=found["t_hit"].numpy(),
            face=np.where(face == _NO_HIT, MISS, face.astype(np.int64)),
            uv=found["primitive_uvs"].numpy(),
        )

    def shade(
        self, rays: NDArray[np.float32], hits: Hits, light: Light
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """Color of every ray that hits.

        Returns:
            colors (M, 3) float32 0..1, rows (M,) of the rays they belong to, cosine (M,) between ray and surface.
        """
        rows = np.flatnonzero(hits.face >= 0)
        colors, cosine = np.empty((len(rows), 3), np.float32), np.empty(len(rows), np.float32)
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            some = rows[part]
            colors[part], cosine[part] = self._shade(
                rays[some], hits.distance[some], hits.face[some], hits.uv[some], light
            )
        return colors, rows, cosine

    def _shade(
        self,
        rays: NDArray[np.float32],
        distance: NDArray[np.float32],
        face: NDArray[np.int64],
        uv: NDArray[np.float32],
        light: Light,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        surface, direction = self.surface, _unit(rays[:, 3:])
        u, v = uv[:, 0:1], uv[:, 1:2]
        weights = (1 - u - v, u, v)
        normal = _unit(_blend(surface.normals, face, weights))
        cosine = -_dot(normal, direction)
        normal[cosine < 0] *= -1  # thin shells are seen from both sides
        cosine = np.abs(cosine)

        local = _blend(surface.local, face, weights)
        mixed = mix_factor(local, surface.texture[face], surface.scale[face])[:, None]
        albedo = surface.a[face] * (1 - mixed) + surface.b[face] * mixed

        position = rays[:, :3] + rays[:, 3:] * distance[:, None]
        if light.lamp is None:
            to_lamp = np.broadcast_to(np.asarray(light.direction, np.float32) * FAR, position.shape)
        else:
            to_lamp = np.asarray(light.lamp, np.float32) - position
        lamp = _unit(to_lamp)
        facing = np.clip(_dot(normal, lamp), 0, None)
        highlight = np.clip(_dot(normal, _unit(lamp - direction)), 0, None)
        for _ in range(5):  # to the 32nd power; ``**`` takes ten times as long
            highlight *= highlight
        highlight *= surface.gloss[face] * np.float32(0.5)
        if light.shadows:
            shadow_rays = np.concatenate([position + normal * np.float32(0.004), to_lamp], axis=1)
            blocked = self._scene.test_occlusions(_tensor(shadow_rays), tnear=0.0, tfar=0.98).numpy()
            facing[blocked] = 0
            highlight[blocked] = 0
        # Light from above is a little stronger than from below, and edges seen at a slant a little darker.
        even = np.float32(light.ambient) * (0.86 + 0.14 * normal[:, 2]) * (0.82 + 0.18 * cosine)
        lit = (even + np.float32(light.direct) * facing)[:, None]
        glow = surface.glow[face, None]
        colors = albedo * (lit * (1 - glow) + glow) + highlight[:, None]
        return np.clip(colors, 0, 1), cosine


def _dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    product: NDArray[np.float32] = np.einsum("ij,ij->i", a, b)
    return product


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.maximum(np.sqrt(_dot(vectors, vectors)), np.float32(1e-6))
    return vectors / length[:, None]


def _tensor(array: NDArray) -> o3d.core.Tensor:
    return o3d.core.Tensor.from_numpy(np.ascontiguousarray(array))


def _blend(columns: NDArray[np.float32], face: NDArray, weights: tuple[NDArray, ...]) -> NDArray[np.float32]:
    """Interpolate an (F, 3, 3) per-corner attribute at barycentric ``weights``."""
    corners = columns[face]
    blended: NDArray[np.float32] = (
        corners[:, 0] * weights[0] + corners[:, 1] * weights[1] + corners[:, 2] * weights[2]
    )
    return blended
