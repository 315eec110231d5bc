"""Tracking scores against motmetrics, scikit-learn, and by hand."""

from __future__ import annotations

import motmetrics
import numpy as np
import pytest
from sklearn.metrics.cluster import contingency_matrix

from clip2.evaluation.scenes.objects import SceneObjects
from clip2.evaluation.scenes.tracking import NOBODY, TrackedDetection, matched_tracks, score_tracks
from data_prep.errors import InputError


def drawn(seed: int) -> list[list[TrackedDetection]]:
    """Six objects over 30 frames, some missed, tracked by a tracker that errs."""
    rng = np.random.default_rng(seed)
    names = {true: true for true in range(6)}
    frames = []
    for _ in range(30):
        seen = []
        for true in range(6):
            if rng.uniform() < 0.1:
                names[true] = int(rng.integers(100, 1000))  # a new track from here on
            if rng.uniform() < 0.8:
                seen.append(TrackedDetection(names[true], true))
        frames.append(seen)
    return frames


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_idf1_and_switches_are_those_of_motmetrics(seed: int) -> None:
    frames = drawn(seed)
    events = motmetrics.MOTAccumulator(auto_id=True)
    for seen in frames:
        distance = np.full((6, len(seen)), np.nan)  # labeled objects are there in every frame
        for column, one in enumerate(seen):
            distance[one.true, column] = 0
        events.update(list(range(6)), [one.track for one in seen], distance)
    metrics = ["idf1", "num_switches", "num_objects"]
    theirs = motmetrics.metrics.create().compute(events, metrics=metrics, name="0").loc["0"]
    ours = score_tracks(frames, objects=6 * 30)
    assert ours["idf1"] == pytest.approx(theirs["idf1"])
    assert ours["switches"] == theirs["num_switches"]
    assert theirs["num_objects"] == 180


def test_purity_is_that_of_scikit_learns_contingency_matrix() -> None:
    flat = [one for frame in drawn(3) for one in frame]
    table = contingency_matrix([one.true for one in flat], [one.track for one in flat])
    ours = score_tracks([flat])
    assert ours["purity"] == pytest.approx(table.max(axis=0).sum() / table.sum())
    assert ours["completeness"] == pytest.approx((table.max(axis=1) / table.sum(axis=1)).mean())


def test_a_track_votes_for_its_label() -> None:
    said = ["car", "bus", "car", "bus"]
    frames = [
        [TrackedDetection(0, 7, label, score)]
        for label, score in zip(said, [0.9, 0.3, 0.2, 0.4], strict=True)
    ]
    found = score_tracks(frames, {7: "car"})
    assert found["labels_before"] == 0.5
    assert found["labels"] == 1.0


def test_boxes_show_the_objects_they_overlap_and_strays_show_nobody() -> None:
    car = np.array([[10.0, 0, 0, 4, 2, 2, 0]])
    truth = SceneObjects(car, ("car",), tracks=np.array([7]))
    guess = SceneObjects(
        np.concatenate([car + [1, 0, 0, 0, 0, 0, 0], car + [50, 0, 0, 0, 0, 0, 0]]),
        ("car", "car"),
        tracks=np.array([3, 4]),
    )
    ((first, second),) = matched_tracks([guess], [truth])
    assert (first.track, first.true, second.true) == (3, 7, NOBODY)
    with pytest.raises(InputError, match="have no track_id"):
        matched_tracks([SceneObjects(car, ("car",))], [truth])
    with pytest.raises(InputError, match="no detection shows a labeled object"):
        score_tracks([[second]])
