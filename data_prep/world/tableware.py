"""What stands on tables: crockery, pots, bottles."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import Parts

Rng = np.random.Generator


def handle(
    p: Parts, x: float, low: float, high: float, reach: float, radius: float, paint: str = "main"
) -> None:
    """A round handle standing off the wall at ``x``, in the plane y = 0."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 9)
    middle, half = (low + high) / 2, (high - low) / 2
    p.tube([(x + reach * np.cos(a), 0, middle + half * np.sin(a)) for a in angle], radius, paint)


@category(
    setting="room",
    spot="table",
    extent=(0.07, 0.2),
    synonyms=("cup", "coffee cup"),
    confusions=("bowl", "pitcher"),
    materials=("ceramic",),
    patterns=("plain", "striped", "dotted"),
)
def mug(rng: Rng) -> Parts:
    p = Parts()
    height, radius = rng.uniform(0.085, 0.11), rng.uniform(0.038, 0.046)
    foot = radius * rng.uniform(0.75, 1.0)
    p.lathe(
        [(0, 0), (foot, 0), (radius, height), (radius * 0.9, height), (foot * 0.88, 0.012), (0, 0.012)],
        sections=22,
    )
    p.lathe([(0, 0), (radius * 0.86, 0)], (0, 0, height * 0.8), "coffee")
    handle(p, -foot * 0.95, height * 0.2, height * 0.8, -rng.uniform(0.026, 0.034), 0.006)
    p.has("a handle")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.095, 0.26),
    synonyms=("wineglass", "goblet"),
    confusions=("vase", "candle"),
    materials=("glass",),
)
def wine_glass(rng: Rng) -> Parts:
    p = Parts()
    foot, stem, bowl, radius = (
        rng.uniform(0.03, 0.037),
        rng.uniform(0.06, 0.09),
        rng.uniform(0.07, 0.1),
        rng.uniform(0.033, 0.045),
    )
    top = radius * rng.uniform(0.7, 1.0)
    p.lathe(
        [
            (0, 0),
            (foot, 0),
            (foot, 0.003),
            (0.006, 0.01),
            (0.0045, stem),
            (radius * 0.6, stem + bowl * 0.15),
            (radius, stem + bowl * 0.45),
            (top, stem + bowl),
            (top * 0.93, stem + bowl),
            (radius * 0.9, stem + bowl * 0.45),
            (0, stem + bowl * 0.1),
        ],
        sections=22,
    )
    p.has("a stem")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.15, 0.45),
    synonyms=("wine bottle", "flask"),
    confusions=("vase", "candle"),
    materials=("glass", "plastic"),
)
def bottle(rng: Rng) -> Parts:
    p = Parts()
    height, radius = rng.uniform(0.22, 0.31), rng.uniform(0.033, 0.042)
    shoulder = height * rng.uniform(0.5, 0.66)
    neck = radius * rng.uniform(0.3, 0.4)
    p.lathe(
        [
            (0, 0),
            (radius * 0.95, 0),
            (radius, 0.01),
            (radius, shoulder),
            (radius * 0.75, shoulder + 0.03),
            (neck, shoulder + 0.06),
            (neck, height),
            (0, height),
        ],
        sections=20,
    )
    p.cylinder(neck * 1.25, 0.022, (0, 0, height - 0.012), "dark" if rng.random() < 0.5 else "gold")
    if rng.random() < 0.75:
        p.cylinder(radius * 1.015, shoulder * 0.45, (0, 0, shoulder * 0.3), "paper", sections=20)
        p.has("a label")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.1, 0.36),
    synonyms=("salad bowl", "dish"),
    confusions=("plate", "mug"),
    materials=("ceramic", "wood"),
    patterns=("plain", "striped", "dotted"),
)
def bowl(rng: Rng) -> Parts:
    p = Parts()
    radius, height = rng.uniform(0.08, 0.12), rng.uniform(0.06, 0.085)
    p.lathe(
        [
            (0, 0),
            (radius * 0.4, 0),
            (radius * 0.42, 0.008),
            (radius * 0.8, height * 0.5),
            (radius, height),
            (radius * 0.94, height),
            (radius * 0.7, height * 0.45),
            (0, 0.018),
        ],
        sections=26,
    )
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(3, 6))):
            angle, spread = rng.uniform(0, 2 * np.pi), radius * 0.4
            paint = ("taillight", "amber", "leaf")[rng.integers(3)]
            p.blob(
                (0.07, 0.07, 0.065),
                (spread * np.cos(angle), spread * np.sin(angle), height * 0.55),
                paint,
                sections=10,
            )
        p.has("fruit")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.14, 0.4),
    synonyms=("dinner plate", "saucer"),
    confusions=("bowl",),
    materials=("ceramic",),
    patterns=("plain", "dotted", "striped"),
)
def plate(rng: Rng) -> Parts:
    p = Parts()
    radius, height = rng.uniform(0.1, 0.14), rng.uniform(0.016, 0.026)
    p.lathe(
        [
            (0, 0),
            (radius * 0.6, 0),
            (radius, height),
            (radius * 0.97, height + 0.003),
            (radius * 0.62, 0.006),
            (0, 0.006),
        ],
        sections=28,
    )
    slope = (height - 0.003) / (radius * 0.35)  # of the rim, from the well outwards
    for inner, outer in ((0.63, 0.67), (0.84, 0.95)):
        z = [0.0072 + slope * radius * (share - 0.62) for share in (inner, outer)]
        p.lathe([(radius * outer, z[1]), (radius * inner, z[0])], paint="second", sections=28)
    p.has("a painted rim")
    if rng.random() < 0.4:
        for side in (-1, 1):
            p.box((0.18, 0.014, 0.004), (0, side * radius * 0.25, height + 0.003), "metal")
        p.has("cutlery")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.25, 0.8),
    synonyms=("flower vase", "vase of flowers"),
    confusions=("bottle", "potted plant"),
    materials=("ceramic", "glass"),
    patterns=("plain", "striped", "dotted"),
)
def vase(rng: Rng) -> Parts:
    p = Parts()
    height, radius = rng.uniform(0.2, 0.3), rng.uniform(0.06, 0.085)
    belly, neck = rng.uniform(0.3, 0.6), rng.uniform(0.35, 0.6)
    lip = neck * rng.uniform(1.1, 1.5)
    p.lathe(
        [
            (0, 0),
            (radius * 0.6, 0),
            (radius * 0.85, height * belly * 0.45),
            (radius, height * belly),
            (radius * neck, height * 0.86),
            (radius * lip, height),
            (radius * lip * 0.85, height),
            (radius * neck * 0.8, height * 0.86),
            (0, height * 0.5),
        ],
        sections=24,
    )
    stems = int(rng.integers(3, 7))
    bloom = ("taillight", "amber", "stripe")[rng.integers(3)]
    for k in range(stems):
        angle, lean = 2 * np.pi * k / stems + rng.uniform(-0.4, 0.4), rng.uniform(0.03, 0.11)
        end = (lean * np.cos(angle), lean * np.sin(angle), height + rng.uniform(0.1, 0.2))
        p.rod((0, 0, height * 0.7), end, 0.0035, "leaf", sections=5)
        p.blob((0.05, 0.05, 0.04), (end[0], end[1], end[2] - 0.015), bloom, sections=8)
    p.has("flowers")
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.14, 0.55),
    synonyms=("candlestick", "wax candle"),
    confusions=("wine glass", "bottle"),
    materials=("plastic",),
)
def candle(rng: Rng) -> Parts:
    p = Parts()
    height, radius = rng.uniform(0.14, 0.24), rng.uniform(0.014, 0.022)
    base = 0.02
    p.lathe(
        [(0, 0), (0.055, 0), (0.06, 0.012), (0.02, 0.016), (0.016, 0.03), (0, 0.03)],
        paint="gold",
        sections=20,
    )
    if rng.random() < 0.5:
        stand = rng.uniform(0.06, 0.12)
        p.lathe(
            [
                (0.012, 0.02),
                (0.008, stand * 0.5),
                (0.02, stand * 0.6),
                (0.008, stand * 0.7),
                (0.028, stand),
                (0, stand),
            ],
            paint="gold",
        )
        base = stand
        p.has("a tall holder")
    else:
        p.ring(0.022, 0.005, (-0.07, 0, 0.012), "gold", turn=(np.pi / 2, 0, 0))
        p.has("a holder")
    p.cylinder(radius, height, (0, 0, base), top=radius * 0.92)
    p.rod((0, 0, base + height), (0, 0, base + height + 0.012), 0.002, "dark", sections=4)
    p.blob((0.016, 0.016, 0.036), (0, 0, base + height + 0.008), "flame", sections=8)
    p.has("a flame")
    return p
