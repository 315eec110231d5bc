"""The 15 corruptions of ModelNet40-C (Sun et al., 2022, arXiv 2201.12296) at five severities, and random rotations.

Parameters follow the paper's generator (jiachens/ModelNet40-C, ``data/generate_c.py``, ``distortion.py``,
``occlusion.py``) and PyGeM, which it deforms with; counts stated for 1,024 points are scaled to the cloud. Scores are
not those of the published files, for three reasons. ``occlusion`` and ``lidar`` hide points of the given cloud (Katz
et al. 2007), where the generator renders the mesh and samples the picture. Corrupted clouds keep their scale, where the
generator fits most of them into the unit sphere again. The clouds of a benchmark are not the generator's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from scipy.special import comb

from clip2.evaluation.objects import Cloud

Points = NDArray[np.float64]
Kept = NDArray[np.int64]
# A corruption gives new points and, for each, the point it came from (its color), -1 for none.
Corruption = Callable[[Points, int, np.random.Generator], tuple[Points, Kept]]


@dataclass(frozen=True)
class Corrupt:
    """Change of a sampled cloud; the draw depends on the seed and the object's number alone.

    Attributes:
        name: one of :data:`CORRUPTIONS`.
        severity: 1 to 5.
        seed: of the draws.
    """

    name: str
    severity: int
    seed: int

    def __call__(self, cloud: Cloud, index: int) -> Cloud:
        random = np.random.default_rng([self.seed, self.severity, index, *self.name.encode()])
        center = cloud.points.mean(axis=0, dtype=np.float64)
        local = cloud.points - center
        radius = np.linalg.norm(local, axis=1).max()
        points, kept = CORRUPTIONS[self.name](local / radius, self.severity - 1, random)
        colors = None
        if cloud.colors is not None:
            colors = np.where(kept[:, None] >= 0, cloud.colors[kept], np.uint8(128)).astype(np.uint8)
        return Cloud((points * radius + center).astype(np.float32), colors)


@dataclass(frozen=True)
class Turn:
    """A random rotation, drawn uniformly over SO(3) for each object."""

    seed: int

    def __call__(self, cloud: Cloud, index: int) -> Cloud:
        turn = Rotation.random(random_state=np.random.default_rng([self.seed, index]))
        return Cloud(turn.apply(cloud.points).astype(np.float32), cloud.colors)


def _same(points: Points) -> tuple[Points, Kept]:
    return points, np.arange(len(points))


def _sign(random: np.random.Generator, size: int) -> NDArray:
    return random.choice([-1.0, 1.0], size)


def _rotation(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    middle = (2.5, 5, 7.5, 10, 15)[s]
    angles = random.uniform(middle - 2.5, middle + 2.5, 3) * _sign(random, 3)
    return _same(Rotation.from_euler("xyz", angles, degrees=True).apply(points))


def _shear(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    middle = (0.05, 0.1, 0.15, 0.2, 0.25)[s]
    b, d, e, f = random.uniform(middle - 0.05, middle + 0.05, 4) * _sign(random, 4)
    return _same(points @ np.array([[1, 0, b], [d, 1, e], [f, 0, 1]]))


def _uniform(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    limit = 0.01 * (s + 1)
    return _same(points + random.uniform(-limit, limit, points.shape))


def _gaussian(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    return _same(np.clip(points + random.normal(size=points.shape) * (0.01 + 0.005 * s), -1, 1))


def _background(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    count = max(1, len(points) // (45, 40, 35, 30, 20)[s])
    kept = np.concatenate([np.arange(len(points)), np.full(count, -1)])
    return np.concatenate([points, random.uniform(-1, 1, (count, 3))]), kept


def _upsampling(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    chosen = random.choice(len(points), max(1, len(points) // (5, 4, 3, 2, 1)[s]), replace=False)
    added = points[chosen] + random.uniform(-0.05, 0.05, (len(chosen), 3))
    return np.concatenate([points, added]), np.concatenate([np.arange(len(points)), chosen])


def _impulse(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    chosen = random.choice(len(points), max(1, len(points) // (30, 25, 20, 15, 10)[s]), replace=False)
    moved = points.copy()
    moved[chosen] += random.choice([-0.1, 0.1], (len(chosen), 3))
    return _same(moved)


def _near(points: Points, kept: Kept, count: int, random: np.random.Generator) -> Kept:
    """The ``count`` points of ``kept`` nearest to a random one of them."""
    center = points[random.choice(kept)]
    return kept[np.argsort(((points[kept] - center) ** 2).sum(axis=1), kind="stable")[:count]]


def _share(count: int, points: Points) -> int:
    """A count that the paper states for 1,024 points, for this cloud."""
    return max(1, round(count * len(points) / 1024))


def _cutout(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    kept = np.arange(len(points))
    for _ in range((2, 3, 5, 7, 10)[s]):
        kept = np.setdiff1d(kept, _near(points, kept, _share(30, points), random))
    return points[kept], kept


def _density(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    kept = np.arange(len(points))
    for _ in range(s + 1):
        near = _near(points, kept, _share(100, points), random)
        kept = np.setdiff1d(kept, random.choice(near, int(0.75 * len(near)), replace=False))
    return points[kept], kept


def _density_increase(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    # The generator makes 1,024 of 2,048 points: whole clusters of 100, the rest drawn (with repeats) from what is left.
    rest, dense = np.arange(len(points)), []
    for _ in range(s + 1):
        near = _near(points, rest, _share(50, points), random)
        dense.append(near)
        rest = np.setdiff1d(rest, near)
    others = len(points) // 2 - sum(map(len, dense))
    kept = np.concatenate([*dense, random.choice(rest, others)])
    return points[kept], kept


def _ffd(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    """Free-form deformation by a 5 x 5 x 5 lattice of Bernstein polynomials over [-1, 1]."""
    limit = 2 * 0.1 * (s + 1)  # PyGeM takes displacements as shares of the box's side, which is 2
    moves = random.uniform(-limit, limit, (5, 5, 5, 3))
    t = (points + 1) / 2
    powers = np.arange(5)
    weights = comb(4, powers) * t[..., None] ** powers * (1 - t[..., None]) ** (4 - powers)
    return _same(points + np.einsum("ni,nj,nk,ijkd->nd", weights[:, 0], weights[:, 1], weights[:, 2], moves))


def _rbf(points: Points, s: int, random: np.random.Generator, inverse: bool) -> tuple[Points, Kept]:
    """Multiquadrics and a linear term (as in PyGeM) through 5 x 5 x 5 control points that move by a fixed distance."""
    axis = np.linspace(-1, 1, 5)
    control = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    alpha, gamma = random.uniform(-np.pi, np.pi, (2, len(control)))
    moves = np.stack([np.cos(alpha) * np.sin(gamma), np.sin(alpha) * np.sin(gamma), np.cos(gamma)], axis=1)

    def basis(first: Points) -> Points:
        radius = np.sqrt(cdist(first, control) ** 2 + 0.5**2)
        return 1 / radius if inverse else radius

    linear = np.column_stack([np.ones(len(control)), control])
    system = np.block([[basis(control), linear], [linear.T, np.zeros((4, 4))]])
    weights = np.linalg.solve(system, np.concatenate([0.025 * (s + 1) * moves, np.zeros((4, 3))]))
    return _same(points + np.column_stack([basis(points), np.ones(len(points)), points]) @ weights)


def _visible(points: Points, eye: Points) -> Kept:
    """Points that are seen from ``eye``: hidden point removal (Katz et al. 2007)."""
    seen = points - eye
    lengths = np.linalg.norm(seen, axis=1, keepdims=True)
    flipped = seen + 2 * (100 * lengths.max() - lengths) * seen / lengths
    hull = ConvexHull(np.concatenate([flipped, np.zeros((1, 3))]), qhull_options="QJ")
    return np.sort(hull.vertices[hull.vertices < len(points)])


def _eye(s: int, random: np.random.Generator, distance: float, polar: tuple[float, float]) -> Points:
    """A place around the object: severity is a sector, as in the paper, not a strength."""
    turn = 2 * np.pi * (s + 1) / 5 + random.uniform(-np.pi / 5, np.pi / 5)
    height = random.uniform(*polar) - np.pi / 2
    return distance * np.array([np.cos(turn) * np.cos(height), np.sin(turn) * np.cos(height), np.sin(height)])


def _occlusion(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    kept = _visible(points, _eye(s, random, 3, (2 / 3 * np.pi, 5 / 6 * np.pi)))
    return points[kept], kept


def _lidar(points: Points, s: int, random: np.random.Generator) -> tuple[Points, Kept]:
    """Visible points on scan lines of one degree, each moved onto its line."""
    eye = _eye(s, random, 5, (5 / 8 * np.pi, 5 / 8 * np.pi))
    kept = _visible(points, eye)
    seen = points[kept] - eye
    flat = np.linalg.norm(seen[:, :2], axis=1)
    lengths, heights = np.linalg.norm(seen, axis=1), np.degrees(np.arctan2(seen[:, 2], flat))
    line = np.floor(heights) + 0.5
    on = np.abs(heights - line) <= 0.25
    if on.sum() < 8:  # a handful of points is no object
        on[:] = True
    up = np.radians(line[on])
    moved = np.concatenate(
        [
            seen[on, :2] / flat[on, None] * (lengths[on] * np.cos(up))[:, None],
            (lengths[on] * np.sin(up))[:, None],
        ],
        axis=1,
    )
    return moved + eye, kept[on]


CORRUPTIONS: dict[str, Corruption] = {
    "occlusion": _occlusion,
    "lidar": _lidar,
    "density increase": _density_increase,
    "density decrease": _density,
    "cutout": _cutout,
    "uniform noise": _uniform,
    "gaussian noise": _gaussian,
    "impulse noise": _impulse,
    "upsampling noise": _upsampling,
    "background noise": _background,
    "rotation": _rotation,
    "shear": _shear,
    "ffd distortion": _ffd,
    "rbf distortion": lambda points, s, random: _rbf(points, s, random, inverse=False),
    "inverse rbf distortion": lambda points, s, random: _rbf(points, s, random, inverse=True),
}
