"""Unlabeled objects: random solids assembled like everyday objects.

They teach a point encoder how its teacher embeds shapes that no label describes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from data_prep.errors import InputError
from data_prep.world.category import NAMELESS
from data_prep.world.objects import ProceduralObject, stand
from data_prep.world.palette import COLORS, MATERIALS, PATTERNS, mix_paints
from data_prep.world.solids import CORNERS, Parts

# Longest sides in meters. A nameless thing has no natural size, so these sizes are in meters.
ASSEMBLY_SIZES: dict[str, tuple[float, float]] = {
    "small": (0.1, 0.27),
    "medium": (0.27, 0.74),
    "large": (0.74, 2.0),
}
_FEET = ("box", "cylinder", "cone", "soft", "blob")
_LUMPS = ("blob", "soft", "cylinder", "box")


def make_assembly(
    rng: np.random.Generator | int, *, color: str | None = None, size: str | None = None
) -> ProceduralObject:
    """Make one nameless thing of a few solids that touch; over all sizes, the longest side is log-uniform.

    Args:
        rng: source of all its variety; a seed gives the same thing every time.
        color: a key of ``palette.COLORS``; None draws one.
        size: a key of ``ASSEMBLY_SIZES``; None draws one.

    Raises:
        InputError: an unknown color or size.
    """
    for value, known, name in ((color, COLORS, "color"), (size, ASSEMBLY_SIZES, "size")):
        if value is not None and value not in known:
            raise InputError(f"{value!r} is unknown", field=name, fix=f"use one of {', '.join(known)}")
    if isinstance(rng, int | np.integer):
        rng = np.random.default_rng([int(rng), crc32(b"assembly")])
    # Color and size are drawn even if given, so that asking for red changes only the color.
    drawn_color, drawn_size = _pick(rng, tuple(COLORS)), _pick(rng, tuple(ASSEMBLY_SIZES))
    material = _pick(rng, tuple(MATERIALS))
    pattern = _pick(rng, tuple(PATTERNS)) if rng.random() < 0.35 else "plain"
    color, size = color or drawn_color, size or drawn_size
    low, high = ASSEMBLY_SIZES[size]
    longest = float(low * (high / low) ** rng.random())
    paint_rng, shape_rng = rng.spawn(2)

    parts = Parts()
    plan = _PLANS[int(shape_rng.choice(len(_PLANS), p=_CHANCES))]
    plan(parts, shape_rng)
    if shape_rng.random() < 0.08:
        _lay_down(parts)
    corners = np.concatenate([part.corners.reshape(-1, 3) for part in parts.solids])
    paints = mix_paints(color, material, pattern, longest, paint_rng)
    surface, top = stand(parts, paints, longest / float(np.ptp(corners, axis=0).max()))
    return ProceduralObject(NAMELESS, color, size, material, pattern, (), surface, top)


def _pile(p: Parts, rng: Rng) -> None:
    piece = first = _solid(p, rng, _sizes(rng), (0, 0, 0))
    for _ in range(int(rng.integers(1, 4))):
        piece = _on_top(p, rng, piece)
    _details(p, rng, first if piece is first else piece)


def _raised(p: Parts, rng: Rng) -> None:
    height = _spread(rng, 0.2, 1.6)
    x, y, z = _sizes(rng)
    z *= float(rng.choice([0.15, 0.4, 1.0]))
    body = _solid(p, rng, (x, y, z), (0, 0, height))
    _legs(p, rng, body, height)
    if rng.random() < 0.4:  # a back, and perhaps sides
        t, h = rng.uniform(0.03, 0.12), _spread(rng, 0.25, 1.2)
        lift = z * 0.4 if body.round or body.girth < 1 else z * 0.9
        p.box(
            (t, y * rng.uniform(0.5, 1.0), h + z - lift),
            (-x / 2 * (0.5 if body.round else body.girth) + t / 2, 0, height + lift),
            _accent(rng, 0.3),
            shift=(-rng.uniform(0, 0.2), 0),
        )
        if rng.random() < 0.5 and not body.round:
            for side in (1, -1):
                at = (0, side * (y / 2 * body.girth - t / 2), height + lift)
                p.box((x * rng.uniform(0.6, 0.9) * body.girth, t, h * 0.4 + z - lift), at, "main")
    elif rng.random() < 0.5:
        _details(p, rng, _on_top(p, rng, body))
    else:
        _details(p, rng, body)


def _rolling(p: Parts, rng: Rng) -> None:
    radius = rng.uniform(0.08, 0.3)
    x, y, z = _sizes(rng)
    at, size = (0, 0, radius * rng.uniform(0.6, 1.2)), (x * 1.3, y, max(z * 0.6, radius))
    body = _solid(p, rng, size, at, kinds=("box", "ridge", "box"))
    _wheels(p, rng, body, radius)
    if rng.random() < 0.6:
        body = _on_top(p, rng, body, (0.4, 0.9))
    _details(p, rng, body)


def _vessel(p: Parts, rng: Rng) -> None:
    """Hollow and turned, with ears or a lid."""
    height, wall = _spread(rng, 0.25, 2.0), rng.uniform(0.02, 0.06)
    t = np.linspace(0, 1, 7)
    radius = (
        0.35
        + 0.25 * (t - 0.5) * rng.uniform(-1, 1.4)
        + rng.uniform(0, 0.17) * np.sin(t * rng.uniform(2, 6) + rng.uniform(0, 6))
    )
    outer = [(r, z * height) for r, z in zip(radius, t, strict=True)]
    inner = [(r - wall, max(z * height, wall)) for r, z in zip(radius[::-1], t[::-1], strict=True)]
    squash = 1.0 if rng.random() < 0.75 else rng.uniform(0.4, 0.9)
    p.lathe([(0, 0), *outer, *inner, (0, wall)], squash=squash, sections=20)
    paint = _accent(rng)
    low, high = sorted(rng.choice(7, 2, replace=False))
    reach = rng.uniform(0.1, 0.35)
    ears = int(rng.integers(0, 3))
    for side in (1, -1)[:ears]:
        a, b = (side * (radius[k] * squash - wall / 2) for k in (low, high))
        out = side * (max(abs(a), abs(b)) + reach)
        line = [
            (0, a, t[low] * height + 0.02),
            (0, out, (t[low] + 0.05) * height),
            (0, out, t[high] * height),
            (0, b, t[high] * height - 0.02),
        ]
        p.tube(line, rng.uniform(0.015, 0.04), paint)
    if ears == 0 or rng.random() < 0.4:
        width, thick, domed = 2 * float(radius[-1]), _spread(rng, 0.04, 0.4), rng.random() < 0.4
        at = (0, 0, height - (thick / 2 if domed else 0.01))  # a dome rests on the rim with its widest ring
        kinds = ("blob",) if domed else ("cylinder", "cone")
        lid = _solid(p, rng, (width, width * squash, thick), at, paint, kinds)
        p.blob((0.1, 0.1, 0.1), (0, 0, lid.top - 0.04), _accent(rng))


def _rack(p: Parts, rng: Rng) -> None:
    """Boards between posts."""
    x, y, height = _spread(rng, 0.3, 0.9), _spread(rng, 0.4, 1.4), _spread(rng, 0.5, 2.2)
    thick, edges = rng.uniform(0.015, 0.05), int(rng.choice([4, 8]))
    post, board = _accent(rng, 0.6), _accent(rng, 0.25)
    corners = CORNERS if rng.random() < 0.7 else ((0, 1), (0, -1))
    for sx, sy in corners:
        foot = (sx * x / 2, sy * y / 2)
        p.rod((*foot, 0), (*foot, height), thick, post, sections=edges)
    boards = int(rng.integers(1, 6))
    closed = rng.random() < 0.3
    for k in range(boards):
        z = height * (k + rng.uniform(0.3, 0.9)) / boards - 0.03
        p.box((x, y, rng.uniform(0.02, 0.08)), (0, 0, z), board)
    if closed:
        p.box((0.02, y, height * 0.9), (-x / 2, 0, height * 0.05), board)
    elif len(corners) == 2:
        for side in (1, -1):
            p.box((x, 0.06, 0.05), (0, side * y / 2, 0), post)


def _tree(p: Parts, rng: Rng) -> None:
    """A foot, a post, and arms with something at their ends."""
    height, thick = _spread(rng, 0.8, 2.2), rng.uniform(0.02, 0.05)
    width = rng.uniform(0.35, 0.8)
    post, tip = _accent(rng, 0.6), _accent(rng, 0.2)
    foot = _solid(p, rng, (width, width, rng.uniform(0.03, 0.3)), (0, 0, 0), kinds=_FEET)
    p.rod((0, 0, foot.at[2] + foot.size[2] * 0.5), (0, 0, height), thick, post)
    arms, start, seed = int(rng.integers(0, 6)), rng.uniform(0, np.pi), int(rng.integers(1 << 31))
    reach, rise, size = _spread(rng, 0.15, 0.7), rng.uniform(-0.3, 0.3), rng.uniform(0.08, 0.4, 3)
    for k in range(arms):
        angle = start + 2 * np.pi * k / arms
        z = height * 0.95 if seed % 2 else height * (0.5 + 0.45 * (k + 1) / arms)
        end = (reach * np.cos(angle), reach * np.sin(angle), z + rise)
        p.rod((0, 0, z), end, thick * 0.8, post)
        at = (end[0], end[1], end[2] - size[2] / 2)
        _solid(p, np.random.default_rng(seed), size, at, tip, _LUMPS)
    if arms < 2 or rng.random() < 0.5:
        head = rng.uniform(0.2, 0.8, 3)
        _solid(p, rng, head, (0, 0, height - head[2] * 0.3))


def _row(p: Parts, rng: Rng) -> None:
    """The same thing several times on one board or under one bar."""
    count, seed = int(rng.integers(2, 6)), int(rng.integers(1 << 31))
    size = (rng.uniform(0.1, 0.6), rng.uniform(0.5, 0.95) / count, _spread(rng, 0.1, 1.2))
    x, thick = size[0] * rng.uniform(0.8, 1.4), rng.uniform(0.03, 0.15)
    hung = rng.random() < 0.3
    base = 0.0 if hung else thick * 0.9
    for k in range(count):
        y = (k + 0.5) / count - 0.5
        _solid(p, np.random.default_rng(seed), size, (0, y, base))
    p.box((x, 1.05, thick), (0, 0, size[2] * 0.96 if hung else 0), _accent(rng))
    if not hung and rng.random() < 0.4:
        _details(p, rng, Piece((0, 0, 0), (x, 1.05, thick)))


def _bin(p: Parts, rng: Rng) -> None:
    """Some of the walls of a box."""
    (x, y, z), t = _sizes(rng), rng.uniform(0.02, 0.08)
    p.box((x, y, t), (0, 0, 0), "main")
    walls = rng.random(4) < 0.75
    covered = not walls.any() or rng.random() < 0.4
    for wall, (sx, sy) in zip(walls, ((1, 0), (-1, 0), (0, 1), (0, -1)), strict=True):
        if wall:
            size, lean = (t, y, z) if sx else (x, t, z), 0.0 if covered else rng.choice([0.0, 0.0, 0.15])
            p.box(size, (sx * (x - t) / 2, sy * (y - t) / 2, 0), shift=(sx * lean, sy * lean))
    if covered:
        p.box((x * 1.03, y * 1.03, t), (0, 0, z - t if walls.any() else t * 0.9), _accent(rng))
    for _ in range(int(rng.integers(0, 3))):
        s = rng.uniform(0.2, 0.6, 3) * (x, y, z * 1.5)
        spot = rng.uniform(-0.5, 0.5, 2) * (x - s[0] - 2 * t, y - s[1] - 2 * t)
        _solid(p, rng, s, (spot[0], spot[1], t * 0.8), _accent(rng))


def _bent(p: Parts, rng: Rng) -> None:
    """A bar bent in a plane, on a foot, with things on it."""
    thick, turns = rng.uniform(0.02, 0.08), rng.uniform(0.3, 1.6)
    angle = np.linspace(0, np.pi * turns, 14) + rng.uniform(-0.4, 0.4)
    radius = np.linspace(1, rng.uniform(0.4, 1.3), 14) * 0.5
    line = np.stack(
        [0 * angle, radius * np.cos(angle), radius * np.sin(angle) * _spread(rng, 0.5, 2)], axis=1
    )
    line[:, 2] += thick - line[:, 2].min()
    p.tube(line, thick, sections=10)
    low = line[line[:, 2].argmin()]
    w = rng.uniform(0.25, 0.7)
    _solid(p, rng, (w, w, rng.uniform(0.03, 0.2) + thick), (low[0], low[1], 0), _accent(rng), _FEET)
    for k in rng.choice(14, int(rng.integers(0, 3)), replace=False):
        s = rng.uniform(0.12, 0.45, 3)
        _solid(p, rng, s, (*line[k, :2], line[k, 2] - s[2] / 2), _accent(rng, 0.4), _LUMPS)


_PLANS: tuple[Callable[[Parts, Rng], None], ...] = (
    _pile, _raised, _rolling, _vessel, _rack, _tree, _row, _bin, _bent,
)  # fmt: skip
_CHANCES = (0.2, 0.2, 0.08, 0.13, 0.08, 0.11, 0.07, 0.07, 0.06)


def _lay_down(parts: Parts) -> None:
    """On its back: what pointed up points backwards."""
    turn = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], np.float32)
    for part in parts.solids:
        part.corners, part.normals = part.corners @ turn.T, part.normals @ turn.T


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


def _pick(rng: Rng, choices: Sequence[str]) -> str:
    """One of them, each as likely."""
    return choices[int(rng.integers(len(choices)))]


def _accent(rng: Rng, chance: float = 0.5) -> str:
    """The name of another paint than the main one, with some ``chance``."""
    return _pick(rng, _ACCENTS) if rng.random() < chance else "main"


def _spread(rng: Rng, low: float, high: float) -> float:
    """Log-uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _sizes(rng: Rng) -> tuple[float, float, float]:
    """A body about one unit wide: flat, cubic or tall, often as deep as wide."""
    depth = 1.0 if rng.random() < 0.4 else _spread(rng, 0.35, 1.0)
    return _spread(rng, 0.6, 1.1), depth, _spread(rng, 0.15, 1.6)


