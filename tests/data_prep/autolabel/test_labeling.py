"""Labeling of a street whose two cars are known: one parked, one driving."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.killing import dies_at
from support.label_stand_ins import PARKED, SPEED, Street, StreetDetections, label, labeled, seen_faces

from data_prep import BadDatasetError, InputError, MiningConfig, OrientedBox
from data_prep.autolabel import LabelReport, label_scan
from data_prep.autolabel.duplicates import without_duplicates
from data_prep.autolabel.motion import moves
from data_prep.geometry.box_iou import box_iou_3d
from data_prep.scale import create_engine
from data_prep.scans import Scan
from data_prep.storage.lock import FolderLock


def run(out: Path, scan: Street | None = None, format: str = "openpcdet", **options: Any) -> LabelReport:
    scan = scan or Street()
    names = options.pop("names", ("car", "car"))
    return label_scan(scan, StreetDetections(scan, names), out, format, **options)


def read_boxes(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "boxes.jsonl").read_text().splitlines()]


def row(box: OrientedBox) -> list[float]:
    return [*box.center, *box.size, box.yaw]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("street") / "out"
    run(out)
    return out


def test_a_parked_car_has_one_box_in_all_frames_and_stands(street: Path) -> None:
    parked = [one for one in read_boxes(street) if not one["moving"]]
    assert [one["frame"] for one in parked] == ["f0", "f1", "f2"]
    assert len({json.dumps(one["box"]) for one in parked}) == 1
    assert {one["track"] for one in parked} == {0}
    assert parked[0]["velocity"] == [0, 0, 0]
    box = parked[0]["box"]
    found = [*box["center"], *box["size_lwh"], box["yaw"]]
    assert box_iou_3d([found], [row(PARKED)])[0][0, 0] > 0.7


def test_a_driving_car_heads_where_it_drives(street: Path) -> None:
    driving = [one for one in read_boxes(street) if one["moving"]]
    assert [one["frame"] for one in driving] == ["f0", "f1", "f2"]
    assert {one["track"] for one in driving} == {1}
    for one, true in zip(driving, (Street().boxes(n)[1] for n in range(3)), strict=True):
        assert one["velocity"][1] == pytest.approx(-SPEED, abs=2)
        assert one["box"]["yaw"] == pytest.approx(-np.pi / 2, abs=0.2)
        box = [*one["box"]["center"], *one["box"]["size_lwh"], one["box"]["yaw"]]
        assert box_iou_3d([box], [row(true)])[0][0, 0] > 0.5


def test_what_gave_no_box_is_counted(street: Path) -> None:
    report = json.loads((street / "labels.json").read_text())
    assert (report["frames"], report["boxes"], report["tracks"]) == (3, 6, 2)
    assert report["rejections"] == {"no-points-in-region": 3}  # the kite in each frame
    assert report["labels"] == {"car": 6}


def test_without_poses_objects_are_followed_and_nothing_is_said_about_motion(tmp_path: Path) -> None:
    assert run(tmp_path / "out", Street(posed=False)).tracks >= 2
    assert {one["moving"] for one in read_boxes(tmp_path / "out")} == {None}
    assert {one["velocity"] for one in read_boxes(tmp_path / "out")} == {None}


def test_frames_without_times_and_poses_are_labeled_one_by_one_and_refuse_tracks(tmp_path: Path) -> None:
    single = Street(2, posed=False, timed=False)
    assert run(tmp_path / "out", single).tracks == 0
    assert {one["track"] for one in read_boxes(tmp_path / "out")} == {None}
    with pytest.raises(InputError, match=r"tracks: need times or poses .* --tracks no"):
        run(tmp_path / "followed", single, tracks=True)
    assert run(tmp_path / "no", Street(2), tracks=False).tracks == 0


def test_bad_frames_are_listed_and_get_no_labels(tmp_path: Path) -> None:
    report = run(tmp_path / "out", Street(3, bad=[1]), format="kitti")
    assert [bad["frame"] for bad in report.bad_frames] == ["f1"]
    assert sorted(path.name for path in (tmp_path / "out/label_2").iterdir()) == ["f0.txt", "f2.txt"]
    frames = (tmp_path / "out/label_02_frames.txt").read_text().splitlines()
    assert frames == ["0000 000000 f0", "0000 000002 f2"]  # the number of the bad one stays free


def test_labels_that_a_format_does_not_know_are_counted_and_all_of_them_are_an_error(tmp_path: Path) -> None:
    report = run(tmp_path / "out", format="kitti", names=("car", "sofa"))
    assert report.unknown_labels == {"sofa": 3}
    assert report.labels == {"car": 3}
    with pytest.raises(
        InputError, match=r"no class for any label found \(sofa\).*--label-map LABEL=ONE .* car"
    ):
        run(tmp_path / "none", format="kitti", names=("sofa", "sofa"))
    mapped = MiningConfig(labels={"sofa": ("Misc",)})
    assert run(tmp_path / "mapped", format="kitti", names=("sofa", "sofa"), config=mapped).labels == {
        "misc": 6
    }


def test_detections_that_give_no_object_are_one_line_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match=r"no detection became an object .*too-few-points"):
        run(tmp_path / "out", config=MiningConfig(lift={"min_points": 100_000}))


def test_boxes_below_the_least_quality_are_left_out_and_counted(street: Path, tmp_path: Path) -> None:
    qualities = [one["quality"] for one in read_boxes(street)]
    middle = float(np.mean(qualities))
    fewer = sum(quality < middle for quality in qualities)
    assert 0 < fewer < len(qualities)
    report = run(tmp_path / "out", min_quality=middle)
    assert report.rejections["low-quality"] == fewer
    assert min(one["quality"] for one in read_boxes(tmp_path / "out")) >= middle


def test_a_folder_with_other_content_is_refused(street: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(BadDatasetError, match=r"out: holds 'thesis\.tex' and no labels"):
        run(tmp_path)
    with pytest.raises(BadDatasetError, match="out: holds labels in openpcdet"):
        run(street, format="kitti")
    with pytest.raises(BadDatasetError, match="tracks: was None, is False now"):
        run(street, tracks=False)
    with pytest.raises(InputError, match="is a URL"):
        run("s3://bucket/labels")  # type: ignore[arg-type]
    with FolderLock(street), pytest.raises(InputError, match="is being written by process"):
        run(street)


def test_a_second_run_changes_nothing(street: Path) -> None:
    before = tree(street)
    report = run(street)
    assert report.boxes == 6
    assert tree(street) == before


@pytest.mark.parametrize("step", [1, 4, 7, 10, 12])
def test_killed_at_any_write_it_ends_with_the_same_bytes(
    step: int, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with dies_at(step, monkeypatch):
        run(out)
    assert not (out / "labels.json").exists()
    run(out)
    assert tree(out) == tree(street)


def test_workers_write_the_same_bytes(street: Path, tmp_path: Path) -> None:
    run(tmp_path / "out", engine=create_engine("processes", 2))
    assert tree(tmp_path / "out") == tree(street)


def test_two_boxes_around_one_thing_are_one_label() -> None:
    scan: Scan = Street(1)
    better = label(PARKED)
    shifted = OrientedBox(PARKED.center + [0.3, 0, 0], PARKED.size, PARKED.rotation)
    beside = OrientedBox(PARKED.center + [0, 1.5, 0], PARKED.size, PARKED.rotation)
    frame = labeled(scan, 0, better, label(shifted, "truck"), label(beside))
    (kept,), left_out = without_duplicates([frame])
    assert [one.label for one in kept.labels] == ["car", "car"]
    assert left_out == 1


def test_of_an_object_seen_once_nobody_says_whether_it_moves(tmp_path: Path) -> None:
    run(tmp_path / "out", Street(1))
    assert {(one["moving"], one["velocity"]) for one in read_boxes(tmp_path / "out")} == {(None, None)}


def test_two_clouds_of_a_driving_car_fit_better_if_one_is_shifted() -> None:
    sensors = [Street().pose(n)[:3, 3] for n in range(3)]
    still, driven = (
        [
            seen_faces(OrientedBox(box.center - sensor, box.size, box.rotation)) + sensor
            for box, sensor in zip(boxes, sensors, strict=True)
        ]
        for boxes in ([PARKED] * 3, [Street().boxes(n)[1] for n in range(3)])
    )
    assert moves(driven)
    assert not moves(still)
    assert not moves(still[:1])
