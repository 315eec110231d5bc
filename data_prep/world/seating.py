"""Things to sit and lie on."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import CORNERS, Parts

Rng = np.random.Generator


@category(
    setting="room",
    spot="seat",
    extent=(0.55, 1.7),
    synonyms=("seat", "side chair"),
    confusions=("armchair", "stool"),
    materials=("wood", "plastic", "fabric"),
)
def chair(rng: Rng) -> Parts:
    p = Parts()
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
        p.box(
            (0.035, width * rng.uniform(0.85, 1), back - gap),
            (x - lean * gap, 0, seat + gap),
            shift=(-lean * back, 0),
            taper=(1, rng.uniform(0.75, 1)),
        )
        for side in (1, -1):
            p.rod(
                (x, side * width * 0.3, seat - 0.02),
                (x - lean * back * 0.5, side * width * 0.3, seat + back * 0.5),
                0.014,
                "second",
            )
    else:
        for side in (1, -1):
            p.rod(
                (x, side * width * 0.46, seat - 0.02),
                (x - lean * back, side * width * 0.46, seat + back),
                0.018,
            )
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
    return p


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
    setting="room",
    spot="wall",
    extent=(0.6, 1.6),
    synonyms=("easy chair", "lounge chair"),
    confusions=("sofa", "chair"),
    materials=("fabric", "leather"),
    patterns=("plain", "plain", "striped", "dotted", "checkered"),
)
def armchair(rng: Rng) -> Parts:
    p = Parts()
    _upholstered(p, rng, width=rng.uniform(0.55, 0.68), seats=1)
    return p


@category(
    setting="room",
    spot="wall",
    extent=(1.1, 3.2),
    synonyms=("couch", "settee"),
    confusions=("armchair", "bed"),
    materials=("fabric", "leather"),
    patterns=("plain", "plain", "striped", "dotted", "checkered"),
)
def sofa(rng: Rng) -> Parts:
    p = Parts()
    seats = int(rng.integers(2, 4))
    _upholstered(p, rng, width=seats * rng.uniform(0.58, 0.7), seats=seats)
    p.has("two seats" if seats == 2 else "three seats")
    return p


def _upholstered(p: Parts, rng: Rng, width: float, seats: int) -> None:
    depth, seat, back = rng.uniform(0.75, 0.92), rng.uniform(0.38, 0.44), rng.uniform(0.36, 0.5)
    arm, leg, soft = rng.uniform(0.12, 0.22), rng.uniform(0.05, 0.14), rng.uniform(0.2, 0.4)
    total = width + 2 * arm
    p.box((depth, total, seat - 0.12 - leg), (0, 0, leg))
    for k in range(seats):
        y = (k - (seats - 1) / 2) * width / seats
        p.blob((depth - 0.2, width / seats - 0.01, 0.18), (0.1, y, seat - 0.14), power=soft)
        p.blob(
            (0.24, width / seats - 0.02, back),
            (-depth / 2 + 0.24, y, seat - 0.03),
            power=soft,
            turn=(0, -0.15, 0),
        )
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


@category(
    setting="room",
    spot="seat",
    extent=(0.3, 1.15),
    synonyms=("bar stool", "footstool"),
    confusions=("chair", "table"),
    materials=("wood", "plastic", "metal"),
)
def stool(rng: Rng) -> Parts:
    p = Parts()
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
    return p


@category(
    setting="room",
    spot="wall",
    extent=(1.3, 3.0),
    synonyms=("bedstead", "double bed"),
    confusions=("sofa",),
    materials=("fabric",),
    patterns=("plain", "striped", "checkered", "dotted"),
)
def bed(rng: Rng) -> Parts:
    p = Parts()
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
        p.blob(
            (0.36, min(width / pillows, 0.75) * 0.85, 0.14),
            (-length / 2 + 0.26, y, top - 0.02),
            "sheet",
            power=0.5,
        )
    p.box((0.06, width + 0.04, top + head), (-length / 2, 0, 0), "wood" if rng.random() < 0.6 else "main")
    if rng.random() < 0.4:
        p.box((0.05, width + 0.02, top + 0.12), (length / 2, 0, 0), "wood")
        p.has("a footboard")
    p.has("one pillow" if pillows == 1 else "two pillows")
    return p


@category(
    setting="street",
    spot="walk",
    extent=(0.9, 2.8),
    synonyms=("park bench",),
    confusions=("chair",),
    materials=("wood", "metal"),
)
def bench(rng: Rng) -> Parts:
    p = Parts()
    length, seat, depth = rng.uniform(1.3, 2.0), rng.uniform(0.42, 0.47), rng.uniform(0.4, 0.5)
    slats = int(rng.integers(3, 6))
    for t in np.linspace(-0.5, 0.5, slats):
        p.box((depth / slats * 0.8, length, 0.04), (t * depth * 0.85, 0, seat - 0.04))
    has_back = rng.random() < 0.75
    if has_back:
        rows = int(rng.integers(2, 4))
        for k in range(rows):
            z = 0.12 + 0.3 * k / max(rows - 1, 1)
            p.box((0.035, length, 0.1), (-depth / 2 - 0.05 - 0.25 * z, 0, seat + z), turn=(0, -0.25, 0))
        p.has("a back")
    stone = rng.random() < 0.3
    for side in (1, -1):
        y = side * (length / 2 - 0.18)
        if stone:
            p.box((depth, 0.14, seat - 0.04), (0, y, 0), "light")
        else:
            p.rod((depth * 0.4, y, 0), (depth * 0.4, y, seat - 0.03), 0.025, "steel", sections=4)
            p.rod((-depth * 0.45, y, 0), (-depth * 0.4, y, seat - 0.03), 0.025, "steel", sections=4)
        if has_back:
            p.rod(
                (-depth * 0.4, y, seat - 0.05),
                (-depth / 2 - 0.16, y, seat + 0.48),
                0.022,
                "steel",
                sections=4,
            )
            if rng.random() < 0.6:
                p.tube(
                    [
                        (-depth * 0.5, y, seat + 0.22),
                        (depth * 0.4, y, seat + 0.22),
                        (depth * 0.42, y, seat - 0.03),
                    ],
                    0.02,
                    "steel",
                )
    return p
