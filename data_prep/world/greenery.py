"""Categories beside the road: trees of many shapes, and the hedges, fences, walls and facades of the background."""

from __future__ import annotations

import numpy as np

from data_prep.world.category import category
from data_prep.world.solids import Parts

Rng = np.random.Generator
_WALLS = "white, white, grey, grey, brown, yellow, orange"
_GREEN = "green, green, green, yellow, orange, brown"


def _crown(p: Parts, rng: Rng, center: tuple, size: tuple, leaves: int, cone: float = 0.0) -> None:
    """Tufts of leaves within an ellipsoid, or a cone that narrows upwards by ``cone``: a LiDAR sees between them."""
    for _ in range(leaves):
        spot = rng.normal(size=3)
        spot *= rng.uniform(0.55, 1.0) / np.linalg.norm(spot)
        narrow = 1 - cone * (spot[2] + 1) / 2
        at = [
            c + s / 2 * v * (narrow if k < 2 else 1)
            for k, (c, s, v) in enumerate(zip(center, size, spot, strict=True))
        ]
        tuft = rng.uniform(0.16, 0.34) * min(size[0], 3.2) * max(narrow, 0.45)
        p.blob((tuft, tuft, tuft * rng.uniform(0.6, 1.0)), at, sections=6)


def _branches(p: Parts, rng: Rng, foot: tuple, count: int, reach: float, rise: float, thick: float) -> None:
    for k in range(count):
        angle, lift = 2 * np.pi * (k + rng.uniform(-0.3, 0.3)) / count, rise * rng.uniform(0.6, 1.1)
        far = reach * rng.uniform(0.6, 1.0)
        middle = (
            foot[0] + far * 0.4 * np.cos(angle),
            foot[1] + far * 0.4 * np.sin(angle),
            foot[2] + lift * 0.6,
        )
        end = (foot[0] + far * np.cos(angle), foot[1] + far * np.sin(angle), foot[2] + lift)
        p.tube([foot, middle, end], thick, "bark", sections=5)
        for _ in range(3):
            twig = rng.normal(size=3) * (0.35 * reach, 0.35 * reach, 0.2 * rise)
            p.rod(
                middle,
                np.add(middle, np.abs(twig) * np.sign([np.cos(angle), np.sin(angle), 1])),
                thick * 0.5,
                "bark",
                sections=4,
            )


@category(
    "tree",
    (4.2, 12.5),
    "broadleaf tree, deciduous tree",
    like="lamppost",
    of="leaves",
    colors=_GREEN,
    label="tree",
)
def round_tree(p: Parts, rng: Rng) -> None:
    height, wide, trunk = rng.uniform(5, 10), rng.uniform(2.5, 6), rng.uniform(1.6, 2.8)
    p.cylinder(rng.uniform(0.12, 0.28), trunk + 1.2, paint="bark", top=0.1, sections=8)
    _branches(p, rng, (0, 0, trunk), 4, wide * 0.35, (height - trunk) * 0.5, 0.06)
    _crown(p, rng, (0, 0, (height + trunk) / 2), (wide, wide, height - trunk), int(rng.integers(40, 80)))
    p.has("a round crown")


@category("tree", (2.8, 12.0), "conifer, fir", like="traffic cone", of="leaves", colors="green", label="tree")
def conical_tree(p: Parts, rng: Rng) -> None:
    height, wide = rng.uniform(3.2, 10), rng.uniform(1.2, 3.4)
    p.cylinder(0.14, height * 0.8, paint="bark", top=0.04, sections=8)
    low = rng.uniform(0.1, 0.8)
    _crown(p, rng, (0, 0, (height + low) / 2), (wide, wide, height - low), int(rng.integers(50, 80)), 0.92)
    p.has("needles")


@category(
    "tree", (3.0, 8.5), "clump tree, birch clump", like="lamppost", of="leaves", colors=_GREEN, label="tree"
)
def many_stemmed_tree(p: Parts, rng: Rng) -> None:
    stems, height = int(rng.integers(2, 6)), rng.uniform(3.5, 7)
    for k in range(stems):
        angle, far = 2 * np.pi * k / stems, rng.uniform(0.3, 1.2)
        top = (far * np.cos(angle), far * np.sin(angle), height * rng.uniform(0.55, 0.75))
        p.tube(
            [(0.12 * np.cos(angle), 0.12 * np.sin(angle), 0), top], rng.uniform(0.05, 0.1), "bark", sections=6
        )
        wide = rng.uniform(1.2, 2.4)
        _crown(p, rng, top, (wide, wide, height * 0.5), int(rng.integers(12, 24)))
    p.has("several stems")


