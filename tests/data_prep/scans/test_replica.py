"""Replica as NICE-SLAM renders it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.rgbd_twins import pose, write_picture, write_replica

from data_prep import BadDatasetError, BadFrameError, open_scan


def test_a_scene_with_its_parameters_beside_it(tmp_path: Path) -> None:
    scan = open_scan("replica", write_replica(tmp_path) / "room0")
    assert scan.frame_ids() == ["000000", "000001", "000002"]
    frame = scan[2]
    np.testing.assert_allclose(frame.T_world_points, pose(2))
    np.testing.assert_allclose(frame.world_points()[:, 2], 0, atol=1e-4)
    assert frame.views[0].name == "results/frame000002.jpg"


def test_all_scenes(tmp_path: Path) -> None:
    scan = open_scan("replica", write_replica(tmp_path, ("office0", "room1")))
    assert scan.frame_ids()[2:4] == ["office0_000002", "room1_000000"]
    assert scan[3].views[0].name == "room1/results/frame000000.jpg"
    np.testing.assert_allclose(scan[3].T_world_points, pose(0))


def test_other_worlds_say_their_up(tmp_path: Path) -> None:
    frame = open_scan("replica", write_replica(tmp_path) / "room0", up="-y")[0]
    np.testing.assert_allclose(frame.T_world_points[2, 3], -pose(0)[1, 3], atol=1e-9)


def rewrite(root: Path, **changes: object) -> None:
    path = root / "cam_params.json"
    record = json.loads(path.read_text())
    record["camera"].update(changes)
    path.write_text(json.dumps(record))


WRONG = {
    "no parameters": (lambda r: (r / "cam_params.json").unlink(), r"cam_params\.json: JSON: is missing"),
    "no camera": (
        lambda r: (r / "cam_params.json").write_text("{}"),
        r"cam_params\.json: camera: is missing",
    ),
    "no scale": (lambda r: rewrite(r, scale=None), r"cam_params\.json: scale: is None, not a number"),
    "zero scale": (lambda r: rewrite(r, scale=0), "scale: is 0"),
    "no focal length": (lambda r: rewrite(r, fx=-1), r"camera\.K: is not a 3x3"),
    "no trajectory": (lambda r: (r / "room0/traj.txt").unlink(), r"traj\.txt: poses: is missing"),
    "short trajectory": (
        lambda r: (r / "room0/traj.txt").write_text("1 " * 16),
        "holds 1 poses for 3 frames",
    ),
    "twelve numbers": (lambda r: (r / "room0/traj.txt").write_text("1 " * 12), "line 1: holds 12 numbers"),
    "words": (lambda r: (r / "room0/traj.txt").write_text("one"), "line 1: is not numbers"),
}


@pytest.mark.parametrize("spoil, complaint", WRONG.values(), ids=WRONG)
def test_wrong_files_are_one_line(tmp_path: Path, spoil: object, complaint: str) -> None:
    root = write_replica(tmp_path)
    spoil(root)  # type: ignore[operator]
    with pytest.raises(BadDatasetError, match=complaint):
        open_scan("replica", root / "room0")


def test_bad_frames(tmp_path: Path) -> None:
    root = write_replica(tmp_path)
    rows = (root / "room0/traj.txt").read_text().splitlines()
    (root / "room0/traj.txt").write_text("\n".join([rows[0], " ".join(["nan"] * 16), rows[2]]))
    write_picture(root / "room0/results/frame000002.jpg", width=128, height=96)
    scan = open_scan("replica", root / "room0")
    assert len(scan[0].points) == 64 * 48
    with pytest.raises(BadFrameError, match=r"traj\.txt: line 2: holds values that are not finite"):
        scan[1]
    with pytest.raises(BadFrameError, match=r"image size: is 128x96, cam_params\.json says 64x48"):
        scan[2]


def test_not_replica(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="holds no frames"):
        open_scan("replica", tmp_path)
