"""Objects cut out of depth images made by hand: a floor, a table and a wall, exact to the pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data_prep.detect import Detections2D
from data_prep.errors import InputError
from data_prep.geometry import Camera, rotation_between
from data_prep.lift import create_lifter
from data_prep.lift.surfaces import plane_pieces, surface_pieces
from data_prep.scans import Frame, View, open_scan

CAMERA = Camera(np.array([[260.0, 0, 159.5], [0, 260, 119.5], [0, 0, 1]]), 320, 240)
DOWN = np.array([0.0, np.cos(0.5), np.sin(0.5)])  # the camera looks 29 degrees down
EYE = 1.5  # meters over the floor
T_WORLD_POINTS = np.eye(4)
T_WORLD_POINTS[:3, :3] = rotation_between(-DOWN, [0, 0, 1])


def render(
    *solids: tuple[tuple[float, float, float], tuple[float, float, float]],
) -> tuple[Frame, NDArray[np.int64]]:
    """A room with boxes ((x, y, z of the center), sizes) standing in it, world axes at the camera's foot, y forward.

    Returns:
        The frame, and for each of its points the solid it is on: -1 floor or wall.
    """
    v, u = np.mgrid[:240, :320]
    rays = np.stack([(u - 159.5) / 260, (v - 119.5) / 260, np.ones(u.shape)], axis=-1).reshape(-1, 3)
    rays = rays @ T_WORLD_POINTS[:3, :3].T  # right, forward, up
    origin = np.array([0, 0, EYE])
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(rays[:, 2] < 0, -EYE / rays[:, 2], np.inf)
        depth = np.minimum(depth, np.where(rays[:, 1] > 0, 4.0 / rays[:, 1], np.inf))  # a wall 4 m ahead
        hit = np.full(len(rays), -1)
        for number, (center, size) in enumerate(solids):
            a = (np.array(center) - np.array(size) / 2 - origin) / rays
            b = (np.array(center) + np.array(size) / 2 - origin) / rays
            enter, leave = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
            closer = (enter > 0) & (enter <= leave) & (enter < depth)
            depth[closer], hit[closer] = enter[closer], number
    rng = np.random.default_rng(0)
    image = (1 / (1 / depth + rng.normal(0, 5e-4, depth.shape))).reshape(240, 320).astype(np.float32)
    points, _ = CAMERA.unproject(image)
    view = View("frame.png", CAMERA, np.zeros((240, 320, 3), np.uint8))
    return Frame.build("room", points, views=(view,), depth=image, T_world_points=T_WORLD_POINTS), hit


def boxes_of(hit: NDArray[np.int64], *numbers: int) -> Detections2D:
    found, masks = [], []
    for number in numbers:
        mask = (hit == number).reshape(240, 320)
        v, u = np.nonzero(mask)
        found.append([u.min() - 1, v.min() - 1, u.max() + 1, v.max() + 1])
        masks.append(mask)
    return Detections2D(
        np.array(found), np.ones(len(numbers)), ("thing",) * len(numbers), masks=np.array(masks)
    )


def agreement(frame: Frame, detections: Detections2D, hit: NDArray[np.int64], *numbers: int) -> list[float]:
    result = [0.0] * len(detections)
    for found in create_lifter("rgbd").lift(frame, [detections]).objects:
        truth = np.flatnonzero(hit == numbers[found.detection])
        both = len(np.intersect1d(truth, found.indices))
        result[found.detection] = both / (len(truth) + len(found) - both)
    return result


CHAIR = ((-0.7, 2.2, 0.4), (0.5, 0.5, 0.8))
TABLE = ((0.6, 2.4, 0.36), (1.2, 0.8, 0.72))
MUG = ((0.5, 2.2, 0.79), (0.14, 0.14, 0.14))


def test_a_box_on_the_floor_before_a_wall() -> None:
    frame, hit = render(CHAIR)
    assert agreement(frame, replace(boxes_of(hit, 0), masks=None), hit, 0)[0] > 0.9


def test_a_mug_on_a_table_is_the_mug_and_the_table_the_table() -> None:
    frame, hit = render(TABLE, MUG)
    table, mug = agreement(frame, replace(boxes_of(hit, 0, 1), masks=None), hit, 0, 1)
    assert table > 0.9
    assert mug > 0.8


def test_a_chair_half_hidden_by_a_table() -> None:
    frame, hit = render(((-0.3, 2.9, 0.5), (0.5, 0.5, 1.0)), ((-0.5, 2.0, 0.3), (0.5, 0.4, 0.6)))
    behind, before = agreement(frame, replace(boxes_of(hit, 0, 1), masks=None), hit, 0, 1)
    assert behind > 0.75
    assert before > 0.9


def test_a_mask_that_bleeds_onto_the_wall_gives_the_object_alone() -> None:
    frame, hit = render(((0, 1.5, 0.6), (0.4, 0.4, 1.2)))
    exact = boxes_of(hit, 0)
    assert exact.masks is not None
    wide = np.zeros_like(exact.masks)
    wide[:, :, 2:] |= exact.masks[:, :, :-2]
    wide[:, :, :-2] |= exact.masks[:, :, 2:]
    (found,) = create_lifter("rgbd", extent=0.6).lift(frame, [replace(exact, masks=wide)]).objects
    assert (hit[found.indices] == 0).mean() > 0.97
    assert np.isin(np.flatnonzero(hit == 0), found.indices).mean() > 0.95


def test_flying_pixels_on_an_edge_are_dropped() -> None:
    frame, hit = render(((0, 1.5, 0.6), (0.4, 0.4, 1.2)))
    assert frame.depth is not None
    depth = frame.depth.copy()
    solid = (hit == 0).reshape(240, 320)
    right = solid & ~np.roll(solid, -1, axis=1) & (np.roll(depth, -1, axis=1) > 1.2 * depth)
    assert right.sum() > 50
    depth[right] = (depth[right] + np.roll(depth, -1, axis=1)[right]) / 2  # half on the box, half on the wall
    points, _ = CAMERA.unproject(depth)
    flying = replace(frame, depth=depth, points=points)
    (found,) = create_lifter("rgbd").lift(flying, [boxes_of(hit, 0)]).objects
    assert not np.isin(np.flatnonzero(right), found.indices).any()


def test_a_piece_of_the_wall_is_only_background() -> None:
    frame, _ = render()
    detections = Detections2D(np.array([[200, 20, 260, 50.0]]), np.ones(1), ("poster",))
    assert create_lifter("rgbd").lift(frame, [detections]).reasons() == {"only-background": 1}


@pytest.mark.parametrize(("margin", "lifted"), [(1, True), (6, True), (40, False)])
def test_a_few_pixels_are_an_object_only_where_the_box_is_around_them(margin: int, lifted: bool) -> None:
    frame, hit = render(((0.0, 2.2, 0.02), (0.04, 0.04, 0.04)))
    tight = replace(boxes_of(hit, 0), masks=None)
    assert 20 < (hit == 0).sum() < 60
    box = Detections2D(tight.boxes + margin * np.array([-1, -1, 1, 1]), np.ones(1), ("thing",))
    anything = create_lifter("rgbd", share=0.0).lift(frame, [box])
    assert len(anything.objects) == 1
    result = create_lifter("rgbd").lift(frame, [box])
    assert len(result.objects) == lifted
    if not lifted:
        assert [rejection.reason for rejection in result.rejections] == ["too-few-points"]


def test_auto_takes_rgbd_where_there_is_depth_and_lidar_where_there_is_none() -> None:
    frame, hit = render(CHAIR)
    detections = replace(boxes_of(hit, 0), masks=None)
    for name, given in (("rgbd", frame), ("lidar", replace(frame, depth=None))):
        (expected,) = create_lifter(name).lift(given, [detections]).objects
        (found,) = create_lifter("auto").lift(given, [detections]).objects
        np.testing.assert_array_equal(found.indices, expected.indices)


def test_floor_and_wall_and_faces_are_planes_of_their_own() -> None:
    frame, hit = render(TABLE)
    assert frame.depth is not None
    pieces = plane_pieces(frame.depth).reshape(-1)
    largest = np.argsort(-np.bincount(pieces[pieces > 0]))[:3]
    for piece in largest:  # no piece of a plane is both table and room
        on_table = (hit[pieces == piece] == 0).mean()
        assert min(on_table, 1 - on_table) < 0.03


def test_every_measured_pixel_has_a_piece_and_no_other_has() -> None:
    depth = np.full((60, 80), 2.0)
    depth[:20] = 0
    depth[30:40, 30:40] = 1.0
    pieces = surface_pieces(depth)
    np.testing.assert_array_equal(pieces > 0, depth > 0)
    assert len(np.unique(pieces[30:40, 30:40])) == 1
    assert not np.isin(pieces[depth == 2.0], pieces[30:40, 30:40]).any()
    assert (surface_pieces(np.zeros((8, 8))) == 0).all()


@pytest.mark.parametrize(
    ("setting", "value"), [("held", 1.5), ("share", -0.1), ("gap", 0.0), ("focus", -1.0), ("extent", np.nan)]
)
def test_settings_out_of_range_are_named(setting: str, value: float) -> None:
    with pytest.raises(InputError, match=f"lifter: {setting}: {value} is not possible"):
        create_lifter("rgbd", **{setting: value})


def test_rooms_with_exact_instances() -> None:
    scan = open_scan("procedural", "room", frames=2)
    lifter = create_lifter("auto", min_points=1, max_truncated=1.0, max_occluded=1.0, min_side=0.0)
    for masked, least in ((True, 0.9), (False, 0.7)):
        scores = []
        for index in range(len(scan)):
            frame, truth = scan[index], scan.ground_truth(index)  # type: ignore[attr-defined]
            (detections,) = truth.detections
            if not masked:
                detections = replace(detections, masks=None)
            found = {o.detection: o.indices for o in lifter.lift(frame, [detections]).objects}
            for row, instance in enumerate(detections.attributes["track_id"]):
                there = np.flatnonzero(truth.instances == instance)
                if len(there) >= 30:
                    kept = found.get(row, there[:0])
                    both = len(np.intersect1d(there, kept))
                    scores.append(both / (len(there) + len(kept) - both))
        assert np.mean(scores) > least


def test_a_real_chair_behind_a_table(real_data: Path) -> None:
    """7-Scenes: a chair whose back shows over the table's edge, cupboards two meters behind it."""
    scan = open_scan("rgbd", real_data / "rgbd" / "7scenes_redkitchen")
    frame = scan[0]
    # Drawn by hand around its back.
    chair = Detections2D(np.array([[218, 221, 357, 289.0]]), np.ones(1), ("chair",))
    (found,) = create_lifter("auto").lift(frame, [chair]).objects
    height = frame.world_points()[found.indices]
    assert len(found) > 2000
    assert np.ptp(np.quantile(height, [0.05, 0.95], axis=0), axis=0).max() < 1.0


