"""Everything that reads a file of others, with sound files made by the twins of the tests."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import open3d as o3d
import pye57
import trimesh
from pycocotools import mask as coco_mask
from scipy.io import savemat
from siege.targets_models import MODELS, small_model, yesterday
from siege.targets_server import SERVER
from siege.trial import Target
from support import bag_scenes, bag_twins, coco_twins, once_twin, posed_twin, rgbd_twins
from support.box_world import sweep
from support.nuscenes_twin import NuscenesTwin
from support.scan_twins import write_image, write_kitti, write_kitti_tracking
from support.waymo_twin import write_waymo

import clip2
from clip2.server.limits import Limits
from clip2.server.uploads import CloudForm, Part, read_frame
from data_prep import BadFrameError
from data_prep.detect import CocoDetections
from data_prep.scans import Frame, open_scan


def check_frame(frame: Frame) -> None:
    """What every reader promises of a frame."""
    assert np.isfinite(frame.points).all(), "points that are not finite"
    if frame.intensity is not None and len(frame.intensity):
        assert 0 <= frame.intensity.min() <= frame.intensity.max() <= 1, "intensity outside 0..1"
    if frame.timestamp is not None:
        assert np.isfinite(frame.timestamp), "a time that is not finite"
    for view in frame.views:
        assert view.image.dtype == np.uint8


def frames(source: str, **options: Any) -> Callable[[Path], None]:
    """Reads all frames of a source and what is annotated in them."""

    def read(folder: Path) -> None:
        root = folder / options["file"] if "file" in options else folder
        scan = open_scan(source, root, **{key: value for key, value in options.items() if key != "file"})
        refused = None
        for index in range(len(scan)):
            try:
                check_frame(scan[index])
                if hasattr(scan, "annotations"):
                    scan.annotations(index)
            except BadFrameError as error:  # jobs count it and go on
                refused = error
        if refused is not None:
            raise refused

    return read


def write_cloud(path: Path, **options: bool) -> None:
    points = o3d.utility.Vector3dVector(np.random.default_rng(0).random((50, 3)))
    cloud = o3d.geometry.PointCloud(points)
    cloud.colors = points
    o3d.io.write_point_cloud(str(path), cloud, **options)


def write_las(path: Path) -> None:
    las = laspy.create(point_format=3)
    las.x, las.y, las.z = np.random.default_rng(0).random((3, 300))
    las.write(path)


def write_e57(path: Path) -> None:
    axes = zip(
        ("cartesianX", "cartesianY", "cartesianZ"), np.random.default_rng(0).random((3, 300)), strict=True
    )
    with pye57.E57(str(path), mode="w") as file:
        file.write_scan_raw(dict(axes))


CLOUDS: dict[str, Callable[[Path], object]] = {
    "binary.ply": write_cloud,
    "text.ply": lambda path: write_cloud(path, write_ascii=True),
    "binary.pcd": write_cloud,
    "text.pcd": lambda path: write_cloud(path, write_ascii=True),
    "compressed.pcd": lambda path: write_cloud(path, compressed=True),
    "array.npy": lambda path: np.save(path, np.random.default_rng(0).random((30, 6))),
    "text.xyz": lambda path: np.savetxt(path, np.random.default_rng(0).random((30, 6))),
    "sweep.bin": lambda path: (np.random.default_rng(0).random((300, 4)) * [40, 20, -2, 1]).astype("<f4").tofile(path),
    "survey.las": write_las,
    "survey.laz": write_las,
    "scan.e57": write_e57,
    **{f"mesh.{suffix}": lambda path: trimesh.creation.box([4, 2, 1]).export(path) for suffix in ("off", "obj", "glb")},
}  # fmt: skip


def cloud(name: str) -> Target:
    return Target(
        lambda folder: CLOUDS[name](folder / name),
        lambda folder: check_frame(open_scan("cloud", folder / name, points=50, columns=4)[0]),
    )


def write_sunrgbd(folder: Path) -> None:
    # One point two meters ahead, on the principal point of a 9 x 9 image.
    for name in ("image", "calib", "depth"):
        (folder / name).mkdir()
    write_image(folder / "image/1.jpg", 9, 9)
    np.savetxt(folder / "calib/1.txt", np.stack([np.eye(3).ravel(), [9, 0, 0, 0, 9, 0, 5, 5, 1]]))
    savemat(
        folder / "depth/1.mat", {"instance": np.array([[0, 2, 0, 1, 0, 0]], np.float32)}, do_compression=True
    )


def write_record3d(folder: Path) -> None:
    with zipfile.ZipFile(folder / "room.r3d", "w") as archive:
        for name, content in rgbd_twins.record3d_files().items():
            archive.writestr(name, content)


def _bag(folder: Path) -> Path:
    """The bag, or where it was."""
    return next(folder.iterdir(), folder / "gone")


def bag(format: str) -> Target:
    return Target(
        lambda folder: bag_scenes.write_vehicle(folder, format),
        lambda folder: frames("rosbag")(_bag(folder)),
    )


def write_once(folder: Path) -> None:
    content = once_twin.sequence()
    for frame in content["frames"]:  # the twin's last frame has no pose
        if not any(frame["pose"]):
            frame["pose"] = [0, 0, 0, 1, 10.0, 0, 1.9]
    once_twin.write_once(folder, content)


def write_scannet(folder: Path) -> None:
    rgbd_twins.write_scannet_export(folder / "scene0000_00")
    for name in ("color/2.jpg", "depth/2.png", "pose/2.txt"):  # a frame without pose
        (folder / "scene0000_00" / name).unlink()


def write_detections(folder: Path) -> None:
    """Boxes, and masks in each of COCO's three forms."""
    mask = np.asfortranarray(coco_twins.mask_of_a_rectangle().astype(np.uint8))
    packed = coco_mask.encode(mask)
    counts = [820, *[40, 40] * 29, 40]
    forms: tuple[Any, ...] = (
        [[10, 20, 40, 20, 40, 60, 10, 60]],
        {"size": packed["size"], "counts": packed["counts"].decode()},
        {"size": [80, 100], "counts": [*counts, 8000 - sum(counts)]},
    )
    rows = [coco_twins.annotation()]
    rows += [coco_twins.annotation(i + 2, segmentation=form) for i, form in enumerate(forms)]
    coco_twins.write(folder / "boxes.json", coco_twins.content(*rows))


