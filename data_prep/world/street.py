"""Categories: street furniture, signs, pedestrians and plants."""

from __future__ import annotations

import numpy as np

from data_prep.world.category import category
from data_prep.world.solids import Parts, path

Rng = np.random.Generator


@category(
    "walk",
    (1.05, 2.6),
    "person, walker",
    like="fire hydrant, traffic cone",
    of="fabric",
    patterns="plain, plain, striped, checkered",
)
def pedestrian(p: Parts, rng: Rng) -> None:
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
        size = (0.21, 0.19, (height - head) * 0.6)
        p.blob(size, (-0.025, 0, head + (height - head) * 0.45), "hair", sections=12)
    if rng.random() < 0.3:
        p.blob((0.16, 0.28, 0.4), (-0.18, 0, hip + 0.1), "dark", power=0.5, sections=10)
        p.has("a backpack")


@category(
    "road edge",
    (0.35, 1.2),
    "cone, safety cone",
    like="fire hydrant",
    of="plastic",
    colors="orange, orange, orange, red, yellow, green, blue, pink, purple, white, black",
)
def traffic_cone(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.5, 0.8), rng.uniform(0.13, 0.17)
    tip = 0.03
    p.box((radius * 2.7, radius * 2.7, 0.035), paint="dark" if rng.random() < 0.5 else "main")
    p.cylinder(radius, height - 0.03, (0, 0, 0.03), top=tip, sections=20)
    bands = int(rng.integers(1, 3))
    for k in range(bands):
        low, high = (0.38, 0.55) if k == 0 else (0.68, 0.8)
        at = [radius + (tip - radius) * t + 0.004 for t in (low, high)]
        foot = (0, 0, 0.03 + low * (height - 0.03))
        p.lathe([(at[0], 0), (at[1], (high - low) * (height - 0.03))], foot, "stripe", sections=20)
    p.has("one white band" if bands == 1 else "two white bands")


@category("road edge", (0.9, 2.8), "road barrier, barricade", like="bench", of="plastic")
def barrier(p: Parts, rng: Rng) -> None:
    length, height = rng.uniform(1.3, 1.9), rng.uniform(0.85, 1.05)
    if rng.random() < 0.5:
        profile = [(-0.3, 0.12), (-0.12, 0.35), (-0.08, height), (0.08, height), (0.12, 0.35), (0.3, 0.12)]
        p.ridge(profile, length)
        for y in (-0.3, 0.3):
            p.box((0.19, length * 0.16, 0.14), (0, y * length, height * 0.7), "stripe")
        p.has("a solid body")
        return
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


@category("curbside", (3.0, 8.6), "street lamp, streetlight", like="traffic light, stop sign", of="metal")
def lamppost(p: Parts, rng: Rng) -> None:
    height = rng.uniform(4.3, 6.2)
    p.cylinder(0.16, 0.5, top=0.11, sections=12)
    p.cylinder(0.085, height - 0.4, (0, 0, 0.4), top=0.06, sections=12)
    style = rng.choice(["arm", "lantern", "double"])
    if style == "lantern":
        p.cylinder(0.2, 0.06, (0, 0, height))
        p.cylinder(0.13, 0.42, (0, 0, height + 0.06), "lamp", top=0.2, sections=8)
        p.cylinder(0.26, 0.2, (0, 0, height + 0.48), top=0.03, sections=8)
        p.has("a lantern")
        return
    for side in (1, -1) if style == "double" else (1,):
        reach = rng.uniform(1.0, 1.6)
        arc = np.linspace(0, np.pi / 2, 6)
        p.tube([(side * reach * (1 - np.cos(a)), 0, height - 0.1 + 0.45 * np.sin(a)) for a in arc], 0.05)
        p.blob((0.75, 0.28, 0.16), (side * (reach + 0.2), 0, height + 0.28), power=0.6, sections=10)
        p.blob((0.5, 0.2, 0.06), (side * (reach + 0.2), 0, height + 0.25), "lamp", sections=8)
    p.has("two arms" if style == "double" else "one arm")


