"""What grows."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import Parts

Rng = np.random.Generator
SEASONS = ("green", "green", "green", "yellow", "orange", "red", "pink", "brown", "purple", "white")


@category(
    setting="street",
    spot="kerbside",
    extent=(2.4, 9.5),
    synonyms=("street tree", "leafy tree"),
    confusions=("potted plant", "lamppost"),
    materials=("leaves",),
    colors=SEASONS,
)
def tree(rng: Rng) -> Parts:
    p = Parts()
    height, trunk = rng.uniform(4.2, 6.5), rng.uniform(1.3, 2.1)
    if rng.random() < 0.3:
        tiers = int(rng.integers(3, 5))
        p.cylinder(0.16, trunk + 0.5, paint="bark", sections=10)
        for k in range(tiers):
            t = k / tiers
            p.cylinder(
                (1 - t * 0.75) * 1.35,
                (height - trunk) / tiers * 1.5,
                (0, 0, trunk * 0.7 + t * (height - trunk)),
                top=0.0,
                sections=14,
            )
        p.has("needles")
        return p
    p.cylinder(0.2, trunk + 1.0, paint="bark", top=0.1, sections=10)
    for _ in range(3):
        angle = rng.uniform(0, 2 * np.pi)
        p.rod((0, 0, trunk), (0.8 * np.cos(angle), 0.8 * np.sin(angle), trunk + 1.0), 0.06, "bark")
    crown = height - trunk
    p.blob((2.3, 2.3, crown * 0.9), (0, 0, trunk), sections=12)
    for _ in range(int(rng.integers(4, 8))):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.0)
        size = rng.uniform(1.1, 1.7)
        p.blob(
            (size, size, size * 0.9),
            (reach * np.cos(angle), reach * np.sin(angle), trunk + rng.uniform(0.05, 0.6) * crown),
            sections=10,
        )
    p.has("a round crown")
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.45, 1.75),
    synonyms=("houseplant", "pot plant"),
    confusions=("vase", "tree"),
    materials=("ceramic", "wicker"),
)
def potted_plant(rng: Rng) -> Parts:
    p = Parts()
    radius, tall = rng.uniform(0.15, 0.21), rng.uniform(0.24, 0.34)
    p.lathe(
        [
            (0, 0),
            (radius * 0.72, 0),
            (radius * 0.95, tall - 0.05),
            (radius * 1.06, tall - 0.05),
            (radius * 1.06, tall),
            (radius * 0.92, tall),
            (radius * 0.9, tall - 0.03),
            (0, tall - 0.03),
        ],
        sections=22,
    )
    p.lathe([(0, 0), (radius * 0.9, 0)], (0, 0, tall - 0.028), "soil")
    style = rng.choice(["fan", "bush", "cactus"])
    if style == "fan":
        for k in range(int(rng.integers(9, 15))):
            angle, lean, reach = rng.uniform(0, 2 * np.pi) + k, rng.uniform(0.15, 0.8), rng.uniform(0.4, 0.7)
            p.blob((0.03, 0.1, reach), (0, 0, tall - 0.04), "leaf", sections=8, turn=(0, lean, angle))
        p.has("long leaves")
    elif style == "bush":
        p.cylinder(0.025, 0.25, (0, 0, tall - 0.04), "bark", sections=8)
        for _ in range(int(rng.integers(6, 10))):
            angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.16)
            size = rng.uniform(0.18, 0.28)
            p.blob(
                (size, size, size),
                (reach * np.cos(angle), reach * np.sin(angle), tall + rng.uniform(0.05, 0.3)),
                "leaf",
                sections=9,
            )
        p.has("a round bush")
    else:
        trunk = rng.uniform(0.35, 0.6)
        p.blob((0.15, 0.15, trunk), (0, 0, tall - 0.04), "leaf", power=0.6)
        for side in (1, -1):
            z = tall + trunk * rng.uniform(0.25, 0.5)
            p.tube(
                [
                    (0, 0, z),
                    (0, side * 0.14, z + 0.01),
                    (0, side * 0.16, z + 0.05),
                    (0, side * 0.16, z + 0.2),
                ],
                0.04,
                "leaf",
            )
            p.blob((0.08, 0.08, 0.08), (0, side * 0.16, z + 0.16), "leaf", sections=8)
        p.has("a cactus")
    return p
