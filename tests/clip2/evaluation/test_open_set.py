"""Open-set scores against scikit-learn, torchmetrics, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve
from torchmetrics.functional.classification import binary_calibration_error

from clip2.evaluation.open_set import (
    auroc,
    fpr_at_tpr,
    reliability,
    score_open_set,
    standardize,
)
from data_prep.errors import InputError


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties, of known and of other objects."""
    rng = np.random.default_rng(0)
    return rng.normal(0.5, 1, 300).round(1), rng.normal(-0.3, 1.2, 200).round(1)


def test_auroc_and_fpr_are_scikit_learns(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    known, others = drawn
    truth = np.repeat([1, 0], [len(known), len(others)])
    scores = np.concatenate(drawn)
    assert auroc(known, others) == pytest.approx(roc_auc_score(truth, scores))
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    for share in (0.5, 0.95, 1.0):
        assert fpr_at_tpr(known, others, share) == pytest.approx(fpr[np.argmax(tpr >= share - 1e-12)])


def test_calibration_error_is_torchmetrics() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.001, 1, 500)
    right = rng.uniform(size=500) < confidence**2
    # torchmetrics takes the probability of a positive: here, of being right.
    theirs = binary_calibration_error(torch.tensor(confidence), torch.tensor(right), n_bins=15, norm="l1")
    assert reliability(confidence, right).ece == pytest.approx(float(theirs), abs=1e-6)


def test_bins_by_hand() -> None:
    found = reliability([0.2, 0.9, 1.0], [False, True, True], bins=2)
    assert found.counts.tolist() == [1, 2]
    assert found.confidence == pytest.approx([0.2, 0.95])
    assert found.ece == pytest.approx((0.2 + 2 * 0.05) / 3)
    assert reliability([0.5], [True], bins=4).to_json()["accuracy"] == [None, 1.0, None, None]


def test_standardized_scores_undo_a_label_that_is_high_for_everything() -> None:
    # Objects of label 0 and 1; label 1 scores 0.3 higher whatever the object is.
    rng = np.random.default_rng(2)
    true = np.arange(400) % 2
    cosines = 0.5 + 0.1 * np.eye(2)[true] + [0, 0.3] + rng.normal(0, 0.02, (400, 2))
    report = score_open_set(cosines, true, scale=20.0)
    assert report.accuracy["cosine"] == 0.5
    assert report.accuracy["standardized cosine"] > 0.95
    assert report.rejection == {}  # all objects are named by a label


def test_a_detector_that_knows_rejects_perfectly_and_one_that_errs_does_not() -> None:
    cosines, targets = np.full((6, 2), 0.5) + [0.1, 0], np.array([0, 0, 0, -1, -1, -1])
    report = score_open_set(cosines, targets, 10.0, distances=[0, 0, 0, 1, 1, 1])
    assert report.rejection["out-of-distribution detector"] == {"auroc": 1.0, "fpr95": 0.0}
    assert report.rejection["cosine"] == {"auroc": 0.5, "fpr95": 1.0}  # equal scores tell nothing
    assert (report.known, report.others) == (3, 3)


@pytest.mark.parametrize(
    ("cosines", "targets", "message"),
    [
        ([[0.1, np.nan]], [0], "NaN"),
        ([[0.1, 0.2]], [2], "from -1 to 1"),
        ([[0.1, 0.2]], [-1], "with known objects"),
    ],
)
def test_bad_input_is_one_line(cosines: list, targets: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_open_set(cosines, targets, 1.0)


def test_statistics_need_two_objects() -> None:
    with pytest.raises(InputError, match="R > 1"):
        standardize([[0.1]], [[0.1]])
