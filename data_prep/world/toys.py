"""What is played with."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import Parts

Rng = np.random.Generator


@category(
    setting="room",
    spot="floor",
    extent=(0.36, 0.95),
    synonyms=("stuffed bear", "plush toy"),
    confusions=("pedestrian", "backpack"),
    materials=("fabric",),
)
def teddy_bear(rng: Rng) -> Parts:
    p = Parts()
    s = rng.uniform(0.9, 1.1)
    p.blob((0.2 * s, 0.24 * s, 0.26 * s))
    p.blob((0.1, 0.15, 0.16), (0.07 * s, 0, 0.04), "paper")
    z = 0.22 * s
    p.blob((0.19 * s, 0.21 * s, 0.19 * s), (0.01, 0, z))
    p.blob((0.08, 0.09, 0.07), (0.09 * s, 0, z + 0.03), "paper", sections=10)
    p.blob((0.03, 0.035, 0.025), (0.13 * s, 0, z + 0.065), "dark", sections=8)
    for side in (1, -1):
        p.blob((0.05, 0.08, 0.08), (-0.01, side * 0.085 * s, z + 0.13 * s), sections=10)
        p.blob((0.03, 0.03, 0.03), (0.085 * s, side * 0.045, z + 0.1 * s), "dark", sections=8)
        p.blob(
            (0.1, 0.09, 0.22 * s),
            (0.04, side * 0.13 * s, 0.14 * s),
            sections=10,
            turn=(-side * rng.uniform(1.9, 2.5), 0, 0),
        )
        p.blob((0.2 * s, 0.1, 0.1), (0.13 * s, side * 0.09 * s, 0), sections=10, turn=(0, 0, side * 0.35))
        p.blob(
            (0.03, 0.08, 0.08),
            (0.22 * s, side * 0.125 * s, 0.01),
            "paper",
            sections=10,
            turn=(0, 0, side * 0.35),
        )
    if rng.random() < 0.5:
        p.box((0.03, 0.1, 0.04), (0.09 * s, 0, z + 0.0), "taillight", taper=(1, 0.5))
        p.has("a bow")
    p.has("two round ears")
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.14, 0.34),
    synonyms=("football", "ball"),
    confusions=("globe",),
    materials=("leather",),
    colors=("white", "red", "orange", "yellow", "green", "blue", "purple", "pink"),
)
def soccer_ball(rng: Rng) -> Parts:
    p = Parts()
    radius = rng.uniform(0.105, 0.115)
    p.blob((2 * radius, 2 * radius, 2 * radius), sections=22)
    golden = (1 + 5**0.5) / 2
    corners = [v for a in (1, -1) for b in (golden, -golden) for v in ((0, a, b), (a, b, 0), (b, 0, a))]
    spin = rng.uniform(0, 2 * np.pi)
    for corner in corners:  # twelve dark pentagons on the corners of an icosahedron
        x, y, z = np.array(corner) / np.hypot(1, golden)
        x, y = x * np.cos(spin) - y * np.sin(spin), x * np.sin(spin) + y * np.cos(spin)
        center = np.array([x, y, z]) * radius * 0.94 + (0, 0, radius)
        pitch, yaw = np.arccos(np.clip(z, -1, 1)), np.arctan2(y, x)
        p.lathe(
            [(radius * 0.36, 0), (radius * 0.3, radius * 0.055), (0, radius * 0.085)],
            center.tolist(),
            "dark",
            sections=5,
            turn=(0, pitch, yaw),
        )
    p.has("dark patches")
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.34, 1.0),
    synonyms=("snare drum", "bongo"),
    confusions=("stool", "bucket"),
    materials=("lacquer",),
    patterns=("plain", "striped", "checkered"),
)
def drum(rng: Rng) -> Parts:
    p = Parts()
    radius, tall, leg = rng.uniform(0.2, 0.28), rng.uniform(0.2, 0.4), rng.uniform(0.15, 0.3)
    p.cylinder(radius, tall, (0, 0, leg), sections=26)
    for z in (leg + 0.01, leg + tall - 0.01):
        p.ring(radius + 0.004, 0.016, (0, 0, z), "metal")
    p.cylinder(radius * 0.97, 0.012, (0, 0, leg + tall), "face", sections=26)
    for k in range(8):
        angle = 2 * np.pi * k / 8
        c, s = (radius + 0.014) * np.cos(angle), (radius + 0.014) * np.sin(angle)
        p.rod((c, s, leg + 0.02), (c, s, leg + tall - 0.02), 0.006, "metal", sections=5)
    for k in range(3):
        angle = 2 * np.pi * k / 3
        c, s = np.cos(angle), np.sin(angle)
        p.rod(
            (radius * 1.25 * c, radius * 1.25 * s, 0),
            (radius * c, radius * s, leg + tall * 0.5),
            0.012,
            "metal",
        )
    for side in (1, -1):
        p.rod(
            (-0.16, side * 0.05, leg + tall + 0.02),
            (0.2, side * 0.12, leg + tall + 0.03),
            0.008,
            "wood",
            sections=6,
        )
    p.has("two sticks")
    p.has("three legs")
    return p


@category(
    setting="room",
    spot="floor",
    extent=(0.5, 1.2),
    synonyms=("longboard", "skate board"),
    confusions=("frying pan",),
    materials=("lacquer", "wood"),
)
def skateboard(rng: Rng) -> Parts:
    p = Parts()
    length, width, radius = rng.uniform(0.74, 0.84), rng.uniform(0.19, 0.23), rng.uniform(0.026, 0.034)
    z, flat = 2 * radius + 0.035, length * 0.62
    p.box((flat, width, 0.014), (0, 0, z))
    for side in (1, -1):
        end = length * 0.19
        p.box((0.014, width, end), (side * flat / 2, 0, z), taper=(1, 0.55), turn=(0, side * 1.25, 0))
        p.box((0.06, width * 0.5, 0.035), (side * flat * 0.36, 0, radius + 0.01), "metal")
        for y in (1, -1):
            p.disc(radius, 0.035, (side * flat * 0.36, y * width * 0.36, radius), "y", "amber", sections=14)
    p.has("four wheels")
    return p
