"""Categories: furniture, bathroom fixtures and lamps."""

from __future__ import annotations

import numpy as np

from data_prep.world.category import category
from data_prep.world.solids import CORNERS, Parts, path

Rng = np.random.Generator


@category("seat", (0.55, 1.7), "seat, side chair", like="armchair, stool", of="wood, plastic, fabric")
def chair(p: Parts, rng: Rng) -> None:
    seat, width, depth = rng.uniform(0.42, 0.48), rng.uniform(0.40, 0.52), rng.uniform(0.40, 0.50)
    back = rng.uniform(0.38, 0.58)
    thick = rng.uniform(0.03, 0.07)
    foot = rng.choice(["legs", "star", "sled", "pedestal"], p=[0.5, 0.25, 0.13, 0.12])
    if rng.random() < 0.5:
        p.blob((depth, width, thick * 1.3), (0, 0, seat - thick), power=0.3)
    else:
        p.box((depth, width, thick), (0, 0, seat - thick))
    _chair_foot(p, rng, foot, seat - thick, width, depth)
    lean, x = rng.uniform(0.06, 0.2), -depth / 2 + 0.02
    style = rng.choice(["panel", "slats", "ladder", "shell"])
    if style in ("panel", "shell"):
        gap = rng.uniform(0.0, 0.12)
        size = (0.035, width * rng.uniform(0.85, 1), back - gap)
        p.box(size, (x - lean * gap, 0, seat + gap), shift=(-lean * back, 0), taper=(1, rng.uniform(0.75, 1)))
        for side in (1, -1):
            start = (x, side * width * 0.3, seat - 0.02)
            p.rod(start, (x - lean * back * 0.5, side * width * 0.3, seat + back * 0.5), 0.014, "second")
    else:
        for side in (1, -1):
            start = (x, side * width * 0.46, seat - 0.02)
            p.rod(start, (x - lean * back, side * width * 0.46, seat + back), 0.018)
        bars = int(rng.integers(3, 6))
        for t in np.linspace(0, 1, bars):
            if style == "slats":
                y = (t - 0.5) * width * 0.8
                p.rod((x, y, seat), (x - lean * back, y, seat + back - 0.02), 0.012)
            else:
                z = back * (0.25 + 0.7 * t)
                p.box((0.02, width * 0.9, 0.06), (x - lean * z, 0, seat + z - 0.03))
        p.box((0.03, width, 0.07), (x - lean * back, 0, seat + back - 0.04))
        p.has("a slatted back")
    if rng.random() < 0.35:
        arm = rng.uniform(0.18, 0.25)
        for side in (1, -1):
            y = side * (width / 2 + 0.01)
            p.rod((x, y, seat + arm), (depth * 0.35, y, seat + arm), 0.022)
            p.rod((depth * 0.3, y, seat - 0.02), (depth * 0.3, y, seat + arm), 0.018)
        p.has("armrests")


def _chair_foot(p: Parts, rng: Rng, foot: str, height: float, width: float, depth: float) -> None:
    if foot == "legs":
        splay, radius = rng.uniform(0, 0.06), rng.uniform(0.014, 0.024)
        sections = int(rng.choice([4, 8]))
        for sx, sy in CORNERS:
            top = (sx * depth * 0.42, sy * width * 0.42, height)
            p.rod((top[0] + sx * splay, top[1] + sy * splay, 0), top, radius, sections=sections)
        p.has("four legs")
    elif foot == "star":
        arms = 5
        for k in range(arms):
            angle = 2 * np.pi * k / arms
            end = (0.28 * np.cos(angle), 0.28 * np.sin(angle))
            p.rod((0, 0, 0.1), (*end, 0.06), 0.018, "dark")
            p.blob((0.05, 0.05, 0.06), (*end, 0), "rubber", sections=8)
        p.cylinder(0.025, height - 0.08, (0, 0, 0.08), "metal")
        p.has("a star foot")
    elif foot == "sled":
        for side in (1, -1):
            y = side * width * 0.45
            loop = [
                (depth * 0.42, y, height),
                (depth * 0.45, y, 0.015),
                (-depth * 0.45, y, 0.015),
                (-depth * 0.42, y, height),
            ]
            p.tube(loop, 0.013, "metal")
        p.has("a sled base")
    else:
        p.cylinder(0.24, 0.025, paint="metal", top=0.2)
        p.cylinder(0.03, height, paint="metal")
        p.has("a round foot")


