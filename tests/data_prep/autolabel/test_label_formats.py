"""Label formats: what is written is read back by each format's own rules, to a millimeter and a milliradian."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from scipy.spatial.transform import Rotation
from support.label_stand_ins import label, labeled
from support.nuscenes_twin import NuscenesTwin
from support.rgbd_twins import picture
from support.scan_twins import P2, write_kitti, write_kitti_tracking

from data_prep import Camera, Frame, InputError, OrientedBox, Scan, open_scan
from data_prep.autolabel import FORMATS, LabeledFrame
from data_prep.autolabel.sequences import sequence_places
from data_prep.geometry import box_to_image, invert

MILLI = 1.1e-3
CAR = OrientedBox.from_yaw([12.0, 1.5, -0.9], [4.2, 1.7, 1.5], 0.4)
CONE = OrientedBox.from_yaw([9.0, -1.0, -1.3], [0.4, 0.4, 0.75], -2.0)


def write(name: str, folder: Path, scan: Scan, *frames: LabeledFrame) -> Path:
    folder.mkdir()
    FORMATS[name]().write(folder, scan, frames)
    return folder


def same_box(found: OrientedBox, true: OrientedBox) -> bool:
    turn = found.rotation.T @ true.rotation
    return bool(
        np.abs(found.center - true.center).max() < MILLI
        and np.abs(found.size - true.size).max() < MILLI
        and np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)) < MILLI
    )


# --- KITTI ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    return write_kitti(tmp_path / "kitti")


def test_kitti_labels_are_read_by_the_kitti_reader(kitti: Path, tmp_path: Path) -> None:
    scan = open_scan("kitti", kitti)
    person = OrientedBox.from_yaw([8.0, 0.5, -0.8], [0.8, 0.6, 1.8], -3.0)
    frame = labeled(scan, 0, label(CAR), label(person, "person", occluded=0.3))
    out = write("kitti", tmp_path / "out", scan, frame, labeled(scan, 1))
    assert sorted(path.name for path in out.iterdir()) == ["label_2"]  # the scan has its own calibration
    for path in (out / "label_2").iterdir():
        (kitti / "training/label_2" / path.name).write_text(path.read_text())
    found = scan.annotations(0)
    assert found.labels == ("car", "pedestrian")
    assert same_box(found.boxes[0], CAR)
    assert same_box(found.boxes[1], person)
    assert found.attributes["occluded"].tolist() == [0, 1]
    np.testing.assert_allclose(found.boxes_2d[0], [10, 20, 50, 60])
    assert len(scan.annotations(1)) == 0


def test_kitti_line_has_the_official_fields(kitti: Path, tmp_path: Path) -> None:
    scan = open_scan("kitti", kitti)
    beside = OrientedBox.from_yaw([9.0, 3.0, -0.9], [4.0, 1.6, 1.5], np.pi / 2)
    out = write("kitti", tmp_path / "out", scan, labeled(scan, 0, label(beside)))
    fields = (out / "label_2/000000.txt").read_text().split()
    assert len(fields) == 16
    height, width, length, x, y, z, turn, score = map(float, fields[8:])
    # By hand: camera x = -y, y = -(z + 0.08), z = x - 0.27; the position is the middle of the bottom face.
    assert (x, z, score) == (-3.0, 8.73, 0.75)
    assert y == pytest.approx(0.9 - 0.08 + 0.75)
    # Heading left in velodyne axes is camera -x: ry = pi. Its observation angle takes the direction to it off.
    assert abs(abs(turn) - np.pi) < 1e-3
    assert float(fields[3]) == pytest.approx(np.arctan2(3.0, 8.73) - np.pi, abs=1e-3)
    assert (height, width, length) == (1.5, 1.6, 4.0)
    assert 0.2 < float(fields[1]) < 0.9  # it reaches out of the image on the left


def test_kitti_tracking_labels_are_read_by_the_tracking_reader(tmp_path: Path) -> None:
    root = write_kitti_tracking(tmp_path / "tracking")
    scan = open_scan("kitti-tracking", root)
    frames = [labeled(scan, n, label(CAR, track=5)) for n in (0, 1)]
    out = write("kitti", tmp_path / "out", scan, *frames, labeled(scan, 2))
    assert (out / "label_02/0003.txt").read_text() == ""
    for path in (out / "label_02").iterdir():
        (root / "training/label_02" / path.name).write_text(path.read_text())
    again = open_scan("kitti-tracking", root)
    for n in (0, 1):
        assert same_box(again.annotations(n).boxes[0], CAR)
        assert again.annotations(n).attributes["track_id"].tolist() == [5]


def test_other_scans_get_a_calibration_that_fits_their_kitti_labels(tmp_path: Path) -> None:
    twin = NuscenesTwin(tmp_path / "nuscenes")
    scan = open_scan("nuscenes", twin.root)
    frame = scan[0]
    ahead = OrientedBox.from_yaw([0, 15, -1], [4, 1.8, 1.5], 1.2).transformed(frame.T_world_points)
    behind = OrientedBox.from_yaw([0, -15, -1], [4, 1.8, 1.5], 1.2).transformed(frame.T_world_points)
    out = write("kitti", tmp_path / "out", scan, labeled(scan, 0, label(ahead), label(behind, views=(1,))))
    (line,) = (out / f"label_2/{frame.id}.txt").read_text().splitlines()  # the front camera alone
    rows = dict(line.split(": ") for line in (out / f"calib/{frame.id}.txt").read_text().splitlines())
    P, T = (np.array(rows[name].split(), float).reshape(3, 4) for name in ("P2", "Tr_velo_to_cam"))
    bottom = ahead.transformed(invert(frame.T_world_points)).center - [0, 0, 0.75]
    np.testing.assert_allclose(np.array(line.split()[11:14], float), T @ [*bottom, 1], atol=0.05)
    uv = frame.views[0].camera.project(bottom[None])[0][0]
    u, v, w = P @ [*(T @ [*bottom, 1]), 1]
    np.testing.assert_allclose([u / w, v / w], uv, atol=1e-3)


# --- nuScenes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def twin(tmp_path: Path) -> NuscenesTwin:
    return NuscenesTwin(tmp_path / "nuscenes")


def test_nuscenes_tables_are_read_by_the_nuscenes_reader(twin: NuscenesTwin, tmp_path: Path) -> None:
    scan = open_scan("nuscenes", twin.root)
    parked = OrientedBox.from_yaw([405, 1185, 0.75], [4.4, 1.9, 1.6], 2.5)
    cone = OrientedBox.from_yaw([402, 1180, 0.4], [0.4, 0.3, 0.8], -1)
    frames = [labeled(scan, n, label(parked, track=3)) for n in (0, 1)]
    frames += [
        labeled(scan, 2, label(parked, track=3), label(cone, "traffic cone", track=4)),
        labeled(scan, 3),
    ]
    out = write("nuscenes", tmp_path / "out", scan, *frames)
    (out / "samples").symlink_to(twin.root / "samples")
    again = open_scan("nuscenes", out)
    for n, count in enumerate((1, 1, 2)):
        found, T = again.annotations(n), again[n].T_world_points
        assert len(found) == count
        assert same_box(found.boxes[0].transformed(T), parked)
        assert found.attributes["num_lidar_pts"][0] == 40
    assert found.labels == ("car", "traffic cone")
    assert same_box(found.boxes[1].transformed(T), cone)
    assert len(again.annotations(3)) == 0
    rows = json.loads((out / twin.version / "sample_annotation.json").read_text())
    chain = {row["token"]: row for row in rows if row["translation"] == parked.center.tolist()}
    (first,) = [row for row in chain.values() if not row["prev"]]
    seen = [first["sample_token"]]
    while first["next"]:
        first = chain[first["next"]]
        seen.append(first["sample_token"])
    assert seen == [f"scene-0001-sample-{k}" for k in range(3)]


def test_nuscenes_results_follow_the_devkits_rules(twin: NuscenesTwin, tmp_path: Path) -> None:
    scan = open_scan("nuscenes", twin.root)
    box = OrientedBox.from_yaw([405, 1185, 0.75], [4.4, 1.9, 1.6], 2.5)
    frame = labeled(scan, 0, label(box, track=3), label(box, "traffic cone", track=4))
    out = write("nuscenes", tmp_path / "out", scan, frame, labeled(scan, 1))
    detected = json.loads((out / "results_nusc.json").read_text())
    assert set(detected["meta"]) == {"use_camera", "use_lidar", "use_radar", "use_map", "use_external"}
    assert detected["results"]["scene-0001-sample-1"] == []
    one, cone = detected["results"]["scene-0001-sample-0"]
    assert one["sample_token"] == "scene-0001-sample-0"
    assert one["size"] == [1.9, 4.4, 1.6]  # width, length, height
    w, x, y, z = one["rotation"]
    assert Rotation.from_quat([x, y, z, w]).as_euler("zyx")[0] == pytest.approx(2.5)
    assert (one["detection_name"], one["detection_score"], one["attribute_name"]) == ("car", 0.75, "")
    assert cone["detection_name"] == "traffic_cone"
    assert len(one["velocity"]) == 2
    tracked = json.loads((out / "tracking_results_nusc.json").read_text())["results"]
    (one,) = tracked["scene-0001-sample-0"]  # cones are no class of the tracking task
    assert (one["tracking_id"], one["tracking_name"], one["tracking_score"]) == ("3", "car", 0.75)


def test_a_barrier_faces_across_its_long_side(twin: NuscenesTwin, tmp_path: Path) -> None:
    """As in the dataset's own labels, where a barrier is about 2 m wide and 0.6 m long."""
    scan = open_scan("nuscenes", twin.root)
    long = OrientedBox.from_yaw([405, 1185, 0.5], [2.0, 0.6, 1.0], 0.5)
    out = write("nuscenes", tmp_path / "out", scan, labeled(scan, 0, label(long, "barrier")))
    (one,) = json.loads((out / "results_nusc.json").read_text())["results"]["scene-0001-sample-0"]
    assert one["size"] == [2.0, 0.6, 1.0]
    w, x, y, z = one["rotation"]
    found = OrientedBox(one["translation"], [0.6, 2.0, 1.0], Rotation.from_quat([x, y, z, w]).as_matrix())
    near = np.linalg.norm(found.corners()[:, None] - long.corners(), axis=2).min(axis=1)
    assert near.max() < MILLI


