"""What mining makes of a frame whose every point is known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.triplet_stand_ins import (
    HEIGHT,
    T_WORLD_POINTS,
    WIDTH,
    StandInDetections,
    StandInLifter,
    StandInScan,
    mine_stand_ins,
)

from data_prep.associate.observation import crop_window, observation_key
from data_prep.detect import Coverage, Detections2D
from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.geometry import invert
from data_prep.labels import normalize_label
from data_prep.scans import Scan
from data_prep.triplets import Triplet, mine, open_triplets


@pytest.fixture
def mined(tmp_path: Path) -> list[Triplet]:
    mine_stand_ins(tmp_path, count=3)
    return list(open_triplets(tmp_path))


def test_every_detection_is_either_mined_or_rejected_with_a_reason(tmp_path: Path) -> None:
    manifest = mine_stand_ins(tmp_path, count=12)
    # Frames 3 and 8 are bad: ten good ones with three objects and one rejection each.
    assert manifest.totals["objects"] == 30
    assert manifest.rejections == {"too-few-points": 10}
    assert manifest.frames_done == 12
    assert len(open_triplets(tmp_path)) == 30


def test_bad_frames_are_listed_with_their_reason_and_skipped(tmp_path: Path) -> None:
    manifest = mine_stand_ins(tmp_path, count=12)
    assert [bad.frame for bad in manifest.bad_frames] == ["f003", "f008"]
    assert manifest.bad_frames[0].error == "3.bin: points: is cut short. Fix: copy it again"


def test_bad_frames_at_the_very_end_are_not_forgotten(tmp_path: Path) -> None:
    assert [bad.frame for bad in mine_stand_ins(tmp_path, count=4).bad_frames] == ["f003"]


def test_shards_end_with_a_frame_once_they_hold_enough(tmp_path: Path) -> None:
    manifest = mine_stand_ins(tmp_path, count=6)  # 3 3 3 bad 3 3 objects, at least 5 per shard
    assert [shard.count for shard in manifest.shards] == [6, 6, 3]
    assert [(shard.first_frame, shard.last_frame) for shard in manifest.shards] == [
        ("f000", "f001"),
        ("f002", "f004"),
        ("f005", "f005"),
    ]


def test_keys_name_source_frame_view_and_detection(mined: list[Triplet]) -> None:
    assert [triplet.key for triplet in mined[:4]] == [
        "stand-in-f000-0-11",
        "stand-in-f000-0-12",
        "stand-in-f000-0-13",
        "stand-in-f001-0-11",
    ]


def test_points_are_centered_in_world_axes_and_find_back_to_the_sensor(mined: list[Triplet]) -> None:
    frame = StandInScan(Path("/nowhere"))[0]
    for row, triplet in enumerate(mined[:3]):
        assert np.abs(triplet.points.mean(axis=0)).max() < 1e-6
        # 4,000 km from the map's origin float32 has steps of 25 cm; the way back must not show them.
        world = triplet.points.astype(np.float64) + triplet.provenance.center
        T = invert(T_WORLD_POINTS)
        back = world @ T[:3, :3].T + T[:3, 3]
        np.testing.assert_allclose(back, frame.points[20 * row : 20 * row + 20], atol=1e-5)


def test_what_is_left_of_the_sensor_is_where_the_world_says(mined: list[Triplet]) -> None:
    # The first group is 10 m ahead and 3 m to the left; the world's x points to the sensor's right.
    np.testing.assert_allclose(mined[0].provenance.center, [4e6 - 3, 5e5 + 10, 101.5], atol=0.1)


def test_provenance_is_enough_to_draw_the_points_onto_the_crop(mined: list[Triplet]) -> None:
    for triplet in mined:
        record = triplet.provenance
        camera = record.camera.camera()  # type: ignore[union-attr]
        T = invert(np.array(record.T_world_points))
        world = triplet.points + np.array(record.center)
        uv, _ = camera.project(world @ T[:3, :3].T + T[:3, 3])
        x0, y0, x1, y1 = record.crop
        assert triplet.crop is not None
        assert triplet.crop.shape == (y1 - y0, x1 - x0, 3)
        assert ((uv >= (x0, y0)) & (uv <= (x1 - 1, y1 - 1))).all()


def test_crop_is_the_box_with_its_margin(mined: list[Triplet]) -> None:
    # Box 11.5..21.5 x 18.5..28.5 grown by a tenth of 10 px on each side: pixel centers 11..22 and 18..29.
    assert mined[0].provenance.crop == (11, 18, 23, 30)
    image = StandInScan(Path("/nowhere"))[0].views[0].image
    assert mined[0].crop is not None
    assert mined[0].crop.shape == image[18:30, 11:23].shape
    difference = mined[0].crop.astype(float).mean(axis=(0, 1)) - image[18:30, 11:23].mean(axis=(0, 1))
    assert np.abs(difference).max() < 3


def test_words_are_labels_without_templates(mined: list[Triplet]) -> None:
    assert [triplet.texts for triplet in mined[:3]] == [("mug",), ("traffic light",), ("potted plant",)]


def test_labels_may_be_given_other_words_or_none(tmp_path: Path) -> None:
    words = {"Traffic_Light": ("signal", "traffic light"), "potted plant": ()}
    manifest = mine_stand_ins(tmp_path, count=2, labels=words)
    texts = [triplet.texts for triplet in open_triplets(tmp_path)]
    assert texts == [("mug",), ("signal", "traffic light")] * 2
    assert manifest.rejections == {"too-few-points": 2, "label-left-out": 2}


def test_other_words_are_another_run(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path, count=2)
    with pytest.raises(BadDatasetError, match="labels"):
        mine_stand_ins(tmp_path, count=2, labels={"mug": ("cup",)})


def test_provenance_keeps_what_the_detector_and_the_lifter_said(mined: list[Triplet]) -> None:
    record = mined[1].provenance
    assert record.source == "stand-in"
    assert record.frame == "f000"
    assert record.timestamp == 0.0
    assert record.view == "images/000.png"
    assert record.label == "traffic_light"
    assert record.score == pytest.approx(0.8)
    assert record.box == (26.5, 18.5, 36.5, 28.5)
    assert record.detection == 12
    assert record.attributes == {"track_id": 2}
    assert record.lifter == {"name": "stand-in", "reach": 1.0}
    assert record.quality.num_in_region == 25
    assert record.quality.occluded is None  # the lifter said NaN, which JSON cannot hold


def test_colors_follow_their_points(mined: list[Triplet]) -> None:
    frame = StandInScan(Path("/nowhere"))[0]
    np.testing.assert_array_equal(mined[2].colors, frame.colors[40:60])  # type: ignore[index]


def test_large_clouds_keep_a_choice_that_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        mine_stand_ins(tmp_path / name, count=1, max_points=8)
    a, b = (list(open_triplets(tmp_path / name)) for name in ("a", "b"))
    whole = StandInScan(Path("/nowhere"))[0]
    for one, other in zip(a, b, strict=True):
        assert len(one.points) == 8
        np.testing.assert_array_equal(one.points, other.points)
        # Points and colors are chosen together.
        assert {tuple(color) for color in one.colors} <= {tuple(color) for color in whole.colors}  # type: ignore[union-attr]


def test_only_the_chosen_frames_are_mined_in_the_chosen_order(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path, frames=[4, 1])
    frames = [triplet.provenance.frame for triplet in open_triplets(tmp_path)]
    assert frames == ["f004"] * 3 + ["f001"] * 3


def test_progress_counts_frames_objects_refusals_and_bad_frames(tmp_path: Path) -> None:
    seen = []
    mine_stand_ins(tmp_path, count=5, on_frame=seen.append)
    assert [progress.frames for progress in seen] == [1, 2, 3, 4, 5]
    last = seen[-1]
    assert (last.frames_total, last.objects, last.rejected, last.bad_frames) == (5, 12, 4, 1)


def test_a_box_outside_the_image_is_rejected_not_cropped(tmp_path: Path) -> None:
    class Outside(StandInDetections):
        def for_image(self, name: str, width: int, height: int) -> Detections2D:
            found = super().for_image(name, width, height)
            return Detections2D(found.boxes + (0, 100, 0, 100), found.scores, found.labels, found.ids)

    scan = StandInScan(Path("/nowhere"), count=1)
    manifest = mine(scan, Outside(), tmp_path, lifter=StandInLifter())
    assert manifest.totals["objects"] == 0
    assert manifest.rejections == {"crop-outside-image": 3, "too-few-points": 1}


def test_detections_that_break_a_frame_make_it_bad_and_the_rest_goes_on(tmp_path: Path) -> None:
    class Partly(StandInDetections):
        def for_image(self, name: str, width: int, height: int) -> Detections2D:
            if "001" in name:
                raise BadFrameError("belongs to an image of 10x10", source="boxes.json", field=name)
            return super().for_image(name, width, height)

    manifest = mine(StandInScan(Path("/nowhere"), count=3), Partly(), tmp_path, lifter=StandInLifter())
    assert [bad.frame for bad in manifest.bad_frames] == ["f001"]
    assert manifest.totals["objects"] == 6


def test_frame_ids_that_repeat_are_rejected_before_anything_is_written(tmp_path: Path) -> None:
    class Twice(StandInScan):
        def frame_ids(self) -> list[str]:
            return ["f000"] * self.count

    with pytest.raises(BadDatasetError, match="frame ids: 'f000' comes twice"):
        mine(Twice(Path("/nowhere")), StandInDetections(), tmp_path / "out", lifter=StandInLifter())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("settings", [{"margin": -0.1}, {"max_points": 0}, {"objects_per_shard": 0}])
def test_impossible_settings_are_rejected(tmp_path: Path, settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        mine_stand_ins(tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_set_without_detections_is_empty_and_says_so(tmp_path: Path) -> None:
    class Nothing(StandInLifter):
        def lift(self, *_: object) -> SimpleNamespace:
            return SimpleNamespace(objects=(), rejections=())

    manifest = mine(StandInScan(Path("/nowhere"), count=2), StandInDetections(), tmp_path, lifter=Nothing())
    assert (manifest.finished, manifest.totals["objects"], manifest.shards) == (True, 0, [])
    assert list(open_triplets(tmp_path)) == []


def test_the_manifest_is_readable_json_with_totals(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path, count=4)
    record = json.loads((tmp_path / "manifest.json").read_text())
    assert record["totals"] == {
        "objects": 9,
        "rejected": 3,
        "frames": 4,
        "bad_frames": 1,
        "bytes": sum(path.stat().st_size for path in tmp_path.glob("*.tar")),
    }
    assert record["source"] == "stand-in"
    assert record["finished"] is True


@pytest.mark.parametrize(
    ("box", "margin", "window"),
    [
        ((0, 0, WIDTH - 1, HEIGHT - 1), 0.0, (0, 0, WIDTH, HEIGHT)),
        ((-20, -20, 200, 200), 0.5, (0, 0, WIDTH, HEIGHT)),
        ((10.2, 5.8, 12.9, 7.1), 0.0, (11, 6, 13, 8)),
        ((10.2, 5.0, 10.8, 9.0), 0.0, None),  # between two columns of pixels
        ((70, 5, 80, 9), 0.0, None),
        ((-9, 5, -1, 9), 0.0, None),
    ],
)
def test_crop_window(box: tuple, margin: float, window: tuple | None) -> None:
    assert crop_window(np.array(box, np.float32), WIDTH, HEIGHT, margin) == window


def test_names_that_become_equal_when_made_safe_get_different_keys() -> None:
    keys = {observation_key("s", frame, 0, 1) for frame in ("a/b", "a_b", "a b", "a.b", "a" * 300, "a" * 301)}
    assert len(keys) == 6
    for key in keys:
        Triplet(key, np.zeros((1, 3), np.float32), None, None, ("x",))
        assert len(key) < 120


@pytest.mark.parametrize(("label", "words"), [("Traffic_Light", "traffic light"), ("  TV  set ", "tv set")])
def test_labels_become_words(label: str, words: str) -> None:
    assert normalize_label(label) == words


def test_a_scan_without_any_detections_stops_before_anything_is_written(tmp_path: Path) -> None:
    class Elsewhere(StandInDetections):
        def check(self, scan: Scan) -> Coverage:
            raise BadDatasetError("none of its images is in the scan", source=self.path)

    with pytest.raises(BadDatasetError, match="none of its images"):
        mine(StandInScan(Path("/nowhere")), Elsewhere(), tmp_path / "out", lifter=StandInLifter())
    assert not (tmp_path / "out").exists()


def test_images_without_detections_are_one_line_of_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Partly(StandInDetections):
        def check(self, scan: Scan) -> Coverage:
            return Coverage(10, ("gone.png",), ("new.png", "newer.png"))

    mine(StandInScan(Path("/nowhere"), count=1), Partly(), tmp_path, lifter=StandInLifter())
    (record,) = caplog.records
    assert "1 only in the detections (first: gone.png), 2 only in the scan (first: new.png)" in record.message


def test_the_manifest_says_what_the_detections_were(tmp_path: Path) -> None:
    manifest = mine_stand_ins(tmp_path, count=1)
    assert manifest.categories == ["Mug", "traffic_light", "Potted_Plant", "ghost"]
    assert manifest.is_ground_truth is False
    assert manifest.options["detections"]["min_score"] == 0.0
