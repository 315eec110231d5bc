"""SUN RGB-D: the depth code, the tilt, and VoteNet's points back on their pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat
from scipy.spatial import cKDTree
from support.scan_twins import LOOKING_DOWN, RGBD_K, floor_depth, write_image

from data_prep import BadDatasetError, BadFrameError, InputError, open_scan
from data_prep.geometry import box_iou_2d, box_to_image
from data_prep.scans.formats.mat import read_mat_array

WIDTH, HEIGHT = 64, 48
# x right, y forward, z up from camera axes; the tilt is what remains of the pose.
LEVEL = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
TILT = LOOKING_DOWN[:3, :3] @ LEVEL.T


def write_official(folder: Path, depth: np.ndarray | None = None) -> Path:
    """One official frame folder that sees the floor 1.5 m below."""
    depth = floor_depth(LOOKING_DOWN, RGBD_K, WIDTH, HEIGHT) if depth is None else depth
    millimeters = np.rint(depth * 1000).astype(np.uint16)
    for name, values in (("depth", millimeters), ("depth_bfx", millimeters + 8)):
        (folder / name).mkdir(parents=True)
        Image.fromarray((values << 3) | (values >> 13)).save(folder / name / "0001.png")
    write_image(folder / "image" / "0001.jpg", WIDTH, HEIGHT)
    np.savetxt(folder / "intrinsics.txt", RGBD_K)
    (folder / "extrinsics").mkdir()
    np.savetxt(folder / "extrinsics/20150101.txt", np.c_[TILT, np.zeros(3)])
    return folder


def write_votenet(folder: Path, stem: str = "000001") -> np.ndarray:
    """One VoteNet frame of the same floor; returns its points (N, 6)."""
    depth = floor_depth(LOOKING_DOWN, RGBD_K, WIDTH, HEIGHT)
    image = write_image(folder / "image" / f"{stem}.jpg", WIDTH, HEIGHT)
    image = np.asarray(Image.open(folder / "image" / f"{stem}.jpg"))
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    camera = np.stack([(u - 32) / 60 * depth, (v - 24) / 60 * depth, depth], -1).reshape(-1, 3)
    points = np.c_[camera @ LEVEL.T @ TILT.T, image.reshape(-1, 3) / 255].astype(np.float32)
    for name in ("depth", "calib", "label"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    keep = np.random.default_rng(0).permutation(len(points))[:2000]
    savemat(folder / "depth" / f"{stem}.mat", {"instance": points[keep]})
    K = RGBD_K + [[0, 0, 1], [0, 0, 1], [0, 0, 0]]  # Matlab counts pixels from 1
    np.savetxt(folder / "calib" / f"{stem}.txt", np.stack([TILT.T.ravel(), K.T.ravel()]))
    label = "night_stand 10 11 20 30 0.5 1.5 -1.2 0.25 0.5 0.3 0 1\n"
    (folder / "label" / f"{stem}.txt").write_text(label)
    return points[keep]


def test_official_folder_decodes_depth_and_levels_the_floor(tmp_path: Path) -> None:
    write_official(tmp_path / "SUNRGBD/kv1/set/img_1")
    scan = open_scan("sunrgbd", tmp_path)
    assert scan.frame_ids() == ["SUNRGBD__kv1__set__img_1"]
    frame = scan[0]
    np.testing.assert_allclose(frame.depth, floor_depth(LOOKING_DOWN, RGBD_K, WIDTH, HEIGHT), atol=0.6e-3)
    np.testing.assert_allclose(frame.world_points()[:, 2], -1.5, atol=1e-3)
    assert frame.views[0].name == "SUNRGBD/kv1/set/img_1/image/0001.jpg"
    assert scan.annotations(0) is None


def test_far_depth_survives_the_bit_rotation(tmp_path: Path) -> None:
    depth = np.full((HEIGHT, WIDTH), 60.001)  # 60001 mm needs all sixteen bits
    write_official(tmp_path / "f", depth)
    np.testing.assert_allclose(open_scan("sunrgbd", tmp_path)[0].depth, 60.001, rtol=1e-6)


def test_filled_depth_is_an_option(tmp_path: Path) -> None:
    write_official(tmp_path / "f")
    raw, filled = (open_scan("sunrgbd", tmp_path, depth=name)[0].depth for name in ("depth", "depth_bfx"))
    np.testing.assert_allclose(filled - raw, 0.008, atol=1e-6)
    with pytest.raises(InputError, match="depth or depth_bfx"):
        open_scan("sunrgbd", tmp_path, depth="raw")


def test_frames_are_found_at_any_depth_without_being_read(tmp_path: Path) -> None:
    for name in ("kv2/b/2", "kv1/a/1", "xtion/deep/er/3"):
        write_official(tmp_path / "SUNRGBD" / name)
    (tmp_path / "SUNRGBD/kv1/a/1/image/0001.jpg").write_bytes(b"")
    expected = ["kv1__a__1", "kv2__b__2", "xtion__deep__er__3"]
    assert open_scan("sunrgbd", tmp_path / "SUNRGBD").frame_ids() == expected


def test_votenet_points_return_to_their_pixels(tmp_path: Path) -> None:
    points = write_votenet(tmp_path / "sunrgbd_trainval")
    scan = open_scan("sunrgbd", tmp_path)
    frame = scan[0]
    assert frame.views[0].name == "sunrgbd_trainval/image/000001.jpg"
    distance, index = cKDTree(frame.world_points()).query(points[:, :3])
    assert distance.max() < 1e-5
    assert len(np.unique(index)) == len(frame.points) == 2000
    np.testing.assert_allclose(frame.colors[index] / 255, points[:, 3:], atol=1e-6)
    # Row by row, as everywhere where depth is an image.
    v, u = np.nonzero(frame.depth)
    np.testing.assert_allclose(frame.views[0].camera.project(frame.points)[0], np.stack([u, v], 1), atol=1e-3)


def test_votenet_labels_are_half_sizes_along_their_direction(tmp_path: Path) -> None:
    write_votenet(tmp_path / "sunrgbd_trainval")
    scan = open_scan("sunrgbd", tmp_path / "sunrgbd_trainval")
    labels = scan.annotations(0)
    assert labels.labels == ("night stand",)
    box = labels.boxes[0].transformed(scan[0].T_world_points)
    np.testing.assert_allclose(box.center, [0.5, 1.5, -1.2])
    np.testing.assert_allclose(box.size, [1.0, 0.5, 0.6])  # length, width, height
    np.testing.assert_allclose(box.rotation[:, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(labels.boxes_2d, [[10, 11, 30, 41]])


def test_both_layouts_under_one_root(tmp_path: Path) -> None:
    write_official(tmp_path / "SUNRGBD/kv1/1")
    write_votenet(tmp_path / "sunrgbd_trainval")
    scan = open_scan("sunrgbd", tmp_path)
    assert scan.frame_ids() == ["SUNRGBD__kv1__1", "sunrgbd_trainval__000001"]
    assert [scan.annotations(i) is None for i in range(2)] == [True, False]


def another_calibration(folder: Path) -> None:
    rows = np.loadtxt(folder / "calib/000001.txt")
    rows[0] = np.eye(3).ravel()
    np.savetxt(folder / "calib/000001.txt", rows)


VOTENET_BAD = {
    "calibration of another frame": (another_calibration, "does not put the points on pixels"),
    "no calibration": (lambda f: (f / "calib/000001.txt").unlink(), "000001.txt: matrix: is missing"),
    "one line": (lambda f: (f / "calib/000001.txt").write_text("1 0 0 0 1 0 0 0 1"), "has shape (1, 9)"),
    "no mat": (lambda f: (f / "depth/000001.mat").write_bytes(b"nothing"), "000001.mat: instance: cannot be read"),
    "mat cut short": (
        lambda f: (f / "depth/000001.mat").write_bytes((f / "depth/000001.mat").read_bytes()[:300]), "cannot be read"
    ),
    "other key": (lambda f: savemat(f / "depth/000001.mat", {"points": np.zeros(3)}), "instance: is missing"),
    "no points": (lambda f: savemat(f / "depth/000001.mat", {"instance": np.zeros((0, 6))}), "has shape (0"),
    "resized": (lambda f: write_image(f / "image/000001.jpg", 32, 24), "image size: is 32x24"),
    "enlarged": (lambda f: write_image(f / "image/000001.jpg", 96, 72), "image size: is 96x72"),
}  # fmt: skip


@pytest.mark.parametrize("spoil, message", VOTENET_BAD.values(), ids=VOTENET_BAD)
def test_a_bad_votenet_frame_is_one_clear_line(tmp_path: Path, spoil: object, message: str) -> None:
    write_votenet(tmp_path / "sunrgbd_trainval", "000001")
    write_votenet(tmp_path / "sunrgbd_trainval", "000002")
    spoil(tmp_path / "sunrgbd_trainval")  # type: ignore[operator]
    scan = open_scan("sunrgbd", tmp_path)
    with pytest.raises(BadFrameError) as caught:
        scan[0]
    assert message in str(caught.value)
    assert caught.value.fix
    assert len(scan[1].points) == 2000


OFFICIAL_BAD = {
    "no depth": (lambda f: (f / "depth/0001.png").unlink(), "depth: holds 0 images"),
    "two images": (lambda f: write_image(f / "image/0002.jpg"), "image: holds 2 images"),
    "no tilt": (lambda f: (f / "extrinsics/20150101.txt").unlink(), "extrinsics: holds no tilt"),
    "no rotation": (lambda f: np.savetxt(f / "extrinsics/20150101.txt", np.ones((3, 4))), "extrinsics: is not a rot"),
    "resized": (lambda f: write_image(f / "image/0001.jpg", 32, 24), "is 64x48, the image 32x24"),
}  # fmt: skip


@pytest.mark.parametrize("spoil, message", OFFICIAL_BAD.values(), ids=OFFICIAL_BAD)
def test_a_bad_official_frame_is_one_clear_line(tmp_path: Path, spoil: object, message: str) -> None:
    spoil(write_official(tmp_path / "a"))  # type: ignore[operator]
    write_official(tmp_path / "b")
    scan = open_scan("sunrgbd", tmp_path)
    with pytest.raises(BadFrameError) as caught:
        scan[0]
    assert message in str(caught.value)
    assert caught.value.fix
    assert len(scan[1].points) == WIDTH * HEIGHT


def test_a_bad_label_names_its_line(tmp_path: Path) -> None:
    write_votenet(tmp_path / "sunrgbd_trainval")
    (tmp_path / "sunrgbd_trainval/label/000001.txt").write_text("bed 1 2 3\n")
    with pytest.raises(InputError, match=r"000001\.txt: line 1"):
        open_scan("sunrgbd", tmp_path).annotations(0)


def test_not_a_sunrgbd_folder(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="holds no frames"):
        open_scan("sunrgbd", tmp_path)


def test_real_votenet_points_have_the_colors_of_their_pixels(real_data: Path) -> None:
    scan = open_scan("sunrgbd", real_data / "sunrgbd")
    frame = scan[2]
    given = loadmat(real_data / "sunrgbd/sunrgbd_trainval/depth/000001.mat")["instance"]
    distance, index = cKDTree(frame.world_points()).query(given[:, :3])
    assert distance.max() < 1e-4
    assert len(np.unique(index)) == len(given) == 280_961
    np.testing.assert_array_equal(frame.colors[index], np.rint(given[:, 3:] * 255))


def test_real_votenet_boxes_hold_their_objects(real_data: Path) -> None:
    scan = open_scan("sunrgbd", real_data / "sunrgbd/sunrgbd_trainval")
    labels, frame = scan.annotations(0), scan[0]
    inside = {
        name: int(box.contains(frame.points).sum())
        for name, box in zip(labels.labels, labels.boxes, strict=True)
    }
    assert inside["bed"] > 10_000
    camera = frame.views[0].camera
    ious = [
        box_iou_2d(box_to_image(box, camera)[None], rectangle[None])[0, 0]
        for box, rectangle in zip(labels.boxes, labels.boxes_2d, strict=True)
    ]
    assert 0.2 < min(ious) < max(ious) < 0.85  # the labeled rectangles are loose: 0.25 to 0.80


def test_real_tilt_levels_the_floor(real_data: Path) -> None:
    scan = open_scan("sunrgbd", real_data / "sunrgbd/SUNRGBD")
    medians = [float(np.median(frame.depth[frame.depth > 0])) for frame in scan]
    np.testing.assert_allclose(medians, [1.96, 2.39], atol=0.02)
    frame = scan[1]
    depth, camera, k = frame.depth, frame.views[0].camera, 10  # Kinect noise needs a wide difference
    v, u = np.mgrid[: camera.height, : camera.width]
    grid = camera.unproject_pixels(np.stack([u.ravel(), v.ravel()], 1), depth.ravel()).reshape(
        *depth.shape, 3
    )
    ends = [np.s_[2 * k :, k:-k], np.s_[: -2 * k, k:-k], np.s_[k:-k, 2 * k :], np.s_[k:-k, : -2 * k]]
    south, north, east, west = (grid[end] for end in ends)
    normal = np.cross(south - north, east - west)
    valid = np.logical_and.reduce([depth[end] > 0 for end in ends])
    valid &= (np.linalg.norm(south - north, axis=-1) < 0.3) & (np.linalg.norm(east - west, axis=-1) < 0.3)
    normal = normal[valid] / np.linalg.norm(normal[valid], axis=1, keepdims=True)

    def share_up(tilt: np.ndarray) -> float:
        return float(((normal @ (tilt @ LEVEL)[2]) > np.cos(np.radians(5))).mean())

    tilt = frame.T_world_points[:3, :3] @ LEVEL.T
    assert share_up(tilt) > 0.15
    assert share_up(np.eye(3)) < 0.01
    assert share_up(tilt.T) < 0.01


def test_what_a_file_manager_leaves_behind_is_no_image(tmp_path: Path) -> None:
    write_official(tmp_path / "a")
    for stray in ("image/Thumbs.db", "image/._0001.jpg", "depth/Thumbs.db"):
        (tmp_path / "a" / stray).write_bytes(b"?")
    scan = open_scan("sunrgbd", tmp_path)
    assert scan.image_names() == ["a/image/0001.jpg"] == [scan[0].views[0].name]


@pytest.mark.parametrize("images", [0, 2])
def test_one_odd_folder_does_not_hide_the_names_of_the_others(tmp_path: Path, images: int) -> None:
    write_official(tmp_path / "a")
    write_official(tmp_path / "b")
    (tmp_path / "a/image/0001.jpg").unlink()
    for number in range(images):
        write_image(tmp_path / f"a/image/{number}.jpg", WIDTH, HEIGHT)
    scan = open_scan("sunrgbd", tmp_path)
    assert "b/image/0001.jpg" in scan.image_names()
    with pytest.raises(BadFrameError, match=f"a/image: holds {images} images"):
        scan[0]
    assert len(scan[1].points)


def test_a_file_is_not_a_folder_of_frames(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("?")
    with pytest.raises(BadDatasetError, match="cannot be listed"):
        open_scan("sunrgbd", tmp_path / "a.txt")


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3), np.arange(70_000, dtype="f4"), np.zeros((0, 6), "u1")]
)
def test_matlab_arrays_are_read_as_scipy_does(tmp_path: Path, array: np.ndarray, compressed: bool) -> None:
    others = {"note": "text", "cell": {"a": 1}}
    savemat(tmp_path / "a.mat", {**others, "instance": array}, do_compression=compressed)
    expected = loadmat(tmp_path / "a.mat")["instance"]
    found = read_mat_array(tmp_path / "a.mat", "instance")
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert (found == expected).all()