# --- COCO with 3D boxes --------------------------------------------------------------------------------------------


def test_coco3d_is_read_by_pycocotools_and_its_boxes_by_omni3ds_rules(kitti: Path, tmp_path: Path) -> None:
    scan = open_scan("kitti", kitti)
    frame = labeled(scan, 0, label(CAR, track=9), label(CONE, "traffic cone"))
    out = write("coco3d", tmp_path / "out", scan, frame, labeled(scan, 1))
    coco = COCO(str(out / "coco3d.json"))
    assert [image["file_path"] for image in coco.loadImgs([1, 2])] == scan.image_names()
    np.testing.assert_allclose(coco.imgs[1]["K"], P2[:, :3])
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["car", "traffic cone"]
    assert coco.getAnnIds(imgIds=[2]) == []
    camera = scan[0].views[0].camera
    for annotation, true in zip(coco.loadAnns(coco.getAnnIds(imgIds=[1])), (CAR, CONE), strict=True):
        # DATA.md: dimensions are width, height, length; the object's own axes are length, height (down), width.
        width, height, length = annotation["dimensions"]
        R = np.array(annotation["R_cam"])
        assert np.linalg.det(R) == pytest.approx(1)
        rotation = np.column_stack([R[:, 0], R[:, 2], -R[:, 1]])
        found = OrientedBox(annotation["center_cam"], [length, width, height], rotation)
        assert same_box(found.transformed(camera.T_points_cam), true)
        corners = np.array(annotation["bbox3D_cam"])
        assert np.linalg.norm(corners[1] - corners[0]) == pytest.approx(length)
        assert np.linalg.norm(corners[3] - corners[0]) == pytest.approx(height)
        assert np.linalg.norm(corners[4] - corners[0]) == pytest.approx(width)
        assert (corners[[2, 3, 6, 7], 1] > corners[[1, 0, 5, 4], 1]).all()  # the bottom is below in the image
        np.testing.assert_allclose(corners.mean(axis=0), annotation["center_cam"])
        np.testing.assert_allclose(annotation["bbox2D_trunc"], box_to_image(true, camera))
        assert annotation["bbox"] == [10, 20, 40, 40]
        assert annotation["behind_camera"] is False
    assert [a["track_id"] for a in coco.loadAnns([1, 2])] == [9, -1]


