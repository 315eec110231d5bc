"""Categories: luggage, tools, toys, instruments and electronics."""

from __future__ import annotations

import numpy as np

from data_prep.world.category import category
from data_prep.world.solids import CORNERS, Parts, path

Rng = np.random.Generator


@category("floor", (0.42, 1.5), "luggage, travel case", like="backpack, box", of="plastic, leather, fabric")
def suitcase(p: Parts, rng: Rng) -> None:
    height, width, depth = rng.uniform(0.55, 0.7), rng.uniform(0.38, 0.46), rng.uniform(0.22, 0.27)
    p.blob((depth, width, height), (0, 0, 0.05), power=0.25)
    for k in range(4):
        y = (k - 1.5) * width * 0.22
        p.box((depth * 1.01, 0.014, height * 0.72), (0, y, 0.05 + height * 0.14), "second")
    for sx, sy in CORNERS:
        p.disc(0.03, 0.03, (sx * depth * 0.3, sy * width * 0.38, 0.03), "y", "rubber", sections=10)
    pull = rng.uniform(0.2, 0.4) if rng.random() < 0.7 else 0.05
    x = -depth * 0.3
    ys, zs = (-0.1, -0.1, 0.1, 0.1), (height, height + pull, height + pull, height)
    p.tube(path(x, ys, zs), 0.011, "dark")
    p.has("wheels")
    if pull > 0.1:
        p.has("a pulled out handle")


@category(
    "floor",
    (0.3, 0.85),
    "rucksack, knapsack",
    like="suitcase",
    of="fabric",
    patterns="plain, plain, checkered, dotted",
)
def backpack(p: Parts, rng: Rng) -> None:
    height, width, depth = rng.uniform(0.42, 0.52), rng.uniform(0.28, 0.33), rng.uniform(0.17, 0.22)
    p.blob((depth, width, height), power=0.5)
    p.blob((depth * 0.6, width * 0.76, height * 0.42), (depth * 0.42, 0, height * 0.06), "second", power=0.4)
    p.box((0.012, width * 0.5, 0.012), (depth * 0.72, 0, height * 0.38), "metal")
    ys, zs = (-0.04, -0.035, 0.035, 0.04), (height * 0.97, height + 0.05, height + 0.05, height * 0.97)
    p.tube(path(0, ys, zs), 0.01, "dark")
    for side in (1, -1):
        y = side * width * 0.26
        xs = (-depth * 0.35, -depth * 0.75, -depth * 0.85, -depth * 0.5)
        ys = (y, y, y, y * 1.3)
        zs = (height * 0.93, height * 0.75, height * 0.45, height * 0.1)
        p.tube(path(xs, ys, zs), 0.02, "dark", sections=6)
        if rng.random() < 0.5:
            size = (depth * 0.5, 0.06, height * 0.35)
            p.blob(size, (0, side * width * 0.5, 0.02), "second", power=0.5, sections=8)
    p.has("two straps")


@category("floor", (0.2, 0.65), "pail", like="basket, pot", of="plastic, metal")
def bucket(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.25, 0.32), rng.uniform(0.13, 0.16)
    foot = radius * rng.uniform(0.68, 0.8)
    p.lathe(
        [(0, 0), (foot, 0), (radius, height), (radius * 0.96, height), (foot * 0.95, 0.01), (0, 0.01)],
        sections=24,
    )
    p.ring(radius, 0.009, (0, 0, height), sections=6)
    angle = np.linspace(0, np.pi, 11)
    if rng.random() < 0.5:
        p.tube(
            [(0.02 * np.sin(a), radius * np.cos(a), height + radius * np.sin(a)) for a in angle],
            0.006,
            "metal",
        )
        p.has("a raised handle")
    else:
        p.tube(
            [
                ((radius + 0.02) * np.sin(a), (radius + 0.012) * np.cos(a), height - 0.03 + 0.02 * np.sin(a))
                for a in angle
            ],
            0.006,
            "metal",
        )
        p.has("a lowered handle")


