"""Mining configuration: all settings that decide what a scan and its detections become."""

from __future__ import annotations

from pydantic import Field, field_validator

from data_prep.associate.config import AssociationConfig, ThinConfig
from data_prep.config import TypedConfig
from data_prep.labels import normalize_label
from data_prep.lift.config import LiftConfig


class MiningConfig(TypedConfig):
    """Settings of mining. Equal settings, scans and detections give equal shards.

    Attributes:
        min_score: detections with a lower score are left out, 0..1.
        margin: context around the box in the crop, as a share of its width and height, on every side.
        max_points: larger objects keep a random choice of this many points, the same in every run.
        objects_per_shard: a shard is closed after the frame in which it reaches this many objects.
        labels: detector's label → labels that its objects get instead, best first; an empty list leaves its objects out
            (they still hide what is behind them). Case, ``_`` and blanks do not matter.
        caption_templates: sentences with one ``{}`` for the label, added to the texts of every object.
        lift: how points are cut out.
        associate: how detections of one object are brought together.
        thin: which frames are left out.

    >>> MiningConfig(max_points=4096, associate={"enabled": True}).associate.views
    4
    """

    min_score: float = Field(default=0.3, ge=0, le=1)
    margin: float = Field(default=0.1, ge=0)
    max_points: int = Field(default=16384, ge=1)
    objects_per_shard: int = Field(default=1000, ge=1)
    labels: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    caption_templates: tuple[str, ...] = ()
    lift: LiftConfig = Field(default_factory=LiftConfig)
    associate: AssociationConfig = Field(default_factory=AssociationConfig)
    thin: ThinConfig = Field(default_factory=ThinConfig)

    @field_validator("labels")
    @classmethod
    def _normalized(cls, labels: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if any(not text.strip() for texts in labels.values() for text in texts):
            raise ValueError("a label is blank")
        return {normalize_label(label): texts for label, texts in labels.items()}

    @field_validator("caption_templates")
    @classmethod
    def _one_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if template.count("{}") != 1 or template.replace("{}", "").count("{"):
                raise ValueError(f'{template!r} has not exactly one {{}}; write it like "a photo of a {{}}"')
        return templates
