"""Tracking and open set: which object is which over frames, and which is none of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from clip2.evaluation.open_set import NONE_OF_THESE, OpenSetReport, score_open_set, score_rejection
from clip2.evaluation.protocol import Settings
from clip2.evaluation.result import Metric
from clip2.evaluation.scenes.labeled_scan import LabeledScan
from clip2.evaluation.scenes.objects import SceneObjects
from clip2.evaluation.scenes.predictions import AskedLabels, open_predictions, scene_objects
from clip2.evaluation.scenes.scores import Scores
from clip2.evaluation.scenes.tracking import NOBODY, matched_tracks, score_tracks
from clip2.evaluation.subject import Subject
from clip2.mapping import ObjectMap
from clip2.recognition.instances import Instances3D
from data_prep.errors import BadFrameError, InputError
from data_prep.geometry import OrientedBox
from data_prep.geometry.box_iou import box_iou_3d
from data_prep.geometry.matching import match_by_overlap

_SAME = 0.25  # 3D IoU from which a found object shows a labeled one


def tracking(subject: Subject, scan: LabeledScan, settings: Settings) -> Scores:
    """Identities over frames: of what is found, and for a model also of the labeled boxes, given without ids.

    What has another label than those asked for does not count.
    """
    asked = AskedLabels.choose(subject, scan, settings.options)
    if subject.loaded is None:
        file = open_predictions(subject, scan, settings, None)
        pairs = [(file.of(one), one.truth) for one in scan]
        ways, labeled = {"": [guess for guess, _ in pairs]}, [truth for _, truth in pairs]
        notes: list[str] = []
    else:
        ways, labeled, notes = _mapped(subject, scan, asked)
    truth = [_of_labels(one[~one.ignored], asked) for one in labeled]
    metrics: dict[str, Metric] = {}
    for way, predicted in ways.items():
        counted = [_of_labels(one, asked) for one in predicted]
        frames = matched_tracks(counted, truth)
        names = {
            int(id): label
            for one in truth
            for id, label in zip(one.tracks, one.labels, strict=True)  # type: ignore[arg-type]
        }
        given = sum(map(len, counted))
        if not any(one.true != NOBODY for frame in frames for one in frame):
            metrics[f"IDF1{way}"] = Metric(0.0)
            notes.append(f"no object of these labels is found{way}")
            continue
        found = score_tracks(frames, names, objects=sum(map(len, truth)), detections=given)
        shown = {
            "IDF1": found["idf1"],
            "purity of tracks": found["purity"],
            "completeness of tracks": found["completeness"],
            "names right at each look": found["labels_before"],
            "names right after all looks": found["labels"],
        }
        metrics |= {f"{name}{way}": Metric(value) for name, value in shown.items()}
        for name, key in (
            ("objects found", "detections"),
            ("identity switches", "switches"),
            ("fragments", "fragments"),
        ):
            metrics[f"{name}{way}"] = Metric(found[key], unit="count")
    return Scores(metrics, notes=tuple(notes), stated={"labels": asked.said})


def _of_labels(objects: SceneObjects, asked: AskedLabels) -> SceneObjects:
    return replace(objects, indices=None)[np.array([label in asked.names for label in objects.labels], bool)]


def _mapped(
    subject: Subject, scan: LabeledScan, asked: AskedLabels
) -> tuple[dict[str, list[SceneObjects]], list[SceneObjects], list[str]]:
    """What a map finds by itself, and what it makes of labeled boxes; the labels; oddities."""
    found = ObjectMap(subject.model, asked.names, subject.text)
    given = ObjectMap(subject.model, asked.names, subject.text)
    ways: dict[str, list[SceneObjects]] = {"": [], ", labeled boxes given": []}
    labeled, notes = [], []
    for one in scan:
        kept = one.truth[~one.truth.ignored]
        try:
            both = (
                found.update(one.frame),
                given.update(one.frame, _as_detections(kept, subject.model.teacher.width)),
            )
        except BadFrameError as error:
            notes.append(str(error))
            continue
        for way, update in zip(ways.values(), both, strict=True):
            way.append(one.counted(scene_objects(update, one.frame)))
        labeled.append(one.truth)
    if scan.scan.world_of(0) is None:
        notes.append("the scan has no poses: objects move with the sensor")
    return ways, labeled, notes


def _as_detections(truth: SceneObjects, width: int) -> Instances3D:
    assert truth.indices is not None
    return Instances3D(
        truth.indices,
        truth.boxes,
        np.array([OrientedBox.from_yaw(row[:3], row[3:6], row[6]).rotation for row in truth.boxes]).reshape(
            -1, 3, 3
        ),
        ("",) * len(truth),
        np.ones(len(truth), np.float32),
        np.zeros((len(truth), width), np.float32),
    )


def open_set(subject: Subject, scan: LabeledScan, settings: Settings) -> Scores:
    """Labeled objects of which the labels asked for name only some: which are told to be none of these."""
    options = dict(settings.options)
    if "labels" not in options:
        options["labels"] = ",".join(AskedLabels.choose(subject, scan, {}).names[::2])
    asked = AskedLabels.choose(subject, scan, options).names
    if subject.loaded is None:
        report, metrics = _rejected_by_file(subject, scan, settings, asked)
    else:
        report, metrics = _rejected_by_model(subject, scan, settings, asked), {}
    stated = {"labels": f"{', '.join(asked)}; all other objects are none of these"}
    notes = (
        ()
        if report.others
        else ("the labels name every object: none is there to reject (--option labels=…)",)
    )
    return Scores({**report.metrics(), **metrics}, curves=report.curves(), notes=notes, stated=stated)


def _rejected_by_model(
    subject: Subject, scan: LabeledScan, settings: Settings, asked: Sequence[str]
) -> OpenSetReport:
    text, model = subject.vectors(asked), subject.model
    cosines, targets, features = [], [], []
    for one in scan:
        world, kept = one.frame.world_points(), one.truth[~one.truth.ignored]
        colors = one.frame.colors if settings.color else None
        assert kept.indices is not None
        shaped = [
            row for row, index in enumerate(kept.indices) if len(index) and np.ptp(world[index], axis=0).any()
        ]
        if not shaped:
            continue
        clouds = [kept.indices[row] for row in shaped]
        found = model.describe(
            [world[index] for index in clouds],
            None if colors is None else [colors[index] for index in clouds],
        )
        cosines.append(found.embeddings @ text.T)
        features.append(found.features)
        targets += [
            asked.index(name) if (name := kept.labels[row]) in asked else NONE_OF_THESE for row in shaped
        ]
    if not cosines:
        raise InputError("has no labeled object with enough points", source=scan.scan.root, field="labels")
    distances = None if model.ood_detector is None else model.ood_detector.distance(np.concatenate(features))
    return score_open_set(
        np.concatenate(cosines), np.array(targets), model.logit_scale, distances, settings.seed
    )


def _rejected_by_file(
    subject: Subject, scan: LabeledScan, settings: Settings, asked: Sequence[str]
) -> tuple[OpenSetReport, dict[str, Metric]]:
    file = open_predictions(subject, scan, settings, None)
    scores, known, right = [], [], []
    for one in scan:
        found, kept = file.of(one), one.truth[~one.truth.ignored]
        for row, column in enumerate(match_by_overlap(box_iou_3d(found.boxes, kept.boxes)[0], _SAME)):
            if column >= 0:
                scores.append(found.scores[row])
                known.append(kept.labels[column] in asked)
                right.append(found.labels[row] == kept.labels[column])
    if not scores:
        raise InputError("has no box that shows a labeled object", source=subject.name, field="frames")
    return score_rejection(scores, known, right), {"found": Metric(len(scores) / scan.objects)}
