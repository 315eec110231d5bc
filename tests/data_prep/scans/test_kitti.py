"""KITTI object frames: the official projection, the official boxes, and what is wrong with a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.scan_twins import CAR, P2, R0, TR, write_calibration, write_image, write_kitti, write_sweep

from data_prep import BadDatasetError, BadFrameError, InputError, open_scan
from data_prep.geometry import box_iou_2d, box_to_image
from data_prep.scans.formats.images import require_centered


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    return write_kitti(tmp_path / "kitti")


def official_projection(points: np.ndarray) -> np.ndarray:
    """Pixel = P2 · R0_rect · Tr · [x y z 1], as the dataset's readme has it."""
    homogeneous = np.c_[points, np.ones(len(points))]
    uvw = P2 @ np.vstack([R0 @ TR @ homogeneous.T, np.ones(len(points))])
    return (uvw[:2] / uvw[2]).T


def test_frame_has_points_intensity_and_image(kitti: Path) -> None:
    scan = open_scan("kitti", kitti)
    assert scan.frame_ids() == ["000000", "000001"]
    frame = scan[-1]
    sweep = np.fromfile(kitti / "training/velodyne/000001.bin", "<f4").reshape(-1, 4)
    np.testing.assert_array_equal(frame.points, sweep[:, :3])
    np.testing.assert_array_equal(frame.intensity, sweep[:, 3])
    assert frame.colors is None
    assert frame.views[0].name == "training/image_2/000001.png"
    np.testing.assert_array_equal(frame.T_world_points, np.eye(4))


def test_projection_is_the_official_product(kitti: Path) -> None:
    points = np.random.default_rng(0).uniform([3, -20, -2], [70, 20, 3], (200, 3))
    uv, depth = open_scan("kitti", kitti)[0].views[0].camera.project(points)
    np.testing.assert_allclose(uv, official_projection(points), atol=1e-6)
    np.testing.assert_allclose(depth, points[:, 0] - 0.27 + 0.003)


