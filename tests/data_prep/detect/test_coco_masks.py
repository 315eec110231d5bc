"""Masks in COCO files: three spellings of one mask, and boxes that have none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle
from support.coco_twins import annotation, content, mask_of_a_rectangle, write

from data_prep import BadFrameError
from data_prep.detect import CocoDetections, save_coco
from data_prep.geometry import Camera
from data_prep.lift import create_lifter
from data_prep.lift.lifter import Choice, Region
from data_prep.scans import Frame, View


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "detections.json"


@pytest.mark.parametrize("form", ["polygon", "runs", "compressed"])
def test_three_ways_to_write_one_mask(file: Path, form: str) -> None:
    expected = mask_of_a_rectangle()
    compressed = rle.encode(np.asfortranarray(expected, np.uint8))
    # Column by column: 10 empty columns and 20 rows; then 40 in, 40 out, thirty times.
    runs = [10 * 80 + 20, *([40, 40] * 30)]
    runs[-1] += 60 * 80 - 20
    segmentation: Any = {
        "polygon": [[10, 20, 40, 20, 40, 60, 10, 60]],
        "runs": {"size": [80, 100], "counts": runs},
        "compressed": {"size": [80, 100], "counts": compressed["counts"].decode()},
    }[form]
    write(file, content(annotation(segmentation=segmentation), annotation(2, bbox=[50, 50, 2, 3])))
    masks = CocoDetections.load(file).for_image("a/img.png", 100, 80).masks
    np.testing.assert_array_equal(masks[0], expected)
    assert masks[1] is None  # a box is no mask


def test_masks_of_all_detections_are_one_array_and_of_some_are_kept_apart(file: Path) -> None:
    polygon = [[10, 20, 40, 20, 40, 60, 10, 60]]
    write(file, content(annotation(segmentation=polygon), annotation(2, segmentation=polygon)))
    every = CocoDetections.load(file).for_image("a/img.png", 100, 80)
    assert every.masks.shape == (2, 80, 100)
    assert every.masks.dtype == bool
    write(file, content(annotation(), annotation(2, segmentation=polygon)))
    some = CocoDetections.load(file).for_image("a/img.png", 100, 80)
    assert [mask is None for mask in some.masks] == [True, False]
    assert some[[1]].masks[0].sum() == 30 * 40
    save_coco(file, {"a.png": (100, 80, some)})
    again = CocoDetections.load(file).for_image("a.png", 100, 80).masks
    assert again[0] is None
    np.testing.assert_array_equal(again[1], some.masks[1])


def test_a_box_beside_a_mask_is_lifted_as_if_there_were_no_mask(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A table top 1 m away in front of a wall 3 m away, both inside the box.
    depth = np.full((80, 100), 3.0, np.float32)
    depth[30:60, 15:38] = 1.0
    camera = Camera(np.array([[90.0, 0, 49.5], [0, 90, 39.5], [0, 0, 1]]), 100, 80)
    image = np.zeros((80, 100, 3), np.uint8)
    frame = Frame.from_depth("f", camera, image, depth, np.eye(4), "a/img.png")
    lifter = create_lifter("rgbd")
    choose, trusted, lifted = lifter.choose, [], []

    def watched(frame: Frame, view: View, seen: Any, regions: Sequence[Region]) -> list[Choice]:
        trusted.append([region.masked for region in regions])
        return choose(frame, view, seen, regions)

    monkeypatch.setattr(lifter, "choose", watched)
    for others in ((), (annotation(2, bbox=[70, 10, 9, 9], segmentation=[[70, 10, 79, 10, 79, 19]]),)):
        write(file, content(annotation(), *others))
        found = CocoDetections.load(file).for_image("a/img.png", 100, 80)
        lifted.append([cloud for cloud in lifter.lift(frame, [found]).objects if cloud.detection == 0])
    assert trusted == [[False], [False, True]]
    (alone,), (beside,) = lifted
    np.testing.assert_array_equal(alone.indices, beside.indices)
    assert beside.points[:, 2].max() < 1.5


def test_results_with_a_mask_may_leave_the_box_out(file: Path, tmp_path: Path) -> None:
    index = write(tmp_path / "instances.json", content())
    counts = rle.encode(np.asfortranarray(mask_of_a_rectangle(), np.uint8))["counts"].decode()
    row = {
        "image_id": 1,
        "category_id": 3,
        "score": 0.9,
        "segmentation": {"size": [80, 100], "counts": counts},
    }
    write(file, [row])
    found = CocoDetections.load(file, images=index).for_image("a/img.png", 100, 80)
    np.testing.assert_array_equal(found.boxes, [[10, 20, 40, 60]])


@pytest.mark.parametrize("counts", ["0T1", "0", "~~~", "é", "P", "`" * 20, "1" * 3000])
def test_run_lengths_that_cannot_be_decoded_name_the_annotation(file: Path, counts: str) -> None:
    write(file, content(annotation(segmentation={"size": [80, 100], "counts": counts})))
    with pytest.raises(BadFrameError, match="annotation 1: segmentation: cannot be decoded"):
        CocoDetections.load(file).for_image("a/img.png", 100, 80)
