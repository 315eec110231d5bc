"""Worlds of frames: those that poses put together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.bag_scenes import write_rgbd, write_vehicle
from support.nuscenes_twin import NuscenesTwin
from support.rgbd_twins import write_polycam, write_replica, write_scannet_export, write_tum
from support.scan_twins import write_kitti

from data_prep.scans import Scan, open_scan
from data_prep.scans.layout.save import save_layout


def _scenes(folder: Path) -> Scan:
    for name in ("scene0000_00", "scene0001_00"):
        write_scannet_export(folder / name)
    return open_scan("scannet", folder)


def worlds(scan: Scan) -> list[str | None]:
    return [scan.world_of(index) for index in range(len(scan))]


ONE: dict[str, Callable[[Path], Scan]] = {
    "room": lambda _: open_scan("procedural", "room", frames=2),
    "tum": lambda folder: open_scan("tum", write_tum(folder), up="z"),
    "replica": lambda folder: open_scan("replica", write_replica(folder) / "room0"),
    "polycam": lambda folder: open_scan("polycam", write_polycam(folder, False)),
    "bag of a vehicle": lambda folder: open_scan("rosbag", write_vehicle(folder)),
    "bag of a camera": lambda folder: open_scan("rosbag", write_rgbd(folder)),
}
SEVERAL: dict[str, tuple[Callable[[Path], Scan], list[str]]] = {
    "rooms": (lambda _: open_scan("procedural", "room", frames=3, worlds=2), ["room 0"] * 2 + ["room 1"]),
    "scannet": (_scenes, ["scene0000_00"] * 3 + ["scene0001_00"] * 3),
    "replica": (
        lambda folder: open_scan("replica", write_replica(folder, ("office0", "room1"))),
        ["office0"] * 3 + ["room1"] * 3,
    ),
    "nuscenes": (
        lambda folder: open_scan("nuscenes", NuscenesTwin(folder / "nuscenes").root),
        ["scene-0001"] * 3 + ["scene-0002"],
    ),
}
NONE: dict[str, Callable[[Path], Scan]] = {
    "kitti": lambda folder: open_scan("kitti", write_kitti(folder)),
    "bag without tf": lambda folder: open_scan("rosbag", write_vehicle(folder, with_tf=False), images=[]),
    "the vehicle's own axes": lambda folder: open_scan(
        "rosbag", write_vehicle(folder), world_frame="base_link"
    ),
}


@pytest.mark.parametrize("source", ONE.values(), ids=ONE)
def test_a_sequence_with_poses_is_one_world(tmp_path: Path, source: Callable[[Path], Scan]) -> None:
    found = worlds(source(tmp_path))
    assert len(found) > 1
    assert len(set(found)) == 1
    assert found[0]


@pytest.mark.parametrize("source, expected", SEVERAL.values(), ids=SEVERAL)
def test_scenes_are_worlds_of_their_own(
    tmp_path: Path, source: Callable[[Path], Scan], expected: list[str]
) -> None:
    assert worlds(source(tmp_path)) == expected


@pytest.mark.parametrize("source", NONE.values(), ids=NONE)
def test_without_poses_every_frame_is_its_own(tmp_path: Path, source: Callable[[Path], Scan]) -> None:
    assert set(worlds(source(tmp_path))) == {None}


def test_a_layout_states_its_worlds_or_travels(tmp_path: Path) -> None:
    scan = open_scan("procedural", "room", frames=3, worlds=2)
    save_layout(scan, tmp_path / "rooms")
    assert worlds(open_scan("layout", tmp_path / "rooms")) == worlds(scan)
    save_layout(open_scan("kitti", write_kitti(tmp_path / "kitti")), tmp_path / "sweeps")
    assert set(worlds(open_scan("layout", tmp_path / "sweeps"))) == {None}
    # Written by hand, nothing is said of worlds: that the sensor moves is said by the poses.
    for path in (tmp_path / "rooms/frames").glob("*.json"):
        record = json.loads(path.read_text())
        del record["world"]
        path.write_text(json.dumps(record))
    assert worlds(open_scan("layout", tmp_path / "rooms")) == ["rooms"] * 3
