"""Sizes of training objects, and what they say about a label."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.recognition_stand_ins import THREE_BOXES, three_boxes_on_a_floor, tiny_bank, tiny_model

import clip2
from clip2.recognition import Recognizer
from clip2.size_prior import SizeRange, fit_size_ranges, size_plausibility, visible_sizes

CAR = SizeRange(count=50, low=(1.2, 0.6, 0.6), high=(4.8, 2.0, 1.8))


def test_ranges_leave_out_strays_and_labels_of_few_objects() -> None:
    random = np.random.default_rng(0)
    cars = random.normal((4.2, 1.8, 1.5), 0.1, (200, 3))
    cars[:4] = 40.0  # wrongly lifted
    ranges = fit_size_ranges(np.vstack([cars, cars[:7]]), ["Car"] * 200 + ["tram"] * 7)
    assert set(ranges) == {"car"}
    assert ranges["car"].count == 200
    assert 4.2 < ranges["car"].high[0] < 4.6
    assert 3.8 < ranges["car"].low[0] < 4.2


def test_a_hedge_of_18_m_is_no_car_and_a_half_seen_car_still_is() -> None:
    sizes = np.array([[4.4, 1.8, 1.5], [18.0, 1.2, 1.6], [0.9, 0.5, 0.5], [4.9, 2.05, 1.85]])
    plausible = size_plausibility({"car": CAR}, sizes, ["car", "hedge"])
    assert plausible[0, 0] == 1
    assert plausible[1, 0] < 1e-6
    assert plausible[2, 0] > 0.5
    assert plausible[3, 0] > 0.8
    assert (plausible[:, 1] == 1).all()  # never trained: any size


def test_the_size_of_a_cloud_is_of_its_box_whatever_its_yaw() -> None:
    grid = np.stack(np.meshgrid(np.arange(0, 4.01, 0.1), np.arange(0, 2.01, 0.1), [0, 1.5]), axis=-1).reshape(
        -1, 3
    )
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    assert visible_sizes([grid @ turn.T + [900, 0, 0]])[0] == pytest.approx((4, 2, 1.5), abs=0.1)


@pytest.fixture(scope="module")
def points():
    return three_boxes_on_a_floor(0.02)


def _recognizer(points, **sizes: SizeRange) -> Recognizer:
    model = tiny_model(tiny_bank())
    model.config = model.config.model_copy(update={"sizes": sizes})
    return Recognizer(model).set_scan((points, None))


def test_a_label_of_another_size_loses_its_probability_and_nobody_wins_it(points) -> None:
    free, tied = (
        _recognizer(points),
        _recognizer(points, chair=SizeRange(count=9, low=(9,) * 3, high=(10,) * 3)),
    )
    before, after = free.query("chair"), tied.query("chair")
    assert before.scores.min() > 0.3
    assert after.scores.max() < 1e-3
    both = free.query(["chair", "table"])
    tables = np.array(both.labels) == "table"
    again = tied.query(["chair", "table"])
    assert set(again.labels) == {"table"}
    assert sorted(again.scores)[-tables.sum() :] == pytest.approx(sorted(both.scores[tables]), abs=1e-5)


def test_background_that_was_trained_competes_unasked_and_is_stated(points) -> None:
    small, large = (SizeRange(count=9, low=(low,) * 3, high=(high,) * 3) for low, high in ((0.1, 9), (9, 10)))
    tied = _recognizer(points, floor=small, chair=large)
    asked, alone = tied.query(["chair"]), tied.query(["chair"], background=())
    assert len(alone) == len(THREE_BOXES)
    assert len(asked) == len(tied.query(["chair"], background=["floor"])) == 0
    stated = set(asked.background["floor"].tolist())
    assert stated >= set(np.concatenate(alone.indices).tolist())
    assert len(tied.query(["chair", "floor"])) == len(
        THREE_BOXES
    )  # asked for, it is an answer like any other


def test_sizes_travel_with_the_checkpoint_and_old_ones_have_none(tmp_path) -> None:
    model = tiny_model(tiny_bank())
    model.config = model.config.model_copy(update={"sizes": {"car": CAR}})
    clip2.save(model, tmp_path)
    assert clip2.load(tmp_path).config.sizes == {"car": CAR}
    config = json.loads((tmp_path / "config.json").read_text())
    del config["model"]["sizes"]  # as releases before wrote it
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert clip2.load(tmp_path).config.sizes == {}