@category("floor", (0.28, 0.85), "wicker basket, hamper", like="bucket, box", of="wicker")
def basket(p: Parts, rng: Rng) -> None:
    height, length = rng.uniform(0.18, 0.26), rng.uniform(0.38, 0.48)
    squash = rng.uniform(0.65, 1.0)
    foot = length * 0.4
    radii = (0, foot, length / 2, length / 2 - 0.015, foot - 0.01, 0)
    heights = (0, 0, height, height, 0.012, 0.012)
    p.lathe(zip(radii, heights, strict=True), squash=squash, sections=24)
    for t in (0.3, 0.65, 1.0):
        r = foot + (length / 2 - foot) * t
        circle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        p.tube(
            [(r * np.cos(a), squash * r * np.sin(a), t * height) for a in circle],
            0.013,
            "second",
            closed=True,
            sections=6,
        )
    if rng.random() < 0.6:
        angle = np.linspace(0, np.pi, 11)
        p.tube([(length / 2 * np.cos(a), 0, height + 0.24 * np.sin(a)) for a in angle], 0.014, "second")
        p.has("an arched handle")
    else:
        p.blob((length * 0.8, length * 0.8 * squash, 0.16), (0, 0, height - 0.1), "sheet", power=0.8)
        p.has("laundry")


@category(
    "floor",
    (0.4, 1.15),
    "carton, cardboard box",
    like="suitcase, basket",
    of="paper",
    patterns="plain, plain, dotted",
)
def box(p: Parts, rng: Rng) -> None:
    x, y, z = rng.uniform(0.3, 0.42), rng.uniform(0.32, 0.5), rng.uniform(0.24, 0.36)
    wall = 0.008
    p.box((x, y, wall))
    for side in (1, -1):
        p.box((wall, y, z), (side * x / 2, 0, 0))
        p.box((x, wall, z), (0, side * y / 2, 0))
        # Flaps stand open at their own angles.
        p.box((wall, y * 0.98, x * 0.45), (side * x / 2, 0, z), turn=(0, side * rng.uniform(0.5, 1.9), 0))
        p.box((x * 0.98, wall, y * 0.35), (0, side * y / 2, z), turn=(-side * rng.uniform(0.5, 1.9), 0, 0))
        p.box((0.003, 0.05, z), (side * (x / 2 + wall / 2), 0, 0), "cord")
    if rng.random() < 0.5:
        for _ in range(3):
            at = rng.uniform(-0.3, 0.3, 2)
            size, foot = (0.16, 0.16, 0.2), (at[0] * x, at[1] * y, z * 0.35)
            p.blob(size, foot, ("picture", "taillight", "paper")[rng.integers(3)], power=0.6, sections=8)
        p.has("things inside")
    p.has("open flaps")


@category("floor", (0.4, 0.95), "sprinkling can", like="bucket, teapot", of="metal, plastic")
def watering_can(p: Parts, rng: Rng) -> None:
    radius, height = rng.uniform(0.1, 0.125), rng.uniform(0.2, 0.26)
    p.cylinder(radius, height, sections=22)
    p.lathe([(radius, 0), (radius * 0.8, 0.03), (radius * 0.45, 0.03)], (0, 0, height), sections=22)
    end = (radius + 0.24, 0.0, height * rng.uniform(1.05, 1.3))
    p.tube([(radius * 0.8, 0, height * 0.2), (radius + 0.12, 0, height * 0.62), end], 0.018)
    p.cylinder(0.02, 0.05, (end[0] - 0.01, 0, end[2] - 0.005), "second", top=0.055, turn=(0, 0.9, 0))
    xs = (radius * 0.2, -radius * 0.2, -radius * 1.1, -radius - 0.09, -radius * 0.95)
    zs = (height + 0.02, height + 0.13, height + 0.1, height * 0.6, height * 0.3)
    p.tube(path(xs, 0, zs), 0.013, "second")
    p.has("a long spout")
    p.has("a handle")


