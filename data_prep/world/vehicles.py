"""What drives."""

from __future__ import annotations

import numpy as np

from data_prep.world.registry import category
from data_prep.world.solids import Parts

Rng = np.random.Generator


def _wheels(p: Parts, xs: tuple[float, ...], track: float, radius: float, width: float) -> None:
    for x in xs:
        for side in (1, -1):
            y = side * (track / 2 - width / 2 + 0.02)
            p.disc(radius, width, (x, y, radius), "y", "rubber", sections=20)
            p.disc(radius * 0.6, width + 0.03, (x, y, radius), "y", "metal", sections=14)


def _lights(p: Parts, front: float, rear: float, width: float, z: float) -> None:
    for side in (1, -1):
        y = side * width * 0.38
        p.blob((0.1, width * 0.16, 0.13), (front, y, z), "lamp", sections=8)
        p.box((0.06, width * 0.14, 0.14), (rear, y, z + 0.03), "taillight")
    p.box((0.03, 0.5, 0.11), (rear - 0.03, 0, z - 0.12), "light")
    p.box((0.03, 0.5, 0.11), (front + 0.03, 0, z - 0.15), "light")


@category(
    setting="street",
    spot="road",
    extent=(2.6, 6.9),
    synonyms=("automobile", "passenger car"),
    confusions=("van", "truck"),
    materials=("lacquer",),
)
def car(rng: Rng) -> Parts:
    p = Parts()
    style = rng.choice(["saloon", "hatchback", "estate", "pickup"], p=[0.4, 0.3, 0.2, 0.1])
    length = {"saloon": 4.6, "hatchback": 3.9, "estate": 4.6, "pickup": 4.9}[style] * rng.uniform(0.95, 1.05)
    width, roof, belt, low = rng.uniform(1.72, 1.88), rng.uniform(1.4, 1.56), rng.uniform(0.88, 0.98), 0.2
    half, hood = length / 2, rng.uniform(0.72, 0.8)
    body = [
        (-half, 0.12),
        (-half + 0.04, belt - low - 0.14),
        (-half + 0.2, belt - low),
        (half * 0.42, belt - low),
        (half - 0.18, hood - low),
        (half - 0.02, 0.38),
        (half, 0.1),
    ]
    p.ridge(body, width, (0, 0, low), lean=0.94)
    front, back = (
        half * rng.uniform(0.40, 0.48),
        {"saloon": -half * 0.72, "hatchback": -half * 0.93, "estate": -half * 0.95, "pickup": -half * 0.1}[
            style
        ],
    )
    rear_slope = {"saloon": 0.5, "hatchback": 0.35, "estate": 0.18, "pickup": 0.12}[style]
    cabin = [(back, 0.0), (back + rear_slope, roof - belt), (front - 0.75, roof - belt), (front, 0.0)]
    p.ridge(cabin, width * 0.93, (0, 0, belt - 0.01), "glass", lean=0.8)
    p.box(
        (front - 0.75 - back - rear_slope + 0.1, width * 0.76, 0.05),
        ((front - 0.75 + back + rear_slope) / 2, 0, roof - 0.03),
    )
    for side in (1, -1):  # pillars carry the roof's color down
        for x0, x1 in (
            (back + 0.03, back + rear_slope),
            (front - 0.03, front - 0.75),
            ((front + back) / 2, (front + back) / 2 - 0.05),
        ):
            p.rod(
                (x0, side * width * 0.46, belt - 0.02),
                (x1, side * width * 0.375, roof - 0.02),
                0.035,
                sections=4,
            )
        p.blob((0.12, 0.18, 0.13), (front - 0.15, side * (width / 2 + 0.05), belt), sections=8)
    if style == "pickup":
        p.box((half - 0.25 + back, width * 0.8, 0.02), ((back - half) / 2, 0, belt + 0.005), "dark")
        for side in (1, -1):
            p.box((half + back, 0.06, 0.12), ((back - half) / 2, side * width * 0.44, belt))
        p.has("a load bed")
    radius = rng.uniform(0.3, 0.35)
    _wheels(p, (-half * 0.6, half * 0.62), width, radius, 0.22)
    _lights(p, half - 0.06, -half + 0.02, width, 0.62)
    p.has(
        {"saloon": "a boot", "hatchback": "a hatch", "estate": "a long roof", "pickup": "an open back"}[style]
    )
    return p


