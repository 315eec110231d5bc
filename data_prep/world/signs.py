"""Signs, signals and boxes of a street."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import Parts

Rng = np.random.Generator
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


@category(
    setting="street",
    spot="kerbside",
    extent=(1.8, 5.6),
    synonyms=("traffic signal", "stoplight"),
    confusions=("lamppost", "stop sign"),
    materials=("metal",),
)
def traffic_light(rng: Rng) -> Parts:
    p = Parts()
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
    return p


@category(
    setting="street",
    spot="kerbside",
    extent=(1.5, 3.6),
    synonyms=("stop signal sign", "octagonal sign"),
    confusions=("traffic light", "parking meter"),
    materials=("metal",),
    colors=("red", "red", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black"),
)
def stop_sign(rng: Rng) -> Parts:
    p = Parts()
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
    return p


@category(
    setting="street",
    spot="walk",
    extent=(0.75, 2.0),
    synonyms=("postbox", "letter box"),
    confusions=("trash can", "fire hydrant"),
    materials=("lacquer",),
)
def mailbox(rng: Rng) -> Parts:
    p = Parts()
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
    return p


@category(
    setting="street",
    spot="kerbside",
    extent=(0.9, 2.2),
    synonyms=("coin meter", "ticket meter"),
    confusions=("fire hydrant", "stop sign"),
    materials=("lacquer",),
)
def parking_meter(rng: Rng) -> Parts:
    p = Parts()
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
    return p
