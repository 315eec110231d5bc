"""Image → tensor: CLIP's rule, bit for bit, and what happens to slivers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip2.teacher.teacher import CropPreprocessing

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def test_real_fixtures_bit_for_bit(real_data: Path) -> None:
    folder = real_data / "clip" / "preprocess_fixtures"
    expected = np.load(folder / "expected_tensors.npz", allow_pickle=False)
    assert len(expected["files"]) == 8
    preprocess = CropPreprocessing({"size": 224})
    for name, tensor in zip(expected["files"], expected["tensors"], strict=True):
        image = np.asarray(Image.open(folder / str(name)).convert("RGB"))
        np.testing.assert_array_equal(preprocess(image).numpy(), tensor, err_msg=str(name))


def by_the_rule(image: np.ndarray, size: int) -> np.ndarray:
    """The rule in words: bicubic to ``size`` on the short side (long side cut to an integer), middle cut, normalize."""
    height, width = image.shape[:2]
    short = min(height, width)
    new = (int(size * width / short), int(size * height / short))
    resized = np.asarray(Image.fromarray(image).resize(new, Image.Resampling.BICUBIC))
    top, left = round((new[1] - size) / 2), round((new[0] - size) / 2)
    square = resized[top : top + size, left : left + size]
    return ((square.astype(np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1)


@pytest.mark.parametrize(
    "shape", [(60, 91, 3), (91, 60, 3), (224, 225, 3), (300, 523, 3), (1, 1, 3), (5, 80, 3)]
)
def test_synthetic_images_follow_the_rule(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_allclose(
        CropPreprocessing({"size": 224})(image).numpy(), by_the_rule(image, 224), atol=1e-6
    )


def test_a_sliver_keeps_its_middle() -> None:
    """One pixel high, 4000 wide, red only around the middle: the middle square is red."""
    image = np.zeros((1, 4000, 3), np.uint8)
    image[:, 1990:2010, 0] = 255
    tensor = CropPreprocessing({"size": 32})(image).numpy()
    red = (1 - MEAN[0]) / STD[0]
    np.testing.assert_allclose(tensor[0], red, atol=0.05)
    assert np.isfinite(tensor).all()


def test_squashing_models_see_the_whole_sliver() -> None:
    image = np.zeros((2, 400, 3), np.uint8)
    image[:, :100] = 255
    tensor = CropPreprocessing({"size": 32, "resize_mode": "squash"})(image).numpy()
    assert tensor[0, 16, 2] > 1
    assert tensor[0, 16, 16] < 0
