"""Synthetic world as a scan: determinism and exact ground truth."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from data_prep import open_scan
from data_prep.detect.coco import CocoDetections
from data_prep.errors import InputError
from data_prep.geometry import invert, rigid, transform_points
from data_prep.scans.scan import Scan
from data_prep.world import ProceduralScan

SMALL = {
    "room": {"image_size": (160, 120)},
    "street": {"image_size": (240, 136)},
    "tabletop": {"image_size": (160, 120)},
}


def _scan(setting: str, **options: object) -> ProceduralScan:
    scan = open_scan("procedural", setting, **{"frames": 3, "seed": 5, **SMALL[setting], **options})
    assert isinstance(scan, ProceduralScan)
    return scan


@pytest.fixture(scope="module", params=list(SMALL))
def exact(request: pytest.FixtureRequest) -> ProceduralScan:
    return _scan(request.param, noise=False)


@pytest.mark.parametrize("setting", SMALL)
def test_frames_are_the_same_in_any_order_and_in_a_copy(setting: str) -> None:
    forward = _scan(setting)
    forward[0]
    backward = copy.deepcopy(forward)
    first = [forward[i] for i in range(3)]
    second = [backward[i] for i in (2, 1, 0)][::-1]
    for a, b in zip(first, second, strict=True):
        assert a.id == b.id
        np.testing.assert_array_equal(a.points, b.points)
        np.testing.assert_array_equal(a.views[0].image, b.views[0].image)
        np.testing.assert_array_equal(a.T_world_points, b.T_world_points)
    assert not np.array_equal(_scan(setting, seed=6)[0].points, first[0].points)


def test_it_is_a_scan_with_names_known_in_advance(exact: ProceduralScan) -> None:
    assert isinstance(exact, Scan)
    assert [frame.id for frame in exact] == exact.frame_ids()
    assert [view.name for frame in exact for view in frame.views] == exact.image_names()
    with pytest.raises(IndexError):
        exact[3]


def test_masks_say_what_the_points_say(exact: ProceduralScan) -> None:
    frame, truth = exact[1], exact.ground_truth(1)
    assert len(truth.instances) == len(frame.points)
    camera, view = frame.views[0].camera, truth.detections[0]
    uv, depth = camera.project(frame.points)
    seen = camera.in_image(uv) & (depth > 0)
    pixel = np.rint(uv[seen]).astype(int)
    painted = np.full((camera.height, camera.width), -1)
    for mask, track in zip(view.masks, view.attributes["track_id"], strict=True):
        painted[mask] = track
    known = np.isin(truth.instances[seen], [*view.attributes["track_id"]])
    same = painted[pixel[:, 1], pixel[:, 0]][known] == truth.instances[seen][known]
    # A LiDAR sits beside its camera and sees a little behind the edges; a depth image is the camera's own.
    assert same.mean() > 0.85 if exact.setting == "street" else same.mean() == 1.0


def test_boxes_hold_their_points_and_little_else(exact: ProceduralScan) -> None:
    frame, truth, labels = exact[0], exact.ground_truth(0), exact.annotations(0)
    assert len(labels) >= 3
    for box, track, count in zip(
        labels.boxes, labels.attributes["track_id"], labels.attributes["num_points"], strict=True
    ):
        own = frame.points[truth.instances == track]
        assert len(own) == count
        assert box.contains(own, margin=1e-3).mean() >= 0.99


def test_2d_boxes_wrap_their_masks(exact: ProceduralScan) -> None:
    view = exact.ground_truth(0).detections[0]
    for box, mask in zip(view.boxes, view.masks, strict=True):
        x0, y0, x1, y1 = box.astype(int)
        inside = mask[y0:y1, x0:x1]
        assert inside.sum() == mask.sum()
        assert all(side.any() for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_a_table_top_is_seen_from_close_by_and_holds_small_things_close_together() -> None:
    scan = _scan("tabletop", frames=12, worlds=12, seed=1)
    touching = 0
    for index in range(len(scan)):
        depth = scan[index].depth
        assert np.median(depth[depth > 0]) < 2.5
        things = [o for o in scan.world_objects(index) if o.box.size.max() <= 0.41]
        assert 3 <= len(things) <= 20
        sides = [(o.box.center, o.box.size.max() / 2) for o in things]
        touching += sum(
            np.linalg.norm((a - b)[:2]) < 0.9 * (reach + other)
            for k, (a, reach) in enumerate(sides)
            for b, other in sides[:k]
        )
    assert touching >= 5


def test_poses_and_depth_agree_between_frames() -> None:
    scan = _scan("room", noise=False, frames=24, image_size=(320, 240))
    a, b = scan[3], scan[4]
    camera = b.views[0].camera
    moved = transform_points(invert(b.T_world_points) @ a.T_world_points, a.points.astype(np.float64))
    uv, depth = camera.project(moved)
    seen = camera.in_image(uv) & (depth > 0.1)
    # Between pixels of one plane the inverse of depth is linear, so interpolating it is exact; edges are the tail.
    inverse = map_coordinates(1 / b.depth, [uv[seen, 1], uv[seen, 0]], order=1, mode="nearest")
    residual = np.abs(depth[seen] - 1 / inverse)
    assert seen.mean() > 0.3
    assert np.median(residual) < 1e-4
    assert (residual < 0.005).mean() > 0.7


def test_sensor_noise_has_the_stated_size() -> None:
    exact, noisy = _scan("room", noise=False)[0], _scan("room")[0]
    both = (exact.depth > 0) & (noisy.depth > 0)
    sigma = 0.0012 + 0.0019 * np.square(exact.depth[both] - 0.4)
    z = (noisy.depth[both] - exact.depth[both]) / sigma
    assert abs(z.mean()) < 0.05
    assert abs(z.std() - 1) < 0.05
    missing = (exact.depth > 0) & (noisy.depth == 0)
    assert 0.005 < missing.mean() < 0.3


def test_named_depth_cameras_err_as_their_kind_does() -> None:
    exact = _scan("room", noise=False)[0].depth
    kinect, flight = (_scan("room", depth_camera=name)[0].depth for name in ("kinect_v1", "kinect_v2"))
    levels = 1 / (kinect[kinect > 0].astype(np.float64) * 0.0029)
    assert np.abs(levels - np.rint(levels)).max() < 1e-3, "disparity comes in steps"

    # What stands in front hides what is behind it from the projector, which stands to the right of the camera.
    hidden = (exact > 0) & (kinect == 0) & (flight > 0)
    assert hidden.mean() > 0.01
    far = (flight > 0) & (flight < exact * 1.2) & (np.abs(flight - exact) > 0.1)
    assert 0.0005 < far.sum() / (flight > 0).sum() < 0.05, "some pixels fly between two surfaces"
    with pytest.raises(InputError, match="depth_camera: is 'kinect'"):
        _scan("room", depth_camera="kinect")


def test_streets_come_as_rings_with_intensity() -> None:
    frame = _scan("street", noise=False)[0]
    elevation = np.rad2deg(np.arctan2(frame.points[:, 2], np.linalg.norm(frame.points[:, :2], axis=1)))
    step = 30.0 / 47
    assert np.abs((elevation + 24) / step - np.rint((elevation + 24) / step)).max() < 0.01
    assert frame.intensity is not None
    assert 0 <= frame.intensity.min() <= frame.intensity.max() <= 1
    below = frame.points[np.abs(frame.points[:, 1]) < 1.0, 2]
    assert abs(np.median(below) + 1.8) < 0.05  # the road lies as far below the sensor as it is mounted


def test_worlds_lie_apart_and_ids_are_unique() -> None:
    scan = _scan("room", frames=4, worlds=2)
    ids = [placed.instance for placed in scan.objects]
    assert len(set(ids)) == len(ids)
    first, last = scan[0].world_points().mean(axis=0), scan[3].world_points().mean(axis=0)
    assert np.linalg.norm(first - last) > 900


def test_saved_detections_come_back_for_every_image(tmp_path, exact: ProceduralScan) -> None:
    path = tmp_path / "perfect.json"
    exact.save_detections(path)
    loaded = CocoDetections.load(path)
    assert loaded.is_ground_truth
    assert loaded.check(exact).matched == len(exact)
    view = exact[1].views[0]
    found, truth = loaded.for_image(view.name, view.camera.width, view.camera.height), exact.ground_truth(1)
    assert found.labels == truth.detections[0].labels
    np.testing.assert_array_equal(found.masks, truth.detections[0].masks)


@pytest.mark.parametrize(
    "root, options, field",
    [
        ("kitchen", {}, "root"),
        ("room", {"frames": 0}, "frames"),
        ("room", {"frames": 999_999_999_999}, "frames"),
        ("street", {"frames": 1001}, "frames"),
        ("room", {"frames": 2, "worlds": 3}, "worlds"),
        ("room", {"frames": 1_000_000, "worlds": 999_999}, "worlds"),
        ("room", {"image_size": (999_999, 999_999)}, "image_size"),
        ("room", {"image_size": (0, 16)}, "image_size"),
        ("room", {"seed": -1}, "seed"),
        ("room", {"assemblies": -1}, "assemblies"),
        ("street", {"assemblies": 41}, "assemblies"),
        ("street", {"cameras": ("top",)}, "cameras"),
        ("room", {"detector": "psychic"}, "detector"),
    ],
)
def test_impossible_worlds_are_refused(root: str, options: dict, field: str) -> None:
    with pytest.raises(InputError) as caught:
        open_scan("procedural", root, **options)
    assert caught.value.field == field


@pytest.mark.parametrize(("frames", "worlds"), [(7, 3), (10, 10), (8, 1), (11, 4)])
def test_frames_are_spread_evenly_over_the_worlds(frames: int, worlds: int) -> None:
    scan = _scan("room", frames=frames, worlds=worlds)
    names = [scan.world_of(index) for index in range(frames)]
    assert sorted(names) == names
    counts = [names.count(f"room {k}") for k in range(worlds)]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == frames
    # As many camera poses are laid out in each as it has frames.
    assert [len(scan._frames_of(k)) for k in range(worlds)] == counts


def test_the_last_of_a_million_frames_is_as_exact_as_the_first() -> None:
    """Its world lies 200,000 km away, where 32-bit coordinates are 16 m apart."""
    scan = _scan("room", frames=1_000_000, worlds=200_000, noise=False)
    frame, truth = scan[999_999], scan.ground_truth(999_999)
    assert frame.id == "room-0005-999999"
    found = scan.annotations(999_999)
    assert len(found)
    for box, instance in zip(found.boxes, found.attributes["track_id"], strict=True):
        assert box.contains(frame.points[truth.instances == instance], margin=1e-4).all()


def test_things_that_were_moved_or_taken_away_are_seen_where_they_are_now():
    scan = open_scan("procedural", "room", frames=40, seed=3)
    before = scan.ground_truth(0).instances
    instance, *_ = np.unique(before[before >= 0])[::-1]
    other = scan.rearranged({int(instance): None})
    assert int(instance) not in other.ground_truth(0).instances
    assert int(instance) in scan.ground_truth(0).instances
    shifted = scan.rearranged({int(instance): rigid(translation=(0, 0, 0.4))})
    boxes = [{o.instance: o.box.center for o in one.objects}[int(instance)] for one in (scan, shifted)]
    assert np.allclose(boxes[1] - boxes[0], [0, 0, 0.4])
