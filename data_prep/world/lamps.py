"""What gives light in a room."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import Parts

Rng = np.random.Generator


@category(
    setting="room",
    spot="floor",
    extent=(1.0, 2.5),
    synonyms=("floor lamp", "standing lamp"),
    confusions=("table lamp", "fan"),
    materials=("fabric", "metal"),
)
def lamp(rng: Rng) -> Parts:
    p = Parts()
    height, shade = rng.uniform(1.45, 1.8), rng.uniform(0.17, 0.25)
    bar = "dark" if rng.random() < 0.6 else "gold"
    tall = rng.uniform(0.22, 0.34)
    x = 0.0
    if rng.random() < 0.35:
        for k in range(3):
            angle = 2 * np.pi * k / 3
            p.rod((0.28 * np.cos(angle), 0.28 * np.sin(angle), 0), (0, 0, height - tall), 0.016, bar)
        p.has("a tripod")
    elif rng.random() < 0.4:
        arc = np.linspace(0, np.pi * 0.55, 9)
        curve = [(0, 0, 0.03), *[(0.45 * (1 - np.cos(a)), 0, height - 0.45 + 0.45 * np.sin(a)) for a in arc]]
        p.tube(curve, 0.014, bar)
        p.cylinder(0.17, 0.035, paint=bar)
        x, height = float(curve[-1][0]), float(curve[-1][2]) + 0.02
        p.has("a bent arm")
    else:
        p.cylinder(0.15, 0.03, paint=bar)
        p.rod((0, 0, 0), (0, 0, height - 0.05), 0.013, bar)
        p.has("a straight pole")
    upper = shade * rng.uniform(0.5, 0.95)
    p.lathe([(shade, 0), (upper, tall)], (x, 0, height - tall), sections=24)
    p.blob((0.09, 0.09, 0.12), (x, 0, height - tall * 0.8), "lamp", sections=10)
    return p


@category(
    setting="room",
    spot="table",
    extent=(0.27, 0.85),
    synonyms=("bedside lamp", "reading lamp"),
    confusions=("lamp", "vase"),
    materials=("ceramic", "lacquer"),
)
def table_lamp(rng: Rng) -> Parts:
    p = Parts()
    body, girth = rng.uniform(0.16, 0.24), rng.uniform(0.07, 0.1)
    belly = rng.uniform(0.3, 0.6)
    p.lathe(
        [
            (0, 0),
            (girth * 0.8, 0),
            (girth * 0.8, 0.015),
            (girth * 0.5, 0.03),
            (girth, body * belly),
            (girth * 0.75, body * 0.85),
            (0.015, body),
            (0, body),
        ],
        sections=20,
    )
    p.rod((0, 0, body), (0, 0, body + 0.09), 0.008, "gold")
    shade, tall = rng.uniform(0.13, 0.17), rng.uniform(0.14, 0.19)
    p.lathe(
        [(shade, 0), (shade * rng.uniform(0.45, 0.7), tall)],
        (0, 0, body + 0.04),
        "sheet" if rng.random() < 0.6 else "main",
        sections=24,
    )
    p.blob((0.06, 0.06, 0.08), (0, 0, body + 0.06), "lamp", sections=10)
    p.has("a shade")
    return p
