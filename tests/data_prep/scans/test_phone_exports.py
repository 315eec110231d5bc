"""Polycam and Record3D: ARKit's axes become ours."""

from __future__ import annotations

import json
import pickle
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.rgbd_twins import pose, record3d_files, write_picture, write_polycam

from data_prep import BadDatasetError, BadFrameError, Frame, open_scan
from data_prep.geometry import Camera
from data_prep.scans.rgbd.depth import resized_intrinsics


def assert_floor(frame: Frame, number: int) -> None:
    np.testing.assert_allclose(frame.T_world_points, pose(number), atol=1e-6)
    np.testing.assert_allclose(frame.world_points()[:, 2], 0, atol=0.02)  # nearest depth: half a depth pixel
    assert len(frame.points) == 128 * 96


def test_fewer_pixels_over_the_same_view_keep_the_rays_of_the_edges() -> None:
    K = np.array([[100.0, 0, 49.5], [0, 100, 39.5], [0, 0, 1]])  # center of 100 x 80
    small = Camera(resized_intrinsics(K, (100, 80), (50, 20)), 50, 20)
    corner = Camera(K, 100, 80).unproject_pixels(np.array([[99.5, 79.5]]), np.ones(1))
    np.testing.assert_allclose(small.project(corner)[0], [[49.5, 19.5]])


@pytest.mark.parametrize("corrected", [False, True])
def test_polycam(tmp_path: Path, corrected: bool) -> None:
    scan = open_scan("polycam", write_polycam(tmp_path, corrected))
    assert scan.frame_ids() == ["1000", "1100", "1200"]
    assert_floor(scan[1], 1)
    assert scan[1].timestamp == pytest.approx(1.1)
    images = "corrected_images" if corrected else "images"
    assert scan[1].views[0].name == f"keyframes/{images}/1100.jpg"
    inner = open_scan("polycam", tmp_path / "keyframes")[0]
    assert inner.views[0].name == f"{images}/1000.jpg"


def test_polycam_prefers_what_was_corrected(tmp_path: Path) -> None:
    write_polycam(tmp_path, corrected=True)
    write_polycam(tmp_path, corrected=False)
    (tmp_path / "keyframes/corrected_cameras/1100.json").unlink()
    scan = open_scan("polycam", tmp_path)
    assert scan.image_names() == [f"keyframes/corrected_images/{time}.jpg" for time in (1000, 1200)]  # type: ignore[attr-defined]


def change_camera(root: Path, **changes: object) -> None:
    path = root / "keyframes/cameras/1000.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


BAD_KEYFRAMES = {
    "no key": (lambda r: change_camera(r, t_23=None), r"1000\.json: t_23: is None, not a number"),
    "mirrored": (lambda r: change_camera(r, t_00=-1.0), r"t_00\.\.t_23: is not a rotation"),
    "not JSON": (lambda r: (r / "keyframes/cameras/1000.json").write_text("{"), "JSON: cannot be read"),
    "resized": (
        lambda r: write_picture(r / "keyframes/images/1000.jpg", width=64),
        "is 64x48, its camera 128x96",
    ),
    "no depth": (lambda r: (r / "keyframes/depth/1000.png").unlink(), r"depth/1000\.png: image: is missing"),
}


@pytest.mark.parametrize("spoil, complaint", BAD_KEYFRAMES.values(), ids=BAD_KEYFRAMES)
def test_bad_keyframes(tmp_path: Path, spoil: object, complaint: str) -> None:
    root = write_polycam(tmp_path)
    spoil(root)  # type: ignore[operator]
    scan = open_scan("polycam", root)
    with pytest.raises(BadFrameError, match=complaint):
        scan[0]
    assert_floor(scan[1], 1)


def test_photo_captures_and_other_folders(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="holds no frames"):
        open_scan("polycam", tmp_path)
    root = write_polycam(tmp_path)
    for path in (root / "keyframes/depth").glob("*"):
        path.unlink()
    with pytest.raises(BadDatasetError, match="depth: holds no depth"):
        open_scan("polycam", root)


def write_record3d(root: Path, files: dict[str, bytes] | None = None, packed: bool = True) -> Path:
    files = record3d_files() if files is None else files
    path = root / "room.r3d"
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.mark.parametrize("packed", [True, False])
def test_record3d(tmp_path: Path, packed: bool) -> None:
    scan = open_scan("record3d", write_record3d(tmp_path, packed=packed))
    assert scan.frame_ids() == ["0", "1", "2"]
    assert_floor(pickle.loads(pickle.dumps(scan))[2], 2)  # noqa: S301 - sent to another process
    assert scan[1].timestamp == 0.6
    assert scan[1].views[0].name == "rgbd/1.jpg"


