"""What lies and stands about in a house."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import Parts

Rng = np.random.Generator


@category(
    setting="room",
    spot="floor",
    extent=(0.65, 1.45),
    synonyms=("acoustic guitar",),
    confusions=("umbrella",),
    materials=("lacquer",),
)
def guitar(rng: Rng) -> Parts:
    p = Parts()
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
            p.rod(
                (back(1.0) + x, side * 0.03, 0.94 + 0.035 * k),
                (back(1.0) + x, side * 0.065, 0.94 + 0.035 * k),
                0.006,
                "metal",
                sections=6,
            )
    for side in (1, -1):
        p.rod((x + 0.06, side * 0.12, 0), (back(0.7) - 0.02, side * 0.02, 0.6), 0.01, "dark")
    p.rod((-0.32, 0, 0), (back(0.7) - 0.02, 0, 0.6), 0.01, "dark")
    p.has("a long neck")
    p.has("a sound hole")
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.95, 2.5),
    synonyms=("stepladder", "step ladder"),
    confusions=("stool", "easel"),
    materials=("metal", "wood"),
)
def ladder(rng: Rng) -> Parts:
    p = Parts()
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
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.6, 1.5),
    synonyms=("parasol", "brolly"),
    confusions=("lamp",),
    materials=("fabric",),
    patterns=("plain", "striped", "dotted"),
)
def umbrella(rng: Rng) -> Parts:
    p = Parts()
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
        p.rod(
            (0, 0, 0.6),
            (0.75 * radius * np.cos(angle), 0.75 * radius * np.sin(angle), 0.66),
            0.004,
            "metal",
            sections=4,
        )
    p.rod((0, 0, 0.08), (0, 0, 0.86), 0.009, "metal")
    hook = np.linspace(0, np.pi, 7)
    p.tube([(0.04 - 0.04 * np.cos(a), 0, 0.08 - 0.06 * np.sin(a)) for a in hook], 0.013, "wood")
    p.has("a curved handle")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.26, 0.72),
    synonyms=("terrestrial globe", "world globe"),
    confusions=("soccer ball", "alarm clock"),
    materials=("leaves",),
)
def globe(rng: Rng) -> Parts:
    p = Parts()
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
        p.blob(
            (0.03, 0.03, 0.03),
            (end[0] * (radius + 0.01), 0, z + end[2] * (radius + 0.01) - 0.015),
            stand,
            sections=8,
        )
    p.has("a stand")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.16, 0.55),
    synonyms=("novel", "hardback book"),
    confusions=("laptop", "box"),
    materials=("paper", "leather"),
    patterns=("plain", "plain", "striped"),
)
def book(rng: Rng) -> Parts:
    p = Parts()
    height, width = rng.uniform(0.22, 0.3), rng.uniform(0.15, 0.2)
    if rng.random() < 0.4:  # lying open
        for side in (1, -1):
            p.box((height, width, 0.006), (0, side * width / 2, 0), turn=(side * 0.06, 0, 0))
            p.blob((height * 0.95, width * 0.95, 0.035), (0, side * width * 0.5, 0.004), "paper", power=0.4)
            for k in range(6):
                p.box(
                    (0.006, width * 0.66, 0.001),
                    ((k - 2.5) * height * 0.13, side * width * 0.5, 0.0395),
                    "dark",
                )
        p.has("open pages")
        return p
    count = int(rng.integers(1, 4))
    z = 0.0
    for k in range(count):
        thick, turn = rng.uniform(0.025, 0.05), rng.normal(0, 0.25)
        cover = "main" if k != 1 else "second"
        c, s = np.cos(turn), np.sin(turn)
        p.box((height, width, 0.004), (0, 0, z), cover, turn=(0, 0, turn))
        p.box(
            (height * 0.96, width * 0.97, thick - 0.006),
            (0.003 * s, -0.003 * c, z + 0.003),
            "paper",
            turn=(0, 0, turn),
        )
        p.box((height, width, 0.004), (0, 0, z + thick - 0.004), cover, turn=(0, 0, turn))
        p.box((height, 0.005, thick), (-s * width / 2, c * width / 2, z), cover, turn=(0, 0, turn))
        z += thick
    p.has("a stack of books" if count > 1 else "a closed cover")
    return p


@category(
    setting="room",
    spot="floor",
    extent=(1.0, 2.4),
    synonyms=("painter's easel", "art stand"),
    confusions=("ladder",),
    materials=("wood", "lacquer"),
)
def easel(rng: Rng) -> Parts:
    p = Parts()
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
        p.box(
            (0.03, wide * 0.25, tall * 0.28),
            (x + 0.016 + np.sin(lean) * dz, y, z + 0.03 + dz),
            paint,
            turn=(0, lean, 0),
        )
    p.has("a painting")
    p.has("three legs")
    return p
