import numpy as np
import pytest
from support.box_world import sweep
from support.recognition_stand_ins import tiny_bank, tiny_model

import clip2
from clip2.mapping import MapConfig
from data_prep.errors import BadFrameError, InputError
from data_prep.geometry import rigid
from data_prep.scans import Frame

CRATE, POST, SCREEN = ((4, 0, 0.5), (1, 1, 1)), ((0, 5, 0.75), (0.4, 0.4, 1.5)), ((2, 0, 1), (0.2, 4, 2))


@pytest.fixture
def empty_map():
    return clip2.ObjectMap(tiny_model(tiny_bank()))


def take(object_map, boxes, times, **place):
    """The updates of a still world."""
    return [object_map.update(*sweep(boxes, seconds, **place)) for seconds in times]


def confirmed(object_map):
    return sorted(id for id, one in object_map.objects.items() if one.state == "confirmed")


def test_an_object_is_confirmed_in_its_third_frame_and_keeps_its_id(empty_map):
    updates = take(empty_map, {0: CRATE, 1: POST}, np.arange(6) / 10)
    assert [update.new for update in updates] == [(), (), (0, 1), (), (), ()]
    assert all(update.track_ids.tolist() == [0, 1] for update in updates)
    assert len(empty_map) == 2


def test_boxes_of_still_objects_fit_what_was_seen_from_several_sides(empty_map):
    for step, angle in enumerate(np.linspace(0, 2 * np.pi, 12, endpoint=False)):
        eye = (4 + 3 * np.cos(angle), 3 * np.sin(angle), 1.2)
        empty_map.update(*sweep({0: CRATE}, step / 10, eye))
    (one,) = empty_map.objects.values()
    assert np.abs(one.box[:6] - [4, 0, 0.5, 1, 1, 1]).max() < 0.06
    assert len(one.cloud) <= MapConfig().max_points


def test_an_object_that_was_taken_away_is_lost_and_says_so(empty_map):
    take(empty_map, {0: CRATE, 1: POST}, np.arange(5) / 10)
    updates = take(empty_map, {1: POST}, 0.5 + np.arange(5) / 10)
    assert [id for update in updates for id in update.lost] == [0]
    assert confirmed(empty_map) == [1]


def test_an_object_behind_something_stays_and_has_its_id_when_it_comes_back(empty_map):
    take(empty_map, {0: CRATE}, np.arange(4) / 10)
    take(empty_map, {0: CRATE, 7: SCREEN}, 0.4 + np.arange(40) / 10)
    assert 0 in confirmed(empty_map)
    (update,) = take(empty_map, {0: CRATE}, [4.5])
    assert 0 in update.track_ids


def test_a_moving_object_keeps_its_id_and_its_cloud_does_not_smear(empty_map):
    for step in range(20):
        center = (4.0, -4 + 0.4 * step, 0.5)
        update = empty_map.update(*sweep({0: (center, (1, 1, 1)), 1: POST}, step / 10))
        assert update.track_ids.tolist() == [0, 1]
    mover, still = empty_map.objects[0], empty_map.objects[1]
    assert mover.moving
    assert not still.moving
    assert np.abs(mover.motion.velocity - [0, 4, 0]).max() < 0.7
    assert np.ptp(mover.cloud, axis=0).max() < 1.2
    assert np.abs(mover.box[:2] - center[:2]).max() < 0.6


def test_only_new_or_changed_objects_are_encoded(empty_map, monkeypatch):
    encoded = []
    describe = empty_map.model.describe
    monkeypatch.setattr(
        empty_map.model,
        "describe",
        lambda clouds, *rest: encoded.append(len(clouds)) or describe(clouds, *rest),
    )
    take(empty_map, {0: CRATE, 1: POST}, np.arange(10) / 10)
    assert encoded == [2]
    take(empty_map, {0: CRATE, 1: POST}, [1.0], eye=(4.0, 3.0, 1.2))
    assert sum(encoded) > 2


def test_clutter_that_is_seen_once_is_forgotten(empty_map):
    take(empty_map, {0: CRATE, 5: ((0, -3, 0.2), (0.4, 0.4, 0.4))}, [0.0])
    take(empty_map, {0: CRATE}, 0.1 + np.arange(5) / 10)
    assert list(empty_map.objects) == [0]


def test_time_that_runs_backwards_is_refused_and_changes_nothing(empty_map):
    take(empty_map, {0: CRATE}, [1.0, 1.1])
    with pytest.raises(BadFrameError, match=r"timestamp: is 0\.600 s before"):
        take(empty_map, {0: CRATE}, [0.5])
    assert empty_map.frames == 2
    take(empty_map, {0: CRATE}, [1.2])
    assert confirmed(empty_map) == [0]


