"""What a model is made of, as its checkpoint says it: encoder, preprocessing, teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import Field, field_validator

from clip2.preprocessing import MOST_POINTS, Preprocessing
from clip2.teacher.model_names import canonical_model
from data_prep.config import TypedConfig
from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.teacher.text_source import TextSource

    Source = TypeVar("Source", bound=TextSource)

ColorsSeen = Literal["absent", "present", "both"]


class EncoderConfig(TypedConfig):
    """Which point encoder: a name of ``clip2.encoders.list_encoders()`` and its options."""

    name: str = "pointnet2_ssg"
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("options")
    @classmethod
    def _of_sane_size(cls, options: dict[str, Any]) -> dict[str, Any]:
        for key, value in options.items():
            for number in value if isinstance(value, list | tuple) else (value,):
                if isinstance(number, int) and number > MOST_POINTS:
                    raise ValueError(f"{key} holds {number}; an encoder counts nothing beyond {MOST_POINTS}")
        return options


class TeacherSpec(TypedConfig):
    """The CLIP model whose space the embeddings live in.

    Attributes:
        name: its canonical name.
        width: D, numbers per vector.
        templates: prompt set of the words it was trained against; None: from a text bank that does not say.
    """

    name: str = Field(min_length=1)
    width: int = Field(ge=1)
    templates: str | None = None

    @field_validator("name")
    @classmethod
    def _canonical(cls, name: str) -> str:
        return canonical_model(name)

    def require(self, text: Source) -> Source:
        """Refuse vectors of another CLIP model or of other prompts.

        Returns:
            ``text``, speaking in the prompts that were trained against: a Teacher is told to, whatever its own are.

        Raises:
            InputError: naming both models and widths, or both prompt sets.
        """
        if canonical_model(text.model) != self.name or text.width != self.width:
            raise InputError(
                f"the words come from {text.model} ({text.width} wide), "
                f"the model was trained against {self.name} ({self.width} wide)",
                field="text",
                fix=f"use a text bank or teacher of {self.name}",
            )
        return text if self.templates is None else text.with_templates(self.templates)


class ModelConfig(TypedConfig):
    """Everything needed to build the network and to feed it.

    Attributes:
        colors_seen: the states of color it was trained on. Weights for a state never seen are as they were drawn, so
            :meth:`Clip2Model.encode` ignores colors after ``absent`` and refuses clouds without after ``present``.
    """

    encoder: EncoderConfig = EncoderConfig()
    preprocessing: Preprocessing = Preprocessing()
    teacher: TeacherSpec
    colors_seen: ColorsSeen = "both"
