"""Posed RGB-D: a floor seen through any convention comes out at z = 0, or the reader asks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.posed_twin import HEIGHT, STATED, WIDTH, write_depth, write_generic, write_seven_scenes
from support.scan_twins import LOOKING_DOWN, RGBD_K, floor_depth, write_image

from data_prep import BadDatasetError, BadFrameError, Frame, open_scan
from data_prep.geometry import rigid, rotation_between


def assert_floor(frame: Frame, tolerance: float) -> None:
    height = frame.world_points()[:, 2]
    assert len(height) == WIDTH * HEIGHT
    np.testing.assert_allclose(height, 0, atol=tolerance)


@pytest.mark.parametrize("direction", ["camera_to_world", "world_to_camera"])
@pytest.mark.parametrize("scale", [1000, 5000.0])
@pytest.mark.parametrize("up", ["z", "y", "-y", "-x", [0.1, -0.9, 0.4]])
def test_whatever_the_convention_the_floor_is_at_zero(
    tmp_path: Path, direction: str, scale: float, up: str | list[float]
) -> None:
    axis = dict(zip("xyz", np.eye(3), strict=True))
    vector = np.array(up) if isinstance(up, list) else axis[up[-1]] * (-1 if up[0] == "-" else 1)
    statement = {"depth_scale": scale, "pose_direction": direction, "up": up}
    root = write_generic(tmp_path / "scan", statement, rigid(rotation_between([0, 0, 1], vector)))
    for frame in open_scan("rgbd", root):
        assert_floor(frame, tolerance=0.6 / scale)


def test_frame_is_the_unprojected_depth_in_camera_axes(tmp_path: Path) -> None:
    root = write_generic(tmp_path / "scan")
    depth = floor_depth(LOOKING_DOWN, RGBD_K, WIDTH, HEIGHT)
    depth[:, 0], depth[5, 7] = 0, 65.535
    write_depth(root / "depth/2.png", depth, 1000)
    scan = open_scan("rgbd", root)
    assert scan.frame_ids() == ["2", "9", "10"]
    frame = scan[0]
    assert frame.depth.shape == (HEIGHT, WIDTH)
    assert frame.depth[5, 7] == 0
    assert len(frame.points) == (frame.depth > 0).sum() == (WIDTH - 1) * HEIGHT - 1
    np.testing.assert_allclose(frame.points[:, 2], frame.depth[frame.depth > 0])
    uv, _ = frame.views[0].camera.project(frame.points)
    pixels = np.rint(uv).astype(int)
    np.testing.assert_allclose(uv, pixels, atol=1e-3)
    np.testing.assert_array_equal(frame.colors, frame.views[0].image[pixels[:, 1], pixels[:, 0]])
    assert frame.views[0].name == "color/2.png"


def test_far_depth_is_dropped_where_stated(tmp_path: Path) -> None:
    root = write_generic(tmp_path / "scan", {**STATED, "max_depth": 1.7})
    frame = open_scan("rgbd", root)[0]
    assert 0 < len(frame.points) < WIDTH * HEIGHT
    assert frame.points[:, 2].max() <= 1.7


def test_distorted_images_are_undistorted_on_the_way_to_points(tmp_path: Path) -> None:
    lens = {"model": "radtan", "coefficients": [0.05, -0.02, 0.001, 0.001]}
    frame = open_scan("rgbd", write_generic(tmp_path / "scan", {**STATED, "distortion": lens}))[0]
    uv, _ = frame.views[0].camera.project(frame.points)
    v, u = np.nonzero(frame.depth)
    np.testing.assert_allclose(uv, np.stack([u, v], axis=1), atol=1e-3)
    plain = open_scan("rgbd", write_generic(tmp_path / "plain"))[0]
    assert np.abs(plain.points - frame.points).max() > 0.01


def test_color_of_another_size_takes_its_depth_along_the_ray(tmp_path: Path) -> None:
    root = write_generic(tmp_path / "scan", {**STATED, "color_intrinsics": "color.txt"})
    # Twice the pixels over the same view: pixel u of the depth lies under 2u and 2u + 1 of the color.
    np.savetxt(root / "color.txt", [[120, 0, 64.5], [0, 120, 48.5], [0, 0, 1]])
    image = write_image(root / "color/2.png", 2 * WIDTH, 2 * HEIGHT)
    depth = np.ones((HEIGHT, WIDTH))
    depth[:, 32:] = 2
    write_depth(root / "depth/2.png", depth, 1000)
    frame = open_scan("rgbd", root)[0]
    assert frame.views[0].image.shape == image.shape
    np.testing.assert_array_equal(frame.depth[:, :64], 1)
    np.testing.assert_array_equal(frame.depth[:, 64:], 2)


def test_seven_scenes_gravity_points_down_in_the_world(tmp_path: Path) -> None:
    scan = open_scan("rgbd", write_seven_scenes(tmp_path / "scan", down=[0, 2, 0]))
    assert scan.frame_ids() == ["frame-000000", "frame-000010"]
    assert_floor(scan[1], tolerance=0.6e-3)
    assert scan[1].views[0].name == "frame-000010.color.jpg"


def test_seven_scenes_sequences_below_the_scene(tmp_path: Path) -> None:
    root = write_seven_scenes(tmp_path / "scan", down=[0, 1, 0])
    (root / "seq-02").mkdir()
    for path in root.glob("frame-*"):
        path.rename(root / "seq-02" / path.name)
    scan = open_scan("rgbd", root)
    assert scan.frame_ids() == ["seq-02_frame-000000", "seq-02_frame-000010"]
    assert scan[0].views[0].name == "seq-02/frame-000000.color.jpg"


def test_seven_scenes_without_gravity_asks_which_way_is_up(tmp_path: Path) -> None:
    root = write_seven_scenes(tmp_path / "scan", down=None)
    with pytest.raises(BadDatasetError, match=r"scan\.yaml: up: is missing") as caught:
        open_scan("rgbd", root)
    assert "up: z}" in caught.value.fix
    (root / "scan.yaml").write_text("up: -y\n")
    assert_floor(open_scan("rgbd", root)[0], tolerance=0.6e-3)


def test_without_poses_every_frame_is_its_own_world(tmp_path: Path) -> None:
    root = write_generic(tmp_path / "scan")
    shutil.rmtree(root / "pose")
    with pytest.raises(
        BadDatasetError, match=r"there are no pose files, like pose/2.txt.*pose_direction: none"
    ):
        open_scan("rgbd", root)
    (root / "scan.yaml").unlink()
    with pytest.raises(
        BadDatasetError, match=r"write for example \{depth_scale: 1000, pose_direction: none, up: -y\}"
    ):
        open_scan("rgbd", root)
    (root / "scan.yaml").write_text("{depth_scale: 1000, pose_direction: none, up: -y}")
    scan = open_scan("rgbd", root)
    assert scan.world_of(0) is None
    points, world = scan[0].points, scan[0].world_points()
    np.testing.assert_allclose(world, points[:, [0, 2, 1]] * [1, 1, -1], atol=1e-6)


@pytest.mark.parametrize(("units", "scale"), [(1000, 1000), (5000, 5000)])
def test_the_proposed_depth_scale_gives_meters(tmp_path: Path, units: int, scale: int) -> None:
    root = write_generic(tmp_path / "scan", {})
    for path in (root / "depth").iterdir():
        write_depth(path, np.full((HEIGHT, WIDTH), 2.5), units)
    with pytest.raises(BadDatasetError, match=f"depth_scale: {scale}, .* nearer than 2.50 m"):
        open_scan("rgbd", root)


STATEMENTS = {
    "nothing said": ({}, "depth_scale, pose_direction, up: are missing. Fix: write for example {depth_scale: 1000"),
    "no pose direction": ({"depth_scale": 1000, "up": "z"}, "pose_direction: is missing"),
    "no up": ({"depth_scale": 1000, "pose_direction": "camera_to_world"}, "up: is missing"),
    "unknown key": ({**STATED, "depth_sclae": 5}, "depth_sclae: is not a known key"),
    "wrong type": ({**STATED, "depth_scale": "1000"}, "depth_scale: '1000' is not possible: input should be a valid number"),
    "zero scale": ({**STATED, "depth_scale": 0}, "depth_scale: 0 is not possible: input should be greater than 0"),
    "other direction": ({**STATED, "pose_direction": "c2w"}, "pose_direction: 'c2w' is not possible: input should be 'camera_to_world'"),
    "other axis": ({**STATED, "up": "up"}, "up: 'up' is not possible: is not one of"),
    "no direction": ({**STATED, "up": [0, 0, 0]}, "up: (0, 0, 0) is not possible"),
    "few coefficients": (
        {**STATED, "distortion": {"model": "radtan", "coefficients": [0.1]}},
        "distortion.coefficients: is [0.1]",
    ),
    "unknown lens": (
        {**STATED, "distortion": {"model": "plumb", "coefficients": [0.1]}},
        "distortion.model: 'plumb' is not possible: input should be 'radtan' or 'fisheye'",
    ),
    "absent intrinsics": ({**STATED, "intrinsics": "K.txt"}, "K.txt: matrix: is missing"),
}  # fmt: skip


@pytest.mark.parametrize("statement, complaint", STATEMENTS.values(), ids=STATEMENTS)
def test_a_statement_that_is_missing_or_wrong_names_the_key(
    tmp_path: Path, statement: dict, complaint: str
) -> None:
    root = write_generic(tmp_path / "scan", statement)
    with pytest.raises(BadDatasetError) as caught:
        open_scan("rgbd", root)
    assert complaint in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize("text", ["depth_scale: [", "- 1\n- 2\n", ""])
def test_a_statement_that_is_not_keys(tmp_path: Path, text: str) -> None:
    root = write_generic(tmp_path / "scan")
    (root / "scan.yaml").write_text(text)
    with pytest.raises(BadDatasetError, match=r"scan\.yaml") as caught:
        open_scan("rgbd", root)
    assert "pose_direction: camera_to_world" in caught.value.fix


@pytest.mark.parametrize("rows", ["0 0 0\n0 0 0\n0 0 1", "1 2\n3 4", "a b c", "60 0 32\n0 60 24\n32 24 1"])
def test_intrinsics_that_are_none(tmp_path: Path, rows: str) -> None:
    root = write_generic(tmp_path / "scan")
    (root / "intrinsics.txt").write_text(rows)
    with pytest.raises(BadDatasetError, match=r"intrinsics\.txt"):
        open_scan("rgbd", root)


def test_four_by_four_intrinsics_of_scannet_exports(tmp_path: Path) -> None:
    root = write_generic(tmp_path / "scan")
    full = np.eye(4)
    full[:3, :3] = RGBD_K
    np.savetxt(root / "intrinsics.txt", full)
    assert_floor(open_scan("rgbd", root)[0], tolerance=0.6e-3)


BAD_FRAMES = {
    "lost pose": (lambda r: np.savetxt(r / "pose/2.txt", np.full((4, 4), -np.inf)), "2.txt: pose: holds values"),
    "NaN pose": (lambda r: np.savetxt(r / "pose/2.txt", np.full((4, 4), np.nan)), "2.txt: pose: holds values"),
    "mirrored pose": (lambda r: np.savetxt(r / "pose/2.txt", np.diag([1, 1, -1, 1])), "2.txt: pose: is not a rot"),
    "no pose": (lambda r: (r / "pose/2.txt").unlink(), "2.txt: matrix: is missing"),
    "no color": (lambda r: (r / "color/2.png").unlink(), "color/2.jpg: image: is missing"),
    "color resized": (lambda r: write_image(r / "color/2.png", 80, 60), "image size: is 80x60, its depth 64x48"),
    "depth is 8-bit": (
        lambda r: Image.new("L", (WIDTH, HEIGHT), 5).save(r / "depth/2.png"), "depth: has L pixels"
    ),
    "depth cut short": (
        lambda r: (r / "depth/2.png").write_bytes((r / "depth/2.png").read_bytes()[:200]), "image: cannot be read"
    ),
    "depth all zero": (lambda r: write_depth(r / "depth/2.png", np.zeros((HEIGHT, WIDTH)), 1), "no measurement"),
}  # fmt: skip


@pytest.mark.parametrize("spoil, message", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_a_bad_frame_is_one_clear_line_and_the_next_is_fine(
    tmp_path: Path, spoil: object, message: str
) -> None:
    root = write_generic(tmp_path / "scan")
    spoil(root)  # type: ignore[operator]
    scan = open_scan("rgbd", root)
    with pytest.raises(BadFrameError) as caught:
        scan[0]
    assert message in str(caught.value)
    assert caught.value.fix
    assert_floor(scan[1], tolerance=0.6e-3)


def test_not_an_rgbd_folder(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="holds no frames"):
        open_scan("rgbd", tmp_path)


def residual(a: Frame, b: Frame, T_b_a: np.ndarray) -> float:
    """Median |depth difference| in meters between b and the points of a seen from b."""
    points = a.points @ T_b_a[:3, :3].T + T_b_a[:3, 3]
    camera = b.views[0].camera
    uv, depth = camera.project(points)
    seen = camera.in_image(uv)
    column, row = np.rint(uv[seen]).astype(int).T
    measured = b.depth[row, column]
    return float(np.median(np.abs(measured - depth[seen])[measured > 0]))


def test_real_poses_are_camera_to_world(real_data: Path) -> None:
    scan = open_scan("rgbd", real_data / "rgbd/7scenes_redkitchen")
    assert len(scan) == 50
    for i in (0, 16, 32):
        a, b = scan[i], scan[i + 1]
        T_a, T_b = a.T_world_points, b.T_world_points
        right = residual(a, b, np.linalg.inv(T_b) @ T_a)
        assert right < 0.015
        assert residual(a, b, np.eye(4)) > 3 * right
        assert residual(a, b, T_b @ np.linalg.inv(T_a)) > 3 * right


def share_facing_up(frame: Frame, T: np.ndarray) -> float:
    """Share of surface elements whose normal, turned by T, is within 8 degrees of +z."""
    depth = frame.depth[::4, ::4]
    v, u = np.mgrid[: frame.depth.shape[0] : 4, : frame.depth.shape[1] : 4]
    camera = frame.views[0].camera
    grid = camera.unproject_pixels(np.stack([u.ravel(), v.ravel()], 1), depth.ravel()).reshape(
        *depth.shape, 3
    )
    along_v, along_u = grid[2:, 1:-1] - grid[:-2, 1:-1], grid[1:-1, 2:] - grid[1:-1, :-2]
    normal = np.cross(along_v, along_u)  # towards the camera
    smooth = (np.linalg.norm(along_v, axis=-1) < 0.15) & (np.linalg.norm(along_u, axis=-1) < 0.15)
    smooth &= (depth[2:, 1:-1] > 0) & (depth[1:-1, 2:] > 0) & (np.linalg.norm(normal, axis=-1) > 0)
    normal = normal[smooth] / np.linalg.norm(normal[smooth], axis=1, keepdims=True)
    return float((normal @ T[2, :3] > np.cos(np.radians(8))).mean())


def test_real_gravity_turns_table_tops_up(real_data: Path) -> None:
    scan = open_scan("rgbd", real_data / "rgbd/7scenes_redkitchen")
    frame = scan[0]
    assert share_facing_up(frame, frame.T_world_points) > 0.15
    assert share_facing_up(frame, -frame.T_world_points) < 0.02
