"""Small machines of a kitchen."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import CORNERS, Parts

Rng = np.random.Generator


@category(
    setting="room",
    spot="table",
    extent=(0.3, 0.75),
    synonyms=("microwave oven",),
    confusions=("oven", "toaster"),
    materials=("lacquer", "metal"),
)
def microwave(rng: Rng) -> Parts:
    p = Parts()
    width, depth, height = rng.uniform(0.44, 0.52), rng.uniform(0.32, 0.38), rng.uniform(0.25, 0.3)
    p.box((depth, width, height), (0, 0, 0.015))
    x = depth / 2
    p.box((0.02, width * 0.66, height * 0.82), (x, -width * 0.14, 0.015 + height * 0.09), "second")
    p.box((0.024, width * 0.5, height * 0.55), (x, -width * 0.16, 0.015 + height * 0.22), "glass")
    p.rod((x + 0.025, width * 0.16, height * 0.2), (x + 0.025, width * 0.16, height * 0.88), 0.009, "metal")
    p.box((0.014, width * 0.22, height * 0.8), (x, width * 0.34, 0.015 + height * 0.1), "dark")
    p.box((0.018, width * 0.16, 0.03), (x, width * 0.34, height * 0.76), "signal_green")
    for sx, sy in CORNERS:
        p.cylinder(0.015, 0.016, (sx * depth * 0.4, sy * width * 0.42, 0), "dark", sections=8)
    for k in range(6):
        p.box((0.01, width * 0.5, 0.012), (-x, 0, 0.06 + k * height * 0.13), "dark")
    if rng.random() < 0.5:
        p.disc(0.025, 0.03, (x + 0.012, width * 0.34, height * 0.28), "x", "metal", sections=12)
        p.has("a dial")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.2, 0.52),
    synonyms=("bread toaster",),
    confusions=("microwave",),
    materials=("metal", "lacquer"),
)
def toaster(rng: Rng) -> Parts:
    p = Parts()
    length, width, height = rng.uniform(0.28, 0.36), rng.uniform(0.17, 0.2), rng.uniform(0.18, 0.21)
    p.blob((length, width, height), (0, 0, 0.012), power=0.35)
    p.box((length * 0.9, width * 0.9, 0.025), paint="dark")
    slots = (-0.2, 0.2) if rng.random() < 0.7 else (-0.26, 0.0, 0.26)
    bread = rng.random() < 0.6
    for y in slots:
        p.box((length * 0.66, 0.024, 0.012), (0, y * width, height + 0.004), "dark")
        if bread:
            p.box((length * 0.5, 0.014, 0.07), (0, y * width, height - 0.02), "cord", taper=(0.9, 1))
    p.box((0.03, 0.04, 0.022), (length / 2 + 0.008, 0, height * 0.65), "dark")
    p.box((0.012, 0.012, height * 0.5), (length / 2 - 0.004, 0, height * 0.25), "dark")
    p.has("two slots" if len(slots) == 2 else "three slots")
    if bread:
        p.has("bread")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.22, 0.6),
    synonyms=("mixer", "smoothie maker"),
    confusions=("coffee maker", "pitcher"),
    materials=("plastic", "lacquer"),
)
def blender(rng: Rng) -> Parts:
    p = Parts()
    base, jar, radius = rng.uniform(0.13, 0.17), rng.uniform(0.18, 0.23), rng.uniform(0.075, 0.09)
    p.lathe([(0, 0), (radius * 1.1, 0), (radius * 1.1, 0.03), (radius * 0.7, base), (0, base)], sections=22)
    p.disc(0.025, 0.04, (radius * 0.95, 0, base * 0.4), "x", "metal", sections=12)
    level = rng.uniform(0.3, 0.7)
    middle = (radius * (0.6 + 0.4 * level), jar * level)
    juice = ("amber", "taillight", "leaf")[rng.integers(3)]
    p.lathe([(0, 0), (radius * 0.6, 0), middle], (0, 0, base), juice, sections=22)
    p.lathe([middle, (radius, jar)], (0, 0, base), "clear", sections=22)
    p.cylinder(radius * 1.04, 0.03, (0, 0, base + jar), sections=22)
    p.cylinder(radius * 0.4, 0.03, (0, 0, base + jar + 0.03))
    p.tube(
        [
            (-radius * 0.9, 0, base + jar * 0.92),
            (-radius - 0.045, 0, base + jar * 0.85),
            (-radius - 0.04, 0, base + jar * 0.3),
            (-radius * 0.65, 0, base + jar * 0.15),
        ],
        0.012,
    )
    p.has("a clear jar")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.22, 0.6),
    synonyms=("coffee machine", "coffee brewer"),
    confusions=("blender", "toaster"),
    materials=("plastic", "lacquer"),
)
def coffee_maker(rng: Rng) -> Parts:
    p = Parts()
    height, width, depth = rng.uniform(0.32, 0.4), rng.uniform(0.17, 0.21), rng.uniform(0.2, 0.24)
    p.blob((depth, width, 0.045), power=0.2)
    p.blob((depth * 0.42, width, height), (-depth * 0.29, 0, 0), power=0.2)
    p.blob((depth, width, height * 0.3), (0, 0, height * 0.7), power=0.2)
    pot, tall = width * 0.4, height * 0.42
    x = depth * 0.22
    p.lathe(
        [(0, 0), (pot * 0.85, 0), (pot, tall * 0.35), (pot * 0.86, tall * 0.6)],
        (x, 0, 0.045),
        "coffee",
        sections=20,
    )
    p.lathe(
        [(pot * 0.86, tall * 0.6), (pot * 0.65, tall * 0.85), (pot * 0.7, tall)],
        (x, 0, 0.045),
        "clear",
        sections=20,
    )
    p.cylinder(pot * 0.72, 0.02, (x, 0, 0.045 + tall), "dark")
    p.tube(
        [
            (x + pot * 0.7, 0, 0.05 + tall * 0.95),
            (x + pot + 0.05, 0, 0.05 + tall * 0.9),
            (x + pot + 0.045, 0, 0.05 + tall * 0.35),
            (x + pot * 0.95, 0, 0.05 + tall * 0.3),
        ],
        0.01,
        "dark",
    )
    p.box((0.01, width * 0.4, 0.04), (depth / 2 - 0.004, 0, height * 0.83), "dark")
    p.disc(0.012, 0.02, (depth / 2, width * 0.32, height * 0.85), "x", "taillight", sections=10)
    p.has("a glass pot")
    return p
