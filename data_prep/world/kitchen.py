"""Categories: tableware, cookware and kitchen appliances."""

from __future__ import annotations

import numpy as np

from data_prep.world.category import category
from data_prep.world.solids import CORNERS, Parts, path

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
    of="ceramic",
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


@category("table", (0.095, 0.26), "wineglass, goblet", like="vase, candle", of="glass")
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


@category("table", (0.15, 0.45), "wine bottle, flask", like="vase, candle", of="glass, plastic")
def bottle(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.22, 0.31), rng.uniform(0.033, 0.042)
    shoulder = height * rng.uniform(0.5, 0.66)
    neck = radius * rng.uniform(0.3, 0.4)
    radii = (0, radius * 0.95, radius, radius, radius * 0.75, neck, neck, 0)
    heights = (0, 0, 0.01, shoulder, shoulder + 0.03, shoulder + 0.06, height, height)
    p.lathe(zip(radii, heights, strict=True), sections=20)
    p.cylinder(neck * 1.25, 0.022, (0, 0, height - 0.012), "dark" if rng.random() < 0.5 else "gold")
    if rng.random() < 0.75:
        p.cylinder(radius * 1.015, shoulder * 0.45, (0, 0, shoulder * 0.3), "paper", sections=20)
        p.has("a label")


@category(
    "table",
    (0.1, 0.36),
    "salad bowl, dish",
    like="plate, mug",
    of="ceramic, wood",
    patterns="plain, striped, dotted",
)
def bowl(p: Parts, rng: Rng) -> None:
    radius, height = rng.uniform(0.08, 0.12), rng.uniform(0.06, 0.085)
    radii = (0, radius * 0.4, radius * 0.42, radius * 0.8, radius, radius * 0.94, radius * 0.7, 0)
    heights = (0, 0, 0.008, height * 0.5, height, height, height * 0.45, 0.018)
    p.lathe(zip(radii, heights, strict=True), sections=26)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(3, 6))):
            angle, spread = rng.uniform(0, 2 * np.pi), radius * 0.4
            paint = ("taillight", "amber", "leaf")[rng.integers(3)]
            size = (0.07, 0.07, 0.065)
            p.blob(size, (spread * np.cos(angle), spread * np.sin(angle), height * 0.55), paint, sections=10)
        p.has("fruit")


@category(
    "table", (0.14, 0.4), "dinner plate, saucer", like="bowl", of="ceramic", patterns="plain, dotted, striped"
)
def plate(p: Parts, rng: Rng) -> None:
    radius, height = rng.uniform(0.1, 0.14), rng.uniform(0.016, 0.026)
    radii = (0, radius * 0.6, radius, radius * 0.97, radius * 0.62, 0)
    heights = (0, 0, height, height + 0.003, 0.006, 0.006)
    p.lathe(zip(radii, heights, strict=True), sections=28)
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
    of="ceramic, glass",
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


@category("table", (0.14, 0.55), "candlestick, wax candle", like="wine glass, bottle", of="plastic")
def candle(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.14, 0.24), rng.uniform(0.014, 0.022)
    base = 0.02
    radii: tuple[float, ...] = (0, 0.055, 0.06, 0.02, 0.016, 0)
    heights: tuple[float, ...] = (0, 0, 0.012, 0.016, 0.03, 0.03)
    p.lathe(zip(radii, heights, strict=True), paint="gold", sections=20)
    if rng.random() < 0.5:
        stand = rng.uniform(0.06, 0.12)
        radii = (0.012, 0.008, 0.02, 0.008, 0.028, 0)
        heights = (0.02, stand * 0.5, stand * 0.6, stand * 0.7, stand, stand)
        p.lathe(zip(radii, heights, strict=True), paint="gold")
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
    of="ceramic, metal",
    patterns="plain, dotted, plain",
)
def teapot(p: Parts, rng: Rng) -> None:
    radius, height = rng.uniform(0.075, 0.1), rng.uniform(0.1, 0.14)
    radii = (0, radius * 0.65, radius, radius * 0.9, radius * 0.5, 0)
    heights = (0, 0, height * 0.4, height * 0.75, height, height * 1.08)
    p.lathe(zip(radii, heights, strict=True), sections=22)
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
    of="ceramic, plastic, metal",
    patterns="plain, striped, plain",
)
def pitcher(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.21, 0.28), rng.uniform(0.06, 0.075)
    waist = rng.uniform(0.6, 0.85)
    radii = (0, radius * 0.85, radius, radius * waist, radius * 0.9, radius * 0.82, radius * waist * 0.9, 0)
    heights = (0, 0, height * 0.35, height * 0.75, height, height, height * 0.75, height * 0.4)
    p.lathe(zip(radii, heights, strict=True), sections=22)
    p.box((0.05, 0.04, 0.045), (radius * 0.95, 0, height - 0.045), taper=(1, 1.2), shift=(0.02, 0))
    handle(p, -radius * 0.8, height * 0.3, height * 0.92, -rng.uniform(0.05, 0.065), 0.009)
    p.has("a handle")
    p.has("a lip")


