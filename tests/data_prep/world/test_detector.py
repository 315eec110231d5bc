"""The simulated detector errs as much as its profile says."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep import open_scan
from data_prep.detect import Detections2D
from data_prep.errors import InputError
from data_prep.geometry import box_iou_2d
from data_prep.world import list_categories
from data_prep.world.detector import PROFILES, get_profile, simulate_detector

WORDS = list_categories("room")
COUNT = 6000


def _truth(size: float, hidden: float = 0.0) -> Detections2D:
    """Equal square boxes in the middle of an image of 1000 x 1000."""
    low = 500 - size / 2
    return Detections2D(
        boxes=np.tile([low, low, low + size, low + size], (COUNT, 1)),
        scores=np.ones(COUNT),
        labels=("chair",) * COUNT,
        attributes={
            "track_id": np.arange(COUNT),
            "occluded": np.full(COUNT, hidden),
            "truncated": np.zeros(COUNT),
        },
    )


def _simulate(truth: Detections2D, name: str) -> tuple[Detections2D, Detections2D]:
    """Right boxes and false ones."""
    found = simulate_detector(truth, 1000, 1000, PROFILES[name], WORDS, np.random.default_rng(0))
    real = found.attributes["track_id"] >= 0
    return found[real], found[~real]


@pytest.mark.parametrize("name", ["good", "weak"])
@pytest.mark.parametrize("size, hidden", [(8, 0.0), (40, 0.0), (200, 0.0), (200, 0.8)])
def test_misses_are_as_frequent_as_stated(name: str, size: float, hidden: float) -> None:
    p = PROFILES[name]
    expected = 1 - (1 - p.miss) * (1 - p.miss_small * np.exp(-size / p.small)) * (
        1 - p.miss_hidden * hidden**2
    )
    found, _ = _simulate(_truth(size, hidden), name)
    sigma = np.sqrt(expected * (1 - expected) / COUNT)
    assert abs(1 - len(found) / COUNT - expected) < 4 * sigma


@pytest.mark.parametrize("name", ["good", "weak"])
def test_edges_labels_and_scores_are_as_wrong_as_stated(name: str) -> None:
    profile = PROFILES[name]
    found, _ = _simulate(_truth(200), name)
    off = (found.boxes - [400, 400, 600, 600]) / 200
    assert off.std() == pytest.approx(profile.jitter, rel=0.05)
    assert abs(off.mean()) < 0.005
    wrong = np.array([label != "chair" for label in found.labels])
    assert wrong.mean() == pytest.approx(profile.confused, rel=0.2)
    similar = np.mean([label in ("armchair", "stool") for label in np.array(found.labels)[wrong]])
    assert 0.6 < similar < 0.8
    assert found.scores[~wrong].mean() == pytest.approx(profile.score, abs=0.02)
    assert found.scores[wrong].mean() < found.scores[~wrong].mean()


def test_false_boxes_are_as_many_as_stated() -> None:
    profile, rng = PROFILES["weak"], np.random.default_rng(1)
    counts = []
    for _ in range(800):
        found = simulate_detector(Detections2D.empty(), 320, 240, profile, WORDS, rng)
        assert (found.boxes >= 0).all()
        assert (found.boxes <= [320, 240, 320, 240]).all()
        counts.append(len(found))
    assert np.mean(counts) == pytest.approx(profile.false_boxes, abs=4 * np.sqrt(profile.false_boxes / 800))


def test_a_perfect_profile_changes_nothing() -> None:
    found, false = _simulate(_truth(40), "perfect")
    assert len(false) == 0
    np.testing.assert_array_equal(found.boxes, _truth(40).boxes)
    assert found.labels == _truth(40).labels


def test_masks_follow_their_boxes() -> None:
    scan = open_scan("procedural", "room", frames=1, seed=2, detector="weak")
    truth, found = scan.ground_truth(0).detections[0], scan.detections(0)[0]
    again = open_scan("procedural", "room", frames=1, seed=2, detector="weak").detections(0)[0]
    np.testing.assert_array_equal(found.boxes, again.boxes)
    np.testing.assert_array_equal(found.masks, again.masks)
    for box, mask in zip(found.boxes, found.masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask.any()
        assert columns[0] >= box[0] - 1
        assert columns[-1] <= box[2] + 1
        assert rows[0] >= box[1] - 1
        assert rows[-1] <= box[3] + 1
    for box, track in zip(found.boxes, found.attributes["track_id"], strict=True):
        if track >= 0:
            original = truth.boxes[truth.attributes["track_id"] == track]
            assert box_iou_2d(box[None], original)[0, 0] > 0.4


def test_unknown_profile_is_refused() -> None:
    with pytest.raises(InputError, match="perfect, good, weak"):
        get_profile("psychic")
