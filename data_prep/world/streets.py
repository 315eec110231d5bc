"""Streets with traffic, street furniture and buildings, and a vehicle's path along each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry import rigid
from data_prep.world.assemblies import make_assembly
from data_prep.world.objects import list_categories, make_object
from data_prep.world.palette import BRICK, GROUND, TILES, WINDOWS, Paint, tone
from data_prep.world.solids import Parts
from data_prep.world.surface import Light
from data_prep.world.world import Footprints, World, WorldBuilder

LANE = 3.5  # meters
CURB = 0.14
STEP = 2.0  # meters the vehicle moves between frames
MARGIN = 45.0  # meters of street before the first and after the last frame
AHEAD = 22.0  # meters after the last pose up to which nameless things stand
_WALLS = (
    (0.62, 0.36, 0.28),
    (0.72, 0.66, 0.56),
    (0.55, 0.55, 0.56),
    (0.80, 0.74, 0.60),
    (0.48, 0.40, 0.36),
    (0.68, 0.52, 0.42),
)


@dataclass(frozen=True)
class Street:
    """A street and the way of the vehicle along it.

    Attributes:
        world: everything in it.
        T_world_vehicles: (frames, 4, 4): x forward, y left, z up, on the road below the sensor.
    """

    world: World
    T_world_vehicles: NDArray[np.float64]


def build_street(
    rng: np.random.Generator,
    frames: int,
    first_instance: int = 0,
    assemblies: Sequence[np.random.Generator] = (),
) -> Street:
    """Lay out one street along world x, the vehicle in its right lane.

    Args:
        rng: source of everything random.
        frames: number of vehicle poses, ``STEP`` meters apart.
        first_instance: id of the first object.
        assemblies: one source of randomness for each nameless thing; they come last and move nothing else.
    """
    builder = WorldBuilder(first_instance)
    start, end = -MARGIN, MARGIN + STEP * frames
    parking = float(rng.choice([2.3, 2.6]))
    curb_y = LANE + parking
    walk = float(rng.uniform(3.2, 4.5))
    _ground(builder, rng, start, end, curb_y, walk)
    taken = Footprints()
    taken.claim(
        ((start + end) / 2, -LANE / 2), (end - start, 2.6), 0.0, 0.0
    )  # the vehicle's own lane stays free

    def put(name: str, x: float, y: float, yaw: float, z: float, gap: float) -> None:
        obj = make_object(name, rng)
        if taken.claim((x, y), (float(obj.extent[0]), float(obj.extent[1])), yaw, gap):
            builder.place(obj, (x, y, z), yaw)

    for side in (1, -1):
        along = np.pi if side > 0 else 0.0  # traffic keeps right
        inward = -np.pi / 2 if side > 0 else np.pi / 2
        for x in _spaced(rng, start, end, 6.0, 10.0):
            put(
                _pick(rng, "curbside"),
                x,
                side * (curb_y + 0.55),
                inward if rng.random() < 0.5 else along,
                CURB,
                0.05,
            )
        for x in _spaced(rng, start, end, 5.0, 11.0):
            name, jitter = _vehicle(rng), rng.normal(0, 0.04)
            put(name, x, side * (curb_y - parking / 2 + 0.1), along + jitter, 0.0, 0.25)
        for x in _spaced(rng, start, end, 6.0, 14.0):
            put(_pick(rng, "curb"), x, side * (curb_y + 1.35), along + rng.normal(0, 0.3), CURB, 0.1)
        for x in _spaced(rng, start, end, 2.5, 6.0):
            name = "pedestrian" if rng.random() < 0.55 else _pick(rng, "walk")
            across = float(rng.uniform(1.9, walk - 0.4))
            yaw = float(rng.choice([0, np.pi]) + rng.normal(0, 0.3)) if name == "pedestrian" else inward
            put(name, x, side * (curb_y + across), yaw, CURB, 0.15)
        for x in _spaced(rng, start, end, 16.0, 34.0):
            for k in range(int(rng.integers(2, 5))):
                put(
                    _pick(rng, "road edge"),
                    x + 1.6 * k,
                    side * (curb_y - 0.35),
                    np.pi / 2 + rng.normal(0, 0.2),
                    0.0,
                    0.1,
                )
    for x in _spaced(rng, start, end, 12.0, 26.0):
        put(_vehicle(rng), x, LANE / 2 + rng.normal(0, 0.15), np.pi, 0.0, 0.6)
    for x in _spaced(rng, start, end, 18.0, 40.0):
        put("pedestrian", x, float(rng.uniform(0.2, LANE)), float(rng.choice([1, -1]) * np.pi / 2), 0.0, 0.3)
    for generator in assemblies:
        scatter_assemblies(builder, generator, taken, (0.0, STEP * frames + AHEAD), curb_y, walk)
    light = Light(
        direction=(float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.7, 0.7)), 0.9),
        ambient=0.6,
        direct=0.5,
        shadows=True,
    )
    world = builder.build(light, ((0.80, 0.87, 0.93), (0.38, 0.58, 0.85)))
    poses = []
    for k in range(frames):
        heading = 0.02 * np.sin(0.5 * k)
        c, s = np.cos(heading), np.sin(heading)
        poses.append(
            rigid([[c, -s, 0], [s, c, 0], [0, 0, 1]], (STEP * k, -LANE / 2 + 0.15 * np.sin(0.3 * k), 0))
        )
    return Street(world, np.stack(poses))


def _spaced(rng: np.random.Generator, start: float, end: float, low: float, high: float) -> Iterator[float]:
    x = start + float(rng.uniform(0, high))
    while x < end:
        yield x
        x += float(rng.uniform(low, high))


def _pick(rng: np.random.Generator, spot: str) -> str:
    names = list_categories("street", spot)
    return names[rng.integers(len(names))]


def _vehicle(rng: np.random.Generator) -> str:
    """Half of what drives is cars; the rest is shared evenly."""
    return "car" if rng.random() < 0.5 else _pick(rng, "road")


def scatter_assemblies(
    builder: WorldBuilder,
    rng: np.random.Generator,
    taken: Footprints,
    span: tuple[float, float],
    curb_y: float,
    walk: float,
) -> None:
    """One nameless thing on a sidewalk, where the vehicle passes; a smaller one where none fits.

    Raises:
        InputError: no free place is left.
    """
    for smaller in (False, False, True, True):
        obj = make_assembly(rng, size="medium" if smaller or rng.random() < 0.35 else "large")
        size = (float(obj.extent[0]), float(obj.extent[1]))
        reach = float(np.hypot(*size)) / 2
        for _ in range(40):
            x, side = float(rng.uniform(*span)), float(rng.choice([1, -1]))
            # Most stand near the curb, where parked cars hide them least.
            across = 0.2 + reach + (walk - 0.2 - 2 * reach) * float(rng.random()) ** 2
            if taken.claim(
                (x, side * (curb_y + across)), size, yaw := float(rng.uniform(-np.pi, np.pi)), 0.1
            ):
                builder.place(obj, (x, side * (curb_y + across), CURB), yaw)
                return
    raise InputError("no room for so many", field="assemblies", fix="ask for fewer")


def _ground(
    builder: WorldBuilder, rng: np.random.Generator, start: float, end: float, curb_y: float, walk: float
) -> None:
    gray = float(rng.uniform(0.30, 0.40))
    slab = float(rng.uniform(0.58, 0.70))
    paints = {
        "asphalt": Paint((gray, gray, gray), (gray * 0.85, gray * 0.85, gray * 0.87), GROUND, 0.8, 0.05),
        "slabs": Paint((slab, slab * 0.98, slab * 0.95), (slab * 0.75,) * 3, TILES, 0.8, 0.0),
        "curb": Paint((0.68, 0.68, 0.66), gloss=0.0),
        "grass": Paint((0.34, 0.46, 0.22), (0.42, 0.52, 0.27), GROUND, 1.0, 0.0),
        "line": Paint((0.92, 0.92, 0.88), gloss=0.1),
        "roof": Paint((0.35, 0.30, 0.30), gloss=0.0),
    }
    p = Parts()
    length, middle = end - start + 80, (start + end) / 2
    p.box((length, 2 * curb_y, 0.1), (middle, 0, -0.1), "asphalt")
    for side in (1, -1):
        p.box((length, walk, CURB + 0.1), (middle, side * (curb_y + walk / 2), -0.1), "slabs")
        p.box((length, 0.16, CURB + 0.105), (middle, side * (curb_y + 0.08), -0.1), "curb")
        p.box((length, 60, 0.1), (middle, side * (curb_y + walk + 30), -0.02), "grass")
        p.box((length, 0.12, 0.004), (middle, side * LANE, 0), "line")
    for x in np.arange(start - 30, end + 30, 6.0):
        p.box((2.8, 0.12, 0.004), (x, 0, 0), "line")
    for side in (1, -1):
        x = start - 30.0
        while x < end + 30:
            width = float(rng.uniform(9, 20))
            if rng.random() < 0.86:  # otherwise a gap with grass
                name = f"house{len(paints)}"
                wall = _WALLS[rng.integers(len(_WALLS))]
                wall = tone(wall, float(rng.uniform(0.85, 1.0)))
                brick = rng.random() < 0.4
                stories, depth = int(rng.integers(2, 6)), float(rng.uniform(8, 12))
                setback = float(rng.uniform(0.1, 2.0)) if rng.random() < 0.4 else 0.1
                y = side * (curb_y + walk + setback + depth / 2)
                paints[name] = Paint(wall, (0.22, 0.27, 0.33), WINDOWS, 1.0, 0.1)
                paints[name + "top"] = (
                    Paint(tone(wall, 0.9), (0.75, 0.72, 0.68), BRICK, 0.6, 0.0)
                    if brick
                    else Paint(tone(wall, 0.8))
                )
                p.box((width - 0.02, depth, 3.0 * stories), (x + width / 2, y, 0.05), name)
                p.box((width, depth + 0.3, 0.7), (x + width / 2, y, 3.0 * stories), name + "top")
                if rng.random() < 0.5:
                    p.box(
                        (width, depth, 2.2), (x + width / 2, y, 3.0 * stories + 0.7), "roof", taper=(1, 0.1)
                    )
            x += width
    builder.scenery(p, paints)
