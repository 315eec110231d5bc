"""Persistent map of named objects, built frame by frame."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.mapping.alignment import align
from clip2.mapping.answers import answer
from clip2.mapping.config import MapConfig
from clip2.mapping.files import CLOUD, PAGE, read_map, write_map, write_ply
from clip2.mapping.finder import Finder, Sighting
from clip2.mapping.looks import LookEncoder
from clip2.mapping.map_object import MapObject
from clip2.mapping.merging import unify
from clip2.mapping.naming import Naming, mean_embeddings
from clip2.mapping.page import write_page
from clip2.mapping.step import Step
from clip2.mapping.store import ObjectStore
from clip2.mapping.update import MapUpdate
from clip2.mapping.whole_boxes import whole_boxes
from clip2.recognition.instances import Instances3D, instance_palette
from data_prep.detect.detections import Detections2D
from data_prep.errors import InputError
from data_prep.geometry.box_iou import box_rows
from data_prep.geometry.transforms import validate_rigid
from data_prep.scale.blas import single_threaded_blas
from data_prep.scans import Frame
from data_prep.storage.files import require_writable

if TYPE_CHECKING:
    from clip2.object_model import ObjectModel
    from clip2.teacher.text_source import TextSource


class ObjectMap:
    """Objects with stable ids that a moving sensor sees again and again.

    Each object keeps a bounded cloud, a mean embedding, and evidence that it exists. It is ``tentative`` until it was
    seen in several frames, then ``confirmed``, and ``lost`` once the sensor sees through the place where it stood.
    What is merely hidden stays confirmed.

    Args:
        model: as :func:`clip2.load` returns it.
        labels: to name the objects of an update by; None: all labels of the text source.
        text: source of label vectors (a TextBank or a Teacher); None: the model's own labels.
        config: settings.

    Raises:
        InputError: no labels anywhere, or label vectors of another CLIP model than the model was trained against.

    Attributes:
        frames: number of frames taken.
        notes: oddities of the last frame, one line each.
        seconds: time of each step of the last update: ``find``, ``match``, ``fuse``, ``encode``.

    >>> import clip2, data_prep
    >>> object_map = clip2.ObjectMap(clip2.load("mini-points"))
    >>> scan = data_prep.open_scan("procedural", "room", frames=300)
    >>> for frame in map(scan.__getitem__, range(4)):
    ...     update = object_map.update(frame)
    >>> found = object_map.query(["chair", "table", "box"])
    >>> len(found) > 0, set(found.labels) <= {"chair", "table", "box", "unknown"}
    (True, True)
    """

    def __init__(
        self,
        model: ObjectModel,
        labels: str | Iterable[str] | None = None,
        text: TextSource | None = None,
        config: MapConfig | None = None,
    ) -> None:
        from clip2.object_model import ObjectModel

        if not isinstance(model, ObjectModel):
            raise InputError(
                f"is a {type(model).__name__}", field="model", fix="give what clip2.load returns"
            )
        self.model, self.config = model, config or MapConfig()
        self._naming = Naming(model, text)
        self._labels = self._naming.vectors(labels)
        self._store = ObjectStore(self.config.max_objects)
        self._encoder = LookEncoder(model, self.config.budget_ms)
        self._finder = Finder(self.config)
        self.frames = 0
        self.notes: tuple[str, ...] = ()
        self.seconds: dict[str, float] = {}

    @property
    def objects(self) -> Mapping[int, MapObject]:
        """All objects by id, tentative and lost ones too."""
        return self._store.objects

    @property
    def range(self) -> float | None:
        """Meters beyond which points are left out to keep ``budget_ms``; None: all are used."""
        return self._finder.range

    def __len__(self) -> int:
        """Number of confirmed objects."""
        return sum(one.state == "confirmed" for one in self._store.objects.values())

    def update(
        self, frame: Frame, detections: Sequence[Detections2D] | Instances3D | None = None
    ) -> MapUpdate:
        """Take the next frame into the map.

        Args:
            frame: with its pose in a world that all frames share.
            detections: one ``Detections2D`` per view, lifted into 3D; or boxes of another 3D detector in world axes,
                with empty ``indices`` or those into the frame's points; None: objects are found by geometry alone.

        Returns:
            The objects seen in this frame, nearest name first, with their ids. Tentative ones are among them.

        Raises:
            BadFrameError: time runs backwards, or the pose jumps; the map is as it was.
            InputError: detections that do not fit the frame.
        """
        return self.fuse(self.find(frame, detections))

    @single_threaded_blas()
    def find(self, frame: Frame, detections: Sequence[Detections2D] | Instances3D | None = None) -> Sighting:
        """First half of :meth:`update`: find the objects of the next frame.

        It reads nothing that :meth:`fuse` changes, except for :attr:`range`: while one thread fuses a frame, another may
        find the objects of the next (:class:`LivePipeline`). Arguments and errors as of :meth:`update`.
        """
        return self._finder.find(frame, detections)

    @single_threaded_blas()
    def fuse(self, sighting: Sighting) -> MapUpdate:
        """Second half of :meth:`update`: take what was found into the map.

        Args:
            sighting: of :meth:`find`; frames in the order in which they were found.
        """
        began = time.perf_counter()
        self.notes = sighting.notes
        self.frames += 1
        self._encoder.start(began - sighting.seconds)
        step = Step(self._store, self.config, self._encoder, sighting, self.frames)
        step.match()
        matched, sought = time.perf_counter(), self._encoder.seconds
        step.fuse()
        fused = time.perf_counter()
        step.encode()
        update = self._update(step)
        ended = time.perf_counter()
        self.seconds = {
            "find": sighting.seconds,
            "match": matched - began - sought,
            "fuse": fused - matched,
            "encode": sought + ended - fused,
        }
        self._store.prune()
        self._finder.keep_budget(sighting, sum(self.seconds.values()))
        return update

    @single_threaded_blas()
    def query(
        self,
        labels: str | Iterable[str] | None = None,
        threshold: float = 0.0,
        *,
        false_alarm: float | None = None,
        states: Sequence[str] = ("confirmed",),
        points: bool = False,
        whole: bool = False,
    ) -> Instances3D:
        """Name the objects of the map. Cheap; labels can change at any moment.

        Args:
            labels: to choose from, a list or one string with commas. Phrases such as ``red chair``, ``cup on the
                table`` and ``largest box`` are understood as ``docs/mapping.md`` describes. None: the map's own.
            threshold: objects whose best label is less probable are left out.
            false_alarm: share of objects like the training objects that may be called ``unknown``; None: the rate the
                model was saved with; 0: nothing is called unknown.
            states: of the objects to look at.
            points: also give the clouds: ``indices`` then lead into ``points``. They take 24 bytes per point.
            whole: extend ``boxes`` to the usual size of their label, where it is likely and known, on the sides that
                nobody saw; ``visible_boxes`` stay. Takes about a millisecond per such object.

        Returns:
            The objects, highest scores first; ``track_ids`` are their ids.

        Raises:
            InputError: no labels, a repeated label, or one without a vector; numbers outside 0..1.
        """
        for name, value in (("threshold", threshold), ("false_alarm", false_alarm or 0.0)):
            if not 0 <= value <= 1:
                raise InputError(f"is {value}", field=name, fix="give a share, 0 to 1")
        objects = [one for one in self._store.objects.values() if one.state in states]
        means = mean_embeddings(objects, self.model.teacher.width)
        found = answer(objects, labels, self._naming, false_alarm, self._labels, means)
        keep = np.flatnonzero(found.scores >= threshold)
        keep = keep[np.argsort(-found.scores[keep], kind="stable")]
        numbers = found.numbers[keep]
        kept = [objects[i] for i in numbers.tolist()]
        names = [found.labels[i] for i in keep.tolist()]
        result = self._instances(kept, names, found.scores[keep], means[numbers], found.vocabulary, points)
        if whole:
            boxes = whole_boxes(kept, names, result.scores)
            result = replace(result, boxes=boxes, rotations=upright_rotations(boxes))
        return result

    def scores(
        self, labels: str | Iterable[str], states: Sequence[str] = ("confirmed",)
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Probability of every label for every object: several labels may fit one object.

        Args:
            labels: K labels.
            states: of the objects.

        Returns:
            Ids (N,) and probabilities (N, K); rows sum to 1.

        Raises:
            InputError: as :meth:`query`.
        """
        objects = [one for one in self._store.objects.values() if one.state in states]
        names, vectors = self._naming.vectors(labels)
        ids = np.array([one.id for one in objects], np.int64)
        return ids, self._naming.probabilities(objects, names, vectors)

    def correct(self, T_corrections: ArrayLike, times: ArrayLike | None = None) -> None:
        """Move the map after a loop closure; objects that then coincide become one.

        Args:
            T_corrections: (4, 4) that takes the old world to the new one; or (K, 4, 4), one per moment.
            times: (K,) seconds of these moments, ascending; an object moves with the moment nearest to its last look.

        Raises:
            InputError: transforms that are not rigid, or times that do not fit them.
        """
        given = np.asarray(T_corrections, np.float64)
        if given.shape == (4, 4):
            given, times = given[None], np.zeros(1)
        moments = np.asarray(times, np.float64)
        if given.ndim != 3 or given.shape[1:] != (4, 4) or moments.shape != (len(given),) or not len(given):
            raise InputError(
                f"have shape {given.shape} for times of shape {moments.shape}",
                field="T_corrections",
                fix="give (4, 4), or (K, 4, 4) with times (K,)",
            )
        transforms = [validate_rigid(T, field="T_corrections") for T in given]
        for one in self._store.objects.values():
            one.transform(transforms[int(np.abs(moments - one.last_seen).argmin())])
            self._store.place(one)
        self._finder.forget()
        unify(self._store, self.config.max_points)

    def merge(self, other: ObjectMap, T_self_other: ArrayLike | None = None) -> NDArray[np.float64]:
        """Take in the objects of another map; those that coincide become one, the others get new ids.

        Args:
            other: map of the same CLIP model; it stays as it is.
            T_self_other: (4, 4) from its world to this one; None: estimated from objects that look alike.

        Returns:
            The transform (4, 4).

        Raises:
            InputError: a map of another model, or no transform fits.
        """
        self._require_space(other.model.teacher.name, other.model.teacher.width, "other")
        if T_self_other is None:
            T = align(list(self.objects.values()), list(other.objects.values()))
        else:
            T = validate_rigid(np.asarray(T_self_other, np.float64), field="T_self_other")
        for one in other.objects.values():
            copy = deepcopy(one)
            copy.id = self._store.new_id()
            copy.transform(T)
            self._store.add(copy)
        self._store.prune()
        unify(self._store, self.config.max_points)
        return T

    def save(self, folder: str | Path, title: str = "Map", notes: str = "") -> Path:
        """Write the map as a folder: ``map.json``, its arrays (npz), ``objects.ply`` and ``index.html``.

        A process that is killed meanwhile leaves the old map or the new one.

        Args:
            folder: made if it does not exist.
            title: of the page.
            notes: paragraph of the page.

        Raises:
            InputError: the folder cannot be written.
        """
        folder = Path(folder)
        objects = list(self._store.objects.values())
        best, scores = self._naming.best(objects, *self._labels, None)
        names = dict(zip((one.id for one in objects), zip(best, scores.tolist(), strict=True), strict=True))
        facts = {
            "model": self.model.teacher.name,
            "width": self.model.teacher.width,
            "frames": self.frames,
            "next_id": self._store.next_id,
        }
        shown = [one for one in objects if one.state == "confirmed"]
        clouds, ids = [one.points() for one in shown], [one.id for one in shown]
        require_writable(folder, "map")
        folder.mkdir(parents=True, exist_ok=True)
        write_ply(folder / CLOUD, clouds, instance_palette(len(shown)), ids)
        write_page(folder / PAGE, objects, names, self.frames, title, notes)
        write_map(folder, objects, facts, names)  # last: who finds its document finds everything
        return folder

    @classmethod
    def load(
        cls,
        folder: str | Path,
        model: ObjectModel,
        labels: str | Iterable[str] | None = None,
        text: TextSource | None = None,
        config: MapConfig | None = None,
    ) -> ObjectMap:
        """Read a map that :meth:`save` wrote, to ask it or to continue it. A new session may begin at any time.

        Args:
            folder: of the map.
            model: the model that the map was made with.
            labels, text, config: as of the constructor.

        Raises:
            InputError: no map, a damaged one, or one of another model.
        """
        objects, facts = read_map(Path(folder))
        new = cls(model, labels, text, config)
        new._require_space(facts.get("model"), facts.get("width"), str(folder))
        for one in objects:
            one.motion.rest(one.motion.place)  # what moved then is somewhere else now
            one.moves = 0.0
            new._store.add(one)
        counts = [facts.get(name, 0) for name in ("next_id", "frames")]
        if any(type(count) is not int for count in counts):
            raise InputError("holds counts that are none", source=folder, fix="make the map again")
        new._store.next_id, new.frames = max(new._store.next_id, counts[0]), counts[1]
        return new

    def _require_space(self, name: object, width: object, source: str) -> None:
        mine = self.model.teacher
        if name != mine.name or width != mine.width:
            raise InputError(
                f"is of {name}, {width} wide; the model is of {mine.name}, {mine.width} wide",
                source=source,
                field="model",
                fix="use the model that the map was made with, or make the map again",
            )

    def _instances(
        self,
        objects: Sequence[MapObject],
        names: Sequence[str],
        scores: NDArray[np.float32],
        embeddings: NDArray[np.float32],
        vocabulary: tuple[str, ...],
        points: bool,
    ) -> Instances3D:
        # Faster than an array of ten thousand arrays.
        boxes = np.concatenate([np.zeros(0), *(one.box for one in objects)]).reshape(-1, 7)
        nothing = np.zeros(0, np.int64)
        clouds = [one.points() for one in objects] if points else []
        ends = np.cumsum([0, *map(len, clouds)]).tolist()
        ranges = tuple(np.arange(begin, end) for begin, end in pairwise(ends))
        return Instances3D(
            indices=ranges if points else (nothing,) * len(objects),
            boxes=boxes,
            rotations=upright_rotations(boxes),
            labels=tuple(names),
            scores=scores.astype(np.float32),
            embeddings=embeddings,
            points=np.concatenate([np.zeros((0, 3)), *clouds]) if points else None,
            frame_id="map",
            timestamp=max((one.last_seen for one in objects), default=None),
            model=self.model.teacher.name,
            vocabulary=vocabulary,
            track_ids=np.array([one.id for one in objects], np.int64),
        )

    def _update(self, step: Step) -> MapUpdate:
        """What the frame did, with names."""
        seen, known = step.seen, self._store.objects
        numbers = [i for i, one in sorted(step.owner.items()) if one.id in known]
        objects = [step.owner[i] for i in numbers]
        names, vectors = self._labels
        best, scores = self._naming.best(objects, names, vectors, None)
        boxes = np.array([one.box for one in objects]).reshape(-1, 7)
        width = self.model.teacher.width
        confirmed = {id for id in step.changed if id in known and known[id].state == "confirmed"}
        return MapUpdate(
            indices=tuple(seen.indices[i] for i in numbers),
            boxes=boxes,
            visible_boxes=box_rows(seen.boxes[i] for i in numbers),
            rotations=upright_rotations(boxes),
            labels=tuple(best),
            scores=scores,
            embeddings=mean_embeddings(objects, width),
            objectness=seen.objectness[numbers],
            points=step.world,
            colors=step.frame.colors,
            frame_id=step.frame.id,
            timestamp=step.frame.timestamp,
            model=self.model.teacher.name,
            vocabulary=names,
            track_ids=np.array([one.id for one in objects], np.int64),
            new=tuple(step.new),
            changed=tuple(sorted(confirmed)),
            lost=tuple(step.lost),
        )


def upright_rotations(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3) box axes to world axes of (N, 7) upright boxes."""
    c, s = np.cos(boxes[:, 6]), np.sin(boxes[:, 6])
    rotations = np.zeros((len(boxes), 3, 3))
    rotations[:, 0, 0], rotations[:, 0, 1], rotations[:, 1, 0], rotations[:, 1, 1] = c, -s, s, c
    rotations[:, 2, 2] = 1
    return rotations
