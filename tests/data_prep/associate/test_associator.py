"""Association of scenes worked out by hand."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest
from support.association_stand_ins import BLUE, GREEN, RED, follow, members, observed, places_of, surface

from data_prep.associate import AssociationConfig, Associator, Observation
from data_prep.config import parse_config
from data_prep.errors import InputError
from data_prep.geometry import rigid
from data_prep.triplets import MiningConfig, Triplet
from data_prep.triplets.members import decode_triplet, encode_triplet

CHAIR = (0.5, 0.5, 0.9)
CAR = (4.2, 1.8, 1.5)
PERSON = (0.5, 0.6, 1.75)


def moving_camera(frame: int) -> np.ndarray:
    """A camera that walks along x: poses are known."""
    return rigid(translation=(0.1 * frame, 0, 0))


def test_what_stands_still_is_one_object_with_a_united_cloud() -> None:
    frames = [
        [observed("a", i, surface((2, 0, 0.5), CHAIR, i), T_world_points=moving_camera(i))] for i in range(6)
    ]
    (chair,) = follow(frames)
    assert chair.association is not None
    assert not chair.association.moving
    assert len(chair.association.places) == 6
    assert len(chair.association.views) == 4
    assert len(chair.points) > 600  # of 1,800, thinned
    np.testing.assert_allclose(np.ptp(chair.points, axis=0), CHAIR, atol=0.02)
    np.testing.assert_allclose(chair.center, (2, 0, 0.5), atol=0.05)


def test_two_equal_chairs_side_by_side_stay_two() -> None:
    frames = []
    for i in range(8):
        left, right = (surface((2, y, 0.5), CHAIR, 2 * i + k) for k, y in enumerate((0.0, 0.6)))
        seen = [
            observed("left", i, left, detection=0, T_world_points=moving_camera(i)),
            observed("right", i, right, detection=1, T_world_points=moving_camera(i)),
        ]
        # The left one is seen alone for a while, then the right one alone.
        frames.append(seen[:1] if i in (2, 3) else seen[1:] if i in (4, 5) else seen)
    assert sorted(members(follow(frames), frames)) == [("left",), ("right",)]


def test_a_chair_first_seen_when_its_twin_is_hidden_is_a_new_one() -> None:
    frames = [[observed("left", i, surface((2, 0.0, 0.5), CHAIR, i))] for i in range(3)]
    frames += [[observed("right", i, surface((2, 0.6, 0.5), CHAIR, i))] for i in range(3, 6)]
    assert members(follow(frames), frames) == [("left",), ("right",)]


def test_people_who_cross_keep_their_identity() -> None:
    frames = []
    for i in range(15):  # 1.4 m/s towards each other, passing at 0.8 m at frame 7, equal in color
        x = 1.4 * (i - 7) / 10
        a, b = surface((5 + x, 0.4, 0.9), PERSON, i), surface((5 - x, -0.4, 0.9), PERSON, 100 + i)
        frames.append(
            [
                observed("a", i, a, label="person", detection=0),
                observed("b", i, b, label="person", detection=1),
            ]
        )
    assert members(follow(frames), frames) == [("a",), ("b",)]


def test_a_car_that_drives_is_one_object_with_the_cloud_of_one_view() -> None:
    frames = [  # 12 m/s at 5 Hz: 2.4 m between frames
        [
            observed(
                "car", i, surface((5 + 2.4 * i, 3, 0.8), CAR, i), label="car", fps=5, colored=False,
                score=0.9 if i == 3 else 0.5,
            )
        ]
        for i in range(8)
    ]  # fmt: skip
    (car,) = follow(frames)
    assert car.association is not None
    assert car.association.moving
    assert car.frame == "f0003"  # the view with the highest score
    np.testing.assert_array_equal(car.points, frames[3][0].points)
    assert np.ptp(car.points[:, 0]) < 4.3
    assert [len(view.points) for view in car.association.views] == [300] * 4


def test_the_hidden_are_found_again_where_they_must_have_gone() -> None:
    frames = [
        [] if 4 <= i <= 8 else [observed("a", i, surface((3 + 0.14 * i, 0, 0.9), PERSON, i), label="person")]
        for i in range(14)
    ]
    assert members(follow(frames), frames) == [("a",)]


def test_after_a_long_absence_it_is_another_object_unless_the_place_is_known() -> None:
    def visit(posed: bool) -> list[list[Observation]]:
        return [
            []
            if 3 <= i < 40
            else [
                observed(
                    "a", i, surface((2, 0, 0.5), CHAIR, i), T_world_points=moving_camera(i if posed else 0)
                )
            ]
            for i in range(43)
        ]

    assert len(follow(visit(posed=False))) == 2
    assert len(follow(visit(posed=True))) == 1


def test_parked_cars_are_followed_from_a_car_that_does_not_know_its_own_speed() -> None:
    """15 m/s at 5 Hz: what stands comes 3 m nearer per frame, half way to the next parked car."""
    frames = []
    for i in range(6):
        seen = [
            observed(
                name, i, surface((x - 3 * i, -4, 0.8), CAR, 10 * i + k), label="car", color=color, fps=5,
                detection=k, colored=False,
            )
            for k, (name, x, color) in enumerate(
                [("p", 12, GREEN), ("q", 18, GREEN), ("r", 26, GREEN), ("s", 33, GREEN)]
            )
        ]  # fmt: skip
        frames.append(seen)
    assert members(follow(frames), frames) == [("p",), ("q",), ("r",), ("s",)]


def test_a_part_is_a_part_of_the_whole() -> None:
    couch = (2.4, 0.9, 0.8)
    whole = surface((3, 0, 0.4), couch, 0, count=600)
    left = surface((3, 0, 0.4), couch, 1, count=600)
    left = left[left[:, 0] < 2.6]  # the image ends there: a third of it
    frames = [
        [observed("couch", 0, whole, label="couch")],
        [observed("couch", 1, left, label="couch", truncated=0.3)],
    ]
    assert len(follow(frames)) == 1


def test_a_cup_on_a_table_is_not_the_table() -> None:
    frames = []
    for i in range(4):
        table, cup = (
            surface((2, 0, 0.7), (1.2, 0.8, 0.05), i),
            surface((2, 0, 0.77), (0.08, 0.08, 0.1), 50 + i),
        )
        frames.append(
            [
                observed("table", i, table, label="table", detection=0),
                observed("cup", i, cup, label="cup", color=BLUE, detection=1),
            ][i % 2 :]
        )
    assert sorted(set(members(follow(frames), frames))) == [("cup",), ("table",)]


def test_two_cameras_of_one_moment_see_one_object() -> None:
    points = surface((8, 0, 0.8), CAR, 0, count=400)
    left, right = (
        points[points[:, 0] < 9],
        points[points[:, 0] > 7],
    )  # the LiDAR points that each image covers
    frames = [
        [
            observed("car", 0, left, label="car", view=0, truncated=0.3),
            observed("car", 0, right, label="car", view=1, truncated=0.3),
        ]
    ]
    (car,) = follow(frames)
    assert len(car.points) > len(left)
    assert car.association is not None
    assert {view.view_index for view in car.association.views} == {0, 1}


def test_two_detections_of_one_image_are_never_one_object() -> None:
    frames = [
        [
            observed("a", i, surface((2, 0, 0.5), CHAIR, 7), detection=0, box=(0, 0, 9, 9)),
            observed("b", i, surface((2, 0, 0.5), CHAIR, 7), detection=1, box=(0, 0, 9, 8)),
        ]
        for i in range(3)
    ]
    assert len(follow(frames)) == 2


def test_most_of_the_score_decides_the_label() -> None:
    words = [("stool", 0.9), ("chair", 0.5), ("chair", 0.6), ("couch", 0.3)]
    frames = [
        [observed("a", i, surface((2, 0, 0.5), CHAIR, i), label=word, score=score)]
        for i, (word, score) in enumerate(words)
    ]
    (chair,) = follow(frames)
    assert chair.texts == ("chair",)
    assert chair.association is not None
    assert chair.association.votes == pytest.approx({"chair": 1.1, "stool": 0.9, "couch": 0.3})


def test_large_open_sharp_views_come_first() -> None:
    frames = [
        [observed("a", 0, surface((2, 0, 0.5), CHAIR, 0), occluded=0.5)],
        [observed("a", 1, surface((2, 0, 0.5), CHAIR, 1), crop_side=96)],
        [observed("a", 2, surface((2, 0, 0.5), CHAIR, 2), truncated=0.4)],
        [observed("a", 3, surface((2, 0, 0.5), CHAIR, 3))],
    ]
    (chair,) = follow(frames)
    assert chair.association is not None
    assert [view.frame for view in chair.association.views][:2] == ["f0001", "f0003"]
    assert chair.key == frames[1][0].key
    assert chair.crop.shape == (96, 96, 3)


def test_what_is_seen_once_stays_as_it_was() -> None:
    alone = observed("a", 0, surface((2, 0, 0.5), CHAIR, 0))
    (same,) = follow([[alone]])
    assert same is alone


def test_what_is_seen_too_seldom_is_counted() -> None:
    frames = [[observed("a", i, surface((2, 0, 0.5), CHAIR, i), detection=0)] for i in range(3)]
    frames[1].append(observed("ghost", 1, surface((5, 3, 0.5), CHAIR, 9), detection=1))
    associator = Associator(AssociationConfig(min_observations=2))
    assert members(follow(frames, associator), frames) == [("a",)]
    assert associator.take_left_out() == {"seen-too-seldom": 1}
    assert associator.take_left_out() == {}


def test_the_order_of_detections_decides_nothing() -> None:
    frames = []
    for i in range(4):
        frames.append(
            [
                observed(
                    name, i, surface((2 + 0.7 * k, 0.02 * i, 0.5), CHAIR, 10 * i + k), detection=k,
                    box=(40 * k, 0, 40 * k + 30, 50), color=(RED, BLUE, RED)[k],
                )
                for k, name in enumerate("abc")
            ]
        )  # fmt: skip
    expected = [encode_triplet(Triplet.of(one)) for one in follow(frames)]
    for order in permutations(range(3)):
        shuffled = [[frame[k] for k in order] for frame in frames]
        assert [encode_triplet(Triplet.of(one)) for one in follow(shuffled)] == expected


def test_a_clock_that_goes_back_begins_anew() -> None:
    first = [[observed("a", i, surface((2, 0, 0.5), CHAIR, i))] for i in range(5, 8)]
    second = [[observed("b", i, surface((2, 0, 0.5), CHAIR, i))] for i in range(3)]
    assert members(follow(first + second), first + second) == [("a",), ("b",)]


def test_memory_is_bounded() -> None:
    associator = Associator(AssociationConfig(max_open=5, max_observations=10, views=2), max_points=500)
    given = 0
    for i in range(40):
        seen = [
            observed(
                f"t{k}", i, surface((3 * k, 0, 0.5), CHAIR, 100 * i + k, count=200), detection=k,
                T_world_points=moving_camera(i),
            )
            for k in range(7)
        ]  # fmt: skip
        done = associator.push(seen)
        given += len(done)
        assert associator.open <= 5
        for one in done:
            assert len(places_of(one)) <= 10
            assert one.association is None or len(one.association.views) <= 2
            assert len(one.points) <= 500
    assert given > 0


def test_far_from_the_origin_nothing_changes() -> None:
    far = np.array([4e6, 5e5, 100.0])
    frames = [
        [
            observed(
                "a", i, surface(np.array([2, 0, 0.5]) + far, CHAIR, i),
                T_world_points=rigid(translation=far + (0.1 * i, 0, 0)),
            )
        ]
        for i in range(4)
    ]  # fmt: skip
    (chair,) = follow(frames)
    np.testing.assert_allclose(np.ptp(chair.points, axis=0), CHAIR, atol=0.02)


def test_a_similarity_of_ones_own_replaces_colors() -> None:
    asked = []

    def never(a: object, b: object) -> float:
        asked.append((a, b))
        return 0.0

    frames = [[observed("a", i, surface((2, 0, 0.5), CHAIR, i))] for i in range(2)]
    strict = Associator(AssociationConfig(min_score=0.5), similarity=never)
    assert len(follow(frames, strict)) == 2
    assert asked


def test_an_object_survives_a_shard() -> None:
    frames = [[observed("a", i, surface((2, 0, 0.5), CHAIR, i))] for i in range(3)]
    chair = Triplet.of(follow(frames)[0], {"name": "lidar", "gap": 0.3})
    back = decode_triplet(chair.key, encode_triplet(chair), "shard-000000.tar")
    assert back.texts == chair.texts
    assert back.provenance == chair.provenance
    assert len(back.views) == len(chair.views) == 2
    for view, same in zip(chair.views, back.views, strict=True):
        np.testing.assert_array_equal(view.points, same.points)
        np.testing.assert_array_equal(view.colors, same.colors)
        assert view.crop is not None
        assert same.crop is not None
        assert view.crop.shape == same.crop.shape
    assert json.loads(encode_triplet(back)["json"]) == json.loads(encode_triplet(chair)["json"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("views", 0), ("min_score", 1.0), ("max_gap", 0.0), ("segment", 0), ("frame_time", float("nan"))],
)
def test_impossible_settings_are_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"mining: associate.{name}: .* is not possible"):
        parse_config(MiningConfig, {"associate": {name: value}}, source="mining")
