"""Score of labels against the scan's own, by distance."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.autolabel.report import BOXES
from data_prep.errors import BadDatasetError
from data_prep.geometry import OrientedBox, box_to_image
from data_prep.geometry.box_iou import box_iou_3d, box_rows
from data_prep.scans import Frame, Scan
from data_prep.storage.reading import read_text

BANDS = ((0, 15), (15, 30), (30, 45), (45, 1000))  # meters
_LOOSE, _STRICT = 0.25, 0.5  # 3D IoU
_LONG = 1.2  # times as long as wide, for a direction to mean something


@dataclass(frozen=True)
class DistanceScore:
    """Quality of labels at one distance from the sensor.

    Attributes:
        distance: like ``0-15 m``, or ``all``.
        labeled: the scan's own objects that an image shows and that hold at least one point.
        boxes: ours.
        recall_25, recall_50: share of the objects that one of our boxes overlaps with a 3D IoU of 0.25 or 0.5, whatever
            its name; each box is used once, the best score first. None: there is no object.
        precision_25, precision_50: share of our boxes that were used.
        iou: mean 3D IoU of the objects with the best box each; 0 for those that none overlaps.
        yaw_error: median angle between the long sides, degrees, of objects with a 3D IoU of 0.25 that are at least 1.2
            times as long as wide.
    """

    distance: str
    labeled: int
    boxes: int
    recall_25: float | None
    recall_50: float | None
    precision_25: float | None
    precision_50: float | None
    iou: float | None
    yaw_error: float | None


def score_labels(scan: Scan, out: str | Path, frames: Sequence[int] | None = None) -> list[DistanceScore]:
    """Compare the boxes of a label folder with the scan's own labels.

    Args:
        scan: with labels.
        out: folder that :func:`data_prep.autolabel.label_scan` wrote.
        frames: positions in the scan that were labeled; default: all.

    Returns:
        One score per distance, and one of all.

    Raises:
        BadDatasetError: the scan has no labels, or the folder no boxes.
    """
    ours = _read_boxes(Path(out))
    ids = scan.frame_ids()
    truths: list[_Found] = []
    guesses: list[_Found] = []
    compared = 0
    for position in range(len(ids)) if frames is None else frames:
        labels = scan.annotations(position)
        if labels is None or (ids[position] not in ours and not len(labels)):
            continue
        compared += 1
        frame = scan[position]
        own = [box.transformed(frame.T_world_points) for box in labels.boxes if _is_seen(box, frame)]
        theirs, ours_here = (
            box_rows(own),
            np.array([row for row, _ in ours.get(ids[position], [])]).reshape(-1, 7),
        )
        scores = np.array([score for _, score in ours.get(ids[position], [])])
        iou = box_iou_3d(ours_here, theirs)[0]
        sensor = frame.T_world_points[:3, 3]
        used = [_used(iou, scores, limit) for limit in (_LOOSE, _STRICT)]
        for column, truth in enumerate(theirs):
            best = int(iou[:, column].argmax()) if len(iou) else -1
            overlap = float(iou[best, column]) if len(iou) else 0.0
            turn = _turn(ours_here[best], truth) if overlap >= _LOOSE else np.nan
            loose, strict = (column in columns for _, columns in used)
            truths.append(_Found(_away(truth, sensor), loose, strict, overlap, turn))
        for row, guess in enumerate(ours_here):
            loose, strict = (row in rows for rows, _ in used)
            guesses.append(_Found(_away(guess, sensor), loose, strict))
    if not compared:
        raise BadDatasetError(
            "holds no 3D labels to compare with", source=scan.root, field="score", fix="leave --score out"
        )
    bands = [(f"{near}-{far} m" if far < 1000 else f"{near} m on", near, far) for near, far in BANDS]
    return [_summary(name, near, far, truths, guesses) for name, near, far in [*bands, ("all", 0, np.inf)]]


@dataclass(frozen=True)
class _Found:
    away: float
    loose: bool
    strict: bool
    iou: float = 0.0
    turn: float = np.nan


def _summary(
    name: str, near: float, far: float, truths: Sequence[_Found], guesses: Sequence[_Found]
) -> DistanceScore:
    here = [one for one in truths if near <= one.away < far]
    ours = [one for one in guesses if near <= one.away < far]
    turns = [one.turn for one in here if np.isfinite(one.turn)]

    def share(values: list[float]) -> float | None:
        return float(np.mean(values)) if values else None

    return DistanceScore(
        name,
        len(here),
        len(ours),
        share([one.loose for one in here]),
        share([one.strict for one in here]),
        share([one.loose for one in ours]),
        share([one.strict for one in ours]),
        share([one.iou for one in here]),
        float(np.median(turns)) if turns else None,
    )


def _used(iou: NDArray[np.float64], scores: NDArray, limit: float) -> tuple[set[int], set[int]]:
    """Rows and columns that are paired, the best scores first."""
    rows: set[int] = set()
    columns: set[int] = set()
    for row in np.argsort(-scores, kind="stable").tolist():
        free = [column for column in range(iou.shape[1]) if column not in columns]
        best = max(free, key=lambda column: iou[row, column], default=None)
        if best is not None and iou[row, best] >= limit:
            rows.add(row)
            columns.add(best)
    return rows, columns


def _turn(guess: NDArray, truth: NDArray) -> float:
    """Degrees between the long sides; NaN of a box about as wide as long."""
    if max(truth[3:5]) < _LONG * min(truth[3:5]):
        return np.nan
    guessed, true = (box[6] + (box[4] > box[3]) * np.pi / 2 for box in (guess, truth))
    return float(np.rad2deg(abs((guessed - true + np.pi / 2) % np.pi - np.pi / 2)))


def _is_seen(box: OrientedBox, frame: Frame) -> bool:
    return any(box_to_image(box, view.camera) is not None for view in frame.views) and bool(
        box.contains(frame.points).any()
    )


def _away(box: NDArray, sensor: NDArray) -> float:
    return float(np.linalg.norm(box[:3] - sensor))


def _read_boxes(folder: Path) -> dict[str, list[tuple[list[float], float]]]:
    """Frame id → (7 numbers, score) of each box."""
    boxes = defaultdict(list)
    try:
        lines = read_text(folder / BOXES).splitlines()
    except FileNotFoundError:
        raise BadDatasetError(
            "is missing", source=folder / BOXES, fix="give a folder that clip2 label wrote"
        ) from None
    for line in map(json.loads, lines):
        box = line["box"]
        boxes[line["frame"]].append(([*box["center"], *box["size_lwh"], box["yaw"]], line["score"]))
    return dict(boxes)
