"""How well lifted points agree with labelled 3D boxes.

    python -m benchmarks.lift_quality ROOT [--json] [--vary]

ROOT holds ``kitti_object/`` and / or ``kitti_tracking/`` in the official layouts. The labels' own 2D boxes are the
detections. The truth of an object is the points inside its labelled 3D box among the points inside its 2D box;
objects with fewer than 10 such points are left out. All gates are open: what a gate refuses is not a lifting error,
and what a lifter does not find counts as IoU 0. Where ``detections/*_fastestdet.json`` lie under ROOT, a real
detector's boxes are measured too: those that overlap a label by 2D IoU >= 0.5, the truth now within the detector's box.
"""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from data_prep.detect import Detections2D
from data_prep.detect.coco import CocoDetections
from data_prep.errors import BadDatasetError, InputError
from data_prep.geometry import box_iou_2d
from data_prep.lift import Lifter, create_lifter
from data_prep.lift.lidar import LidarConfig
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Annotations3D, Frame, open_scan

FOLDERS = {"kitti_object": "kitti", "kitti_tracking": "kitti-tracking"}
MIN_POINTS = 10
OPEN_GATES: dict[str, float] = {"min_points": 1, "min_side": 0.0, "max_truncated": 1.0, "max_occluded": 1.0}
BANDS = ((0, 15), (15, 30), (30, 200))  # metres


@dataclass(frozen=True)
class Score:
    """One object: its class, its range in metres, and how a lifter's points agree with the truth."""

    label: str
    range: float
    precision: float
    recall: float
    iou: float


@dataclass(frozen=True)
class Case:
    """One frame with boxes for its only view, and what is truly in them."""

    frame: Frame
    detections: Detections2D
    labels: tuple[str, ...]
    truths: tuple[NDArray[np.bool_], ...]


def main(root: Annotated[Path, tyro.conf.Positional], json: bool = False, vary: bool = False) -> int:
    """Measure the lidar lifter beside the recipe of CLIP² and the bare frustum.

    Args:
        root: folder that holds kitti_object/ and / or kitti_tracking/.
        json: print one JSON object on standard output instead of tables.
        vary: also halve and double every setting of the lidar lifter.
    """
    try:
        result = measure(root, vary)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if json:
        print(json_format.dumps(result, indent=2))
    else:
        _print(result)
    return 0


def measure(root: Path, vary: bool = False) -> dict[str, Any]:
    """All figures as plain numbers; see the module for what they mean."""
    cases = list(_cases(root, labelled=True))
    if not cases:
        raise BadDatasetError("holds neither kitti_object/ nor kitti_tracking/ with labels", source=root)
    ours, baseline = create_lifter("lidar", **OPEN_GATES), create_lifter("frustum-dbscan", **OPEN_GATES)
    scores = _score(cases, ours)
    result = _summary(scores)
    result["per_range"] = {
        f"{near}-{far} m": _figures([s for s in scores if near <= s.range < far]) for near, far in BANDS
    }
    result["baseline"] = _summary(_score(cases, baseline))
    result["frustum"] = _summary(_score(cases, None))
    detected = list(_cases(root, labelled=False))
    if detected:
        result["detector"] = _summary(_score(detected, ours))
        result["detector"]["baseline"] = _summary(_score(detected, baseline))
    if vary:
        result["varied"] = {}
        for name, value in vars(LidarConfig()).items():
            for factor in (0.5, 2.0):
                lifter = create_lifter("lidar", **OPEN_GATES, **{name: value * factor})
                result["varied"][f"{name} x{factor:g}"] = _figures(_score(cases, lifter))
    return result


def _cases(root: Path, labelled: bool) -> Iterator[Case]:
    for folder, source in FOLDERS.items():
        if not (root / folder).is_dir():
            continue
        scan = open_scan(source, root / folder)
        file = root / "detections" / f"{folder}_fastestdet.json"
        if not labelled and not file.is_file():
            continue
        found = None if labelled else CocoDetections.load(file)
        for index in track(
            range(len(scan)), description=folder, console=Console(stderr=True), transient=True
        ):
            annotations = scan.annotations(index)  # type: ignore[attr-defined]
            if annotations is None or annotations.boxes_2d is None or len(annotations) == 0:
                continue
            frame = scan[index]
            camera = frame.views[0].camera
            if found is None:
                count = len(annotations)
                detections = Detections2D(annotations.boxes_2d, np.ones(count), annotations.labels)
                yield _case(frame, detections, annotations, np.arange(count))
            else:
                detections = found.for_image(frame.views[0].name, camera.width, camera.height)
                yield _case(frame, detections, annotations, _match(detections, annotations))


