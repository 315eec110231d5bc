"""Masks of everything, by real model classes with random weights, and named by their crops."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.tiny_clip import make_tiny_clip
from support.tiny_detectors import make_tiny_owl, make_tiny_sam, make_tiny_sam2

from clip2.cli import main
from data_prep.detect import CocoDetections
from data_prep.detect.named_masks import NamedMasks
from data_prep.errors import InputError

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
# A random network is sure of nothing.
EASY: dict[str, Any] = {"points": 4, "least_iou": -10.0, "least_stability": 0.0}


class BySize:
    """Calls crops wider than high "wide", the others "high", and remembers them."""

    labels = ("wide", "high")

    def __init__(self) -> None:
        self.crops: list[NDArray[np.uint8]] = []

    def name(self, crops: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        self.crops = list(crops)
        which = np.array([int(crop.shape[1] <= crop.shape[0]) for crop in crops], np.intp)
        return which, np.where(which == 0, 0.9, 0.2).astype(np.float32)

    def settings(self) -> Mapping[str, Any]:
        return {"by": "size"}


@pytest.mark.parametrize("make", [make_tiny_sam, make_tiny_sam2])
def test_masks_are_those_of_the_library_and_carry_the_namers_labels(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    from transformers import pipeline

    folder, namer = str(make(tmp_path)), BySize()
    (found,) = NamedMasks(folder, namer, **EASY).detect([IMAGE], min_score=0.0)
    expected = pipeline("mask-generation", model=folder)(
        Image.fromarray(IMAGE), points_per_crop=4, pred_iou_thresh=-10.0, stability_score_thresh=0.0
    )
    masks = [np.asarray(mask, bool) for mask in expected["masks"]]
    masks = [mask for mask in masks if mask.any()]
    assert len(found) == len(masks) > 0
    for mask, theirs, box, crop in zip(found.masks, masks, found.boxes, namer.crops, strict=True):
        np.testing.assert_array_equal(mask, theirs)
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        width, height = box[2:] - box[:2]
        assert width <= crop.shape[1] <= 1.2 * width + 2
        assert height <= crop.shape[0] <= 1.2 * height + 2
    assert set(found.labels) <= {"wide", "high"}
    (sure,) = NamedMasks(folder, namer, **EASY).detect([IMAGE], min_score=0.5)
    assert set(sure.labels) <= {"wide"}


def test_an_image_without_a_mask_is_no_detection(tmp_path: Path) -> None:
    folder = str(make_tiny_sam2(tmp_path))
    (found,) = NamedMasks(folder, BySize(), points=2, least_iou=1e9).detect([IMAGE], min_score=0.0)
    assert len(found) == 0


def test_clip2_detect_names_masks_with_clip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = NamedMasks.__init__.__kwdefaults__
    monkeypatch.setattr(NamedMasks.__init__, "__kwdefaults__", {**defaults, **EASY})
    sam, clip = make_tiny_sam2(tmp_path / "sam"), make_tiny_clip(tmp_path / "clip")
    out = tmp_path / "masks.json"
    command = [
        "detect",
        "procedural",
        "room",
        "--option",
        "frames=1",
        "--detector",
        str(sam),
        "--name-with",
        clip,
    ]
    command += ["--out", str(out)]
    assert main([*command, "--vocabulary", "chair,floor", "--min-score", "0", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["words"]) <= {"chair", "floor"}
    found = CocoDetections.load(out, min_score=0.0)
    (image,) = json.loads(out.read_text())["images"]
    boxes = found.for_image(image["file_name"], image["width"], image["height"])
    assert len(boxes) > 0
    assert all(mask is not None for mask in boxes.masks)
    assert main([*command]) == 2
    assert "--vocabulary: is missing" in capsys.readouterr().err
    assert main([*command, "--vocabulary", "chair", "--masks", "facebook/sam-vit-base"]) == 2
    assert "leave out --masks" in capsys.readouterr().err


def test_the_list_needs_nothing_and_names_license_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", "--list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["facebook/sam2.1-hiera-small"]["gives"] == "masks"
    assert rows["google/owlv2-base-patch16-ensemble"]["megabytes"] == pytest.approx(620, rel=0.02)
    assert main(["detect", "--list"]) == 0
    assert "Apache-2.0" in capsys.readouterr().out
    assert main(["detect"]) == 2
    assert "SOURCE: is missing" in capsys.readouterr().err


def test_a_detector_of_boxes_generates_no_masks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a model of AutoModelForMaskGeneration"):
        NamedMasks(str(make_tiny_owl(tmp_path)), BySize())
