"""JSON records of the ``layout`` format; errors name the key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from data_prep.errors import InputError
from data_prep.geometry import Camera, Distortion, OrientedBox, invert, validate_rigid
from data_prep.scans.formats.text import read_json
from data_prep.scans.frame import Annotations3D
from data_prep.storage.versioned import FileFormat

Numbers = list[float]


def _rectangular(rows: list[Numbers]) -> list[Numbers]:
    if len({len(row) for row in rows}) > 1:
        raise ValueError("has rows of different lengths")
    return rows


Matrix = Annotated[list[Numbers], AfterValidator(_rectangular)]
Vector = Annotated[Numbers, Field(min_length=3, max_length=3)]
FORMAT = FileFormat("clip2-scan", 1)
_Record = TypeVar("_Record", bound="Record")


class Record(BaseModel):
    """A JSON object in which every key is known; a misspelled one is an error, not ignored. ``page`` describes it."""

    page: ClassVar[str] = "docs/layout.md"
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @classmethod
    def load(cls: type[_Record], path: Path) -> _Record:
        """Read and check a file.

        Raises:
            InputError: missing, not JSON, an unknown, missing or impossible key.
        """
        content = read_json(path)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            # pydantic appends the members of a union that it tried: only keys and positions are the reader's.
            keys = [str(key) for key in first["loc"] if not str(key)[:1].isupper() or str(key) in _UPPER]
            raise InputError(
                first["msg"].removeprefix("Value error, "),
                source=path,
                field=".".join(keys) or None,
                fix=f"see {cls.page}",
            ) from error


class DistortionRecord(Record):
    """Lens: ``radtan`` k1 k2 p1 p2 [k3] or ``fisheye`` k1 k2 k3 k4, as in OpenCV."""

    model: Literal["none", "radtan", "fisheye"]
    coefficients: Numbers


class CameraRecord(Record):
    """Intrinsics in pixels (pixel centers at integers), and where the camera is relative to the points: one of the two
    4x4 matrices; the name says its direction. Camera axes are x right, y down, z forward."""

    K: Matrix
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    distortion: DistortionRecord | None = None
    T_points_cam: Matrix | None = None
    T_cam_points: Matrix | None = None

    @model_validator(mode="after")
    def _one_direction(self) -> CameraRecord:
        _exactly_one(self, "T_points_cam", "T_cam_points")
        return self

    def camera(self, where: str) -> Camera:
        """The camera.

        Raises:
            InputError: no intrinsics, no rigid transform, wrong coefficients.
        """
        lens = self.distortion
        return Camera(
            np.array(self.K),
            self.width,
            self.height,
            _direction(self, "T_points_cam", "T_cam_points", where),
            Distortion() if lens is None else Distortion(lens.model, tuple(lens.coefficients)),
        )

    @classmethod
    def of(cls, camera: Camera) -> CameraRecord:
        """What a camera is written as."""
        lens = camera.distortion
        return cls(
            K=camera.K.tolist(),
            width=camera.width,
            height=camera.height,
            distortion=None
            if lens.model == "none"
            else DistortionRecord(model=lens.model, coefficients=list(lens.coefficients)),
            T_points_cam=camera.T_points_cam.tolist(),
        )


class ViewRecord(Record):
    """An image, its path relative to the folder, and its camera: a name from scan.json, or the camera itself."""

    image: str
    camera: str | CameraRecord


class PointsRecord(Record):
    """A cloud file that does not say everything by itself: a ``.bin`` of float32 and its values per point."""

    file: str
    columns: int | None = Field(default=None, ge=3)


class DepthRecord(Record):
    """Depth of the first view, pixel for pixel: a 16-bit PNG with its units per meter, or a ``.npy`` of float32 meters."""

    file: str
    units_per_meter: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _scale_where_needed(self) -> DepthRecord:
        if (self.units_per_meter is None) != self.file.endswith(".npy"):
            raise ValueError("units_per_meter belongs to a .png, and is needed there; a .npy holds meters")
        return self


class BoxRecord(Record):
    """A labeled box in the axes of the points: meters, full sizes, ``yaw`` (radians about z) or a 3x3 ``rotation``.
    An attribute that is not known is null."""

    label: str = Field(min_length=1)
    center: Vector
    size: Vector
    yaw: float | None = None
    rotation: Matrix | None = None
    box_2d: Annotated[Numbers, Field(min_length=4, max_length=4)] | None = None
    attributes: dict[str, bool | int | float | str | list[float | None] | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_rotation(self) -> BoxRecord:
        _exactly_one(self, "yaw", "rotation")
        return self

    def box(self) -> OrientedBox:
        """The box."""
        if self.rotation is not None:
            return OrientedBox(np.array(self.center), np.array(self.size), np.array(self.rotation))
        assert self.yaw is not None
        return OrientedBox.from_yaw(self.center, self.size, self.yaw)


class FrameRecord(Record):
    """``frames/ID.json``."""

    points: str | PointsRecord | None = None
    T_world_points: Matrix | None = None
    T_points_world: Matrix | None = None
    world: str | None = None
    timestamp: float | None = None
    views: list[ViewRecord] = Field(default_factory=list)
    depth: DepthRecord | None = None
    annotations: list[BoxRecord] | None = None

    @model_validator(mode="after")
    def _has_points_and_pose(self) -> FrameRecord:
        _exactly_one(self, "T_world_points", "T_points_world")
        if self.points is None and self.depth is None:
            raise ValueError("states neither points nor depth")
        if self.depth is not None and not self.views:
            raise ValueError("states depth but no view that it belongs to")
        return self

    def pose(self, where: str) -> NDArray[np.float64]:
        """(4, 4) ``T_world_points``.

        Raises:
            InputError: not a rigid transform.
        """
        return _direction(self, "T_world_points", "T_points_world", where)

    def labels(self, where: str) -> Annotations3D | None:
        """The labeled boxes, or None.

        Raises:
            InputError: boxes that do not all have the same attributes.
        """
        if self.annotations is None:
            return None
        rows = self.annotations
        names = {*(name for row in rows for name in row.attributes)}
        for row in rows:
            if set(row.attributes) != names or (row.box_2d is None) != (rows[0].box_2d is None):
                raise InputError(
                    f"of {row.label!r} have other attributes than the rest",
                    source=where,
                    field="annotations",
                    fix="give every box the same attributes, and a box_2d to all or none",
                )
        return Annotations3D(
            boxes=tuple(row.box() for row in rows),
            labels=tuple(row.label for row in rows),
            boxes_2d=np.array([row.box_2d for row in rows]) if rows and rows[0].box_2d is not None else None,
            attributes={name: _column([row.attributes[name] for row in rows]) for name in sorted(names)},
        )


class ScanRecord(Record):
    """``scan.json``."""

    format: str = FORMAT.name
    version: int = FORMAT.version
    units: Literal["m"]
    up: Literal["x", "y", "z", "-x", "-y", "-z"]
    cameras: dict[str, CameraRecord] = Field(default_factory=dict)
    frames: list[str] | None = None
    about: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> ScanRecord:
        FORMAT.require(read_json(path), path, fix="see docs/layout.md")
        return super().load(path)


_UPPER = {name for record in (CameraRecord, FrameRecord) for name in record.model_fields if name[0].isupper()}


def _column(values: list[Any]) -> NDArray:
    if any(value is None or isinstance(value, list) for value in values):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.array(values)


def _exactly_one(record: Record, first: str, second: str) -> None:
    given = [name for name in (first, second) if getattr(record, name) is not None]
    if len(given) != 1:
        raise ValueError(
            f"states {'both' if given else 'neither'} {first} {'and' if given else 'nor'} {second}"
        )


def _direction(record: Record, wanted: str, inverse: str, where: str) -> NDArray[np.float64]:
    stated = getattr(record, wanted)
    name = inverse if stated is None else wanted
    T = validate_rigid(getattr(record, name), source=where, field=name)
    return invert(T) if stated is None else T