def edited(**changes: object) -> dict[str, bytes]:
    files = record3d_files()
    files["metadata"] = json.dumps({**json.loads(files["metadata"]), **changes}).encode()
    return files


def test_record3d_follows_the_focus(tmp_path: Path) -> None:
    cameras = [[120, 120, 64.5, 48.5], [130, 131, 64, 48]]
    scan = open_scan("record3d", write_record3d(tmp_path, edited(perFrameIntrinsicCoeffs=cameras)))
    np.testing.assert_array_equal(scan[1].views[0].camera.K, [[130, 0, 64], [0, 131, 48], [0, 0, 1]])
    np.testing.assert_allclose(scan[2].views[0].camera.K, [[120, 0, 64.5], [0, 120, 48.5], [0, 0, 1]])


WRONG_METADATA = {
    "none": (lambda: {"rgbd/0.jpg": b""}, "metadata: file: is missing"),
    "no sizes": (lambda: edited(dw=None), "metadata: dw: is None, not a number"),
    "no poses": (lambda: edited(poses=None), "metadata: poses: is missing. Fix: record with the LiDAR"),
    "wrong poses": (lambda: edited(poses=[[1, 2], [3]]), "metadata: poses: is not a list of 7 numbers"),
    "no frames": (lambda: {"metadata": record3d_files()["metadata"]}, "holds no frames"),
}


@pytest.mark.parametrize("files, complaint", WRONG_METADATA.values(), ids=WRONG_METADATA)
@pytest.mark.parametrize("packed", [True, False])
def test_wrong_metadata_is_one_line(tmp_path: Path, files: object, complaint: str, packed: bool) -> None:
    root = write_record3d(tmp_path, files(), packed)  # type: ignore[operator]
    with pytest.raises(BadDatasetError, match=complaint):
        open_scan("record3d", root)


def without(name: str) -> dict[str, bytes]:
    return {key: content for key, content in record3d_files().items() if key != name}


BAD_FRAMES = {
    "no depth": (lambda: without("rgbd/0.depth"), r"rgbd/0\.depth: file: is missing"),
    "cut depth": (
        lambda: {**record3d_files(), "rgbd/0.depth": b"1234"},
        "unpacks to 4 bytes, 64x48 needs 12288",
    ),
    "no image": (lambda: {**record3d_files(), "rgbd/0.jpg": b"JPEG"}, r"rgbd/0\.jpg: image: cannot be read"),
    "no K": (lambda: edited(K=[1, 2]), r"K: is not a 3x3 matrix"),
    "no rotation": (lambda: edited(poses=[[0] * 7] * 3), "poses 0: .* is not a pose"),
    "few poses": (lambda: edited(poses=[]), "poses: is missing"),
    "other size": (lambda: edited(w=64, h=48), "is 128x96, metadata says 64x48"),
}


@pytest.mark.parametrize("files, complaint", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_bad_record3d_frames(tmp_path: Path, files: object, complaint: str) -> None:
    with pytest.raises((BadFrameError, BadDatasetError), match=complaint):
        open_scan("record3d", write_record3d(tmp_path, files()))[0]  # type: ignore[operator]


def test_compressed_depth_asks_for_its_library_and_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = record3d_files()["rgbd/0.depth"]
    scan = open_scan(
        "record3d", write_record3d(tmp_path, {**record3d_files(), "rgbd/0.depth": b"bvx2..bvx$"})
    )
    monkeypatch.setitem(sys.modules, "liblzfse", None)
    with pytest.raises(
        BadFrameError, match=r"rgbd/0\.depth: is LZFSE-compressed.* Fix: pip install pyliblzfse"
    ):
        scan[0]
    # A stand-in: the library itself is not among the requirements.
    stand_in = SimpleNamespace(decompress=lambda content: raw, error=ValueError)
    monkeypatch.setitem(sys.modules, "liblzfse", stand_in)
    assert_floor(scan[0], 0)


def test_not_an_r3d(tmp_path: Path) -> None:
    (tmp_path / "a.r3d").write_bytes(b"no zip")
    with pytest.raises(BadDatasetError, match=r"is not an \.r3d"):
        open_scan("record3d", tmp_path / "a.r3d")


def test_an_r3d_with_a_damaged_list_of_files(tmp_path: Path) -> None:
    path = write_record3d(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"PK\x01\x02", b"PK\x01\x03", 1))
    with pytest.raises(BadDatasetError, match=r"room\.r3d: is a damaged zip"):
        open_scan("record3d", path)
