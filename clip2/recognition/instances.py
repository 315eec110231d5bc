"""Recognized objects of one scan, with their JSON, PLY, HTML and ROS forms."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.spatial.transform import Rotation

from clip2.labels import UNKNOWN
from data_prep.errors import InputError
from data_prep.geometry import OrientedBox
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import parse_json
from data_prep.storage.reading import read_text
from data_prep.storage.versioned import FileFormat

if TYPE_CHECKING:
    from data_prep.scans import Frame

FORMAT = FileFormat("clip2-instances", 1)
_SHOWN_LABELS = 12  # in the page's introduction
# Grays in a PLY file.
_NO_OBJECT, _UNKNOWN_OBJECT = (110, 110, 110), (185, 185, 185)


@dataclass(frozen=True)
class Instances3D:
    """N objects of one scan in world axes (z-up, meters). Slices like an array.

    Attributes:
        indices: N ascending int64 arrays into the scan's points.
        boxes: (N, 7) float64: center x y z, length, width, height, yaw (radians about z). Amodal: of the whole object as
            far as its label and the floor tell.
        visible_boxes: (N, 7) float64 of the points alone; None: the same as ``boxes``.
        rotations: (N, 3, 3) float64, box axes to world axes.
        labels: N; ``unknown`` for objects unlike anything the model was trained on.
        scores: (N,) float32 in 0..1: probability among the labels that were asked for; 0 for ``unknown``.
        embeddings: (N, D) float32 unit rows in the space of ``model``.
        objectness: (N,) float32 in 0..1: how likely the points are one whole object; None: 1 for all.
        background: label, such as ``wall``, → ascending int64 indices of the scan's points that belong to it; shared by
            all slices, not in a JSON file.
        points: (P, 3) float64 the scan in world axes, shared by all slices; None after reading a JSON file.
        colors: (P, 3) uint8, or None.
        frame_id: id of the scan's frame.
        timestamp: seconds, or None.
        model: name of the CLIP model whose space the embeddings are in.
        vocabulary: the labels that were asked for.
        track_ids: (N,) int64, the number under which a map keeps each object; None: not from a map.

    Raises:
        InputError: fields that do not fit together.

    >>> import numpy as np
    >>> objects = Instances3D(
    ...     indices=(np.array([0, 1]), np.array([2])),
    ...     boxes=np.array([[0.0, 0, 0.5, 1, 1, 1, 0], [3, 0, 0.2, 0.2, 0.1, 0.4, 0]]),
    ...     rotations=np.stack([np.eye(3)] * 2),
    ...     labels=("chair", "mug"),
    ...     scores=np.array([0.9, 0.6], np.float32),
    ...     embeddings=np.eye(2, 4, dtype=np.float32),
    ... )
    >>> objects[objects.scores > 0.8].labels
    ('chair',)
    >>> Instances3D.from_json(objects.to_json()).labels
    ('chair', 'mug')
    """

    indices: tuple[NDArray[np.int64], ...]
    boxes: NDArray[np.float64]
    rotations: NDArray[np.float64]
    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    objectness: NDArray[np.float32] | None = None
    visible_boxes: NDArray[np.float64] | None = None
    background: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    points: NDArray[np.float64] | None = None
    colors: NDArray[np.uint8] | None = None
    frame_id: str = ""
    timestamp: float | None = None
    model: str = ""
    vocabulary: tuple[str, ...] = ()
    track_ids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        count = len(self.indices)
        if self.objectness is None:
            object.__setattr__(self, "objectness", np.ones(count, np.float32))
        if self.visible_boxes is None:
            object.__setattr__(self, "visible_boxes", self.boxes)
        shapes = {
            "boxes": (count, 7),
            "visible_boxes": (count, 7),
            "rotations": (count, 3, 3),
            "scores": (count,),
            "objectness": (count,),
            **({} if self.track_ids is None else {"track_ids": (count,)}),
        }
        for name, shape in shapes.items():
            got = np.shape(getattr(self, name))
            if got != shape:
                raise InputError(f"has shape {got}, expected {shape}", field=f"instances.{name}")
        for name in ("labels", "embeddings"):
            if len(getattr(self, name)) != count:
                raise InputError(
                    f"has {len(getattr(self, name))} entries for {count} objects", field=f"instances.{name}"
                )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int | slice | ArrayLike) -> Instances3D:
        """Select by number, slice, integer array or boolean array; every field follows."""
        keep = np.atleast_1d(np.arange(len(self))[index])  # type: ignore[index]
        return replace(
            self,
            indices=tuple(self.indices[i] for i in keep),
            boxes=self.boxes[keep],
            rotations=self.rotations[keep],
            labels=tuple(self.labels[i] for i in keep),
            scores=self.scores[keep],
            embeddings=self.embeddings[keep],
            objectness=None if self.objectness is None else self.objectness[keep],
            visible_boxes=None if self.visible_boxes is None else self.visible_boxes[keep],
            track_ids=None if self.track_ids is None else self.track_ids[keep],
        )

    def __iter__(self) -> Iterator[Instances3D]:
        return (self[i] for i in range(len(self)))

    def oriented_boxes(self) -> list[OrientedBox]:
        """The boxes as :class:`OrientedBox`."""
        return [OrientedBox(row[:3], row[3:6], R) for row, R in zip(self.boxes, self.rotations, strict=True)]

    def object_points(self, number: int) -> NDArray[np.float64]:
        """(n, 3) world points of one object.

        Raises:
            InputError: the scan's points are not there, as after :meth:`from_json`.
        """
        points, _ = self._scan("object_points")
        return points[self.indices[number]]

    def to_json(self, path: str | Path | None = None) -> dict[str, Any]:
        """Everything except the scan as a dict for ``json``, also written to ``path`` if given.

        ``docs/recognition.md`` describes the layout; :meth:`from_json` reads it back without loss.
        """
        assert self.objectness is not None
        assert self.visible_boxes is not None
        objectness, visible = self.objectness, self.visible_boxes
        document = {
            **FORMAT.header,
            "frame": {"id": self.frame_id, "axes": "world, z up, right-handed", "unit": "meter"},
            "timestamp": self.timestamp,
            "model": self.model,
            "vocabulary": list(self.vocabulary),
            "objects": [
                {
                    "id": i,
                    **({} if self.track_ids is None else {"track": int(self.track_ids[i])}),
                    "label": self.labels[i],
                    "score": _short(self.scores[i]),
                    "objectness": _short(objectness[i]),
                    "center": self.boxes[i, :3].tolist(),
                    "size": self.boxes[i, 3:6].tolist(),
                    "yaw": float(self.boxes[i, 6]),
                    "rotation": self.rotations[i].tolist(),
                    "visible": {
                        "center": visible[i, :3].tolist(),
                        "size": visible[i, 3:6].tolist(),
                        "yaw": float(visible[i, 6]),
                    },
                    "num_points": len(self.indices[i]),
                    "indices": self.indices[i].tolist(),
                    "embedding": [_short(value) for value in self.embeddings[i]],
                }
                for i in range(len(self))
            ],
        }
        if path is not None:
            _write(Path(path), json.dumps(document).encode())
        return document

    @classmethod
    def from_json(cls, source: str | Path | Mapping[str, Any]) -> Instances3D:
        """Read the file or the dict of :meth:`to_json`. It does not hold the scan's points.

        Raises:
            InputError: the file cannot be read, or is not such a document.
        """
        name = "instances" if isinstance(source, Mapping) else str(source)
        try:
            document = source if isinstance(source, Mapping) else parse_json(read_text(source))
            FORMAT.require(document, name, fix="give a file of Instances3D.to_json")
            objects = document["objects"]
            width = len(objects[0]["embedding"]) if objects else 0
            return cls(
                indices=tuple(np.array(o["indices"], dtype=np.int64) for o in objects),
                boxes=_finite([_box_row(o) for o in objects]).reshape(-1, 7),
                rotations=_finite([o["rotation"] for o in objects]).reshape(-1, 3, 3),
                labels=tuple(o["label"] for o in objects),
                scores=_finite([o["score"] for o in objects], np.float32),
                embeddings=_finite([o["embedding"] for o in objects], np.float32).reshape(-1, width)
                if width
                else np.zeros((len(objects), 0), np.float32),
                visible_boxes=_finite([_box_row(o.get("visible", o)) for o in objects]).reshape(-1, 7),
                objectness=_finite([o.get("objectness", 1.0) for o in objects], np.float32),
                frame_id=document["frame"]["id"],
                timestamp=None if document["timestamp"] is None else float(_finite(document["timestamp"])),
                model=document["model"],
                vocabulary=tuple(document["vocabulary"]),
                track_ids=np.array([o["track"] for o in objects], np.int64)
                if any("track" in o for o in objects)
                else None,
            )
        except OSError as error:
            raise InputError(
                f"cannot be read ({error.strerror})", source=name, fix="check the path"
            ) from error
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"is not a {FORMAT.name} file ({error!r})", source=name) from error

    def to_ros(
        self,
        frame_id: str = "map",
        stamp: int | None = None,
        T_frame_world: NDArray[np.float64] | None = None,
    ) -> dict[str, Any]:
        """Plain dicts in the layout of ``vision_msgs/Detection3DArray`` (ROS 2); needs no ROS.

        :mod:`clip2.ros` makes messages of it and reads them back.

        Args:
            frame_id: tf frame of the boxes.
            stamp: nanoseconds; None: ``timestamp``, which as a float is exact to about a microsecond.
            T_frame_world: (4, 4) from world axes to those of ``frame_id``; None: they are the same.
        """
        at = round((self.timestamp or 0.0) * 1e9) if stamp is None else stamp
        header = {"stamp": {"sec": at // 10**9, "nanosec": at % 10**9}, "frame_id": frame_id}
        T = np.eye(4) if T_frame_world is None else np.asarray(T_frame_world, np.float64)
        centers = self.boxes[:, :3] @ T[:3, :3].T + T[:3, 3]
        turns = Rotation.from_matrix(T[:3, :3] @ self.rotations).as_quat() if len(self) else np.zeros((0, 4))
        detections = []
        for i, label in enumerate(self.labels):
            pose = {
                "position": dict(zip("xyz", centers[i].tolist(), strict=True)),
                "orientation": dict(zip("xyzw", turns[i].tolist(), strict=True)),
            }
            hypothesis = {"class_id": label, "score": float(self.scores[i])}
            result = {"hypothesis": hypothesis, "pose": {"pose": pose, "covariance": [0.0] * 36}}
            size = dict(zip("xyz", self.boxes[i, 3:6].tolist(), strict=True))
            detections.append(
                {
                    "header": header,
                    "results": [result],
                    "bbox": {"center": pose, "size": size},
                    "id": str(i if self.track_ids is None else int(self.track_ids[i])),
                }
            )
        return {"header": header, "detections": detections}

    def to_ply(self, path: str | Path) -> Path:
        """Write the scan as a binary PLY: a color per object, light gray for ``unknown``, dark gray for the rest.

        Besides x y z and red green blue, every vertex has ``instance`` (int, -1 for none).

        Raises:
            InputError: the scan's points are not there.
        """
        points, _ = self._scan("to_ply")
        owner = self.owners()
        palette = np.vstack([instance_palette(len(self)), [_NO_OBJECT]]).astype(np.uint8)
        palette[[i for i, label in enumerate(self.labels) if label == UNKNOWN]] = _UNKNOWN_OBJECT
        vertices = np.empty(len(points), [("xyz", "<f8", 3), ("rgb", "u1", 3), ("instance", "<i4")])
        vertices["xyz"], vertices["rgb"], vertices["instance"] = points, palette[owner], owner
        kinds = {"double": ("x", "y", "z"), "uchar": ("red", "green", "blue"), "int": ("instance",)}
        properties = "".join(f"property {kind} {name}\n" for kind, names in kinds.items() for name in names)
        header = (
            f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{properties}end_header\n"
        )
        return _write(Path(path), header.encode() + vertices.tobytes())

    def to_html(
        self,
        path: str | Path,
        title: str = "Recognized objects",
        notes: str = "",
        frame: Frame | None = None,
    ) -> Path:
        """Write one self-contained page: the scan with named boxes, a table of labels and a gallery.

        Args:
            path: HTML file to write.
            title: title of the page.
            notes: paragraph below the title.
            frame: the frame that was recognized. Its images are shown with the objects drawn on them, and each object
                beside its crop; None: no images.

        Raises:
            InputError: the scan's points are not there, or the frame has others.
        """
        from clip2.recognition.page import ShownObject, objects_page
        from data_prep.report import Page

        points, colors = self._scan("to_html")
        strange = self.labels.count(UNKNOWN)
        unlike = f", {strange} of them unlike the training objects" if strange else ""
        if frame is not None and len(frame.points) != len(points):
            raise InputError(
                f"has {len(frame.points):,} points, the scan {len(points):,}",
                field="frame",
                fix="give the frame that was recognized",
            )
        some = ", ".join(self.vocabulary[:_SHOWN_LABELS])
        more = f" and {len(self.vocabulary) - _SHOWN_LABELS} more" * (len(self.vocabulary) > _SHOWN_LABELS)
        asked = f", asked for: {some}{more}" if some else ""
        page = Page(title, f"{self.frame_id}: {len(self)} objects{unlike} in {len(points):,} points{asked}.")
        if notes:
            page.paragraph(notes)
        assert self.objectness is not None
        scores, objectness = self.scores.tolist(), self.objectness.tolist()
        rows = zip(self.labels, scores, objectness, self.oriented_boxes(), self.indices, strict=True)
        shown = [ShownObject(*row) for row in rows]
        objects_page(page, shown, points, colors, self.owners(), self.background, frame)
        return page.write(path)

    def owners(self) -> NDArray[np.int64]:
        """(P,) number of the object that each point of the scan belongs to, -1 for none; the smaller object wins.

        Raises:
            InputError: the scan's points are not there.
        """
        points, _ = self._scan("owners")
        owner = np.full(len(points), -1, dtype=np.int64)
        for i in sorted(range(len(self)), key=lambda i: -len(self.indices[i])):
            owner[self.indices[i]] = i
        return owner

    def _scan(self, what: str) -> tuple[NDArray[np.float64], NDArray[np.uint8] | None]:
        if self.points is None:
            raise InputError(
                f"{what} needs the scan's points, and a JSON file does not hold them",
                field="instances.points",
                fix="use dataclasses.replace(result, points=...)",
            )
        return self.points, self.colors


def instance_palette(count: int) -> NDArray[np.uint8]:
    """(count, 3) uint8 colors, hues a golden angle apart, so that neighbors differ."""
    hue = (np.arange(count) * 137.508 + 20) % 360 / 60
    rgb = np.clip(np.abs((hue[:, None] + [0, 4, 2]) % 6 - 3) - 1, 0, 1)
    value = np.array([1.0, 0.8])[np.arange(count) % 2]
    return np.round((0.25 + 0.75 * rgb) * value[:, None] * 255).astype(np.uint8)


def _finite(values: Any, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        array = np.array(values, dtype)
    if not np.isfinite(array).all():
        raise ValueError("holds a number that is not finite")
    return array


def _box_row(item: Mapping[str, Any]) -> list[float]:
    return [*item["center"], *item["size"], item["yaw"]]


def _short(value: np.float32) -> float:
    """Shortest decimal that reads back as the same float32."""
    return float(str(np.float32(value)))


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda scratch: scratch.write_bytes(data))
    return path
