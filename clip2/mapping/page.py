"""HTML page of a map: named boxes in 3D with a slider through time, counts, and every object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from clip2.labels import UNKNOWN
from clip2.mapping.map_object import MapObject
from data_prep.geometry import OrientedBox
from data_prep.report import Card, Page

_LOST = "lost"
_MOST_POINTS, _MOST_CARDS = 200_000, 200
_MOST_OBJECTS = 1000  # in the 3D view: a page of more cannot be turned smoothly


def write_page(
    path: Path,
    objects: Sequence[MapObject],
    names: Mapping[int, tuple[str, float]],
    frames: int,
    title: str,
    notes: str = "",
) -> None:
    """Write the page of the confirmed and lost objects.

    Args:
        path: HTML file.
        objects: all objects of the map.
        names: id → label and score.
        frames: number of frames, the length of the slider.
        title: of the page.
        notes: paragraph below it.
    """
    shown = [one for one in objects if one.state != "tentative"]
    present = [one for one in shown if one.state == "confirmed"]
    moving = sum(one.moving for one in present)
    lost = f", {len(shown) - len(present)} lost" if len(shown) > len(present) else ""
    page = Page(
        title,
        f"{len(present)} objects in {frames:,} frames{f', {moving} of them moving' * bool(moving)}{lost}.",
    )
    if notes:
        page.paragraph(notes)
    if not shown:
        page.paragraph("No object was seen in enough frames.").write(path)
        return
    if len(shown) > _MOST_OBJECTS:
        shown = sorted(shown, key=lambda one: -one.frames)[:_MOST_OBJECTS]
        page.paragraph(f"Shown are the {_MOST_OBJECTS} objects that were seen in most frames.")
    boxes, captions, labels, spans, last = [], [], [], [], []
    for one in shown:
        name, score = names.get(one.id, (UNKNOWN, 0.0))
        past = [*one.history, (frames + 1, one.box, one.state)]
        for (begin, box, state), (end, *_) in pairwise(past):
            if state == "tentative":
                continue
            boxes.append(OrientedBox.from_yaw(box[:3], box[3:6], box[6]))
            gone = state == _LOST
            captions.append(f"{name} {one.id} (lost)" if gone else f"{name} {one.id}" if score else "")
            labels.append(_LOST if gone else name)
            spans.append((float(begin), float(end)))
        last.append(len(boxes) - 1)
    clouds = [one.points() for one in shown]
    owners = np.repeat(last, [len(cloud) for cloud in clouds])
    colored = all(one.colors is not None for one in shown)
    page.cloud(
        np.concatenate(clouds),
        np.concatenate([one.colors for one in shown if one.colors is not None]) if colored else None,
        boxes,
        captions,
        height=640,
        max_points=_MOST_POINTS,
        labels=labels,
        owners=owners,
        gray=[UNKNOWN, _LOST],
        spans=spans,
        caption="Drag the slider to see what the map knew after each frame. Hover over a label to highlight its objects",
    )
    groups: dict[str, list[MapObject]] = {}
    for one in shown:
        groups.setdefault(_LOST if one.state == _LOST else names.get(one.id, (UNKNOWN, 0))[0], []).append(one)
    rows = [
        [label, len(group), float(np.mean([one.frames for one in group]))]
        for label, group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    page.heading("Labels").table(["label", "objects", "mean number of frames"], rows)
    page.heading("Objects")
    best = sorted(shown, key=lambda one: (one.state == _LOST, -names.get(one.id, ("", 0.0))[1], one.id))
    if len(best) > _MOST_CARDS:
        page.paragraph(f"{_MOST_CARDS} of {len(best)}, those with the highest scores.")
    page.gallery([_card(one, *names.get(one.id, (UNKNOWN, 0.0))) for one in best[:_MOST_CARDS]])
    page.write(path)


def _card(one: MapObject, name: str, score: float) -> Card:
    length, width, height = one.box[3:6]
    x, y, z = one.box[:3]
    state = "moving" if one.moving and one.state == "confirmed" else one.state
    return Card(
        title=f"{name} {one.id}",
        lines=[
            f"{state}{f' · score {score:.2f}' if score else ''} · seen in {one.frames} frames",
            f"{length:.2f} × {width:.2f} × {height:.2f} m at ({x:.1f}, {y:.1f}, {z:.1f})",
            f"first seen {one.first_seen:.1f} s, last seen {one.last_seen:.1f} s",
        ],
        points=one.points(),
        colors=one.colors,
    )
