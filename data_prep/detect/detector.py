"""Interfaces of 2D detectors and box-prompted segmenters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data_prep.detect.detections import Detections2D


class Detector(Protocol):
    """Finds objects in images. :class:`data_prep.detect.huggingface.HuggingFaceDetector` is one.

    Attributes:
        labels: all labels that it may return.
    """

    labels: Sequence[str]

    def detect(self, images: Sequence[NDArray[np.uint8]], min_score: float) -> list[Detections2D]:
        """Detect objects in each image; sizes may differ.

        Args:
            images: (H, W, 3) uint8 RGB.
            min_score: detections below are not needed.

        Returns:
            One per image, boxes in pixels of that image; may contain duplicates.
        """
        ...

    def settings(self) -> Mapping[str, Any]:
        """Everything that determines its results, as JSON: name, version, labels. A run continues only if they agree."""
        ...


class Segmenter(Protocol):
    """Turns boxes into masks. :class:`data_prep.detect.segment.PromptableSegmenter` is one."""

    def segment(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """The object in each box.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (M, 4) x0 y0 x1 y1 in pixels, M at least 1.

        Returns:
            Masks (M, H, W), possibly empty, and their scores (M,) in 0..1.
        """
        ...

    def settings(self) -> Mapping[str, Any]:
        """As for a detector."""
        ...