def read_detections(folder: Path) -> None:
    found = CocoDetections.load(folder / "boxes.json").for_image("a/img.png", 100, 80)
    for i in range(len(found)):
        if found.masks is not None:
            _ = found.masks[i]


def recognize(folder: Path) -> None:
    """Objects of a sweep whose points are damaged."""
    recognizer = clip2.Recognizer(small_model())
    scan = open_scan("cloud", folder / "sweep.bin", columns=4)
    recognizer.set_scan(scan[0])
    recognizer.query(["chair", "box"])


def write_sweep(folder: Path) -> None:
    points = sweep({0: ((4, 0, 0.5), (1, 1, 1)), 1: ((0, 5, 0.75), (0.4, 0.4, 1.5))}, 0.0)[0].points
    table = np.zeros((len(points), 4), "<f4")
    table[:, :3] = points
    table.tofile(folder / "sweep.bin")


def write_upload(folder: Path) -> None:
    np.savez(folder / "cloud.npz", points=np.random.default_rng(0).random((60, 3)).astype("f4"))
    write_cloud(folder / "cloud.ply")
    write_cloud(folder / "cloud.pcd")
    rgbd_twins.write_picture(folder / "color.png")
    rgbd_twins.write_depth_png(folder / "depth.png", rgbd_twins.depth_meters(0), 1000)
    (folder / "intrinsics").write_text("60 60 32 24")


def _body(path: Path) -> bytes:
    """What a client sends; nothing if it has no such file."""
    return path.read_bytes() if path.is_file() else b""


def read_uploads(folder: Path) -> None:
    """Bodies of requests, as the server reads them."""
    limits = Limits(max_points=5000)
    for name in ("cloud.npz", "cloud.ply", "cloud.pcd"):
        check_frame(read_frame([Part("body", _body(folder / name))], CloudForm(), limits))
    files = {"color": "color.png", "depth": "depth.png", "intrinsics": "intrinsics"}
    parts = [Part(field, _body(folder / name)) for field, name in files.items()]
    read_frame([*parts, Part("depth_scale", b"1000")], CloudForm(), limits)


TARGETS: dict[str, Target] = {
    **{f"cloud {name}": cloud(name) for name in CLOUDS},
    "kitti": Target(write_kitti, frames("kitti")),
    "kitti-tracking": Target(write_kitti_tracking, frames("kitti-tracking")),
    "nuscenes": Target(NuscenesTwin, frames("nuscenes", sweeps=2, scenes="scene-0002")),
    "sunrgbd": Target(write_sunrgbd, frames("sunrgbd")),
    "tum": Target(rgbd_twins.write_tum, frames("tum", up="z")),
    "scannet": Target(write_scannet, frames("scannet", file="scene0000_00")),
    "scannet .sens": Target(lambda f: (f / "a.sens").write_bytes(rgbd_twins.sens_bytes(frames=2)), frames("scannet", file="a.sens")),
    "replica": Target(rgbd_twins.write_replica, frames("replica")),
    "polycam": Target(rgbd_twins.write_polycam, frames("polycam")),
    "record3d": Target(write_record3d, frames("record3d", file="room.r3d")),
    **{f"bag {format}": bag(format) for format in bag_twins.FORMATS},
    "layout": Target(yesterday("layout"), frames("layout", file="layout")),
    "rgbd": Target(posed_twin.write_generic, frames("rgbd")),
    "rgbd 7scenes": Target(lambda f: posed_twin.write_seven_scenes(f, [0, 2, 0]), frames("rgbd")),
    "once": Target(write_once, frames("once")),
    "waymo": Target(write_waymo, frames("waymo")),
    "rgbd bag": Target(lambda f: bag_scenes.write_rgbd(f, "mcap"), lambda f: frames("rosbag")(_bag(f))),
    "detections": Target(write_detections, read_detections),
    "sweep to names": Target(write_sweep, recognize),
    "uploads": Target(write_upload, read_uploads),
    **MODELS,
    **SERVER,
}  # fmt: skip
# Their sound files take seconds to make or to read.
HEAVY = ("export", "public weights", "training state", "clip folder", "server")
