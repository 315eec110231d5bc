from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.training_shapes import surface

import clip2
from clip2.training import TrainConfig, TrainingSet, train
from clip2.training.outliers import make_outliers

ROWS = np.arange(120)


@pytest.fixture(scope="module")
def made(shapes: TrainingSet) -> dict[str, list]:
    return make_outliers(shapes, ROWS, 20)


def test_every_kind_is_made_as_often_as_asked_and_the_same_again(shapes: TrainingSet, made: dict) -> None:
    assert {kind: len(clouds) for kind, clouds in made.items()} == dict.fromkeys(made, 20)
    again = make_outliers(shapes, ROWS, 20)
    for kind, clouds in made.items():
        for (points, colors), (others, tints) in zip(clouds, again[kind], strict=True):
            np.testing.assert_array_equal(points, others)
            assert (colors is None) == (tints is None)
            assert colors is None or colors.shape == points.shape


def test_a_fragment_is_a_small_compact_part_of_one_object(shapes: TrainingSet, made: dict) -> None:
    objects = [points - points.mean(axis=0) for points in (shapes.cloud(i)[0] for i in ROWS)]
    for points, _ in made["fragment"]:
        owner = next(cloud for cloud in objects if {*map(bytes, points)} <= {*map(bytes, cloud)})
        assert len(points) <= max(16, round(0.2 * len(owner)))
        assert np.ptp(points, axis=0).prod() < np.ptp(owner, axis=0).prod()


def test_a_mixture_joins_two_labels(shapes: TrainingSet, made: dict) -> None:
    rows = {}
    for i in ROWS:
        points = shapes.cloud(i)[0]
        rows |= dict.fromkeys(map(bytes, points - points.mean(axis=0)), int(shapes.own_texts[i, 0]))
    for points, _ in made["mixture"]:
        assert len({rows[bytes(point)] for point in points}) == 2


def test_a_run_with_held_out_frames_ends_with_a_detector(
    shapes: TrainingSet, tiny: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    result = train(tiny("data.hold_out=0.4", "loop.steps=80"), tmp_path, data=shapes)
    assert result.metrics["held_out/ood_auroc"] > 0.8
    model = clip2.load(tmp_path)
    random = np.random.default_rng(5)
    fresh = [surface(i % 3, random) for i in range(60)]
    noise = [random.normal(size=(150, 3)).astype(np.float32) for _ in range(60)]
    named, rejected = (
        model.ood_detector.is_in_distribution(model.describe(clouds).features).mean()
        for clouds in (fresh, noise)
    )
    assert named > 0.8
    assert rejected < 0.3


def test_a_run_that_holds_out_nothing_has_no_detector(
    shapes: TrainingSet, tiny: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    train(tiny("loop.steps=2"), tmp_path, data=shapes)
    assert clip2.load(tmp_path).ood_detector is None