def test_labels_become_boxes_around_their_geometric_center(kitti: Path) -> None:
    labels = open_scan("kitti", kitti).annotations(0)
    assert labels.labels == ("car", "person sitting")
    car, person = labels.boxes
    # Bottom center (2, 1.5, 10) in the camera, 1.5 m high: center at camera y = 0.75. Undo Tr by hand:
    # velodyne x = z + 0.27, y = -x, z = -(y + 0.08).
    np.testing.assert_allclose(car.center, [10.27, -2, -0.83])
    np.testing.assert_allclose(car.size, [4.0, 1.6, 1.5])
    # ry = 0: the car's length lies along camera x, which is velodyne -y; its height along velodyne z.
    np.testing.assert_allclose(car.rotation[:, 0], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(car.rotation[:, 2], [0, 0, 1], atol=1e-12)
    # ry = -90 degrees: the length points away from the camera, velodyne +x.
    np.testing.assert_allclose(person.rotation[:, 0], [1, 0, 0], atol=1e-12)
    assert np.linalg.det(person.rotation) == pytest.approx(1)
    np.testing.assert_allclose(labels.boxes_2d[0], [10, 20, 110, 80])
    assert labels.attributes["occluded"].tolist() == [1, 0]


def test_root_may_be_the_split_folder(kitti: Path) -> None:
    scan = open_scan("kitti", kitti / "training")
    assert scan[0].views[0].name == "image_2/000000.png"
    assert len(scan.annotations(0)) == 2


def test_testing_split_has_no_labels(tmp_path: Path) -> None:
    scan = open_scan("kitti", write_kitti(tmp_path, split="testing"), split="testing")
    assert scan[0].points.shape == (50, 3)
    assert scan.annotations(0) is None


def test_opening_reads_no_frame(kitti: Path) -> None:
    (kitti / "training/velodyne/000000.bin").write_bytes(b"")
    assert len(open_scan("kitti", kitti)) == 2


def test_points_that_are_not_finite_are_dropped_with_their_intensity(kitti: Path) -> None:
    sweep = write_sweep(kitti / "training/velodyne/000000.bin", 6)
    sweep[1, 0], sweep[4, 2] = np.nan, np.inf
    sweep.tofile(kitti / "training/velodyne/000000.bin")
    frame = open_scan("kitti", kitti)[0]
    np.testing.assert_array_equal(frame.points, sweep[[0, 2, 3, 5], :3])
    np.testing.assert_array_equal(frame.intensity, sweep[[0, 2, 3, 5], 3])


@pytest.mark.parametrize("scale", [0.5, 0.7, 0.75, 0.8, 1.3, 1.5, 2.0])
def test_resized_images_are_noticed(kitti: Path, scale: float) -> None:
    write_image(kitti / "training/image_2/000000.png", round(400 * scale), round(160 * scale))
    scan = open_scan("kitti", kitti)
    with pytest.raises(BadFrameError, match=r"000000\.png: image size: is .* principal point"):
        scan[0]
    assert len(scan[1].points)


# K of rectified real cameras, and the size of their images: how far off center they are is a fact to live with.
REAL_CAMERAS = {
    "KITTI 26 September": (609.5593, 172.854, 1242, 375),
    "KITTI 29 September": (600.3891, 181.5122, 1238, 374),
    "KITTI-360": (682.0495, 238.7695, 1408, 376),
    "nuScenes, back left": (826.6, 501.2, 1600, 900),
    "TUM freiburg1": (318.6, 255.3, 640, 480),
    "SUN RGB-D, RealSense": (362.78, 264.76, 681, 531),
}


@pytest.mark.parametrize("cx, cy, width, height", REAL_CAMERAS.values(), ids=REAL_CAMERAS)
def test_cameras_as_they_are_built_pass(kitti: Path, cx: float, cy: float, width: int, height: int) -> None:
    K = np.array([[700.0, 0, cx], [0, 700, cy], [0, 0, 1]])
    require_centered(K, width, height, Path("a.png"))
    for scale in (0.75, 1.5):
        with pytest.raises(BadFrameError, match="resized or cropped copy"):
            require_centered(K, round(width * scale), round(height * scale), Path("a.png"))


def test_the_size_that_a_camera_of_kitti_took_is_known(kitti: Path) -> None:
    path = kitti / "training/calib/000000.txt"
    P = "721.5377 0 609.5593 44.85728 0 721.5377 172.854 0.2163791 0 0 1 0.002745884"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([f"P2: {P}", *lines[1:]]))
    image = kitti / "training/image_2/000000.png"
    write_image(image, 1242, 375)
    assert open_scan("kitti", kitti)[0].views[0].camera.width == 1242
    for scale in (0.9, 1.1):  # too little for the principal point to tell
        write_image(image, round(1242 * scale), round(375 * scale))
        with pytest.raises(BadFrameError, match="the camera of its calibration took 1242x375"):
            open_scan("kitti", kitti)[0]


def cut_short(folder: Path) -> None:
    path = folder / "velodyne/000000.bin"
    path.write_bytes(path.read_bytes()[:-3])


def drop_key(key: str):
    def spoil(folder: Path) -> None:
        path = folder / "calib/000000.txt"
        path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith(key)))

    return spoil


def replace_row(key: str, values: str):
    def spoil(folder: Path) -> None:
        drop_key(key)(folder)
        with (folder / "calib/000000.txt").open("a") as file:
            file.write(f"\n{key}: {values}\n")

    return spoil


def truncate_image(folder: Path) -> None:
    path = folder / "image_2/000000.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