def _solid(
    p: Parts,
    rng: Rng,
    size: Iterable[float],
    at: Sequence[float],
    paint: str = "main",
    kinds: Sequence[str] = ("box", "box", "taper", "soft", "cylinder", "cylinder", "cone", "blob", "ridge"),
) -> Piece:
    """Some solid that fills ``size`` (x, y, z) and stands on ``at``."""
    x, y, z = (float(s) for s in size)
    kind, girth, round_ = _pick(rng, kinds), 1.0, False
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


def _on_top(p: Parts, rng: Rng, below: Piece, share: tuple[float, float] = (0.3, 1.1)) -> Piece:
    """One more solid in the middle of the one below."""
    x, y = (below.size[axis] * rng.uniform(*share) for axis in (0, 1))
    if below.round:
        y = x
    z = below.size[2] * _spread(rng, 0.25, 1.3)
    at = (below.at[0], below.at[1], below.top - _SINK * below.size[2])
    return _solid(p, rng, (x, y, z), at, _accent(rng))


def _legs(p: Parts, rng: Rng, body: Piece, height: float) -> None:
    """Hold a body whose base is ``height`` above the ground."""
    paint = _accent(rng, 0.6)
    half_x, half_y = body.size[0] / 2, body.size[1] / 2
    style = _pick(rng, ("four", "four", "four", "three", "panels", "column", "star", "sled"))
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


