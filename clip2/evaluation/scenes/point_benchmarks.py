"""Proposals and lifting: points of objects against the points in labeled boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.protocol import Settings
from clip2.evaluation.result import ClassRow, Curve, Metric
from clip2.evaluation.scenes.detection import BANDS, band_name
from clip2.evaluation.scenes.labeled_scan import LabeledFrame, LabeledScan
from clip2.evaluation.scenes.lifting import MIN_POINTS, OPEN_GATES, Cut, PointScore, lifted_by, score_points
from clip2.evaluation.scenes.objects import SceneObjects, point_iou
from clip2.evaluation.scenes.predictions import open_predictions
from clip2.evaluation.scenes.proposals import (
    FOUND,
    ProposalOverlaps,
    best_overlaps,
    box_overlaps,
    mask_overlaps,
    objectness_calibration,
    proposal_figures,
)
from clip2.evaluation.scenes.scores import Scores, mean_of, with_interval
from clip2.evaluation.scenes.views import LabeledView, views_of
from clip2.evaluation.subject import Subject
from data_prep.errors import InputError
from data_prep.geometry.box_iou import box_iou_3d
from data_prep.geometry.matching import match_by_overlap
from data_prep.lift import create_lifter


def proposals(subject: Subject, scan: LabeledScan, settings: Settings) -> Scores:
    """Recall of class-agnostic proposals, and where all objects are labeled also precision and calibration."""
    found = open_predictions(subject, scan, settings, None)
    complete = settings.options.get("complete", "no") == "yes"
    compare = settings.options.get("compare") or (
        "boxes" if scan.scan.source in ("scannet", "sunrgbd") else "points"
    )
    if compare not in ("points", "boxes"):
        raise InputError(f"is {compare!r}", field="--option compare", fix="give points or boxes")
    frames = []
    for one in scan:
        guess = found.of(one)
        if guess.indices is None and "compare" not in settings.options and len(guess):
            compare = "boxes"
        guess = guess[np.argsort(-guess.objectness, kind="stable")]
        kept = one.truth[~one.truth.ignored]
        overlap = _overlap(one, guess, kept, compare)
        frames.append(ProposalOverlaps(overlap, guess.objectness, kept.labels, complete))
    figures, best = proposal_figures(frames), best_overlaps(frames)
    labels = np.array([label for frame in frames for label in frame.labels])
    metrics = {
        f"recall at IoU {threshold}": with_interval(best >= threshold, settings.seed)
        for threshold in (FOUND, 0.25)
    }
    metrics["mean best IoU"] = with_interval(best, settings.seed)
    metrics["proposals"] = Metric(figures["proposals_per_scan"], unit="per frame")
    curves = [_recall_by_count(frames)]
    notes = []
    if complete:
        metrics["precision at IoU 0.5"] = Metric(figures["precision_50"])
        if (calibration := objectness_calibration(frames)) is not None:
            metrics["ECE of objectness"] = Metric(calibration.ece)
            curves.append(calibration.curve("objectness"))
    else:
        notes.append(
            "no precision: not everything that is an object is labeled (--option complete=yes where it is)"
        )
    rows = tuple(
        ClassRow(
            str(label),
            int((labels == label).sum()),
            {"recall at IoU 0.5": float((best[labels == label] >= FOUND).mean())},
        )
        for label in np.unique(labels)
    )
    return Scores(metrics, rows, tuple(curves), tuple(notes), {"compared": compare})


def _overlap(
    one: LabeledFrame, guess: SceneObjects, truth: SceneObjects, compare: str
) -> NDArray[np.float64]:
    if compare == "points":
        if guess.indices is None and len(guess):
            raise InputError(
                "are needed to compare points", field="indices", fix="use --option compare=boxes"
            )
        assert truth.indices is not None
        masks = []
        for index in truth.indices:
            masks.append(np.zeros(len(one.frame.points), bool))
            masks[-1][index] = True
        return mask_overlaps(guess.indices or (), masks, one.visible)
    if guess.indices is None:
        return box_iou_3d(guess.boxes, truth.boxes)[0]
    kept = np.flatnonzero(~one.truth.ignored)
    labeled = [one.annotations.boxes[row] for row in kept]
    return box_overlaps(guess.indices, one.frame.points.astype(np.float64), labeled)


def _recall_by_count(frames: Sequence[ProposalOverlaps]) -> Curve:
    counts = [2**k for k in range(9)]
    recalls = [
        mean_of(np.concatenate([f.overlap[:count].max(axis=0, initial=0) >= FOUND for f in frames]))
        for count in counts
    ]
    return Curve(
        "recall by number of proposals", "recall at IoU 0.5", "proposals of highest objectness per frame", "recall",
        tuple(map(float, counts)), tuple(recalls), log_x=True,
    )  # fmt: skip


def lifting(subject: Subject, scan: LabeledScan, settings: Settings) -> Scores:
    """IoU of lifted points with the points inside both the labeled 3D box and its 2D box."""
    found = None if subject.loaded is not None else open_predictions(subject, scan, settings, None)
    lifter = create_lifter("auto", **OPEN_GATES)
    scores: list[PointScore] = []
    for one in scan:
        cut = lifted_by(lifter) if found is None else _nearest(found.of(one))
        scores += score_points(views_of(one.frame, one.annotations), cut)
    if not scores:
        raise InputError(
            f"show no labeled object with {MIN_POINTS} points",
            source=scan.scan.root,
            field="images",
            fix="give a scan with images",
        )
    columns: dict[str, list[float]] = {
        "point IoU": [s.iou for s in scores],
        "share above IoU 0.5": [s.iou > 0.5 for s in scores],
        "precision of points": [s.precision for s in scores],
        "recall of points": [s.recall for s in scores],
        "point IoU without the seam of 10 cm": [s.seam_iou for s in scores],
    }
    metrics = {name: with_interval(values, settings.seed) for name, values in columns.items()}
    for near, far in BANDS:
        if some := [s.iou for s in scores if near <= s.range < far]:
            metrics[f"point IoU, {band_name(near, far)}"] = with_interval(some, settings.seed)
    metrics["objects scored"] = Metric(float(len(scores)), unit="count")
    rows = tuple(
        ClassRow(label, len(some), {"point IoU": mean_of(some)})
        for label in sorted({s.label for s in scores})
        if (some := [s.iou for s in scores if s.label == label])
    )
    how = (
        "by geometry, the model plays no part"
        if found is None
        else "objects of the file, the best for each label"
    )
    return Scores(metrics, rows, stated={"lifted": how})


def _nearest(found: SceneObjects) -> Cut:
    """For each 2D box the object of a file that shares most points with what the box shows."""
    if found.indices is None and len(found):
        raise InputError(
            "are needed for the IoU of points", field="indices", fix="give each object its points"
        )

    def cut(view: LabeledView) -> dict[int, NDArray[np.int64]]:
        parts = found.indices or ()
        truths = [np.flatnonzero(truth) for truth in view.truths]
        match = match_by_overlap(point_iou(parts, truths, len(view.frame.points)), 1e-9)
        return {int(column): parts[row] for row, column in enumerate(match) if column >= 0}

    return cut