@category("curbside", (0.45, 1.3), "fireplug, hydrant", like="traffic cone, mailbox", of="lacquer")
def fire_hydrant(p: Parts, rng: Rng) -> None:
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


@category("walk", (0.55, 1.65), "garbage can, dustbin", like="mailbox, bucket", of="metal, plastic")
def trash_can(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(0.8, 1.05), rng.uniform(0.25, 0.32)
    if rng.random() < 0.5:
        p.cylinder(radius * 0.85, height - 0.12, top=radius, sections=22)
        for t in (0.25, 0.5, 0.75):
            p.ring(radius * (0.86 + 0.15 * t), 0.016, (0, 0, t * (height - 0.12)), "second")
        at = (0, 0, height - 0.12)
        p.lathe([(radius * 1.06, 0), (radius * 1.06, 0.04), (radius * 0.5, 0.12), (0, 0.14)], at, sections=22)
        xs, zs = (0.08, 0.05, -0.05, -0.08), (height, height + 0.07, height + 0.07, height)
        p.tube(path(xs, 0, zs), 0.014, "dark")
        p.has("a round lid")
        return
    width = radius * 1.9
    p.box((radius * 1.7, width, height - 0.14), (0, 0, 0.06), taper=(1.25, 1.15))
    p.box((radius * 2.4, width * 1.25, 0.06), (0.01, 0, height - 0.09), "main", turn=(0, 0.08, 0))
    for side in (1, -1):
        p.disc(0.11, 0.06, (-radius * 0.85, side * width * 0.42, 0.11), "y", "rubber", sections=14)
    start = (-radius * 1.28, -width * 0.5, height - 0.06)
    p.rod(start, (-radius * 1.28, width * 0.5, height - 0.06), 0.02, "dark")
    p.has("two wheels")


# S, T, O, P as bars: center along the line and up, width and height, in letter sizes.
_LEFT, _RIGHT, _TOP, _MIDDLE, _BOTTOM = (
    (-0.4, 0, 0.2, 1),
    (0.4, 0, 0.2, 1),
    (0, 0.42, 1, 0.16),
    (0, 0, 1, 0.16),
    (0, -0.42, 1, 0.16),
)

_STOP = (
    (_TOP, _MIDDLE, _BOTTOM, (-0.4, 0.25, 0.2, 0.5), (0.4, -0.25, 0.2, 0.5)),
    (_TOP, (0, 0, 0.2, 1)),
    (_LEFT, _RIGHT, _TOP, _BOTTOM),
    (_LEFT, _TOP, _MIDDLE, (0.4, 0.25, 0.2, 0.5)),
)


@category("curbside", (1.8, 5.6), "traffic signal, stoplight", like="lamppost, stop sign", of="metal")
def traffic_light(p: Parts, rng: Rng) -> None:
    height = rng.uniform(2.6, 3.8)
    p.cylinder(0.14, 0.25, top=0.09)
    p.cylinder(0.065, height, sections=12)
    size, tall = 0.34, 1.0
    z = height - tall
    p.box((0.26, size, tall), (0.16, 0, z))
    p.box((0.02, size + 0.24, tall + 0.2), (0.04, 0, z - 0.1), "dark")
    for k, paint in enumerate(("signal_green", "amber", "taillight")):
        at = (0.29, 0, z + 0.2 + 0.3 * k)
        p.disc(0.115, 0.03, at, "x", paint, sections=16)
        p.lathe([(0.125, 0), (0.125, 0.12)], (at[0], 0, at[2]), "dark", turn=(0, np.pi / 2, 0))
    if rng.random() < 0.5:
        p.box((0.16, 0.24, 0.42), (-0.02, 0.22, 2.0), "dark")
        p.has("a pedestrian signal")
    p.has("three lights")


@category(
    "curbside",
    (1.5, 3.6),
    "stop signal sign, octagonal sign",
    like="traffic light, parking meter",
    of="metal",
    colors="red, red, red, orange, yellow, green, blue, purple, pink, brown, black",
)
def stop_sign(p: Parts, rng: Rng) -> None:
    height, radius = rng.uniform(2.05, 2.5), rng.uniform(0.36, 0.46)
    p.cylinder(0.04, height, paint="metal", sections=10)
    z = height - radius * 0.9
    p.disc(radius, 0.03, (0.05, 0, z), "x", "stripe", sections=8)
    p.disc(radius * 0.9, 0.05, (0.05, 0, z), "x", "main", sections=8)
    for k, strokes in enumerate(_STOP):
        for y, dz, wide, tall in strokes:
            at = (0.076, (k - 1.5 + y * 0.7) * radius * 0.38, z + (dz - tall / 2) * radius * 0.56)
            p.box((0.006, wide * radius * 0.27, tall * radius * 0.56), at, "stripe")
    p.has("an eight-sided plate")


@category("walk", (0.75, 2.0), "postbox, letter box", like="trash can, fire hydrant", of="lacquer")
def mailbox(p: Parts, rng: Rng) -> None:
    height, width, depth = rng.uniform(1.1, 1.45), rng.uniform(0.44, 0.56), rng.uniform(0.42, 0.52)
    leg, curve = 0.18, depth / 2
    for sx in (1, -1):
        for sy in (1, -1):
            p.box((0.06, 0.06, leg + 0.02), (sx * (depth / 2 - 0.04), sy * (width / 2 - 0.04), 0), "dark")
    arc = np.linspace(np.pi, 0, 11)
    tall = height - leg - curve
    p.ridge(
        [(-curve, 0.0), *[(curve * np.cos(a), tall + curve * np.sin(a)) for a in arc], (curve, 0.0)],
        width,
        (0, 0, leg),
    )
    p.box((0.03, width * 0.72, 0.05), (curve * 0.98, 0, leg + tall * 0.98), "dark")
    p.box((0.02, width * 0.6, 0.22), (curve, 0, leg + tall * 0.55), "stripe")
    p.box((0.02, width * 0.6, 0.1), (-curve, 0, leg + tall * 0.75), "stripe")
    p.has("a rounded top")
    p.has("a slot")


@category("curbside", (0.9, 2.2), "coin meter, ticket meter", like="fire hydrant, stop sign", of="lacquer")
def parking_meter(p: Parts, rng: Rng) -> None:
    height = rng.uniform(1.25, 1.55)
    p.cylinder(0.11, 0.04, paint="steel")
    p.cylinder(0.04, height - 0.35, paint="steel", sections=12)
    heads = (0.0,) if rng.random() < 0.6 else (-0.16, 0.16)
    for y in heads:
        p.blob((0.17, 0.24, 0.42), (0, y, height - 0.4), power=0.5)
        p.disc(0.085, 0.05, (0.07, y, height - 0.13), "x", "face", sections=16)
        p.box((0.03, 0.06, 0.07), (0.08, y, height - 0.34), "dark")
    if len(heads) > 1:
        p.box((0.08, 0.4, 0.06), (0, 0, height - 0.42), "steel")
    p.has("one dial" if len(heads) == 1 else "two dials")


@category("walk", (0.9, 2.8), "park bench", like="chair", of="wood, metal")
def bench(p: Parts, rng: Rng) -> None:
    length, seat, depth = rng.uniform(1.3, 2.0), rng.uniform(0.42, 0.47), rng.uniform(0.4, 0.5)
    slats = int(rng.integers(3, 6))
    for t in np.linspace(-0.5, 0.5, slats):
        p.box((depth / slats * 0.8, length, 0.04), (t * depth * 0.85, 0, seat - 0.04))
    has_back = rng.random() < 0.75
    if has_back:
        rows = int(rng.integers(2, 4))
        for k in range(rows):
            z = 0.12 + 0.3 * k / max(rows - 1, 1)
            p.box((0.035, length, 0.1), (-depth / 2 - 0.05 - 0.25 * z, 0, seat + z), turn=(0, -0.25, 0))
        p.has("a back")
    stone = rng.random() < 0.3
    for side in (1, -1):
        y = side * (length / 2 - 0.18)
        if stone:
            p.box((depth, 0.14, seat - 0.04), (0, y, 0), "light")
        else:
            p.rod((depth * 0.4, y, 0), (depth * 0.4, y, seat - 0.03), 0.025, "steel", sections=4)
            p.rod((-depth * 0.45, y, 0), (-depth * 0.4, y, seat - 0.03), 0.025, "steel", sections=4)
        if has_back:
            start = (-depth * 0.4, y, seat - 0.05)
            p.rod(start, (-depth / 2 - 0.16, y, seat + 0.48), 0.022, "steel", sections=4)
            if rng.random() < 0.6:
                xs, zs = (-depth * 0.5, depth * 0.4, depth * 0.42), (seat + 0.22, seat + 0.22, seat - 0.03)
                p.tube(path(xs, y, zs), 0.02, "steel")


SEASONS = "green, green, green, yellow, orange, red, pink, brown, purple, white"


@category(
    "curbside",
    (2.4, 9.5),
    "street tree, leafy tree",
    like="potted plant, lamppost",
    of="leaves",
    colors=SEASONS,
)
def tree(p: Parts, rng: Rng) -> None:
    height, trunk = rng.uniform(4.2, 6.5), rng.uniform(1.3, 2.1)
    if rng.random() < 0.3:
        tiers = int(rng.integers(3, 5))
        p.cylinder(0.16, trunk + 0.5, paint="bark", sections=10)
        for k in range(tiers):
            t = k / tiers
            at = (0, 0, trunk * 0.7 + t * (height - trunk))
            p.cylinder((1 - t * 0.75) * 1.35, (height - trunk) / tiers * 1.5, at, top=0.0, sections=14)
        p.has("needles")
        return
    p.cylinder(0.2, trunk + 1.0, paint="bark", top=0.1, sections=10)
    for _ in range(3):
        angle = rng.uniform(0, 2 * np.pi)
        p.rod((0, 0, trunk), (0.8 * np.cos(angle), 0.8 * np.sin(angle), trunk + 1.0), 0.06, "bark")
    crown = height - trunk
    p.blob((2.3, 2.3, crown * 0.9), (0, 0, trunk), sections=12)
    for _ in range(int(rng.integers(4, 8))):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.0)
        size = rng.uniform(1.1, 1.7)
        at = (reach * np.cos(angle), reach * np.sin(angle), trunk + rng.uniform(0.05, 0.6) * crown)
        p.blob((size, size, size * 0.9), at, sections=10)
    p.has("a round crown")