@category("floor", (0.65, 1.45), "acoustic guitar", like="umbrella", of="lacquer")
def guitar(p: Parts, rng: Rng) -> None:
    body, lean = rng.uniform(0.46, 0.5), -0.22
    thick, lower, upper = rng.uniform(0.08, 0.1), rng.uniform(0.36, 0.4), rng.uniform(0.27, 0.3)
    # Built upright, a little tilted back on a stand of two rods.
    tilt = np.sin(-lean)

    def back(z: float) -> float:
        return -z * tilt

    p.disc(lower / 2, thick, (back(0.24), 0, lower / 2 + 0.04), "x", "main", sections=24)
    p.disc(upper / 2, thick, (back(0.46), 0, 0.04 + body - upper / 2), "x", "main", sections=24)
    p.box((thick, lower * 0.62, body * 0.4), (back(0.3), 0, body * 0.42))
    x = thick / 2
    p.disc(0.05, 0.01, (back(0.33) + x, 0, body * 0.64), "x", "dark", sections=18)
    p.box((0.02, 0.14, 0.02), (back(0.15) + x, 0, 0.15), "dark")
    p.rod((back(0.42) + x, 0, 0.42), (back(1.0) + x, 0, 0.92), 0.026, "wood", sections=4)
    p.box((0.03, 0.08, 0.15), (back(1.0) + x, 0, 0.91), "dark", turn=(0, -0.25, 0))
    for side in (1, -1):
        for k in range(3):
            start = (back(1.0) + x, side * 0.03, 0.94 + 0.035 * k)
            p.rod(start, (back(1.0) + x, side * 0.065, 0.94 + 0.035 * k), 0.006, "metal", sections=6)
    for side in (1, -1):
        p.rod((x + 0.06, side * 0.12, 0), (back(0.7) - 0.02, side * 0.02, 0.6), 0.01, "dark")
    p.rod((-0.32, 0, 0), (back(0.7) - 0.02, 0, 0.6), 0.01, "dark")
    p.has("a long neck")
    p.has("a sound hole")


@category("floor", (0.95, 2.5), "stepladder, step ladder", like="stool, easel", of="metal, wood")
def ladder(p: Parts, rng: Rng) -> None:
    height, width, splay = rng.uniform(1.3, 1.8), rng.uniform(0.4, 0.5), rng.uniform(0.32, 0.42)
    for side in (1, -1):
        p.rod((splay, side * width / 2, 0), (0.03, side * width * 0.36, height), 0.028, sections=4)
        p.rod((-splay, side * width / 2, 0), (-0.03, side * width * 0.36, height), 0.024, sections=4)
    steps = int(rng.integers(4, 7))
    for k in range(steps):
        t = (k + 1) / (steps + 0.6)
        half = width / 2 * (1 - 0.28 * t)
        p.box((0.1, 2 * half, 0.03), (splay * (1 - t) + 0.03 * t, 0, t * height))
    for t in (0.25, 0.7):
        half = width / 2 * (1 - 0.28 * t)
        p.rod((-splay * (1 - t), -half, t * height), (-splay * (1 - t), half, t * height), 0.015)
    p.box((0.2, width * 0.78, 0.04), (0, 0, height - 0.02))
    p.has(f"{('four', 'five', 'six')[steps - 4]} steps")


@category("floor", (0.6, 1.5), "parasol, brolly", like="lamp", of="fabric", patterns="plain, striped, dotted")
def umbrella(p: Parts, rng: Rng) -> None:
    radius, ribs = rng.uniform(0.42, 0.52), 8
    # Lying open on its rim with the handle up in the air would hide it: it stands on its handle, slightly tilted.
    arc = np.linspace(0, 1, 6)
    profile = [
        (
            radius * np.sin(t * np.pi / 2.3),
            0.82 - 0.26 * (1 - np.cos(t * np.pi / 2.3)) / (1 - np.cos(np.pi / 2.3)),
        )
        for t in arc
    ]
    p.lathe([(float(r), float(z)) for r, z in profile[::-1]], sections=ribs * 2)
    for k in range(ribs):
        angle = 2 * np.pi * k / ribs
        end = (0.75 * radius * np.cos(angle), 0.75 * radius * np.sin(angle), 0.66)
        p.rod((0, 0, 0.6), end, 0.004, "metal", sections=4)
    p.rod((0, 0, 0.08), (0, 0, 0.86), 0.009, "metal")
    hook = np.linspace(0, np.pi, 7)
    p.tube([(0.04 - 0.04 * np.cos(a), 0, 0.08 - 0.06 * np.sin(a)) for a in hook], 0.013, "wood")
    p.has("a curved handle")


