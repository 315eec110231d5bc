"""Cluttered table tops, counters and shelves, and a camera close above each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import rigid
from data_prep.world.assemblies import make_assembly
from data_prep.world.objects import ProceduralObject, list_categories, make_object
from data_prep.world.palette import CHECKS, PLAIN, PLANKS, STRIPES, TILES, Paint, tone
from data_prep.world.rooms import Room, look_at
from data_prep.world.solids import Parts
from data_prep.world.surface import BACKGROUND, Light
from data_prep.world.world import Footprints, PlacedObject, WorldBuilder

FEWEST, MOST = 3, 20  # things
SMALLEST, LARGEST = 0.03, 0.4  # m, longest side of a thing
NEAREST, FARTHEST = 0.4, 1.5  # m from the camera to the middle of the things
CLEAR = 0.3  # m between the camera and any thing
_TABLE_HEIGHTS = (0.4, 1.1)  # m


def build_tabletop(
    rng: np.random.Generator,
    frames: int,
    first_instance: int = 0,
    assemblies: Sequence[np.random.Generator] = (),
) -> Room:
    """Lay things on one table, counter or shelf.

    Args:
        rng: source of everything random.
        frames: number of camera poses around the things.
        first_instance: id of the first object.
        assemblies: one source of randomness for each nameless thing besides; those that find no place are left out.
    """
    builder = WorldBuilder(first_instance)
    height = float(rng.uniform(*_TABLE_HEIGHTS))
    half = np.array([rng.uniform(0.3, 0.9), rng.uniform(0.25, 0.45)])
    kind = ("table", "counter", "shelf")[int(rng.choice(3, p=(0.5, 0.3, 0.2)))]
    if kind == "table":
        half = _stand_table(builder, rng, half, height)
    _scenery(builder, rng, kind, half, height)
    taken = Footprints()
    # Things gather: many table tops have a heap in the middle and bare wood around it.
    reach = half * rng.uniform(0.6, 1.0)
    standing: list[PlacedObject] = []
    for _ in range(int(rng.integers(FEWEST, MOST + 1))):
        thing = _thing(rng)
        # Where a table is full, a smaller one of its kind may fit.
        for scale in (1.0, 0.6, 0.4):
            small = _scaled(thing, scale)
            if small.extent.max() >= SMALLEST and _lay(
                builder, rng, small, reach, half, height, taken, standing
            ):
                break
    for generator in assemblies:
        thing = _fitted(make_assembly(generator, size="small"), generator)
        _lay(builder, generator, thing, reach, half, height, taken, standing)
    lamp = (float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1)), height + float(rng.uniform(0.8, 1.8)))
    light = Light(lamp=lamp, ambient=float(rng.uniform(0.55, 0.72)), direct=0.45, shadows=True)
    world = builder.build(light, ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    return Room(world, _poses(rng, frames, height, kind, 2 * float(half[1]), standing))


def _stand_table(
    builder: WorldBuilder, rng: np.random.Generator, half: NDArray, height: float
) -> NDArray[np.float64]:
    """A table of the room's kind, raised or lowered so that its top is at ``height``; returns its half sizes."""
    for _ in range(4):
        table = make_object(_choose(rng, list_categories("room", "center")), rng)
        if table.top is not None and min(table.top[:2]) > 0.2:
            builder.place(table, (0, 0, height - table.top[2]), 0.0)
            return np.array(table.top[:2])
    return half


def _scenery(
    builder: WorldBuilder, rng: np.random.Generator, kind: str, half: NDArray, height: float
) -> None:
    p = Parts()
    x, y = half
    floor = 0.0
    p.box((6, 6, 0.05), (0, 0, floor - 0.05), "floor")
    if kind == "table" and not builder.objects:
        p.box((2 * x, 2 * y, 0.03), (0, 0, height - 0.03), "wood")
    if kind == "counter":
        p.box((4 * x, 2 * y, 0.04), (0, 0, height - 0.04), "wood")
        p.box((4 * x, 2 * y - 0.05, height - 0.04), (0, 0.02, floor), "wall")
    if kind == "shelf":
        gap = float(rng.uniform(0.3, 0.5))
        for level in range(-1, 3):
            p.box((2 * x + 0.1, 2 * y, 0.02), (0, 0, height - 0.02 + level * gap), "wood")
        for side in (1, -1):
            p.box((0.02, 2 * y, 4 * gap), (side * (x + 0.04), 0, height - 0.02 - gap), "wood")
        p.box((2 * x + 0.1, 0.01, 4 * gap), (0, y, height - 0.02 - gap), "wood")
    if kind == "counter" or (kind == "table" and rng.random() < 0.5):
        p.box(
            (6, 0.1, 2.6), (0, y + 0.05 + (0 if kind == "counter" else rng.uniform(0.02, 0.6)), floor), "wall"
        )
    red, green, blue = (float(v) for v in rng.uniform(0.5, 0.95) * (1 + rng.uniform(-0.15, 0.15, 3)))
    shade = (red, green, blue)
    wood = ((0.55, 0.40, 0.26), (0.70, 0.55, 0.38), (0.9, 0.9, 0.88), (0.25, 0.25, 0.27))[rng.integers(4)]
    textures = (PLAIN, PLANKS, TILES, CHECKS, STRIPES)
    builder.scenery(
        p,
        {
            "floor": Paint(tone(wood, 0.7), tone(wood, 0.5), textures[rng.integers(5)], 0.3, 0.1),
            "wall": Paint(shade, tone(shade, 0.9), (PLAIN, TILES)[rng.integers(2)], 0.2, 0.0),
            "wood": Paint(
                wood, tone(wood, 0.8), textures[int(rng.choice(5, p=(0.5, 0.3, 0.1, 0.05, 0.05)))], 0.2, 0.2
            ),
        },
    )