def _wheels(p: Parts, rng: Rng, body: Piece, radius: float) -> None:
    """One or two pairs that reach above the base of the body; it must be boxy."""
    width, pairs = radius * rng.uniform(0.3, 0.8), int(rng.integers(1, 3))
    for share in (0.0,) if pairs == 1 else (0.6, -0.6):
        for side in (1, -1):
            center = (share * body.size[0] / 2, side * body.size[1] * 0.47, radius)
            p.disc(radius, width, center, "y", "rubber")
            p.disc(radius * 0.5, width * 1.15, center, "y", "metal")


def _details(p: Parts, rng: Rng, body: Piece) -> None:
    """A few of: knob, arch, pair at the sides, band, panel, antenna."""
    (x, y, z), paint = body.size, _accent(rng, 0.6)
    middle, side_y = body.at[2] + z / 2, y / 2 * body.girth
    for detail in rng.permutation(["knob", "arch", "ears", "handles", "panel", "antenna"])[
        : rng.integers(0, 3)
    ]:
        if detail == "knob":
            r = min(x, y) * rng.uniform(0.06, 0.2)
            p.blob((2 * r, 2 * r, 2 * r), (body.at[0], body.at[1], body.top - r * 0.5), paint)
        elif detail == "arch":
            w, h = y * body.girth * rng.uniform(0.15, 0.4), _spread(rng, 0.08, 0.5)
            arc = np.linspace(0, np.pi, 9)
            line = np.stack([0 * arc, w * np.cos(arc), body.top + h * np.sin(arc)], axis=1)
            ends = [(0, w, middle), *line.tolist(), (0, -w, middle)]
            p.tube(np.array(ends) + [body.at[0], body.at[1], 0], rng.uniform(0.012, 0.035), paint)
        elif detail == "ears":
            s, start = rng.uniform(0.15, 0.5, 3) * (x, y, z), len(p.solids)
            for side in (1, -1):  # the same dice for both sides
                twin = np.random.default_rng(start)
                _solid(p, twin, s, (body.at[0], body.at[1] + side * side_y, middle - s[2] / 2), paint)
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
            tip = (body.at[0] + rng.uniform(-0.4, 0.4), body.at[1], body.top + _spread(rng, 0.15, 0.8))
            p.rod((body.at[0], body.at[1], middle), tip, rng.uniform(0.01, 0.03), paint)
            r = rng.uniform(0.03, 0.09)
            p.blob((2 * r, 2 * r, 2 * r), (tip[0], tip[1], tip[2] - r), paint)
