"""Average precision of boxes against a case worked by hand and against scikit-learn's curve."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from clip2.evaluation.scenes.detection import average_precision, score_detection
from clip2.evaluation.scenes.objects import SceneObjects
from data_prep.errors import InputError

CAR = np.array([10.0, 0, 0, 4, 2, 2, 0])


def boxes(*places: tuple[float, float], yaw: float = 0.0) -> np.ndarray:
    """Cars at x y."""
    return np.array([[x, y, *CAR[2:6], yaw] for x, y in places]).reshape(-1, 7)


def objects(rows: np.ndarray, label: str = "car", **columns: object) -> SceneObjects:
    """Objects of one label."""
    return SceneObjects(rows, (label,) * len(rows), **columns)  # type: ignore[arg-type]


def test_a_case_worked_by_hand() -> None:
    # Three cars in two frames. Predictions by falling score: a hit, a duplicate of it, a hit of IoU 0.6 (1 m off), a box
    # in the void. The third car is missed. Precision 1, 1/2, 2/3, 2/4 at recall 1/3, 1/3, 2/3, 2/3.
    truth = [objects(boxes((10, 0), (20, 0))), objects(boxes((30, 0)))]
    guess = [
        objects(boxes((10, 0), (10, 0.1), (21, 0)), scores=np.array([0.9, 0.8, 0.7])),
        objects(boxes((60, 0)), scores=np.array([0.6])),
    ]
    found = average_precision(guess, truth, 0.5)
    assert found.ap == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert found.recall == pytest.approx(2 / 3)
    assert found.precision == 0.5
    assert found.curve.tolist() == [
        pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3]),
        pytest.approx([1, 1 / 2, 2 / 3, 1 / 2]),
    ]
    assert average_precision(guess, truth, 0.65).ap == pytest.approx(1 / 3)


def test_the_overlap_is_of_turned_boxes() -> None:
    truth = [objects(boxes((10, 0), yaw=np.pi / 2))]
    # The same car across: 2 x 2 of 4 x 2 shared, 4 / 12.
    across = [objects(boxes((10, 0)))]
    assert average_precision(across, truth, 0.33).ap == 1
    assert average_precision(across, truth, 0.34).ap == 0
    assert average_precision([objects(boxes((10, 0), yaw=-np.pi / 2))], truth, 0.99).ap == 1


def test_the_area_is_that_under_the_envelope_of_scikit_learns_curve() -> None:
    rng = np.random.default_rng(0)
    truth = [objects(boxes(*[(x, 0) for x in range(0, 200, 10)]))]
    hit = rng.uniform(size=20) < 0.6
    scores = rng.permutation(20) / 20
    places = [(x, 0.0 if ok else 100.0) for x, ok in zip(range(0, 200, 10), hit, strict=True)]
    found = average_precision([objects(boxes(*places), scores=scores)], truth, 0.5)
    precision, recall, _ = precision_recall_curve(hit, scores)
    order = np.argsort(recall, kind="stable")
    envelope = np.maximum.accumulate(precision[order][::-1])[::-1]
    # Their recall is of what was predicted right at all; ours of all objects.
    area = float(np.sum(np.diff(recall[order], prepend=0) * envelope)) * hit.sum() / 20
    assert found.ap == pytest.approx(area)


def test_labels_are_scored_apart_and_an_empty_one_is_left_out_of_the_mean() -> None:
    truth = [SceneObjects(boxes((10, 0), (20, 0)), ("car", "bus"))]
    guess = [SceneObjects(boxes((10, 0), (20, 0), (30, 0)), ("car", "car", "tram"))]
    report = score_detection(guess, truth, ["car", "bus", "tram"], base=["car"])
    assert report.per_label[0.5]["car"].ap == 1  # the false car has the same score, and comes later
    assert report.per_label[0.5]["bus"].ap == 0
    assert report.per_label[0.5]["tram"].ap is None
    assert report.mean[0.5] == 0.5
    assert (report.base[0.5], report.novel[0.5]) == (1, 0)
    assert report.to_json()["per_label"]["tram"] == {
        "objects": 0, "predictions": 1, "ap_25": None, "recall_25": None, "ap_50": None, "recall_50": None
    }  # fmt: skip


def test_what_belongs_to_an_ignored_object_counts_neither_way() -> None:
    truth = [objects(boxes((10, 0), (20, 0)), ignored=np.array([False, True]))]
    guess = [objects(boxes((20, 0), (20, 0.1), (10, 0)), scores=np.array([0.9, 0.8, 0.7]))]
    found = average_precision(guess, truth, 0.5)
    assert (found.ap, found.objects, found.predictions) == (1, 1, 1)


def test_a_match_belongs_to_the_distance_of_its_object() -> None:
    truth = [objects(boxes((14.6, 0)))]
    guess = [objects(boxes((15.2, 0), (40, 0)))]  # the first lies beyond 15 m, its object does not
    report = score_detection(guess, truth, ["car"], thresholds=(0.5,))
    near, middle, far, _ = report.per_band[0.5].values()
    assert (near.ap, near.predictions) == (1, 1)
    assert (middle.objects, middle.predictions) == (0, 0)
    assert (far.ap, far.predictions) == (None, 1)


def test_no_predictions_at_all_are_zero_not_an_error() -> None:
    nothing = [objects(boxes())]
    assert average_precision(nothing, [objects(boxes((10, 0)))], 0.5).ap == 0
    assert average_precision(nothing, nothing, 0.5).ap is None


def test_bad_input_is_one_line() -> None:
    truth = [objects(boxes((10, 0)))]
    with pytest.raises(InputError, match=r"none of them occurs in the scan\. Fix: the scan has car"):
        score_detection(truth, truth, ["chair"])
    with pytest.raises(InputError, match="'bus' is not among the labels"):
        score_detection(truth, truth, ["car"], base=["bus"])
    with pytest.raises(InputError, match=r"objects.boxes: holds NaN"):
        objects(boxes((np.nan, 0)))
