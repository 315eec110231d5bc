"""Busy streets: riders, groups, vans and trees of many shapes, and what stands beside the road."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.geometry import rigid
from data_prep.world.objects import list_categories, make_object
from data_prep.world.palette import GROUND, TILES, Paint
from data_prep.world.solids import Parts
from data_prep.world.streets import CURB, LANE, MARGIN, STEP, Street, scatter_assemblies
from data_prep.world.surface import Light
from data_prep.world.world import Footprints, WorldBuilder

Rng = np.random.Generator
_SIZE = "medium"  # natural sizes: on a road, size tells one label from another
_EDGES = ("building", "building", "hedge", "fence", "wall", "open")


def build_city(rng: Rng, frames: int, first_instance: int = 0, assemblies: Sequence[Rng] = ()) -> Street:
    """Lay out one busy street along world x, the vehicle in its right lane.

    Args:
        rng: source of everything random.
        frames: number of vehicle poses, ``STEP`` meters apart.
        first_instance: id of the first object.
        assemblies: one source of randomness for each nameless thing.
    """
    builder, taken = WorldBuilder(first_instance), Footprints()
    start, end = -MARGIN - 35, MARGIN + 35 + STEP * frames
    taken.claim(
        ((start + end) / 2, -LANE / 2), (end - start, 2.6), 0.0, 0.0
    )  # the vehicle's own way stays free
    city = _City(builder, taken, rng, start, end)
    sides = []
    for side in (1, -1):
        parking = float(rng.choice([0.3, 2.3, 2.6]))
        walk = float(rng.choice([0.4, 2.0, 3.2, 4.5]))
        sides.append((LANE + parking, walk))
        city.traffic(side, parking)
        city.sidewalk(side, LANE + parking, walk)
        city.edge(side, LANE + parking + walk)
    city.ground(sides)
    for generator in assemblies:
        curb_y, walk = max(sides, key=lambda s: s[1])
        scatter_assemblies(builder, generator, taken, (0.0, STEP * frames + 22.0), curb_y, max(walk, 3.2))
    light = Light((float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.7, 0.7)), 0.9), None, 0.6, 0.5, True)
    turns = [0.02 * np.sin(0.5 * k) for k in range(frames)]
    poses = [
        rigid(
            [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]],
            (STEP * k, -LANE / 2 + 0.15 * np.sin(0.3 * k), 0),
        )
        for k, a in enumerate(turns)
    ]
    return Street(builder.build(light, ((0.80, 0.87, 0.93), (0.38, 0.58, 0.85))), np.stack(poses))


class _City:
    """What is placed where, for one street."""

    def __init__(self, builder: WorldBuilder, taken: Footprints, rng: Rng, start: float, end: float) -> None:
        self.builder, self.taken, self.rng, self.start, self.end = builder, taken, rng, start, end

    def put(
        self,
        name: str,
        x: float,
        y: float,
        yaw: float,
        z: float = 0.0,
        gap: float = 0.1,
        behind: bool = False,
    ) -> tuple[float, float] | None:
        """Place one thing where it is free; its length and width, None where not. ``behind``: as background."""
        obj = make_object(name, self.rng, size=_SIZE)
        size = (float(obj.extent[0]), float(obj.extent[1]))
        if not self.taken.claim((x, y), size, yaw, gap):
            return None
        self.builder.place(obj, (x, y, z), yaw, behind)
        return size

    def spaced(self, low: float, high: float) -> Iterator[float]:
        """Places along the street, ``low`` to ``high`` meters apart."""
        x = self.start + float(self.rng.uniform(0, high))
        while x < self.end:
            yield x
            x += float(self.rng.uniform(low, high))

    def pick(self, *names: str) -> str:
        """One of them."""
        return names[self.rng.integers(len(names))]

    def vehicle(self) -> str:
        """Mostly cars, then vans of all shapes, then the rest."""
        draw = self.rng.random()
        if draw < 0.58:
            return self.pick("car", "other car")
        return (
            self.pick(*list_categories("city", "van"))
            if draw < 0.83
            else self.pick("truck", "bus", "truck", "construction vehicle")
        )

    def traffic(self, side: int, parking: float) -> None:
        """Moving and parked vehicles, riders, and rows of barriers and cones at the road's edge."""
        rng, along = self.rng, np.pi if side > 0 else 0.0  # traffic keeps right
        for x in self.spaced(8.0, 26.0):
            self.put(
                self.pick("cyclist", "cyclist", "motorcyclist"),
                x,
                side * (LANE - 0.05),
                along + rng.normal(0, 0.06),
            )
        if parking > 2:
            for x in self.spaced(5.2, 9.0):
                self.put(
                    self.vehicle(), x, side * (LANE + parking / 2 + 0.1), along + rng.normal(0, 0.04), gap=0.2
                )
        if side > 0:
            for x in self.spaced(10.0, 26.0):
                self.put(self.vehicle(), x, LANE / 2 + rng.normal(0, 0.15), along, gap=0.5)
            for x in self.spaced(16.0, 40.0):
                self.group(x, float(rng.uniform(0.4, LANE - 0.4)), 0.0)
        for x in self.spaced(20.0, 45.0):
            name, at = self.pick("barrier", "barrier", "traffic cone"), x
            for _ in range(int(rng.integers(2, 7))):
                size = self.put(name, at, side * (LANE + parking - 0.3), np.pi / 2, gap=-0.04)
                if size is None:
                    break
                at += size[1] + (0.0 if name == "barrier" else float(rng.uniform(0.3, 1.5)))

    def group(self, x: float, y: float, z: float) -> None:
        """One to six people side by side, so close that they touch."""
        rng, yaw = self.rng, float(self.rng.uniform(-np.pi, np.pi))
        step = np.array([-np.sin(yaw), np.cos(yaw)])
        at = np.array([x, y])
        for _ in range(int(rng.choice([1, 1, 2, 3, 4, 6]))):
            size = self.put("pedestrian", at[0], at[1], yaw + float(rng.normal(0, 0.15)), z, gap=-0.06)
            if size is None:
                return
            at = at + step * (size[1] - rng.uniform(0.05, 0.12)) + rng.normal(0, 0.06, 2)

    def sidewalk(self, side: int, curb_y: float, walk: float) -> None:
        """People, street furniture, bicycles and trees between curb and fronts."""
        if walk < 1.5:
            return
        rng, inward = self.rng, -np.pi / 2 if side > 0 else np.pi / 2
        for x in self.spaced(5.0, 12.0):
            self.put(
                self.pick(*list_categories("city", "tree"), *list_categories("street", "curbside")),
                x,
                side * (curb_y + 0.55),
                inward,
                CURB,
                -0.6,
            )
        for x in self.spaced(6.0, 14.0):
            self.put(
                self.pick("bicycle", "bicycle", "motorcycle"),
                x,
                side * (curb_y + 1.3),
                rng.normal(0, 0.4),
                CURB,
            )
        for x in self.spaced(3.0, 9.0):
            across = side * (curb_y + float(rng.uniform(min(1.7, walk - 0.5), walk - 0.4)))
            if rng.random() < 0.65:
                self.group(x, across, CURB)
            elif rng.random() < 0.3:
                self.put("cyclist", x, across, float(rng.choice([0, np.pi])), CURB)
            else:
                self.put(self.pick(*list_categories("street", "walk")), x, across, inward, CURB)

    def edge(self, side: int, y: float) -> None:
        """Stretches of facade, hedge, fence, wall and open ground, with trees and bushes before and behind them."""
        rng, x = self.rng, self.start - 20.0
        while x < self.end + 20:
            kind, stop = self.pick(*_EDGES), x + float(rng.uniform(6, 24))
            front = y + (float(rng.uniform(0.0, 1.5)) if kind == "building" else 0.45)
            while x < stop:
                if kind == "open":
                    x = stop
                    continue
                obj = make_object(kind, rng, size=_SIZE)
                long, deep = float(obj.extent[0]), float(obj.extent[1])
                middle = side * (front + deep / 2)
                self.taken.claim((x + long / 2, middle), (long, deep), 0.0, -0.05)
                self.builder.place(
                    obj, (x + long / 2, middle, 0.0), np.pi if side > 0 else 0.0, background=True
                )
                x += long
            if kind != "building":  # gardens: the house stands behind
                for _ in range(int(rng.integers(0, 4))):
                    name = self.pick("bush", "bush", *list_categories("city", "tree"))
                    at = float(rng.uniform(x - 8, x))
                    self.put(
                        name,
                        at,
                        side * (front + float(rng.uniform(1.5, 7))),
                        float(rng.uniform(-3, 3)),
                        0.0,
                        -0.3,
                        name == "bush",
                    )
                self.put("building", x - 5, side * (front + 12), np.pi if side > 0 else 0.0, 0.0, 0.0, True)

    def ground(self, sides: Sequence[tuple[float, float]]) -> None:
        """Road, curbs, sidewalks and lawns."""
        gray, slab = float(self.rng.uniform(0.30, 0.40)), float(self.rng.uniform(0.58, 0.70))
        paints = {
            "asphalt": Paint((gray,) * 3, (gray * 0.85,) * 3, GROUND, 0.8, 0.05),
            "slabs": Paint((slab,) * 3, (slab * 0.75,) * 3, TILES, 0.8, 0.0),
            "grass": Paint((0.34, 0.46, 0.22), (0.42, 0.52, 0.27), GROUND, 1.0, 0.0),
            "line": Paint((0.92, 0.92, 0.88), gloss=0.1),
        }
        p, length, middle = Parts(), self.end - self.start + 160, (self.start + self.end) / 2
        for side, (curb_y, walk) in zip((1, -1), sides, strict=True):
            p.box((length, curb_y, 0.1), (middle, side * curb_y / 2, -0.1), "asphalt")
            p.box((length, walk, CURB + 0.1), (middle, side * (curb_y + walk / 2), -0.1), "slabs")
            p.box((length, 90, 0.1), (middle, side * (curb_y + walk + 45), -0.05), "grass")
            p.box((length, 0.12, 0.004), (middle, side * LANE, 0), "line")
        for x in np.arange(self.start - 30, self.end + 30, 6.0):
            p.box((2.8, 0.12, 0.004), (x, 0, 0), "line")
        self.builder.scenery(p, paints)
