"""Every way a scan can be wrong is named, and nothing is said of scans that are right."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
import yaml
from PIL import Image

from data_prep import BadFrameError, Frame, InputError, open_scan
from data_prep.check import CheckReport, Finding, check_scan
from data_prep.check.orientation import check_up
from data_prep.check.page import write_check_page
from data_prep.check.sample import Sample
from data_prep.geometry import OrientedBox, invert, rigid, rotation_between
from data_prep.geometry.transforms import AXES
from data_prep.scans import Annotations3D, Scan

FLIP = np.diag([1.0, -1, -1, 1])
UP = {"z": [0, 0, 1], "y": [0, 1, 0], "-y": [0, -1, 0], "x": [1, 0, 0]}


class FrameList(Scan):
    """A scan of given frames; None stands for one that cannot be read."""

    source = "list"
    root = Path("list")

    def __init__(self, frames: list[Frame | None], labels: Annotations3D | None = None) -> None:
        self.frames, self._labels = frames, labels

    def __getitem__(self, index: int) -> Frame:
        frame = self.frames[index]
        if frame is None:
            raise BadFrameError("is missing", source=f"{index}.png", field="depth")
        return frame

    def frame_ids(self) -> list[str]:
        return [f"{i}" if frame is None else frame.id for i, frame in enumerate(self.frames)]

    def annotations(self, index: int) -> Annotations3D | None:
        return self._labels


@pytest.fixture(scope="module")
def room() -> list[Frame]:
    """Eight exact RGB-D frames of a room."""
    return list(open_scan("procedural", "room", frames=8, noise=False, image_size=(160, 120)))


@pytest.fixture(scope="module")
def street() -> list[Frame]:
    """Six sweeps of a moving car, with a camera."""
    return list(open_scan("procedural", "street", frames=6, noise=False, image_size=(160, 90)))


def changed(frames: list[Frame], change: Callable[[Frame], dict]) -> FrameList:
    return FrameList([replace(frame, **change(frame)) for frame in frames])


def posed(frames: list[Frame], pose: Callable[[np.ndarray], np.ndarray]) -> FrameList:
    return changed(frames, lambda frame: {"T_world_points": pose(frame.T_world_points)})


def finding(report: CheckReport, check: str) -> Finding:
    return next(f for f in report.findings if f.check == check)


def assert_only(report: CheckReport, check: str, severity: str, *words: str) -> None:
    """The one thing that is not ok, and what it says."""
    wrong = [f for f in report.findings if f.severity != "ok"]
    assert [(f.check, f.severity) for f in wrong] == [(check, severity)]
    assert wrong[0].fix
    for word in words:
        assert word in wrong[0].message + wrong[0].fix


def write_folder(root: Path, frames: list[Frame], up: str = "z", **statement: object) -> Path:
    """The frames as a folder whose world has another axis up."""
    T_up_zup = rigid(rotation_between([0, 0, 1], UP[up]))
    for name in ("color", "depth", "pose"):
        (root / name).mkdir(parents=True)
    for number, frame in enumerate(frames):
        assert frame.depth is not None
        Image.fromarray(frame.views[0].image).save(root / f"color/{number}.png")
        Image.fromarray(np.rint(1000 * frame.depth).astype(np.uint16)).save(root / f"depth/{number}.png")
        np.savetxt(root / f"pose/{number}.txt", T_up_zup @ frame.T_world_points)
    np.savetxt(root / "intrinsics.txt", frames[0].views[0].camera.K)
    stated = {"depth_scale": 1000, "pose_direction": "camera_to_world", "up": up, **statement}
    (root / "scan.yaml").write_text(yaml.safe_dump(stated))
    return root


def test_a_right_folder_has_nothing_wrong(tmp_path: Path, room: list[Frame]) -> None:
    report = check_scan(open_scan("rgbd", write_folder(tmp_path / "scan", room, up="-y")))
    assert report.ok
    assert {f.severity for f in report.findings} == {"ok"}
    assert finding(report, "poses").values["as given (m)"] < 0.01
    assert finding(report, "projection").values["in the image"] == 1
    assert report.there["depth"] == "every frame"
    assert report.missing == ("times", "labels")


@pytest.mark.parametrize("up", ["z", "-y"])
def test_poses_the_wrong_way_round_are_named(tmp_path: Path, room: list[Frame], up: str) -> None:
    root = write_folder(tmp_path / "scan", room, up=up, pose_direction="world_to_camera")
    poses = finding(check_scan(open_scan("rgbd", root)), "poses")
    assert poses.severity == "error"
    assert "the poses are inverted" in poses.message
    assert "pose_direction" in poses.fix
    assert poses.values["inverse (m)"] < 0.01
    assert not check_scan(open_scan("rgbd", root)).ok


def test_camera_axes_of_opengl_are_named(room: list[Frame]) -> None:
    poses = finding(check_scan(posed(room, lambda T: T @ FLIP), frames=4), "poses")
    assert "along -z with y up" in poses.message
    poses = finding(check_scan(posed(room, lambda T: invert(T @ FLIP)), frames=4), "poses")
    assert "inverse, OpenGL camera axes" in poses.message
    assert "also invert" in poses.fix


def test_poses_of_other_frames_are_named(room: list[Frame]) -> None:
    still = FrameList(
        [replace(room[0], id=f.id, T_world_points=f.T_world_points, timestamp=None) for f in room]
    )
    poses = finding(check_scan(still), "poses")
    assert poses.severity == "error"
    assert "the poses are not of these frames" in poses.message


@pytest.mark.parametrize("factor", [5, 6.5535, 0.1])
def test_depth_of_another_scale_than_the_positions_is_named(room: list[Frame], factor: float) -> None:
    def scaled(frame: Frame) -> dict:
        assert frame.depth is not None
        return {
            "points": (frame.points * factor).astype(np.float32),
            "depth": (frame.depth * factor).astype(np.float32),
        }

    poses = finding(check_scan(changed(room, scaled), frames=4), "poses")
    assert poses.severity == "error"
    assert poses.values["factor"] == pytest.approx(1 / factor)
    assert f"too {'large' if factor > 1 else 'small'}" in poses.message


def test_millimeters_taken_for_meters(tmp_path: Path, room: list[Frame]) -> None:
    report = check_scan(open_scan("rgbd", write_folder(tmp_path / "scan", room, depth_scale=1)))
    depth = finding(report, "depth")
    assert depth.severity == "error"
    assert "millimeters taken for meters" in depth.message
    assert finding(report, "poses").values["factor"] == pytest.approx(0.001)


def test_meters_divided_once_more(room: list[Frame]) -> None:
    frame = replace(room[0], points=room[0].points / np.float32(1000), depth=room[0].depth / np.float32(1000))
    assert "too small" in finding(check_scan(FrameList([frame])), "depth").message


@pytest.mark.parametrize("up", ["y", "-y", "x"])
def test_another_axis_up_is_named(room: list[Frame], up: str) -> None:
    turn = rigid(rotation_between([0, 0, 1], UP[up]))
    assert_only(
        check_scan(posed(room, lambda T: turn @ T), frames=4),
        "up",
        "error",
        f"{up} looks like it",
        f"it is {up} ",
    )


def test_a_scan_upside_down(street: list[Frame]) -> None:
    turn = rigid(rotation_between([0, 0, 1], [0, 0, -1]))
    assert_only(check_scan(posed(street, lambda T: turn @ T), frames=4), "up", "error", "-z looks like it")


def test_looking_down_is_not_another_up() -> None:
    from support.scan_twins import LOOKING_DOWN, RGBD_K, floor_depth

    from data_prep.geometry import Camera
    from data_prep.scans.frame import Frame

    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    depth = floor_depth(LOOKING_DOWN, RGBD_K, 64, 48).astype(np.float32)
    frame = Frame.from_depth("0", Camera(RGBD_K, 64, 48), image, depth, LOOKING_DOWN, "0.png")
    seen = finding(check_scan(FrameList([frame])), "up")
    assert seen.severity == "ok"
    assert seen.message.startswith("z looks up")
    straight_down = replace(frame, T_world_points=rigid(np.diag([1.0, -1.0, -1.0])))
    nearly_none = {axis: 0.01 * (axis == "z") for axis in AXES}
    (seen,) = check_up(Sample(frames={0: straight_down}), nearly_none)
    assert seen.message.startswith("nothing tells which way is up")


def test_a_cloud_on_its_side(tmp_path: Path) -> None:
    floor = trimesh.creation.box([6, 5, 0.02])
    things = [trimesh.creation.icosphere(radius=0.5).apply_translation([x, 1, 0.6]) for x in (-1, 1)]
    mesh = trimesh.util.concatenate([floor, *things])
    mesh.export(tmp_path / "standing.off")
    mesh.apply_transform(rigid(rotation_between([0, 0, 1], [0, 1, 0]))).export(tmp_path / "lying.off")
    assert finding(check_scan(open_scan("cloud", tmp_path / "standing.off")), "up").severity == "ok"
    assert_only(check_scan(open_scan("cloud", tmp_path / "lying.off")), "up", "warning", "y looks like up")
    assert check_scan(open_scan("cloud", tmp_path / "lying.off", up="y")).ok


def test_sweeps_fit_together_with_their_poses_only(street: list[Frame]) -> None:
    right = finding(check_scan(FrameList(list(street)), frames=4), "poses")
    assert right.severity == "ok"
    assert right.values["as given (m)"] < 0.1
    assert_only(check_scan(posed(street, invert), frames=4), "poses", "error", "the poses are inverted")


def test_sweeps_of_few_points_tell_nothing(street: list[Frame]) -> None:
    def few(frame: Frame) -> dict:
        rows = slice(None, None, len(frame.points) // 40)
        return {"points": frame.points[rows], "intensity": None, "colors": None}

    poses = finding(check_scan(changed(street, few), frames=4), "poses")
    assert poses.severity == "ok"
    assert "too few points to tell" in poses.message
    # One pair that can be compared speaks for all.
    mixed = [*changed(street[:2], few).frames, *street[2:]]
    poses = finding(check_scan(FrameList(mixed), frames=6), "poses")
    assert "agree to" in poses.message


def test_what_a_source_finds_odd_is_a_finding(room: list[Frame]) -> None:
    scan = FrameList(list(room))
    scan.notes = ("/points: the clock jumps back once, by up to 31.000 s",)  # type: ignore[attr-defined]
    assert_only(check_scan(scan, frames=4), "notes", "warning", "the clock jumps back once")


def test_sets_without_poses_say_so(street: list[Frame]) -> None:
    report = check_scan(posed(street, lambda T: np.eye(4)), frames=4)
    assert "poses" in report.missing
    assert "poses" not in [f.check for f in report.findings]
    assert report.ok


@pytest.mark.parametrize(
    "change, words",
    [(invert, "with the extrinsics inverted"), (lambda T: T @ FLIP, "with OpenGL camera axes")],
    ids=["inverted", "OpenGL"],
)
def test_points_beside_the_image(street: list[Frame], change: Callable, words: str) -> None:
    def turned(frame: Frame) -> dict:
        view = frame.views[0]
        camera = replace(view.camera, T_points_cam=change(view.camera.T_points_cam))
        return {"views": (replace(view, camera=camera),)}

    # Only what lies ahead: a full turn of points would land in any image.
    ahead = [
        replace(f, points=f.points[(m := (f.points[:, 0] > 4) & (abs(f.points[:, 1]) < 3))],
                intensity=None if f.intensity is None else f.intensity[m])
        for f in street
    ]  # fmt: skip
    projection = finding(check_scan(changed(ahead, turned), frames=4), "projection")
    assert projection.severity == "error"
    assert projection.message.startswith("0.0% of the points land in the image")
    assert words in projection.message


@pytest.mark.parametrize(
    "change, words",
    [(invert, "with the extrinsics inverted"), (lambda T: T @ FLIP, "with OpenGL camera axes")],
    ids=["inverted", "OpenGL"],
)
def test_a_camera_on_its_side_or_head_beside_a_real_sweep(
    real_data: Path, change: Callable, words: str
) -> None:
    frame = open_scan("kitti", real_data / "kitti_object")[0]
    view = frame.views[0]
    camera = replace(view.camera, T_points_cam=change(view.camera.T_points_cam))
    turned = replace(frame, views=(replace(view, camera=camera),))
    # Points all around land in the image whichever way the camera is turned.
    assert_only(check_scan(FrameList([turned])), "projection", "error", "its top points", words)


def test_poses_shifted_by_some_frames_explain_little(real_data: Path) -> None:
    scan = open_scan("rgbd", real_data / "rgbd/7scenes_redkitchen")
    shifted = [replace(scan[i], T_world_points=scan[i + 5].T_world_points) for i in range(8)]
    report = check_scan(FrameList(list(shifted)))
    assert_only(
        report, "poses", "warning", "the poses explain little of the motion", "shifted by some frames"
    )


def test_images_that_show_nothing(room: list[Frame]) -> None:
    def black(frame: Frame) -> dict:
        view = frame.views[0]
        return {"views": (replace(view, image=np.zeros_like(view.image)),)}

    dark = [replace(room[0], **black(room[0])), *room[1:]]
    assert_only(check_scan(FrameList(list(dark))), "images", "warning", "1 of 8", "(black)")
    assert_only(check_scan(changed(room, black)), "images", "error", "8 of 8")


def test_frames_that_are_there_twice(room: list[Frame]) -> None:
    frozen = [room[0], replace(room[0], id="again", timestamp=room[1].timestamp), *room[2:]]
    report = check_scan(FrameList(list(frozen)))
    assert_only(report, "duplicates", "warning", "1 of 8", f"again = {room[0].id}")


def test_clocks(room: list[Frame]) -> None:
    def clock(*seconds: float) -> CheckReport:
        return check_scan(FrameList([replace(f, timestamp=t) for f, t in zip(room, seconds, strict=True)]))

    assert_only(clock(0, 1, 2, 3, 2.5, 5, 6, 7), "times", "warning", "000003 to", "-0.500 s")
    assert_only(clock(0, 1, 2, 3, 60, 61, 62, 63), "times", "warning", "time jumps by 57 s")
    assert finding(clock(0, 1, 2, 3, 4, 5, 6, 7), "times").severity == "ok"


def test_bad_frames_are_counted_and_named(room: list[Frame]) -> None:
    report = check_scan(FrameList([room[0], None, *room[2:]]))
    assert_only(report, "frames", "warning", "1 of 8", "1.png: depth: is missing")
    nothing = check_scan(FrameList([None, None, None]))
    assert not nothing.ok
    assert nothing.missing == ("frames",)


def test_labels_in_another_frame(street: list[Frame]) -> None:
    box = OrientedBox(np.array([500.0, 0, 0]), np.ones(3))
    report = check_scan(FrameList(list(street), Annotations3D((box,), ("car",))), frames=4)
    assert_only(report, "labels", "error", "none of 4 labeled boxes holds a point")


def test_cameras_that_cannot_be(room: list[Frame]) -> None:
    def off_center(frame: Frame) -> dict:
        view = frame.views[0]
        K = view.camera.K.copy()
        K[0, 2] *= 1.5
        return {"views": (replace(view, camera=replace(view.camera, K=K)),)}

    cameras = finding(check_scan(changed(room[:1], off_center)), "cameras")
    assert cameras.severity == "warning"
    assert "far from the middle of 160x120" in cameras.message


def test_neighbors_are_chosen_so_that_something_moves(room: list[Frame]) -> None:
    # A slow video: between the frames of the room, nine in which the camera stands.
    slow = [replace(frame, id=f"{frame.id}_{i}") for frame in room for i in range(10)]
    report = check_scan(FrameList(list(slow)), frames=4)
    assert all(second - first >= 8 for first, second in report.sample.pairs)
    assert finding(report, "poses").values["none (m)"] > 0.05


def test_it_looks_at_few_frames_and_at_least_one(room: list[Frame]) -> None:
    assert len(check_scan(FrameList(list(room)), frames=1).sample.frames) == 1
    assert len(check_scan(FrameList(list(room[:1]))).sample.frames) == 1
    with pytest.raises(InputError, match="frames: is 0"):
        check_scan(FrameList(list(room)), frames=0)


def test_the_page_holds_every_finding(tmp_path: Path, room: list[Frame], street: list[Frame]) -> None:
    for name, frames in (("room", room), ("street", street)):
        report = check_scan(FrameList(list(frames)))
        html = write_check_page(report, tmp_path / f"{name}.html").read_text()
        assert all(f.message.split("'")[0] in html for f in report.findings)
        assert html.count("<img") == len(report.sample.pairs) + 1
        assert "3D view" in html
        assert "http://" not in html
    nothing = check_scan(FrameList([None]))
    assert "cannot be used" in write_check_page(nothing, tmp_path / "nothing.html").read_text()


def assert_nothing_wrong(scan: Scan) -> CheckReport:
    report = check_scan(scan)
    assert {f.severity for f in report.findings} == {"ok"}, report.findings
    json.dumps(report.to_json())
    return report


def test_real_kitchen(real_data: Path) -> None:
    poses = finding(assert_nothing_wrong(open_scan("rgbd", real_data / "rgbd/7scenes_redkitchen")), "poses")
    assert poses.values["as given (m)"] < 0.014
    assert poses.values["none (m)"] > 0.05
    assert poses.values["inverse (m)"] > 0.05


def test_real_kitchen_with_poses_the_wrong_way_round(real_data: Path, tmp_path: Path) -> None:
    for path in (real_data / "rgbd/7scenes_redkitchen").iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "scan.yaml").write_text("pose_direction: world_to_camera\n")
    poses = finding(check_scan(open_scan("rgbd", tmp_path)), "poses")
    assert poses.severity == "error"
    assert "inverted" in poses.message


def test_exact_living_room(real_data: Path, tmp_path: Path) -> None:
    root = real_data / "rgbd" / "icl_nuim"
    (tmp_path / "color").symlink_to(root / "image")
    (tmp_path / "depth").symlink_to(root / "depth")
    (tmp_path / "pose").mkdir()
    stems = sorted(path.stem for path in (root / "depth").glob("*.png"))
    lines = (root / "trajectory.log").read_text().splitlines()
    for number, stem in enumerate(stems):
        (tmp_path / f"pose/{stem}.txt").write_text("\n".join(lines[5 * number + 1 : 5 * number + 5]))
    intrinsics = json.loads((root / "camera_intrinsic.json").read_text())["intrinsic_matrix"]
    np.savetxt(tmp_path / "intrinsics.txt", np.reshape(intrinsics, (3, 3)).T)
    statement = "{depth_scale: 1000, pose_direction: camera_to_world, up: %s}"
    (tmp_path / "scan.yaml").write_text(statement % "z")
    report = check_scan(open_scan("rgbd", tmp_path))
    up = finding(report, "up")
    assert up.severity == "error"
    assert finding(report, "poses").values["as given (m)"] < 0.0036
    # What it says is followed, and all is well.
    axis = up.message.split("z is not up, ")[1].split()[0]
    (tmp_path / "scan.yaml").write_text(statement % axis)
    assert_nothing_wrong(open_scan("rgbd", tmp_path))


@pytest.mark.parametrize(
    "source, folder",
    [("kitti", "kitti_object"), ("kitti-tracking", "kitti_tracking"), ("sunrgbd", "sunrgbd")],
)
def test_real_scans_without_a_common_world(real_data: Path, source: str, folder: str) -> None:
    report = assert_nothing_wrong(open_scan(source, real_data / folder))
    assert finding(report, "labels").values["with points"] == 1
    assert report.motion == ()


def test_real_scannet_mesh(real_data: Path) -> None:
    assert_nothing_wrong(open_scan("scannet", real_data / "scannet" / "scans"))


def test_more_frames_than_there_are_is_all_of_them(room: list[Frame]) -> None:
    assert len(check_scan(FrameList(list(room)), frames=10**12).sample.notes) == len(room)