SPOILED = {
    "sweep cut short": (cut_short, "000000.bin: points: holds 797 bytes"),
    "sweep empty": (lambda f: (f / "velodyne/000000.bin").write_bytes(b""), "000000.bin: points: holds 0 bytes"),
    "sweep all NaN": (
        lambda f: np.full((9, 4), np.nan, "<f4").tofile(f / "velodyne/000000.bin"),
        "000000.bin: points: holds no finite point",
    ),
    "no calibration": (lambda f: (f / "calib/000000.txt").unlink(), "000000.txt: calibration: is missing"),
    "no P2": (drop_key("P2"), "000000.txt: P2: is missing"),
    "no R0_rect": (drop_key("R0_rect"), "R0_rect / R_rect: is missing"),
    "no Tr": (drop_key("Tr_velo"), "Tr_velo_to_cam / Tr_velo_cam: is missing"),
    "mirrored": (replace_row("R0_rect", "1 0 0 0 1 0 0 0 -1"), "000000.txt: R0_rect: is not a rotation"),
    "scaled": (replace_row("R0_rect", "2 0 0 0 2 0 0 0 2"), "000000.txt: R0_rect: is not a rotation"),
    "too few numbers": (replace_row("R0_rect", "1 0 0"), "R0_rect: is not 9 numbers"),
    "words": (replace_row("P2", " ".join(["x"] * 12)), "P2: is not 12 numbers"),
    "NaN": (replace_row("P2", " ".join(["nan"] * 12)), "P2: holds values that are not finite"),
    "no focal length": (replace_row("P2", " ".join(["0"] * 12)), "P2: is not a 3x3 matrix with positive focal lengths"),
    "image cut short": (truncate_image, "000000.png: image: cannot be read"),
    "image is text": (lambda f: (f / "image_2/000000.png").write_text("hello"), "000000.png: image: cannot be read"),
    "no image": (lambda f: (f / "image_2/000000.png").unlink(), "000000.png: image: is missing"),
    "image resized": (lambda f: write_image(f / "image_2/000000.png", 200, 80), "image size: is 200x80, but its camera"),
}  # fmt: skip


@pytest.mark.parametrize("spoil, message", SPOILED.values(), ids=SPOILED)
def test_a_bad_frame_is_one_clear_line_and_the_next_is_fine(kitti: Path, spoil: object, message: str) -> None:
    spoil(kitti / "training")  # type: ignore[operator]
    scan = open_scan("kitti", kitti)
    with pytest.raises(BadFrameError) as caught:
        scan[0]
    assert message in str(caught.value)
    assert "Fix: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(scan[1].points) == 50


@pytest.mark.parametrize(
    "text, complaint",
    [
        (CAR.replace("4.0", "-4.0"), "is no box"),
        (CAR.replace("4.0", "nan"), "is no box"),
        (CAR.replace("4.0", "four"), "is not a label"),
        (" ".join(CAR.split()[:-1]), "has 14 fields"),
    ],
)
def test_a_bad_label_names_its_line(kitti: Path, text: str, complaint: str) -> None:
    (kitti / "training/label_2/000000.txt").write_text(text)
    with pytest.raises(InputError, match=complaint):
        open_scan("kitti", kitti).annotations(0)


def test_not_a_kitti_folder(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="training/velodyne"):
        open_scan("kitti", tmp_path)
    (tmp_path / "training/velodyne").mkdir(parents=True)
    with pytest.raises(BadDatasetError, match="holds no frames"):
        open_scan("kitti", tmp_path)
    write_calibration(tmp_path / "training/calib/000000.txt")
    with pytest.raises(BadDatasetError, match="does not exist"):
        open_scan("kitti", tmp_path / "absent")


def test_past_the_end(kitti: Path) -> None:
    with pytest.raises(IndexError):
        open_scan("kitti", kitti)[2]


@pytest.mark.parametrize("source, folder", [("kitti", "kitti_object"), ("kitti-tracking", "kitti_tracking")])
def test_real_boxes_land_on_their_labeled_rectangles(real_data: Path, source: str, folder: str) -> None:
    scan = open_scan(source, real_data / folder)
    ious = []
    for i in range(len(scan)):
        camera = scan[i].views[0].camera
        labels = scan.annotations(i)
        for box, rectangle in zip(labels.boxes, labels.boxes_2d, strict=True):
            ious.append(box_iou_2d(box_to_image(box, camera)[None], rectangle[None])[0, 0])
    assert len(ious) == {"kitti": 6, "kitti-tracking": 63}[source]
    assert np.mean(ious) > 0.95


def test_real_sweeps_hold_the_published_counts(real_data: Path) -> None:
    scan = open_scan("kitti", real_data / "kitti_object")
    in_image, in_boxes = [], []
    for i, frame in enumerate(scan):
        camera = frame.views[0].camera
        in_image.append(camera.in_image(camera.project(frame.points)[0]).sum())
        in_boxes += [box.contains(frame.points).sum() for box in scan.annotations(i).boxes]
        assert 115_000 < len(frame.points) < 127_000
    assert 18_500 < min(in_image) < max(in_image) < 20_400
    assert (min(in_boxes), max(in_boxes)) == (9, 1351)
