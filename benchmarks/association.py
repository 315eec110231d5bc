"""Quality of associating detections of many frames into objects.

    python -m benchmarks.association [ROOT] [--json]

ROOT holds ``kitti_tracking/`` in the official layout and ``detections/kitti_tracking_gt.json`` (labels' boxes with
``track_id``) and ``detections/kitti_tracking_fastestdet.json`` (a real detector's; boxes that overlap a label by
2D IoU >= 0.5 take its id; the others are not scored but may disturb). Without ROOT only the synthetic world
is measured, where every id is known: rooms seen by a moving RGB-D camera with poses, streets seen by a LiDAR and
cameras, with a perfect and with an erring detector. ``without poses`` hides the sensor's motion.

``clip2.evaluation.scenes.tracking.score_tracks`` defines the figures. *labels* compares the label after all detections of an
object have voted with the detector's own (synthetic world only).

Baselines on the same lifted detections: 2D IoU >= 0.3 from image to image with the best sum (SORT without its filter),
and the nearest center in 3D within 2 m, nearest first. Both may bridge the same gap in time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from benchmarks.record import Row, Settings
from benchmarks.tables import emit
from clip2.evaluation.scenes.tracking import NOBODY, TrackedDetection, score_tracks
from clip2.evaluation.scenes.views import OVERLAP
from clip2.teacher import Teacher
from clip2.teacher.agreement import disagrees
from data_prep.associate import Associator, Observation, observe
from data_prep.detect import Detections2D
from data_prep.detect.coco import CocoDetections
from data_prep.errors import InputError
from data_prep.geometry import box_iou_2d
from data_prep.geometry.matching import match_by_overlap
from data_prep.labels import normalize_label
from data_prep.lift import Lifter, create_lifter
from data_prep.scans import Scan, open_scan

Assign = Callable[[Sequence[list[Observation]]], dict[str, int]]


@dataclass(frozen=True)
class Case:
    """Lifted detections of a scan, frame by frame.

    Attributes:
        name: of the case.
        frames: their observations.
        ids: key → true id; keys without one are not judged.
        labels: id → true label; empty if unknown.
    """

    name: str
    frames: list[list[Observation]]
    ids: dict[str, int]
    labels: dict[int, str]


def main(
    root: Annotated[Path | None, tyro.conf.Positional] = None, json: bool = False, frames: int = 60
) -> int:
    """Measure the association beside two baselines.

    Args:
        root: folder that holds kitti_tracking/ and detections/.
        json: print one JSON object instead of tables.
        frames: of every synthetic scan.
    """
    try:
        result = measure(root, frames)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return emit(result, json, _print)


def rows(settings: Settings) -> Iterator[Row]:
    """Purity and completeness beside simpler trackers."""
    for case, found in measure(settings.data, 12 if settings.quick else 60).items():
        mine = found["association"]
        for rival, theirs in found.items():
            for figure in ("purity", "completeness") if rival != "association" else ():
                a, b = mine[figure], theirs[figure]
                yield Row("association", f"{case}: {figure}", rival, "", a, b, a / b if b else None)


def word_filter_rows(settings: Settings) -> Iterator[Row]:
    """Share of labels that are wrong, before and after the teacher judged them."""
    teacher = Teacher.load("mini")
    for setting in ("room", "street"):
        for detector in ("good",) if settings.quick else ("good", "weak"):
            found = measure_word_filter(teacher, setting, detector, 4 if settings.quick else 24, 1.0)
            before, after = found["wrong_before"], found["wrong_after"]
            yield Row(
                "word_filter",
                f"{setting}, {detector} detector: labels that are wrong",
                "unfiltered",
                "",
                after,
                before,
                after / before if before else None,
                note=f"{found['objects']} objects, {found['labels']} labels; {found['wrong_found']:.1%} of the wrong ones "
                f"are found, {found['right_lost']:.1%} of the right ones are lost, {found['dropped']:.1%} dropped",
            )


def measure(root: Path | None, frames: int) -> dict[str, Any]:
    """Case → contender → figures."""
    result: dict[str, Any] = {}
    for case in cases(root, frames):
        result[case.name] = {}
        for name, assign in CONTENDERS.items():
            start = time.process_time()
            objects = assign(case.frames)
            seconds = time.process_time() - start
            figures = score(case, objects)
            result[case.name][name] = {**figures, "ms_per_frame": 1e3 * seconds / len(case.frames)}
    return result


def cases(root: Path | None, frames: int) -> Iterator[Case]:
    """All cases, one in memory at a time."""
    if root is not None and (root / "kitti_tracking").is_dir():
        scan = open_scan("kitti-tracking", root / "kitti_tracking")
        labels = CocoDetections.load(root / "detections" / "kitti_tracking_gt.json")
        found = CocoDetections.load(root / "detections" / "kitti_tracking_fastestdet.json")
        yield _kitti("KITTI tracking, labeled boxes", scan, labels, labels)
        yield _kitti("KITTI tracking, real detector", scan, found, labels)
    for setting in ("room", "street"):
        for detector in ("perfect", "good"):
            case = procedural_case(setting, detector, frames)
            yield case
            if setting == "street":
                yield _without_poses(case)


def measure_word_filter(
    teacher: Teacher, setting: str, detector: str, frames: int, times_chance: float
) -> dict[str, Any]:
    """Effect of ``clip2 embed --drop-disagreeing`` on a procedural scan; a label is wrong if its box shows another thing.

    Args:
        teacher: judges the labels.
        setting, detector: of the scan.
        frames: of the scan, over a quarter as many worlds.
        times_chance: as in ``clip2 embed --drop-disagreeing``.
    """
    case = procedural_case(setting, detector, frames, seed=11, worlds=max(1, frames // 4))
    seen = [one for frame in case.frames for one in frame]
    said = [normalize_label(one.label) for one in seen]
    right = np.array(
        [label == case.labels.get(case.ids[one.key]) for label, one in zip(said, seen, strict=True)]
    )
    vocabulary = sorted(set(said))
    own = np.array([vocabulary.index(label) for label in said])
    images = teacher.encode_images(one.crop for one in seen)
    wrong = disagrees(images, own, teacher.encode_texts(vocabulary), teacher.logit_scale, times_chance)
    return {
        "objects": len(said),
        "labels": len(vocabulary),
        "wrong_before": float(np.mean(~right)),
        "wrong_after": float(np.mean(~right[~wrong])),
        "wrong_found": float(np.mean(wrong[~right])),
        "right_lost": float(np.mean(wrong[right])),
        "dropped": float(np.mean(wrong)),
    }


def score(case: Case, objects: dict[str, int]) -> dict[str, float]:
    """Figures of one assignment key → object."""
    frames = [
        [
            TrackedDetection(
                objects[seen.key], case.ids.get(seen.key, NOBODY), normalize_label(seen.label), seen.score
            )
            for seen in frame
        ]
        for frame in case.frames
    ]
    return score_tracks(frames, case.labels or None)


def ours(frames: Sequence[list[Observation]]) -> dict[str, int]:
    """The association."""
    follow = Associator()
    merged: list[Observation] = []
    for observations in frames:
        merged += follow.push(observations)
    merged += follow.close()
    keys = {seen.place: seen.key for frame in frames for seen in frame}
    objects = {}
    for number, seen in enumerate(merged):
        places = (seen.place,) if seen.association is None else seen.association.places
        for place in places:
            objects[keys[place]] = number
    return objects


def by_image_overlap(frames: Sequence[list[Observation]]) -> dict[str, int]:
    """2D IoU from image to image."""
    return _greedy_tracker(frames, _iou_gain, one_view=True)


def by_nearest_center(frames: Sequence[list[Observation]]) -> dict[str, int]:
    """Nearest 3D center within 2 m."""
    return _greedy_tracker(frames, _center_gain, one_view=False)


CONTENDERS: dict[str, Assign] = {
    "association": ours,
    "2D IoU": by_image_overlap,
    "nearest center": by_nearest_center,
}


def _iou_gain(old: Sequence[Observation], new: Sequence[Observation]) -> np.ndarray:
    iou = box_iou_2d(np.array([t.box for t in old]), np.array([t.box for t in new]))
    return np.where(iou >= 0.3, iou, 0)


def _center_gain(old: Sequence[Observation], new: Sequence[Observation]) -> np.ndarray:
    a, b = (np.array([t.center for t in side]) for side in (old, new))
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    return np.where(distance <= 2, 2.001 - distance, 0)


def _greedy_tracker(
    frames: Sequence[list[Observation]],
    gain: Callable[[Sequence[Observation], Sequence[Observation]], np.ndarray],
    one_view: bool,
    max_gap: float = 1.0,
) -> dict[str, int]:
    objects: dict[str, int] = {}
    alive: dict[int, Observation] = {}
    count = 0
    for frame in frames:
        views = sorted({t.view_index for t in frame})
        for view in views:
            new = [t for t in frame if t.view_index == view]
            now = new[0].timestamp
            alive = {n: t for n, t in alive.items() if 0 <= now - t.timestamp <= max_gap + 1e-9}
            old = [
                n for n, t in alive.items() if not one_view or (t.view_index == view and t.timestamp < now)
            ]
            taken = {}
            if old:
                values = gain([alive[n] for n in old], new)
                for row, column in zip(*linear_sum_assignment(-values), strict=True):
                    if values[row, column] > 0:
                        taken[int(column)] = old[row]
            for column, seen in enumerate(new):
                if column not in taken:
                    taken[column], count = count, count + 1
                objects[seen.key] = taken[column]
                alive[taken[column]] = seen
    return objects


def _kitti(name: str, scan: Scan, found: CocoDetections, labels: CocoDetections) -> Case:
    lifter = create_lifter("auto")
    frames, ids = [], {}
    for index in range(len(scan)):
        frame = scan[index]
        view = frame.views[0]
        size = (view.camera.width, view.camera.height)
        detections, truth = found.for_image(view.name, *size), labels.for_image(view.name, *size)
        observations = _lift(lifter, scan.source, frame, [detections])
        match = match_by_overlap(box_iou_2d(detections.boxes, truth.boxes), OVERLAP)
        true = truth.attributes["track_id"]
        owner = [int(true[column]) if column >= 0 else NOBODY for column in match]
        assert detections.ids is not None
        by_number = dict(zip(detections.ids.tolist(), owner, strict=True))
        ids.update({t.key: by_number[t.detection] for t in observations})
        frames.append(observations)
    return Case(name, frames, ids, {})


def procedural_case(setting: str, detector: str, count: int, seed: int = 3, worlds: int = 1) -> Case:
    """Lifted detections of a synthetic scan, with every id and label."""
    cameras = {"cameras": ("front", "left", "back", "right")} if setting == "street" else {}
    scan: Any = open_scan(
        "procedural", setting, frames=count, seed=seed, worlds=worlds, detector=detector, **cameras
    )
    lifter = create_lifter("auto")
    frames, ids, labels = [], {}, {}
    for index in range(count):
        observations = _lift(lifter, scan.source, scan[index], list(scan.detections(index)))
        ids.update({t.key: int(t.attributes["track_id"]) for t in observations})
        labels.update({o.instance: normalize_label(o.label) for o in scan.world_objects(index)})
        frames.append(observations)
    return Case(f"procedural {setting}, {detector} detector", frames, ids, labels)


def _without_poses(case: Case) -> Case:
    """The same detections in the sensor's own axes, as if nothing were known of its motion."""

    def hide(seen: Observation) -> Observation:
        T = seen.T_world_points
        world = seen.points + seen.center
        points = (world - T[:3, 3]) @ T[:3, :3]
        center = points.mean(axis=0)
        moved = (points - center).astype(np.float32)
        return replace(seen, points=moved, center=center, T_world_points=np.eye(4))

    frames = [[hide(seen) for seen in frame] for frame in case.frames]
    return Case(f"{case.name}, without poses", frames, case.ids, case.labels)


