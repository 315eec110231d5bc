"""Furnished rooms and a camera path through each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry import rigid
from data_prep.world.assemblies import make_assembly
from data_prep.world.objects import ProceduralObject, list_categories, make_object
from data_prep.world.palette import CHECKS, PLAIN, PLANKS, STRIPES, TILES, Paint, tone
from data_prep.world.solids import Parts
from data_prep.world.surface import Light
from data_prep.world.world import Footprints, PlacedObject, World, WorldBuilder

CLEARANCE = 0.6  # meters between the camera and anything that reaches its height


@dataclass(frozen=True)
class Room:
    """A furnished room and the camera's path through it.

    Attributes:
        world: everything in it.
        T_world_cams: (frames, 4, 4) camera poses, OpenCV axes.
    """

    world: World
    T_world_cams: NDArray[np.float64]


def build_room(
    rng: np.random.Generator,
    frames: int,
    first_instance: int = 0,
    assemblies: Sequence[np.random.Generator] = (),
) -> Room:
    """Furnish one room.

    Args:
        rng: source of everything random.
        frames: number of camera poses along the walk.
        first_instance: id of the first object.
        assemblies: one source of randomness for each nameless thing; they come last and move nothing else.
    """
    length, width, height = rng.uniform(4.4, 6.6), rng.uniform(3.8, 5.4), rng.uniform(2.4, 2.8)
    builder = WorldBuilder(first_instance)
    _walls(builder, rng, length, width, height)
    floor = Footprints()

    def put(obj: ProceduralObject, x: float, y: float, yaw: float, gap: float) -> PlacedObject | None:
        c, s = abs(np.cos(yaw)), abs(np.sin(yaw))
        half_x = (obj.extent[0] * c + obj.extent[1] * s) / 2
        half_y = (obj.extent[0] * s + obj.extent[1] * c) / 2
        if abs(x) + half_x > length / 2 or abs(y) + half_y > width / 2:
            return None
        size = (float(obj.extent[0]), float(obj.extent[1]))
        if not floor.claim((x, y), size, yaw, gap):
            return None
        return builder.place(obj, (x, y, 0), yaw)

    supports = [_table_with_seats(rng, put, length, width)]
    for _ in range(int(rng.integers(8, 13))):
        supports.append(_against_wall(rng, put, length, width))
    for _ in range(int(rng.integers(8, 13))):
        name = _choose(rng, list_categories("room", "floor"))
        obj = make_object(name, rng)
        for _ in range(12):
            x, y = rng.uniform(-0.5, 0.5, 2) * (length - 0.3, width - 0.3)
            placed = put(obj, float(x), float(y), float(rng.uniform(-np.pi, np.pi)), 0.06)
            if placed is not None:
                supports.append(placed)
                break
    tables = [
        (support, _clutter(builder, rng, support))
        for support in supports
        if support is not None and support.object.top is not None
    ]
    for generator in assemblies:
        _assembly(builder, generator, put, tables, length, width)
    x, y = rng.uniform(-0.15, 0.15, 2) * (length, width)
    lamp = (float(x), float(y), height - 0.1)
    light = Light(lamp=lamp, ambient=float(rng.uniform(0.62, 0.72)), direct=0.45, shadows=True)
    world = builder.build(light, ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    standing = [(_footprint(placed), _top(placed)) for placed in builder.objects]
    return Room(world, _walk(rng, frames, length, width, standing))


def _choose(rng: np.random.Generator, names: list[str]) -> str:
    return names[rng.integers(len(names))]


def _table_with_seats(rng, put, length: float, width: float) -> PlacedObject | None:  # type: ignore[no-untyped-def]
    name = _choose(rng, list_categories("room", "center"))
    table = make_object(name, rng)
    yaw = float(rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.05))
    x, y = rng.uniform(-0.14, 0.14, 2) * (length, width)
    placed = put(table, float(x), float(y), yaw, 0.0)
    for _ in range(int(rng.integers(2, 5))):
        seat = make_object(_choose(rng, list_categories("room", "seat")), rng)
        for _ in range(6):
            side = int(rng.integers(4))
            along = float(rng.uniform(-0.3, 0.3))
            reach = [e / 2 + seat.extent[0] / 2 - 0.02 + rng.uniform(0.0, 0.25) for e in table.extent[:2]]
            local = (
                ((1, -1)[side % 2] * reach[0], along * table.extent[1])
                if side < 2
                else (along * table.extent[0], (1, -1)[side % 2] * reach[1])
            )
            toward = yaw + (np.pi, 0, -np.pi / 2, np.pi / 2)[side] + rng.normal(0, 0.15)
            c, s = np.cos(yaw), np.sin(yaw)
            if put(
                seat,
                float(x + c * local[0] - s * local[1]),
                float(y + s * local[0] + c * local[1]),
                toward,
                0.0,
            ):
                break
    return placed


def _against_wall(rng, put, length: float, width: float) -> PlacedObject | None:  # type: ignore[no-untyped-def]
    obj = make_object(_choose(rng, list_categories("room", "wall")), rng)
    for _ in range(10):
        side = int(rng.integers(4))
        offset = obj.extent[0] / 2 + rng.uniform(0.03, 0.07)
        span = (width if side < 2 else length) - obj.extent[1] - 0.1
        if span <= 0:
            continue
        along = float(rng.uniform(-0.5, 0.5) * span)
        x, y, yaw = (
            (-length / 2 + offset, along, 0.0),
            (length / 2 - offset, along, np.pi),
            (along, -width / 2 + offset, np.pi / 2),
            (along, width / 2 - offset, -np.pi / 2),
        )[side]
        placed: PlacedObject | None = put(obj, float(x), float(y), yaw, 0.02)
        if placed is not None:
            return placed
    return None


def _clutter(builder: WorldBuilder, rng: np.random.Generator, support: PlacedObject) -> Footprints:
    """Things on a table, none over the edge, none in another; what of the table they take."""
    assert support.object.top is not None
    half_x, half_y, _ = support.object.top
    taken = Footprints()
    wanted = int(np.clip(rng.poisson(14 * half_x * half_y / 0.25), 3, 9))
    for _ in range(wanted):
        obj = make_object(_choose(rng, list_categories("room", "table")), rng)
        _lay(builder, rng, obj, support, taken)
    return taken


def _lay(
    builder: WorldBuilder,
    rng: np.random.Generator,
    obj: ProceduralObject,
    support: PlacedObject,
    taken: Footprints,
) -> bool:
    """Put one thing on a table, if it fits."""
    assert support.object.top is not None
    half_x, half_y, z = support.object.top
    yaw = support.box.yaw
    c, s = np.cos(yaw), np.sin(yaw)
    center = support.T_world_object[:3, 3]
    reach = float(np.hypot(*obj.extent[:2])) / 2
    turn = float(rng.uniform(-np.pi, np.pi))
    free = np.array([half_x - reach, half_y - reach])
    if (free <= 0).any():
        return False
    for _ in range(8):
        x, y = rng.uniform(-1, 1, 2) * free
        if taken.claim((float(x), float(y)), (float(obj.extent[0]), float(obj.extent[1])), turn, 0.015):
            builder.place(obj, (center[0] + c * x - s * y, center[1] + s * x + c * y, z), yaw + turn)
            return True
    return False


def _assembly(  # type: ignore[no-untyped-def]
    builder: WorldBuilder,
    rng: np.random.Generator,
    put,
    tables: list[tuple[PlacedObject, Footprints]],
    length: float,
    width: float,
) -> None:
    """One nameless thing, small ones mostly on tables, others on the floor; a smaller one where none fits.

    Raises:
        InputError: not even a small one fits on the floor.
    """
    for size in (None, None, None, "medium", "small", "small"):
        obj = make_assembly(rng, size=size)
        if obj.size_word == "small" and tables and rng.random() < 0.75:
            support, taken = tables[rng.integers(len(tables))]
            if _lay(builder, rng, obj, support, taken):
                return
        for _ in range(150):
            x, y = rng.uniform(-0.5, 0.5, 2) * (length, width)
            # Objects as tall as the camera stay out of the middle, to keep a path through the room.
            if obj.extent[2] > 1.0 and max(abs(x) / length, abs(y) / width) < 0.36:
                continue
            yaw = float(rng.integers(4) * np.pi / 2 + rng.normal(0, 0.1))
            if put(obj, float(x), float(y), yaw, 0.03) is not None:
                return
    raise InputError("no room for so many", field="assemblies", fix="ask for fewer")


def _walls(
    builder: WorldBuilder, rng: np.random.Generator, length: float, width: float, height: float
) -> None:
    shade = rng.uniform(0.72, 0.95) * (1 + rng.uniform(-0.07, 0.07, 3))
    wall = (float(shade[0]), float(shade[1]), float(shade[2]))
    boards = ((0.55, 0.40, 0.26), (0.70, 0.55, 0.38), (0.40, 0.28, 0.19))[rng.integers(3)]
    stone = float(rng.uniform(0.55, 0.85))
    floors = (
        Paint(boards, tone(boards, 0.62), PLANKS, 0.14, 0.25),
        Paint((stone, stone, stone * 0.97), (0.38, 0.38, 0.38), TILES, 0.4, 0.4),
        Paint(
            (stone * 0.8, stone * 0.75, stone * 0.7),
            (stone * 0.6, stone * 0.6, stone * 0.62),
            CHECKS,
            0.5,
            0.3,
        ),
    )
    paper = (PLAIN, PLAIN, STRIPES)[rng.integers(3)]
    paints = {
        "wall": Paint(wall, tone(wall, 0.94), paper, 0.3, 0.0),
        "floor": floors[rng.integers(len(floors))],
        "ceiling": Paint((0.93, 0.93, 0.92), gloss=0.0),
        "trim": Paint((0.95, 0.95, 0.93), gloss=0.2),
        "door": Paint(tone(boards, 1.0), tone(boards, 0.75), 1, 0.15, 0.2),
        "pane": Paint((0.80, 0.90, 1.0), glow=0.9),
        "rug": Paint(tone(wall, 0.6), tone(wall, 0.4), (CHECKS, STRIPES)[rng.integers(2)], 0.25, 0.0),
    }
    p = Parts()
    p.box((length, width, 0.05), (0, 0, -0.05), "floor")
    p.box((length, width, 0.05), (0, 0, height), "ceiling")
    for side in (1, -1):
        p.box((0.1, width + 0.2, height), (side * (length / 2 + 0.05), 0, 0), "wall")
        p.box((length + 0.2, 0.1, height), (0, side * (width / 2 + 0.05), 0), "wall")
        p.box((0.012, width, 0.08), (side * (length / 2 - 0.006), 0, 0), "trim")
        p.box((length, 0.012, 0.08), (0, side * (width / 2 - 0.006), 0), "trim")
    y = rng.uniform(-0.3, 0.3) * width
    p.box((0.03, 1.5, 1.2), (length / 2, y, 0.95), "trim")
    for half in (1, -1):
        p.box((0.035, 0.66, 1.06), (length / 2, y + half * 0.36, 1.02), "pane")
    x = rng.uniform(-0.3, 0.3) * length
    p.box((0.98, 0.03, 2.08), (x, -width / 2, 0), "trim")
    p.box((0.86, 0.04, 2.02), (x, -width / 2, 0), "door")
    if rng.random() < 0.6:
        p.box((length * rng.uniform(0.35, 0.5), width * rng.uniform(0.35, 0.5), 0.008), (0, 0, 0), "rug")
    builder.scenery(p, paints)


def _walk(
    rng: np.random.Generator,
    frames: int,
    length: float,
    width: float,
    standing: list[tuple[Footprints, float]],
) -> NDArray[np.float64]:
    """(frames, 4, 4) poses once around the room, looking across it, never inside anything."""
    start, eye = rng.uniform(0, 2 * np.pi), rng.uniform(1.35, 1.65)
    blocked = [shape for shape, top in standing if top > eye - 0.25]
    poses = []
    for k in range(frames):
        angle = start + 2 * np.pi * k / max(frames, 12)
        ray = np.array([np.cos(angle), np.sin(angle)]) * (length / 2 - 0.3, width / 2 - 0.3)
        places = [ray * inward for inward in (*np.linspace(1, 0.05, 20), 0.0)]
        free = [min((shape.distance((x, y)) for shape in blocked), default=np.inf) for x, y in places]
        roomy = [place for place, distance in zip(places, free, strict=True) if distance > CLEARANCE]
        position = roomy[0] if roomy else places[int(np.argmax(free))]
        z = eye + 0.08 * np.sin(3 * angle)
        target = -ray * 0.35 + 0.2 * np.array([np.sin(2 * angle), np.cos(3 * angle)])
        poses.append(look_at((position[0], position[1], z), (target[0], target[1], 0.55)))
    return np.stack(poses)


def _top(placed: PlacedObject) -> float:
    return float(placed.T_world_object[2, 3] + placed.object.extent[2])


def _footprint(placed: PlacedObject) -> Footprints:
    """Of things on tables too, around the middle of the room."""
    T, extent = placed.T_world_object, placed.object.extent
    shape = Footprints()
    yaw = float(np.arctan2(T[1, 0], T[0, 0]))
    at = (float(T[0, 3]), float(T[1, 3]))
    shape.claim(at, (float(extent[0]), float(extent[1])), yaw, 0)
    return shape


def look_at(eye: tuple[float, float, float], target: tuple[float, float, float]) -> NDArray[np.float64]:
    """(4, 4) ``T_world_cam`` of a level camera at ``eye`` that looks at ``target``; OpenCV axes, z-up world."""
    forward = np.asarray(target, float) - np.asarray(eye, float)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return rigid(np.stack([right, np.cross(forward, right), forward], axis=1), eye)