@category(
    setting="street",
    spot="road",
    extent=(3.5, 7.8),
    synonyms=("minivan", "minibus"),
    confusions=("car", "truck", "bus"),
    materials=("lacquer",),
)
def van(rng: Rng) -> Parts:
    p = Parts()
    length, width, height, low = rng.uniform(4.9, 5.6), rng.uniform(1.9, 2.0), rng.uniform(2.1, 2.5), 0.25
    half, nose = length / 2, rng.uniform(0.5, 0.8)
    tall = height - low
    body = [
        (-half, 0.05),
        (-half + 0.05, tall - 0.1),
        (-half + 0.2, tall),
        (half - nose - 0.75, tall),
        (half - nose, 1.0),
        (half - 0.05, 0.75),
        (half, 0.1),
    ]
    p.ridge(body, width, (0, 0, low), lean=0.9)
    slope = 0.75 / (tall - 1.0)
    z0, z1 = 1.08, tall - 0.12
    for z_low, z_high in ((z0, z1),):  # windscreen, just outside the body's own slope
        x_low, x_high = half - nose - (z_low - 1.0) * slope, half - nose - (z_high - 1.0) * slope
        p.box(
            (0.04, width * 0.84, float(np.hypot(z_high - z_low, x_low - x_high))),
            (x_low + 0.01, 0, z_low + low),
            "glass",
            taper=(1, 0.93),
            turn=(0, -float(np.arctan(slope)), 0),
        )
    windows = rng.random() < 0.5
    for side in (1, -1):
        p.box(
            (0.8, 0.06, 0.55),
            (half - nose - 0.62, side * width * 0.463, 1.0 + low),
            "glass",
            taper=(0.75, 1),
            shift=(-0.12, -side * 0.03),
        )
        if windows:
            for k in range(2):
                p.box(
                    (1.05, 0.06, 0.5),
                    (half - nose - 1.75 - 1.2 * k, side * width * 0.463, 1.03 + low),
                    "glass",
                    shift=(0, -side * 0.03),
                )
        p.blob(
            (0.12, 0.2, 0.25), (half - nose - 0.1, side * (width / 2 + 0.06), 1.0 + low), "dark", sections=8
        )
    p.box((0.05, width * 0.7, 0.5), (-half + 0.03, 0, 1.1 + low), "glass")
    p.has("side windows" if windows else "closed sides")
    _wheels(p, (-half * 0.58, half * 0.62), width, 0.34, 0.24)
    _lights(p, half - 0.06, -half, width, 0.72)
    return p


@category(
    setting="street",
    spot="road",
    extent=(4.6, 11.5),
    synonyms=("lorry", "delivery truck"),
    confusions=("van", "bus"),
    materials=("lacquer",),
)
def truck(rng: Rng) -> Parts:
    p = Parts()
    length, width, cab = rng.uniform(6.4, 8.4), rng.uniform(2.3, 2.5), rng.uniform(1.7, 2.0)
    half, floor, cab_top = length / 2, 0.95, rng.uniform(2.6, 2.9)
    p.box((length - 0.3, width * 0.5, 0.2), (-0.1, 0, floor - 0.25), "dark")
    front = half - cab / 2
    p.box((cab, width * 0.97, 1.25), (front, 0, 0.5))
    p.box((cab, width * 0.97, cab_top - 1.75), (front, 0, 1.75), taper=(0.85, 0.92), shift=(-0.12, 0))
    p.box((0.06, width * 0.85, 0.75), (half - 0.05, 0, 1.72), "glass", taper=(1, 0.94), turn=(0, -0.16, 0))
    for side in (1, -1):
        p.box(
            (cab * 0.55, 0.05, 0.6),
            (front + 0.1, side * width * 0.482, 1.75),
            "glass",
            taper=(0.85, 1),
            shift=(-0.1, -side * 0.05),
        )
        p.box((0.1, 0.2, 0.4), (half - 0.25, side * (width / 2 + 0.12), 1.75), "dark")
    load = length - cab - 0.15
    kind = rng.choice(["box", "flat", "tank"], p=[0.6, 0.2, 0.2])
    x = -half + load / 2
    if kind == "box":
        p.box((load, width, rng.uniform(2.1, 2.5)), (x, 0, floor), "main" if rng.random() < 0.6 else "second")
        p.rod((-half - 0.02, 0, floor), (-half - 0.02, 0, floor + 2.1), 0.03, "dark", sections=4)
        p.has("a box body")
    elif kind == "tank":
        p.disc(width * 0.46, load - 0.1, (x, 0, floor + width * 0.46), "x", "main", sections=24)
        for t in (-0.35, 0.35):
            p.disc(width * 0.47, 0.1, (x + t * load, 0, floor + width * 0.46), "x", "steel", sections=24)
        p.has("a tank")
    else:
        p.box((load, width, 0.15), (x, 0, floor), "wood")
        for side in (1, -1):
            p.box((load, 0.06, 0.5), (x, side * (width / 2 - 0.03), floor))
        p.box((0.06, width, 0.5), (-half + 0.03, 0, floor))
        p.box((0.1, width, 1.0), (-half + load, 0, floor))
        p.has("a flat bed")
    _wheels(p, (-half * 0.66, -half * 0.36, half - cab * 0.55), width, 0.48, 0.3)
    _lights(p, half - 0.02, -half + 0.02, width, 0.65)
    return p