@category(
    "table", (0.26, 0.72), "terrestrial globe, world globe", like="soccer ball, alarm clock", of="leaves"
)
def globe(p: Parts, rng: Rng) -> None:
    radius = rng.uniform(0.13, 0.17)
    z, stand = radius + 0.1, "gold" if rng.random() < 0.5 else "wood"
    p.cylinder(radius * 0.62, 0.025, paint=stand, top=radius * 0.5, sections=24)
    p.cylinder(0.016, 0.09, paint=stand)
    p.blob((2 * radius, 2 * radius, 2 * radius), (0, 0, z - radius), sections=24)
    tilt = 0.41
    arc = np.linspace(-np.pi / 2, np.pi / 2, 13) - tilt
    p.tube(
        [((radius + 0.018) * np.cos(a), 0, z + (radius + 0.018) * np.sin(a)) for a in arc + np.pi],
        0.009,
        stand,
    )
    for sign in (1, -1):
        end = (-sign * np.sin(tilt), 0, sign * np.cos(tilt))
        size = (0.03, 0.03, 0.03)
        p.blob(size, (end[0] * (radius + 0.01), 0, z + end[2] * (radius + 0.01) - 0.015), stand, sections=8)
    p.has("a stand")


@category(
    "table",
    (0.16, 0.55),
    "novel, hardback book",
    like="laptop, box",
    of="paper, leather",
    patterns="plain, plain, striped",
)
def book(p: Parts, rng: Rng) -> None:
    height, width = rng.uniform(0.22, 0.3), rng.uniform(0.15, 0.2)
    if rng.random() < 0.4:  # lying open
        for side in (1, -1):
            p.box((height, width, 0.006), (0, side * width / 2, 0), turn=(side * 0.06, 0, 0))
            p.blob((height * 0.95, width * 0.95, 0.035), (0, side * width * 0.5, 0.004), "paper", power=0.4)
            for k in range(6):
                size = (0.006, width * 0.66, 0.001)
                p.box(size, ((k - 2.5) * height * 0.13, side * width * 0.5, 0.0395), "dark")
        p.has("open pages")
        return
    count = int(rng.integers(1, 4))
    z = 0.0
    for k in range(count):
        thick, turn = rng.uniform(0.025, 0.05), rng.normal(0, 0.25)
        cover = "main" if k != 1 else "second"
        c, s = np.cos(turn), np.sin(turn)
        p.box((height, width, 0.004), (0, 0, z), cover, turn=(0, 0, turn))
        size = (height * 0.96, width * 0.97, thick - 0.006)
        p.box(size, (0.003 * s, -0.003 * c, z + 0.003), "paper", turn=(0, 0, turn))
        p.box((height, width, 0.004), (0, 0, z + thick - 0.004), cover, turn=(0, 0, turn))
        p.box((height, 0.005, thick), (-s * width / 2, c * width / 2, z), cover, turn=(0, 0, turn))
        z += thick
    p.has("a stack of books" if count > 1 else "a closed cover")


@category("floor", (1.0, 2.4), "painter's easel, art stand", like="ladder", of="wood, lacquer")
def easel(p: Parts, rng: Rng) -> None:
    height, spread = rng.uniform(1.4, 1.75), rng.uniform(0.26, 0.34)
    for side in (1, -1):
        p.rod((0.22, side * spread, 0), (0, side * 0.05, height), 0.025, sections=4)
    p.rod((-0.42, 0, 0), (0, 0, height * 0.95), 0.022, sections=4)
    z = height * 0.42
    x = 0.22 * (1 - z / height) + 0.02
    p.box((0.08, 0.62, 0.035), (x + 0.02, 0, z))
    wide, tall = rng.uniform(0.5, 0.7), rng.uniform(0.45, 0.65)
    lean = -float(np.arctan(0.22 / height))
    p.box((0.025, wide, tall), (x + 0.015, 0, z + 0.03), "face", turn=(0, lean, 0))
    for _ in range(3):
        y, dz = rng.uniform(-0.3, 0.3) * wide, rng.uniform(0.1, 0.6) * tall
        paint = ("taillight", "picture", "leaf", "amber")[rng.integers(4)]
        size = (0.03, wide * 0.25, tall * 0.28)
        p.box(size, (x + 0.016 + np.sin(lean) * dz, y, z + 0.03 + dz), paint, turn=(0, lean, 0))
    p.has("a painting")
    p.has("three legs")


