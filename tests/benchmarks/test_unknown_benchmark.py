"""The benchmark of confident nonsense counts what it says it counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.mini_stand_ins import make_everything_strange, put_tiny_mini_points
from support.recognition_stand_ins import box_surface
from support.scan_twins import CAR, write_kitti

from benchmarks import unknown
from benchmarks.unknown import Group, main
from clip2.evaluation.open_set import answer_shares
from data_prep.scans import open_scan


def test_a_name_is_right_if_it_means_the_same() -> None:
    assert unknown.means_the_same("sofa", ("couch", "designer sofa"))  # a synonym of the synthetic world
    assert unknown.means_the_same("Traffic_Light", ("traffic light",))
    assert not unknown.means_the_same("chair", ("sofa",))
    assert not unknown.means_the_same("chair", ())  # nothing but "unknown" is right


def test_shares_by_hand() -> None:
    named = np.array([True, True, True, False])
    right = np.array([True, False, False, True])
    figures = answer_shares(named, right)
    assert figures == {"clouds": 4, "answered": 0.75, "right": 0.25, "nonsense": 0.5}


def street(root: Path) -> None:
    """One frame of a KITTI twin: a car where the label says, and three posts: seen, in a DontCare region, and behind."""
    write_kitti(root, frames=1)
    frame = root / "training"
    scan = open_scan("kitti", root)
    box = scan.annotations(0).boxes[0]
    car = box_surface((0, 0, 0), box.size, spacing=0.1) @ box.rotation.T + box.center
    floor = float(car[:, 2].min())
    posts = {"seen": (15.0, 1.0), "nobody cares": (15.0, 3.0), "behind": (-12.0, 1.0)}
    camera = scan[0].views[0].camera
    parts, regions = [car], {}
    for name, (x, y) in posts.items():
        post = box_surface((x, y, floor + 0.8), (0.5, 0.5, 1.6), spacing=0.1)
        parts.append(post)
        regions[name] = camera.project(post.astype(np.float32))[0]
    x0, y0, x1, y1 = [*regions["nobody cares"].min(axis=0) - 1, *regions["nobody cares"].max(axis=0) + 1]
    label = f"DontCare -1 -1 -10 {x0} {y0} {x1} {y1} -1 -1 -1 -1000 -1000 -1000 -10"
    (frame / "label_2" / "000000.txt").write_text(f"{CAR}\n{label}\n")
    grid = np.stack(np.meshgrid(np.arange(-20, 30, 0.4), np.arange(-10, 10, 0.4)), axis=-1).reshape(-1, 2)
    parts.append(np.column_stack([grid, np.full(len(grid), floor)]))
    points = np.concatenate(parts)
    np.column_stack([points, np.zeros(len(points))]).astype("<f4").tofile(frame / "velodyne" / "000000.bin")


def test_kitti_proposals_are_judged_only_where_somebody_looked(tmp_path: Path) -> None:
    street(tmp_path / "kitti_object")
    groups = unknown.kitti_groups(tmp_path)
    assert groups["kitti things"].truth == [("car",)]
    assert len(groups["kitti background"].clouds) == 1
    assert groups["kitti background"].clouds[0].mean(axis=0)[:2] == pytest.approx([15, 1], abs=0.3)
    assert groups["kitti background"].truth == [()]


def write_named_objects(root: Path) -> None:
    (root / "objects").mkdir(parents=True)
    points = np.zeros((3, 200, 6), np.float32)
    points[:, :, :3] = np.random.default_rng(0).normal(size=(200, 3)) * [0.1, 2.0, 0.1]
    np.savez(
        root / "objects" / "named_objects.npz",
        points=points,
        name=np.array(["chair", "seat", "airplane"]),
        bank_name=np.array(["chair", "", "airplane"]),
        up_axis=np.array(["y", "z", "z"]),
        has_colour=np.array([True, False, False]),
    )


def test_named_objects_stand_upright_and_know_their_color(tmp_path: Path) -> None:
    write_named_objects(tmp_path)
    group = unknown.named_objects(tmp_path)
    assert np.ptp(group.clouds[0], axis=0).argmax() == 2
    assert np.ptp(group.clouds[1], axis=0).argmax() == 1
    assert [colors is None for colors in group.colors] == [False, True, True]
    assert group.truth == [("chair", "chair"), ("seat",), ("airplane", "airplane")]


def test_rejection_turns_nonsense_into_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_tiny_mini_points(tmp_path / "shipped", monkeypatch)
    make_everything_strange(tmp_path / "shipped" / "points")
    write_named_objects(tmp_path)
    street(tmp_path / "kitti_object")
    home = Group()
    home.add(box_surface((0, 0, 0), (1, 1, 1), spacing=0.1), None, ["box"])
    monkeypatch.setattr(unknown, "fresh_objects", lambda: home)
    assert main(tmp_path, quantile=(0.95,), json=True) == 0
    figures = json.loads(capsys.readouterr().out)
    assert list(figures) == [
        "fresh",
        "named objects",
        "everywhere but home",
        "kitti things",
        "kitti background",
    ]
    far = figures["everywhere but home"]
    assert far["off"]["clouds"] == 5
    assert far["off"]["answered"] == 1
    assert far["off"]["nonsense"] >= 2 / 5  # the airplane and the post can only be named wrongly
    assert far["quantile 0.95"] == {"clouds": 5, "answered": 0, "right": 0, "nonsense": 0}
    assert main(tmp_path) == 0
    assert "nonsense" in capsys.readouterr().out