@category(
    "wall",
    (0.6, 1.6),
    "easy chair, lounge chair",
    like="sofa, chair",
    of="fabric, leather",
    patterns="plain, plain, striped, dotted, checkered",
)
def armchair(p: Parts, rng: Rng) -> None:
    _upholstered(p, rng, width=rng.uniform(0.55, 0.68), seats=1)


@category(
    "wall",
    (1.1, 3.2),
    "couch, settee",
    like="armchair, bed",
    of="fabric, leather",
    patterns="plain, plain, striped, dotted, checkered",
)
def sofa(p: Parts, rng: Rng) -> None:
    seats = int(rng.integers(2, 4))
    _upholstered(p, rng, width=seats * rng.uniform(0.58, 0.7), seats=seats)
    p.has("two seats" if seats == 2 else "three seats")


def _upholstered(p: Parts, rng: Rng, width: float, seats: int) -> None:
    depth, seat, back = rng.uniform(0.75, 0.92), rng.uniform(0.38, 0.44), rng.uniform(0.36, 0.5)
    arm, leg, soft = rng.uniform(0.12, 0.22), rng.uniform(0.05, 0.14), rng.uniform(0.2, 0.4)
    total = width + 2 * arm
    p.box((depth, total, seat - 0.12 - leg), (0, 0, leg))
    for k in range(seats):
        y = (k - (seats - 1) / 2) * width / seats
        p.blob((depth - 0.2, width / seats - 0.01, 0.18), (0.1, y, seat - 0.14), power=soft)
        size = (0.24, width / seats - 0.02, back)
        p.blob(size, (-depth / 2 + 0.24, y, seat - 0.03), power=soft, turn=(0, -0.15, 0))
    p.blob((0.2, total, seat + back - 0.12 - leg), (-depth / 2 + 0.1, 0, leg), power=0.25)
    rolled = rng.random() < 0.4
    for side in (1, -1):
        y = side * (width / 2 + arm / 2)
        height = seat + rng.uniform(0.14, 0.16) - leg
        p.blob((depth - 0.02, arm, height), (0, y, leg), power=0.2)
        if rolled:
            p.disc(arm * 0.62, depth - 0.06, (0.02, y, seat + 0.14), "x")
    for sx, sy in CORNERS:
        p.cylinder(
            0.022, leg + 0.01, (sx * (depth / 2 - 0.08), sy * (total / 2 - 0.08), 0), "wood", sections=8
        )
    p.has("armrests")
    if rolled:
        p.has("rolled arms")


@category("seat", (0.3, 1.15), "bar stool, footstool", like="chair, table", of="wood, plastic, metal")
def stool(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.45, 0.78), rng.uniform(0.16, 0.2)
    if rng.random() < 0.6:
        p.cylinder(radius, 0.05, (0, 0, height - 0.05))
    else:
        p.blob((2 * radius, 2 * radius, 0.11), (0, 0, height - 0.09), power=0.6)
    legs = int(rng.choice([3, 4, 4]))
    foot = radius * rng.uniform(1.0, 1.3)
    for k in range(legs):
        angle = 2 * np.pi * (k + 0.5) / legs
        c, s = np.cos(angle), np.sin(angle)
        p.rod((foot * c, foot * s, 0), (radius * 0.7 * c, radius * 0.7 * s, height - 0.04), 0.02)
    p.has("three legs" if legs == 3 else "four legs")
    if rng.random() < 0.6:
        p.ring(foot * 0.88, 0.01, (0, 0, height * 0.3), "metal")
        p.has("a foot ring")


