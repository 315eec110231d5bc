"""Tables, storage, lamps and what else furnishes a room."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import CORNERS, Parts

Rng = np.random.Generator


@category(
    setting="room",
    spot="center",
    extent=(0.6, 2.7),
    synonyms=("dining table", "kitchen table"),
    confusions=("desk", "coffee table"),
    materials=("wood", "wood", "plastic"),
)
def table(rng: Rng) -> Parts:
    p = Parts()
    height, thick = rng.uniform(0.70, 0.77), rng.uniform(0.03, 0.06)
    if rng.random() < 0.4:
        radius = rng.uniform(0.42, 0.65)
        p.cylinder(radius, thick, (0, 0, height - thick), sections=28)
        p.cylinder(0.05, height - thick, paint="second")
        p.cylinder(radius * 0.6, 0.04, paint="second", top=radius * 0.5)
        p.has("a round top")
        p.top = (radius * 0.68, radius * 0.68, height)
        return p
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
    return p


@category(
    setting="room",
    spot="wall",
    extent=(0.75, 2.2),
    synonyms=("writing desk", "office desk"),
    confusions=("table",),
    materials=("wood", "plastic"),
)
def desk(rng: Rng) -> Parts:
    p = Parts()
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
                p.rod(
                    (width * 0.48 + 0.015, y - 0.06, z + 0.08),
                    (width * 0.48 + 0.015, y + 0.06, z + 0.08),
                    0.008,
                    "metal",
                )
        else:
            p.box((width * 0.9, 0.04, height - thick), (0, side * (length / 2 - 0.04), 0))
    p.box((0.02, length * 0.9, height * 0.35), (-width * 0.42, 0, height * 0.6), "second")
    p.has("drawers")
    p.top = (width / 2, length / 2, height)
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.55, 1.8),
    synonyms=("cocktail table", "low table"),
    confusions=("table", "stool"),
    materials=("wood", "lacquer"),
)
def coffee_table(rng: Rng) -> Parts:
    p = Parts()
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
        p.rod(
            (sx * width * (spread + 0.05), sy * length * (spread + 0.05), 0),
            (sx * width * spread, sy * length * spread, height - 0.03),
            0.022,
        )
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
    return p


@category(
    setting="room",
    spot="wall",
    extent=(0.9, 2.8),
    synonyms=("bookshelf", "shelf unit"),
    confusions=("dresser",),
    materials=("wood", "lacquer"),
)
def bookcase(rng: Rng) -> Parts:
    p = Parts()
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
    return p


@category(
    setting="room",
    spot="wall",
    extent=(0.8, 2.4),
    synonyms=("chest of drawers", "commode"),
    confusions=("desk", "bookcase"),
    materials=("wood", "lacquer"),
)
def dresser(rng: Rng) -> Parts:
    p = Parts()
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
            p.blob(
                (0.05, 0.05, 0.05),
                (depth / 2 + 0.03, y, z + (height - leg) / rows * 0.33),
                "gold",
                sections=8,
            )
    # The mirror makes it a dresser from behind, too.
    tall, wide = rng.uniform(0.5, 0.7), width * rng.uniform(0.55, 0.75)
    if rng.random() < 0.5:
        p.disc(tall / 2, 0.03, (-depth * 0.35, 0, height + tall / 2 + 0.05), "x", "second", sections=24)
        p.disc(
            tall / 2 - 0.04,
            0.032,
            (-depth * 0.35 + 0.004, 0, height + tall / 2 + 0.05),
            "x",
            "clear",
            sections=24,
        )
        p.has("a round mirror")
    else:
        p.box((0.03, wide, tall), (-depth * 0.35, 0, height + 0.05), "second")
        p.box((0.03, wide - 0.08, tall - 0.08), (-depth * 0.35 + 0.004, 0, height + 0.09), "clear")
        p.has("a mirror")
    for side in (1, -1):
        p.rod(
            (-depth * 0.35, side * wide * 0.3, height),
            (-depth * 0.35, side * wide * 0.3, height + 0.1),
            0.015,
            "second",
        )
    p.has("drawers")
    return p
