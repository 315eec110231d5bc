"""Things without a name: solids put together at random the way everyday things are.

They teach a student what its teacher sees in pictures of shapes that no word of the world describes.
"""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import numpy as np

from data_prep.errors import InputError
from data_prep.world.assembly_parts import (
    Piece,
    Rng,
    accent,
    details,
    legs,
    on_top,
    pick,
    sizes,
    solid,
    spread,
    wheels,
)
from data_prep.world.objects import ProceduralObject, stand
from data_prep.world.palette import COLORS, MATERIALS, PATTERNS, mix_paints
from data_prep.world.registry import NAMELESS
from data_prep.world.solids import CORNERS, Parts

# Longest sides in meters. A nameless thing has no natural size, so these words are about meters.
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
    """Make one nameless thing of a few solids that touch; the words of all sizes together are log-uniform.

    Args:
        rng: source of all its variety; a seed gives the same thing every time.
        color: a word of ``palette.COLORS``; None draws one.
        size: a word of ``ASSEMBLY_SIZES``; None draws one.

    Raises:
        InputError: an unknown color or size.
    """
    for value, known, name in ((color, COLORS, "color"), (size, ASSEMBLY_SIZES, "size")):
        if value is not None and value not in known:
            raise InputError(f"{value!r} is unknown", field=name, fix=f"use one of {', '.join(known)}")
    if isinstance(rng, int | np.integer):
        rng = np.random.default_rng([int(rng), crc32(b"assembly")])
    # Every word is drawn whether or not it is given, so that asking for red changes nothing but the color.
    drawn_color, drawn_size = pick(rng, tuple(COLORS)), pick(rng, tuple(ASSEMBLY_SIZES))
    material = pick(rng, tuple(MATERIALS))
    pattern = pick(rng, tuple(PATTERNS)) if rng.random() < 0.35 else "plain"
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
    piece = first = solid(p, rng, sizes(rng), (0, 0, 0))
    for _ in range(int(rng.integers(1, 4))):
        piece = on_top(p, rng, piece)
    details(p, rng, first if piece is first else piece)


def _raised(p: Parts, rng: Rng) -> None:
    height = spread(rng, 0.2, 1.6)
    x, y, z = sizes(rng)
    z *= float(rng.choice([0.15, 0.4, 1.0]))
    body = solid(p, rng, (x, y, z), (0, 0, height))
    legs(p, rng, body, height)
    if rng.random() < 0.4:  # a back, and perhaps sides
        t, h = rng.uniform(0.03, 0.12), spread(rng, 0.25, 1.2)
        lift = z * 0.4 if body.round or body.girth < 1 else z * 0.9
        p.box(
            (t, y * rng.uniform(0.5, 1.0), h + z - lift),
            (-x / 2 * (0.5 if body.round else body.girth) + t / 2, 0, height + lift),
            accent(rng, 0.3),
            shift=(-rng.uniform(0, 0.2), 0),
        )
        if rng.random() < 0.5 and not body.round:
            for side in (1, -1):
                at = (0, side * (y / 2 * body.girth - t / 2), height + lift)
                p.box((x * rng.uniform(0.6, 0.9) * body.girth, t, h * 0.4 + z - lift), at, "main")
    elif rng.random() < 0.5:
        details(p, rng, on_top(p, rng, body))
    else:
        details(p, rng, body)


def _rolling(p: Parts, rng: Rng) -> None:
    radius = rng.uniform(0.08, 0.3)
    x, y, z = sizes(rng)
    at, size = (0, 0, radius * rng.uniform(0.6, 1.2)), (x * 1.3, y, max(z * 0.6, radius))
    body = solid(p, rng, size, at, kinds=("box", "ridge", "box"))
    wheels(p, rng, body, radius)
    if rng.random() < 0.6:
        body = on_top(p, rng, body, (0.4, 0.9))
    details(p, rng, body)


def _vessel(p: Parts, rng: Rng) -> None:
    """Hollow and turned, with ears or a lid."""
    height, wall = spread(rng, 0.25, 2.0), rng.uniform(0.02, 0.06)
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
    paint = accent(rng)
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
        width, thick, domed = 2 * float(radius[-1]), spread(rng, 0.04, 0.4), rng.random() < 0.4
        at = (0, 0, height - (thick / 2 if domed else 0.01))  # a dome rests on the rim with its widest ring
        kinds = ("blob",) if domed else ("cylinder", "cone")
        lid = solid(p, rng, (width, width * squash, thick), at, paint, kinds)
        p.blob((0.1, 0.1, 0.1), (0, 0, lid.top - 0.04), accent(rng))