def _thing(rng: np.random.Generator) -> ProceduralObject:
    if rng.random() < 0.3:
        return _fitted(make_assembly(rng, size="small"), rng)
    return _fitted(make_object(_choose(rng, list_categories("room", "table")), rng), rng)


def _fitted(obj: ProceduralObject, rng: np.random.Generator) -> ProceduralObject:
    """The thing in a size for a table top; one in five lies on its side."""
    longest = float(obj.extent.max())
    wanted = longest if longest <= LARGEST else LARGEST * float(rng.uniform(0.6, 1.0))
    if rng.random() < 0.3:  # toys and small packs
        wanted = float(np.exp(rng.uniform(np.log(SMALLEST), np.log(0.15))))
    R = np.eye(3)
    if rng.random() < 0.2:
        R = (
            np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
            if rng.random() < 0.5
            else np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
        )
    surface = obj.surface.moved(rigid(R.astype(float), (0, 0, 0)), BACKGROUND)
    low, high = surface.corners.reshape(-1, 3).min(axis=0), surface.corners.reshape(-1, 3).max(axis=0)
    surface.corners -= np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], np.float32)
    return _scaled(replace(obj, surface=surface, top=None), wanted / longest)


def _scaled(obj: ProceduralObject, scale: float) -> ProceduralObject:
    factor = np.float32(scale)
    surface = obj.surface
    return replace(
        obj, surface=replace(surface, corners=surface.corners * factor, local=surface.local * factor)
    )


def _lay(
    builder: WorldBuilder,
    rng: np.random.Generator,
    obj: ProceduralObject,
    reach: NDArray,
    half: NDArray,
    height: float,
    taken: Footprints,
    standing: list[PlacedObject],
) -> bool:
    """Put a thing down on another one, against another one, or where there is room; False if there is none."""
    size = (float(obj.extent[0]), float(obj.extent[1]))
    if standing and rng.random() < 0.12:
        below = standing[rng.integers(len(standing))]
        flat = below.object.extent
        if flat[2] < 0.15 and (np.array(size) < 0.9 * flat[:2]).all():
            x, y = below.T_world_object[:2, 3]
            standing.append(builder.place(obj, (float(x), float(y), height + float(flat[2])), below.box.yaw))
            return True
    turn = float(rng.uniform(-np.pi, np.pi))
    touching = bool(standing) and rng.random() < 0.5
    for _ in range(40):
        if touching:
            other = standing[rng.integers(len(standing))]
            turn = float(np.arctan2(other.T_world_object[1, 0], other.T_world_object[0, 0]))
            axis = int(rng.integers(2))
            step = np.zeros(2)
            step[axis] = rng.choice([-1, 1]) * (other.object.extent[axis] + size[axis]) / 2 * 1.002
            step[1 - axis] = rng.uniform(-0.3, 0.3) * other.object.extent[1 - axis]
            x, y = (other.T_world_object[:2, :2] @ step) + other.T_world_object[:2, 3]
        else:
            x, y = rng.uniform(-1, 1, 2) * reach
        if (np.abs([x, y]) > half - 0.3 * max(size)).any():
            continue
        if taken.claim((float(x), float(y)), size, turn, 0.0 if touching else 0.004):
            standing.append(builder.place(obj, (float(x), float(y), height), turn))
            return True
    return False


def _poses(
    rng: np.random.Generator,
    frames: int,
    height: float,
    kind: str,
    depth: float,
    standing: list[PlacedObject],
) -> NDArray[np.float64]:
    """(frames, 4, 4) poses in front of the things, looking down at them; a camera on a robot is never quite level."""
    middle = (
        np.mean([placed.box.center for placed in standing], axis=0) if standing else np.array([0, 0, height])
    )
    start = -np.pi / 2 + rng.uniform(-0.6, 0.6)
    poses = []
    for k in range(frames):
        around = start + (0.5 if kind != "table" else 2 * np.pi) * (k / max(frames, 8)) + rng.normal(0, 0.1)
        tries = [_eye(rng, kind, depth, middle, around) for _ in range(20)]
        gaps = [min((_gap(eye, placed) for placed in standing), default=1.0) for eye in tries]
        eye = next(
            (eye for eye, gap in zip(tries, gaps, strict=True) if gap > CLEAR), tries[int(np.argmax(gaps))]
        )
        target = middle + np.array([*rng.normal(0, 0.05, 2), 0.0])
        pose = look_at(tuple(eye), tuple(target))
        roll = rng.normal(0, np.deg2rad(4))
        c, s = np.cos(roll), np.sin(roll)
        poses.append(pose @ rigid(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), (0, 0, 0)))
    return np.stack(poses)


def _eye(
    rng: np.random.Generator, kind: str, depth: float, middle: NDArray, around: float
) -> NDArray[np.float64]:
    """(3,) one place for the camera; in front of a shelf, not in it."""
    pitch = np.deg2rad(rng.uniform(10, 30) if kind == "shelf" else rng.uniform(20, 85))
    nearest = max(NEAREST, depth / 2 + 0.4) if kind == "shelf" else NEAREST
    distance = rng.uniform(nearest, FARTHEST)
    eye: NDArray[np.float64] = middle + distance * np.array(
        [np.cos(pitch) * np.cos(around), np.cos(pitch) * np.sin(around), np.sin(pitch)]
    )
    return eye


def _gap(eye: NDArray, placed: PlacedObject) -> float:
    """Meters from the eye to the ball around a thing."""
    return float(np.linalg.norm(eye - placed.box.center) - np.linalg.norm(placed.box.size) / 2)


def _choose(rng: np.random.Generator, names: list[str]) -> str:
    return names[rng.integers(len(names))]
