"""Tableware, cookware and small kitchen appliances."""

from __future__ import annotations

import numpy as np

from data_prep.world.category import category
from data_prep.world.solids import CORNERS, Parts

Rng = np.random.Generator


def handle(
    p: Parts, x: float, low: float, high: float, reach: float, radius: float, paint: str = "main"
) -> None:
    """A round handle standing off the wall at ``x``, in the plane y = 0."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 9)
    middle, half = (low + high) / 2, (high - low) / 2
    p.tube([(x + reach * np.cos(a), 0, middle + half * np.sin(a)) for a in angle], radius, paint)


@category(
    "table",
    (0.07, 0.2),
    "cup, coffee cup",
    like="bowl, pitcher",
    materials="ceramic",
    patterns="plain, striped, dotted",
)
def mug(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.085, 0.11), rng.uniform(0.038, 0.046)
    foot = radius * rng.uniform(0.75, 1.0)
    p.lathe(
        [(0, 0), (foot, 0), (radius, height), (radius * 0.9, height), (foot * 0.88, 0.012), (0, 0.012)],
        sections=22,
    )
    p.lathe([(0, 0), (radius * 0.86, 0)], (0, 0, height * 0.8), "coffee")
    handle(p, -foot * 0.95, height * 0.2, height * 0.8, -rng.uniform(0.026, 0.034), 0.006)
    p.has("a handle")


@category("table", (0.095, 0.26), "wineglass, goblet", like="vase, candle", materials="glass")
def wine_glass(p: Parts, rng: Rng) -> None:
    foot, stem, bowl, radius = (
        rng.uniform(0.03, 0.037),
        rng.uniform(0.06, 0.09),
        rng.uniform(0.07, 0.1),
        rng.uniform(0.033, 0.045),
    )
    top = radius * rng.uniform(0.7, 1.0)
    p.lathe(
        [
            (0, 0),
            (foot, 0),
            (foot, 0.003),
            (0.006, 0.01),
            (0.0045, stem),
            (radius * 0.6, stem + bowl * 0.15),
            (radius, stem + bowl * 0.45),
            (top, stem + bowl),
            (top * 0.93, stem + bowl),
            (radius * 0.9, stem + bowl * 0.45),
            (0, stem + bowl * 0.1),
        ],
        sections=22,
    )
    p.has("a stem")


@category("table", (0.15, 0.45), "wine bottle, flask", like="vase, candle", materials="glass, plastic")
def bottle(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.22, 0.31), rng.uniform(0.033, 0.042)
    shoulder = height * rng.uniform(0.5, 0.66)
    neck = radius * rng.uniform(0.3, 0.4)
    p.lathe(
        [
            (0, 0),
            (radius * 0.95, 0),
            (radius, 0.01),
            (radius, shoulder),
            (radius * 0.75, shoulder + 0.03),
            (neck, shoulder + 0.06),
            (neck, height),
            (0, height),
        ],
        sections=20,
    )
    p.cylinder(neck * 1.25, 0.022, (0, 0, height - 0.012), "dark" if rng.random() < 0.5 else "gold")
    if rng.random() < 0.75:
        p.cylinder(radius * 1.015, shoulder * 0.45, (0, 0, shoulder * 0.3), "paper", sections=20)
        p.has("a label")


@category(
    "table",
    (0.1, 0.36),
    "salad bowl, dish",
    like="plate, mug",
    materials="ceramic, wood",
    patterns="plain, striped, dotted",
)
def bowl(p: Parts, rng: Rng) -> None:
    radius, height = rng.uniform(0.08, 0.12), rng.uniform(0.06, 0.085)
    p.lathe(
        [
            (0, 0),
            (radius * 0.4, 0),
            (radius * 0.42, 0.008),
            (radius * 0.8, height * 0.5),
            (radius, height),
            (radius * 0.94, height),
            (radius * 0.7, height * 0.45),
            (0, 0.018),
        ],
        sections=26,
    )
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(3, 6))):
            angle, spread = rng.uniform(0, 2 * np.pi), radius * 0.4
            paint = ("taillight", "amber", "leaf")[rng.integers(3)]
            p.blob(
                (0.07, 0.07, 0.065),
                (spread * np.cos(angle), spread * np.sin(angle), height * 0.55),
                paint,
                sections=10,
            )
        p.has("fruit")


@category(
    "table",
    (0.14, 0.4),
    "dinner plate, saucer",
    like="bowl",
    materials="ceramic",
    patterns="plain, dotted, striped",
)
def plate(p: Parts, rng: Rng) -> None:
    radius, height = rng.uniform(0.1, 0.14), rng.uniform(0.016, 0.026)
    p.lathe(
        [
            (0, 0),
            (radius * 0.6, 0),
            (radius, height),
            (radius * 0.97, height + 0.003),
            (radius * 0.62, 0.006),
            (0, 0.006),
        ],
        sections=28,
    )
    slope = (height - 0.003) / (radius * 0.35)  # of the rim, from the well outwards
    for inner, outer in ((0.63, 0.67), (0.84, 0.95)):
        z = [0.0072 + slope * radius * (share - 0.62) for share in (inner, outer)]
        p.lathe([(radius * outer, z[1]), (radius * inner, z[0])], paint="second", sections=28)
    p.has("a painted rim")
    if rng.random() < 0.4:
        for side in (-1, 1):
            p.box((0.18, 0.014, 0.004), (0, side * radius * 0.25, height + 0.003), "metal")
        p.has("cutlery")


@category(
    "table",
    (0.25, 0.8),
    "flower vase, vase of flowers",
    like="bottle, potted plant",
    materials="ceramic, glass",
    patterns="plain, striped, dotted",
)
def vase(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.2, 0.3), rng.uniform(0.06, 0.085)
    belly, neck = rng.uniform(0.3, 0.6), rng.uniform(0.35, 0.6)
    lip = neck * rng.uniform(1.1, 1.5)
    p.lathe(
        [
            (0, 0),
            (radius * 0.6, 0),
            (radius * 0.85, height * belly * 0.45),
            (radius, height * belly),
            (radius * neck, height * 0.86),
            (radius * lip, height),
            (radius * lip * 0.85, height),
            (radius * neck * 0.8, height * 0.86),
            (0, height * 0.5),
        ],
        sections=24,
    )
    stems = int(rng.integers(3, 7))
    bloom = ("taillight", "amber", "stripe")[rng.integers(3)]
    for k in range(stems):
        angle, lean = 2 * np.pi * k / stems + rng.uniform(-0.4, 0.4), rng.uniform(0.03, 0.11)
        end = (lean * np.cos(angle), lean * np.sin(angle), height + rng.uniform(0.1, 0.2))
        p.rod((0, 0, height * 0.7), end, 0.0035, "leaf", sections=5)
        p.blob((0.05, 0.05, 0.04), (end[0], end[1], end[2] - 0.015), bloom, sections=8)
    p.has("flowers")


@category("table", (0.14, 0.55), "candlestick, wax candle", like="wine glass, bottle", materials="plastic")
def candle(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.14, 0.24), rng.uniform(0.014, 0.022)
    base = 0.02
    p.lathe(
        [(0, 0), (0.055, 0), (0.06, 0.012), (0.02, 0.016), (0.016, 0.03), (0, 0.03)],
        paint="gold",
        sections=20,
    )
    if rng.random() < 0.5:
        stand = rng.uniform(0.06, 0.12)
        p.lathe(
            [
                (0.012, 0.02),
                (0.008, stand * 0.5),
                (0.02, stand * 0.6),
                (0.008, stand * 0.7),
                (0.028, stand),
                (0, stand),
            ],
            paint="gold",
        )
        base = stand
        p.has("a tall holder")
    else:
        p.ring(0.022, 0.005, (-0.07, 0, 0.012), "gold", turn=(np.pi / 2, 0, 0))
        p.has("a holder")
    p.cylinder(radius, height, (0, 0, base), top=radius * 0.92)
    p.rod((0, 0, base + height), (0, 0, base + height + 0.012), 0.002, "dark", sections=4)
    p.blob((0.016, 0.016, 0.036), (0, 0, base + height + 0.008), "flame", sections=8)
    p.has("a flame")


@category(
    "table",
    (0.14, 0.48),
    "tea kettle, kettle",
    like="pitcher, pot",
    materials="ceramic, metal",
    patterns="plain, dotted, plain",
)
def teapot(p: Parts, rng: Rng) -> None:
    radius, height = rng.uniform(0.075, 0.1), rng.uniform(0.1, 0.14)
    p.lathe(
        [
            (0, 0),
            (radius * 0.65, 0),
            (radius, height * 0.4),
            (radius * 0.9, height * 0.75),
            (radius * 0.5, height),
            (0, height * 1.08),
        ],
        sections=22,
    )
    p.blob((0.03, 0.03, 0.028), (0, 0, height * 1.06), "second", sections=10)
    spout = [
        (radius * 0.75, 0, height * 0.3),
        (radius * 1.25, 0, height * 0.5),
        (radius * 1.5, 0, height * 0.85),
        (radius * 1.75, 0, height * 0.98),
    ]
    p.tube(spout, 0.014)
    if rng.random() < 0.6:
        handle(p, -radius * 0.85, height * 0.2, height * 0.85, -radius * 0.65, 0.009)
        p.has("a handle")
    else:
        angle = np.linspace(0, np.pi, 11)
        p.tube([(radius * 0.7 * np.cos(a), 0, height * 0.9 + 0.1 * np.sin(a)) for a in angle], 0.008, "dark")
        p.has("a bow handle")
    p.has("a spout")


@category(
    "table",
    (0.15, 0.45),
    "jug, water pitcher",
    like="teapot, vase",
    materials="ceramic, plastic, metal",
    patterns="plain, striped, plain",
)
def pitcher(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.21, 0.28), rng.uniform(0.06, 0.075)
    waist = rng.uniform(0.6, 0.85)
    p.lathe(
        [
            (0, 0),
            (radius * 0.85, 0),
            (radius, height * 0.35),
            (radius * waist, height * 0.75),
            (radius * 0.9, height),
            (radius * 0.82, height),
            (radius * waist * 0.9, height * 0.75),
            (0, height * 0.4),
        ],
        sections=22,
    )
    p.box((0.05, 0.04, 0.045), (radius * 0.95, 0, height - 0.045), taper=(1, 1.2), shift=(0.02, 0))
    handle(p, -radius * 0.8, height * 0.3, height * 0.92, -rng.uniform(0.05, 0.065), 0.009)
    p.has("a handle")
    p.has("a lip")


@category("table", (0.27, 0.7), "skillet, frypan", like="plate, pot", materials="metal")
def frying_pan(p: Parts, rng: Rng) -> None:
    radius, height, handle = rng.uniform(0.11, 0.14), rng.uniform(0.035, 0.05), rng.uniform(0.16, 0.2)
    p.lathe(
        [
            (0, 0),
            (radius * 0.8, 0),
            (radius, height),
            (radius * 0.96, height),
            (radius * 0.78, 0.006),
            (0, 0.006),
        ],
        sections=26,
    )
    p.tube(
        [
            (-radius * 0.9, 0, height * 0.7),
            (-radius - 0.03, 0, height * 1.1),
            (-radius - handle, 0, height * 1.5),
        ],
        0.011,
        "dark",
    )
    p.has("a long handle")


@category(
    "table", (0.18, 0.5), "cooking pot, saucepan", like="frying pan, bucket", materials="metal, lacquer"
)
def pot(p: Parts, rng: Rng) -> None:
    radius, height = rng.uniform(0.1, 0.13), rng.uniform(0.11, 0.16)
    p.cylinder(radius, height, sections=26)
    for side in (1, -1):
        angle = np.linspace(-np.pi / 2, np.pi / 2, 7)
        p.tube(
            [(0.05 * np.sin(a), side * (radius + 0.04 * np.cos(a)), height * 0.8) for a in angle],
            0.008,
            "dark",
        )
    p.has("two handles")
    if rng.random() < 0.7:
        p.lathe(
            [(radius * 1.03, 0), (radius * 1.03, 0.008), (radius * 0.6, 0.028), (0, 0.034)],
            (0, 0, height),
            "metal",
            sections=26,
        )
        p.blob((0.04, 0.04, 0.035), (0, 0, height + 0.03), "dark", sections=10)
        p.has("a lid")
    else:
        p.lathe([(0, 0), (radius * 0.95, 0)], (0, 0, height + 0.001), "amber", sections=26)


@category("table", (0.3, 0.75), "microwave oven", like="oven, toaster", materials="lacquer, metal")
def microwave(p: Parts, rng: Rng) -> None:
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


@category("table", (0.2, 0.52), "bread toaster", like="microwave", materials="metal, lacquer")
def toaster(p: Parts, rng: Rng) -> None:
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


@category(
    "table", (0.22, 0.6), "mixer, smoothie maker", like="coffee maker, pitcher", materials="plastic, lacquer"
)
def blender(p: Parts, rng: Rng) -> None:
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


@category(
    "table",
    (0.22, 0.6),
    "coffee machine, coffee brewer",
    like="blender, toaster",
    materials="plastic, lacquer",
)
def coffee_maker(p: Parts, rng: Rng) -> None:
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
