"""Class-agnostic masks of everything in an image (SAM, SAM 2), named by a classifier of their crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.detect.detections import Detections2D
from data_prep.detect.pretrained import load_pretrained

_MARGIN = 0.1  # of the box's sides, around the mask: a classifier of images wants some context


class CropNamer(Protocol):
    """Names image crops. :class:`clip2.teacher.crop_namer.ClipCropNamer` is one.

    Attributes:
        labels: all labels that it may return.
    """

    labels: Sequence[str]

    def name(self, crops: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Position in ``labels`` and probability of the best label of each crop (h, w, 3)."""
        ...

    def settings(self) -> Mapping[str, Any]:
        """As for a detector."""
        ...


class NamedMasks:
    """A detector from a mask generator, which knows no labels, and a namer, which knows no outlines.

    The generator is prompted with a grid of points, and keeps masks that are sure and stable
    (https://arxiv.org/abs/2304.02643, section 5), as transformers' ``mask-generation`` pipeline does. The score of a
    detection is the probability of its label among all labels of the namer; ``mask_score`` is the generator's estimate
    of the mask's IoU.

    Args:
        name, device, precision, revision: of the generator, as of
            :class:`~data_prep.detect.huggingface.HuggingFaceDetector`.
        namer: names the crops.
        points: of the grid, per side of the image.
        points_at_once: prompts that share one pass of the mask decoder.
        least_iou, least_stability: masks below are dropped.

    Raises:
        InputError: as there.
    """

    def __init__(
        self,
        name: str,
        namer: CropNamer,
        *,
        device: str = "auto",
        precision: str = "auto",
        revision: str | None = None,
        points: int = 32,
        points_at_once: int = 64,
        least_iou: float = 0.88,
        least_stability: float = 0.95,
    ) -> None:
        from transformers import pipeline

        self._loaded = load_pretrained(
            name, "AutoModelForMaskGeneration", device=device, precision=precision, revision=revision
        )
        self._namer, self.labels = namer, namer.labels
        self._generate = pipeline(
            "mask-generation",
            model=self._loaded.model,
            image_processor=self._loaded.processor.image_processor,
            device=self._loaded.device,
        )
        self._options = {
            "points_per_crop": points,
            "pred_iou_thresh": least_iou,
            "stability_score_thresh": least_stability,
        }
        self._points_at_once = points_at_once

    def detect(self, images: Sequence[NDArray[np.uint8]], min_score: float) -> list[Detections2D]:
        """As :class:`~data_prep.detect.detector.Detector`, with a mask each."""
        return [self._detect(image, min_score) for image in images]

    def settings(self) -> Mapping[str, Any]:
        """Name, version of the weights, precision, thresholds, and those of the namer."""
        return {**self._loaded.describe(), **self._options, "named by": dict(self._namer.settings())}

    def _detect(self, image: NDArray[np.uint8], min_score: float) -> Detections2D:
        with self._loaded.inference("masks"):
            found = self._generate(
                Image.fromarray(image), points_per_batch=self._points_at_once, **self._options
            )
        masks = [np.asarray(mask, dtype=bool) for mask in found["masks"]]
        sure = np.asarray([float(score) for score in found["scores"]])
        some = [i for i, mask in enumerate(masks) if mask.any()]
        boxes = np.array([_box_of(masks[i]) for i in some], np.float32).reshape(-1, 4)
        which, scores = self._namer.name([_crop(image, box) for box in boxes])
        keep = np.flatnonzero(scores >= min_score)
        kept = np.empty(len(keep), object)
        kept[:] = [masks[some[i]] for i in keep]
        return Detections2D(
            boxes=boxes[keep],
            scores=scores[keep],
            labels=tuple(self.labels[int(which[i])] for i in keep),
            masks=kept,
            attributes={"mask_score": np.clip(sure[some][keep], 0, 1)},
        )


def _box_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 around the pixels of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _crop(image: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    margin = _MARGIN * np.tile(box[2:] - box[:2], 2) * [-1, -1, 1, 1]
    height, width = image.shape[:2]
    x0, y0, x1, y1 = np.clip(np.rint(box + margin).astype(int), 0, [width, height, width, height])
    return image[y0:y1, x0:x1]
