"""What stands in a bathroom."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import CORNERS, Parts

Rng = np.random.Generator


@category(
    setting="room",
    spot="wall",
    extent=(0.5, 1.2),
    synonyms=("lavatory", "water closet"),
    confusions=("chair", "bathtub"),
    materials=("ceramic",),
)
def toilet(rng: Rng) -> Parts:
    p = Parts()
    rim, length, width = rng.uniform(0.38, 0.42), rng.uniform(0.42, 0.5), rng.uniform(0.34, 0.38)
    squash = width / length
    p.lathe(
        [
            (0, 0),
            (length * 0.3, 0),
            (length * 0.26, rim * 0.4),
            (length * 0.5, rim - 0.04),
            (length * 0.5, rim),
            (length * 0.36, rim),
            (length * 0.2, rim * 0.6),
            (0, rim * 0.55),
        ],
        (0.08, 0, 0),
        squash=squash,
        sections=22,
    )
    lid_up = rng.random() < 0.5
    tank = rng.uniform(0.32, 0.4)
    p.blob((0.2, width + 0.04, tank), (-length / 2 - 0.02, 0, rim - 0.04), power=0.2)
    p.blob((0.23, width + 0.07, 0.05), (-length / 2 - 0.02, 0, rim + tank - 0.05), power=0.3)
    p.rod(
        (-length / 2 + 0.09, width * 0.3, rim + tank - 0.1),
        (-length / 2 + 0.09, width * 0.45, rim + tank - 0.1),
        0.01,
        "metal",
    )
    lid = [(0, 0), (length * 0.48, 0), (length * 0.48, 0.025), (0, 0.03)]
    if lid_up:
        p.lathe(
            lid,
            (-length / 2 + 0.12, 0, rim + length * 0.45),
            squash=squash,
            turn=(0, -np.pi / 2 - 0.15 + np.pi, 0),
        )
        p.has("an open lid")
    else:
        p.lathe(lid, (0.07, 0, rim), squash=squash)
        p.has("a closed lid")
    return p


@category(
    setting="room",
    spot="wall",
    extent=(1.0, 2.4),
    synonyms=("bath", "tub"),
    confusions=("toilet", "bed"),
    materials=("ceramic",),
)
def bathtub(rng: Rng) -> Parts:
    p = Parts()
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
    p.tube(
        [
            (0, length * 0.47, height - 0.1),
            (0, length * 0.47, height + 0.22),
            (0, length * 0.36, height + 0.25),
            (0, length * 0.35, height + 0.17),
        ],
        0.02,
        "metal",
    )
    p.has("a tap")
    return p