@category("floor", (0.36, 0.95), "stuffed bear, plush toy", like="pedestrian, backpack", of="fabric")
def teddy_bear(p: Parts, rng: Rng) -> None:
    s = rng.uniform(0.9, 1.1)
    p.blob((0.2 * s, 0.24 * s, 0.26 * s))
    p.blob((0.1, 0.15, 0.16), (0.07 * s, 0, 0.04), "paper")
    z = 0.22 * s
    p.blob((0.19 * s, 0.21 * s, 0.19 * s), (0.01, 0, z))
    p.blob((0.08, 0.09, 0.07), (0.09 * s, 0, z + 0.03), "paper", sections=10)
    p.blob((0.03, 0.035, 0.025), (0.13 * s, 0, z + 0.065), "dark", sections=8)
    for side in (1, -1):
        p.blob((0.05, 0.08, 0.08), (-0.01, side * 0.085 * s, z + 0.13 * s), sections=10)
        p.blob((0.03, 0.03, 0.03), (0.085 * s, side * 0.045, z + 0.1 * s), "dark", sections=8)
        at = (0.04, side * 0.13 * s, 0.14 * s)
        p.blob((0.1, 0.09, 0.22 * s), at, sections=10, turn=(-side * rng.uniform(1.9, 2.5), 0, 0))
        p.blob((0.2 * s, 0.1, 0.1), (0.13 * s, side * 0.09 * s, 0), sections=10, turn=(0, 0, side * 0.35))
        size = (0.03, 0.08, 0.08)
        p.blob(size, (0.22 * s, side * 0.125 * s, 0.01), "paper", sections=10, turn=(0, 0, side * 0.35))
    if rng.random() < 0.5:
        p.box((0.03, 0.1, 0.04), (0.09 * s, 0, z + 0.0), "taillight", taper=(1, 0.5))
        p.has("a bow")
    p.has("two round ears")


@category(
    "floor",
    (0.14, 0.34),
    "football, ball",
    like="globe",
    of="leather",
    colors="white, red, orange, yellow, green, blue, purple, pink",
)
def soccer_ball(p: Parts, rng: Rng) -> None:
    radius = rng.uniform(0.105, 0.115)
    p.blob((2 * radius, 2 * radius, 2 * radius), sections=22)
    golden = (1 + 5**0.5) / 2
    corners = [v for a in (1, -1) for b in (golden, -golden) for v in ((0, a, b), (a, b, 0), (b, 0, a))]
    spin = rng.uniform(0, 2 * np.pi)
    for corner in corners:  # twelve dark pentagons on the corners of an icosahedron
        x, y, z = np.array(corner) / np.hypot(1, golden)
        x, y = x * np.cos(spin) - y * np.sin(spin), x * np.sin(spin) + y * np.cos(spin)
        center = np.array([x, y, z]) * radius * 0.94 + (0, 0, radius)
        pitch, yaw = np.arccos(np.clip(z, -1, 1)), np.arctan2(y, x)
        radii = (radius * 0.36, radius * 0.3, 0)
        heights = (0, radius * 0.055, radius * 0.085)
        p.lathe(zip(radii, heights, strict=True), center.tolist(), "dark", sections=5, turn=(0, pitch, yaw))
    p.has("dark patches")


@category(
    "floor",
    (0.34, 1.0),
    "snare drum, bongo",
    like="stool, bucket",
    of="lacquer",
    patterns="plain, striped, checkered",
)
def drum(p: Parts, rng: Rng) -> None:
    radius, tall, leg = rng.uniform(0.2, 0.28), rng.uniform(0.2, 0.4), rng.uniform(0.15, 0.3)
    p.cylinder(radius, tall, (0, 0, leg), sections=26)
    for z in (leg + 0.01, leg + tall - 0.01):
        p.ring(radius + 0.004, 0.016, (0, 0, z), "metal")
    p.cylinder(radius * 0.97, 0.012, (0, 0, leg + tall), "face", sections=26)
    for k in range(8):
        angle = 2 * np.pi * k / 8
        c, s = (radius + 0.014) * np.cos(angle), (radius + 0.014) * np.sin(angle)
        p.rod((c, s, leg + 0.02), (c, s, leg + tall - 0.02), 0.006, "metal", sections=5)
    for k in range(3):
        angle = 2 * np.pi * k / 3
        c, s = np.cos(angle), np.sin(angle)
        start = (radius * 1.25 * c, radius * 1.25 * s, 0.0)
        p.rod(start, (radius * c, radius * s, leg + tall * 0.5), 0.012, "metal")
    for side in (1, -1):
        start = (-0.16, side * 0.05, leg + tall + 0.02)
        p.rod(start, (0.2, side * 0.12, leg + tall + 0.03), 0.008, "wood", sections=6)
    p.has("two sticks")
    p.has("three legs")


