"""Catalog of 2D detectors and segmenters that ``clip2 detect`` runs: license, size, boxes or masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OPEN_VOCABULARY = "google/owlv2-base-patch16-ensemble"
MASK_GENERATOR = "facebook/sam2.1-hiera-small"


@dataclass(frozen=True)
class KnownDetector:
    """A detector that the project was written for; others of the same kind work too.

    Attributes:
        name: repository on huggingface.co, or the project whose ONNX export is described by a YAML file.
        gives: ``boxes``: boxes with labels; ``masks``: masks of boxes (``--masks``), or of everything (``--name-with``).
        labels: ``any``, ``fixed``, or ``none``.
        license: of the weights, as stated by their authors.
        parameters: in millions.
    """

    name: str
    gives: Literal["boxes", "masks"]
    labels: Literal["any", "fixed", "none"]
    license: str
    parameters: float

    @property
    def megabytes(self) -> int:
        """Size of the weights in float32."""
        return max(1, round(4 * self.parameters))


# Parameters are those of transformers' networks, SAM 2's and the ONNX projects' as published in their READMEs.
KNOWN_DETECTORS = (
    KnownDetector(OPEN_VOCABULARY, "boxes", "any", "Apache-2.0", 154.0),
    KnownDetector("google/owlvit-base-patch32", "boxes", "any", "Apache-2.0", 153.2),
    KnownDetector("IDEA-Research/grounding-dino-tiny", "boxes", "any", "Apache-2.0", 172.3),
    KnownDetector(
        "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det", "boxes", "any", "Apache-2.0", 172.3
    ),
    KnownDetector("omlab/omdet-turbo-swin-tiny-hf", "boxes", "any", "Apache-2.0", 115.4),
    KnownDetector("facebook/sam2.1-hiera-tiny", "masks", "none", "Apache-2.0", 38.9),
    KnownDetector(MASK_GENERATOR, "masks", "none", "Apache-2.0", 46.0),
    KnownDetector("facebook/sam-vit-base", "masks", "none", "Apache-2.0", 93.7),
    KnownDetector("YOLOX-s (ONNX)", "boxes", "fixed", "Apache-2.0", 9.0),
    KnownDetector("NanoDet-Plus-m (ONNX)", "boxes", "fixed", "Apache-2.0", 1.2),
    KnownDetector("FastestDet (ONNX)", "boxes", "fixed", "BSD-3-Clause", 0.24),
)