@category(
    "wall",
    (1.3, 3.0),
    "bedstead, double bed",
    like="sofa",
    of="fabric",
    patterns="plain, striped, checkered, dotted",
)
def bed(p: Parts, rng: Rng) -> None:
    length, width = rng.uniform(1.9, 2.1), rng.choice([0.9, 1.2, 1.5, 1.7])
    frame, mattress = rng.uniform(0.2, 0.32), rng.uniform(0.16, 0.26)
    head = rng.uniform(0.35, 0.6)
    p.box((length, width, 0.12), (0, 0, frame - 0.12), "wood")
    for sx, sy in CORNERS:
        p.box((0.07, 0.07, frame), (sx * (length / 2 - 0.05), sy * (width / 2 - 0.05), 0), "wood")
    p.blob((length - 0.04, width - 0.02, mattress), (0, 0, frame), "sheet", power=0.15)
    cover = rng.uniform(0.62, 0.78) * length
    p.blob((cover, width + 0.06, mattress + 0.07), (length / 2 - cover / 2, 0, frame - 0.01), power=0.15)
    top = frame + mattress
    pillows = 1 if width < 1.3 else 2
    for k in range(pillows):
        y = (k - (pillows - 1) / 2) * width / 2
        size = (0.36, min(width / pillows, 0.75) * 0.85, 0.14)
        p.blob(size, (-length / 2 + 0.26, y, top - 0.02), "sheet", power=0.5)
    p.box((0.06, width + 0.04, top + head), (-length / 2, 0, 0), "wood" if rng.random() < 0.6 else "main")
    if rng.random() < 0.4:
        p.box((0.05, width + 0.02, top + 0.12), (length / 2, 0, 0), "wood")
        p.has("a footboard")
    p.has("one pillow" if pillows == 1 else "two pillows")


@category(
    "center", (0.6, 2.7), "dining table, kitchen table", like="desk, coffee table", of="wood, wood, plastic"
)
def table(p: Parts, rng: Rng) -> None:
    height, thick = rng.uniform(0.70, 0.77), rng.uniform(0.03, 0.06)
    if rng.random() < 0.4:
        radius = rng.uniform(0.42, 0.65)
        p.cylinder(radius, thick, (0, 0, height - thick), sections=28)
        p.cylinder(0.05, height - thick, paint="second")
        p.cylinder(radius * 0.6, 0.04, paint="second", top=radius * 0.5)
        p.has("a round top")
        p.top = (radius * 0.68, radius * 0.68, height)
        return
    length, width = rng.uniform(1.1, 1.8), rng.uniform(0.7, 0.95)
    p.box((width, length, thick), (0, 0, height - thick))
    leg = rng.uniform(0.05, 0.09)
    if rng.random() < 0.75:
        for sx, sy in CORNERS:
            p.box(
                (leg, leg, height - thick), (sx * (width / 2 - leg), sy * (length / 2 - leg), 0), taper=(1, 1)
            )
        p.has("four legs")
    else:
        for side in (1, -1):
            y = side * length * 0.36
            for sx in (1, -1):
                p.rod((sx * width * 0.42, y, 0), (-sx * width * 0.42, y, height - thick), 0.035, sections=4)
        p.rod((0, -length * 0.36, height * 0.48), (0, length * 0.36, height * 0.48), 0.025, sections=4)
        p.has("crossed legs")
    p.box((width * 0.88, length * 0.9, 0.08), (0, 0, height - thick - 0.08), "second")
    p.top = (width / 2, length / 2, height)


@category("wall", (0.75, 2.2), "writing desk, office desk", like="table", of="wood, plastic")
def desk(p: Parts, rng: Rng) -> None:
    height, length, width, thick = (
        rng.uniform(0.71, 0.76),
        rng.uniform(1.1, 1.6),
        rng.uniform(0.55, 0.75),
        0.04,
    )
    p.box((width, length, thick), (0, 0, height - thick))
    sides = (1, -1) if rng.random() < 0.35 else (int(rng.choice([1, -1])),)
    block = rng.uniform(0.36, 0.44)
    for side in (1, -1):
        y = side * (length / 2 - block / 2)
        if side in sides:
            p.box((width * 0.92, block, height - thick - 0.05), (0, y, 0.05))
            drawers = int(rng.integers(2, 5))
            for k in range(drawers):
                z = 0.08 + (height - thick - 0.1) * k / drawers
                p.box((0.02, block * 0.9, (height - 0.12) / drawers * 0.86), (width * 0.46, y, z), "second")
                start = (width * 0.48 + 0.015, y - 0.06, z + 0.08)
                p.rod(start, (width * 0.48 + 0.015, y + 0.06, z + 0.08), 0.008, "metal")
        else:
            p.box((width * 0.9, 0.04, height - thick), (0, side * (length / 2 - 0.04), 0))
    p.box((0.02, length * 0.9, height * 0.35), (-width * 0.42, 0, height * 0.6), "second")
    p.has("drawers")
    p.top = (width / 2, length / 2, height)


