"""Waymo in KITTI's layout: five cameras, the exporter's label arithmetic undone, the car's pose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.scan_twins import write_image
from support.waymo_twin import (
    CENTER,
    HEADING,
    IDS,
    POSE,
    SIZE,
    write_waymo,
)

from data_prep import BadDatasetError, BadFrameError, InputError, open_scan


@pytest.fixture
def waymo(tmp_path: Path) -> Path:
    return write_waymo(tmp_path / "kitti_format")


def test_frames(waymo: Path) -> None:
    scan = open_scan("waymo", waymo)
    assert scan.frame_ids() == list(IDS)
    frame = scan[1]
    table = np.fromfile(waymo / "training/velodyne/0000001.bin", "<f4").reshape(-1, 6)
    np.testing.assert_array_equal(frame.points, table[:, :3])
    np.testing.assert_allclose(frame.intensity, np.tanh(table[:, 3]))
    assert frame.intensity.max() <= 1
    np.testing.assert_allclose(frame.T_world_points, POSE)
    assert frame.timestamp == pytest.approx(1_550_083_467.446370)
    assert scan.world_of(1) == "segment 0000"  # 0000001: prefix 0, segment 000, frame 001
    names = [view.name for view in frame.views]
    assert names == ["training/image_0/0000001.png", "training/image_3/0000001.jpg"]
    assert scan.image_names() == ["training/image_0/0000000.png", "training/image_3/0000000.jpg", *names]


def test_projection_is_p_times_tr(waymo: Path) -> None:
    view = open_scan("waymo", waymo, cameras=[3])[0].views[0]
    # The side camera looks to the left of the car (+y): 10 m left, 1 m ahead, at the camera's height.
    uv, depth = view.camera.project(np.array([[1.43 + 1, 0.11 + 10, 2.12]]))
    np.testing.assert_allclose(depth, [10], atol=1e-4)
    np.testing.assert_allclose(uv[0], [200 + 50, 30], atol=1e-2)  # ahead is right in its image


def test_labels_are_upright_in_the_car_although_the_camera_is_tilted(waymo: Path) -> None:
    labels = open_scan("waymo", waymo).annotations(0)
    (box,) = labels.boxes
    assert labels.labels == ("car",)
    np.testing.assert_allclose(box.center, CENTER, atol=1e-4)
    np.testing.assert_allclose(box.size, SIZE)
    assert box.yaw == pytest.approx(HEADING, abs=1e-5)
    np.testing.assert_allclose(box.rotation[:, 2], [0, 0, 1])
    assert labels.attributes["object_id"].tolist() == ["track-7"]


def test_what_an_export_may_leave_out(waymo: Path) -> None:
    for name in ("pose", "timestamp", "label_all"):
        (waymo / "training" / name).rename(waymo / name)
    scan = open_scan("waymo", waymo / "training")
    assert scan[0].timestamp is None
    np.testing.assert_array_equal(scan[0].T_world_points, np.eye(4))
    assert scan.world_of(0) is None
    assert scan.annotations(0) is None


def test_another_exporter_writes_four_columns(tmp_path: Path) -> None:
    write_waymo(tmp_path, columns=4)
    assert open_scan("waymo", tmp_path, columns=4)[0].points.shape == (60, 3)
    with pytest.raises(BadFrameError, match=r"holds negative intensities.*columns=4"):
        open_scan("waymo", tmp_path)[0]


def replace(name: str, text: str) -> Callable[[Path], object]:
    def spoil(base: Path) -> None:
        path = base / "calib/0000000.txt"
        rows = [row for row in path.read_text().splitlines() if not row.startswith(name)]
        path.write_text("\n".join([*rows, text] if text else rows))

    return spoil


BROKEN = {
    "sweep cut short": (lambda b: (b / "velodyne/0000000.bin").write_bytes(b"\0" * 25), "not a positive multiple of 24"),
    "sweep empty": (lambda b: (b / "velodyne/0000000.bin").write_bytes(b""), "holds 0 bytes"),
    "no calibration": (lambda b: (b / "calib/0000000.txt").unlink(), "calibration: is missing"),
    "no P3": (replace("P3", ""), "0000000.txt: P3: is missing"),
    "no Tr": (replace("Tr_velo_to_cam_3", ""), "0000000.txt: Tr_velo_to_cam_3: is missing"),
    "mirrored": (replace("Tr_velo_to_cam_0", "Tr_velo_to_cam_0: 1 0 0 0 0 1 0 0 0 0 -1 0"), "Tr_velo_to_cam_0: is not a rotation"),
    "pose is no rotation": (lambda b: np.savetxt(b / "pose/0000000.txt", 2 * np.eye(4)), "pose: is not a rotation"),
    "pose missing": (lambda b: (b / "pose/0000000.txt").unlink(), "0000000.txt: matrix: is missing"),
    "time is a word": (lambda b: (b / "timestamp/0000000.txt").write_text("now"), "is not a matrix of numbers"),
    "image of zero bytes": (lambda b: (b / "image_0/0000000.png").write_bytes(b""), "image: cannot be read"),
    "image missing": (lambda b: (b / "image_3/0000000.jpg").unlink(), "image_3/0000000.png: image: is missing"),
    "image resized": (lambda b: write_image(b / "image_0/0000000.png", 200, 80), "image size: is 200x80"),
}  # fmt: skip


@pytest.mark.parametrize("spoil, message", BROKEN.values(), ids=BROKEN)
def test_a_bad_frame_is_one_clear_line_and_the_next_is_fine(
    waymo: Path, spoil: Callable, message: str
) -> None:
    spoil(waymo / "training")
    scan = open_scan("waymo", waymo)
    with pytest.raises(BadFrameError) as caught:
        scan[0]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(scan[1].points) == 60


@pytest.mark.parametrize(
    "text", ["Car 0 0", "Car 0 0 -10 1 2 3 4 1 1 one 1 1 1 1", "Car 0 0 -10 1 2 3 4 1 1 -1 1 1 1 1"]
)
def test_a_bad_label_names_its_row(waymo: Path, text: str) -> None:
    (waymo / "training/label_all/0000000.txt").write_text(text)
    with pytest.raises(InputError, match=r"0000000\.txt: 'Car 0 0.*is not a label"):
        open_scan("waymo", waymo).annotations(0)


def test_options_that_cannot_be(waymo: Path) -> None:
    with pytest.raises(BadDatasetError, match=r"cameras: 1 is not there"):
        open_scan("waymo", waymo, cameras=[1])
    with pytest.raises(InputError, match="columns: is 3"):
        open_scan("waymo", waymo, columns=3)
    with pytest.raises(BadDatasetError, match="holds no velodyne folder"):
        open_scan("waymo", waymo / "training/calib")