@category("table", (0.27, 0.7), "skillet, frypan", like="plate, pot", of="metal")
def frying_pan(p: Parts, rng: Rng) -> None:
    radius, height, handle = rng.uniform(0.11, 0.14), rng.uniform(0.035, 0.05), rng.uniform(0.16, 0.2)
    radii = (0, radius * 0.8, radius, radius * 0.96, radius * 0.78, 0)
    heights = (0, 0, height, height, 0.006, 0.006)
    p.lathe(zip(radii, heights, strict=True), sections=26)
    xs, zs = (-radius * 0.9, -radius - 0.03, -radius - handle), (height * 0.7, height * 1.1, height * 1.5)
    p.tube(path(xs, 0, zs), 0.011, "dark")
    p.has("a long handle")


@category("table", (0.18, 0.5), "cooking pot, saucepan", like="frying pan, bucket", of="metal, lacquer")
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
        radii = (radius * 1.03, radius * 1.03, radius * 0.6, 0)
        heights = (0, 0.008, 0.028, 0.034)
        p.lathe(zip(radii, heights, strict=True), (0, 0, height), "metal", sections=26)
        p.blob((0.04, 0.04, 0.035), (0, 0, height + 0.03), "dark", sections=10)
        p.has("a lid")
    else:
        p.lathe([(0, 0), (radius * 0.95, 0)], (0, 0, height + 0.001), "amber", sections=26)


@category("table", (0.3, 0.75), "microwave oven", like="oven, toaster", of="lacquer, metal")
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


@category("table", (0.2, 0.52), "bread toaster", like="microwave", of="metal, lacquer")
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


@category("table", (0.22, 0.6), "mixer, smoothie maker", like="coffee maker, pitcher", of="plastic, lacquer")
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
    xs = (-radius * 0.9, -radius - 0.045, -radius - 0.04, -radius * 0.65)
    zs = (base + jar * 0.92, base + jar * 0.85, base + jar * 0.3, base + jar * 0.15)
    p.tube(path(xs, 0, zs), 0.012)
    p.has("a clear jar")


@category(
    "table", (0.22, 0.6), "coffee machine, coffee brewer", like="blender, toaster", of="plastic, lacquer"
)
def coffee_maker(p: Parts, rng: Rng) -> None:
    height, width, depth = rng.uniform(0.32, 0.4), rng.uniform(0.17, 0.21), rng.uniform(0.2, 0.24)
    p.blob((depth, width, 0.045), power=0.2)
    p.blob((depth * 0.42, width, height), (-depth * 0.29, 0, 0), power=0.2)
    p.blob((depth, width, height * 0.3), (0, 0, height * 0.7), power=0.2)
    pot, tall = width * 0.4, height * 0.42
    x = depth * 0.22
    radii: tuple[float, ...] = (0, pot * 0.85, pot, pot * 0.86)
    heights: tuple[float, ...] = (0, 0, tall * 0.35, tall * 0.6)
    p.lathe(zip(radii, heights, strict=True), (x, 0, 0.045), "coffee", sections=20)
    radii = (pot * 0.86, pot * 0.65, pot * 0.7)
    heights = (tall * 0.6, tall * 0.85, tall)
    p.lathe(zip(radii, heights, strict=True), (x, 0, 0.045), "clear", sections=20)
    p.cylinder(pot * 0.72, 0.02, (x, 0, 0.045 + tall), "dark")
    xs = (x + pot * 0.7, x + pot + 0.05, x + pot + 0.045, x + pot * 0.95)
    zs = (0.05 + tall * 0.95, 0.05 + tall * 0.9, 0.05 + tall * 0.35, 0.05 + tall * 0.3)
    p.tube(path(xs, 0, zs), 0.01, "dark")
    p.box((0.01, width * 0.4, 0.04), (depth / 2 - 0.004, 0, height * 0.83), "dark")
    p.disc(0.012, 0.02, (depth / 2, width * 0.32, height * 0.85), "x", "taillight", sections=10)
    p.has("a glass pot")


