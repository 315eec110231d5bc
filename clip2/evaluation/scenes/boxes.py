"""3D box IoU: boxes made from 2D boxes, or found by geometry alone, against labeled ones.

Every labeled object in view with at least one point counts; one that is not found counts as IoU 0. *visible* is the box
around the points, *whole* the box that ``complete_boxes`` makes of it. From geometry alone the proposal whose box overlaps
the label most is taken, and *whole* is given the label's name: what recognition yields where it names an object
right. Average precision ignores labels: all predictions compete by their score.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.scenes.detection import BANDS, average_precision, band_name, precision_by_band
from clip2.evaluation.scenes.lifting import OPEN_GATES
from clip2.evaluation.scenes.objects import SceneObjects
from clip2.evaluation.scenes.views import LabeledView
from clip2.recognition import propose_objects
from data_prep.geometry.box_completion import SeenObject, complete_boxes
from data_prep.geometry.box_iou import box_iou_3d, box_rows
from data_prep.geometry.ground import floor_heights
from data_prep.geometry.scan_sizes import ScanSizes
from data_prep.geometry.transforms import transform_points
from data_prep.geometry.typical_sizes import TypicalSize
from data_prep.lift import create_lifter
from data_prep.scans import Frame

THRESHOLDS = (0.25, 0.4, 0.5, 0.7)
_NOTHING = np.zeros(7)
_SAME_PLACE = 0.02  # IoU from which a proposal takes a label's name


@dataclass(frozen=True)
class BoxPair:
    """A labeled object and what was predicted for it.

    Attributes:
        label, range: class, and meters from the sensor.
        truth, predicted: (7,) boxes in the world; the prediction has size 0 where nothing was found.
        iou, above: 3D and seen from above.
    """

    label: str
    range: float
    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    iou: float
    above: float


@dataclass
class BoxScores:
    """Pairs of some frames, and all their predictions for average precision."""

    pairs: list[BoxPair] = field(default_factory=list)
    predicted: list[SceneObjects] = field(default_factory=list)
    labeled: list[SceneObjects] = field(default_factory=list)

    def add(
        self,
        truth: SceneObjects,
        predicted: SceneObjects,
        of: Sequence[NDArray[np.float64]] | None = None,
    ) -> None:
        """Add one frame.

        Args:
            truth: its labeled objects; those that are ignored make no pair.
            predicted: what was found.
            of: of each labeled object the (7,) box predicted for it; None: the one that overlaps it most.
        """
        if of is None:
            overlap = box_iou_3d(predicted.boxes, truth.boxes)[0].T
            of = [predicted.boxes[row.argmax()] if row.max(initial=0) > 0 else _NOTHING for row in overlap]
        rows = zip(truth.labels, truth.distances(), truth.boxes, of, truth.ignored, strict=True)
        for label, distance, box, guess, ignored in rows:
            if ignored:
                continue
            iou, above = (float(table[0, 0]) for table in box_iou_3d([guess], [box]))
            self.pairs.append(BoxPair(label, float(distance), box, guess, iou, above))
        self.predicted.append(predicted)
        self.labeled.append(truth)

    def to_json(self) -> dict[str, Any]:
        """All figures: IoU, yaw, size, average precision, by distance and by label."""
        by_label: dict[str, list[BoxPair]] = defaultdict(list)
        for pair in self.pairs:
            by_label[pair.label].append(pair)
        precision = {
            f"ap_{round(100 * t)}": average_precision(self.predicted, self.labeled, t).ap or 0.0
            for t in THRESHOLDS
        }
        per_range = {band_name(a, b): _figures([p for p in self.pairs if a <= p.range < b]) for a, b in BANDS}
        guessed, named = (
            [replace(frame, labels=("",) * len(frame)) for frame in frames]
            for frames in (self.predicted, self.labeled)
        )
        for t in THRESHOLDS:
            for band, found in precision_by_band(guessed, named, ("",), t).items():
                per_range[band][f"ap_{round(100 * t)}"] = found.ap
        return {
            **_figures(self.pairs),
            **precision,
            "per_range": per_range,
            "per_class": {
                label: _figures(some)
                for label, some in sorted(by_label.items(), key=lambda item: -len(item[1]))
            },
        }


def boxes_from_2d(
    views: Iterable[LabeledView],
    sizes: Mapping[str, TypicalSize] | None = None,
    shown: ScanSizes | None = None,
) -> dict[str, BoxScores]:
    """``visible`` and ``whole`` boxes lifted from the views' 2D boxes.

    Args:
        views: labeled ones.
        sizes: of labels, for the whole boxes; None: the typical ones.
        shown: is told the whole boxes.
    """
    shown = shown or ScanSizes()
    lifter = create_lifter("auto", **OPEN_GATES)
    results = {"visible": BoxScores(), "whole": BoxScores()}
    for case in views:
        lifted = {found.detection: found for found in lifter.lift(case.frame, [case.detections]).objects}
        view, T = case.frame.views[0], case.frame.T_world_points
        seen = _seen(
            case.frame, [transform_points(T, lifted[row].points.astype(np.float64)) for row in lifted]
        )
        seen = [
            replace(
                one,
                label=case.detections.labels[row],
                box_2d=case.detections.boxes[row],
                camera=view.camera,
                T_world_points=T,
            )
            for one, row in zip(seen, lifted, strict=True)
        ]
        boxes = dict(zip(lifted, complete_boxes(seen, sizes=sizes), strict=True))
        shown.add(seen, boxes.values())
        scores = [float(case.detections.scores[row]) * box.quality for row, box in boxes.items()]
        rows, truth = labeled_objects(case)
        made = {
            "visible": box_rows(box.visible for box in boxes.values()),
            "whole": box_rows(box.amodal for box in boxes.values()),
        }
        for kind, found in made.items():
            of = dict(zip(boxes, found, strict=True))
            results[kind].add(
                truth, _predicted(found, scores, truth), [of.get(row, _NOTHING) for row in rows]
            )
    return results


def boxes_from_geometry(
    frames: Iterable[tuple[Frame, SceneObjects]],
    sizes: Mapping[str, TypicalSize] | None = None,
    shown: ScanSizes | None = None,
) -> dict[str, BoxScores]:
    """``visible`` and ``whole`` boxes of proposals, for frames and their labeled objects.

    Args:
        frames: with their labeled objects.
        sizes, shown: as of :func:`boxes_from_2d`.
    """
    shown = shown or ScanSizes()
    results = {"visible": BoxScores(), "whole": BoxScores()}
    for frame, truth in frames:
        world, T = frame.world_points(), frame.T_world_points
        kind = "lidar" if frame.depth is None and np.ptp(world[:, 0]) > 25 else "room"
        found = propose_objects(world, kind, T[:3, 3], frame.colors).objects()  # type: ignore[arg-type]
        seen = _seen(frame, [world[index] for index in found.indices])
        plain = box_rows(box.visible for box in complete_boxes(seen))
        overlap = box_iou_3d(plain, truth.boxes)[0]
        # The label of the object that a proposal overlaps most, as if it were named right.
        named = [
            replace(one, label=truth.labels[int(row.argmax())])
            if len(row) and row.max() > _SAME_PLACE
            else one
            for one, row in zip(seen, overlap, strict=True)
        ]
        completed = complete_boxes(named, sizes=sizes)
        shown.add(named, completed)
        whole = box_rows(box.amodal for box in completed)
        for name, boxes in (("visible", plain), ("whole", whole)):
            results[name].add(truth, _predicted(boxes, found.objectness, truth))
    return results


def labeled_objects(case: LabeledView) -> tuple[list[int], SceneObjects]:
    """Rows of the 2D boxes that show a labeled object with points, and these objects."""
    rows = [
        (row, box.transformed(case.frame.T_world_points))
        for row, box in enumerate(case.boxes)
        if box is not None and case.labels[row] and case.truths[row].any()
    ]
    return [row for row, _ in rows], SceneObjects(
        box_rows(box for _, box in rows),
        tuple(case.labels[row] for row, _ in rows),
        viewpoint=case.frame.T_world_points[:3, 3],
    )


def _predicted(boxes: NDArray[np.float64], scores: Any, truth: SceneObjects) -> SceneObjects:
    scores = np.asarray(scores, np.float64)
    return SceneObjects(boxes, ("",) * len(boxes), scores, viewpoint=truth.viewpoint)


def _seen(frame: Frame, clouds: Sequence[NDArray]) -> list[SeenObject]:
    """Objects with the sensor's place, and the height of the ground or floor under them."""
    world, T = frame.world_points(), frame.T_world_points
    middles = np.array([cloud[:, :2].mean(axis=0) for cloud in clouds]).reshape(-1, 2)
    floors = floor_heights(world, middles, indoors=frame.depth is not None).tolist()
    return [SeenObject(cloud, None, T[:3, 3], floor) for cloud, floor in zip(clouds, floors, strict=True)]


def _figures(pairs: Sequence[BoxPair]) -> dict[str, Any]:
    found = [pair for pair in pairs if pair.predicted[3:6].prod() > 0]
    figures: dict[str, Any] = {"objects": len(pairs), "found": len(found)}
    figures["iou_3d"] = float(np.mean([pair.iou for pair in pairs])) if pairs else None
    figures["iou_bev"] = float(np.mean([pair.above for pair in pairs])) if pairs else None
    if found:
        yaws = [abs((p.predicted[6] - p.truth[6] + np.pi / 2) % np.pi - np.pi / 2) for p in found]
        figures["yaw_error_deg"] = float(np.rad2deg(np.median(yaws)))
        ratios = np.array([p.predicted[3:6] / np.maximum(p.truth[3:6], 1e-6) for p in found])
        figures["size_ratio"] = np.median(ratios, axis=0).tolist()
    return figures
