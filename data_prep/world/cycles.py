"""What is ridden and pushed."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import CORNERS, Parts

Rng = np.random.Generator


@category(
    setting="street",
    spot="kerb",
    extent=(1.2, 2.5),
    synonyms=("bike", "push bike"),
    confusions=("motorcycle",),
    materials=("lacquer",),
)
def bicycle(rng: Rng) -> Parts:
    p = Parts()
    radius, base = rng.uniform(0.31, 0.35), rng.uniform(0.98, 1.08)
    rear, front = -base / 2, base / 2
    for x in (rear, front):
        p.ring(radius, 0.022, (x, 0, radius), "rubber", turn=(np.pi / 2, 0, 0))
        p.disc(0.035, 0.08, (x, 0, radius), "y", "metal", sections=10)
        for k in range(8):
            angle = np.pi * k / 8
            dx, dz = radius * np.cos(angle), radius * np.sin(angle)
            p.rod((x - dx, 0, radius - dz), (x + dx, 0, radius + dz), 0.004, "metal", sections=4)
    crank = (rear + 0.43, 0.0, radius - 0.05)
    seat_top = (rear + 0.27, 0.0, rng.uniform(0.72, 0.82))
    head = (front - 0.17, 0.0, rng.uniform(0.74, 0.82))
    bar = 0.026
    step_through = rng.random() < 0.35
    joint = (rear + 0.36, 0.0, 0.5) if step_through else seat_top
    for a, b in (
        (crank, seat_top),
        (joint, head),
        (crank, (head[0] + 0.03, 0, head[2] - 0.13)),
        ((rear, 0, radius), seat_top),
        ((rear, 0, radius), crank),
    ):
        p.rod(a, b, bar)
    p.rod((front, 0, radius), head, 0.02, "main")
    p.rod(head, (head[0] - 0.04, 0, head[2] + 0.16), 0.016, "metal")
    p.rod(seat_top, (seat_top[0] - 0.04, 0, seat_top[2] + 0.12), 0.014, "metal")
    p.blob((0.26, 0.15, 0.07), (seat_top[0] - 0.05, 0, seat_top[2] + 0.11), "dark", power=0.7, sections=10)
    grip = head[2] + 0.16
    p.tube(
        [
            (head[0] - 0.12, -0.28, grip + 0.02),
            (head[0] - 0.02, -0.2, grip),
            (head[0] - 0.02, 0.2, grip),
            (head[0] - 0.12, 0.28, grip + 0.02),
        ],
        0.015,
        "dark",
    )
    p.disc(0.09, 0.012, (crank[0], -0.05, crank[2]), "y", "steel", sections=14)
    p.rod((crank[0], -0.1, crank[2]), (crank[0] + 0.16, -0.1, crank[2] - 0.04), 0.012, "steel")
    p.rod((crank[0], 0.1, crank[2]), (crank[0] - 0.16, 0.1, crank[2] + 0.04), 0.012, "steel")
    if rng.random() < 0.35:
        p.box((0.26, 0.34, 0.22), (front + 0.08, 0, head[2] - 0.06), "cord", taper=(1.2, 1.15))
        p.has("a basket")
    if step_through:
        p.has("a low frame")
    return p


@category(
    setting="street",
    spot="kerb",
    extent=(1.25, 2.9),
    synonyms=("motorbike", "motor scooter"),
    confusions=("bicycle",),
    materials=("lacquer",),
)
def motorcycle(rng: Rng) -> Parts:
    p = Parts()
    base = rng.uniform(1.3, 1.45)
    rear, front = -base / 2, base / 2
    scooter = rng.random() < 0.35
    radius = 0.24 if scooter else rng.uniform(0.29, 0.32)
    for x in (rear, front):
        p.disc(radius, 0.14, (x, 0, radius), "y", "rubber", sections=20)
        p.disc(radius * 0.6, 0.16, (x, 0, radius), "y", "metal", sections=14)
    for side in (1, -1):
        p.rod((front, side * 0.09, radius), (front - 0.3, side * 0.09, 0.98), 0.028, "metal")
    p.tube(
        [
            (front - 0.42, -0.36, 1.02),
            (front - 0.3, -0.15, 1.04),
            (front - 0.3, 0.15, 1.04),
            (front - 0.42, 0.36, 1.02),
        ],
        0.02,
        "dark",
    )
    p.blob((0.16, 0.2, 0.2), (front - 0.2, 0, 0.8), "lamp", sections=10)
    if scooter:
        p.box((0.1, 0.4, 0.66), (front - 0.3, 0, 0.28), taper=(1, 0.8), shift=(-0.12, 0))
        p.box((0.5, 0.34, 0.1), (front - 0.6, 0, 0.2))
        p.blob((0.85, 0.4, 0.5), (rear + 0.2, 0, 0.24), power=0.5)
        p.has("a step-through frame")
    else:
        p.blob((0.56, 0.34, 0.3), (0.12, 0, 0.68), power=0.7)
        p.blob((0.5, 0.36, 0.4), (0.02, 0, 0.24), "steel", power=0.5)
        p.blob((0.45, 0.2, 0.14), (rear + 0.05, 0, 0.62), power=0.6)
        p.box((0.4, 0.16, 0.03), (front, 0, 2 * radius + 0.02))
        p.rod((rear - 0.1, -0.18, 0.3), (0.1, -0.18, 0.3), 0.05, "metal")
        p.rod((rear, 0.1, radius), (0, 0.1, 0.4), 0.03, "steel")
        p.has("a fuel tank")
    p.blob((0.72, 0.3, 0.15), (rear + 0.24, 0, 0.72), "dark", power=0.6)
    if rng.random() < 0.4:
        p.box((0.3, 0.34, 0.28), (rear - 0.2, 0, 0.74))
        p.has("a top box")
    if rng.random() < 0.4:
        p.box((0.02, 0.34, 0.36), (front - 0.2, 0, 1.02), "clear", taper=(1, 0.7), shift=(-0.12, 0))
        p.has("a windscreen")
    p.box((0.03, 0.1, 0.06), (rear - 0.2, 0, 0.62), "taillight")
    return p


@category(
    setting="street",
    spot="walk",
    extent=(0.75, 1.7),
    synonyms=("baby buggy", "pram"),
    confusions=("bicycle",),
    materials=("fabric",),
    patterns=("plain", "dotted", "checkered"),
)
def stroller(rng: Rng) -> Parts:
    p = Parts()
    radius = rng.uniform(0.1, 0.14)
    for sx, sy in CORNERS:
        p.disc(radius, 0.04, (sx * 0.32, sy * 0.24, radius), "y", "rubber", sections=16)
        p.rod((sx * 0.32, sy * 0.22, radius), (-sx * 0.1, sy * 0.22, 0.55), 0.014, "metal")
    p.blob((0.72, 0.44, 0.34), (0, 0, 0.42), power=0.45)
    # A quarter of a ball over the head end.
    angle = np.linspace(0, np.pi / 2, 6)
    p.lathe(
        [(0.36 * np.cos(a), 0.4 * np.sin(a)) for a in angle],
        (-0.14, 0, 0.66),
        squash=0.62,
        sections=18,
        turn=(0, -0.35, 0),
    )
    p.tube(
        [(-0.2, 0.22, 0.6), (-0.6, 0.22, 1.0), (-0.62, 0, 1.03), (-0.6, -0.22, 1.0), (-0.2, -0.22, 0.6)],
        0.014,
        "dark",
    )
    p.has("a hood")
    p.has("four wheels")
    return p
