"""Categories: vehicles and cycles."""

from __future__ import annotations

import numpy as np

from data_prep.world.category import category
from data_prep.world.solids import CORNERS, Parts, path

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


@category("road", (2.6, 6.9), "automobile, passenger car", like="van, truck", of="lacquer")
def car(p: Parts, rng: Rng) -> None:
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
    size = (front - 0.75 - back - rear_slope + 0.1, width * 0.76, 0.05)
    p.box(size, ((front - 0.75 + back + rear_slope) / 2, 0, roof - 0.03))
    for side in (1, -1):  # pillars carry the roof's color down
        for x0, x1 in (
            (back + 0.03, back + rear_slope),
            (front - 0.03, front - 0.75),
            ((front + back) / 2, (front + back) / 2 - 0.05),
        ):
            start = (x0, side * width * 0.46, belt - 0.02)
            p.rod(start, (x1, side * width * 0.375, roof - 0.02), 0.035, sections=4)
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


@category("road", (3.5, 7.8), "minivan, minibus", like="car, truck, bus", of="lacquer")
def van(p: Parts, rng: Rng) -> None:
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
        size = (0.04, width * 0.84, float(np.hypot(z_high - z_low, x_low - x_high)))
        at = (x_low + 0.01, 0.0, z_low + low)
        p.box(size, at, "glass", taper=(1, 0.93), turn=(0, -float(np.arctan(slope)), 0))
    windows = rng.random() < 0.5
    for side in (1, -1):
        at = (half - nose - 0.62, side * width * 0.463, 1.0 + low)
        p.box((0.8, 0.06, 0.55), at, "glass", taper=(0.75, 1), shift=(-0.12, -side * 0.03))
        if windows:
            for k in range(2):
                at = (half - nose - 1.75 - 1.2 * k, side * width * 0.463, 1.03 + low)
                p.box((1.05, 0.06, 0.5), at, "glass", shift=(0, -side * 0.03))
        p.blob(
            (0.12, 0.2, 0.25), (half - nose - 0.1, side * (width / 2 + 0.06), 1.0 + low), "dark", sections=8
        )
    p.box((0.05, width * 0.7, 0.5), (-half + 0.03, 0, 1.1 + low), "glass")
    p.has("side windows" if windows else "closed sides")
    _wheels(p, (-half * 0.58, half * 0.62), width, 0.34, 0.24)
    _lights(p, half - 0.06, -half, width, 0.72)


@category("road", (4.6, 11.5), "lorry, delivery truck", like="van, bus", of="lacquer")
def truck(p: Parts, rng: Rng) -> None:
    length, width, cab = rng.uniform(6.4, 8.4), rng.uniform(2.3, 2.5), rng.uniform(1.7, 2.0)
    half, floor, cab_top = length / 2, 0.95, rng.uniform(2.6, 2.9)
    p.box((length - 0.3, width * 0.5, 0.2), (-0.1, 0, floor - 0.25), "dark")
    front = half - cab / 2
    p.box((cab, width * 0.97, 1.25), (front, 0, 0.5))
    p.box((cab, width * 0.97, cab_top - 1.75), (front, 0, 1.75), taper=(0.85, 0.92), shift=(-0.12, 0))
    p.box((0.06, width * 0.85, 0.75), (half - 0.05, 0, 1.72), "glass", taper=(1, 0.94), turn=(0, -0.16, 0))
    for side in (1, -1):
        at = (front + 0.1, side * width * 0.482, 1.75)
        p.box((cab * 0.55, 0.05, 0.6), at, "glass", taper=(0.85, 1), shift=(-0.1, -side * 0.05))
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


@category("road", (6.6, 17.0), "coach, city bus", like="truck, van", of="lacquer")
def bus(p: Parts, rng: Rng) -> None:
    length, width, height, low = rng.uniform(9.2, 12.2), 2.5, rng.uniform(2.9, 3.2), 0.3
    half = length / 2
    p.blob((length, width, height - low), (0, 0, low), power=0.1, sections=20)
    z, tall = 1.25, height - 1.25 - 0.55
    bays = int(length / 1.4)
    for side in (1, -1):
        for k in range(bays):
            x = -half + 0.5 + (k + 0.5) * (length - 1.2) / bays
            door = side < 0 and k in (bays - 1, bays // 2)
            size = ((length - 1.2) / bays * 0.86, 0.04, tall + (0.75 if door else 0))
            p.box(size, (x, side * (width / 2 - 0.002), z - (0.75 if door else 0)), "glass")
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


@category("road", (3.3, 8.2), "excavator, digger", like="truck", of="lacquer")
def construction_vehicle(p: Parts, rng: Rng) -> None:
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


@category("curb", (1.2, 2.5), "bike, push bike", like="motorcycle", of="lacquer")
def bicycle(p: Parts, rng: Rng) -> None:
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
    xs = (head[0] - 0.12, head[0] - 0.02, head[0] - 0.02, head[0] - 0.12)
    ys = (-0.28, -0.2, 0.2, 0.28)
    zs = (grip + 0.02, grip, grip, grip + 0.02)
    p.tube(path(xs, ys, zs), 0.015, "dark")
    p.disc(0.09, 0.012, (crank[0], -0.05, crank[2]), "y", "steel", sections=14)
    p.rod((crank[0], -0.1, crank[2]), (crank[0] + 0.16, -0.1, crank[2] - 0.04), 0.012, "steel")
    p.rod((crank[0], 0.1, crank[2]), (crank[0] - 0.16, 0.1, crank[2] + 0.04), 0.012, "steel")
    if rng.random() < 0.35:
        p.box((0.26, 0.34, 0.22), (front + 0.08, 0, head[2] - 0.06), "cord", taper=(1.2, 1.15))
        p.has("a basket")
    if step_through:
        p.has("a low frame")


@category("curb", (1.25, 2.9), "motorbike, motor scooter", like="bicycle", of="lacquer")
def motorcycle(p: Parts, rng: Rng) -> None:
    base = rng.uniform(1.3, 1.45)
    rear, front = -base / 2, base / 2
    scooter = rng.random() < 0.35
    radius = 0.24 if scooter else rng.uniform(0.29, 0.32)
    for x in (rear, front):
        p.disc(radius, 0.14, (x, 0, radius), "y", "rubber", sections=20)
        p.disc(radius * 0.6, 0.16, (x, 0, radius), "y", "metal", sections=14)
    for side in (1, -1):
        p.rod((front, side * 0.09, radius), (front - 0.3, side * 0.09, 0.98), 0.028, "metal")
    xs = (front - 0.42, front - 0.3, front - 0.3, front - 0.42)
    ys = (-0.36, -0.15, 0.15, 0.36)
    zs = (1.02, 1.04, 1.04, 1.02)
    p.tube(path(xs, ys, zs), 0.02, "dark")
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


@category(
    "walk", (0.75, 1.7), "baby buggy, pram", like="bicycle", of="fabric", patterns="plain, dotted, checkered"
)
def stroller(p: Parts, rng: Rng) -> None:
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
