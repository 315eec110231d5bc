"""Promptable segmentation of boxes: SAM, SAM 2 and related models in Hugging Face's transformers.

Any model that transformers loads by ``AutoModelForMaskGeneration`` and that takes boxes as prompts works.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.detect.pretrained import load_pretrained


class PromptableSegmenter:
    """Segments the object in each box (https://arxiv.org/abs/2304.02643).

    Args:
        name, device, precision, revision: as of :class:`~data_prep.detect.huggingface.HuggingFaceDetector`.
        boxes_at_once: prompts that share one pass of the mask decoder.

    Raises:
        InputError: as there.
    """

    def __init__(
        self,
        name: str,
        *,
        device: str = "auto",
        precision: str = "auto",
        boxes_at_once: int = 64,
        revision: str | None = None,
    ) -> None:
        self._loaded = load_pretrained(
            name, "AutoModelForMaskGeneration", device=device, precision=precision, revision=revision
        )
        self._boxes_at_once = boxes_at_once

    def segment(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """As :class:`~data_prep.detect.detector.Segmenter`; the score is the model's own estimate of its IoU."""
        masks, scores = [], []
        seen: dict[str, Any] = {}
        for start in range(0, len(boxes), self._boxes_at_once):
            prompts = boxes[start : start + self._boxes_at_once].astype(np.float64).tolist()
            with self._loaded.inference("masks"):
                inputs = self._loaded.processor(image, input_boxes=[prompts], return_tensors="pt")
                sizes = {
                    key: inputs[key] for key in ("original_sizes", "reshaped_input_sizes") if key in inputs
                }
                inputs = inputs.to(self._loaded.device)
                if start == 0:  # the image is encoded once, however many boxes it has
                    seen = self._look(inputs["pixel_values"])
                outputs = self._loaded.model(
                    **seen,
                    input_boxes=inputs["input_boxes"].float(),
                    multimask_output=False,
                )
            post_process = self._loaded.processor.post_process_masks
            takes = inspect.signature(
                getattr(self._loaded.processor.image_processor, "post_process_masks", post_process)
            ).parameters
            pixels = post_process(
                outputs.pred_masks.float().cpu(),
                **{key: size.tolist() for key, size in sizes.items() if key in takes},
            )[0]
            masks.append(pixels[:, 0].numpy().astype(bool))
            scores.append(outputs.iou_scores[0, :, 0].float().cpu().numpy())
        return np.concatenate(masks), np.clip(np.concatenate(scores), 0, 1)

    def _look(self, pixels: torch.Tensor) -> dict[str, Any]:
        embeddings = self._loaded.model.get_image_embeddings(pixels)
        if isinstance(embeddings, tuple):  # SAM-HQ also uses early layers
            return {"image_embeddings": embeddings[0], "intermediate_embeddings": embeddings[1]}
        return {"image_embeddings": embeddings}

    def settings(self) -> Mapping[str, Any]:
        """Name, version of the weights, precision."""
        return self._loaded.describe()