def test_two_boxes_of_nearly_one_place_are_two_objects() -> None:
    """The cupboard's box is centered on the drum before it, whose own box fits the drum better."""
    frame, hit = render(((0, 2.0, 0.35), (0.45, 0.3, 0.7)), ((0, 3.2, 0.6), (0.9, 0.4, 1.2)))
    drum, cupboard = agreement(frame, replace(boxes_of(hit, 0, 1), masks=None), hit, 0, 1)
    assert drum > 0.9
    assert cupboard > 0.75


def test_color_finds_the_part_that_depth_takes_for_the_floor() -> None:
    """A red mat, 2 mm high, and a red stool on it: one thing, of which depth sees the stool."""
    frame, hit = render(((0, 2.2, 0.3), (0.4, 0.4, 0.6)), ((0, 2.2, 0.001), (0.9, 0.9, 0.002)))
    thing = hit >= 0
    image = np.where(thing[:, None], np.uint8([180, 30, 30]), np.uint8([200, 200, 200])).reshape(240, 320, 3)
    painted = replace(frame, views=(View("frame.png", CAMERA, image),))
    box = replace(boxes_of(np.where(thing, 0, -1), 0), masks=None)
    scores = []
    for refine_mask in (False, True):
        (found,) = create_lifter("rgbd", refine_mask=refine_mask).lift(painted, [box]).objects
        both = thing[found.indices].sum()
        scores.append(both / (thing.sum() + len(found) - both))
    assert scores[0] < 0.75
    assert scores[1] > 0.95


def test_flying_pixels_do_not_come_back_with_the_color() -> None:
    frame, hit = render(((0, 1.5, 0.6), (0.4, 0.4, 1.2)))
    assert frame.depth is not None
    depth, solid = frame.depth.copy(), (hit == 0).reshape(240, 320)
    right = solid & ~np.roll(solid, -1, axis=1) & (np.roll(depth, -1, axis=1) > 1.2 * depth)
    depth[right] = (depth[right] + np.roll(depth, -1, axis=1)[right]) / 2
    points, _ = CAMERA.unproject(depth)
    image = np.where(solid[..., None], np.uint8([180, 30, 30]), np.uint8([200, 200, 200]))
    flying = replace(frame, depth=depth, points=points, views=(View("frame.png", CAMERA, image),))
    box = replace(boxes_of(hit, 0), masks=None)
    (found,) = create_lifter("rgbd").lift(flying, [box]).objects
    assert np.isin(np.flatnonzero(solid & ~right), found.indices).mean() > 0.95
    assert not np.isin(np.flatnonzero(right), found.indices).any()
