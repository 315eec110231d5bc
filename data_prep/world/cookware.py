"""What is cooked in and poured from."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import Parts
from data_prep.world.tableware import handle

Rng = np.random.Generator


@category(
    setting="room",
    spot="table",
    extent=(0.14, 0.48),
    synonyms=("tea kettle", "kettle"),
    confusions=("pitcher", "pot"),
    materials=("ceramic", "metal"),
    patterns=("plain", "dotted", "plain"),
)
def teapot(rng: Rng) -> Parts:
    p = Parts()
    radius, height = rng.uniform(0.075, 0.1), rng.uniform(0.1, 0.14)
    p.lathe(
        [
            (0, 0),
            (radius * 0.65, 0),
            (radius, height * 0.4),
            (radius * 0.9, height * 0.75),
            (radius * 0.5, height),
            (0, height * 1.08),
        ],
        sections=22,
    )
    p.blob((0.03, 0.03, 0.028), (0, 0, height * 1.06), "second", sections=10)
    spout = [
        (radius * 0.75, 0, height * 0.3),
        (radius * 1.25, 0, height * 0.5),
        (radius * 1.5, 0, height * 0.85),
        (radius * 1.75, 0, height * 0.98),
    ]
    p.tube(spout, 0.014)
    if rng.random() < 0.6:
        handle(p, -radius * 0.85, height * 0.2, height * 0.85, -radius * 0.65, 0.009)
        p.has("a handle")
    else:
        angle = np.linspace(0, np.pi, 11)
        p.tube([(radius * 0.7 * np.cos(a), 0, height * 0.9 + 0.1 * np.sin(a)) for a in angle], 0.008, "dark")
        p.has("a bow handle")
    p.has("a spout")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.15, 0.45),
    synonyms=("jug", "water pitcher"),
    confusions=("teapot", "vase"),
    materials=("ceramic", "plastic", "metal"),
    patterns=("plain", "striped", "plain"),
)
def pitcher(rng: Rng) -> Parts:
    p = Parts()
    height, radius = rng.uniform(0.21, 0.28), rng.uniform(0.06, 0.075)
    waist = rng.uniform(0.6, 0.85)
    p.lathe(
        [
            (0, 0),
            (radius * 0.85, 0),
            (radius, height * 0.35),
            (radius * waist, height * 0.75),
            (radius * 0.9, height),
            (radius * 0.82, height),
            (radius * waist * 0.9, height * 0.75),
            (0, height * 0.4),
        ],
        sections=22,
    )
    p.box((0.05, 0.04, 0.045), (radius * 0.95, 0, height - 0.045), taper=(1, 1.2), shift=(0.02, 0))
    handle(p, -radius * 0.8, height * 0.3, height * 0.92, -rng.uniform(0.05, 0.065), 0.009)
    p.has("a handle")
    p.has("a lip")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.27, 0.7),
    synonyms=("skillet", "frypan"),
    confusions=("plate", "pot"),
    materials=("metal",),
)
def frying_pan(rng: Rng) -> Parts:
    p = Parts()
    radius, height, handle = rng.uniform(0.11, 0.14), rng.uniform(0.035, 0.05), rng.uniform(0.16, 0.2)
    p.lathe(
        [
            (0, 0),
            (radius * 0.8, 0),
            (radius, height),
            (radius * 0.96, height),
            (radius * 0.78, 0.006),
            (0, 0.006),
        ],
        sections=26,
    )
    p.tube(
        [
            (-radius * 0.9, 0, height * 0.7),
            (-radius - 0.03, 0, height * 1.1),
            (-radius - handle, 0, height * 1.5),
        ],
        0.011,
        "dark",
    )
    p.has("a long handle")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.18, 0.5),
    synonyms=("cooking pot", "saucepan"),
    confusions=("frying pan", "bucket"),
    materials=("metal", "lacquer"),
)
def pot(rng: Rng) -> Parts:
    p = Parts()
    radius, height = rng.uniform(0.1, 0.13), rng.uniform(0.11, 0.16)
    p.cylinder(radius, height, sections=26)
    for side in (1, -1):
        angle = np.linspace(-np.pi / 2, np.pi / 2, 7)
        p.tube(
            [(0.05 * np.sin(a), side * (radius + 0.04 * np.cos(a)), height * 0.8) for a in angle],
            0.008,
            "dark",
        )
    p.has("two handles")
    if rng.random() < 0.7:
        p.lathe(
            [(radius * 1.03, 0), (radius * 1.03, 0.008), (radius * 0.6, 0.028), (0, 0.034)],
            (0, 0, height),
            "metal",
            sections=26,
        )
        p.blob((0.04, 0.04, 0.035), (0, 0, height + 0.03), "dark", sections=10)
        p.has("a lid")
    else:
        p.lathe([(0, 0), (radius * 0.95, 0)], (0, 0, height + 0.001), "amber", sections=26)
    return p
