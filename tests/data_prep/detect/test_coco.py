"""COCO JSON in both forms: what goes in comes out, what is wrong is counted or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from support.coco_twins import annotation, content, mask_of_a_rectangle, write
from support.scan_twins import write_kitti, write_kitti_tracking

from data_prep import (
    BadDatasetError,
    BadFrameError,
    Camera,
    Detections2D,
    Frame,
    InputError,
    Scan,
    View,
    open_scan,
)
from data_prep.detect import CocoDetections, save_coco


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "detections.json"


def test_boxes_become_corners_by_addition_alone(file: Path) -> None:
    write(file, content(annotation(), annotation(2, bbox=[0, 0, 100, 80], category_id=8, score=1)))
    found = CocoDetections.load(file).for_image("a/img.png", 100, 80)
    np.testing.assert_array_equal(found.boxes, [[10, 20, 40, 60], [0, 0, 100, 80]])
    np.testing.assert_array_equal(found.scores, np.float32([0.5, 1]))
    assert found.labels == ("car", "Person_sitting")
    assert found.ids.tolist() == [1, 2]
    assert found.masks is None


def test_results_form_takes_images_and_categories_from_the_annotation_file(
    file: Path, tmp_path: Path
) -> None:
    index = write(tmp_path / "instances.json", content())
    rows = [
        {"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": 2, "category_id": 8, "bbox": [5, 6, 7, 8], "score": 0.1},
    ]
    write(file, rows)
    detections = CocoDetections.load(file, images=index)
    np.testing.assert_array_equal(detections.for_image("a/other.png", 100, 80).boxes, [[5, 6, 12, 14]])
    assert len(CocoDetections.load(file, min_score=0.5, images=index)) == 1
    with pytest.raises(BadDatasetError, match="images=FILE"):
        CocoDetections.load(file)
    write(file, [{key: value for key, value in rows[0].items() if key != "score"}, rows[1]])
    assert CocoDetections.load(file, images=index).skipped == {"bad-score": 1}


def test_labels_without_scores_are_certain(file: Path) -> None:
    row = annotation()
    del row["score"]
    write(file, content(row, info={"source": "gt"}))
    detections = CocoDetections.load(file, min_score=0.9)
    assert detections.for_image("a/img.png", 100, 80).scores.tolist() == [1.0]
    assert detections.is_ground_truth


def test_a_box_over_the_border_is_clipped(file: Path) -> None:
    write(file, content(annotation(bbox=[-10, 70, 30, 40])))
    detections = CocoDetections.load(file)
    np.testing.assert_array_equal(detections.for_image("a/img.png", 100, 80).boxes, [[0, 70, 20, 80]])
    assert detections.skipped == {}


SKIPPED = {
    "unknown-image": ({"image_id": 99}, "image_id 99 is not in images"),
    "unknown-category": ({"category_id": 99}, "category_id 99 is not in categories"),
    "box-not-finite": ({"bbox": [0, 0, float("nan"), 5]}, "bbox is [0, 0, nan, 5]"),
    "box-empty-or-inverted": ({"bbox": [50, 50, -10, 10]}, "width or height not positive"),
    "box-outside-image": ({"bbox": [200, 10, 20, 20]}, "lies outside a/img.png, 100x80"),
    "malformed-box": ({"bbox": [1, 2, 3]}, "not x, y, width, height"),
    "bad-score": ({"score": 1.5}, "score is 1.5"),
    "crowd": ({"iscrowd": 1}, "iscrowd"),
    "malformed-mask": ({"segmentation": [[1, 2, 3]]}, "without three x, y pairs"),
}
MORE_SKIPPED = [
    ("box-empty-or-inverted", {"bbox": [5, 5, 0, 10]}),
    ("box-outside-image", {"bbox": [-30, 0, 30, 10]}),
    ("box-not-finite", {"bbox": [float("inf"), 0, 1, 1]}),
    ("malformed-box", {"bbox": "10 20 30 40"}),
    ("malformed-box", {"bbox": None}),
    ("unknown-image", {"image_id": [1]}),
    ("unknown-category", {"category_id": None}),
    ("bad-score", {"score": None}),
    ("bad-score", {"score": float("nan")}),
    ("malformed-mask", {"segmentation": [[float("nan"), 1, 3, 3, 1, 3]]}),
    ("malformed-mask", {"segmentation": {"size": [4, 4], "counts": [16]}}),
    ("malformed-mask", {"segmentation": {"size": [80, 100], "counts": [3, 5]}}),
    ("malformed-mask", {"segmentation": {"size": [80, 100], "counts": ""}}),
    ("malformed-mask", {"segmentation": "none"}),
]


@pytest.mark.parametrize("reason, wrong", [(r, w) for r, (w, _) in SKIPPED.items()] + MORE_SKIPPED)
def test_a_wrong_annotation_is_counted_and_the_others_stay(
    file: Path, reason: str, wrong: dict[str, Any]
) -> None:
    write(file, content(annotation(1), annotation(2, **wrong), annotation(3)))
    detections = CocoDetections.load(file)
    assert detections.skipped == {reason: 1}
    assert detections.for_image("a/img.png", 100, 80).ids.tolist() == [1, 3]
    note = detections.skip_notes[reason]
    assert note.startswith(f"{file}: annotation 2: ")
    if wrong is SKIPPED.get(reason, ("",))[0]:
        assert SKIPPED[reason][1] in note


REFUSED = {
    "not JSON": ("{", "is not JSON"),
    "no images": (json.dumps({"annotations": [], "categories": []}), "images: is not a list"),
    "a word": ('"hello"', "annotations: is not a list"),
    "no size": (
        json.dumps(content() | {"images": [{"id": 1, "file_name": "a.png"}]}), "a width and a height in pixels"
    ),
    "image twice": (json.dumps(content() | {"images": content()["images"][:1] * 2}), "images[1]"),
    "category without name": (json.dumps(content() | {"categories": [{"id": 1}]}), "categories[0]"),
    "same id": (json.dumps(content(annotation(1), annotation(1))), "annotations[1].id: is 1, which is taken"),
    "no id": (json.dumps(content(annotation(None))), "annotations[0].id: is None"),  # type: ignore[arg-type]
    "all wrong": (json.dumps(content(annotation(category_id=1), annotation(2, category_id=2))), "category_id 1"),
}  # fmt: skip


def test_what_is_no_text_file_is_called_what_it_is(file: Path) -> None:
    with pytest.raises(BadDatasetError, match=r"is a folder. Fix: give the COCO JSON file"):
        CocoDetections.load(file.parent)
    file.write_bytes(b"PK\x03\x04\xd9\xff")  # how an npz begins
    with pytest.raises(BadDatasetError, match=r"is not text. Fix: give the COCO JSON of a detector"):
        CocoDetections.load(file)


@pytest.mark.parametrize("text, complaint", REFUSED.values(), ids=REFUSED)
def test_a_file_of_wrong_structure_is_refused(file: Path, text: str, complaint: str) -> None:
    file.write_text(text)
    with pytest.raises(BadDatasetError) as caught:
        CocoDetections.load(file)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith(str(file))
    assert caught.value.fix


def test_a_missing_file_and_an_impossible_score(file: Path) -> None:
    with pytest.raises(BadDatasetError, match="does not exist"):
        CocoDetections.load(file)
    with pytest.raises(InputError, match="min_score"):
        CocoDetections.load(file, min_score=2)


def test_detections_made_on_another_size_are_refused(file: Path) -> None:
    write(file, content(annotation()))
    with pytest.raises(BadFrameError, match=r"is 100x80 for a/img\.png, the camera's image 50x40"):
        CocoDetections.load(file).for_image("a/img.png", 50, 40)


def test_an_image_that_is_not_in_the_file_has_no_detections(file: Path) -> None:
    write(file, content(annotation()))
    assert len(CocoDetections.load(file).for_image("b/img.png", 7, 7)) == 0


def test_a_frame_that_cannot_be_read_hides_no_names_of_the_others(file: Path) -> None:
    class Broken(Scan):
        root = Path("/nowhere")

        def frame_ids(self) -> list[str]:
            return ["0", "1"]

        def __getitem__(self, index: int) -> Frame:
            if index == 0:
                raise BadFrameError("is cut short", source="0.bin")
            camera = Camera(np.eye(3), 1, 1)
            view = View("a/img.png", camera, np.zeros((1, 1, 3), np.uint8))
            return Frame("1", np.zeros((1, 3), np.float32), views=(view,))

    write(file, content(annotation()))
    assert CocoDetections.load(file).check(Broken()).matched == 1


def test_attributes_are_the_keys_that_every_annotation_has(file: Path) -> None:
    write(
        file, content(annotation(1, track_id=7, occluded=1, token="x"), annotation(2, track_id=9, token="y"))
    )
    found = CocoDetections.load(file).for_image("a/img.png", 100, 80)
    assert set(found.attributes) == {"track_id", "token"}
    assert found[[1]].attributes["track_id"].tolist() == [9]


def test_what_is_saved_is_read_back_and_pycocotools_reads_it_too(file: Path) -> None:
    masks = np.stack([mask_of_a_rectangle(), ~mask_of_a_rectangle()])
    saved = Detections2D(
        np.float32([[10, 20, 40, 60.5], [0, 0, 100, 80]]),
        np.float32([0.25, 0.75]),
        ("mug", "table top"),
        masks=masks,
        attributes={"track_id": np.array([4, 5])},
    )
    save_coco(
        file,
        {"b.png": (100, 80, Detections2D.empty()), "a.png": (100, 80, saved)},
        info={"source": "detector"},
    )
    detections = CocoDetections.load(file)
    read = detections.for_image("a.png", 100, 80)
    np.testing.assert_array_equal(read.boxes, saved.boxes)
    np.testing.assert_array_equal(read.scores, saved.scores)
    np.testing.assert_array_equal(read.masks, masks)
    np.testing.assert_array_equal(read.attributes["track_id"], [4, 5])
    assert read.labels == saved.labels
    assert detections.image_names == ("b.png", "a.png")
    assert detections.info["source"] == "detector"
    assert not list(file.parent.glob("*.part"))
    official = COCO(str(file))
    assert official.annToMask(official.anns[1]).sum() == 30 * 40


def test_check_counts_what_meets_by_name(tmp_path: Path, file: Path) -> None:
    scan = open_scan("kitti", write_kitti(tmp_path / "kitti"))
    write(file, content(annotation(), name="kitti/training/image_2/000001.png"))
    coverage = CocoDetections.load(file).check(scan)
    assert (coverage.matched, coverage.not_in_scan) == (1, ("a/other.png",))
    assert coverage.not_in_file == ("training/image_2/000000.png",)
    assert str(coverage) == (
        "1 images with detections, 1 only in the detections (first: a/other.png), "
        "1 only in the scan (first: training/image_2/000000.png)"
    )


def test_check_refuses_detections_of_another_scan(tmp_path: Path, file: Path) -> None:
    scan = open_scan("kitti", write_kitti(tmp_path / "kitti"))
    write(file, content(annotation()))
    with pytest.raises(BadDatasetError, match="none of its 2 images is in the scan"):
        CocoDetections.load(file).check(scan)


def test_check_refuses_a_name_that_two_images_of_the_scan_share(tmp_path: Path, file: Path) -> None:
    root = write_kitti_tracking(tmp_path / "tracking")
    image = root / "training/image_02/0003/000005.png"
    for kind in ("velodyne", "image_02"):
        path = root / "training" / kind / "0003" / f"000005{'.bin' if kind == 'velodyne' else '.png'}"
        path.rename(path.with_stem("000002"))
    assert not image.exists()
    scan = open_scan("kitti-tracking", root)
    write(file, content(annotation(), name="000002.png"))
    with pytest.raises(BadDatasetError, match="could be"):
        CocoDetections.load(file).check(scan)


@pytest.mark.parametrize(
    "name, source, folder, boxes, images",
    [
        ("kitti_object_gt", "kitti", "kitti_object", 6, 3),
        ("kitti_tracking_gt", "kitti-tracking", "kitti_tracking", 63, 8),
        ("kitti_tracking_fastestdet", "kitti-tracking", "kitti_tracking/training", 137, 8),
        ("7scenes_fastestdet", "rgbd", "rgbd/7scenes_redkitchen", 898, 50),
        ("sunrgbd_fastestdet", "sunrgbd", "sunrgbd", 66, 3),
    ],
)
def test_real_files_meet_their_scans(
    real_data: Path, name: str, source: str, folder: str, boxes: int, images: int
) -> None:
    detections = CocoDetections.load(real_data / f"detections/{name}.json")
    assert (len(detections), detections.skipped) == (boxes, {})
    assert detections.is_ground_truth == name.endswith("_gt")
    scan = open_scan(source, real_data / folder)
    coverage = detections.check(scan)
    assert (coverage.matched, coverage.not_in_file) == (images, ())
    assert [view.name for view in scan[0].views] == scan.image_names()[:1]


def test_real_labels_are_the_label_files(real_data: Path) -> None:
    scan = open_scan("kitti-tracking", real_data / "kitti_tracking")
    detections = CocoDetections.load(real_data / "detections/kitti_tracking_gt.json")
    for i, frame in enumerate(scan):
        view, labels = frame.views[0], scan.annotations(i)
        found = detections.for_image(view.name, view.camera.width, view.camera.height)
        np.testing.assert_allclose(found.boxes, labels.boxes_2d, atol=0.011)
        assert found.attributes["track_id"].tolist() == labels.attributes["track_id"].tolist()
