"""HTML page of a scan with named boxes, its images, a table of labels and a gallery of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN
from data_prep.geometry import OrientedBox
from data_prep.report import Card, Page
from data_prep.report.crops import outline, outlined_crop
from data_prep.report.overlay import OverlayObject
from data_prep.scans import Frame, View

_MAX_CARDS, _MAX_IMAGES = 200, 8


class ShownObject(NamedTuple):
    """One object of the page: label, score, objectness, its box in the world, and the indices of its points."""

    label: str
    score: float
    objectness: float
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
    background: Mapping[str, NDArray[np.int64]],
    frame: Frame | None,
) -> Page:
    """Fill a page: the scan and its boxes, the images with all objects drawn on them, counts per label, every object.

    Args:
        page: with title and introduction.
        objects: to show.
        points: (P, 3) meters, world.
        colors: (P, 3), or None.
        owners: (P,) number of the object that each point belongs to, -1 for none.
        background: label → indices of the points of that part of the room or street.
        frame: with the images that saw the points, or None.
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
        values=[each.objectness for each in objects],
        value="objectness",
        places=[(label, _middle(points[index])) for label, index in background.items() if len(index)],
        caption="Hover over a label to highlight its objects, click to hide them",
    )
    seen = [] if frame is None else [SeenInView(frame, view, objects) for view in frame.views[:_MAX_IMAGES]]
    for view in seen:
        view.draw(page, objects)
    if not objects:
        page.paragraph("Nothing was found.")
    groups: dict[str, list[ShownObject]] = {}
    for each in objects:
        groups.setdefault(each.label, []).append(each)
    rows: list[list[object]] = [
        [label, len(group), _mean_score(group), sum(len(each.indices) for each in group)]
        for label, group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    rows += [[f"{label} (background)", "", "", len(index)] for label, index in background.items()]
    if rows:
        page.heading("Labels").table(["label", "objects", "mean score", "points"], rows)
    if not objects:
        return page
    page.heading("Objects")
    best = np.argsort([-each.score for each in objects], kind="stable")[:_MAX_CARDS]
    if len(best) < len(objects):
        page.paragraph(f"The {len(best)} with the highest scores of {len(objects)}.")
    return page.gallery([_card(int(i), objects[i], points, colors, seen) for i in best])


class SeenInView:
    """The objects in one image.

    Attributes:
        boxes: (4,) xyxy pixels of each object's points, None where fewer than five are in the image.
        counts: points of each object in the image.
    """

    def __init__(self, frame: Frame, view: View, objects: Sequence[ShownObject]) -> None:
        self.frame, self.view = frame, view
        outlines = [outline(view.camera, frame.points[each.indices]) for each in objects]
        self.boxes = [box for box, _ in outlines]
        self.counts = [count for _, count in outlines]

    def draw(self, page: Page, objects: Sequence[ShownObject]) -> None:
        """Add the image with all its objects."""
        shown = [
            OverlayObject(self.frame.points[each.indices], box, each.caption)
            for each, box in zip(objects, self.boxes, strict=True)
            if box is not None
        ]
        image, camera = self.view.image, self.view.camera
        page.overlay(
            image, camera, self.frame.points, shown, f"{self.view.name}: {len(shown)} objects in this image"
        )

    def crop(self, number: int) -> NDArray[np.uint8] | None:
        """The image around one object, which is outlined; None if it is not in the image."""
        box = self.boxes[number]
        return None if box is None else outlined_crop(self.view.image, box)


def _middle(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The point nearest to the median: the middle of a ring of walls is empty."""
    nearest: NDArray[np.float64] = points[((points - np.median(points, axis=0)) ** 2).sum(axis=1).argmin()]
    return nearest


def _mean_score(group: Sequence[ShownObject]) -> float | str:
    if group[0].label == UNKNOWN:
        return ""
    return float(np.mean([each.score for each in group], dtype=np.float32))


def _card(
    number: int,
    shown: ShownObject,
    points: NDArray,
    colors: NDArray[np.uint8] | None,
    seen: Sequence[SeenInView],
) -> Card:
    length, width, height = shown.box.size
    x, y, z = shown.box.center
    score = "" if shown.label == UNKNOWN else f"score {shown.score:.2f} · "
    best = max(seen, key=lambda view: view.counts[number], default=None)
    return Card(
        title=shown.label,
        lines=[
            f"object {number} · {score}objectness {shown.objectness:.2f} · {len(shown.indices):,} points",
            f"{length:.2f} × {width:.2f} × {height:.2f} m at ({x:.1f}, {y:.1f}, {z:.1f})",
        ],
        image=None if best is None else best.crop(number),
        points=points[shown.indices],
        colors=None if colors is None else colors[shown.indices],
    )