def _case(
    frame: Frame, detections: Detections2D, annotations: Annotations3D, match: NDArray[np.int64]
) -> Case:
    """``match``: (M,) row of the label each detection shows, -1 for none; those compete but are not scored."""
    seen = ProjectedPoints(frame.points, frame.views[0].camera)
    truths = []
    for box, row in zip(detections.boxes, match, strict=True):
        truth = np.zeros(len(frame.points), dtype=bool)
        if row >= 0:
            inside = seen.indices[seen.in_box(box)]
            truth[inside] = annotations.boxes[row].contains(frame.points[inside])
        truths.append(truth)
    labels = tuple(annotations.labels[row] if row >= 0 else "" for row in match)
    return Case(frame, detections, labels, tuple(truths))


def _match(detections: Detections2D, annotations: Annotations3D) -> NDArray[np.int64]:
    """Pair detections and labels one to one, best overlap first."""
    match = np.full(len(detections), -1)
    overlap = box_iou_2d(detections.boxes, annotations.boxes_2d)
    while overlap.size and overlap.max() >= 0.5:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        match[row] = column
        overlap[row], overlap[:, column] = 0, 0
    return match


def _score(cases: list[Case], lifter: Lifter | None) -> list[Score]:
    """``lifter`` None = the bare frustum: every point inside the box."""
    scores = []
    for case in cases:
        lifted: dict[int, NDArray[np.int64]] = {}
        if lifter is None:
            seen = ProjectedPoints(case.frame.points, case.frame.views[0].camera)
            lifted = {row: seen.indices[seen.in_box(box)] for row, box in enumerate(case.detections.boxes)}
        else:
            for found in lifter.lift(case.frame, [case.detections]).objects:
                lifted[found.detection] = found.indices
        for row, (label, truth) in enumerate(zip(case.labels, case.truths, strict=True)):
            size = int(truth.sum())
            if size < MIN_POINTS:
                continue
            kept = lifted.get(row, np.zeros(0, np.int64))
            hit = int(truth[kept].sum())
            distance = float(np.median(np.linalg.norm(case.frame.points[truth], axis=1)))
            scores.append(
                Score(label, distance, hit / max(len(kept), 1), hit / size, hit / (len(kept) + size - hit))
            )
    return scores


def _figures(scores: list[Score]) -> dict[str, Any]:
    if not scores:
        return {"objects": 0, "mean_iou": None, "share_above_half": None, "precision": None, "recall": None}
    return {
        "objects": len(scores),
        "mean_iou": float(np.mean([s.iou for s in scores])),
        "share_above_half": float(np.mean([s.iou > 0.5 for s in scores])),
        "precision": float(np.mean([s.precision for s in scores])),
        "recall": float(np.mean([s.recall for s in scores])),
    }


def _summary(scores: list[Score]) -> dict[str, Any]:
    classes = sorted({score.label for score in scores})
    per_class = {label: _figures([s for s in scores if s.label == label]) for label in classes}
    return {**_figures(scores), "per_class": per_class}


def _print(result: dict[str, Any]) -> None:
    console = Console()
    rows = [
        ("lidar", result),
        ("frustum-dbscan (CLIP²)", result["baseline"]),
        ("bare frustum", result["frustum"]),
    ]
    _table(console, "Labelled 2D boxes", rows)
    _table(console, "By class, lidar", list(result["per_class"].items()))
    _table(console, "By range, lidar", list(result["per_range"].items()))
    if "detector" in result:
        rows = [("lidar", result["detector"]), ("frustum-dbscan (CLIP²)", result["detector"]["baseline"])]
        _table(console, "A real detector's boxes", rows)
    if "varied" in result:
        _table(console, "Settings halved and doubled, labelled boxes", list(result["varied"].items()))


def _table(console: Console, title: str, rows: list[tuple[str, dict[str, Any]]]) -> None:
    table = Table(
        "", "objects", "mean IoU", "IoU > 0.5", "precision", "recall", title=title, title_justify="left"
    )
    for name, figures in rows:
        if figures["objects"]:
            keys = ("mean_iou", "share_above_half", "precision", "recall")
            table.add_row(name, str(figures["objects"]), *(f"{figures[key]:.3f}" for key in keys))
        else:
            table.add_row(name, "0", "", "", "", "")
    console.print(table)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