@category(
    setting="street",
    spot="road",
    extent=(6.6, 17.0),
    synonyms=("coach", "city bus"),
    confusions=("truck", "van"),
    materials=("lacquer",),
)
def bus(rng: Rng) -> Parts:
    p = Parts()
    length, width, height, low = rng.uniform(9.2, 12.2), 2.5, rng.uniform(2.9, 3.2), 0.3
    half = length / 2
    p.blob((length, width, height - low), (0, 0, low), power=0.1, sections=20)
    z, tall = 1.25, height - 1.25 - 0.55
    bays = int(length / 1.4)
    for side in (1, -1):
        for k in range(bays):
            x = -half + 0.5 + (k + 0.5) * (length - 1.2) / bays
            door = side < 0 and k in (bays - 1, bays // 2)
            p.box(
                ((length - 1.2) / bays * 0.86, 0.04, tall + (0.75 if door else 0)),
                (x, side * (width / 2 - 0.002), z - (0.75 if door else 0)),
                "glass",
            )
    p.box((0.05, width * 0.88, tall + 0.25), (half - 0.005, 0, z - 0.15), "glass")
    p.box((0.05, width * 0.8, tall * 0.8), (-half + 0.005, 0, z + 0.1), "glass")
    p.box((0.06, width * 0.6, 0.26), (half - 0.005, 0, height - 0.42), "amber")
    if rng.random() < 0.5:
        for side in (1, -1):
            p.box((length * 0.97, 0.03, 0.16), (0, side * (width / 2 - 0.002), 0.85), "second")
        p.has("a stripe")
    p.box((length * 0.3, width * 0.6, 0.18), (-half * 0.3, 0, height - 0.03), "light")
    _wheels(p, (-half * 0.55, half * 0.6), width + 0.02, 0.48, 0.3)
    _lights(p, half - 0.02, -half + 0.02, width, 0.6)
    p.has("rows of windows")
    return p


@category(
    setting="street",
    spot="road",
    extent=(3.3, 8.2),
    synonyms=("excavator", "digger"),
    confusions=("truck",),
    materials=("lacquer",),
)
def construction_vehicle(rng: Rng) -> Parts:
    p = Parts()
    for side in (1, -1):
        p.blob((3.0, 0.5, 0.8), (0, side * 0.9, 0), "rubber", power=0.35)
        for x in (-1.0, 0.0, 1.0):
            p.disc(0.25, 0.54, (x, side * 0.9, 0.38), "y", "steel", sections=14)
    p.cylinder(0.7, 0.3, (0, 0, 0.7), "dark")
    p.box((2.5, 2.1, 0.75), (-0.3, 0, 0.95), taper=(0.95, 0.95))
    p.box((1.1, 0.9, 1.1), (0.35, 0.55, 1.7), taper=(0.85, 0.9), shift=(-0.05, 0))
    p.box((0.9, 0.94, 0.62), (0.37, 0.55, 2.05), "glass", taper=(0.9, 0.95))
    p.box((0.9, 2.0, 0.5), (-1.1, 0, 1.6))
    lift, reach = rng.uniform(0.5, 0.9), rng.uniform(2.0, 2.5)
    elbow = (0.8 + reach * np.cos(lift), -0.3, 1.5 + reach * np.sin(lift))
    drop = rng.uniform(0.9, 1.2)
    tip = (elbow[0] + 1.6 * np.cos(drop), -0.3, max(elbow[2] - 1.9 * np.sin(drop), 0.7))
    p.rod((0.8, -0.3, 1.5), elbow, 0.22, sections=4)
    p.rod(elbow, tip, 0.17, sections=4)
    p.rod((0.9, -0.3, 1.2), ((0.8 + elbow[0]) / 2, -0.3, (1.5 + elbow[2]) / 2 - 0.1), 0.07, "metal")
    p.box((0.7, 0.9, 0.6), (tip[0] - 0.1, -0.3, tip[2] - 0.6), "steel", taper=(0.6, 1), shift=(0.1, 0))
    p.has("a digger arm")
    p.has("tracks")
    return p
