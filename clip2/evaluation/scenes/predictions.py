"""Objects that a model or a file of another tool names in the frames of a scan."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from clip2.evaluation.protocol import Settings
from clip2.evaluation.scenes.labeled_scan import LabeledFrame, LabeledScan
from clip2.evaluation.scenes.objects import SceneObjects
from clip2.evaluation.scenes.results_file import ObjectsFile
from clip2.evaluation.subject import Subject
from clip2.labels import UNKNOWN, parse_labels
from clip2.recognition import Recognizer
from data_prep.errors import InputError
from data_prep.labels import normalize_label
from data_prep.scans import Frame
from data_prep.storage.files import write_atomically
from data_prep.storage.parsing import read_arrays

if TYPE_CHECKING:
    from clip2.recognition.instances import Instances3D


class Predictions(Protocol):
    """Source of the objects of a frame."""

    def of(self, labeled: LabeledFrame) -> SceneObjects:
        """The objects, in world axes, without those that lie outside of what was labeled."""
        ...


@dataclass(frozen=True)
class AskedLabels:
    """The labels that a scan is scored by.

    Attributes:
        names: normalized.
        said: what was asked and left out, in words.
    """

    names: tuple[str, ...]
    said: str

    @classmethod
    def choose(cls, subject: Subject, scan: LabeledScan, options: Mapping[str, str]) -> AskedLabels:
        """Those of the option ``labels``; without it those that occur in the scan and that the model has vectors for.

        Raises:
            InputError: a label without a vector, or no label with one.
        """
        if "labels" in options:
            names = tuple(map(normalize_label, parse_labels(options["labels"], source="--option labels")))
            if subject.loaded is not None:
                subject.vectors(names)
            return cls(names, f"{', '.join(names)}, as asked for")
        present = [name for name in scan.labels() if name != UNKNOWN]
        known = [name for name in present if subject.loaded is None or subject.can_name(name)]
        if present and not known:
            raise InputError(
                f"has no vector for any label of the scan: {', '.join(present[:8])}",
                source=subject.name,
                field="labels",
                fix="give a bank that has them, or a text tower with --clip",
            )
        absent = sorted(set(present) - set(known))
        without = f"; without a vector and left out: {', '.join(absent)}" if absent else ""
        return cls(tuple(known), f"all that occur: {', '.join(known)}{without}")


def open_predictions(
    subject: Subject, scan: LabeledScan, settings: Settings, labels: Sequence[str] | None
) -> Predictions:
    """What a subject finds.

    Args:
        subject: a model, or a file of objects.
        scan: that is scored.
        settings: color and cache.
        labels: for a model: to name the objects by; None: they stay without a name.

    Raises:
        InputError: a file that is none, or of another scan.
    """
    if subject.loaded is None:
        file = ObjectsFile.read(subject.predictions)
        file.require_frames(scan.scan.frame_ids())
        return _OfFile(file)
    return _OfModel(subject, settings, None if labels is None else tuple(labels))


def scene_objects(found: Instances3D, frame: Frame) -> SceneObjects:
    """Recognized objects as the protocols compare them."""
    return SceneObjects(
        found.boxes,
        tuple(map(normalize_label, found.labels)),
        found.scores.astype(np.float64),
        indices=found.indices,
        tracks=found.track_ids,
        objectness=None if found.objectness is None else found.objectness.astype(np.float64),  # type: ignore[arg-type]
        viewpoint=frame.T_world_points[:3, 3],
    )


@dataclass(frozen=True, eq=False)
class _OfFile:
    file: ObjectsFile

    def of(self, labeled: LabeledFrame) -> SceneObjects:
        return labeled.counted(self.file.of(labeled.frame))


@dataclass(eq=False)
class _OfModel:
    """Recognition of each frame alone; kept in ``settings.cache``, so that a run can continue."""

    subject: Subject
    settings: Settings
    labels: tuple[str, ...] | None
    _recognizer: Recognizer = field(init=False)

    def __post_init__(self) -> None:
        self._recognizer = Recognizer(self.subject.model, self.subject.text)

    def of(self, labeled: LabeledFrame) -> SceneObjects:
        frame = labeled.frame if self.settings.color else replace(labeled.frame, colors=None)
        file = None if self.settings.cache is None else self._file(self.settings.cache, frame)
        found = None if file is None else _load(file, frame)
        if found is None:
            scan = self._recognizer.set_scan(frame)
            found = scene_objects(scan.unnamed() if self.labels is None else scan.query(self.labels), frame)
            if file is not None:
                _save(file, found)
        return labeled.counted(found)

    def _file(self, cache: Path, frame: Frame) -> Path:
        asked = hashlib.sha256(repr(self.labels).encode())
        if self.labels is not None:
            asked.update(self.subject.vectors(self.labels).tobytes())
        for array in (frame.points, frame.colors, frame.T_world_points):
            asked.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        return cache / self.subject.digest / f"{asked.hexdigest()[:32]}.npz"


def _save(file: Path, found: SceneObjects) -> None:
    assert found.indices is not None
    columns = {
        "boxes": found.boxes,
        "labels": np.array(found.labels, np.str_),
        "scores": found.scores,
        "objectness": found.objectness,
        "indices": np.concatenate([np.zeros(0, np.int64), *found.indices]),
        "sizes": np.array([len(index) for index in found.indices], np.int64),
    }
    file.parent.mkdir(parents=True, exist_ok=True)

    def write(path: Path) -> None:
        with path.open("wb") as stream:  # given a name, numpy would add .npz to it
            np.savez_compressed(stream, **columns)  # type: ignore[arg-type]

    write_atomically(file, write)


def _load(file: Path, frame: Frame) -> SceneObjects | None:
    """What was found in the frame; None: it is not there, or damaged, and looked for again."""
    try:
        data = read_arrays(file)
        sizes, indices = data["sizes"], data["indices"]
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(frame.points):
            return None
        return SceneObjects(
            data["boxes"],
            tuple(map(str, data["labels"])),
            data["scores"],
            indices=tuple(np.split(indices, np.cumsum(sizes)[:-1])) if len(sizes) else (),
            objectness=data["objectness"],
            viewpoint=frame.T_world_points[:3, 3],
        )
    except (OSError, KeyError, TypeError, ValueError):
        return None
