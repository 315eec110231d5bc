"""What things are carried in."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import CORNERS, Parts

Rng = np.random.Generator


@category(
    setting="room",
    spot="floor",
    extent=(0.42, 1.5),
    synonyms=("luggage", "travel case"),
    confusions=("backpack", "box"),
    materials=("plastic", "leather", "fabric"),
)
def suitcase(rng: Rng) -> Parts:
    p = Parts()
    height, width, depth = rng.uniform(0.55, 0.7), rng.uniform(0.38, 0.46), rng.uniform(0.22, 0.27)
    p.blob((depth, width, height), (0, 0, 0.05), power=0.25)
    for k in range(4):
        y = (k - 1.5) * width * 0.22
        p.box((depth * 1.01, 0.014, height * 0.72), (0, y, 0.05 + height * 0.14), "second")
    for sx, sy in CORNERS:
        p.disc(0.03, 0.03, (sx * depth * 0.3, sy * width * 0.38, 0.03), "y", "rubber", sections=10)
    pull = rng.uniform(0.2, 0.4) if rng.random() < 0.7 else 0.05
    x = -depth * 0.3
    p.tube(
        [(x, -0.1, height), (x, -0.1, height + pull), (x, 0.1, height + pull), (x, 0.1, height)],
        0.011,
        "dark",
    )
    p.has("wheels")
    if pull > 0.1:
        p.has("a pulled out handle")
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.3, 0.85),
    synonyms=("rucksack", "knapsack"),
    confusions=("suitcase",),
    materials=("fabric",),
    patterns=("plain", "plain", "checkered", "dotted"),
)
def backpack(rng: Rng) -> Parts:
    p = Parts()
    height, width, depth = rng.uniform(0.42, 0.52), rng.uniform(0.28, 0.33), rng.uniform(0.17, 0.22)
    p.blob((depth, width, height), power=0.5)
    p.blob((depth * 0.6, width * 0.76, height * 0.42), (depth * 0.42, 0, height * 0.06), "second", power=0.4)
    p.box((0.012, width * 0.5, 0.012), (depth * 0.72, 0, height * 0.38), "metal")
    p.tube(
        [
            (0, -0.04, height * 0.97),
            (0, -0.035, height + 0.05),
            (0, 0.035, height + 0.05),
            (0, 0.04, height * 0.97),
        ],
        0.01,
        "dark",
    )
    for side in (1, -1):
        y = side * width * 0.26
        p.tube(
            [
                (-depth * 0.35, y, height * 0.93),
                (-depth * 0.75, y, height * 0.75),
                (-depth * 0.85, y, height * 0.45),
                (-depth * 0.5, y * 1.3, height * 0.1),
            ],
            0.02,
            "dark",
            sections=6,
        )
        if rng.random() < 0.5:
            p.blob(
                (depth * 0.5, 0.06, height * 0.35),
                (0, side * width * 0.5, 0.02),
                "second",
                power=0.5,
                sections=8,
            )
    p.has("two straps")
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.2, 0.65),
    synonyms=("pail",),
    confusions=("basket", "pot"),
    materials=("plastic", "metal"),
)
def bucket(rng: Rng) -> Parts:
    p = Parts()
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
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.28, 0.85),
    synonyms=("wicker basket", "hamper"),
    confusions=("bucket", "box"),
    materials=("wicker",),
)
def basket(rng: Rng) -> Parts:
    p = Parts()
    height, length = rng.uniform(0.18, 0.26), rng.uniform(0.38, 0.48)
    squash = rng.uniform(0.65, 1.0)
    foot = length * 0.4
    p.lathe(
        [
            (0, 0),
            (foot, 0),
            (length / 2, height),
            (length / 2 - 0.015, height),
            (foot - 0.01, 0.012),
            (0, 0.012),
        ],
        squash=squash,
        sections=24,
    )
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
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.4, 1.15),
    synonyms=("carton", "cardboard box"),
    confusions=("suitcase", "basket"),
    materials=("paper",),
    patterns=("plain", "plain", "dotted"),
)
def box(rng: Rng) -> Parts:
    p = Parts()
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
            p.blob(
                (0.16, 0.16, 0.2),
                (at[0] * x, at[1] * y, z * 0.35),
                ("picture", "taillight", "paper")[rng.integers(3)],
                power=0.6,
                sections=8,
            )
        p.has("things inside")
    p.has("open flaps")
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.4, 0.95),
    synonyms=("sprinkling can",),
    confusions=("bucket", "teapot"),
    materials=("metal", "plastic"),
)
def watering_can(rng: Rng) -> Parts:
    p = Parts()
    radius, height = rng.uniform(0.1, 0.125), rng.uniform(0.2, 0.26)
    p.cylinder(radius, height, sections=22)
    p.lathe([(radius, 0), (radius * 0.8, 0.03), (radius * 0.45, 0.03)], (0, 0, height), sections=22)
    end = (radius + 0.24, 0.0, height * rng.uniform(1.05, 1.3))
    p.tube([(radius * 0.8, 0, height * 0.2), (radius + 0.12, 0, height * 0.62), end], 0.018)
    p.cylinder(0.02, 0.05, (end[0] - 0.01, 0, end[2] - 0.005), "second", top=0.055, turn=(0, 0.9, 0))
    p.tube(
        [
            (radius * 0.2, 0, height + 0.02),
            (-radius * 0.2, 0, height + 0.13),
            (-radius * 1.1, 0, height + 0.1),
            (-radius - 0.09, 0, height * 0.6),
            (-radius * 0.95, 0, height * 0.3),
        ],
        0.013,
        "second",
    )
    p.has("a long spout")
    p.has("a handle")
    return p
