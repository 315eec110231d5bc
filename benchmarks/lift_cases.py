"""Labeled views of the public data sets and of the synthetic world, whose ground truth per point is exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from clip2.evaluation.scenes.views import OVERLAP, LabeledView, labeled_views
from data_prep.detect.coco import CocoDetections
from data_prep.geometry import box_iou_2d
from data_prep.geometry.matching import match_by_overlap
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import open_scan
from data_prep.world import ProceduralScan

# Set → folders under the root with their source and the stem of their detection files.
SETS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "KITTI": (
        ("kitti_object", "kitti", "kitti_object"),
        ("kitti_tracking", "kitti-tracking", "kitti_tracking"),
    ),
    "nuScenes": (("nuscenes", "nuscenes", "nuscenes"),),
    "SUN RGB-D": (("sunrgbd/sunrgbd_trainval", "sunrgbd", "sunrgbd"),),
}
_SYNTHETIC_SEED = 90_210_000
_CONSOLE = Console(stderr=True)


def labeled_cases(root: Path, name: str, detector: bool) -> list[LabeledView]:
    """All cases of one set.

    Args:
        root: folder of the sets.
        name: key of ``SETS``.
        detector: boxes of a real detector, where ``root/detections`` has them, instead of the labels' own.
    """
    cases: list[LabeledView] = []
    for folder, source, stem in SETS[name]:
        file = root / "detections" / f"{stem}_fastestdet.json"
        if not (root / folder).is_dir() or (detector and not file.is_file()):
            continue
        found = CocoDetections.load(file) if detector else None
        scan = open_scan(source, root / folder)
        cases += labeled_views(scan, track(range(len(scan)), folder, console=_CONSOLE, transient=True), found)
    return cases


def synthetic_cases(
    setting: str,
    frames: int,
    detector: str,
    image_size: tuple[int, int] | None = None,
    beams: int | None = None,
    ahead: int = 0,
) -> list[LabeledView]:
    """Rooms or streets of the synthetic world, with exact ground truth per point.

    Args:
        setting: ``room`` or ``street``.
        frames: number of frames, each of a different place.
        detector: profile of the simulated detector; ``perfect`` draws exact boxes.
        image_size: width and height in pixels, and of the depth; None: the setting's own.
        beams: of the LiDAR in streets and cities; None: the setting's own.
        ahead: poses of the vehicle after the frame's, which make the street 2 m longer each.
    """
    each = 1 + ahead
    scan = ProceduralScan(
        setting,
        frames=frames * each,
        worlds=frames,
        beams=beams,
        seed=_SYNTHETIC_SEED,
        detector=detector,
        image_size=image_size,
    )
    cases = []
    for index in track(range(0, len(scan), each), setting, console=_CONSOLE, transient=True):
        frame, truth = scan[index], scan.ground_truth(index)
        detections, exact = scan.detections(index)[0], truth.detections[0]
        seen = ProjectedPoints(frame.points, frame.views[0].camera)
        annotated = scan.annotations(index)
        whole = dict(zip(annotated.attributes["track_id"].tolist(), annotated.boxes, strict=True))
        labels, truths, boxes, occluded = [], [], [], []
        match = match_by_overlap(box_iou_2d(detections.boxes, exact.boxes), OVERLAP)
        for box, row in zip(detections.boxes, match, strict=True):
            mine = np.zeros(len(frame.points), dtype=bool)
            if row >= 0:
                inside = seen.indices[seen.in_box(box)]
                mine[inside] = truth.instances[inside] == exact.attributes["track_id"][row]
            labels.append(exact.labels[row] if row >= 0 else "")
            occluded.append(float(exact.attributes["occluded"][row]) if row >= 0 else 0.0)
            truths.append(mine)
            boxes.append(whole.get(int(exact.attributes["track_id"][row])) if row >= 0 else None)
        nowhere = np.zeros(len(frame.points), dtype=bool)
        without_masks = replace(detections, masks=None)
        seams = (nowhere,) * len(truths)
        cases.append(
            LabeledView(
                frame,
                without_masks,
                tuple(labels),
                tuple(truths),
                seams,
                tuple(boxes),
                occluded=tuple(occluded),
            )
        )
    return cases
