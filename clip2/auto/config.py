"""Configuration of ``clip2 auto``: one file states every stage."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from clip2.training.config import TrainConfig
from data_prep.config import TypedConfig
from data_prep.triplets.config import MiningConfig

# A small network that two cores train in minutes, on objects in meters that are seen in part; configs/train/own_scan.yaml.
OWN_SCAN: dict[str, Any] = {
    "data": {"hold_out": 0.15, "views": True},
    "model": {"encoder": {"name": "pointnet2_ssg_small"}, "preprocessing": {"num_points": 512, "size": True}},
    "augmentation": {"point_dropout": 0.5, "tilt_degrees": 3.0},
    "objective": {"text_negatives": "vocabulary"},
    "optimizer": {"lr": 2.0e-3, "ema": 0.99},
    # A small set is passed in a few steps; an evaluation costs as much as dozens.
    "loop": {"batch_size": 64, "evaluate_every": 50},
}


# One view more of the same thing teaches little, and neighboring video frames are nearly identical.
MINING: dict[str, Any] = {"associate": {"enabled": True}, "thin": {"enabled": True}}


class AutoConfig(TypedConfig):
    """Every setting of a run from scan to named objects.

    Attributes:
        detections: COCO JSON of 2D boxes or masks for the images, instead of running a detector.
        detector: zero-shot detection model, as in ``clip2 detect``.
        vocabulary: labels to detect: coco, lvis, a text file, or labels like "mug,bottle".
        clip: CLIP model NAME/TAG for crops and labels.
        bank: text bank (npz) for the labels, instead of a CLIP model.
        bank_model: CLIP model of the bank, if the file does not state it.
        labels: labels to recognize, separated by commas; None: those that were mined ``label_objects`` times.
        label_objects: a label with fewer objects is trained on, but not recognized: it would be given to anything.
        minutes: length of the training; the number of steps follows from the measured speed.
        recognized_frames: frames to recognize at the end, spread over the scan.
        mining: of ``clip2 prep``.
        train: of ``clip2 train``; its number of steps is set from ``minutes`` unless it states one.
    """

    detections: str | None = None
    detector: str = "google/owlv2-base-patch16-ensemble"
    vocabulary: str | None = None
    clip: str | None = None
    bank: str | None = None
    bank_model: str | None = None
    labels: str | None = None
    label_objects: int = Field(default=5, ge=1)
    minutes: float = Field(default=10.0, gt=0, le=100_000)
    recognized_frames: int = Field(default=3, ge=1)
    mining: MiningConfig = Field(default_factory=lambda: MiningConfig.model_validate(MINING))
    train: TrainConfig = Field(default_factory=lambda: TrainConfig.model_validate(OWN_SCAN))

    @field_validator("mining", mode="before")
    @classmethod
    def _mining_defaults(cls, given: Any) -> Any:
        return _merged(MINING, given)

    @field_validator("train", mode="before")
    @classmethod
    def _train_defaults(cls, given: Any) -> Any:
        return _merged(OWN_SCAN, given)

    @model_validator(mode="after")
    def _complete(self) -> AutoConfig:
        if self.detections is None and self.vocabulary is None:
            raise ValueError(
                'name what to detect with vocabulary: coco, or labels like "mug,bottle"; or give detections, a COCO file'
            )
        if (self.clip is None) == (self.bank is None):
            raise ValueError("give either clip, a CLIP model, or bank, a file of label vectors")
        return self


def _merged(defaults: dict[str, Any], given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    both = {**defaults, **given}
    for key, value in defaults.items():
        if isinstance(value, dict) and key in given:
            both[key] = _merged(value, given[key])
    return both
