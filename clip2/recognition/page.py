"""HTML page of a scan with named boxes, a table of labels and a gallery of objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN
from data_prep.geometry import OrientedBox
from data_prep.report import Card, Page

_MAX_CARDS = 200


class ShownObject(NamedTuple):
    """One object of the page: its label and score, its box in the world, and the indices of its points."""

    label: str
    score: float
    box: OrientedBox
    indices: NDArray[np.int64]

    @property
    def caption(self) -> str:
        """Label and score; empty for ``unknown``, as hundreds of those would hide the named ones."""
        return "" if self.label == UNKNOWN else f"{self.label} {self.score:.2f}"


def objects_page(
    page: Page,
    objects: Sequence[ShownObject],
    points: NDArray[np.float64],
    colors: NDArray[np.uint8] | None,
    owners: NDArray[np.int64],
) -> Page:
    """Fill a page with the scan and its boxes, counts per label, and every object by itself, highest scores first.

    Args:
        page: with title and introduction.
        objects: to show.
        points: (P, 3) meters, world.
        colors: (P, 3), or None.
        owners: (P,) number of the object that each point belongs to, -1 for none.
    """
    page.cloud(
        points,
        colors,
        [each.box for each in objects],
        [each.caption for each in objects],
        height=620,
        max_points=120_000,
        labels=[each.label for each in objects],
        owners=owners,
        gray=[UNKNOWN],
        caption="Hover over a label to highlight its objects, click to hide them",
    )
    if not objects:
        return page.paragraph("Nothing was found.")
    groups: dict[str, list[ShownObject]] = {}
    for each in objects:
        groups.setdefault(each.label, []).append(each)
    rows = [
        [label, len(group), _mean_score(group), sum(len(each.indices) for each in group)]
        for label, group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    page.heading("Labels").table(["label", "objects", "mean score", "points"], rows)
    page.heading("Objects")
    best = np.argsort([-each.score for each in objects], kind="stable")[:_MAX_CARDS]
    if len(best) < len(objects):
        page.paragraph(f"The {len(best)} with the highest scores of {len(objects)}.")
    return page.gallery([_card(int(i), objects[i], points, colors) for i in best])


def _mean_score(group: Sequence[ShownObject]) -> float | str:
    if group[0].label == UNKNOWN:
        return ""
    return float(np.mean([each.score for each in group], dtype=np.float32))


def _card(number: int, shown: ShownObject, points: NDArray, colors: NDArray[np.uint8] | None) -> Card:
    length, width, height = shown.box.size
    x, y, z = shown.box.center
    score = "" if shown.label == UNKNOWN else f"score {shown.score:.2f} · "
    return Card(
        title=shown.label,
        lines=[
            f"object {number} · {score}{len(shown.indices):,} points",
            f"{length:.2f} × {width:.2f} × {height:.2f} m at ({x:.1f}, {y:.1f}, {z:.1f})",
        ],
        points=points[shown.indices],
        colors=None if colors is None else colors[shown.indices],
    )
