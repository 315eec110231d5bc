"""Calibrated scores: what a fit recovers, what a query returns, and that they travel with the checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
from support.recognition_stand_ins import three_boxes_on_a_floor, tiny_bank, tiny_model

import clip2
from clip2.evaluation.open_set import reliability
from clip2.recognition import Recognizer
from clip2.score_calibration import LogisticMap, ScoreCalibration, object_scores
from clip2.training import calibration
from data_prep.triplets import Manifest

MODEST = LogisticMap(bias=-1.0, likely=0.5, objectness=0.5, count=100)


def test_a_fit_makes_probabilities_of_overconfident_evidence() -> None:
    random = np.random.default_rng(0)
    likely, objectness = random.random((2, 4000))
    right = random.random(4000) < 0.6 * likely * objectness
    half = np.arange(4000) < 2000
    fitted = LogisticMap.fit(likely[half], objectness[half], right[half])
    scores = fitted(likely[~half], objectness[~half])
    assert reliability(scores, right[~half]).ece < 0.04
    assert reliability(likely[~half], right[~half]).ece > 0.3


def test_a_map_rises_in_both_and_unknown_objects_stay_at_0() -> None:
    # Names that are more often wrong the surer they are do not turn the order around.
    fitted = LogisticMap.fit(np.linspace(0.1, 0.9, 100), np.full(100, 0.5), np.arange(100) < 50)
    assert fitted.likely == 0
    steps = np.linspace(0.01, 1, 50)
    assert (np.diff(MODEST(steps, np.full(50, 0.7))) >= 0).all()
    assert (np.diff(MODEST(np.full(50, 0.7), steps)) >= 0).all()
    assert MODEST(np.zeros(2), np.ones(2)).tolist() == [0, 0]


def test_names_that_are_all_right_do_not_break_a_fit() -> None:
    fitted = LogisticMap.fit(np.full(40, 0.9), np.ones(40), np.ones(40, bool))
    assert fitted(np.array([0.9]), np.array([1.0]))[0] > 0.95


def test_lifted_objects_have_a_map_of_their_own() -> None:
    likely, objectness = np.full(2, 0.8, np.float32), np.array([0.6, 1.0], np.float32)
    assert object_scores(likely, objectness, None) == pytest.approx([0.48, 0.8])
    one = object_scores(likely, objectness, ScoreCalibration(proposed=MODEST))
    assert one == pytest.approx([MODEST(likely, objectness)[0], 0.8])
    other = object_scores(likely, objectness, ScoreCalibration(lifted=MODEST))
    assert other == pytest.approx([0.48, MODEST(likely, objectness)[1]])


def test_a_query_of_a_calibrated_checkpoint_returns_the_calibrated_scores(tmp_path) -> None:
    model = tiny_model(tiny_bank())
    points = three_boxes_on_a_floor(0.03)
    plain = Recognizer(model).set_scan(points).query(["chair", "table"])
    model.config = model.config.model_copy(update={"calibration": ScoreCalibration(proposed=MODEST)})
    clip2.save(model, tmp_path)
    recognizer = Recognizer(clip2.load(tmp_path)).set_scan(points)
    result = recognizer.query(["chair", "table"])
    assert len(result) == len(plain) > 0
    _, likely = recognizer.likeliest(["chair", "table"])
    scores = MODEST(likely, recognizer.unnamed().objectness)
    assert sorted(result.scores) == pytest.approx(sorted(scores[recognizer.settle(scores)]), abs=1e-6)


def test_scenes_of_the_synthetic_world_calibrate_a_model(monkeypatch) -> None:
    monkeypatch.setattr(calibration, "FEWEST", 1)
    scan = {"frames": 3, "image_size": [160, 120], "detector": "good"}
    manifest = Manifest(
        source="procedural",
        root="anywhere/tabletop",
        options={"scan": scan, "mining": {"labels": {"tree": ["chair"]}}},
    )
    fitted, metrics = calibration.calibrate(tiny_model(tiny_bank()), tiny_bank(), [manifest], 2)
    assert fitted.proposed is not None
    # An untrained model is hardly ever right, and its scores say so.
    odd = fitted.proposed(np.array([0.5]), np.array([0.5]))
    assert 0 < odd[0] < 0.3
    assert metrics["proposed_ece"] < metrics["proposed_ece_of_product"]
