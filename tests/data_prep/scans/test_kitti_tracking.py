"""KITTI tracking: sequences, frame numbers with gaps, track ids, calibration keys without colons."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from support.scan_twins import CAR, write_kitti_tracking

from data_prep import BadDatasetError, BadFrameError, InputError, open_scan


@pytest.fixture
def tracking(tmp_path: Path) -> Path:
    return write_kitti_tracking(tmp_path / "tracking")


def test_frames_are_the_sweeps_that_are_there(tracking: Path) -> None:
    scan = open_scan("kitti-tracking", tracking)
    assert scan.frame_ids() == ["0000_000000", "0000_000002", "0003_000005"]
    assert scan.image_names()[1] == "training/image_02/0000/000002.png" == scan[1].views[0].name
    assert [frame.timestamp for frame in scan] == [0.0, 0.2, 0.5]


def test_labels_belong_to_their_frame_number(tracking: Path) -> None:
    scan = open_scan("kitti-tracking", tracking)
    first, second, third = (scan.annotations(i) for i in range(3))
    assert first.labels == ("car",)
    assert second.labels == ("car", "person sitting")
    assert second.attributes["track_id"].tolist() == [7, 9]
    assert len(third) == 0
    assert third.boxes_2d.shape == (0, 4)


def test_sequences_are_chosen_by_name(tracking: Path) -> None:
    assert open_scan("kitti-tracking", tracking, sequences=["0003"]).frame_ids() == ["0003_000005"]
    with pytest.raises(BadDatasetError, match="sequences: '0009' is not there"):
        open_scan("kitti-tracking", tracking, sequences=["0009"])


def test_bad_calibration_stops_before_the_first_frame(tracking: Path) -> None:
    (tracking / "training/calib/0003.txt").write_text("P2: 1 2 3\n")
    with pytest.raises(BadDatasetError, match=r"0003\.txt: P2: is not 12 numbers"):
        open_scan("kitti-tracking", tracking)


def test_bad_sweep_is_one_bad_frame(tracking: Path) -> None:
    (tracking / "training/velodyne/0000/000002.bin").write_bytes(b"123")
    scan = open_scan("kitti-tracking", tracking)
    with pytest.raises(BadFrameError, match=r"000002\.bin"):
        scan[1]
    assert len(scan[2].points) == 50


def test_object_labels_in_a_tracking_file_are_refused(tracking: Path) -> None:
    (tracking / "training/label_02/0000.txt").write_text(CAR)
    with pytest.raises(InputError, match="line 1"):
        open_scan("kitti-tracking", tracking).annotations(0)


def test_without_labels_there_are_no_annotations(tracking: Path) -> None:
    (tracking / "training/label_02").rename(tracking / "training/elsewhere")
    assert open_scan("kitti-tracking", tracking).annotations(0) is None


def test_a_scan_can_be_sent_to_a_worker(tracking: Path) -> None:
    scan = open_scan("kitti-tracking", tracking)
    labels = scan.annotations(0)
    sent = pickle.loads(pickle.dumps(scan))  # noqa: S301
    np.testing.assert_array_equal(sent[1].points, scan[1].points)
    assert sent.annotations(0).labels == labels.labels


def test_real_sequence(real_data: Path) -> None:
    scan = open_scan("kitti-tracking", real_data / "kitti_tracking")
    assert scan.frame_ids() == [f"0001_{number:06d}" for number in range(0, 15, 2)]
    inside = []
    for i, frame in enumerate(scan):
        inside += [box.contains(frame.points).sum() for box in scan.annotations(i).boxes]
    assert (len(inside), min(inside), max(inside)) == (63, 1, 5021)
    # A standing car keeps its place in the world only if boxes are right frame after frame; sizes never change.
    sizes: dict[int, list[np.ndarray]] = {}
    for i in range(len(scan)):
        labels = scan.annotations(i)
        for box, track in zip(labels.boxes, labels.attributes["track_id"], strict=True):
            sizes.setdefault(int(track), []).append(box.size)
    assert all(np.ptp(np.stack(same), axis=0).max() < 1e-6 for same in sizes.values())


def test_files_that_are_no_frame_number_are_no_frames(tracking: Path) -> None:
    folder = tracking / "training/velodyne/0000"
    for stray in ("._000000.bin", "000000 (copy).bin", "merged.bin"):
        (folder / stray).write_bytes((folder / "000000.bin").read_bytes())
    scan = open_scan("kitti-tracking", tracking)
    assert scan.frame_ids() == ["0000_000000", "0000_000002", "0003_000005"]
    assert len(scan.annotations(0)) == 1
