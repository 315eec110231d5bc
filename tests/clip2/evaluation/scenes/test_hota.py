"""HOTA against TrackEval's figures and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from clip2.evaluation.scenes.hota import hota
from data_prep.errors import InputError


def drawn(seed: int) -> list[tuple[list[int], list[int], np.ndarray]]:
    """Four objects over twenty frames, and a tracker that misses, invents and switches."""
    rng = np.random.default_rng(seed)
    names = {true: true for true in range(4)}
    frames = []
    for _ in range(20):
        true = [t for t in range(4) if rng.uniform() < 0.9]
        for t in range(4):
            if rng.uniform() < 0.1:
                names[t] = int(rng.integers(100, 1000))
        shown = [t for t in range(4) if rng.uniform() < 0.8]
        similarity = [[rng.uniform(0.3, 1) if a == b else rng.uniform(0, 0.4) for b in shown] for a in true]
        shape = len(true), len(shown)
        frames.append((true, [names[t] for t in shown], np.array(similarity).reshape(shape)))
    return frames


# TrackEval 1.3.0, HOTA().eval_sequence of the same frames: means of HOTA, DetA and AssA.
@pytest.mark.parametrize(
    ("seed", "theirs"),
    [
        (0, [0.3388955719324838, 0.4633317699500921, 0.2504674002252247]),
        (1, [0.32812922092683466, 0.3976496187340442, 0.2719744445522247]),
        (3, [0.4624316904381698, 0.4953734266041077, 0.4330469298407224]),
    ],
)
def test_figures_are_those_of_trackeval(seed: int, theirs: list[float]) -> None:
    assert [*hota(drawn(seed)).values()] == pytest.approx(theirs, abs=1e-12)


def test_a_missed_half_and_a_loose_box_by_hand() -> None:
    # Found in one of two frames: DetA = 1/2, and AssA = 1/2 as its own missed frame counts.
    half = [([7], [0], [[1.0]]), ([7], [], [])]
    assert hota(half) == pytest.approx({"hota": 0.5, "det_a": 0.5, "ass_a": 0.5})
    # A box with an IoU of 0.5 is right at 10 of the 19 similarities.
    assert hota([([7], [0], [[0.5]])])["hota"] == pytest.approx(10 / 19)


def test_similarities_must_fit_the_ids() -> None:
    with pytest.raises(InputError, match=r"has shape \(1, 2\) for 1 objects and 1 tracks"):
        hota([([7], [0], [[1.0, 0.5]])])
    with pytest.raises(InputError, match="hold no labeled object"):
        hota([([], [3], [])])
