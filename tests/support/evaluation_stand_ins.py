"""A model that names objects by a rule, so that the scores of an evaluation are known by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from clip2.evaluation.class_lists import class_list
from clip2.model import Clip2Model, Description
from clip2.model_config import ModelConfig
from clip2.teacher import TextBank

SPACE = "rule/clip"

Rule = Callable[[NDArray, "NDArray | None"], str]


def rule_bank(labels: Sequence[str], model: str = SPACE) -> TextBank:
    """One axis per label."""
    return TextBank(tuple(labels), np.eye(len(labels), dtype=np.float32), model, "clip2")


class RuleModel(Clip2Model):
    """Embeds a cloud on the axis of the label that ``rule`` gives it; a second best comes from ``second``.

    Attributes:
        calls: numbers of clouds embedded, call by call.
    """

    def __init__(self, labels: Sequence[str], rule: Rule, *, color: bool = False, seen: str = "both") -> None:
        config = {
            "encoder": {"name": "pointnet2_ssg_small"},
            "preprocessing": {"num_points": 64, "color": color},
            "teacher": {"name": SPACE, "width": len(labels), "templates": "clip2"},
            "colors_seen": seen,
        }
        super().__init__(ModelConfig.model_validate(config), rule_bank(labels))
        self.rule, self.labels, self.calls = rule, list(labels), []

    def describe(self, clouds, colors=None, batch_size=None) -> Description:  # type: ignore[no-untyped-def]
        colors = self._usable_colors(len(clouds), colors)
        self.calls.append(len(clouds))
        given = [None] * len(clouds) if colors is None else colors
        rows = [
            self.labels.index(self.rule(cloud, color)) for cloud, color in zip(clouds, given, strict=True)
        ]
        return Description(
            np.eye(len(self.labels), dtype=np.float32)[rows], np.zeros((len(clouds), 4), np.float32)
        )


def flat_or_tall(points: NDArray, colors: NDArray | None = None) -> str:
    """``table`` if wider than high, else ``chair``."""
    width, _, height = np.ptp(points, axis=0)
    return "table" if width > height else "chair"


FLAT, TALL = (1.0, 1.0, 0.1), (1.0, 1.0, 3.0)
TEN = class_list("modelnet10").labels


def put_mesh(root: Path, label: str, number: int, size: tuple[float, ...], split: str = "test") -> Path:
    """A box as ``LABEL/SPLIT/LABEL_NNNN.off``."""
    file = root / label / split / f"{label}_{number:04d}.off"
    file.parent.mkdir(parents=True, exist_ok=True)
    trimesh.creation.box(size).export(file)
    return file