@category("floor", (0.55, 1.8), "cocktail table, low table", like="table, stool", of="wood, lacquer")
def coffee_table(p: Parts, rng: Rng) -> None:
    height, length, width = rng.uniform(0.34, 0.42), rng.uniform(0.85, 1.2), rng.uniform(0.5, 0.65)
    oval = rng.random() < 0.4
    if oval:
        p.lathe(
            [(0, 0), (length / 2, 0), (length / 2, 0.04), (0, 0.04)],
            (0, 0, height - 0.04),
            squash=width / length,
            sections=28,
            turn=(0, 0, np.pi / 2),
        )
        p.has("an oval top")
    else:
        p.box((width, length, 0.045), (0, 0, height - 0.045))
    spread = 0.3 if oval else 0.42
    for sx, sy in CORNERS:
        start = (sx * width * (spread + 0.05), sy * length * (spread + 0.05), 0)
        p.rod(start, (sx * width * spread, sy * length * spread, height - 0.03), 0.022)
    # The low shelf is what tells it from a table in a picture without scale.
    if oval:
        p.lathe(
            [(0, 0), (length * 0.4, 0), (length * 0.4, 0.025), (0, 0.025)],
            (0, 0, height * 0.3),
            "second",
            squash=width / length,
            sections=24,
            turn=(0, 0, np.pi / 2),
        )
    else:
        p.box((width * 0.84, length * 0.86, 0.025), (0, 0, height * 0.3), "second")
    p.has("a low shelf")
    p.top = (width * 0.35, length * 0.35, height) if oval else (width / 2, length / 2, height)


@category("wall", (0.9, 2.8), "bookshelf, shelf unit", like="dresser", of="wood, lacquer")
def bookcase(p: Parts, rng: Rng) -> None:
    height, width, depth = rng.uniform(1.3, 2.0), rng.uniform(0.7, 1.1), rng.uniform(0.26, 0.34)
    shelves = int(rng.integers(3, 6))
    for side in (1, -1):
        p.box((depth, 0.035, height), (0, side * (width / 2 - 0.018), 0))
    for k in range(shelves + 1):
        p.box((depth, width - 0.04, 0.035), (0, 0, 0.06 + (height - 0.1) * k / shelves))
    if rng.random() < 0.4:  # open frames are seen through; others have a back of slats
        p.rod((-depth / 2, -width / 2, 0.1), (-depth / 2, width / 2, height - 0.1), 0.012, "metal")
        p.rod((-depth / 2, width / 2, 0.1), (-depth / 2, -width / 2, height - 0.1), 0.012, "metal")
    gap = (height - 0.1) / shelves
    for k in range(shelves):
        y = -width / 2 + 0.05
        end = width / 2 - 0.06 - (rng.uniform(0, 0.6) * width if rng.random() < 0.6 else 0)
        while y < end:
            thick, tall = rng.uniform(0.025, 0.055), rng.uniform(0.55, 0.85) * gap
            paint = ("taillight", "picture", "cloth", "paper", "wood", "second", "soil", "gold")[
                rng.integers(8)
            ]
            p.box((depth * 0.75, thick, tall), (0, y + thick / 2, 0.06 + gap * k + 0.035), paint)
            y += thick + 0.004
    p.has("books")
    p.has(f"{('three', 'four', 'five')[shelves - 3]} shelves")


