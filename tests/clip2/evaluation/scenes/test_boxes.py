"""Scores of boxes: average precision by distance ignores names."""

from __future__ import annotations

import numpy as np

from clip2.evaluation.scenes.boxes import BoxScores
from clip2.evaluation.scenes.objects import SceneObjects


def test_precision_by_distance_whatever_the_names() -> None:
    near, far = [[10.0, 0, 0, 4, 2, 2, 0]], [[40.0, 0, 0, 4, 2, 2, 0]]
    truth = SceneObjects(np.array(near + far), ("car", "van"))
    # The far box is a meter off: IoU 0.6. A box where nothing is counts at its own distance.
    guess = SceneObjects(
        np.array([near[0], [41.0, 0, 0, 4, 2, 2, 0], [20.0, 9, 0, 4, 2, 2, 0]]), ("", "tree", ""), np.ones(3)
    )
    scores = BoxScores()
    scores.add(truth, guess)
    bands = scores.to_json()["per_range"]
    assert {band: figures["ap_50"] for band, figures in bands.items()} == {
        "0-15 m": 1.0, "15-30 m": None, "30-45 m": 1.0, "45 m on": None
    }  # fmt: skip
    assert bands["30-45 m"]["ap_70"] == 0