@category("floor", (0.5, 1.2), "longboard, skate board", like="frying pan", of="lacquer, wood")
def skateboard(p: Parts, rng: Rng) -> None:
    length, width, radius = rng.uniform(0.74, 0.84), rng.uniform(0.19, 0.23), rng.uniform(0.026, 0.034)
    z, flat = 2 * radius + 0.035, length * 0.62
    p.box((flat, width, 0.014), (0, 0, z))
    for side in (1, -1):
        end = length * 0.19
        p.box((0.014, width, end), (side * flat / 2, 0, z), taper=(1, 0.55), turn=(0, side * 1.25, 0))
        p.box((0.06, width * 0.5, 0.035), (side * flat * 0.36, 0, radius + 0.01), "metal")
        for y in (1, -1):
            p.disc(radius, 0.035, (side * flat * 0.36, y * width * 0.36, radius), "y", "amber", sections=14)
    p.has("four wheels")


@category("table", (0.45, 1.35), "tv, television set", like="laptop", of="plastic, lacquer")
def television(p: Parts, rng: Rng) -> None:
    width = rng.uniform(0.62, 0.98)
    tall, foot = width * 0.58, rng.uniform(0.06, 0.1)
    rim = 0.025
    if rng.random() < 0.3:  # a tube set
        depth = width * 0.55
        width, tall = width * 0.75, width * 0.58
        p.blob((0.12, width, tall), (depth / 2 - 0.06, 0, 0.02), power=0.2)
        size = (tall * 0.9, width * 0.88, depth * 0.9)
        p.box(size, (depth / 2 - 0.08, 0, tall / 2 + 0.02), taper=(0.55, 0.55), turn=(0, -np.pi / 2, 0))
        size = (0.03, width * 0.7, tall * 0.76)
        p.box(size, (depth / 2 - 0.005, -width * 0.06, 0.02 + tall * 0.13), "picture")
        for k in range(2):
            p.disc(0.02, 0.04, (depth / 2, width * 0.4, tall * (0.5 + 0.2 * k)), "x", "dark", sections=10)
        for side in (1, -1):
            p.rod((0, 0, tall), (-0.05, side * 0.22, tall + 0.26), 0.006, "metal", sections=5)
        p.has("an antenna")
        return
    p.box((0.035, width, tall), (0, 0, foot))
    size = (0.037, width - 2 * rim, tall - 2 * rim)
    p.box(size, (0.003, 0, foot + rim), "picture" if rng.random() < 0.6 else "screen")
    p.box((0.06, width * 0.6, tall * 0.5), (-0.03, 0, foot + tall * 0.12), "main")
    if rng.random() < 0.5:
        p.box((0.2, width * 0.36, 0.015), paint="main")
        p.box((0.03, 0.1, foot + 0.04), (-0.01, 0, 0), "dark")
        p.has("a stand")
    else:
        for side in (1, -1):
            for sx in (1, -1):
                p.rod((0, side * width * 0.36, foot + 0.02), (sx * 0.11, side * width * 0.4, 0), 0.01, "dark")
        p.has("two feet")
    p.has("a screen")


