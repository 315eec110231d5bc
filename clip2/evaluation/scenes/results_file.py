"""Files of objects: what ``clip2 recognize`` wrote, or any other tool, as one JSON document.

A file of another tool::

    {"format": "clip2-objects", "version": 1, "axes": "world",
     "frames": {"000000": [{"label": "car", "score": 0.9, "center": [x, y, z], "size": [l, w, h], "yaw": 0.1}]}}

``axes`` says what the boxes are relative to: ``world`` (the scan's z-up world) or ``points`` (the axes of the frame's points, such as
those of the LiDAR). Meters and radians. Optional keys of an object: ``rotation`` (3x3) instead of ``yaw``, ``indices`` into the frame's
points, ``track_id``, ``objectness``, ``attributes`` (ignored). Labeled scans without a reader can state their labels in the same form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from clip2.evaluation.scenes.objects import SceneObjects
from clip2.recognition.instances import FORMAT as INSTANCES
from clip2.recognition.instances import Instances3D
from data_prep.errors import InputError
from data_prep.geometry.box_iou import box_rows
from data_prep.labels import normalize_label
from data_prep.scans import Frame
from data_prep.scans.formats.text import read_json
from data_prep.scans.layout.records import BoxRecord, Record
from data_prep.storage.versioned import FileFormat

FORMAT = FileFormat("clip2-objects", 1)


class ObjectRecord(BoxRecord):
    """An object: a labeled box as in a layout folder, with what a tool knows beyond it."""

    score: float = 1.0
    objectness: float | None = None
    indices: list[int] | None = None
    track_id: int | None = None


class ObjectsRecord(Record):
    """The whole document."""

    page: ClassVar[str] = "docs/evaluation.md"
    format: str = FORMAT.name
    version: int = FORMAT.version
    axes: Literal["world", "points"]
    frames: dict[str, list[ObjectRecord]]


@dataclass(frozen=True, eq=False)
class ObjectsFile:
    """Objects by frame.

    Attributes:
        path: of the file.
        frames: id → its objects, as the file states them.
        axes: of the boxes, ``world`` or ``points``.
    """

    path: Path
    frames: Mapping[str, Sequence[ObjectRecord]]
    axes: str

    @classmethod
    def read(cls, path: str | Path) -> ObjectsFile:
        """Read a file.

        Raises:
            InputError: it cannot be read, or holds something else.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError("is not there", source=path, fix="check the path")
        document = read_json(path)
        if document.get("format") == INSTANCES.name:
            found = Instances3D.from_json(document)
            assert found.objectness is not None
            rows = zip(
                found.labels,
                found.scores,
                found.objectness,
                found.boxes,
                found.rotations,
                found.indices,
                strict=True,
            )
            objects = [
                ObjectRecord(
                    label=label,
                    score=float(score),
                    objectness=float(objectness),
                    center=box[:3].tolist(),
                    size=box[3:6].tolist(),
                    rotation=rotation.tolist(),
                    indices=index.tolist(),
                )
                for label, score, objectness, box, rotation, index in rows
            ]
            return cls(path, {found.frame_id: objects}, "world")
        FORMAT.require(
            document, path, fix="give a file of clip2 recognize, or one as docs/evaluation.md describes"
        )
        record = ObjectsRecord.load(path)
        return cls(path, record.frames, record.axes)

    def require_frames(self, ids: Sequence[str]) -> None:
        """Check that the file is of a scan with these frames.

        Raises:
            InputError: it names a frame that the scan does not have.
        """
        foreign = [id for id in self.frames if id not in set(ids)]
        if foreign:
            more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            raise InputError(
                f"has objects of frame {foreign[0]!r}{more}, which the scan does not have",
                source=self.path,
                field="frames",
                fix=f"give results of this scan: its frames are {', '.join(ids[:5])}{' …' if len(ids) > 5 else ''}",
            )

    def of(self, frame: Frame) -> SceneObjects:
        """The objects of a frame, in world axes; none if the file does not name it.

        Raises:
            InputError: a box that is none, point indices that the frame does not have, or a column that only some
                objects of the frame have.
        """
        rows, where = self.frames.get(frame.id, ()), f"frames.{frame.id}"
        T = frame.T_world_points if self.axes == "points" else np.eye(4)
        try:
            boxes = box_rows(row.box().transformed(T) for row in rows)
        except InputError as error:
            field = ".".join(filter(None, (where, error.field)))
            raise InputError(error.problem, source=self.path, field=field, fix=error.fix) from error
        indices = self._column(rows, "indices", where)
        tracks = self._column(rows, "track_id", where)
        for index in indices or ():
            low, high = min(index, default=0), max(index, default=0)
            if not 0 <= low <= high < len(frame.points):
                raise InputError(
                    f"names point {high if low >= 0 else low} of {len(frame.points)}",
                    source=self.path,
                    field=f"{where}.indices",
                    fix="give results of this scan: positions in its points, in their order",
                )
        scores = np.array([row.score for row in rows], np.float64)
        objectness = [row.score if row.objectness is None else row.objectness for row in rows]
        return SceneObjects(
            boxes,
            tuple(normalize_label(row.label) for row in rows),
            scores,
            indices=None if indices is None else tuple(np.unique(np.array(i, np.int64)) for i in indices),
            tracks=None if tracks is None else np.array(tracks, np.int64),
            objectness=np.array(objectness, np.float64),
            viewpoint=frame.T_world_points[:3, 3],
        )

    def _column(self, rows: Sequence[ObjectRecord], name: str, where: str) -> list[Any] | None:
        values = [getattr(row, name) for row in rows]
        missing = [value is None for value in values]
        if any(missing) and not all(missing):
            raise InputError(
                f"object {missing.index(True)} has none, others have",
                source=self.path,
                field=f"{where}.{name}",
                fix="give it to all or to none",
            )
        return None if values and all(missing) else values