@category("wall", (0.8, 2.4), "chest of drawers, commode", like="desk, bookcase", of="wood, lacquer")
def dresser(p: Parts, rng: Rng) -> None:
    height, width, depth = rng.uniform(0.75, 0.95), rng.uniform(0.85, 1.25), rng.uniform(0.4, 0.5)
    leg = rng.uniform(0.1, 0.18)
    p.box((depth, width, height - leg), (0, 0, leg))
    p.box((depth + 0.05, width + 0.05, 0.035), (0, 0, height - 0.02), "second")
    for sx, sy in CORNERS:
        p.cylinder(
            0.02, leg, (sx * (depth / 2 - 0.05), sy * (width / 2 - 0.05), 0), "second", top=0.035, sections=8
        )
    rows, columns = int(rng.integers(3, 5)), int(rng.integers(1, 3))
    for r in range(rows):
        for c in range(columns):
            y, z = (c - (columns - 1) / 2) * width / columns, leg + 0.03 + (height - leg - 0.06) * r / rows
            p.box((0.025, width / columns * 0.9, (height - leg) / rows * 0.82), (depth / 2, y, z), "main")
            size = (0.05, 0.05, 0.05)
            p.blob(size, (depth / 2 + 0.03, y, z + (height - leg) / rows * 0.33), "gold", sections=8)
    # The mirror makes it a dresser from behind, too.
    tall, wide = rng.uniform(0.5, 0.7), width * rng.uniform(0.55, 0.75)
    if rng.random() < 0.5:
        p.disc(tall / 2, 0.03, (-depth * 0.35, 0, height + tall / 2 + 0.05), "x", "second", sections=24)
        center = (-depth * 0.35 + 0.004, 0, height + tall / 2 + 0.05)
        p.disc(tall / 2 - 0.04, 0.032, center, "x", "clear", sections=24)
        p.has("a round mirror")
    else:
        p.box((0.03, wide, tall), (-depth * 0.35, 0, height + 0.05), "second")
        p.box((0.03, wide - 0.08, tall - 0.08), (-depth * 0.35 + 0.004, 0, height + 0.09), "clear")
        p.has("a mirror")
    for side in (1, -1):
        start = (-depth * 0.35, side * wide * 0.3, height)
        p.rod(start, (-depth * 0.35, side * wide * 0.3, height + 0.1), 0.015, "second")
    p.has("drawers")


@category("wall", (0.5, 1.2), "lavatory, water closet", like="chair, bathtub", of="ceramic")
def toilet(p: Parts, rng: Rng) -> None:
    rim, length, width = rng.uniform(0.38, 0.42), rng.uniform(0.42, 0.5), rng.uniform(0.34, 0.38)
    squash = width / length
    radii = (0, length * 0.3, length * 0.26, length * 0.5, length * 0.5, length * 0.36, length * 0.2, 0)
    heights = (0, 0, rim * 0.4, rim - 0.04, rim, rim, rim * 0.6, rim * 0.55)
    p.lathe(zip(radii, heights, strict=True), (0.08, 0, 0), squash=squash, sections=22)
    lid_up = rng.random() < 0.5
    tank = rng.uniform(0.32, 0.4)
    p.blob((0.2, width + 0.04, tank), (-length / 2 - 0.02, 0, rim - 0.04), power=0.2)
    p.blob((0.23, width + 0.07, 0.05), (-length / 2 - 0.02, 0, rim + tank - 0.05), power=0.3)
    start = (-length / 2 + 0.09, width * 0.3, rim + tank - 0.1)
    p.rod(start, (-length / 2 + 0.09, width * 0.45, rim + tank - 0.1), 0.01, "metal")
    lid = [(0, 0), (length * 0.48, 0), (length * 0.48, 0.025), (0, 0.03)]
    if lid_up:
        at = (-length / 2 + 0.12, 0, rim + length * 0.45)
        p.lathe(lid, at, squash=squash, turn=(0, -np.pi / 2 - 0.15 + np.pi, 0))
        p.has("an open lid")
    else:
        p.lathe(lid, (0.07, 0, rim), squash=squash)
        p.has("a closed lid")