@category(
    "table", (0.22, 0.62), "laptop computer, notebook computer", like="television, book", of="metal, plastic"
)
def laptop(p: Parts, rng: Rng) -> None:
    width, open_by = rng.uniform(0.31, 0.38), rng.uniform(0.1, 0.55)
    depth = width * rng.uniform(0.64, 0.7)
    p.box((depth, width, 0.016))
    p.box((depth * 0.5, width * 0.9, 0.004), (-depth * 0.12, 0, 0.015), "dark")
    for k in range(4):
        p.box((depth * 0.09, width * 0.86, 0.004), (-depth * (0.32 - 0.125 * k), 0, 0.0165), "second")
    p.box((depth * 0.22, width * 0.3, 0.003), (depth * 0.32, 0, 0.015), "steel")
    hinge = (-depth / 2, 0, 0.012)
    p.box((0.009, width, depth), hinge, turn=(0, -open_by, 0))
    c, s = np.cos(open_by), np.sin(open_by)
    size, at = (0.006, width * 0.92, depth * 0.86), (hinge[0] + 0.006 - s * 0.014, 0, 0.012 + c * 0.014)
    p.box(size, at, "picture" if rng.random() < 0.7 else "screen", turn=(0, -open_by, 0))
    p.has("a keyboard")
    p.has("an open screen")


@category("floor", (0.7, 1.85), "electric fan, standing fan", like="lamp", of="plastic, metal")
def fan(p: Parts, rng: Rng) -> None:
    radius, height = rng.uniform(0.2, 0.26), rng.uniform(0.85, 1.15)
    p.cylinder(0.2, 0.04, top=0.17)
    p.cylinder(0.022, height, paint="dark", sections=10)
    p.blob((0.16, 0.15, 0.15), (-0.05, 0, height - 0.075))
    for x, scale in ((0.0, 0.72), (0.05, 1.0), (0.1, 0.72)):
        p.ring(radius * scale, 0.009, (x + 0.02, 0, height), turn=(0, np.pi / 2, 0), sections=6)
    for k in range(14):
        angle = 2 * np.pi * k / 14
        c, s = np.cos(angle) * radius, np.sin(angle) * radius
        xs = (0.13, 0.12, 0.07, 0.02)
        ys = (0.15 * c, 0.72 * c, c, 0.72 * c)
        zs = (height + 0.15 * s, height + 0.72 * s, height + s, height + 0.72 * s)
        p.tube(path(xs, ys, zs), 0.004, sections=4)
    blades = int(rng.integers(3, 6))
    for k in range(blades):
        angle = 2 * np.pi * k / blades
        size, at = (0.02, radius * 0.55, radius * 0.85), (0.06, 0, height)
        p.blob(size, at, "clear" if rng.random() < 0.3 else "second", sections=8, turn=(angle, 0, 0))
    p.disc(0.05, 0.06, (0.08, 0, height), "x", "main", sections=14)
    p.has(f"{('three', 'four', 'five')[blades - 3]} blades")


@category("table", (0.13, 0.32), "clock, bedside clock", like="globe, toaster", of="metal, lacquer")
def alarm_clock(p: Parts, rng: Rng) -> None:
    radius, depth = rng.uniform(0.06, 0.075), rng.uniform(0.045, 0.06)
    z = radius + 0.02
    p.disc(radius, depth, (0, 0, z), "x", "main", sections=28)
    p.disc(radius * 0.86, 0.006, (depth / 2, 0, z), "x", "face", sections=28)
    x = depth / 2 + 0.004
    for k in range(12):
        angle = np.pi * k / 6
        y, dz = radius * 0.74 * np.sin(angle), radius * 0.74 * np.cos(angle)
        p.disc(0.0045 if k % 3 else 0.007, 0.003, (x, y, z + dz), "x", "dark", sections=6)
    for length, thick in ((0.42, 0.004), (0.62, 0.003)):
        angle = rng.uniform(0, 2 * np.pi)
        end = (x + 0.002, radius * length * np.sin(angle), z + radius * length * np.cos(angle))
        p.rod((x + 0.002, 0, z), end, thick, "dark", sections=4)
    for side in (1, -1):
        at = (0, side * radius * 0.62, z + radius * 0.84)
        p.blob((0.045, 0.055, 0.04), at, "gold", sections=12, turn=(-side * 0.6, 0, 0))
        p.rod((0, side * radius * 0.5, 0.03), (0.0, side * radius * 0.72, 0), 0.008, "gold")
    ys, zs = (0.022, 0.018, -0.018, -0.022), (z + radius, z + radius + 0.045, z + radius + 0.045, z + radius)
    p.tube(path(0, ys, zs), 0.004, "dark")
    p.has("two bells")
