"""Synthetic rooms and table tops with truth, to train the indoor proposal scorers on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.geometry.voxels import voxel_index
from data_prep.world import ProceduralScan
from data_prep.world.sensors import DEPTH_CAMERAS
from data_prep.world.world import Footprints


@dataclass(frozen=True)
class Cloud:
    """A cloud with its truth: instance of each point, -1 for the room itself."""

    points: NDArray[np.float64]
    colors: NDArray[np.uint8] | None
    viewpoint: NDArray[np.float64] | None
    instances: NDArray[np.int32]


def training_clouds(count: int, seed: int) -> Iterator[Cloud]:
    """Single frames of rooms and table tops, fused ones, and bare boxes; half of them without color.

    Args:
        count: of each of the four kinds.
        seed: of the worlds; use another for clouds that are held out.
    """
    random = np.random.default_rng(seed)
    sizes, cameras = ((320, 240), (424, 320), (640, 480)), tuple(DEPTH_CAMERAS)
    for number in range(2 * count):
        scan = ProceduralScan(
            ("room", "tabletop")[number % 2],
            seed=1_000_000 * (seed + 1) + number,
            assemblies=4,
            image_size=sizes[number // 2 % 3],
            depth_camera=cameras[number // 2 % 4],
        )
        try:
            yield _single(scan, int(random.integers(len(scan))), random)
        except BadFrameError:  # a camera nearer than its shortest range sees nothing
            continue
    for number in range(count):
        # Every third is like a mesh: no noise, seen from all around.
        setting, whole = ("tabletop", "room", "room", "room")[number % 4], number % 3 == 0
        scan = ProceduralScan(
            setting,
            12,
            1_000_000 * (seed + 1) + number,
            assemblies=4,
            noise=not whole,
            depth_camera=cameras[number % 4],
        )
        yield _fused(scan, 12 if whole else int(random.integers(2, 9)), random)
    for _ in range(count):
        yield bare_boxes(random)


def _single(scan: ProceduralScan, index: int, random: np.random.Generator) -> Cloud:
    frame = scan[index]
    colors = frame.colors if random.random() < 0.5 else None
    return Cloud(
        frame.world_points(), colors, frame.T_world_points[:3, 3], scan.ground_truth(index).instances
    )


def _fused(scan: ProceduralScan, count: int, random: np.random.Generator) -> Cloud:
    views = sorted(random.choice(len(scan), count, replace=False).tolist())
    seen = [(scan[i], scan.ground_truth(i)) for i in views]
    points = np.concatenate([frame.world_points() for frame, _ in seen])
    colors = np.concatenate([np.asarray(frame.colors) for frame, _ in seen])
    truth = np.concatenate([known.instances for _, known in seen])
    first, _ = voxel_index(points, float(random.choice([0.01, 0.02, 0.03])))
    printed = _printed(points[first], colors[first], random) if random.random() < 0.5 else None
    return Cloud(points[first], printed, None, truth[first])


def _printed(points: NDArray, colors: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Colors with patches of 2 to 15 cm repainted: real things carry prints and labels, synthetic ones hardly do."""
    size = float(np.exp(random.uniform(np.log(0.02), np.log(0.15))))
    cell = np.unique(
        np.floor(points / size + random.random(3)).astype(np.int64), axis=0, return_inverse=True
    )[1]
    count = int(cell.max()) + 1
    share = np.where(random.random(count) < random.uniform(0, 0.6), random.uniform(0.2, 1.0, count), 0.0)
    paint = random.uniform(0, 255, (count, 3))
    mixed = colors + share[cell.reshape(-1), None] * (paint[cell.reshape(-1)] - colors)
    return mixed.astype(np.uint8)


def bare_boxes(random: np.random.Generator) -> Cloud:
    """Boxes on bare ground, as a modeling program samples them: whole, exact, on a grid or at random."""
    side = float(random.uniform(1.5, 6))
    density = float(random.uniform(80, 400)) / side  # points per meter, 0.4 to 8 cm apart
    taken, clouds, owners = Footprints(), [], []
    corners: list[tuple[NDArray, NDArray, NDArray]] = []
    for number in range(int(random.integers(1, 8))):
        size = np.exp(random.uniform(np.log(0.1), np.log(2.2), 3)) * min(1.0, side / 4)
        at, yaw = random.uniform(-0.4, 0.4, 2) * side, float(random.uniform(-np.pi, np.pi))
        if not taken.claim((float(at[0]), float(at[1])), (float(size[0]), float(size[1])), yaw, 0.03):
            continue
        c, s = np.cos(yaw), np.sin(yaw)
        R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        faces = [
            _face(size, axis, end, density, random)
            for axis, end in ((0, -1), (0, 1), (1, -1), (1, 1), (2, 1))
        ]
        cloud = np.concatenate(faces) @ R.T + [*at, size[2] / 2]
        clouds.append(cloud)
        owners.append(np.full(len(cloud), number))
        corners.append((at, size, R))
    ground = _face(np.array([side, side, 0.0]), 2, 1, density, random)
    for at, size, R in corners:
        local = (ground - [*at, 0]) @ R
        ground = ground[(np.abs(local[:, :2]) > size[:2] / 2).any(axis=1)]
    points = np.concatenate([*clouds, ground])
    truth = np.concatenate([*owners, np.full(len(ground), -1)]).astype(np.int32)
    return Cloud(points, None, None, truth)


def _face(size: NDArray, axis: int, end: int, density: float, random: np.random.Generator) -> NDArray:
    """Points of one face of a box around the origin; exact grid points half of the time."""
    across = [k for k in range(3) if k != axis]
    counts = np.maximum((size[across] * density).astype(int), 2)
    if random.random() < 0.5:
        u, v = (g.ravel() for g in np.meshgrid(*(np.linspace(-0.5, 0.5, n) for n in counts)))
    else:
        u, v = random.uniform(-0.5, 0.5, (2, int(counts.prod())))
    points = np.zeros((len(u), 3))
    points[:, across[0]], points[:, across[1]] = u * size[across[0]], v * size[across[1]]
    points[:, axis] = end * size[axis] / 2
    return points
