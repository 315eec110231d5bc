"""Solids at random, and what random solids hold on to each other by: the vocabulary of :mod:`assemblies`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.world.solids import CORNERS, Parts

Rng = np.random.Generator

_ACCENTS = ("second", "second", "plain", "dark", "light", "metal", "steel", "wood", "gold", "rubber", "glass")
_SINK = 0.04  # share of its height by which a solid sinks into the one below, so that they touch


@dataclass(frozen=True)
class Piece:
    """A solid that others hold on to: the center of its base and its full size.

    ``girth`` is its width at half height as a share of the full width.
    """

    at: tuple[float, float, float]
    size: tuple[float, float, float]
    girth: float = 1.0
    round: bool = False

    @property
    def top(self) -> float:
        """Height of its highest point."""
        return self.at[2] + self.size[2]


def pick(rng: Rng, choices: Sequence[str]) -> str:
    """One of them, each as likely."""
    return choices[int(rng.integers(len(choices)))]


def accent(rng: Rng, chance: float = 0.5) -> str:
    """The name of another paint than the main one, with some ``chance``."""
    return pick(rng, _ACCENTS) if rng.random() < chance else "main"


def spread(rng: Rng, low: float, high: float) -> float:
    """Log-uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def sizes(rng: Rng) -> tuple[float, float, float]:
    """A body about one unit wide: flat, cubic or tall, often as deep as wide."""
    depth = 1.0 if rng.random() < 0.4 else spread(rng, 0.35, 1.0)
    return spread(rng, 0.6, 1.1), depth, spread(rng, 0.15, 1.6)


def solid(
    p: Parts,
    rng: Rng,
    size: Iterable[float],
    at: Sequence[float],
    paint: str = "main",
    kinds: Sequence[str] = ("box", "box", "taper", "soft", "cylinder", "cylinder", "cone", "blob", "ridge"),
) -> Piece:
    """Some solid that fills ``size`` (x, y, z) and stands on ``at``."""
    x, y, z = (float(s) for s in size)
    kind, girth, round_ = pick(rng, kinds), 1.0, False
    if kind == "box":
        p.box((x, y, z), at, paint)
    elif kind == "taper":
        taper = rng.uniform(0.35, 0.9), rng.uniform(0.35, 0.9)
        p.box((x, y, z), at, paint, taper=taper)
        girth = (1 + min(taper)) / 2
    elif kind == "soft":
        p.blob((x, y, z), at, paint, power=float(rng.choice([0.25, 0.4, 0.6])))
    elif kind == "blob":
        p.blob((x, y, z), at, paint)
        round_ = True
    elif kind in ("cylinder", "cone"):
        upper = 1.0 if kind == "cylinder" else float(rng.choice([0.0, 0.3, 0.55, 0.75]))
        profile = [(0, 0), (x / 2, 0), (x / 2 * upper, z), (0, z)]
        p.lathe(profile if upper else profile[:3], at, paint, squash=y / x)
        girth, round_ = (1 + upper) / 2, True
    else:
        back, front = rng.uniform(0.15, 1.0, 2)
        line = [(-x / 2, back * z), (-x / 2 * rng.uniform(0.2, 0.8), z), (x / 2 * rng.uniform(0.2, 0.8), z)]
        p.ridge([*line, (x / 2, front * z)], y, at, paint, lean=float(rng.uniform(0.75, 1)))
        girth = 0.7
    return Piece((float(at[0]), float(at[1]), float(at[2])), (x, y, z), girth, round_)


def on_top(p: Parts, rng: Rng, below: Piece, share: tuple[float, float] = (0.3, 1.1)) -> Piece:
    """One more solid in the middle of the one below."""
    x, y = (below.size[axis] * rng.uniform(*share) for axis in (0, 1))
    if below.round:
        y = x
    z = below.size[2] * spread(rng, 0.25, 1.3)
    at = (below.at[0], below.at[1], below.top - _SINK * below.size[2])
    return solid(p, rng, (x, y, z), at, accent(rng))


