"""Detection and boxes: named boxes, and boxes whatever their names, against labeled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from clip2.evaluation.protocol import Settings
from clip2.evaluation.result import ClassRow, Curve, Metric
from clip2.evaluation.scenes.boxes import BoxPair, BoxScores, boxes_from_2d, boxes_from_geometry
from clip2.evaluation.scenes.detection import BANDS, average_precision, band_name, score_detection
from clip2.evaluation.scenes.labeled_scan import LabeledScan
from clip2.evaluation.scenes.objects import SceneObjects
from clip2.evaluation.scenes.predictions import AskedLabels, open_predictions
from clip2.evaluation.scenes.scores import Scores, mean_of, metric_of, number_of, with_interval
from clip2.evaluation.scenes.views import views_of
from clip2.evaluation.subject import Subject
from clip2.labels import parse_labels
from data_prep.labels import normalize_label

_MOST_CURVES = 8  # labels with a curve of their own in a chart


def detection(subject: Subject, scan: LabeledScan, settings: Settings) -> Scores:
    """AP25 and AP50 of named boxes, recall, base and novel labels, by distance."""
    asked = AskedLabels.choose(subject, scan, settings.options)
    stated = settings.options.get("base")
    base = () if stated is None else tuple(map(normalize_label, parse_labels(stated, source="--option base")))
    found = open_predictions(subject, scan, settings, asked.names)
    predicted, labeled = [], []
    for one in scan:
        predicted.append(replace(found.of(one), indices=None))
        labeled.append(replace(one.truth, indices=None))
    report = score_detection(predicted, labeled, asked.names, base=base)
    metrics = {}
    for threshold, percent in ((0.25, 25), (0.5, 50)):
        metrics[f"AP{percent}"] = metric_of(report.mean[threshold])
        metrics[f"recall at IoU 0.{percent}"] = metric_of(report.mean_recall[threshold])
        if base:
            metrics[f"AP{percent} of base labels"] = metric_of(report.base[threshold])
            metrics[f"AP{percent} of novel labels"] = metric_of(report.novel[threshold])
    metrics |= {
        f"AP25, {band}": metric_of(row.ap) for band, row in report.per_band[0.25].items() if row.objects
    }
    at_25, at_50 = report.per_label[0.25], report.per_label[0.5]
    rows = tuple(
        ClassRow(
            name,
            at_25[name].objects,
            {
                "AP25": number_of(at_25[name].ap),
                "AP50": number_of(at_50[name].ap),
                "recall at IoU 0.25": number_of(at_25[name].recall),
            },
        )
        for name in asked.names
    )
    most = sorted((n for n in asked.names if at_25[n].objects), key=lambda n: -at_25[n].objects)
    lines = {name: at_25[name].curve.tolist() for name in most[:_MOST_CURVES] if at_25[name].predictions}
    curves = tuple(
        Curve(
            "precision and recall at IoU 0.25",
            name,
            "recall",
            "precision",
            tuple(x),
            tuple(y),
            unit_square=True,
        )
        for name, (x, y) in lines.items()
    )
    return Scores(metrics, rows, curves, _foreign(predicted, asked), {"labels": asked.said})


def boxes(subject: Subject, scan: LabeledScan, settings: Settings) -> Scores:
    """3D IoU of every labeled object with the box that overlaps it most; AP whatever the names."""
    asked = AskedLabels.choose(subject, scan, settings.options)
    found = open_predictions(subject, scan, settings, asked.names)
    scores = BoxScores()
    for one in scan:
        guess = replace(found.of(one), indices=None)
        scores.add(replace(one.truth, indices=None), replace(guess, scores=guess.objectness))
    metrics = _box_metrics(scores, settings.seed)
    if subject.loaded is not None:
        metrics |= _steps_before(scan, settings)
    labels = sorted({pair.label for pair in scores.pairs})
    rows = tuple(
        ClassRow(
            label,
            len(some),
            {"3D IoU": mean_of([p.iou for p in some]), "IoU from above": mean_of([p.above for p in some])},
        )
        for label in labels
        if (some := [pair for pair in scores.pairs if pair.label == label])
    )
    stated = {"labels": asked.said} if subject.loaded is not None else {}
    return Scores(metrics, rows, notes=("an object that is not found counts as IoU 0",), stated=stated)


def _box_metrics(scores: BoxScores, seed: int) -> dict[str, Metric]:
    pairs = scores.pairs
    metrics = {
        "3D IoU": with_interval([p.iou for p in pairs], seed),
        "IoU from above": with_interval([p.above for p in pairs], seed),
        "found": with_interval([p.predicted[3:6].prod() > 0 for p in pairs], seed),
    }
    for threshold in (0.25, 0.5, 0.7):
        ap = average_precision(scores.predicted, scores.labeled, threshold).ap
        metrics[f"AP{round(100 * threshold)} without names"] = metric_of(ap)
    seen = [p for p in pairs if p.predicted[3:6].prod() > 0]
    if seen:
        turned = [abs((p.predicted[6] - p.truth[6] + np.pi / 2) % np.pi - np.pi / 2) for p in seen]
        metrics["median error of yaw"] = Metric(float(np.rad2deg(np.median(turned))), unit="degrees")
    for near, far in BANDS:
        if some := [p for p in pairs if near <= p.range < far]:
            metrics[f"3D IoU, {band_name(near, far)}"] = with_interval([p.iou for p in some], seed)
    return metrics


def _steps_before(scan: LabeledScan, settings: Settings) -> dict[str, Metric]:
    """3D IoU where the labels' own 2D boxes are lifted, and where proposals get the names of the labels."""
    found: dict[str, list[BoxPair]] = {}
    views = (view for one in scan for view in views_of(one.frame, one.annotations))
    for kind, scores in boxes_from_2d(views).items():
        found[f"3D IoU from labeled 2D boxes, {kind}"] = scores.pairs
    frames = ((one.frame, replace(one.truth, indices=None)) for one in scan)
    for kind, scores in boxes_from_geometry(frames).items():
        found[f"3D IoU of proposals named right, {kind}"] = scores.pairs
    return {
        name: with_interval([p.iou for p in pairs], settings.seed) for name, pairs in found.items() if pairs
    }


def _foreign(predicted: Sequence[SceneObjects], asked: AskedLabels) -> tuple[str, ...]:
    names = [label for frame in predicted for label in frame.labels if label not in asked.names]
    if not names:
        return ()
    shown = ", ".join(sorted(set(names))[:6])
    return (f"{len(names)} predictions have other labels and do not count: {shown}",)
