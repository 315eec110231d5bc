"""nuScenes: the chain over two ego poses, sweeps that meet in the world, boxes, and tables that contradict themselves."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import ConvexHull, cKDTree
from support.nuscenes_twin import CAR_CENTER, CAR_YAW, SENSORS, START, WORLD, K, NuscenesTwin, ego_pose

from data_prep import BadDatasetError, BadFrameError, InputError, open_scan
from data_prep.detect import CocoDetections
from data_prep.geometry import Camera, OrientedBox, invert
from data_prep.scans.nuscenes.tables import Table


@pytest.fixture
def twin(tmp_path: Path) -> NuscenesTwin:
    return NuscenesTwin(tmp_path / "nuscenes")


def test_keyframes_come_scene_by_scene_in_time_order(twin: NuscenesTwin) -> None:
    scan = open_scan("nuscenes", twin.root)
    assert scan.frame_ids() == [
        *(f"scene-0001-sample-{k}" for k in range(3)),
        "scene-0002-sample-0",
    ]
    assert [view.name for view in scan[0].views] == scan.image_names()[:2]
    assert scan.image_names()[1] == f"samples/CAM_BACK/twin__CAM_BACK__{START - 10_000}.jpg"
    assert scan[1].timestamp == pytest.approx(1_500_000_000.5)
    assert open_scan("nuscenes", twin.root, scenes=["scene-0002"]).frame_ids() == ["scene-0002-sample-0"]
    assert open_scan("nuscenes", twin.root, scenes="scene-0002", cameras="CAM_BACK").image_names() == [
        scan.image_names()[-1]
    ]


def test_points_meet_the_world_through_the_pose_of_their_own_moment(twin: NuscenesTwin) -> None:
    for frame in open_scan("nuscenes", twin.root):
        assert len(frame.points) in (
            500,
            502,
        )  # far from all others, the two returns of the car itself are strays
        np.testing.assert_allclose(frame.world_points()[:500], WORLD, atol=1e-4)
        np.testing.assert_allclose(frame.intensity, 0.2)  # 51 of 255
        assert frame.colors is None


def test_cameras_use_the_ego_pose_of_their_own_image(twin: NuscenesTwin) -> None:
    frame = open_scan("nuscenes", twin.root)[1]
    view = frame.views[0]
    # By hand: world → car when the image was taken (35 ms before the sweep) → camera → pixel.
    T_world_cam = ego_pose(START + 465_000) @ SENSORS["CAM_FRONT"]
    ahead = T_world_cam @ [0.5, -0.2, 10, 1]  # half a meter right, a fifth up, ten meters ahead
    in_points = invert(frame.T_world_points) @ ahead
    uv, depth = view.camera.project(in_points[None, :3])
    np.testing.assert_allclose(uv[0], [80 + 100 * 0.05, 45 - 100 * 0.02], atol=1e-6)
    np.testing.assert_allclose(depth, [10])
    # With the pose of the sweep instead, the car would be 0.35 m further: not the same pixel.
    wrong = K @ (invert(ego_pose(START + 500_000) @ SENSORS["CAM_FRONT"]) @ ahead)[:3]
    assert np.abs(wrong[:2] / wrong[2] - uv[0]).max() > 0.2


def test_sweeps_meet_in_one_world_without_the_own_car(twin: NuscenesTwin) -> None:
    scan = open_scan("nuscenes", twin.root, sweeps=6)
    # The second keyframe has four sweeps and the first keyframe before it, then the scene begins.
    for index, parts in ((0, 1), (1, 6), (2, 7), (3, 1)):
        frame = scan[index]
        near = np.abs(frame.points[:, :2]).max(axis=1) < 1
        distance, nearest = cKDTree(WORLD).query(frame.world_points())
        assert distance.max() < 1e-3
        # Every standing point is there once per sweep, but for those that a sweep saw right at the sensor.
        assert np.bincount(nearest, minlength=500).max() == parts
        assert len(frame.points) >= 500 * parts - 20
        assert near[:500].sum() == 0
        assert len(frame.intensity) == len(frame.points)


def test_boxes_come_in_lidar_axes_with_length_first(twin: NuscenesTwin) -> None:
    scan = open_scan("nuscenes", twin.root)
    frame, labels = scan[2], scan.annotations(2)
    (box,) = labels.boxes
    assert labels.labels == ("car",)
    np.testing.assert_allclose(box.size, [4, 2, 1.5])
    in_world = box.transformed(frame.T_world_points)
    np.testing.assert_allclose(in_world.center, CAR_CENTER)
    np.testing.assert_allclose(in_world.rotation[:, 0], [np.cos(CAR_YAW), np.sin(CAR_YAW), 0], atol=1e-9)
    assert {name: column.tolist() for name, column in labels.attributes.items()} == {
        "category": ["vehicle.car"],
        "track_id": [1],
        "num_lidar_pts": [7],
        "visibility": [4],
    }


def test_a_test_set_has_no_labels(twin: NuscenesTwin) -> None:
    twin.tables["sample_annotation"] = []
    twin.write_tables()
    assert open_scan("nuscenes", twin.root).annotations(0) is None


def test_a_scan_can_be_sent_to_a_worker(twin: NuscenesTwin) -> None:
    scan = open_scan("nuscenes", twin.root, sweeps=2)
    sent = pickle.loads(pickle.dumps(scan))  # noqa: S301
    np.testing.assert_array_equal(sent[1].points, scan[1].points)
    assert sent.annotations(1).labels == ("car",)


def test_the_version_is_asked_for_where_there_are_several(twin: NuscenesTwin) -> None:
    NuscenesTwin(twin.root, version="v1.0-other")
    with pytest.raises(BadDatasetError, match=r"holds 2 versions.*version=v1.0-other or v1.0-test-twin"):
        open_scan("nuscenes", twin.root)
    assert len(open_scan("nuscenes", twin.root, version="v1.0-other")) == 4
    with pytest.raises(BadDatasetError, match=r"'v1.0-mini' is not there"):
        open_scan("nuscenes", twin.root, version="v1.0-mini")


@pytest.mark.parametrize(
    "text", ["[]", '[{"token":"a","x":[1,{"y":"]}"}]},{"token":"b"}]', '[ \n{"token": "é"}\n]\n']
)
def test_tables_hold_what_their_json_says(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text, encoding="utf-8")
    assert list(Table(tmp_path, "t")) == json.loads(text)


def test_rows_come_before_the_file_is_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(f"[{{}}, {'{}, ' * 100_000} broken", encoding="utf-8")
    rows = iter(Table(tmp_path, "t"))
    assert next(rows) == {}
    with pytest.raises(BadDatasetError, match="is not JSON, or cut short"):
        list(rows)


def change(table: str, token: str, **fields: object) -> Callable[[NuscenesTwin], None]:
    def spoil(twin: NuscenesTwin) -> None:
        row = twin.row(table, token)
        for name, value in fields.items():
            if value is KeyError:
                del row[name]
            else:
                row[name] = value

    return spoil


def drop(table: str, token: str) -> Callable[[NuscenesTwin], None]:
    return lambda twin: twin.tables[table].remove(twin.row(table, token))


def rename_sample(twin: NuscenesTwin) -> None:
    twin.row("sample", "scene-0002-sample-0")["token"] = "../x"
    twin.row("scene", "scene-0002")["first_sample_token"] = "../x"


LIDAR_0 = f"LIDAR_TOP-{START}"
BROKEN_TABLES = {
    "no sample": (lambda t: t.tables.update(scene=[], sample=[]), "holds no frames"),
    "dangling first sample": (
        change("scene", "scene-0001", first_sample_token="gone"),
        "scene.json: scene-0001.first_sample_token: 'gone' is not in sample.json",
    ),
    "dangling next": (
        change("sample", "scene-0001-sample-1", next="gone"),
        "sample.json: scene-0001-sample-1.next: 'gone' is not in sample.json",
    ),
    "circle": (change("sample", "scene-0001-sample-2", next="scene-0001-sample-1"), "comes twice along 'next'"),
    "clock runs backwards": (
        change("sample", "scene-0001-sample-1", timestamp=START - 1),
        f"sample.json: scene-0001-sample-1.timestamp: is {START - 1}, not after {START}",
    ),
    "unsafe token": (rename_sample, "sample.json: ../x.token: holds more than letters, digits"),
    "dangling ego pose": (
        drop("ego_pose", f"e-{LIDAR_0}"),
        f"sample_data.json: {LIDAR_0}.ego_pose_token: 'e-{LIDAR_0}' is not in ego_pose.json",
    ),
    "dangling calibration": (
        change("sample_data", LIDAR_0, calibrated_sensor_token="gone"),
        "calibrated_sensor_token: 'gone' is not in calibrated_sensor.json",
    ),
    "dangling sensor": (
        change("calibrated_sensor", "c-CAM_BACK", sensor_token="gone"),
        "calibrated_sensor.json: c-CAM_BACK.sensor_token: 'gone' is not in sensor.json",
    ),
    "dangling sweep": (
        drop("sample_data", f"LIDAR_TOP-{START + 200_000}"),
        f"'LIDAR_TOP-{START + 200_000}' is not in sample_data.json",
    ),
    "no rotation": (
        change("calibrated_sensor", "c-LIDAR_TOP", rotation=[2, 0, 0, 0]),
        "c-LIDAR_TOP.rotation, translation: is not a rotation",
    ),
    "ego pose is NaN": (
        change("ego_pose", f"e-{LIDAR_0}", translation=[1, float("nan"), 0]),
        "ego_pose.json: row 19: is not JSON",
    ),
    "three numbers": (change("ego_pose", f"e-{LIDAR_0}", rotation=[1, 0, 0]), "has 3 and 3 numbers"),
    "no intrinsics": (
        change("calibrated_sensor", "c-CAM_FRONT", camera_intrinsic=[]),
        "c-CAM_FRONT.camera_intrinsic: is not a 3x3 matrix",
    ),
    "field of another type": (change("sample_data", LIDAR_0, timestamp="now"), f"{LIDAR_0}.timestamp: is 'now'"),
    "field missing": (change("sample_data", LIDAR_0, filename=KeyError), f"{LIDAR_0}.filename: is missing"),
    "path leaves the dataset": (change("sample_data", LIDAR_0, filename="../../x"), "leaves the dataset"),
}  # fmt: skip


@pytest.mark.parametrize("spoil, message", BROKEN_TABLES.values(), ids=BROKEN_TABLES)
def test_broken_tables_stop_before_the_start(twin: NuscenesTwin, spoil: Callable, message: str) -> None:
    spoil(twin)
    twin.write_tables()
    with pytest.raises(BadDatasetError) as caught:
        open_scan("nuscenes", twin.root, sweeps=5)
    assert message in str(caught.value)
    assert "Fix: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "ego_pose.json: is missing"),
        ('[{"token": "a"', "ego_pose.json: row 0: is not JSON, or cut short"),
        ('{"token": "a"}', "ego_pose.json: start: is not a list"),
        ("[1, 2]", "ego_pose.json: row 0: is not an object"),
        ("", "ego_pose.json: start: is not a list"),
    ],
)
def test_a_damaged_table_is_one_line(twin: NuscenesTwin, content: str | None, message: str) -> None:
    path = twin.root / twin.version / "ego_pose.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(BadDatasetError) as caught:
        open_scan("nuscenes", twin.root)
    assert message in str(caught.value)


def resize(path: Path) -> None:
    Image.new("RGB", (80, 45)).save(path)


FILE = {
    "sweep": f"LIDAR_TOP/twin__LIDAR_TOP__{START + 500_000}.pcd.bin",
    "image": f"CAM_FRONT/twin__CAM_FRONT__{START + 465_000}.jpg",
}
BROKEN_FILES = {
    "sweep missing": ("sweep", Path.unlink, "pcd.bin: points: is missing"),
    "sweep cut short": ("sweep", lambda p: p.write_bytes(p.read_bytes()[:-4]), "not a positive multiple of 20"),
    "sweep all NaN": ("sweep", lambda p: np.full((9, 5), np.nan, "<f4").tofile(p), "holds no finite point"),
    "image missing": ("image", Path.unlink, ".jpg: image: is missing"),
    "image of zero bytes": ("image", lambda p: p.write_bytes(b""), ".jpg: image: cannot be read"),
    "image resized": ("image", resize, "principal point"),
}  # fmt: skip


@pytest.mark.parametrize("what, spoil, message", BROKEN_FILES.values(), ids=BROKEN_FILES)
def test_a_broken_file_costs_one_frame(twin: NuscenesTwin, what: str, spoil: Callable, message: str) -> None:
    spoil(twin.root / "samples" / FILE[what])
    scan = open_scan("nuscenes", twin.root)
    with pytest.raises(BadFrameError) as caught:
        scan[1]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(scan[0].points) == 502


def test_a_keyframe_without_its_camera_or_sweep_is_a_bad_frame(twin: NuscenesTwin) -> None:
    drop("sample_data", f"CAM_BACK-{START - 10_000}")(twin)
    drop("sample_data", f"LIDAR_TOP-{START + 1_000_000}")(twin)
    twin.write_tables()
    scan = open_scan("nuscenes", twin.root)
    with pytest.raises(BadFrameError, match=r"sample scene-0001-sample-0: has no keyframe of CAM_BACK"):
        scan[0]
    with pytest.raises(BadFrameError, match=r"has no keyframe of LIDAR_TOP"):
        scan[2]
    assert len(scan[1].views) == 2


def test_a_missing_sweep_costs_the_frames_that_ask_for_it(twin: NuscenesTwin) -> None:
    (twin.root / f"sweeps/LIDAR_TOP/twin__LIDAR_TOP__{START + 400_000}.pcd.bin").unlink()
    scan = open_scan("nuscenes", twin.root, sweeps=1)
    with pytest.raises(BadFrameError, match=r"400000\.pcd.bin: points: is missing"):
        scan[1]
    assert len(scan[2].points) == pytest.approx(1000, abs=10)


def test_options_that_cannot_be(twin: NuscenesTwin) -> None:
    with pytest.raises(BadDatasetError, match=r"scenes: 'scene-9' is not there.*scene-0001, scene-0002"):
        open_scan("nuscenes", twin.root, scenes=["scene-9"])
    with pytest.raises(BadDatasetError, match=r"channel: 'CAM_TOP' is not there.*CAM_FRONT"):
        open_scan("nuscenes", twin.root, cameras=["CAM_TOP"])
    with pytest.raises(InputError, match="sweeps: is -1"):
        open_scan("nuscenes", twin.root, sweeps=-1)
    with pytest.raises(BadDatasetError, match="point at the folder that holds"):
        open_scan("nuscenes", twin.root / twin.version)


def hull_in_image(box: OrientedBox, camera: Camera) -> np.ndarray | None:
    """Rectangle around the hull of the corners in front, cut at the image's border (nuscenes-devkit, export_2d)."""
    T = camera.T_cam_points
    corners = box.corners() @ T[:3, :3].T + T[:3, 3]
    corners = corners[corners[:, 2] > 0]
    if len(corners) < 3:
        return None
    uv = corners @ camera.K.T
    uv = uv[:, :2] / uv[:, 2:]
    polygon = uv[ConvexHull(uv).vertices]
    for axis, limit, sign in ((0, 0, 1), (0, camera.width, -1), (1, 0, 1), (1, camera.height, -1)):
        cut = []
        for p, q in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            p_in, q_in = sign * (p[axis] - limit), sign * (q[axis] - limit)
            if p_in >= 0:
                cut.append(p)
            if p_in * q_in < 0:
                cut.append(p + (q - p) * p_in / (p_in - q_in))
        if not cut:
            return None
        polygon = np.array(cut)
    return np.r_[polygon.min(axis=0), polygon.max(axis=0)]