# --- OpenPCDet -----------------------------------------------------------------------------------------------------


class CustomDataset:
    """The rules of OpenPCDet's class of that name, after its tutorial: which files it opens and what it takes from them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def ids(self, split: str) -> list[str]:
        return (self.root / "ImageSets" / f"{split}.txt").read_text().split("\n")[:-1]

    def points(self, id: str) -> np.ndarray:
        points = np.load(self.root / "points" / f"{id}.npy")
        assert points.dtype == np.float32
        assert points.shape[1] == 4
        return points

    def boxes(self, id: str) -> tuple[np.ndarray, list[str]]:
        rows = [line.split(" ") for line in (self.root / "labels" / f"{id}.txt").read_text().splitlines()]
        boxes = np.array([row[:-1] for row in rows], dtype=np.float32)
        return boxes[:, :7], [row[-1] for row in rows]  # which fails for a file without boxes


def test_openpcdet_finds_points_boxes_and_classes(kitti: Path, tmp_path: Path) -> None:
    scan = open_scan("kitti", kitti)
    frame = labeled(scan, 0, label(CAR), label(CONE, "traffic cone"))
    found = CustomDataset(write("openpcdet", tmp_path / "out", scan, frame, labeled(scan, 1)))
    assert found.ids("train") == ["000000"]  # no box, no label file: the reader would fail
    assert found.ids("val") == ["000000"]
    np.testing.assert_array_equal(found.points("000000")[:, :3], scan[0].points)
    np.testing.assert_array_equal(found.points("000000")[:, 3], scan[0].intensity)
    boxes, names = found.boxes("000000")
    assert names == ["car", "traffic_cone"]
    for row, true in zip(boxes.astype(np.float64), (CAR, CONE), strict=True):
        assert same_box(OrientedBox.from_yaw(row[:3], row[3:6], row[6]), true)


class OneFrame(Scan):
    """An RGB-D frame looking 30 degrees down, a wall in front of it."""

    source, root = "one", Path("/nowhere")

    def frame_ids(self) -> list[str]:
        return ["0"]

    def __getitem__(self, index: int) -> Frame:
        camera = Camera(np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), 64, 48)
        down = Rotation.from_euler("x", -120, degrees=True).as_matrix()
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = down, [5, 6, 1.4]
        return Frame.from_depth("0", camera, np.asarray(picture()), np.full((48, 64), 2.0), T)


def test_openpcdet_points_of_a_camera_are_turned_until_z_is_up(tmp_path: Path) -> None:
    scan = OneFrame()
    chair = OrientedBox.from_yaw([5.2, 7.5, 0.45], [0.5, 0.6, 0.9], 0.7)
    found = CustomDataset(write("openpcdet", tmp_path / "out", scan, labeled(scan, 0, label(chair, "chair"))))
    ((row,), _) = found.boxes("0")
    points = found.points("0")[:, :3]
    assert row[2] == pytest.approx(0.45 - 1.4, abs=MILLI)  # heights below the camera
    np.testing.assert_allclose(points[:, 2], scan[0].world_points()[:, 2] - 1.4, atol=1e-5)
    # The box is where it was among the points.
    box = OrientedBox.from_yaw(row[:3], row[3:6], row[6])
    before = np.linalg.norm(scan[0].world_points() - chair.center, axis=1)
    np.testing.assert_allclose(np.linalg.norm(points - box.center, axis=1), before, atol=2e-3)


# --- all -----------------------------------------------------------------------------------------------------------


def test_an_unknown_format_is_one_line_that_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'kity' is unknown\. Fix: did you mean 'kitti'"):
        FORMATS["kity"]


def test_fixed_formats_know_their_classes_and_free_ones_any_label() -> None:
    assert FORMATS["kitti"]().class_of("person") == "Pedestrian"
    assert FORMATS["kitti"]().class_of("sofa") is None
    assert FORMATS["nuscenes"]().class_of("traffic cone") == "traffic_cone"
    assert FORMATS["openpcdet"]().class_of("sofa") == "sofa"


def test_sequences_are_kittis_own_or_the_worlds_of_a_scan(twin: NuscenesTwin, tmp_path: Path) -> None:
    tracking = open_scan("kitti-tracking", write_kitti_tracking(tmp_path / "tracking"))
    assert sequence_places(tracking, [1, 2]) == {"0000_000002": ("0000", 2), "0003_000005": ("0003", 5)}
    scenes = open_scan("nuscenes", twin.root)
    assert sequence_places(scenes, [2, 3]) == {
        "scene-0001-sample-2": ("0000", 2),
        "scene-0002-sample-0": ("0001", 0),
    }