@category("wall", (1.0, 2.6), "fridge, icebox", like="oven, bookcase", of="lacquer, metal")
def refrigerator(p: Parts, rng: Rng) -> None:
    height, width, depth = rng.uniform(1.55, 1.9), rng.uniform(0.6, 0.75), rng.uniform(0.58, 0.66)
    p.box((depth - 0.06, width, height - 0.04), (-0.03, 0, 0.04))
    double = rng.random() < 0.35
    split = rng.uniform(0.3, 0.68) * height
    x = depth / 2 - 0.025
    if double:
        for side in (1, -1):
            p.blob((0.07, width / 2 - 0.006, height - 0.06), (x, side * width / 4, 0.05), power=0.12)
            p.rod(
                (x + 0.06, side * 0.05, height * 0.35), (x + 0.06, side * 0.05, height * 0.75), 0.014, "metal"
            )
        p.has("two doors side by side")
    else:
        p.blob((0.07, width - 0.006, split - 0.06), (x, 0, 0.05), power=0.12)
        p.blob((0.07, width - 0.006, height - split - 0.01), (x, 0, split), power=0.12)
        for z in ((split - 0.4, split - 0.08), (split + 0.08, split + 0.35)):
            p.rod((x + 0.06, width * 0.4, z[0]), (x + 0.06, width * 0.4, z[1]), 0.014, "metal")
        p.has("two doors")
    for z in np.linspace(
        0.35, height - 0.2, 9
    ):  # the condenser: nothing else in the house looks so from behind
        start = (-depth / 2 - 0.012, -width * 0.4, z)
        p.rod(start, (-depth / 2 - 0.012, width * 0.4, z), 0.008, "dark", sections=5)
    p.box((0.12, width * 0.8, 0.22), (-depth / 2 + 0.03, 0, 0.04), "dark")


@category("wall", (0.7, 1.6), "stove, cooker", like="washing machine, refrigerator", of="lacquer, metal")
def oven(p: Parts, rng: Rng) -> None:
    height, width, depth = rng.uniform(0.86, 0.92), rng.uniform(0.58, 0.76), rng.uniform(0.58, 0.64)
    p.box((depth, width, height - 0.06), (0, 0, 0.06))
    p.box((depth * 0.9, width * 0.94, 0.06), (0, 0, 0), "dark")
    x = depth / 2
    p.box((0.03, width * 0.9, height * 0.5), (x, 0, 0.22), "second")
    p.box((0.034, width * 0.66, height * 0.28), (x, 0, 0.3), "glass")
    start = (x + 0.05, -width * 0.4, 0.22 + height * 0.46)
    p.rod(start, (x + 0.05, width * 0.4, 0.22 + height * 0.46), 0.014, "metal")
    for k in range(5):
        p.disc(0.024, 0.05, (x + 0.01, (k - 2) * width * 0.17, height - 0.07), "x", "dark", sections=10)
    for sx, sy in CORNERS:  # burners and their grates
        at = (sx * depth * 0.23 + 0.02, sy * width * 0.24)
        p.cylinder(0.06, 0.02, (*at, height), "dark", sections=14)
        start = (at[0] - 0.1, at[1], height + 0.03)
        p.rod(start, (at[0] + 0.1, at[1], height + 0.03), 0.008, "dark", sections=4)
        start = (at[0], at[1] - 0.1, height + 0.03)
        p.rod(start, (at[0], at[1] + 0.1, height + 0.03), 0.008, "dark", sections=4)
    p.box((0.04, width, rng.uniform(0.12, 0.3)), (-x + 0.02, 0, height))
    p.has("four burners")


@category("wall", (0.6, 1.3), "washer, automatic washer", like="oven, microwave", of="lacquer")
def washing_machine(p: Parts, rng: Rng) -> None:
    height, width, depth = rng.uniform(0.83, 0.9), rng.uniform(0.58, 0.64), rng.uniform(0.55, 0.62)
    p.box((depth, width, height - 0.04), (0, 0, 0.04))
    for sx, sy in CORNERS:
        p.cylinder(0.025, 0.05, (sx * depth * 0.4, sy * width * 0.4, 0), "dark", sections=8)
    x, radius = depth / 2, rng.uniform(0.19, 0.23)
    p.disc(radius, 0.05, (x + 0.01, 0, height * 0.45), "x", "metal", sections=28)
    p.lathe(
        [(radius * 0.78, 0), (radius * 0.5, 0.04), (0, 0.05)],
        (x + 0.034, 0, height * 0.45),
        "glass",
        turn=(0, np.pi / 2, 0),
        sections=24,
    )
    p.box((0.02, width * 0.96, 0.11), (x, 0, height - 0.13), "light")
    p.disc(0.035, 0.05, (x + 0.02, -width * 0.05, height - 0.075), "x", "dark", sections=14)
    p.box((0.03, width * 0.3, 0.08), (x, width * 0.3, height - 0.115), "second")
    # Hoses and a drum's cover behind.
    p.disc(width * 0.36, 0.03, (-x, 0, height * 0.48), "x", "steel", sections=24)
    for y in (-0.16, 0.18):
        xs, zs = (-x, -x - 0.06, -x - 0.07, -x - 0.03), (height - 0.12, height - 0.1, height * 0.5, 0.05)
        p.tube(path(xs, y, zs), 0.018, "light")
    p.has("a round door")
