"""Household appliances and lamps."""

from __future__ import annotations

import numpy as np

from data_prep.world.category import category
from data_prep.world.solids import CORNERS, Parts

Rng = np.random.Generator


@category("wall", (1.0, 2.6), "fridge, icebox", like="oven, bookcase", materials="lacquer, metal")
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
        p.rod(
            (-depth / 2 - 0.012, -width * 0.4, z),
            (-depth / 2 - 0.012, width * 0.4, z),
            0.008,
            "dark",
            sections=5,
        )
    p.box((0.12, width * 0.8, 0.22), (-depth / 2 + 0.03, 0, 0.04), "dark")


@category("wall", (0.6, 1.3), "washer, automatic washer", like="oven, microwave", materials="lacquer")
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
        p.tube(
            [
                (-x, y, height - 0.12),
                (-x - 0.06, y, height - 0.1),
                (-x - 0.07, y, height * 0.5),
                (-x - 0.03, y, 0.05),
            ],
            0.018,
            "light",
        )
    p.has("a round door")


@category(
    "wall", (0.7, 1.6), "stove, cooker", like="washing machine, refrigerator", materials="lacquer, metal"
)
def oven(p: Parts, rng: Rng) -> None:
    height, width, depth = rng.uniform(0.86, 0.92), rng.uniform(0.58, 0.76), rng.uniform(0.58, 0.64)
    p.box((depth, width, height - 0.06), (0, 0, 0.06))
    p.box((depth * 0.9, width * 0.94, 0.06), (0, 0, 0), "dark")
    x = depth / 2
    p.box((0.03, width * 0.9, height * 0.5), (x, 0, 0.22), "second")
    p.box((0.034, width * 0.66, height * 0.28), (x, 0, 0.3), "glass")
    p.rod(
        (x + 0.05, -width * 0.4, 0.22 + height * 0.46),
        (x + 0.05, width * 0.4, 0.22 + height * 0.46),
        0.014,
        "metal",
    )
    for k in range(5):
        p.disc(0.024, 0.05, (x + 0.01, (k - 2) * width * 0.17, height - 0.07), "x", "dark", sections=10)
    for sx, sy in CORNERS:  # burners and their grates
        at = (sx * depth * 0.23 + 0.02, sy * width * 0.24)
        p.cylinder(0.06, 0.02, (*at, height), "dark", sections=14)
        p.rod(
            (at[0] - 0.1, at[1], height + 0.03),
            (at[0] + 0.1, at[1], height + 0.03),
            0.008,
            "dark",
            sections=4,
        )
        p.rod(
            (at[0], at[1] - 0.1, height + 0.03),
            (at[0], at[1] + 0.1, height + 0.03),
            0.008,
            "dark",
            sections=4,
        )
    p.box((0.04, width, rng.uniform(0.12, 0.3)), (-x + 0.02, 0, height))
    p.has("four burners")


@category("table", (0.45, 1.35), "tv, television set", like="laptop", materials="plastic, lacquer")
def television(p: Parts, rng: Rng) -> None:
    width = rng.uniform(0.62, 0.98)
    tall, foot = width * 0.58, rng.uniform(0.06, 0.1)
    rim = 0.025
    if rng.random() < 0.3:  # a tube set
        depth = width * 0.55
        width, tall = width * 0.75, width * 0.58
        p.blob((0.12, width, tall), (depth / 2 - 0.06, 0, 0.02), power=0.2)
        p.box(
            (tall * 0.9, width * 0.88, depth * 0.9),
            (depth / 2 - 0.08, 0, tall / 2 + 0.02),
            taper=(0.55, 0.55),
            turn=(0, -np.pi / 2, 0),
        )
        p.box(
            (0.03, width * 0.7, tall * 0.76),
            (depth / 2 - 0.005, -width * 0.06, 0.02 + tall * 0.13),
            "picture",
        )
        for k in range(2):
            p.disc(0.02, 0.04, (depth / 2, width * 0.4, tall * (0.5 + 0.2 * k)), "x", "dark", sections=10)
        for side in (1, -1):
            p.rod((0, 0, tall), (-0.05, side * 0.22, tall + 0.26), 0.006, "metal", sections=5)
        p.has("an antenna")
        return
    p.box((0.035, width, tall), (0, 0, foot))
    p.box(
        (0.037, width - 2 * rim, tall - 2 * rim),
        (0.003, 0, foot + rim),
        "picture" if rng.random() < 0.6 else "screen",
    )
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
    "table",
    (0.22, 0.62),
    "laptop computer, notebook computer",
    like="television, book",
    materials="metal, plastic",
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
    p.box(
        (0.006, width * 0.92, depth * 0.86),
        (hinge[0] + 0.006 - s * 0.014, 0, 0.012 + c * 0.014),
        "picture" if rng.random() < 0.7 else "screen",
        turn=(0, -open_by, 0),
    )
    p.has("a keyboard")
    p.has("an open screen")


@category("floor", (0.7, 1.85), "electric fan, standing fan", like="lamp", materials="plastic, metal")
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
        p.tube(
            [
                (0.13, 0.15 * c, height + 0.15 * s),
                (0.12, 0.72 * c, height + 0.72 * s),
                (0.07, c, height + s),
                (0.02, 0.72 * c, height + 0.72 * s),
            ],
            0.004,
            sections=4,
        )
    blades = int(rng.integers(3, 6))
    for k in range(blades):
        angle = 2 * np.pi * k / blades
        p.blob(
            (0.02, radius * 0.55, radius * 0.85),
            (0.06, 0, height),
            "clear" if rng.random() < 0.3 else "second",
            sections=8,
            turn=(angle, 0, 0),
        )
    p.disc(0.05, 0.06, (0.08, 0, height), "x", "main", sections=14)
    p.has(f"{('three', 'four', 'five')[blades - 3]} blades")


@category("table", (0.13, 0.32), "clock, bedside clock", like="globe, toaster", materials="metal, lacquer")
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
        p.rod(
            (x + 0.002, 0, z),
            (x + 0.002, radius * length * np.sin(angle), z + radius * length * np.cos(angle)),
            thick,
            "dark",
            sections=4,
        )
    for side in (1, -1):
        p.blob(
            (0.045, 0.055, 0.04),
            (0, side * radius * 0.62, z + radius * 0.84),
            "gold",
            sections=12,
            turn=(-side * 0.6, 0, 0),
        )
        p.rod((0, side * radius * 0.5, 0.03), (0.0, side * radius * 0.72, 0), 0.008, "gold")
    p.tube(
        [
            (0, 0.022, z + radius),
            (0, 0.018, z + radius + 0.045),
            (0, -0.018, z + radius + 0.045),
            (0, -0.022, z + radius),
        ],
        0.004,
        "dark",
    )
    p.has("two bells")


@category("floor", (1.0, 2.5), "floor lamp, standing lamp", like="table lamp, fan", materials="fabric, metal")
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


@category(
    "table", (0.27, 0.85), "bedside lamp, reading lamp", like="lamp, vase", materials="ceramic, lacquer"
)
def table_lamp(p: Parts, rng: Rng) -> None:
    body, girth = rng.uniform(0.16, 0.24), rng.uniform(0.07, 0.1)
    belly = rng.uniform(0.3, 0.6)
    p.lathe(
        [
            (0, 0),
            (girth * 0.8, 0),
            (girth * 0.8, 0.015),
            (girth * 0.5, 0.03),
            (girth, body * belly),
            (girth * 0.75, body * 0.85),
            (0.015, body),
            (0, body),
        ],
        sections=20,
    )
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