@category("tree", (3.5, 10.5), "leafless tree, winter tree", like="lamppost", of="leaves", label="tree")
def bare_tree(p: Parts, rng: Rng) -> None:
    height, trunk = rng.uniform(4.2, 8.5), rng.uniform(1.4, 2.6)
    p.cylinder(rng.uniform(0.1, 0.24), trunk + 0.6, paint="bark", top=0.08, sections=8)
    _branches(p, rng, (0, 0, trunk), int(rng.integers(5, 9)), rng.uniform(1.0, 2.4), height - trunk, 0.05)
    _branches(p, rng, (0, 0, trunk + 0.5), 5, rng.uniform(0.6, 1.4), (height - trunk) * 0.8, 0.035)
    p.blob((0.3, 0.3, 0.3), (0, 0, trunk + 0.4), sections=6)
    p.has("bare branches")


@category(
    "tree", (3.2, 9.0), "willow, weeping tree", like="lamppost", of="leaves", colors=_GREEN, label="tree"
)
def hanging_tree(p: Parts, rng: Rng) -> None:
    height, wide = rng.uniform(4, 7), rng.uniform(2.6, 5.5)
    low = rng.uniform(0.1, 1.0)
    p.cylinder(rng.uniform(0.12, 0.22), height * 0.6, paint="bark", top=0.1, sections=8)
    _crown(p, rng, (0, 0, (height + low) / 2), (wide, wide, height - low), int(rng.integers(60, 90)))
    p.has("branches down to the ground")


@category(
    "tree", (6.0, 13.5), "avenue tree, plane tree", like="lamppost", of="leaves", colors=_GREEN, label="tree"
)
def avenue_tree(p: Parts, rng: Rng) -> None:
    """Its crown is above the traffic: a LiDAR nearby sees the trunk only."""
    height, wide, trunk = rng.uniform(7, 11), rng.uniform(3, 6), rng.uniform(2.8, 4.5)
    p.cylinder(rng.uniform(0.12, 0.36), trunk + 1.2, paint="bark", top=0.1, sections=10)
    _branches(p, rng, (0, 0, trunk), 4, wide * 0.3, (height - trunk) * 0.5, 0.07)
    _crown(p, rng, (0, 0, (height + trunk) / 2), (wide, wide, height - trunk), int(rng.integers(40, 70)))
    p.has("a high crown")


@category("tree", (4.5, 10.5), "light pole, street light mast", like="tree", of="metal", label="lamppost")
def lamp_mast(p: Parts, rng: Rng) -> None:
    """Thicker and taller than the bundled models' lamppost: a LiDAR nearby sees the mast only."""
    height, thick = rng.uniform(5, 10), rng.uniform(0.07, 0.2)
    p.cylinder(thick, height, top=thick * rng.uniform(0.5, 1.0), sections=12)
    if rng.random() < 0.4:
        p.cylinder(thick * 1.5, rng.uniform(0.4, 1.2), sections=12)
    reach = rng.uniform(0.2, 1.6)
    p.rod((0, 0, height - 0.1), (reach, 0, height), 0.05)
    p.blob((0.7, 0.28, 0.16), (reach, 0, height - 0.05), "lamp", power=0.6, sections=8)
    p.has("one arm")


@category("background", (1.6, 9.5), "shrubbery, privet", of="leaves", colors=_GREEN)
def hedge(p: Parts, rng: Rng) -> None:
    length, thick, tall = rng.uniform(2.0, 8.0), rng.uniform(0.5, 1.4), rng.uniform(0.7, 2.2)
    uneven = rng.uniform(0.02, 0.2)
    p.box((length, thick * 0.7, tall * 0.8), paint="leaf")
    for k in range(steps := int(length / 0.55) + 1):
        x = (k + 0.5) * length / steps - length / 2
        for _ in range(2):
            size = (0.95, thick * rng.uniform(0.8, 1.0), tall * rng.uniform(0.6, 1.0))
            at = (x + rng.normal(0, 0.1), rng.normal(0, uneven), (tall - size[2]) * rng.random())
            p.blob(size, at, power=0.6, sections=7)
    p.has("a trimmed top" if uneven < 0.08 else "a wild top")