def _lift(lifter: Lifter, source: str, frame: Any, found: Sequence[Detections2D]) -> list[Observation]:
    observations = [
        observe(
            frame,
            cloud,
            found[cloud.view],
            texts=(normalize_label(found[cloud.view].labels[cloud.detection]),),
            source=source,
            margin=0.1,
            max_points=16384,
        )
        for cloud in lifter.lift(frame, found).objects
    ]
    return [seen for seen in observations if seen is not None]


def _print(result: dict[str, Any]) -> None:
    console = Console(width=110)
    for name, contenders in result.items():
        first = next(iter(contenders.values()))
        table = Table(
            "", "objects", "purity", "completeness", "switches", "fragments", "IDF1", "labels", "ms/frame",
            title=f"{name}: {first['detections']:.0f} detections of {first['ids']:.0f}", title_justify="left",
        )  # fmt: skip
        for contender, f in contenders.items():
            labels = f"{f['labels_before']:.3f} → {f['labels']:.3f}" if "labels" in f else ""
            table.add_row(
                contender, f"{f['objects']:.0f}", f"{f['purity']:.3f}", f"{f['completeness']:.3f}",
                f"{f['switches']:.0f}", f"{f['fragments']:.0f}", f"{f['idf1']:.3f}", labels, f"{f['ms_per_frame']:.1f}",
            )  # fmt: skip
        console.print(table)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