@category("floor", (0.45, 1.75), "houseplant, pot plant", like="vase, tree", of="ceramic, wicker")
def potted_plant(p: Parts, rng: Rng) -> None:
    radius, tall = rng.uniform(0.15, 0.21), rng.uniform(0.24, 0.34)
    radii = (0, radius * 0.72, radius * 0.95, radius * 1.06, radius * 1.06, radius * 0.92, radius * 0.9, 0)
    heights = (0, 0, tall - 0.05, tall - 0.05, tall, tall, tall - 0.03, tall - 0.03)
    p.lathe(zip(radii, heights, strict=True), sections=22)
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
            at = (reach * np.cos(angle), reach * np.sin(angle), tall + rng.uniform(0.05, 0.3))
            p.blob((size, size, size), at, "leaf", sections=9)
        p.has("a round bush")
    else:
        trunk = rng.uniform(0.35, 0.6)
        p.blob((0.15, 0.15, trunk), (0, 0, tall - 0.04), "leaf", power=0.6)
        for side in (1, -1):
            z = tall + trunk * rng.uniform(0.25, 0.5)
            ys, zs = (0, side * 0.14, side * 0.16, side * 0.16), (z, z + 0.01, z + 0.05, z + 0.2)
            p.tube(path(0, ys, zs), 0.04, "leaf")
            p.blob((0.08, 0.08, 0.08), (0, side * 0.16, z + 0.16), "leaf", sections=8)
        p.has("a cactus")
