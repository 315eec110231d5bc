import numpy as np
import pytest

from clip2.recognition.proposals.scorer import Scorer
from clip2.world.proposals.clouds import bare_boxes
from clip2.world.proposals.fit import calibrated, fit_scorer
from clip2.world.proposals.room import train
from data_prep import InputError


def noisy_threshold(count, seed=0):
    """Rows of two features; true with a chance that follows the first one."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 2))
    return rows, rng.random(count) < 1 / (1 + np.exp(-3 * rows[:, 0]))


def test_outputs_are_the_chances_they_say():
    rows, true = noisy_threshold(4000)
    scorer = fit_scorer(("a", "b"), rows, true, epochs=10)
    fresh, truth = noisy_threshold(4000, 1)
    said = scorer(fresh)
    for low in (0.0, 0.25, 0.5, 0.75):
        some = (said >= low) & (said < low + 0.25)
        assert said[some].mean() == pytest.approx(truth[some].mean(), abs=0.06)


def test_the_same_seed_gives_the_same_scorer():
    rows, true = noisy_threshold(500)
    first, second = (fit_scorer(("a", "b"), rows, true, epochs=2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first(rows), second(rows))


def test_calibration_undoes_what_was_overrated_and_keeps_the_order():
    rows, true = noisy_threshold(4000)
    scorer = fit_scorer(("a", "b"), rows, true, epochs=10)
    rare = true & (np.random.default_rng(2).random(4000) < 0.3)
    mended = calibrated(scorer, scorer(rows), rare)
    assert scorer(rows).mean() > 2 * rare.mean()
    assert mended(rows).mean() == pytest.approx(rare.mean(), abs=0.02)
    np.testing.assert_array_equal(np.argsort(scorer(rows)[:50]), np.argsort(mended(rows)[:50]))


def test_a_file_is_read_back_and_other_features_are_refused(tmp_path):
    rows, true = noisy_threshold(200)
    scorer = fit_scorer(("a", "b"), rows, np.column_stack([true, ~true]), hidden=(8,), epochs=1)
    scorer.save(tmp_path / "s.safetensors")
    np.testing.assert_array_equal(Scorer.load(tmp_path / "s.safetensors", ("a", "b"))(rows), scorer(rows))
    with pytest.raises(InputError, match="trained on other features"):
        Scorer.load(tmp_path / "s.safetensors", ("b", "a"))


def test_rooms_are_learned_from_clouds_with_truth():
    random = np.random.default_rng(0)
    told = []
    border, node = train([bare_boxes(random) for _ in range(8)], report=told.append)
    assert "chosen regions of other clouds" in told[-1]
    assert border.layers[-1][1].shape == (1,)
    assert node.layers[-1][1].shape == (3,)
