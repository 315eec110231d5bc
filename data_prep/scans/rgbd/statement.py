"""scan.yaml: what an RGB-D folder cannot say by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from data_prep.errors import BadDatasetError
from data_prep.geometry import Distortion
from data_prep.geometry.transforms import AXES, T_zup_from

EXAMPLE = "{depth_scale: 1000, pose_direction: camera_to_world, up: z}"


class LensStatement(BaseModel):
    """``model`` and ``coefficients`` of a :class:`Distortion`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    model: Literal["radtan", "fisheye"]
    coefficients: list[float]


class RgbdStatement(BaseModel):
    """The keys of ``scan.yaml``.

    Attributes:
        depth_scale: depth units per meter; 1000 for millimeters, 5000 for TUM.
        pose_direction: what the pose files hold.
        up: the world direction that points up: an axis (``z``, ``-y`` …) or three numbers.
        intrinsics: file with the 3x3 or 4x4 matrix, relative to the folder.
        color_intrinsics: the same for the color images, where they are not pixel for pixel with the depth.
        distortion: lens of the color images as stored; their depth is taken to share it, unless
            ``color_intrinsics`` is given: then depth has none.
        max_depth: meters; farther depth is no measurement.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    depth_scale: float = Field(gt=0)
    pose_direction: Literal["camera_to_world", "world_to_camera"]
    up: str | list[float]
    intrinsics: str = "intrinsics.txt"
    color_intrinsics: str | None = None
    distortion: LensStatement | None = None
    max_depth: float | None = Field(default=None, gt=0)

    @field_validator("up")
    @classmethod
    def _up_is_a_direction(cls, up: str | list[float]) -> str | list[float]:
        if isinstance(up, str):
            if up not in AXES:
                raise ValueError(f"is {up!r}, not one of {', '.join(AXES)} or three numbers")
        elif len(up) != 3 or not np.linalg.norm(up) > 0:
            raise ValueError(f"is {up}, not three numbers that make a direction")
        return up

    @classmethod
    def load(cls, path: Path, known: dict[str, Any] | None = None) -> RgbdStatement:
        """Read ``path``, which may be absent where ``known`` already says everything; its keys win over ``known``.

        Raises:
            BadDatasetError: not YAML, an unknown key, a value of the wrong type, or a key that is missing.
        """
        known = known or {}
        stated: Any = {}
        if path.exists():
            try:
                stated = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
                raise BadDatasetError(
                    f"is not YAML ({error})", source=path, fix=f"write {EXAMPLE}"
                ) from error
            if not isinstance(stated, dict):
                raise BadDatasetError("holds no keys", source=path, fix=f"write {EXAMPLE}")
        try:
            return cls(**{str(key): value for key, value in {**known, **stated}.items()})
        except ValidationError as error:
            raise _explain(error, path) from error

    def lens(self) -> Distortion:
        """Distortion of the color images.

        Raises:
            InputError: a wrong number of coefficients.
        """
        if self.distortion is None:
            return Distortion()
        return Distortion(self.distortion.model, tuple(self.distortion.coefficients))

    def T_zup_world(self) -> NDArray[np.float64]:
        """(4, 4) rotation from the pose files' world to one with z up."""
        return T_zup_from(self.up)


def _explain(error: ValidationError, path: Path) -> BadDatasetError:
    """The first complaint, in our words: which key, what is wrong, what to write."""
    first = error.errors()[0]
    # pydantic appends the members of a union it tried; only a nested key is worth naming in full.
    loc = first["loc"] if first["loc"][0] == "distortion" else first["loc"][:1]
    if first["type"] == "extra_forbidden":
        problem, fix = "is not a key of it", f"use {', '.join(RgbdStatement.model_fields)}"
    elif first["type"] == "missing":
        problem, fix = "is not stated, and it cannot be guessed", f"write {EXAMPLE} with your values"
    else:
        problem, fix = first["msg"].removeprefix("Value error, "), f"write for example {EXAMPLE}"
    return BadDatasetError(problem, source=path, field=".".join(map(str, loc)), fix=fix)
