"""Categories of busy streets: riders, vans of many shapes, small and tall cars."""

from __future__ import annotations

import numpy as np

from data_prep.world.category import category
from data_prep.world.solids import Parts
from data_prep.world.vehicles import _lights, _wheels, bicycle, motorcycle

Rng = np.random.Generator


def _rider(
    p: Parts, rng: Rng, seat: tuple[float, float], grip: tuple[float, float, float], feet: list[tuple]
) -> None:
    """A person on a seat (x, z) with hands on the grips (x, half width, z) and feet at two points."""
    x, z = seat
    lean = rng.uniform(0.1, 0.75)
    tall, girth = rng.uniform(0.46, 0.58), rng.uniform(0.3, 0.42)
    shoulder = (x + tall * np.sin(lean), 0.0, z + 0.06 + tall * np.cos(lean))
    p.blob((0.3, girth * 0.95, 0.24), (x, 0, z - 0.06), "cloth", power=0.7, sections=10)
    p.tube([(x, 0, z + 0.06), shoulder], girth * 0.42, sections=8)
    for side, foot in zip((1, -1), feet, strict=True):
        hip = (x + 0.04, side * 0.1, z + 0.02)
        bent = (max(x + 0.36, foot[0] + 0.05), side * 0.13, (z + foot[2]) / 2 + 0.14)
        p.tube([hip, bent, foot], 0.065, "cloth")
        p.blob((0.26, 0.1, 0.09), (foot[0] + 0.05, foot[1], foot[2] - 0.06), "dark", sections=8)
        arm = (shoulder[0], side * girth * 0.5, shoulder[2] - 0.05)
        elbow = ((arm[0] + grip[0]) / 2 - 0.03, side * (grip[1] + 0.06), (arm[2] + grip[2]) / 2 - 0.04)
        p.tube([arm, elbow, (grip[0], side * grip[1], grip[2])], 0.045)
    head = (shoulder[0] + 0.06, 0.0, shoulder[2] + 0.06)
    p.cylinder(0.055, 0.1, (shoulder[0] + 0.02, 0, shoulder[2]), "skin", sections=10)
    p.blob((0.2, 0.17, 0.24), head, "skin", sections=10)
    if rng.random() < 0.5:
        p.blob((0.29, 0.22, 0.18), (head[0] - 0.02, 0, head[2] + 0.11), "light", sections=10)
        p.has("a helmet")
    if rng.random() < 0.3:
        p.blob((0.2, 0.3, 0.42), (x - 0.06 + 0.2 * np.sin(lean), 0, z + 0.14), "dark", power=0.5, sections=10)
        p.has("a backpack")
    p.has("a rider")


@category("ride", (1.6, 2.2), "bicyclist, bicycle rider", like="bicycle, pedestrian", of="fabric")
def cyclist(p: Parts, rng: Rng) -> None:
    bicycle(p, rng)
    turn = rng.uniform(0, 2 * np.pi)
    feet = [
        (-0.1 + 0.16 * np.cos(turn + k * np.pi), side * 0.14, 0.28 + 0.16 * np.sin(turn + k * np.pi))
        for k, side in enumerate((1, -1))
    ]
    _rider(p, rng, (-0.28, 0.93), (0.24, 0.27, 0.95), feet)


@category("ride", (1.7, 2.3), "biker, motorcycle rider", like="motorcycle, cyclist", of="leather")
def motorcyclist(p: Parts, rng: Rng) -> None:
    motorcycle(p, rng)
    _rider(p, rng, (-0.4, 0.88), (0.3, 0.33, 1.04), [(0.05, 0.22, 0.3), (0.05, -0.22, 0.3)])


def _body(
    p: Parts, length: float, width: float, top: float, nose: float, hood: float, rake: float, lean: float
) -> tuple[float, float]:
    """One volume from bumper to bumper with windscreen and side windows; returns half length and belt height."""
    half, low = length / 2, 0.24
    belt, tall = max(hood, top * 0.52) - low, top - low
    foot, head = half - nose, half - nose - rake
    p.ridge(
        [
            (-half, 0.08),
            (-half + 0.04, tall - 0.22),
            (-half + 0.18, tall),
            (head, tall),
            (foot, belt),
            (half - 0.07, hood - low),
            (half, 0.1),
        ],
        width,
        (0, 0, low),
        lean=lean,
    )
    slope = rake / (tall - belt)
    size = (0.04, width * 0.84 * lean, float(np.hypot(tall - belt - 0.12, rake)))
    p.box(
        size,
        (foot + 0.01, 0, belt + low + 0.03),
        "glass",
        taper=(1, 0.93),
        turn=(0, -float(np.arctan(slope)), 0),
    )
    return half, belt + low


def _windows(p: Parts, span: tuple[float, float], width: float, z: float, tall: float, bays: int) -> None:
    """Rows of side windows between two x."""
    step = (span[1] - span[0]) / bays
    for side in (1, -1):
        for k in range(bays):
            p.box((step * 0.88, 0.05, tall), (span[0] + (k + 0.5) * step, side * width / 2, z), "glass")


