"""3D object detection: average precision per label, recall, base and novel labels, by distance.

As ScanNet and SUN RGB-D are scored (VoteNet, Qi et al. 2019, after PASCAL VOC 2012): predictions of all frames in the order of
their scores; a prediction belongs to the object of its label that it overlaps most by oriented 3D IoU; every object
is found once; area under the precision envelope; mean over the labels that occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.scenes.objects import SceneObjects
from data_prep.errors import InputError
from data_prep.geometry.box_iou import box_iou_3d
from data_prep.geometry.matching import match_by_score

THRESHOLDS = (0.25, 0.5)  # 3D IoU
BANDS = ((0.0, 15.0), (15.0, 30.0), (30.0, 45.0), (45.0, np.inf))  # meters
ANY = "object"  # the one label of class-agnostic scores


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """Predictions of one label against its objects, at one threshold.

    Attributes:
        ap: area under the precision envelope, 0..1; None: no such object is labeled.
        recall: share of the objects that are found.
        precision: share of the predictions that find one; None: there is no prediction.
        objects, predictions: counts, without those that count neither way.
        curve: (2, n) recall and precision after each prediction, the best score first.
    """

    ap: float | None
    recall: float | None
    precision: float | None
    objects: int
    predictions: int
    curve: NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """All but the curve."""
        return {name: value for name, value in vars(self).items() if name != "curve"}


@dataclass(frozen=True, eq=False)
class DetectionReport:
    """Detection scores of a scan, by threshold.

    Attributes:
        labels: the K labels that were asked for.
        per_label: threshold → label → its precision and recall.
        per_band: threshold → band such as ``0-15 m`` → all labels as one.
        mean: threshold → mean AP over the labels that occur; None: none occurs.
        base, novel: threshold → mean AP over the base labels and over the others; empty without base labels.
        mean_recall: threshold → mean recall over the labels that occur.
    """

    labels: tuple[str, ...]
    per_label: dict[float, dict[str, AveragePrecision]]
    per_band: dict[float, dict[str, AveragePrecision]]
    mean: dict[float, float | None]
    mean_recall: dict[float, float | None]
    base: dict[float, float | None]
    novel: dict[float, float | None]

    def to_json(self) -> dict[str, Any]:
        """Everything but the curves as plain JSON values; keys like ``ap_25``."""
        summary: dict[str, Any] = {}
        for threshold in self.per_label:
            key = round(100 * threshold)
            summary[f"ap_{key}"], summary[f"recall_{key}"] = (
                self.mean[threshold],
                self.mean_recall[threshold],
            )
            if self.base:
                summary[f"ap_{key}_base"], summary[f"ap_{key}_novel"] = (
                    self.base[threshold],
                    self.novel[threshold],
                )
        for name, table in (("per_label", self.per_label), ("per_band", self.per_band)):
            rows: dict[str, dict[str, Any]] = {}
            for threshold, found in table.items():
                key = round(100 * threshold)
                for row, one in found.items():
                    values = rows.setdefault(row, {"objects": one.objects, "predictions": one.predictions})
                    values |= {f"ap_{key}": one.ap, f"recall_{key}": one.recall}
            summary[name] = rows
        return summary


def score_detection(
    predicted: Sequence[SceneObjects],
    labeled: Sequence[SceneObjects],
    labels: Sequence[str],
    *,
    base: Sequence[str] = (),
    thresholds: Sequence[float] = THRESHOLDS,
) -> DetectionReport:
    """Score predicted boxes against labeled ones.

    Args:
        predicted: of F frames. Predictions of other labels than ``labels`` do not count.
        labeled: of the same F frames. A prediction that belongs to an ignored object counts neither way.
        labels: K labels to score.
        base: those of the labels that training knew; the others are novel.
        thresholds: least 3D IoU of a match.

    Raises:
        InputError: lists of different lengths, no labels, base labels that are not among them, or none of the labels
            occurs.

    >>> car = np.array([[10.0, 0, 0, 4, 2, 2, 0]])
    >>> truth = SceneObjects(boxes=car, labels=("car",))
    >>> shifted = SceneObjects(boxes=car + [1, 0, 0, 0, 0, 0, 0], labels=("car",))  # IoU 0.6
    >>> score_detection([shifted], [truth], ["car", "bus"], thresholds=(0.5, 0.7)).mean
    {0.5: 1.0, 0.7: 0.0}
    """
    names = tuple(labels)
    if len(predicted) != len(labeled):
        raise InputError(f"has {len(predicted)} frames, the labels {len(labeled)}", field="predicted")
    if not names:
        raise InputError("is empty", field="labels", fix="name the labels to score")
    if foreign := sorted(set(base) - set(names)):
        raise InputError(f"{foreign[0]!r} is not among the labels", field="base")
    if not any(set(names) & set(frame.labels) for frame in labeled):
        present = sorted({label for frame in labeled for label in frame.labels})
        raise InputError(
            "none of them occurs in the scan",
            field="labels",
            fix=f"the scan has {', '.join(present[:20]) or 'no labeled objects'}",
        )
    per_label = {
        threshold: {
            name: average_precision(
                [frame.labeled(name) for frame in predicted],
                [frame.labeled(name) for frame in labeled],
                threshold,
            )
            for name in names
        }
        for threshold in thresholds
    }
    novel = [name for name in names if name not in base]
    return DetectionReport(
        labels=names,
        per_label=per_label,
        per_band={t: precision_by_band(predicted, labeled, names, t) for t in thresholds},
        mean={t: _mean([one.ap for one in found.values()]) for t, found in per_label.items()},
        mean_recall={t: _mean([one.recall for one in found.values()]) for t, found in per_label.items()},
        base={t: _mean([found[name].ap for name in base]) for t, found in per_label.items()} if base else {},
        novel={t: _mean([found[name].ap for name in novel]) for t, found in per_label.items()}
        if base
        else {},
    )


def average_precision(
    predicted: Sequence[SceneObjects], labeled: Sequence[SceneObjects], threshold: float
) -> AveragePrecision:
    """Average precision of boxes, whatever their labels; see the module.

    Args:
        predicted, labeled: of the same frames.
        threshold: least 3D IoU of a match.

    >>> car = np.array([[10.0, 0, 0, 4, 2, 2, 0]])
    >>> truth = SceneObjects(boxes=car, labels=("car",))
    >>> average_precision([truth], [truth], 0.5).ap
    1.0
    """
    return _precision(_outcomes(predicted, labeled, threshold), sum(int((~f.ignored).sum()) for f in labeled))


def _outcomes(
    predicted: Sequence[SceneObjects], labeled: Sequence[SceneObjects], threshold: float
) -> NDArray[np.float64]:
    """(n, 3) score, whether an object was found, and distance of it or of the box, of the predictions that count."""
    rows = [np.zeros((0, 3))]
    for guess, truth in zip(predicted, labeled, strict=True):
        overlap = box_iou_3d(guess.boxes, truth.boxes)[0]
        match = match_by_score(overlap, guess.scores, threshold)
        hit, away = match >= 0, guess.distances()
        if len(truth):
            away = np.where(hit, truth.distances()[match], away)
            best = overlap.argmax(axis=1) if len(guess) else np.zeros(0, np.int64)
            skipped = (overlap.max(axis=1, initial=0) >= threshold) & truth.ignored[best]
        else:
            skipped = np.zeros(len(guess), bool)
        rows.append(np.stack([guess.scores, hit, away], axis=1)[~skipped])
    return np.concatenate(rows)


def _precision(outcomes: NDArray[np.float64], objects: int) -> AveragePrecision:
    hit = outcomes[np.argsort(-outcomes[:, 0], kind="stable"), 1] > 0
    found, count = np.cumsum(hit), np.arange(1, len(hit) + 1)
    recall, precision = found / max(objects, 1), found / count
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    area = float(np.sum(np.diff(recall, prepend=0.0) * envelope))
    return AveragePrecision(
        ap=area if objects else None,
        recall=float(hit.sum() / objects) if objects else None,
        precision=float(hit.mean()) if len(hit) else None,
        objects=objects,
        predictions=len(hit),
        curve=np.stack([recall, precision]),
    )


def precision_by_band(
    predicted: Sequence[SceneObjects],
    labeled: Sequence[SceneObjects],
    names: Sequence[str],
    threshold: float,
) -> dict[str, AveragePrecision]:
    """Average precision of each band, all labels as one list. A match belongs to the band of its object, all else to its own.

    Args:
        predicted, labeled: of the same frames.
        names: labels that count; a prediction finds objects of its own label only.
        threshold: least 3D IoU of a match.

    >>> car = SceneObjects(boxes=np.array([[10.0, 0, 0, 4, 2, 2, 0]]), labels=("car",))
    >>> {band: found.ap for band, found in precision_by_band([car], [car], ["car"], 0.5).items()}
    {'0-15 m': 1.0, '15-30 m': None, '30-45 m': None, '45 m on': None}
    """
    outcomes, away = [], [np.zeros(0)]
    for name in names:
        truths = [frame.labeled(name) for frame in labeled]
        outcomes.append(_outcomes([frame.labeled(name) for frame in predicted], truths, threshold))
        away += [truth.distances()[~truth.ignored] for truth in truths]
    rows, distances = np.concatenate(outcomes), np.concatenate(away)
    return {
        band_name(near, far): _precision(
            rows[(rows[:, 2] >= near) & (rows[:, 2] < far)],
            int(((distances >= near) & (distances < far)).sum()),
        )
        for near, far in BANDS
    }


def band_name(near: float, far: float) -> str:
    """Name of a band of distances.

    >>> band_name(0, 15), band_name(45, np.inf)
    ('0-15 m', '45 m on')
    """
    return f"{near:g}-{far:g} m" if np.isfinite(far) else f"{near:g} m on"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
