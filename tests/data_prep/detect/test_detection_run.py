"""A run over a scan: what is written, and that being killed changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.detection_stand_ins import HEIGHT, WIDTH, BoxFiller, ColorDetector, PaintedScan, thing

from data_prep.detect import CocoDetections
from data_prep.detect.detection_run import detect_scan
from data_prep.detect.nms import Selection
from data_prep.errors import BadDatasetError, InputError
from data_prep.scans import open_scan


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "detections.json"


def test_every_painted_thing_is_in_the_file(tmp_path: Path, out: Path) -> None:
    run = detect_scan(PaintedScan(tmp_path), ColorDetector(), out, batch_size=3)
    assert (run.frames, run.detected, run.reused, run.images, run.detections) == (5, 5, 0, 10, 10)
    loaded = CocoDetections.load(out)
    assert loaded.check(PaintedScan(tmp_path)).matched == 10
    for frame in range(5):
        for view in range(2):
            found = loaded.for_image(f"image_{view}/{frame}.png", WIDTH, HEIGHT)
            box, word = thing(frame, view)
            assert found.labels == (word,)
            np.testing.assert_array_equal(found.boxes, [box])
    assert not loaded.is_ground_truth
    assert not list(tmp_path.glob(".*")), "nothing is left beside the file"


def test_the_file_says_how_it_was_made(tmp_path: Path, out: Path) -> None:
    detect_scan(PaintedScan(tmp_path), ColorDetector(), out, selection=Selection(min_scores={"mug": 0.5}))
    info = json.loads(out.read_text())["info"]
    assert info["source"] == "detector"
    assert info["settings"]["detector"] == {"name": "color", "version": "1"}
    assert info["settings"]["selection"]["min_scores"] == {"mug": 0.5}


def test_each_frame_is_read_once_and_done_ones_never(tmp_path: Path, out: Path) -> None:
    scan = PaintedScan(tmp_path)
    detect_scan(scan, ColorDetector(), out, frames=[0, 2])
    assert scan.reads == [0, 2]
    before = out.read_bytes()
    run = detect_scan(scan, ColorDetector(), out, frames=[2, 0])
    assert (run.reused, run.detected, scan.reads) == (2, 0, [0, 2])
    assert out.read_bytes() == before
    run = detect_scan(scan, ColorDetector(), out)
    assert (run.reused, run.detected, scan.reads) == (2, 3, [0, 2, 1, 3, 4])


def test_a_file_made_in_two_runs_is_the_same_as_in_one(tmp_path: Path, out: Path) -> None:
    whole = tmp_path / "whole.json"
    detect_scan(PaintedScan(tmp_path), ColorDetector(), whole, segmenter=BoxFiller())
    detect_scan(PaintedScan(tmp_path), ColorDetector(), out, segmenter=BoxFiller(), frames=[1, 3])
    detect_scan(PaintedScan(tmp_path), ColorDetector(), out, segmenter=BoxFiller())
    assert out.read_bytes() == whole.read_bytes()


def test_frames_that_left_the_scan_stay_in_the_file(tmp_path: Path, out: Path) -> None:
    detect_scan(PaintedScan(tmp_path, frames=4), ColorDetector(), out)
    detect_scan(PaintedScan(tmp_path, frames=2), ColorDetector(), out)
    assert len(CocoDetections.load(out).image_names) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("call", [1, 2, 3])
def test_killed_in_the_middle_the_same_command_ends_with_the_same_file(
    tmp_path: Path, out: Path, call: int
) -> None:
    whole = tmp_path / "whole.json"
    scan = PaintedScan(tmp_path, frames=7, bad=[1])  # two frames, four images, to a batch
    detect_scan(scan, ColorDetector(), whole, batch_size=3)
    child = os.fork()
    if child == 0:
        try:
            detect_scan(scan, ColorDetector(kill_at=call), out, batch_size=3)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not out.exists()
    run = detect_scan(scan, ColorDetector(), out, batch_size=3)
    assert run.reused == 2 * (call - 1)
    assert out.read_bytes() == whole.read_bytes()


def test_killed_while_writing_the_journal_nothing_is_lost(tmp_path: Path, out: Path) -> None:
    """The journal is cut short at every possible byte."""
    whole = tmp_path / "whole.json"
    detect_scan(PaintedScan(tmp_path, frames=3, views=1), ColorDetector(), whole)

    class Stop(Exception):
        pass

    class Stopping(ColorDetector):
        def detect(self, images: list, min_score: float) -> list:
            if len(self.calls) == 2:
                raise Stop
            return super().detect(images, min_score)

    with pytest.raises(Stop):
        detect_scan(PaintedScan(tmp_path, frames=3, views=1), Stopping(), out, batch_size=1)
    (journal,) = tmp_path.glob(".detections.json.journal/*.jsonl")
    content = journal.read_bytes()
    for length in range(0, len(content) + 1, 29):
        journal.parent.mkdir(exist_ok=True)
        journal.write_bytes(content[:length])
        run = detect_scan(PaintedScan(tmp_path, frames=3, views=1), ColorDetector(), out, batch_size=1)
        assert run.reused == max(content[:length].count(b"\n") - 1, 0)
        assert out.read_bytes() == whole.read_bytes()
        out.unlink()


def test_bad_frames_are_counted_named_and_tried_again(tmp_path: Path, out: Path) -> None:
    run = detect_scan(PaintedScan(tmp_path, bad=[1, 4]), ColorDetector(), out)
    assert [frame for frame, _ in run.bad_frames] == ["001", "004"]
    assert run.bad_frames[0][1] == "image_0/1.png: image: is cut short"
    assert run.detected == 3
    run = detect_scan(PaintedScan(tmp_path, bad=[4]), ColorDetector(), out)  # mended in between
    assert (run.reused, run.detected, len(run.bad_frames)) == (3, 1, 1)


def test_masks_are_written_and_where_there_is_none_the_box_is_left(tmp_path: Path, out: Path) -> None:
    detect_scan(PaintedScan(tmp_path, views=1), ColorDetector(), out, segmenter=BoxFiller())
    loaded = CocoDetections.load(out)
    for frame in range(5):
        found = loaded.for_image(f"image_0/{frame}.png", WIDTH, HEIGHT)
        (x0, y0, x1, y1), _ = thing(frame, 0)
        assert found.attributes["mask_score"].tolist() == [0.75]
        if x0 == 0:
            assert found.masks is None
            continue
        assert found.masks is not None
        assert found.masks[0].sum() == (x1 - x0) * (y1 - y0)
        assert found.masks[0][y0:y1, x0:x1].all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"detector": ColorDetector(version="2")}, 'detector.version: was "1", is "2" now'),
        ({"selection": Selection(min_score=0.5)}, "selection.min_score: was 0.3, is 0.5 now"),
        ({"segmenter": BoxFiller()}, 'masks: was null, is {"name": "filler"} now'),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_do_not_continue(
    tmp_path: Path, out: Path, change: dict, message: str, finished: bool
) -> None:
    detect_scan(PaintedScan(tmp_path), ColorDetector(), out)
    if not finished:
        settings = json.loads(out.read_text())["info"]["settings"]
        out.unlink()
        folder = tmp_path / ".detections.json.journal"
        folder.mkdir()
        (folder / "batches.jsonl").write_text(json.dumps(settings) + "\n")
    options = {"detector": ColorDetector(), **change}
    with pytest.raises(InputError) as error:
        detect_scan(PaintedScan(tmp_path), options.pop("detector"), out, **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, out: Path) -> None:
    out.write_text(json.dumps({"images": [], "categories": [], "annotations": []}))
    with pytest.raises(
        BadDatasetError, match=r"detections\.json: info\.settings: is not the result of a detection run"
    ):
        detect_scan(PaintedScan(tmp_path), ColorDetector(), out)
    out.write_text("not JSON")
    with pytest.raises(BadDatasetError, match="is not JSON"):
        detect_scan(PaintedScan(tmp_path), ColorDetector(), out)


def test_a_damaged_journal_is_named(tmp_path: Path, out: Path) -> None:
    with pytest.raises(BadDatasetError):
        detect_scan(PaintedScan(tmp_path, bad=range(5)), ColorDetector(), out)
    (journal,) = tmp_path.glob(".detections.json.journal/*.jsonl")
    with journal.open("a") as file:
        file.write('[{"frame": "000"\n')
    with pytest.raises(BadDatasetError, match=r"batches\.jsonl: line 2 is damaged"):
        detect_scan(PaintedScan(tmp_path), ColorDetector(), out)


def test_two_processes_do_not_write_one_file(tmp_path: Path, out: Path) -> None:
    class Impatient(ColorDetector):
        def detect(self, images: list, min_score: float) -> list:
            with pytest.raises(
                InputError, match=f"is being written by process {os.getpid()} on this machine"
            ):
                detect_scan(PaintedScan(tmp_path), ColorDetector(), out)
            return super().detect(images, min_score)

    assert detect_scan(PaintedScan(tmp_path), Impatient(), out).detected == 5


def test_not_one_readable_frame_is_an_error(tmp_path: Path, out: Path) -> None:
    with pytest.raises(BadDatasetError, match=r"not one of 5 frames could be read, first: image_0/0\.png"):
        detect_scan(PaintedScan(tmp_path, bad=range(5)), ColorDetector(), out)
    assert not out.exists()


def test_thresholds_for_unknown_words_name_the_nearest(tmp_path: Path, out: Path) -> None:
    with pytest.raises(InputError, match=r"'botle' is not in the vocabulary\. Fix: nearest label: bottle"):
        detect_scan(
            PaintedScan(tmp_path), ColorDetector(), out, selection=Selection(min_scores={"botle": 0.5})
        )


@pytest.mark.parametrize("name", ["", "missing/folder/../x"])
def test_an_unwritable_place_is_named_before_the_work(tmp_path: Path, name: str) -> None:
    detector = ColorDetector()
    (tmp_path / "file").write_text("")
    place = tmp_path if not name else tmp_path / "file" / "x.json"
    with pytest.raises(InputError, match=r"is a f(older|ile)"):
        detect_scan(PaintedScan(tmp_path), detector, place)
    assert detector.calls == []


def test_detections_need_no_torch() -> None:
    code = "import sys, data_prep.detect; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_real_images_are_found_by_the_names_of_the_scan(real_data: Path, out: Path) -> None:
    scan = open_scan("kitti", real_data / "kitti_object")
    run = detect_scan(scan, ColorDetector(), out)
    assert run.detected == len(scan)
    assert CocoDetections.load(out).check(scan).matched == run.images
