"""Lifter contract: each detection becomes one object or one rejection with a reason."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from data_prep.detect import Detections2D
from data_prep.errors import InputError
from data_prep.geometry import Camera
from data_prep.lift import REASONS, LiftConfig, create_lifter, list_lifters
from data_prep.lift.config import LidarConfig
from data_prep.lift.lifter import box_truncation
from data_prep.scans import Frame, View

CAMERA = Camera(np.array([[200.0, 0, 99.5], [0, 200, 99.5], [0, 0, 1]]), 200, 200)
IMAGE = np.zeros((200, 200, 3), np.uint8)
LIFTERS = ["auto", "frustum-dbscan", "lidar", "rgbd"]


def cube(x: float, y: float, z: float, side: float = 0.6, count: int = 400) -> NDArray[np.float32]:
    """The front faces of a solid are enough: points on a square facing the camera, 1 cm rough."""
    rng = np.random.default_rng(0)
    offset = rng.uniform(-side / 2, side / 2, (count, 3)) * [1, 1, 0.02]
    return (offset + [x, y, z]).astype(np.float32)


def frame_of(*clouds: NDArray[np.float32], views: int = 1, **fields: object) -> Frame:
    # Camera axes as the sensor's; the world is z-up.
    T_world_points = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    view_list = tuple(View(f"{i}.png", CAMERA, IMAGE) for i in range(views))
    return Frame.build("f", np.concatenate(clouds), T_world_points=T_world_points, views=view_list, **fields)


def boxes(*rows: tuple[float, float, float, float]) -> Detections2D:
    return Detections2D(np.array(rows).reshape(-1, 4), np.ones(len(rows)), ("thing",) * len(rows))


def test_the_registry_holds_exactly_these() -> None:
    assert list_lifters() == LIFTERS


@pytest.mark.parametrize("name", LIFTERS)
def test_every_detection_is_an_object_or_a_rejection(name: str) -> None:
    frame = frame_of(cube(0, 0, 4), cube(1, 0.5, 6), views=2)
    front = boxes(
        (80, 80, 120, 120), (120, 105, 145, 128), (0, 0, 20, 20), (500, 10, 600, 20), (90, 90, 91, 91)
    )
    back = boxes((80, 80, 120, 120))
    result = create_lifter(name).lift(frame, [front, back])
    named = [(x.view, x.detection) for x in (*result.objects, *result.rejections)]
    assert sorted(named) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0)]
    assert {rejection.reason for rejection in result.rejections} <= set(REASONS)
    assert sum(result.reasons().values()) == len(result.rejections)


@pytest.mark.parametrize("name", LIFTERS)
def test_an_object_is_a_part_of_its_frame(name: str) -> None:
    colors = np.random.default_rng(0).integers(0, 255, (800, 3)).astype(np.uint8)
    frame = frame_of(cube(0, 0, 4), cube(0, 0, 9), colors=colors)
    (found,) = create_lifter(name).lift(frame, [boxes((80, 80, 120, 120))]).objects
    assert (np.diff(found.indices) > 0).all()
    np.testing.assert_array_equal(found.points, frame.points[found.indices])
    np.testing.assert_array_equal(found.colors, colors[found.indices])
    assert found.quality.num_points == len(found)
    assert len(found) <= found.quality.num_in_region <= 800


@pytest.mark.parametrize("name", ["auto", "lidar"])
def test_the_nearer_of_two_is_found_whole(name: str) -> None:
    frame = frame_of(cube(0, 0, 4), cube(0, 0, 9))
    (found,) = create_lifter(name).lift(frame, [boxes((80, 80, 120, 120))]).objects
    assert found.quality.median_range == pytest.approx(4, abs=0.05)
    assert (found.indices < 400).all()
    assert len(found) > 340


@pytest.mark.parametrize("name", LIFTERS)
@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((300, 10, 340, 50), "outside-image"),
        ((10, -60, 50, -20), "outside-image"),
        ((50, 50, 53, 90), "tiny-region"),
        ((-30, 80, 1.5, 120), "tiny-region"),
        ((-10, -10, 210, 210), "truncated"),
        ((2, 2, 12, 12), "no-points-in-region"),
    ],
)
def test_reasons_have_names(name: str, box: tuple[float, float, float, float], reason: str) -> None:
    result = create_lifter(name).lift(frame_of(cube(0, 0, 4)), [boxes(box)])
    assert result.objects == ()
    assert result.reasons() == {reason: 1}


@pytest.mark.parametrize("name", LIFTERS)
def test_an_object_of_the_fewest_points_allowed_is_kept_and_one_point_less_is_too_few(name: str) -> None:
    frame, box = frame_of(cube(0, 0, 4, count=7)), [boxes((60, 60, 140, 140))]
    (whole,) = create_lifter(name, min_points=1).lift(frame, box).objects
    (kept,) = create_lifter(name, min_points=len(whole)).lift(frame, box).objects
    np.testing.assert_array_equal(kept.indices, whole.indices)
    assert create_lifter(name, min_points=len(whole) + 1).lift(frame, box).reasons() == {"too-few-points": 1}


@pytest.mark.parametrize("name", LIFTERS)
def test_nothing_in_front_of_the_camera(name: str) -> None:
    result = create_lifter(name).lift(frame_of(cube(0, 0, -4)), [boxes((80, 80, 120, 120))])
    assert result.reasons() == {"no-points-in-region": 1}


@pytest.mark.parametrize("name", LIFTERS)
def test_no_detections_give_nothing(name: str) -> None:
    result = create_lifter(name).lift(frame_of(cube(0, 0, 4)), [Detections2D.empty()])
    assert (result.objects, result.rejections) == ((), ())


@pytest.mark.parametrize("name", LIFTERS)
def test_a_set_of_detections_per_view_is_required(name: str) -> None:
    with pytest.raises(InputError, match="frame f: detections: 2 sets for 1 views"):
        create_lifter(name).lift(frame_of(cube(0, 0, 4)), [Detections2D.empty()] * 2)


@pytest.mark.parametrize("name", LIFTERS)
def test_a_mask_of_another_size_is_refused(name: str) -> None:
    found = Detections2D(np.array([[80, 80, 120, 120]]), np.ones(1), ("a",), masks=np.ones((1, 9, 9), bool))
    with pytest.raises(InputError, match="is 9x9, the image 200x200"):
        create_lifter(name).lift(frame_of(cube(0, 0, 4)), [found])


@pytest.mark.parametrize("name", LIFTERS)
def test_a_mask_without_a_point_has_no_points(name: str) -> None:
    mask = np.zeros((1, 200, 200), bool)
    found = Detections2D(np.array([[80, 80, 120, 120]]), np.ones(1), ("a",), masks=mask)
    result = create_lifter(name).lift(frame_of(cube(0, 0, 4)), [found])
    assert result.reasons() == {"no-points-in-region": 1}


@pytest.mark.parametrize("name", LIFTERS)
def test_occlusion_counts_points_that_nearer_objects_hold(name: str) -> None:
    near, far = cube(0, 0, 4), cube(0.1, 0, 8, side=1.4)
    detections = boxes((84, 84, 115, 115), (84, 82, 120, 117))
    objects = create_lifter(name).lift(frame_of(near, far), [detections]).objects
    occluded = {found.detection: found.quality.occluded for found in objects}
    assert occluded[0] == 0
    assert 0.3 < occluded[1] <= 0.5
    strict = create_lifter(name, max_occluded=0.3).lift(frame_of(near, far), [detections])
    assert [found.detection for found in strict.objects] == [0]
    assert strict.reasons() == {"occluded": 1}


def test_the_border_of_a_box_on_the_border_of_the_image_is_truncation() -> None:
    assert box_truncation(np.array([50, 50, 90, 90]), 200, 200) == 0
    assert box_truncation(np.array([-30, 50, 100, 150]), 200, 200) == pytest.approx(0.25)
    assert box_truncation(np.array([0, 0, 199, 199]), 200, 200) == 1


def test_an_unknown_lifter_and_an_unknown_setting_are_named() -> None:
    with pytest.raises(
        InputError, match=r"lifter: 'magic' is unknown\. Fix: use one of auto, frustum-dbscan"
    ):
        create_lifter("magic")
    with pytest.raises(InputError, match=r"lifter lidar: radius: is not a setting.*min_points"):
        create_lifter("lidar", radius=0.5)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("min_points", 0), ("min_side", -1.0), ("max_truncated", 1.5), ("max_occluded", -0.1)],
)
def test_filters_out_of_range_are_named(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=f"lifter: {setting}: {value} is not possible"):
        create_lifter("auto", **{setting: value})


@pytest.mark.parametrize(("setting", "value"), [("radius", 0.0), ("neighbors", 0)])
def test_settings_of_the_baseline_are_checked(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=f"lifter: {setting}"):
        create_lifter("frustum-dbscan", **{setting: value})


def test_a_whole_configuration_makes_the_same_lifter_as_its_settings() -> None:
    config = LiftConfig(name="lidar", min_points=20, lidar=LidarConfig(gap=0.5))
    assert create_lifter(config).settings == create_lifter("lidar", min_points=20, gap=0.5).settings


def test_auto_uses_the_settings_of_the_lifter_it_chooses() -> None:
    config = LiftConfig(lidar=LidarConfig(ground=5.0))
    result = create_lifter(config).lift(frame_of(cube(0, 0, 4)), [boxes((80, 80, 120, 120))])
    assert result.reasons() == {"only-ground": 1}
    assert create_lifter(config).settings["lidar"] == {"ground": 5.0}
    assert "lidar" not in create_lifter("auto").settings


def test_the_baseline_takes_the_largest_cluster_wherever_it_is() -> None:
    """What there is to beat: a crowd of points behind wins over the object."""
    frame = frame_of(cube(0, 0, 4, count=50), cube(0, 0, 9, side=1.2, count=300))
    (found,) = create_lifter("frustum-dbscan").lift(frame, [boxes((84, 84, 115, 115))]).objects
    assert found.quality.median_range == pytest.approx(9, abs=0.1)