def legs(p: Parts, rng: Rng, body: Piece, height: float) -> None:
    """Hold a body whose base is ``height`` above the ground."""
    paint = accent(rng, 0.6)
    half_x, half_y = body.size[0] / 2, body.size[1] / 2
    style = pick(rng, ("four", "four", "four", "three", "panels", "column", "star", "sled"))
    thick = rng.uniform(0.015, 0.06)
    inset = 0.6 if body.round or body.girth < 1 else rng.uniform(0.7, 0.92)
    into = body.at[2] + body.size[2] * 0.5  # legs end inside, so that they also touch what is round below
    if style == "four":
        splay, sections = rng.uniform(0.0, 0.12), int(rng.choice([4, 8]))
        for sx, sy in CORNERS:
            x, y = sx * half_x * inset, sy * half_y * inset
            p.rod((x + sx * splay, y + sy * splay, 0), (x, y, into), thick, paint, sections=sections)
    elif style == "three":
        splay = rng.uniform(0.8, 1.3)
        for angle in np.arange(3) * 2 * np.pi / 3 + np.pi / 6:
            x, y = half_x * inset * np.cos(angle), half_y * inset * np.sin(angle)
            p.rod((x * splay, y * splay, 0), (x, y, into), thick, paint)
    elif style == "panels":
        for side in (1, -1):
            at = (0, side * half_y * inset * 0.95, 0)
            p.box((body.size[0] * rng.uniform(0.5, 0.9) * inset, thick * 1.5, into), at, paint)
    elif style == "sled":
        for side in (1, -1):
            x, y = half_x * inset, side * half_y * inset
            p.tube([(x, y, into), (x, y, thick), (-x, y, thick), (-x, y, into)], thick, paint)
    else:
        p.cylinder(thick * 1.6, into, paint=paint)
        reach = max(half_x, half_y) * rng.uniform(0.5, 1.0)
        if style == "column":
            p.cylinder(reach, 0.03, paint=paint, top=reach * rng.uniform(0.5, 1))
        else:
            for angle in np.arange(count := int(rng.integers(3, 6))) * 2 * np.pi / count:
                end = (reach * np.cos(angle), reach * np.sin(angle), thick)
                p.rod((0, 0, height * rng.uniform(0.05, 0.3) + thick), end, thick, paint)


def wheels(p: Parts, rng: Rng, body: Piece, radius: float) -> None:
    """One or two pairs that reach above the base of the body; it must be boxy."""
    width, pairs = radius * rng.uniform(0.3, 0.8), int(rng.integers(1, 3))
    for share in (0.0,) if pairs == 1 else (0.6, -0.6):
        for side in (1, -1):
            center = (share * body.size[0] / 2, side * body.size[1] * 0.47, radius)
            p.disc(radius, width, center, "y", "rubber")
            p.disc(radius * 0.5, width * 1.15, center, "y", "metal")


def details(p: Parts, rng: Rng, body: Piece) -> None:
    """A few of: knob, arch, pair at the sides, band, panel, antenna."""
    (x, y, z), paint = body.size, accent(rng, 0.6)
    middle, side_y = body.at[2] + z / 2, y / 2 * body.girth
    for detail in rng.permutation(["knob", "arch", "ears", "handles", "panel", "antenna"])[
        : rng.integers(0, 3)
    ]:
        if detail == "knob":
            r = min(x, y) * rng.uniform(0.06, 0.2)
            p.blob((2 * r, 2 * r, 2 * r), (body.at[0], body.at[1], body.top - r * 0.5), paint)
        elif detail == "arch":
            w, h = y * body.girth * rng.uniform(0.15, 0.4), spread(rng, 0.08, 0.5)
            arc = np.linspace(0, np.pi, 9)
            line = np.stack([0 * arc, w * np.cos(arc), body.top + h * np.sin(arc)], axis=1)
            ends = [(0, w, middle), *line.tolist(), (0, -w, middle)]
            p.tube(np.array(ends) + [body.at[0], body.at[1], 0], rng.uniform(0.012, 0.035), paint)
        elif detail == "ears":
            s, start = rng.uniform(0.15, 0.5, 3) * (x, y, z), len(p.solids)
            for side in (1, -1):  # the same dice for both sides
                twin = np.random.default_rng(start)
                solid(p, twin, s, (body.at[0], body.at[1] + side * side_y, middle - s[2] / 2), paint)
        elif detail == "handles":
            r = z * rng.uniform(0.15, 0.35)
            for side in (1, -1) if rng.random() < 0.6 else (1,):
                at = (body.at[0], body.at[1] + side * side_y, middle)
                p.ring(r, rng.uniform(0.012, 0.03), at, paint, turn=(0, np.pi / 2, 0))
        elif detail == "panel" and body.girth == 1 and not body.round:
            h, w = z * rng.uniform(0.3, 0.7), y * rng.uniform(0.3, 0.8) * body.girth
            at = (body.at[0] + x / 2 * (body.girth - 0.15), body.at[1], middle - h / 2)
            p.box((x * 0.17, w, h), at, paint)
        elif detail == "antenna":
            tip = (body.at[0] + rng.uniform(-0.4, 0.4), body.at[1], body.top + spread(rng, 0.15, 0.8))
            p.rod((body.at[0], body.at[1], middle), tip, rng.uniform(0.01, 0.03), paint)
            r = rng.uniform(0.03, 0.09)
            p.blob((2 * r, 2 * r, 2 * r), (tip[0], tip[1], tip[2] - r), paint)
