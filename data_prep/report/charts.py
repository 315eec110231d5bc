"""Bar and spread charts as HTML that fits any width and follows the page's colors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Any

Query = Mapping[str, Any]


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        name: label of the bar.
        value: its length.
        note: text after the value, faint.
        query: filter that a click applies to the page's gallery: ``{"word": "car"}`` or ``{"measure": "range", "from": 10,
            "to": 20}`` (an end that is None is open); None: nothing to click.
    """

    name: str
    value: float
    note: str = ""
    query: Query | None = None


@dataclass(frozen=True)
class Spread:
    """Spread of the values of a group.

    Attributes:
        name: of the group.
        low, first, middle, third, high: values, ascending and above 0; a line runs from ``low`` to ``high``, a box
            from ``first`` to ``third``.
        note, query: as of a :class:`Bar`.
    """

    name: str
    low: float
    first: float
    middle: float
    third: float
    high: float
    note: str = ""
    query: Query | None = None


def bar_chart(bars: Sequence[Bar], most: float | None = None) -> str:
    """Bars below each other on one scale, in as many columns as fit; ``most`` is the value of a full bar, else the largest."""
    longest = most or max((bar.value for bar in bars), default=0) or 1
    rows = []
    for bar in bars:
        number = f"{bar.value:,}" if isinstance(bar.value, int) else f"{bar.value:.3f}"
        drawn = f'<span class="track"><i style="width:{100 * bar.value / longest:.2f}%"></i></span>'
        rows.append(_row(bar.name, drawn, number, bar.note, bar.query))
    return f'<div class="chart wrap">{"".join(rows)}</div>'


def spread_chart(spreads: Sequence[Spread], unit: str) -> str:
    """Groups below each other on one logarithmic scale.

    Args:
        spreads: the groups.
        unit: of the scale, after its numbers.
    """
    if not spreads:
        return ""
    low = floor(log10(min(spread.low for spread in spreads)))
    high = max(ceil(log10(max(spread.high for spread in spreads))), low + 1)

    def place(value: float) -> float:
        return 100 * (log10(value) - low) / (high - low)

    rows = []
    for spread in spreads:
        line = f"left:{place(spread.low):.2f}%;right:{100 - place(spread.high):.2f}%"
        box = f"left:{place(spread.first):.2f}%;right:{100 - place(spread.third):.2f}%"
        drawn = (
            f'<span class="track spread"><u style="{line}"></u><i style="{box}"></i>'
            f'<b style="left:{place(spread.middle):.2f}%"></b></span>'
        )
        rows.append(_row(spread.name, drawn, f"{spread.middle:,.0f}", spread.note, spread.query))
    ticks = "".join(
        f'<span style="left:{place(10.0**power):.2f}%">{_tick(power)}</span>'
        for power in range(low, high + 1)
    )
    axis = f'<div class="row axis"><span></span><span class="track">{ticks}</span><span>{escape(unit)}</span></div>'
    return f'<div class="chart">{"".join(rows)}{axis}</div>'


def _tick(power: int) -> str:
    if power < 0:
        return f"{10.0**power:g}"
    thousands = power // 3
    return f"{10 ** (power - 3 * thousands)}{('', 'k', 'M', 'G')[min(thousands, 3)]}"


def _row(name: str, drawn: str, number: str, note: str, query: Query | None) -> str:
    inside = (
        f'<span class="name" title="{escape(name, quote=True)}">{escape(name)}</span>{drawn}'
        f'<span class="value">{number}<small>{escape(note)}</small></span>'
    )
    if query is None:
        return f'<div class="row">{inside}</div>'
    asked = escape(json.dumps(query), quote=True)
    return f'<button type="button" class="row" aria-pressed="false" data-query="{asked}">{inside}</button>'
