"""From an image crop of any size to the tensor a CLIP image tower reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from data_prep.errors import InputError

# A sliver is cut to this many times its short side, around its middle, before it is resized. CLIP's own rule looks at
# the middle square only, so nothing it would see is lost, and a 1 x 4000 crop no longer becomes a 224 x 896,000 image.
_MAX_ASPECT = 16


class Preprocess:
    """CLIP's image rule: resize the short side (bicubic, antialiased), cut the middle, divide by 255, normalize.

    It is open_clip's own transform, bit for bit, except that crops more than 16 times longer than wide first lose
    their ends.

    Attributes:
        config: ``size``, ``mean``, ``std``, ``interpolation``, ``resize_mode``, ``fill_color``; part of the identity
            of cached features.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        from open_clip.transform import PreprocessCfg, image_transform_v2

        settings = PreprocessCfg(**config)
        self._transform = image_transform_v2(settings, is_train=False)
        self._cuts_to_square = settings.resize_mode == "shortest"
        self.config = {
            "size": list(settings.size) if isinstance(settings.size, tuple | list) else [settings.size] * 2,
            "mean": list(settings.mean),
            "std": list(settings.std),
            "interpolation": settings.interpolation,
            "resize_mode": settings.resize_mode,
            "fill_color": settings.fill_color,
        }

    def __call__(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """Turn one (h, w, 3) uint8 RGB image into a (3, S, S) float32 tensor.

        Raises:
            InputError: another shape or dtype (a gray image must be repeated over three channels), or no pixels.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise InputError(
                f"is {image.dtype} {image.shape}",
                field="image",
                fix="give (h, w, 3) uint8 RGB with at least one pixel; repeat a gray image three times",
            )
        if self._cuts_to_square:
            image = _without_ends(image)
        tensor: torch.Tensor = self._transform(Image.fromarray(np.ascontiguousarray(image)))
        return tensor


def _without_ends(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    longest = _MAX_ASPECT * min(height, width)
    top, left = max(0, (height - longest) // 2), max(0, (width - longest) // 2)
    return image[top : top + longest, left : left + longest]
