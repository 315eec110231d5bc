"""Our own layout: the documented example, hand-written folders, rejected input, and every scan converted and read back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from support.scan_twins import LOOKING_DOWN, RGBD_K, floor_depth, write_image, write_kitti

from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.scans import Annotations3D, Frame, Scan, open_scan
from data_prep.scans.layout.save import save_layout

T_POINTS_CAM = [[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, -0.1], [0, 0, 0, 1]]
CAMERA = {
    "K": [[50, 0, 31.5], [0, 50, 23.5], [0, 0, 1]],
    "width": 64,
    "height": 48,
    "T_points_cam": T_POINTS_CAM,
}
POSE = [[1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0, 1]]
SCAN = {"format": "clip2-scan", "version": 1, "units": "m", "up": "z", "cameras": {"front": CAMERA}}
POINTS = np.array([[10.0, 1, 0.4], [20, -2, 1]], np.float32)
FRAME = {
    "points": "points/2.npz", "T_world_points": POSE, "timestamp": 7.5,
    "views": [{"image": "images/2.png", "camera": "front"}],
    "annotations": [{"label": "car", "center": [10, 1, 0], "size": [4, 2, 1.5], "yaw": 0.5, "attributes": {"track_id": 3}}],
}  # fmt: skip


def write(root: Path, scan: dict | None = None, **frame: object) -> Path:
    """A folder with frames 2 and 10."""
    for folder in ("frames", "points", "depth"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "scan.json").write_text(json.dumps({**SCAN, **(scan or {})}))
    content = {key: value for key, value in {**FRAME, **frame}.items() if value is not None}
    for name in ("2", "10"):
        (root / f"frames/{name}.json").write_text(json.dumps(content))
    np.savez(root / "points/2.npz", points=POINTS)
    write_image(root / "images/2.png", 64, 48)
    return root


def test_the_documented_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/layout.md").read_text(), re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    exec(code[1], {})
    scan = open_scan("layout", tmp_path / "drive")
    assert scan.frame_ids() == ["0", "1", "2"]
    frame = scan[2]
    assert frame.points.shape == (1000, 3)
    assert frame.intensity is not None
    assert (frame.T_world_points[0, 3], frame.timestamp) == (4.0, 0.2)
    # A point 10 m ahead of the camera, which sits 10 cm below the LiDAR, is in the middle of the image.
    uv, depth = frame.views[0].camera.project(np.array([[10.0, 0, -0.1]]))
    np.testing.assert_allclose([*uv[0], depth[0]], [319.5, 239.5, 10])


def test_a_hand_written_frame_means_what_it_says(tmp_path: Path) -> None:
    scan = open_scan("layout", write(tmp_path))
    assert scan.frame_ids() == ["2", "10"]
    frame = scan[0]
    np.testing.assert_array_equal(frame.points, POINTS)
    np.testing.assert_allclose(frame.world_points(), POINTS + [5, 0, 0.5])
    uv, _ = frame.views[0].camera.project(frame.points)
    # 10 m ahead, 1 m to the left, 0.5 m above the camera.
    np.testing.assert_allclose(uv[0], [31.5 - 5, 23.5 - 2.5], rtol=1e-6)
    labels = scan.annotations(0)  # type: ignore[attr-defined]
    assert labels.labels == ("car",)
    assert labels.boxes[0].yaw == pytest.approx(0.5)
    assert labels.attributes["track_id"].tolist() == [3]
    assert scan.image_names() == ["images/2.png"]  # type: ignore[attr-defined]


def test_either_direction_of_a_matrix_is_the_same(tmp_path: Path) -> None:
    camera = {**CAMERA, "T_cam_points": np.linalg.inv(T_POINTS_CAM).tolist()}
    del camera["T_points_cam"]
    a = open_scan("layout", write(tmp_path / "a"))[0]
    other = write(
        tmp_path / "b",
        T_world_points=None,
        T_points_world=np.linalg.inv(POSE).tolist(),
        views=[{"image": "images/2.png", "camera": camera}],
    )
    b = open_scan("layout", other)[0]
    np.testing.assert_allclose(a.T_world_points, b.T_world_points)
    np.testing.assert_allclose(a.views[0].camera.T_points_cam, b.views[0].camera.T_points_cam)


def test_up_is_turned_to_z(tmp_path: Path) -> None:
    frame = open_scan("layout", write(tmp_path, {"up": "-y"}))[0]
    np.testing.assert_allclose(frame.world_points()[:, 2], -POINTS[:, 1])


def test_frames_are_taken_in_the_order_stated(tmp_path: Path) -> None:
    root = write(tmp_path, {"frames": ["10", "2", "gone"]})
    scan = open_scan("layout", root)
    assert scan.frame_ids() == ["10", "2", "gone"]
    with pytest.raises(BadFrameError, match=r"gone\.json: JSON: is missing"):
        scan[2]


@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_depth_alone_makes_the_points(tmp_path: Path, suffix: str) -> None:
    depth = floor_depth(LOOKING_DOWN, RGBD_K, 64, 48).astype(np.float32)
    record: dict = {"file": f"depth/2{suffix}"}
    camera = {**CAMERA, "K": RGBD_K.tolist(), "T_points_cam": np.eye(4).tolist()}
    root = write(
        tmp_path,
        points=None,
        depth=record,
        T_world_points=LOOKING_DOWN.tolist(),
        views=[{"image": "images/2.png", "camera": camera}],
    )
    if suffix == ".png":
        record["units_per_meter"] = 5000
        Image.fromarray(np.rint(depth * 5000).astype(np.uint16)).save(root / "depth/2.png")
        for path in root.glob("frames/*.json"):
            path.write_text(json.dumps({**json.loads(path.read_text()), "depth": record}))
    else:
        np.save(root / "depth/2.npy", depth)
    frame = open_scan("layout", root)[0]
    assert len(frame.points) == 64 * 48
    assert np.abs(frame.world_points()[:, 2]).max() < 3e-4
    np.testing.assert_array_equal(frame.colors, frame.views[0].image.reshape(-1, 3))


def test_a_bin_says_how_many_columns_it_has(tmp_path: Path) -> None:
    root = write(tmp_path, points={"file": "points/2.bin", "columns": 4})
    np.column_stack([POINTS, [0, 1]]).astype("<f4").tofile(root / "points/2.bin")
    frame = open_scan("layout", root)[0]
    np.testing.assert_array_equal(frame.points, POINTS)
    np.testing.assert_array_equal(frame.intensity, [0, 1])


SCANS = {
    "another format": ({"format": "kitti"}, "format: is not a clip2-scan file"),
    "feet": ({"units": "ft"}, "units: Input should be 'm'"),
    "no up": ({"up": "up"}, "up: Input should be 'x'"),
    "misspelt": ({"camera": {}}, "camera: Extra inputs are not permitted"),
    "camera without place": (
        {"cameras": {"front": {k: v for k, v in CAMERA.items() if k != "T_points_cam"}}},
        "cameras.front: states neither T_points_cam nor T_cam_points",
    ),
    "camera mirrored": (
        {"cameras": {"front": {**CAMERA, "T_points_cam": np.diag([1, 1, -1, 1]).tolist()}}},
        "cameras.front: T_points_cam: is not a rotation",
    ),
    "no focal length": ({"cameras": {"front": {**CAMERA, "K": np.zeros((3, 3)).tolist()}}}, "camera.K: is not a 3x3"),
}  # fmt: skip


@pytest.mark.parametrize("changes, complaint", SCANS.values(), ids=SCANS)
def test_a_scan_json_that_cannot_be(tmp_path: Path, changes: dict, complaint: str) -> None:
    with pytest.raises(BadDatasetError) as caught:
        open_scan("layout", write(tmp_path, changes))
    assert str(caught.value).startswith(f"{tmp_path / 'scan.json'}: ")
    assert complaint in str(caught.value)
    assert caught.value.fix


def test_without_scan_json_it_is_no_scan(tmp_path: Path) -> None:
    root = write(tmp_path)
    (root / "scan.json").unlink()
    with pytest.raises(BadDatasetError, match=r"scan\.json: is missing"):
        open_scan("layout", root)
    (root / "scan.json").write_text("{")
    with pytest.raises(BadDatasetError, match=r"scan\.json: JSON: cannot be read"):
        open_scan("layout", root)


def _npz(**arrays: object) -> Callable[[Path], None]:
    return lambda root: np.savez(root / "points/2.npz", **arrays)  # type: ignore[arg-type]


def _nothing(root: Path) -> None:
    pass


DEPTH = {"file": "depth/2.npy"}
FRAMES = {
    "no pose": ({"T_world_points": None}, _nothing, "states neither T_world_points nor T_points_world"),
    "both poses": ({"T_points_world": POSE}, _nothing, "states both T_world_points and T_points_world"),
    "mirrored pose": ({"T_world_points": np.diag([1, 1, -1, 1]).tolist()}, _nothing, "T_world_points: is not a rot"),
    "flat pose": ({"T_world_points": [[1, 0], [0, 1]]}, _nothing, "T_world_points: has shape (2, 2)"),
    "no points": ({"points": None}, _nothing, "states neither points nor depth"),
    "misspelt": ({"timestmap": 1}, _nothing, "timestmap: Extra inputs"),
    "unknown camera": ({"views": [{"image": "images/2.png", "camera": "back"}]}, _nothing, "views.camera: 'back' is not in scan.json"),
    "no image": ({"views": [{"image": "images/3.png", "camera": "front"}]}, _nothing, "3.png: image: is missing"),
    "leaves the folder": ({"views": [{"image": "../2.png", "camera": "front"}]}, _nothing, "'../2.png' leaves the folder"),
    "absolute": ({"points": "/etc/points.npz"}, _nothing, "'/etc/points.npz' leaves the folder"),
    "image of another size": ({}, lambda r: write_image(r / "images/2.png", 32, 48), "is uint8 (48, 32, 3)"),
    "bin without columns": ({"points": "points/2.bin"}, _nothing, '{"file": "points/2.bin", "columns": 4}'),
    "no format of ours": ({"points": "points/2.txt"}, _nothing, "points: ends in '.txt'"),
    "png without scale": ({"depth": {"file": "depth/2.png"}}, _nothing, "depth: units_per_meter belongs to a .png"),
    "depth without view": ({"depth": DEPTH, "views": []}, _nothing, "states depth but no view"),
    "depth in doubles": ({"depth": DEPTH}, lambda r: np.save(r / "depth/2.npy", np.ones((48, 64))), "depth: is not (H, W) float32"),
    "depth with pickles": ({"depth": DEPTH}, lambda r: np.save(r / "depth/2.npy", np.array([{}]), allow_pickle=True), "depth: cannot be read"),
    "camera not at its depth": ({"depth": DEPTH, "points": None}, lambda r: np.save(r / "depth/2.npy", np.ones((48, 64), np.float32)), "views.0.camera.T_points_cam: is not the identity"),
    "array misnamed": ({}, _npz(points=POINTS, color=POINTS), "color: is not an array of it"),
    "no points in it": ({}, _npz(colors=np.zeros((2, 3), np.uint8)), "points: is missing"),
    "colors as floats": ({}, _npz(points=POINTS, colors=POINTS), "colors: is float32 (2, 3)"),
    "colors too few": ({}, _npz(points=POINTS, colors=np.zeros((1, 3), np.uint8)), "colors: is uint8 (1, 3)"),
    "intensity of 255": ({}, _npz(points=POINTS, intensity=np.array([0, 255], np.float32)), "intensity: runs from 0 to 255"),
    "pickled points": ({}, _npz(points=np.array([{}, {}])), "points: cannot be read"),
    "map coordinates": ({}, _npz(points=POINTS + np.float32(5e5)), "points: reaches 500020 m"),
    "cut short": ({}, lambda r: (r / "points/2.npz").write_bytes((r / "points/2.npz").read_bytes()[:90]), "points: cannot be read"),
    "empty": ({}, lambda r: (r / "points/2.npz").write_bytes(b""), "points: cannot be read"),
    "frame is no JSON": ({}, lambda r: (r / "frames/2.json").write_text("{"), "JSON: cannot be read"),
    "frame is a list": ({}, lambda r: (r / "frames/2.json").write_text("[]"), "is not an object"),
    "no points at all": ({}, _npz(points=np.zeros((0, 3), np.float32)), "points: has none"),
}  # fmt: skip


@pytest.mark.parametrize("changes, spoil, complaint", FRAMES.values(), ids=FRAMES)
def test_a_frame_that_cannot_be_is_one_clear_line(
    tmp_path: Path, changes: dict, spoil: Callable[[Path], None], complaint: str
) -> None:
    root = write(tmp_path, **changes)
    spoil(root)
    with pytest.raises(BadFrameError) as caught:
        open_scan("layout", root)[0]
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_boxes_that_do_not_fit_together(tmp_path: Path) -> None:
    box = FRAME["annotations"][0]  # type: ignore[index]
    root = write(tmp_path, annotations=[box, {**box, "attributes": {}}])
    with pytest.raises(InputError, match=r"2\.json: annotations: of 'car' have other attributes"):
        open_scan("layout", root).annotations(0)  # type: ignore[attr-defined]


def assert_same(a: Frame, b: Frame) -> None:
    assert (a.id, a.timestamp) == (b.id, b.timestamp)
    np.testing.assert_array_equal(a.T_world_points, b.T_world_points)
    for name in ("points", "colors", "intensity", "depth"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None), name
        if x is not None:
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
    for v, w in zip(a.views, b.views, strict=True):
        assert v.name == w.name
        assert (v.camera.width, v.camera.height, v.camera.distortion) == (
            w.camera.width,
            w.camera.height,
            w.camera.distortion,
        )
        np.testing.assert_array_equal(v.image, w.image)
        np.testing.assert_array_equal(v.camera.K, w.camera.K)
        np.testing.assert_array_equal(v.camera.T_points_cam, w.camera.T_points_cam)


def assert_same_labels(a: Annotations3D, b: Annotations3D) -> None:
    assert a.labels == b.labels
    assert set(a.attributes) == set(b.attributes)
    for name, column in a.attributes.items():
        np.testing.assert_array_equal(column, b.attributes[name])
    for box, other in zip(a.boxes, b.boxes, strict=True):
        for name in ("center", "size", "rotation"):
            np.testing.assert_array_equal(getattr(box, name), getattr(other, name))


SOURCES: dict[str, Callable[[Path], Scan]] = {
    "room": lambda _: open_scan("procedural", "room", frames=2),
    "perfect room": lambda _: open_scan("procedural", "room", frames=1, noise=False),
    "street": lambda _: open_scan("procedural", "street", frames=2, cameras=("front", "left"), image_size=(320, 180)),
    "kitti": lambda folder: open_scan("kitti", write_kitti(folder)),
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_any_scan_reads_back_as_the_same_frames(tmp_path: Path, source: Callable[[Path], Scan]) -> None:
    scan = source(tmp_path / "source")
    result = save_layout(scan, tmp_path / "out")
    assert (result.written, result.kept, result.bad) == (len(scan), 0, ())
    copy = open_scan("layout", tmp_path / "out")
    assert copy.frame_ids() == scan.frame_ids()
    assert copy.image_names() == scan.image_names()  # type: ignore[attr-defined]
    for i in range(len(scan)):
        assert_same(scan[i], copy[i])
        assert_same_labels(scan.annotations(i), copy.annotations(i))  # type: ignore[attr-defined]


def test_images_of_the_source_are_copied_byte_by_byte(tmp_path: Path) -> None:
    root = write_kitti(tmp_path / "kitti")
    save_layout(open_scan("kitti", root), tmp_path / "out")
    name = "training/image_2/000001.png"
    assert (tmp_path / "out" / name).read_bytes() == (root / name).read_bytes()


def test_a_conversion_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    scan = open_scan("kitti", write_kitti(tmp_path / "kitti", frames=3))

    class Killed(BaseException):
        pass

    def kill(done: int, total: int) -> None:
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        save_layout(scan, tmp_path / "out", on_frame=kill)
    with pytest.raises(BadDatasetError, match="run the same command again"):
        open_scan("layout", tmp_path / "out")
    assert save_layout(scan, tmp_path / "out").kept == 2
    assert open_scan("layout", tmp_path / "out").frame_ids() == scan.frame_ids()
    assert not list((tmp_path / "out").rglob("*.part"))


def test_more_frames_join_those_that_are_there(tmp_path: Path) -> None:
    scan = open_scan("kitti", write_kitti(tmp_path / "kitti", frames=3))
    save_layout(scan, tmp_path / "out", frames=[2])
    assert open_scan("layout", tmp_path / "out").frame_ids() == ["000002"]
    save_layout(scan, tmp_path / "out", frames=[0])
    assert open_scan("layout", tmp_path / "out").frame_ids() == ["000000", "000002"]


def test_bad_frames_are_left_out_and_told(tmp_path: Path) -> None:
    root = write_kitti(tmp_path / "kitti", frames=3)
    (root / "training/image_2/000001.png").write_bytes(b"")
    result = save_layout(open_scan("kitti", root), tmp_path / "out")
    assert result.written == 2
    ((frame, complaint),) = result.bad
    assert frame == "000001"
    assert "000001.png: image" in complaint
    assert len(open_scan("layout", tmp_path / "out")) == 2


def test_folders_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    kitti = open_scan("kitti", write_kitti(tmp_path / "kitti"))
    save_layout(kitti, tmp_path / "out")
    with pytest.raises(InputError, match=r"scan\.json: about: is of another scan"):
        save_layout(open_scan("procedural", "room", frames=1), tmp_path / "out")
    with pytest.raises(InputError, match="is not empty and holds no converted scan"):
        save_layout(kitti, tmp_path / "kitti")


def test_not_one_frame_to_read(tmp_path: Path) -> None:
    root = write_kitti(tmp_path / "kitti", frames=1)
    (root / "training/velodyne/000000.bin").write_bytes(b"")
    with pytest.raises(BadFrameError, match=r"has no frame that can be read.*000000\.bin"):
        save_layout(open_scan("kitti", root), tmp_path / "out")


@pytest.mark.parametrize(
    "source, root, positions",
    [
        ("kitti", "kitti_object", (0, 1)),
        ("rgbd", "rgbd/7scenes_redkitchen", (0,)),
        ("sunrgbd", "sunrgbd", (0, 1)),
    ],
)
def test_real_frames_read_back(
    real_data: Path, tmp_path: Path, source: str, root: str, positions: tuple[int, ...]
) -> None:
    scan = open_scan(source, real_data / root)
    save_layout(scan, tmp_path / "out", frames=positions)
    copy = open_scan("layout", tmp_path / "out")
    for k, i in enumerate(positions):
        assert_same(scan[i], copy[k])
