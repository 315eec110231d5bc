"""A curve as a small SVG: logarithmic axes, one color per contender, names beside the lines."""

from __future__ import annotations

import math
from html import escape

from benchmarks.record import Curve

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 170, 44, 52
_OURS = ("#0b6e4f", "#3fa34d", "#8cc084", "#2f9c95")
_THEIRS = ("#b0413e", "#e07a5f", "#8d6a9f")
_FEWEST_BETWEEN_NAMES = 15  # pixels
_TICKS = 7


def draw(curve: Curve) -> str:
    """The whole file."""
    xs = [x for points in curve.series.values() for x, _ in points]
    ys = [y for points in curve.series.values() for _, y in points if y > 0]
    x_low, x_high = math.log(min(xs)), math.log(max(xs))
    decades = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    y_low, y_high = decades[0], max(decades[1], decades[0] + 1)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log(x) - x_low) / ((x_high - x_low) or 1)
        up = (math.log10(y) - y_low) / (y_high - y_low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="15" font-weight="bold">{escape(curve.title)}</text>',
    ]
    for exponent in range(y_low, y_high + 1):
        for digit in (1, 2, 5):
            value = digit * 10.0**exponent
            if math.log10(value) > y_high + 1e-9:
                continue
            _, at = place(math.exp(x_low), value)
            shade = "#d5d5d5" if digit == 1 else "#f0f0f0"
            parts.append(
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="{shade}"/>'
            )
            if digit == 1 or y_high - y_low <= 2:
                parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>')
    ticks = sorted(set(xs))
    for x in ticks[:: math.ceil(len(ticks) / _TICKS)]:
        at, _ = place(x, 10.0**y_low)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#f0f0f0"/>'
            f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_number(x)}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(curve.x)}</text>'
        f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{escape(curve.y)}</text>'
    )
    ends = []
    palettes = {True: iter(_OURS * 3), False: iter(_THEIRS * 3)}
    for name, points in curve.series.items():
        color = next(palettes[name.startswith("clip2")])
        spots = [place(x, y) for x, y in points if y > 0]
        if not spots:
            continue
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in spots]
        if spots[-1][0] > WIDTH - RIGHT - 1:
            ends.append((spots[-1][1], name, color))
        else:  # a line that ends early has its name at its end
            parts.append(
                f'<text x="{spots[-1][0] + 12:.1f}" y="{spots[-1][1] + 4:.1f}" fill="{color}">{escape(name)}</text>'
            )
    for at, (_, name, color) in zip(_spread([y for y, _, _ in sorted(ends)]), sorted(ends), strict=True):
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{at + 4:.1f}" fill="{color}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _spread(heights: list[float]) -> list[float]:
    """The same heights in order, moved down until no two names touch, and up again from the lower edge."""
    moved: list[float] = []
    for at in heights:
        moved.append(max(at, moved[-1] + _FEWEST_BETWEEN_NAMES) if moved else at)
    limit = HEIGHT - BOTTOM + 8.0
    for i in range(len(moved) - 1, -1, -1):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - _FEWEST_BETWEEN_NAMES
    return moved


def _number(value: float) -> str:
    return f"{value / 1024:g}k" if value >= 2048 and value % 1024 == 0 else f"{value:g}"
