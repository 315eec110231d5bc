"""Provenance of a triplet: scan, frames, cameras, detections and lifter that it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np

from data_prep.associate.observation import Observation
from data_prep.errors import InputError
from data_prep.geometry import Camera
from data_prep.geometry.distortion import Distortion
from data_prep.lift import LiftQuality

Vector3 = tuple[float, float, float]
Matrix = tuple[tuple[float, ...], ...]
Place = tuple[str, int, int]
R = TypeVar("R", bound="Record")


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of the JSON objects of a provenance. Equal records give equal JSON.

    Attributes:
        extra: keys of the JSON object that are not fields; kept as they are. A field that is null in the file is kept
            here too, so that reading and writing again changes nothing.
    """

    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The JSON object; fields that are None or empty are left out."""
        record = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "extra"}
        given = {
            name: _to_json(value)
            for name, value in record.items()
            if value is not None and not (isinstance(value, str | tuple) and not value)
        }
        return {**given, **self.extra}

    @classmethod
    def from_json(cls: type[R], record: Mapping[str, Any]) -> R:
        """Read the JSON object.

        Raises:
            InputError: a field has another form than the one documented; it is named.
        """
        names = {one.name for one in fields(cls)} - {"extra"}
        values: dict[str, Any] = {}
        for name in names & record.keys():
            if record[name] is not None:
                try:
                    values[name] = _FORMS[name](record[name])
                except InputError as error:
                    raise InputError(error.problem, field=f"{name}.{error.field}", fix=error.fix) from None
                except (TypeError, ValueError, KeyError, AttributeError):
                    raise InputError(f"is {record[name]!r}", field=name) from None
        return cls(**values, extra={name: value for name, value in record.items() if name not in values})


@dataclass(frozen=True, kw_only=True)
class CameraRecord(Record):
    """Camera of a view.

    Attributes:
        K: (3, 3) intrinsics, pixels.
        width, height: of the image, pixels.
        T_points_cam: (4, 4), from camera axes to the points of the frame.
        distortion: ``model`` and ``coefficients``, see :class:`data_prep.geometry.distortion.Distortion`.
    """

    K: Matrix | None = None
    width: int | None = None
    height: int | None = None
    T_points_cam: Matrix | None = None
    distortion: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, camera: Camera) -> CameraRecord:
        """Record of a camera."""
        lens = camera.distortion
        return cls(
            K=_tuples(camera.K.tolist()),
            width=camera.width,
            height=camera.height,
            T_points_cam=_tuples(camera.T_points_cam.tolist()),
            distortion={"model": lens.model, "coefficients": list(lens.coefficients)},
        )

    def camera(self) -> Camera:
        """The camera.

        Raises:
            InputError: the record is not complete.
        """
        try:
            lens = Distortion(self.distortion["model"], tuple(self.distortion["coefficients"]))  # type: ignore[index]
            return Camera(np.array(self.K), self.width, self.height, np.array(self.T_points_cam), lens)  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise InputError(f"is not complete ({error})", field="provenance.camera") from None


@dataclass(frozen=True, kw_only=True)
class QualityRecord(Record):
    """Quality of the lifted cloud: the fields of :class:`data_prep.lift.LiftQuality`; null in the file: not known."""

    num_points: int | None = None
    num_in_region: int | None = None
    median_range: float | None = None
    truncated: float | None = None
    occluded: float | None = None

    @classmethod
    def of(cls, quality: LiftQuality) -> QualityRecord:
        """Record of a quality; NaN is written as null."""
        return cls.from_json(
            {name: None if value != value else value for name, value in vars(quality).items()}
        )


@dataclass(frozen=True, kw_only=True)
class ViewRecord(Record):
    """One observation of an object.

    Attributes:
        frame: id of the frame.
        timestamp: seconds.
        center: world position of the points' origin, meters.
        T_world_points: (4, 4), from the points of the frame to the z-up world.
        view, view_index: name of the image and index into ``Frame.views``.
        camera: of the view.
        box: of the detection, xyxy pixels.
        crop: x0, y0 and past-the-end x1, y1 of the crop in the image, pixels.
        label, score: the detector's.
        detection: annotation id.
        attributes: further columns of the detections.
        quality: of the lifted cloud.
    """

    frame: str = ""
    timestamp: float | None = None
    center: Vector3 | None = None
    T_world_points: Matrix | None = None
    view: str | None = None
    view_index: int | None = None
    camera: CameraRecord | None = None
    box: tuple[float, float, float, float] | None = None
    crop: tuple[int, int, int, int] | None = None
    label: str = ""
    score: float | None = None
    detection: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    quality: QualityRecord | None = None

    @property
    def place(self) -> tuple[str, int | None, int | None]:
        """Frame, view index and annotation id."""
        return self.frame, self.view_index, self.detection

    def to_json(self) -> dict[str, Any]:
        """The JSON object; mined ones always have ``timestamp`` and ``attributes``."""
        always: dict[str, Any] = {"timestamp": None, "attributes": {}} if self.view_index is not None else {}
        record = super().to_json()
        if not self.attributes:
            record.pop("attributes", None)
        return {**always, **record}


@dataclass(frozen=True, kw_only=True)
class Provenance(ViewRecord):
    """Provenance of a triplet: the record of its best view, and what belongs to the whole object.

    Attributes:
        source: name of the scan's reader, or another origin.
        lifter: ``name`` and settings of the lifter.
        views: of an associated object, the records of all kept views, best first; the first is that of the crop.
        sightings: :attr:`ViewRecord.place` of all detections of an associated object.
        votes: label → sum of scores over these.
        motion: ``moving`` or ``standing``.

    >>> Provenance(source="mugs", label="mug", score=0.9).to_json()
    {'label': 'mug', 'score': 0.9, 'source': 'mugs'}
    """

    source: str = ""
    lifter: Mapping[str, Any] | None = None
    views: tuple[ViewRecord, ...] = ()
    sightings: tuple[Place, ...] = ()
    votes: Mapping[str, float] | None = None
    motion: str | None = None

    @classmethod
    def of(cls, observation: Observation, lifter: Mapping[str, Any] | None = None) -> Provenance:
        """Provenance of an observation, merged or single.

        Args:
            observation: the observation.
            lifter: name and settings of the lifter, :attr:`data_prep.lift.Lifter.settings`.
        """
        merged = observation.association
        return cls(
            **_view_fields(observation),
            source=observation.source,
            lifter=lifter,
            views=() if merged is None else tuple(ViewRecord(**_view_fields(view)) for view in merged.views),
            sightings=() if merged is None else merged.places,
            votes=None if merged is None else dict(merged.votes),
            motion=None if merged is None else "moving" if merged.moving else "standing",
        )


def _view_fields(seen: Observation) -> dict[str, Any]:
    return {
        "frame": seen.frame,
        "timestamp": seen.timestamp,
        "center": tuple(seen.center.tolist()),
        "T_world_points": _tuples(seen.T_world_points.tolist()),
        "view": seen.view,
        "view_index": seen.view_index,
        "camera": CameraRecord.of(seen.camera),
        "box": tuple(seen.box.tolist()),
        "crop": seen.window,
        "label": seen.label,
        "score": seen.score,
        "detection": seen.detection,
        "attributes": dict(seen.attributes),
        "quality": QualityRecord.of(seen.quality),
    }


def _to_json(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    return (
        [item.to_json() for item in value]
        if isinstance(value, tuple) and isinstance(value[0], Record)
        else value
    )


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != value:
        raise ValueError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool | str):
        raise TypeError
    float(value)
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError
    return dict(value)


def _numbers(*shape: int) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if np.asarray(value, np.float64).shape != shape:
            raise ValueError
        return _tuples(value)

    return read


def _places(value: Any) -> tuple[Place, ...]:
    return tuple((_text(frame), _whole(view), _whole(detection)) for frame, view, detection in value)


_FORMS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("frame", "view", "label", "source", "motion"), _text),
    **dict.fromkeys(("view_index", "detection", "width", "height", "num_points", "num_in_region"), _whole),
    **dict.fromkeys(("timestamp", "score", "median_range", "truncated", "occluded"), _number),
    **dict.fromkeys(("attributes", "lifter", "votes", "distortion"), _mapping),
    "center": _numbers(3),
    "box": _numbers(4),
    "crop": _numbers(4),
    "K": _numbers(3, 3),
    "T_world_points": _numbers(4, 4),
    "T_points_cam": _numbers(4, 4),
    "camera": CameraRecord.from_json,
    "quality": QualityRecord.from_json,
    "views": lambda value: tuple(map(ViewRecord.from_json, value)),
    "sightings": _places,
}
