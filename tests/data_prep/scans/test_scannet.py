"""ScanNet: exported frames, ``.sens`` and mesh lead to one aligned world."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from support.rgbd_twins import (
    ALIGNMENT,
    pose,
    sens_bytes,
    write_picture,
    write_scannet_export,
    write_scannet_meta,
)

from data_prep import BadDatasetError, BadFrameError, Frame, InputError, open_scan
from data_prep.scans.formats.sens import SensFile


def write_sens(folder: Path, **options: object) -> Path:
    write_scannet_meta(folder)
    path = folder / f"{folder.name}.sens"
    path.write_bytes(sens_bytes(**options))  # type: ignore[arg-type]
    return path


def assert_aligned_floor(frame: Frame, number: int) -> None:
    np.testing.assert_allclose(frame.world_points()[:, 2], 0, atol=0.02)  # nearest depth: half a depth pixel
    np.testing.assert_allclose(frame.T_world_points, ALIGNMENT @ pose(number), atol=1e-5)
    assert len(frame.points) == 128 * 96


def test_export_and_sens_say_the_same(tmp_path: Path) -> None:
    exported = open_scan("scannet", write_scannet_export(tmp_path / "a" / "scene0000_00"))
    recorded = open_scan("scannet", write_sens(tmp_path / "b" / "scene0000_00").parent)
    assert exported.frame_ids() == recorded.frame_ids() == ["0", "1", "2"]
    for number in (0, 1):
        assert_aligned_floor(exported[number], number)
        assert_aligned_floor(recorded[number], number)
        np.testing.assert_array_equal(exported[number].depth, recorded[number].depth)
        np.testing.assert_array_equal(exported[number].colors, recorded[number].colors)
        assert exported[number].views[0].name == recorded[number].views[0].name == f"color/{number}.jpg"


@pytest.mark.parametrize("kind", [write_scannet_export, lambda folder: write_sens(folder).parent])
def test_a_lost_camera_is_a_bad_frame_with_the_reason(tmp_path: Path, kind: Callable[[Path], Path]) -> None:
    scan = open_scan("scannet", kind(tmp_path / "scene0000_00"))
    with pytest.raises(BadFrameError, match="not finite: the camera was lost"):
        scan[2]
    assert_aligned_floor(scan[1], 1)


def test_frames_come_in_any_order_and_codings(tmp_path: Path) -> None:
    scan = open_scan("scannet", write_sens(tmp_path / "s" / "scene0000_00", coding=(1, 0)).parent)
    assert_aligned_floor(scan[1], 1)
    assert_aligned_floor(scan[0], 0)


def test_a_sens_file_alone(tmp_path: Path) -> None:
    scan = open_scan("scannet", write_sens(tmp_path / "scene0000_00"))
    assert scan.image_names() == ["color/0.jpg", "color/1.jpg", "color/2.jpg"]
    assert_aligned_floor(scan[0], 0)


def test_a_folder_of_scenes(tmp_path: Path) -> None:
    write_scannet_export(tmp_path / "scene0000_00")
    write_sens(tmp_path / "scene0001_00")
    scan = open_scan("scannet", tmp_path)
    assert scan.frame_ids() == [f"scene000{scene}_00_{number}" for scene in (0, 1) for number in (0, 1, 2)]
    assert scan[4].views[0].name == "scene0001_00/color/1.jpg"
    assert scan[1].views[0].name == "scene0000_00/color/1.jpg"


def test_benchmark_export_keeps_its_intrinsics_beside_the_folders(tmp_path: Path) -> None:
    folder = write_scannet_export(tmp_path / "scene0000_00")
    for kind in ("color", "depth"):
        (folder / f"intrinsic/intrinsic_{kind}.txt").rename(folder / f"intrinsics_{kind}.txt")
    assert_aligned_floor(open_scan("scannet", folder)[0], 0)


def damaged(cut: int | None = None, at: int | None = None, value: bytes = b"") -> bytes:
    content = bytearray(sens_bytes())
    if at is not None:
        content[at : at + len(value)] = value
    return bytes(content[:cut])


NAME = 4 + 8 + len(b"StructureSensor")
SENS = {
    "empty": (b"", "ends after 0 bytes, within its header"),
    "header cut": (damaged(cut=100), "ends after 100 bytes, within its header"),
    "frame cut": (damaged(cut=len(sens_bytes()) - 300), "within frame 2 of 3. Fix: download the file again"),
    "other version": (damaged(at=0, value=b"\5"), "version: is 5, this reader knows 4"),
    "endless name": (damaged(at=4, value=b"\xff" * 8), "sensor name: is 18446744073709551615 bytes"),
    "unknown coding": (sens_bytes(coding=(2, 2)), "compression: is 2 for color and 2 for depth"),
    "two viewpoints": (sens_bytes(extrinsic=np.diag([1, 1, 1, 1]) + np.eye(4, k=3)), "not the identity"),
    "endless frames": (
        damaged(at=NAME + 256 + 8 + 16 + 4, value=struct.pack("<Q", 1 << 60)), "within one of 1152921504606846976"
    ),
    "no size": (damaged(at=NAME + 256 + 8, value=bytes(4)), "header: says 0x96"),
}  # fmt: skip


@pytest.mark.parametrize("content, complaint", SENS.values(), ids=SENS)
def test_a_sens_that_is_none_is_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "scene0000_00.sens"
    path.write_bytes(content)
    with pytest.raises(BadDatasetError) as caught:
        open_scan("scannet", path)
    assert complaint in str(caught.value)
    assert "scene0000_00.sens" in str(caught.value)


def test_damaged_images_inside_a_sens_spoil_one_frame(tmp_path: Path) -> None:
    path = write_sens(tmp_path / "scene0000_00")
    first, second = SensFile.open(path).frames[:2]
    content = bytearray(path.read_bytes())
    content[first.color_at : first.color_at + 40] = bytes(40)
    content[second.depth_at : second.depth_at + 2] = b"\0\0"
    path.write_bytes(bytes(content))
    scan = open_scan("scannet", path)
    with pytest.raises(BadFrameError, match="image: cannot be read"):
        scan[0]
    with pytest.raises(BadFrameError, match="depth: cannot be unpacked"):
        scan[1]


def test_depth_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    path = write_sens(tmp_path / "scene0000_00")
    sens = SensFile.open(path)
    bomb = zlib.compress(bytes(1 << 24))
    start = path.stat().st_size
    with path.open("ab") as file:
        file.write(bomb)
    frame = type(sens.frames[0])(np.eye(4), 0, 0, start, len(bomb))
    with pytest.raises(BadFrameError, match="more than 6144 bytes"):
        sens.depth(frame)


@pytest.fixture
def labeled(tmp_path: Path) -> Path:
    """A chair of 1 x 2 x 3 m upright in the aligned scene, a lost thing, and a floor nobody labeled."""
    folder = tmp_path / "scene0000_00"
    write_scannet_meta(folder)
    chair = trimesh.creation.box([1, 2, 3]).vertices + [5, 6, 1.5]
    floor = np.array([[0, 0, 0], [9, 9, 0], [0, 9, 0]])
    mesh = trimesh.PointCloud(np.concatenate([chair, floor])).apply_transform(np.linalg.inv(ALIGNMENT))
    mesh.export(folder / "scene0000_00_vh_clean_2.ply")
    segments = {"segIndices": [7] * 4 + [9] * 4 + [3] * 3}
    (folder / "scene0000_00_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segments))
    groups = [
        {"objectId": 4, "segments": [9, 7], "label": "office_Chair"},
        {"objectId": 5, "segments": [100], "label": "pen"},
    ]
    (folder / "scene0000_00.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    return folder


def test_labels_are_boxes_upright_in_the_aligned_scene(labeled: Path) -> None:
    scan = open_scan("scannet", labeled)
    frame, annotations = scan[0], scan.annotations(0)  # type: ignore[attr-defined]
    assert annotations.labels == ("office chair",)
    assert annotations.attributes["object_id"].tolist() == [4]
    box = annotations.boxes[0]
    assert box.contains(frame.points, margin=1e-4).sum() == 8
    aligned = box.transformed(frame.T_world_points)
    np.testing.assert_allclose(aligned.center, [5, 6, 1.5], atol=1e-5)
    np.testing.assert_allclose(aligned.size, [1, 2, 3], atol=1e-5)
    np.testing.assert_allclose(aligned.rotation, np.eye(3), atol=1e-5)
    assert scan.image_names() == []  # type: ignore[attr-defined]


LABELS = {
    "other mesh": (
        "_vh_clean_2.0.010000.segs.json",
        '{"segIndices": [1, 2]}',
        "holds 2 vertices, the mesh 11",
    ),
    "no segments": ("_vh_clean_2.0.010000.segs.json", "{}", "segIndices: is not a list of whole numbers"),
    "no groups": (".aggregation.json", "{}", "segGroups: is missing"),
    "no label": (".aggregation.json", '{"segGroups": [{}]}', "segGroups 0: has no label"),
    "not JSON": (".aggregation.json", "{", "JSON: cannot be read"),
    "not an object": (".aggregation.json", "[]", "is not an object with keys"),
}


@pytest.mark.parametrize("name, content, complaint", LABELS.values(), ids=LABELS)
def test_labels_that_are_none_are_one_line(labeled: Path, name: str, content: str, complaint: str) -> None:
    (labeled / f"scene0000_00{name}").write_text(content)
    with pytest.raises(InputError) as caught:
        open_scan("scannet", labeled).annotations(0)  # type: ignore[attr-defined]
    assert complaint in str(caught.value)
    assert name in str(caught.value)


def test_alignment_that_is_none(tmp_path: Path) -> None:
    folder = write_scannet_export(tmp_path / "scene0000_00")
    meta = folder / "scene0000_00.txt"
    meta.write_text("axisAlignment = 1 0 0\n")
    with pytest.raises(BadFrameError, match=r"scene0000_00\.txt: axisAlignment: is not 16 numbers"):
        open_scan("scannet", folder)[0]
    meta.write_text("sceneType = Apartment\n")
    np.testing.assert_allclose(open_scan("scannet", folder)[0].T_world_points, pose(0), atol=1e-5)


def test_resized_images_are_refused(tmp_path: Path) -> None:
    folder = write_scannet_export(tmp_path / "scene0000_00")
    write_picture(folder / "color/0.jpg", width=64, height=48)
    with pytest.raises(BadFrameError, match=r"color/0\.jpg: image size: is 64x48"):
        open_scan("scannet", folder)[0]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="holds no frames"):
        open_scan("scannet", tmp_path)
    with pytest.raises(InputError, match="part: is 'video'"):
        open_scan("scannet", tmp_path, part="video")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(BadDatasetError, match=r"is not a \.sens file"):
        open_scan("scannet", tmp_path / "a.txt")


def test_real_boxes_hold_their_points_only_when_aligned(real_data: Path) -> None:
    frame = open_scan("scannet", real_data / "scannet" / "scans")[0]
    stated = json.loads((real_data / "scannet" / "scene0000_00_boxes.json").read_text())

    def inside(points: np.ndarray) -> np.ndarray:
        halves = [(box["centre"], np.array(box["size"]) / 2) for box in stated["instances"]]
        return np.array([(np.abs(points - center) <= half).all(axis=1).sum() for center, half in halves])

    # The points counted by the statement are a subset of the mesh's vertices.
    assert (inside(frame.world_points()) >= [box["points_inside"] for box in stated["instances"]]).all()
    assert (inside(frame.points) < 40).sum() > 20
    assert frame.colors is not None
