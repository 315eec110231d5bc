"""Model configuration: encoder, preprocessing and teacher, as stored in a checkpoint."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import Field, field_validator

from clip2.preprocessing import MOST_POINTS, Preprocessing
from clip2.score_calibration import ScoreCalibration
from clip2.size_prior import SizeRange
from clip2.teacher.text_source import TextSource, canonical_model
from data_prep.config import TypedConfig
from data_prep.errors import InputError

Source = TypeVar("Source", bound=TextSource)

ColorsSeen = Literal["absent", "present", "both"]


class EncoderConfig(TypedConfig):
    """Name of a point encoder (see ``clip2.encoders.list_encoders()``) and its options."""

    name: str = "pointnet2_ssg"
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("options")
    @classmethod
    def _of_sane_size(cls, options: dict[str, Any]) -> dict[str, Any]:
        for key, value in options.items():
            for number in value if isinstance(value, list | tuple) else (value,):
                if isinstance(number, int) and number > MOST_POINTS:
                    raise ValueError(f"{key} holds {number}, the largest allowed value is {MOST_POINTS}")
        return options


class TeacherSpec(TypedConfig):
    """The CLIP model whose space the embeddings are in.

    Attributes:
        name: canonical name.
        width: D, width of the vectors.
        templates: prompt set of the training texts; None if a text bank did not state it.
    """

    name: str = Field(min_length=1)
    width: int = Field(ge=1)
    templates: str | None = None

    @field_validator("name")
    @classmethod
    def _canonical(cls, name: str) -> str:
        return canonical_model(name)

    def require(self, text: Source) -> Source:
        """Check that ``text`` has vectors of this CLIP model and prompt set.

        Returns:
            ``text``; a Teacher is switched to this prompt set.

        Raises:
            InputError: another model, width or prompt set; both sides are named.
        """
        if canonical_model(text.model) != self.name or text.width != self.width:
            raise InputError(
                f"is of {text.model} ({text.width} wide), "
                f"the model was trained against {self.name} ({self.width} wide)",
                field="text",
                fix=f"use a text bank or teacher of {self.name}",
            )
        return text if self.templates is None else text.with_templates(self.templates)


class ModelConfig(TypedConfig):
    """Everything needed to build the network and to preprocess its input.

    Attributes:
        encoder: point encoder.
        preprocessing: conversion of raw clouds to encoder input.
        teacher: CLIP model of the embeddings.
        colors_seen: states of color in the training set. Weights for a state that never occurred are untrained, so
            :meth:`Clip2Model.encode` ignores colors after ``absent`` and rejects clouds without color after
            ``present``.
        sizes: label → sizes of its training objects, which make a label less probable for objects outside them; empty
            for models that are not told sizes, and for those of release 0.2.0 and before.
        calibration: turns evidence into the scores of named objects; None: a score is the product of its parts.
    """

    encoder: EncoderConfig = EncoderConfig()
    preprocessing: Preprocessing = Preprocessing()
    teacher: TeacherSpec
    colors_seen: ColorsSeen = "both"
    sizes: dict[str, SizeRange] = Field(default_factory=dict)
    calibration: ScoreCalibration | None = None
