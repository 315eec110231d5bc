"""The page that shows what was recognized."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN
from data_prep.report import Card, Page

if TYPE_CHECKING:
    from clip2.recognition.instances import Instances3D

_MAX_CARDS = 200


def instances_page(
    result: Instances3D,
    points: NDArray[np.float64],
    colors: NDArray[np.uint8] | None,
    title: str,
    notes: str = "",
) -> Page:
    """The scan with boxes and names, counts per word, and every object by itself, best first."""
    asked = f", asked for: {', '.join(result.vocabulary)}" if result.vocabulary else ""
    strange = result.labels.count(UNKNOWN)
    unlike = f", {strange} of them unlike anything the model knows" if strange else ""
    page = Page(title, f"{result.frame_id}: {len(result)} objects{unlike} in {len(points):,} points{asked}.")
    if notes:
        page.paragraph(notes)
    # A hundred times "unknown" in the picture would hide what was named.
    captions = [
        "" if label == UNKNOWN else f"{label} {score:.2f}"
        for label, score in zip(result.labels, result.scores, strict=True)
    ]
    page.cloud(
        points,
        colors,
        result.oriented_boxes(),
        captions,
        height=620,
        max_points=120_000,
        labels=list(result.labels),
        owners=result.owners(),
        gray=[UNKNOWN],
        caption="Point at a word to light its objects up, click to hide them",
    )
    if len(result) == 0:
        return page.paragraph("Nothing was found.")
    counts = Counter(result.labels)
    labels = np.array(result.labels)
    rows = [
        [
            word,
            count,
            "" if word == UNKNOWN else float(result.scores[labels == word].mean()),
            int(sum(len(result.indices[i]) for i in np.flatnonzero(labels == word))),
        ]
        for word, count in counts.most_common()
    ]
    page.heading("Words").table(["word", "objects", "mean score", "points"], rows)
    best = np.argsort(-result.scores, kind="stable")[:_MAX_CARDS]
    if len(best) < len(result):
        page.heading("Objects").paragraph(f"The {len(best)} with the highest scores of {len(result)}.")
    else:
        page.heading("Objects")
    return page.gallery([_card(result, int(i), points, colors) for i in best])


def _card(result: Instances3D, i: int, points: NDArray, colors: NDArray[np.uint8] | None) -> Card:
    index = result.indices[i]
    length, width, height = result.boxes[i, 3:6]
    x, y, z = result.boxes[i, :3]
    score = "" if result.labels[i] == UNKNOWN else f"score {result.scores[i]:.2f} · "
    return Card(
        title=result.labels[i],
        lines=[
            f"object {i} · {score}{len(index):,} points",
            f"{length:.2f} × {width:.2f} × {height:.2f} m at ({x:.1f}, {y:.1f}, {z:.1f})",
        ],
        points=points[index],
        colors=None if colors is None else colors[index],
    )