def _rack(p: Parts, rng: Rng) -> None:
    """Boards between posts."""
    x, y, height = spread(rng, 0.3, 0.9), spread(rng, 0.4, 1.4), spread(rng, 0.5, 2.2)
    thick, edges = rng.uniform(0.015, 0.05), int(rng.choice([4, 8]))
    post, board = accent(rng, 0.6), accent(rng, 0.25)
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
    height, thick = spread(rng, 0.8, 2.2), rng.uniform(0.02, 0.05)
    width = rng.uniform(0.35, 0.8)
    post, tip = accent(rng, 0.6), accent(rng, 0.2)
    foot = solid(p, rng, (width, width, rng.uniform(0.03, 0.3)), (0, 0, 0), kinds=_FEET)
    p.rod((0, 0, foot.at[2] + foot.size[2] * 0.5), (0, 0, height), thick, post)
    arms, start, seed = int(rng.integers(0, 6)), rng.uniform(0, np.pi), int(rng.integers(1 << 31))
    reach, rise, size = spread(rng, 0.15, 0.7), rng.uniform(-0.3, 0.3), rng.uniform(0.08, 0.4, 3)
    for k in range(arms):
        angle = start + 2 * np.pi * k / arms
        z = height * 0.95 if seed % 2 else height * (0.5 + 0.45 * (k + 1) / arms)
        end = (reach * np.cos(angle), reach * np.sin(angle), z + rise)
        p.rod((0, 0, z), end, thick * 0.8, post)
        at = (end[0], end[1], end[2] - size[2] / 2)
        solid(p, np.random.default_rng(seed), size, at, tip, _LUMPS)
    if arms < 2 or rng.random() < 0.5:
        head = rng.uniform(0.2, 0.8, 3)
        solid(p, rng, head, (0, 0, height - head[2] * 0.3))


def _row(p: Parts, rng: Rng) -> None:
    """The same thing several times on one board or under one bar."""
    count, seed = int(rng.integers(2, 6)), int(rng.integers(1 << 31))
    size = (rng.uniform(0.1, 0.6), rng.uniform(0.5, 0.95) / count, spread(rng, 0.1, 1.2))
    x, thick = size[0] * rng.uniform(0.8, 1.4), rng.uniform(0.03, 0.15)
    hung = rng.random() < 0.3
    base = 0.0 if hung else thick * 0.9
    for k in range(count):
        y = (k + 0.5) / count - 0.5
        solid(p, np.random.default_rng(seed), size, (0, y, base))
    p.box((x, 1.05, thick), (0, 0, size[2] * 0.96 if hung else 0), accent(rng))
    if not hung and rng.random() < 0.4:
        details(p, rng, Piece((0, 0, 0), (x, 1.05, thick)))


def _bin(p: Parts, rng: Rng) -> None:
    """Some of the walls of a box."""
    (x, y, z), t = sizes(rng), rng.uniform(0.02, 0.08)
    p.box((x, y, t), (0, 0, 0), "main")
    walls = rng.random(4) < 0.75
    covered = not walls.any() or rng.random() < 0.4
    for wall, (sx, sy) in zip(walls, ((1, 0), (-1, 0), (0, 1), (0, -1)), strict=True):
        if wall:
            size, lean = (t, y, z) if sx else (x, t, z), 0.0 if covered else rng.choice([0.0, 0.0, 0.15])
            p.box(size, (sx * (x - t) / 2, sy * (y - t) / 2, 0), shift=(sx * lean, sy * lean))
    if covered:
        p.box((x * 1.03, y * 1.03, t), (0, 0, z - t if walls.any() else t * 0.9), accent(rng))
    for _ in range(int(rng.integers(0, 3))):
        s = rng.uniform(0.2, 0.6, 3) * (x, y, z * 1.5)
        spot = rng.uniform(-0.5, 0.5, 2) * (x - s[0] - 2 * t, y - s[1] - 2 * t)
        solid(p, rng, s, (spot[0], spot[1], t * 0.8), accent(rng))


def _bent(p: Parts, rng: Rng) -> None:
    """A bar bent in a plane, on a foot, with things on it."""
    thick, turns = rng.uniform(0.02, 0.08), rng.uniform(0.3, 1.6)
    angle = np.linspace(0, np.pi * turns, 14) + rng.uniform(-0.4, 0.4)
    radius = np.linspace(1, rng.uniform(0.4, 1.3), 14) * 0.5
    line = np.stack([0 * angle, radius * np.cos(angle), radius * np.sin(angle) * spread(rng, 0.5, 2)], axis=1)
    line[:, 2] += thick - line[:, 2].min()
    p.tube(line, thick, sections=10)
    low = line[line[:, 2].argmin()]
    w = rng.uniform(0.25, 0.7)
    solid(p, rng, (w, w, rng.uniform(0.03, 0.2) + thick), (low[0], low[1], 0), accent(rng), _FEET)
    for k in rng.choice(14, int(rng.integers(0, 3)), replace=False):
        s = rng.uniform(0.12, 0.45, 3)
        solid(p, rng, s, (*line[k, :2], line[k, 2] - s[2] / 2), accent(rng, 0.4), _LUMPS)


_PLANS: tuple[Callable[[Parts, Rng], None], ...] = (
    _pile, _raised, _rolling, _vessel, _rack, _tree, _row, _bin, _bent,
)  # fmt: skip
_CHANCES = (0.2, 0.2, 0.08, 0.13, 0.08, 0.11, 0.07, 0.07, 0.06)


def _lay_down(parts: Parts) -> None:
    """On its back: what pointed up points backwards."""
    turn = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], np.float32)
    for part in parts.solids:
        part.corners, part.normals = part.corners @ turn.T, part.normals @ turn.T