@category("van", (4.6, 7.4), "cargo van, delivery van", like="car, truck", of="lacquer", label="van")
def panel_van(p: Parts, rng: Rng) -> None:
    length, width, top = rng.uniform(4.9, 6.6), rng.uniform(1.92, 2.1), rng.uniform(2.05, 2.75)
    nose, rake = rng.uniform(0.55, 1.0), rng.uniform(0.6, 1.0)
    half, belt = _body(p, length, width, top, nose, rng.uniform(1.05, 1.25), rake, 0.9)
    _windows(p, (half - nose - rake - 0.75, half - nose - rake * 0.4), width * 0.95, belt, 0.5, 1)
    p.has("closed sides")
    _wheels(p, (-half * 0.58, half * 0.66), width, 0.34, 0.24)
    _lights(p, half - 0.06, -half, width, 0.75)


@category("van", (3.8, 4.9), "leisure van, high roof van", like="car", of="lacquer", label="van")
def small_van(p: Parts, rng: Rng) -> None:
    length, width, top = rng.uniform(4.05, 4.55), rng.uniform(1.72, 1.86), rng.uniform(1.76, 1.95)
    nose, rake = rng.uniform(0.75, 0.95), rng.uniform(0.6, 0.8)
    half, belt = _body(p, length, width, top, nose, rng.uniform(0.92, 1.05), rake, 0.88)
    bays = int(rng.choice([1, 3]))
    back = -half + 0.3 if bays == 3 else half - nose - rake - 0.8
    _windows(p, (back, half - nose - rake * 0.4), width * 0.94, belt, 0.42, bays)
    p.has("side windows" if bays == 3 else "closed sides")
    _wheels(p, (-half * 0.6, half * 0.62), width, 0.31, 0.2)
    _lights(p, half - 0.05, -half, width, 0.68)


@category("van", (4.3, 5.7), "people carrier, shuttle van", like="car, bus", of="lacquer", label="van")
def people_van(p: Parts, rng: Rng) -> None:
    length, width, top = rng.uniform(4.65, 5.35), rng.uniform(1.85, 1.98), rng.uniform(1.74, 2.05)
    nose, rake = rng.uniform(0.6, 0.9), rng.uniform(0.7, 1.05)
    half, belt = _body(p, length, width, top, nose, rng.uniform(0.95, 1.1), rake, 0.86)
    _windows(p, (-half + 0.25, half - nose - rake * 0.4), width * 0.93, belt, top - belt - 0.3, 3)
    p.has("side windows")
    _wheels(p, (-half * 0.58, half * 0.62), width, 0.33, 0.22)
    _lights(p, half - 0.06, -half, width, 0.7)


@category("van", (4.9, 7.2), "box van, luton van", like="truck", of="lacquer", label="van")
def box_van(p: Parts, rng: Rng) -> None:
    length, width, cab = rng.uniform(5.3, 6.6), rng.uniform(2.0, 2.2), rng.uniform(1.9, 2.2)
    half, top = length / 2, rng.uniform(1.95, 2.25)
    start = len(p.solids)
    _body(p, cab, width * 0.93, top, 0.55, 1.1, 0.6, 0.9)
    for solid in p.solids[start:]:
        solid.corners = solid.corners + np.array([half - cab / 2, 0, 0], np.float32)
    load = length - cab + 0.1
    bed, x = rng.random() < 0.35, -half + load / 2
    if bed:
        p.box((load, width, 0.12), (x, 0, 0.85), "steel")
        for side in (1, -1):
            p.box((load, 0.05, 0.4), (x, side * (width / 2 - 0.03), 0.95))
        p.box((0.05, width, 0.4), (-half + 0.03, 0, 0.95))
        if rng.random() < 0.5:
            p.blob((load * 0.7, width * 0.8, rng.uniform(0.5, 1.0)), (x, 0, 0.95), "cord", power=0.5)
        p.has("an open bed")
    else:
        p.box((load, width, rng.uniform(1.7, 2.1)), (x, 0, 0.75), "light" if rng.random() < 0.5 else "main")
        p.has("a box body")
    p.box((load, width * 0.5, 0.3), (x, 0, 0.5), "dark")
    _wheels(p, (-half * 0.55, half * 0.66), width * 0.95, 0.34, 0.24)
    _lights(p, half - 0.06, -half, width, 0.72)


@category("car", (3.2, 5.3), "compact car, sport utility vehicle", like="van", of="lacquer", label="car")
def other_car(p: Parts, rng: Rng) -> None:
    tall = rng.random() < 0.5
    length = rng.uniform(4.3, 4.95) if tall else rng.uniform(3.45, 4.0)
    width, top = (
        rng.uniform(1.8, 1.96) if tall else rng.uniform(1.6, 1.75),
        rng.uniform(1.6, 1.8) if tall else rng.uniform(1.42, 1.58),
    )
    nose, rake = length * rng.uniform(0.2, 0.27), rng.uniform(0.65, 0.95)
    half, belt = _body(p, length, width, top, nose, top * rng.uniform(0.54, 0.62), rake, 0.82)
    _windows(p, (-half + 0.35, half - nose - rake * 0.5), width * 0.91, belt, top - belt - 0.16, 2)
    p.has("a tall body" if tall else "a short body")
    _wheels(p, (-half * 0.6, half * 0.64), width, 0.36 if tall else 0.29, 0.22)
    _lights(p, half - 0.05, -half, width, 0.68)