def test_a_pose_that_jumps_costs_one_frame(empty_map):
    take(empty_map, {0: CRATE}, [0.0, 0.1, 0.2])
    T = rigid(translation=(50, 0, 0))
    with pytest.raises(BadFrameError, match=r"jumps 50\.0 m in 0\.10 s"):
        take(empty_map, {0: CRATE}, [0.3], T=T)
    take(empty_map, {0: CRATE}, [0.4], T=T)
    assert empty_map.frames == 4


def test_a_cloud_in_millimeters_is_said_with_the_fix(empty_map):
    room = np.random.default_rng(0).uniform(0, [5000, 4000, 2600], (500, 3))
    empty_map.update(Frame.build("0", room))
    (note,) = empty_map.notes
    assert "it looks like millimeters. If so, scale the points to meters" in note


@pytest.mark.parametrize("points", [np.ones((1, 3)), np.ones((5, 3))])
def test_a_frame_of_one_place_shows_nothing_and_the_map_goes_on(empty_map, points):
    take(empty_map, {0: CRATE}, np.arange(3) / 10)
    assert len(empty_map.update(Frame.build("one", points, timestamp=0.3))) == 0
    take(empty_map, {0: CRATE}, [0.4])
    assert confirmed(empty_map) == [0]


def test_after_a_correction_the_same_object_is_one_again(empty_map):
    take(empty_map, {0: CRATE, 1: POST}, np.arange(4) / 10)
    drift = rigid(translation=(2.0, 1.0, 0))
    take(empty_map, {0: CRATE, 1: POST}, 5 + np.arange(4) / 10, T=drift)
    assert len(empty_map.objects) == 4
    empty_map.correct(np.stack([np.eye(4), np.linalg.inv(drift)]), [0.15, 5.15])
    (update,) = take(empty_map, {0: CRATE, 1: POST}, [6.0])
    assert update.track_ids.tolist() == [0, 1]
    assert np.abs(empty_map.objects[0].box[:2] - [3.6, 0]).max() < 0.5


def test_labels_of_a_query_can_change_at_any_moment(empty_map):
    take(empty_map, {0: CRATE, 1: POST}, np.arange(4) / 10)
    assert set(empty_map.query(["chair", "box"]).labels) <= {"chair", "box"}
    assert set(empty_map.query("table").labels) == {"table"}
    ids, scores = empty_map.scores("chair, box, table")
    assert ids.tolist() == [0, 1]
    assert np.allclose(scores.sum(axis=1), 1)
    assert len(empty_map.query("chair, box", threshold=1.0)) == 0


def test_a_detectors_labels_outweigh_the_embedding_after_a_few_looks(empty_map):
    for step in range(8):
        frame, found = sweep({0: CRATE}, step / 10)
        empty_map.update(frame, clip2.Instances3D(**{**vars(found), "labels": ("Traffic_Light",)}))
    result = empty_map.query("chair, table, box, traffic light")
    assert result.labels == ("traffic light",)
    assert result.scores[0] > 8 / 9


def test_a_box_of_which_one_side_was_seen_is_completed_to_the_size_of_its_label(empty_map):
    chair = ((3, 0, 0.45), (0.55, 0.52, 0.9))
    for step in range(4):
        frame, found = sweep({0: chair}, step / 10, eye=(0.0, 0.0, 0.4))  # sees the front and nothing else
        empty_map.update(frame, clip2.Instances3D(**{**vars(found), "labels": ("chair",)}))
    visible, whole = (empty_map.query("chair, table", whole=whole) for whole in (False, True))
    assert visible.boxes[0, 3:5].min() < 0.1
    assert np.abs(np.sort(whole.boxes[0, 3:5]) - [0.52, 0.55]).max() < 0.1
    assert whole.boxes[0, 0] == pytest.approx(3, abs=0.1)
    assert np.array_equal(whole.visible_boxes, visible.boxes)
    # A label without a usual size changes nothing.
    assert np.array_equal(empty_map.query("traffic light, box", whole=True).boxes, visible.boxes)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda m: m.query(""), "labels: is empty"),
        (lambda m: m.query("chair", threshold=2), "threshold: is 2"),
        (lambda m: m.query("zebra"), "zebra"),
        (lambda m: m.correct(np.eye(3)), "T_corrections"),
        (lambda m: clip2.ObjectMap("mini-points"), "model: is a str"),
    ],
)
def test_bad_input_is_one_line(empty_map, wrong, match):
    with pytest.raises(InputError, match=match):
        wrong(empty_map)