@category("wall", (1.0, 2.4), "bath, tub", like="toilet, bed", of="ceramic")
def bathtub(p: Parts, rng: Rng) -> None:
    length, width, height = rng.uniform(1.5, 1.75), rng.uniform(0.7, 0.8), rng.uniform(0.5, 0.6)
    feet = rng.random() < 0.6
    base = 0.12 if feet else 0.0
    profile = [
        (0, base),
        (length * 0.4, base),
        (length * 0.47, height - 0.05),
        (length * 0.5, height),
        (length * 0.46, height),
        (length * 0.37, base + 0.1),
        (0, base + 0.08),
    ]
    p.lathe(profile, squash=width / length, sections=28, turn=(0, 0, np.pi / 2))
    if feet:
        for sx, sy in CORNERS:
            p.blob((0.09, 0.09, 0.2), (sx * width * 0.3, sy * length * 0.27, 0), "gold", sections=8)
        p.has("claw feet")
    ys = (length * 0.47, length * 0.47, length * 0.36, length * 0.35)
    zs = (height - 0.1, height + 0.22, height + 0.25, height + 0.17)
    p.tube(path(0, ys, zs), 0.02, "metal")
    p.has("a tap")


@category("floor", (1.0, 2.5), "floor lamp, standing lamp", like="table lamp, fan", of="fabric, metal")
def lamp(p: Parts, rng: Rng) -> None:
    height, shade = rng.uniform(1.45, 1.8), rng.uniform(0.17, 0.25)
    bar = "dark" if rng.random() < 0.6 else "gold"
    tall = rng.uniform(0.22, 0.34)
    x = 0.0
    if rng.random() < 0.35:
        for k in range(3):
            angle = 2 * np.pi * k / 3
            p.rod((0.28 * np.cos(angle), 0.28 * np.sin(angle), 0), (0, 0, height - tall), 0.016, bar)
        p.has("a tripod")
    elif rng.random() < 0.4:
        arc = np.linspace(0, np.pi * 0.55, 9)
        curve = [(0, 0, 0.03), *[(0.45 * (1 - np.cos(a)), 0, height - 0.45 + 0.45 * np.sin(a)) for a in arc]]
        p.tube(curve, 0.014, bar)
        p.cylinder(0.17, 0.035, paint=bar)
        x, height = float(curve[-1][0]), float(curve[-1][2]) + 0.02
        p.has("a bent arm")
    else:
        p.cylinder(0.15, 0.03, paint=bar)
        p.rod((0, 0, 0), (0, 0, height - 0.05), 0.013, bar)
        p.has("a straight pole")
    upper = shade * rng.uniform(0.5, 0.95)
    p.lathe([(shade, 0), (upper, tall)], (x, 0, height - tall), sections=24)
    p.blob((0.09, 0.09, 0.12), (x, 0, height - tall * 0.8), "lamp", sections=10)


@category("table", (0.27, 0.85), "bedside lamp, reading lamp", like="lamp, vase", of="ceramic, lacquer")
def table_lamp(p: Parts, rng: Rng) -> None:
    body, girth = rng.uniform(0.16, 0.24), rng.uniform(0.07, 0.1)
    belly = rng.uniform(0.3, 0.6)
    radii = (0, girth * 0.8, girth * 0.8, girth * 0.5, girth, girth * 0.75, 0.015, 0)
    heights = (0, 0, 0.015, 0.03, body * belly, body * 0.85, body, body)
    p.lathe(zip(radii, heights, strict=True), sections=20)
    p.rod((0, 0, body), (0, 0, body + 0.09), 0.008, "gold")
    shade, tall = rng.uniform(0.13, 0.17), rng.uniform(0.14, 0.19)
    p.lathe(
        [(shade, 0), (shade * rng.uniform(0.45, 0.7), tall)],
        (0, 0, body + 0.04),
        "sheet" if rng.random() < 0.6 else "main",
        sections=24,
    )
    p.blob((0.06, 0.06, 0.08), (0, 0, body + 0.06), "lamp", sections=10)
    p.has("a shade")