def test_real_keyframe(real_data: Path) -> None:
    root = real_data / "nuscenes"
    scan = open_scan("nuscenes", root)
    frame, labels = scan[0], scan.annotations(0)
    assert frame.points.shape == (34688, 3)
    points = frame.points.astype(np.float64)
    inside = [int(box.contains(points).sum()) for box in labels.boxes]
    assert inside == labels.attributes["num_lidar_pts"].tolist()
    assert (len(inside), sum(inside)) == (69, 1009)
    # The 2D boxes that the source projected by its own code, camera by camera.
    source = json.loads((root / "mmdet3d_info.json").read_text())["data_list"][0]["cam_instances"]
    errors = []
    for view in frame.views:
        ours = [r for box in labels.boxes if (r := hull_in_image(box, view.camera)) is not None]
        for instance in source[view.name.split("/")[1]]:
            errors.append(np.abs(np.array(ours) - instance["bbox"]).max(axis=1).min())
    assert len(errors) == 84
    assert max(errors) < 0.001


@pytest.mark.parametrize("kind, boxes", [("fastestdet", 59), ("gt", 84)])
def test_real_detections_find_their_images(real_data: Path, kind: str, boxes: int) -> None:
    scan = open_scan("nuscenes", real_data / "nuscenes")
    found = CocoDetections.load(real_data / f"detections/nuscenes_{kind}.json")
    assert found.check(scan).matched == 6
    assert sum(len(found.for_image(view.name, 1600, 900)) for view in scan[0].views) == boxes