@category("background", (0.6, 4.8), "shrub, undergrowth", of="leaves", colors=_GREEN)
def bush(p: Parts, rng: Rng) -> None:
    for _ in range(int(rng.integers(1, 4))):
        wide, tall = rng.uniform(0.7, 2.4), rng.uniform(0.5, 2.4)
        at = (rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8), tall * 0.45)
        p.blob((wide * 0.6, wide * 0.6, tall * 0.7), (at[0], at[1], 0), "leaf", sections=8)
        _crown(p, rng, at, (wide, wide, tall), int(rng.integers(18, 40)))
    p.has("many leaves")


@category("background", (1.5, 6.0), "railing, garden fence", of="wood, metal")
def fence(p: Parts, rng: Rng) -> None:
    length, tall = rng.uniform(2.0, 5.0), rng.uniform(0.8, 2.0)
    closed = rng.random() < 0.35
    for y in np.linspace(-0.5, 0.5, int(length / 1.8) + 2):
        p.rod((y * length, 0, 0), (y * length, 0, tall + 0.05), 0.05, sections=4)
    for z in (0.2 * tall, 0.85 * tall):
        p.box((length, 0.05, 0.07), (0, 0, z))
    for x in np.arange(-length / 2 + 0.06, length / 2, 0.13 if closed else rng.uniform(0.16, 0.3)):
        p.box((0.125 if closed else 0.06, 0.025, tall * 0.92), (x, 0.03, 0.06))
    p.has("closed boards" if closed else "open bars")


@category("background", (1.5, 7.5), "garden wall, brick wall", of="ceramic", colors=_WALLS)
def wall(p: Parts, rng: Rng) -> None:
    length, tall, thick = rng.uniform(2.0, 6.0), rng.uniform(0.5, 2.2), rng.uniform(0.2, 0.4)
    p.box((length, thick, tall))
    p.box((length, thick + 0.08, 0.08), (0, 0, tall), "light")
    for side in (1, -1)[: int(rng.integers(0, 3))]:
        p.box((0.45, 0.45, tall + 0.25), (side * (length / 2 - 0.23), 0, 0), "second")
    p.has("a cap of stone")


@category("background", (3.5, 17.0), "facade, house front", of="ceramic", colors=_WALLS)
def building(p: Parts, rng: Rng) -> None:
    """One bay of a street front with its windows, doors, sills and steps."""
    wide, stories, deep = rng.uniform(3.5, 8.0), int(rng.integers(1, 5)), 4.0
    tall = 3.0 * stories + rng.uniform(0.2, 0.8)
    p.box((wide, deep, tall), (0, -deep / 2, 0))
    bays = max(int(wide / rng.uniform(1.6, 2.6)), 1)
    for floor in range(stories):
        for k in range(bays):
            x, z = (k + 0.5) * wide / bays - wide / 2, 3.0 * floor + 0.9
            door = floor == 0 and k == bays // 2
            p.box(
                (1.05, 0.05, 2.0 if door else 1.4), (x, 0.0, 0.05 if door else z), "wood" if door else "glass"
            )
            p.box((1.25, 0.16, 0.07), (x, 0.05, 2.1 if door else z - 0.08), "light")
            if floor and rng.random() < 0.08:
                p.box((1.6, 0.9, 0.12), (x, 0.45, z - 0.9), "light")
                p.box((1.6, 0.05, 0.9), (x, 0.88, z - 0.8), "steel")
            if door:
                p.box((1.4, 0.7, 0.16), (x, 0.3, 0), "light")
    p.box((wide, 0.3, 0.25), (0, 0.05, tall), "second")
    if rng.random() < 0.5:
        p.box((wide, deep, 2.0), (0, -deep / 2, tall + 0.25), "dark", taper=(1, 0.2))
    p.has("a row of windows")
