"""Who walks there, and what stands along a street."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import Parts

Rng = np.random.Generator


@category(
    setting="street",
    spot="walk",
    extent=(1.05, 2.6),
    synonyms=("person", "walker"),
    confusions=("fire hydrant", "traffic cone"),
    materials=("fabric",),
    patterns=("plain", "plain", "striped", "checkered"),
)
def pedestrian(rng: Rng) -> Parts:
    p = Parts()
    height = rng.uniform(1.6, 1.85)
    hip, shoulder, girth = height * 0.48, height * 0.81, rng.uniform(0.24, 0.34)
    stride = rng.uniform(-0.35, 0.35)
    skirt = rng.random() < 0.25
    for side, swing in ((1, stride), (-1, -stride)):
        foot = (np.sin(swing) * hip * 0.7, side * 0.09, 0.05)
        p.tube(
            [(0, side * 0.09, hip), (foot[0] * 0.4 + 0.03, side * 0.09, hip * 0.52), foot],
            0.07,
            "skin" if skirt else "cloth",
        )
        p.blob((0.27, 0.1, 0.1), (foot[0] + 0.05, foot[1], 0), "dark", sections=8)
        hand = (-np.sin(swing) * 0.35 + 0.04, side * (girth / 2 + 0.13), hip - 0.02)
        p.tube(
            [
                (0, side * (girth / 2 + 0.05), shoulder - 0.03),
                (-0.03 - np.sin(swing) * 0.1, side * (girth / 2 + 0.1), (shoulder + hip) / 2),
                hand,
            ],
            0.05,
        )
        p.blob((0.09, 0.07, 0.12), (hand[0], hand[1], hand[2] - 0.09), "skin", sections=8)
    coat = rng.uniform(0.0, 0.2)
    p.blob((0.25, girth + 0.14, shoulder - hip + 0.1 + coat), (0, 0, hip - 0.04 - coat), power=0.55)
    if skirt:
        p.lathe([(0.27, 0), (0.14, 0.45)], (0, 0, hip - 0.38), squash=0.95)
        p.has("a skirt")
    p.cylinder(0.055, 0.1, (0, 0, shoulder), "skin", sections=10)
    head = shoulder + 0.07
    p.blob((0.2, 0.17, height - head), (0.01, 0, head), "skin", sections=12)
    if rng.random() < 0.3:
        p.lathe([(0.15, 0), (0.1, 0.01), (0.095, 0.1), (0, 0.12)], (0, 0, height - 0.1), "dark")
        p.has("a hat")
    else:
        p.blob(
            (0.21, 0.19, (height - head) * 0.6),
            (-0.025, 0, head + (height - head) * 0.45),
            "hair",
            sections=12,
        )
    if rng.random() < 0.3:
        p.blob((0.16, 0.28, 0.4), (-0.18, 0, hip + 0.1), "dark", power=0.5, sections=10)
        p.has("a backpack")
    return p


@category(
    setting="street",
    spot="road edge",
    extent=(0.35, 1.2),
    synonyms=("cone", "safety cone"),
    confusions=("fire hydrant",),
    materials=("plastic",),
    colors=(
        "orange",
        "orange",
        "orange",
        "red",
        "yellow",
        "green",
        "blue",
        "pink",
        "purple",
        "white",
        "black",
    ),
)
def traffic_cone(rng: Rng) -> Parts:
    p = Parts()
    height, radius = rng.uniform(0.5, 0.8), rng.uniform(0.13, 0.17)
    tip = 0.03
    p.box((radius * 2.7, radius * 2.7, 0.035), paint="dark" if rng.random() < 0.5 else "main")
    p.cylinder(radius, height - 0.03, (0, 0, 0.03), top=tip, sections=20)
    bands = int(rng.integers(1, 3))
    for k in range(bands):
        low, high = (0.38, 0.55) if k == 0 else (0.68, 0.8)
        at = [radius + (tip - radius) * t + 0.004 for t in (low, high)]
        p.lathe(
            [(at[0], 0), (at[1], (high - low) * (height - 0.03))],
            (0, 0, 0.03 + low * (height - 0.03)),
            "stripe",
            sections=20,
        )
    p.has("one white band" if bands == 1 else "two white bands")
    return p


@category(
    setting="street",
    spot="road edge",
    extent=(0.9, 2.8),
    synonyms=("road barrier", "barricade"),
    confusions=("bench",),
    materials=("plastic",),
)
def barrier(rng: Rng) -> Parts:
    p = Parts()
    length, height = rng.uniform(1.3, 1.9), rng.uniform(0.85, 1.05)
    if rng.random() < 0.5:
        profile = [(-0.3, 0.12), (-0.12, 0.35), (-0.08, height), (0.08, height), (0.12, 0.35), (0.3, 0.12)]
        p.ridge(profile, length)
        for y in (-0.3, 0.3):
            p.box((0.19, length * 0.16, 0.14), (0, y * length, height * 0.7), "stripe")
        p.has("a solid body")
        return p
    for side in (1, -1):
        y = side * length * 0.4
        p.rod((-0.25, y, 0), (0, y, height), 0.025, "steel", sections=4)
        p.rod((0.25, y, 0), (0, y, height), 0.025, "steel", sections=4)
    for z in (height - 0.24, height - 0.6):
        cells = 6
        for k in range(cells):
            y = (k + 0.5 - cells / 2) * length / cells
            p.box((0.05, length / cells, 0.22), (0, y, z), "main" if k % 3 else "stripe")
    p.has("two boards")
    return p


@category(
    setting="street",
    spot="kerbside",
    extent=(3.0, 8.6),
    synonyms=("street lamp", "streetlight"),
    confusions=("traffic light", "stop sign"),
    materials=("metal",),
)
def lamppost(rng: Rng) -> Parts:
    p = Parts()
    height = rng.uniform(4.3, 6.2)
    p.cylinder(0.16, 0.5, top=0.11, sections=12)
    p.cylinder(0.085, height - 0.4, (0, 0, 0.4), top=0.06, sections=12)
    style = rng.choice(["arm", "lantern", "double"])
    if style == "lantern":
        p.cylinder(0.2, 0.06, (0, 0, height))
        p.cylinder(0.13, 0.42, (0, 0, height + 0.06), "lamp", top=0.2, sections=8)
        p.cylinder(0.26, 0.2, (0, 0, height + 0.48), top=0.03, sections=8)
        p.has("a lantern")
        return p
    for side in (1, -1) if style == "double" else (1,):
        reach = rng.uniform(1.0, 1.6)
        arc = np.linspace(0, np.pi / 2, 6)
        p.tube([(side * reach * (1 - np.cos(a)), 0, height - 0.1 + 0.45 * np.sin(a)) for a in arc], 0.05)
        p.blob((0.75, 0.28, 0.16), (side * (reach + 0.2), 0, height + 0.28), power=0.6, sections=10)
        p.blob((0.5, 0.2, 0.06), (side * (reach + 0.2), 0, height + 0.25), "lamp", sections=8)
    p.has("two arms" if style == "double" else "one arm")
    return p


@category(
    setting="street",
    spot="kerbside",
    extent=(0.45, 1.3),
    synonyms=("fireplug", "hydrant"),
    confusions=("traffic cone", "mailbox"),
    materials=("lacquer",),
)
def fire_hydrant(rng: Rng) -> Parts:
    p = Parts()
    height, radius = rng.uniform(0.68, 0.9), rng.uniform(0.11, 0.14)
    p.cylinder(radius * 1.5, 0.06)
    p.cylinder(radius, height * 0.68, (0, 0, 0.05))
    p.cylinder(radius * 1.35, 0.05, (0, 0, height * 0.7))
    dome = [(radius * 1.15 * np.cos(a), height * 0.2 * np.sin(a)) for a in np.linspace(0, np.pi / 2, 7)]
    p.lathe(dome, (0, 0, height * 0.7 + 0.05))
    p.cylinder(0.035, 0.06, (0, 0, height * 0.9 + 0.04), "second", sections=6)
    for axis, at in (
        ("y", (0, radius, height * 0.52)),
        ("y", (0, -radius, height * 0.52)),
        ("x", (radius, 0, height * 0.45)),
    ):
        size = 0.055 if axis == "y" else 0.075
        p.disc(size, 0.16, at, axis, "main", sections=12)
        p.disc(size * 1.15, 0.05, (at[0] * 1.75, at[1] * 1.75, at[2]), axis, "metal", sections=8)
    p.has("two side outlets")
    return p


@category(
    setting="street",
    spot="walk",
    extent=(0.55, 1.65),
    synonyms=("garbage can", "dustbin"),
    confusions=("mailbox", "bucket"),
    materials=("metal", "plastic"),
)
def trash_can(rng: Rng) -> Parts:
    p = Parts()
    height, radius = rng.uniform(0.8, 1.05), rng.uniform(0.25, 0.32)
    if rng.random() < 0.5:
        p.cylinder(radius * 0.85, height - 0.12, top=radius, sections=22)
        for t in (0.25, 0.5, 0.75):
            p.ring(radius * (0.86 + 0.15 * t), 0.016, (0, 0, t * (height - 0.12)), "second")
        p.lathe(
            [(radius * 1.06, 0), (radius * 1.06, 0.04), (radius * 0.5, 0.12), (0, 0.14)],
            (0, 0, height - 0.12),
            sections=22,
        )
        p.tube(
            [(0.08, 0, height), (0.05, 0, height + 0.07), (-0.05, 0, height + 0.07), (-0.08, 0, height)],
            0.014,
            "dark",
        )
        p.has("a round lid")
        return p
    width = radius * 1.9
    p.box((radius * 1.7, width, height - 0.14), (0, 0, 0.06), taper=(1.25, 1.15))
    p.box((radius * 2.4, width * 1.25, 0.06), (0.01, 0, height - 0.09), "main", turn=(0, 0.08, 0))
    for side in (1, -1):
        p.disc(0.11, 0.06, (-radius * 0.85, side * width * 0.42, 0.11), "y", "rubber", sections=14)
    p.rod(
        (-radius * 1.28, -width * 0.5, height - 0.06),
        (-radius * 1.28, width * 0.5, height - 0.06),
        0.02,
        "dark",
    )
    p.has("two wheels")
    return p
