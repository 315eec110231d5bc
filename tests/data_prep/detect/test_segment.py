"""Masks from boxes, by real model classes with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_detectors import make_tiny_owl, make_tiny_sam, make_tiny_sam2

from data_prep.detect.segment import PromptableSegmenter
from data_prep.errors import InputError

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
BOXES = np.array([[10, 10, 50, 60], [60, 20, 110, 80], [0, 0, 120, 90], [5, 40, 30, 85]], np.float32)


@pytest.mark.parametrize("make", [make_tiny_sam, make_tiny_sam2])
def test_masks_are_those_of_the_library(make: Callable[[Path], Path], tmp_path: Path) -> None:
    from transformers import AutoModelForMaskGeneration, AutoProcessor

    folder = make(tmp_path)
    masks, scores = PromptableSegmenter(str(folder)).segment(IMAGE, BOXES)
    assert masks.shape == (4, 90, 120)
    assert masks.dtype == bool
    assert ((scores >= 0) & (scores <= 1)).all()
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForMaskGeneration.from_pretrained(folder).eval()
    inputs = processor(images=IMAGE, input_boxes=[BOXES.tolist()], return_tensors="pt")
    sizes = [inputs[key] for key in ("original_sizes", "reshaped_input_sizes") if key in inputs]
    with torch.no_grad():
        outputs = model(
            pixel_values=inputs["pixel_values"],
            input_boxes=inputs["input_boxes"].float(),
            multimask_output=False,
        )
    expected = processor.post_process_masks(outputs.pred_masks, *sizes)[0][:, 0].numpy()
    assert (masks == expected).mean() > 0.999
    assert 0 < masks.mean() < 1


def test_masks_do_not_depend_on_how_many_boxes_go_together(tmp_path: Path) -> None:
    folder = str(make_tiny_sam(tmp_path))
    together, _ = PromptableSegmenter(folder).segment(IMAGE, BOXES)
    apart, scores = PromptableSegmenter(folder, boxes_at_once=3).segment(IMAGE, BOXES)
    assert (together == apart).mean() > 0.999
    assert len(scores) == 4


def test_a_detector_is_not_a_segmenter(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a model of AutoModelForMaskGeneration"):
        PromptableSegmenter(str(make_tiny_owl(tmp_path)))
