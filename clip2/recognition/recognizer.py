"""Name the objects of a scan: set the scan once, then ask for any words cheaply."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clip2.labels import UNKNOWN
from clip2.recognition.boxes import fit_upright_boxes
from clip2.recognition.instances import Instances3D
from clip2.recognition.proposals import Kind, propose_objects
from clip2.recognition.proposals.lidar import seen_from
from clip2.teacher.text_source import words_asked
from data_prep.detect import Detections2D
from data_prep.errors import InputError
from data_prep.geometry import OrientedBox
from data_prep.geometry.local_origin import local_origin
from data_prep.scans import Frame, open_scan

if TYPE_CHECKING:
    from clip2.model import Clip2Model
    from clip2.teacher.text_source import TextSource

Unfamiliar = Literal["keep", "name", "drop"]
Scannable = Frame | str | Path | tuple[NDArray, NDArray | None]
# Two boxes of a detector, or of two cameras, that share more of their points than this are one object.
_SAME_OBJECT = 0.5
# Two boxes of one image that overlap more (IoU) are one object seen double, whatever they are called.
_SAME_BOX = 0.8


class Recognizer:
    """Objects with names, in three lines::

        model = clip2.load("RUN")
        scan = clip2.Recognizer(model).set_scan("room.ply")
        result = scan.query(["chair", "table"])

    Args:
        model: what :func:`clip2.load` returns.
        text: where word vectors come from (a TextBank or a Teacher); None: the model's own words.

    Raises:
        InputError: no words anywhere, or words of another CLIP model than the one this model was trained against.

    Attributes:
        seconds: how long the steps of the last ``set_scan`` took: ``propose``, ``boxes``, ``encode``.
    """

    def __init__(self, model: Clip2Model, text: TextSource | None = None) -> None:
        self._model, self._text = model, model.text_source(text)
        self._frame: Frame | None = None
        self.seconds: dict[str, float] = {}

    def set_scan(
        self,
        scan: Scannable,
        detections: Sequence[Detections2D] | None = None,
        proposals: Kind = "auto",
    ) -> Recognizer:
        """Find the objects of a scan and embed them: the expensive part, done once.

        Args:
            scan: a Frame; a cloud file; or (points (N, 3) meters z-up, colors (N, 3) uint8 or None).
            detections: one per view of the frame; objects are then lifted from them, not searched in the cloud.
            proposals: how objects are searched: ``lidar``, ``room``, or ``auto`` by the scan's extent.

        Raises:
            InputError: an empty or broken scan, or detections that do not fit its views. The scan set before stays.
        """
        frame = _as_frame(scan)
        started = time.perf_counter()
        world = frame.world_points()
        if detections is None:
            objects = propose_objects(world, proposals, _viewpoint(frame, world))
        else:
            objects = _lift(frame, detections)
        clouds = [world.take(index, axis=0) for index in objects]
        # One single place is no shape: nothing could be said of it.
        shaped = [i for i, cloud in enumerate(clouds) if (cloud != cloud[0]).any()]
        objects, clouds = [objects[i] for i in shaped], [clouds[i] for i in shaped]
        proposed = time.perf_counter()
        boxes = fit_upright_boxes(clouds)
        fitted = time.perf_counter()
        embeddings = np.zeros((0, self._model.teacher.width), dtype=np.float32)
        familiar = np.zeros(0, dtype=bool)
        if objects:
            colors = None if frame.colors is None else [frame.colors[index] for index in objects]
            embeddings, features = self._model.describe(clouds, colors)
            familiar = self._model.are_familiar(features)
        # All at once, so that a scan that fails leaves the one before it whole.
        self._frame, self._objects, self._boxes = frame, objects, boxes
        self._shared_world = weakref.ref(world)
        self._embeddings, self._familiar = embeddings, familiar
        self.seconds = {
            "propose": proposed - started,
            "boxes": fitted - proposed,
            "encode": time.perf_counter() - fitted,
        }
        return self

    def query(
        self,
        labels: str | Iterable[str] | None = None,
        threshold: float = 0.0,
        background: str | Iterable[str] = (),
        unknown: Unfamiliar = "keep",
    ) -> Instances3D:
        """Give each object the best of ``labels``. Cheap: call it as often as you like.

        Args:
            labels: words, or one string of words separated by commas; None: all that the words' source lists and
                ``background`` does not.
            threshold: objects whose best word is less probable are left out.
            background: further words that compete but are not wanted (``"wall, floor, tree"``): objects that
                they describe better are left out.
            unknown: what becomes of objects unlike all that the model was trained on: ``keep`` them as ``unknown``
                with a score of 0, ``name`` them all the same, or ``drop`` them. A model without statistics of its
                training objects has none.

        Returns:
            The objects, scores highest first. A score is the probability among all words given, labels and background,
            at the temperature the model learned. Of ``unknown`` objects no word is claimed: they come last, and any
            threshold above 0 leaves them out.

        Raises:
            InputError: no scan set; no labels, one twice, or one without a vector; a threshold outside 0..1;
                another ``unknown``.
        """
        if self._frame is None:
            raise InputError("no scan is set", field="scan", fix="call set_scan first")
        if not 0 <= threshold <= 1:
            raise InputError(f"is {threshold}", field="threshold", fix="give a probability, 0 to 1")
        if unknown not in get_args(Unfamiliar):
            raise InputError(f"is {unknown!r}", field="unknown", fix=f"use {', '.join(get_args(Unfamiliar))}")
        wanted, vectors = self.check(labels, background)
        scale = float(self._model.log_text_scale.detach().exp())
        scores = _softmax(scale * self._embeddings @ vectors.T)
        best = scores.argmax(axis=1)
        score = scores[np.arange(len(scores)), best].astype(np.float32)
        strange = np.zeros(len(best), bool) if unknown == "name" else ~self._familiar
        score[strange] = 0
        keep = (best < len(wanted)) & (score >= threshold)
        if unknown == "drop":
            keep &= ~strange
        kept = np.flatnonzero(keep)
        kept = kept[np.argsort(-score[kept], kind="stable")]
        boxes = [self._boxes[i] for i in kept]
        return Instances3D(
            indices=tuple(self._objects[i] for i in kept),
            boxes=np.array([[*box.center, *box.size, box.yaw] for box in boxes]).reshape(-1, 7),
            rotations=np.array([box.rotation for box in boxes]).reshape(-1, 3, 3),
            labels=tuple(UNKNOWN if strange[i] else wanted[best[i]] for i in kept),
            scores=score[kept],
            embeddings=self._embeddings[kept],
            points=self._world(self._frame),
            colors=self._frame.colors,
            frame_id=self._frame.id,
            timestamp=self._frame.timestamp,
            model=self._model.teacher.name,
            vocabulary=wanted,
        )

    def check(
        self, labels: str | Iterable[str] | None = None, background: str | Iterable[str] = ()
    ) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Refuse words that :meth:`query` would refuse; needs no scan.

        Returns:
            The labels, and the vectors (K, D) of labels and background words, in this order.

        Raises:
            InputError: no labels, a word twice, or one without a vector.
        """
        return words_asked(self._text, labels, background)

    def _world(self, frame: Frame) -> NDArray[np.float64]:
        """The scan in the world, one array for all results that live at a time.

        Held by them alone: in float64 it is larger than all the rest of the scan, and quickly made again.
        """
        world = self._shared_world()
        if world is None:
            world = frame.world_points()
            self._shared_world = weakref.ref(world)
        return world

    @property
    def boxes(self) -> tuple[OrientedBox, ...]:
        """Boxes of all objects found by ``set_scan``, in world axes."""
        return () if self._frame is None else tuple(self._boxes)


def _as_frame(scan: Scannable) -> Frame:
    if isinstance(scan, Frame):
        return scan
    if isinstance(scan, str | Path):
        return open_scan("cloud", scan)[0]
    points, colors = scan
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"has shape {points.shape}", field="points", fix="give (N, 3)")
    offset = local_origin(points)
    T_world_points = np.eye(4)
    T_world_points[:3, 3] = offset
    return Frame.build("scan", points - offset, colors=colors, T_world_points=T_world_points)


def _viewpoint(frame: Frame, world: NDArray) -> NDArray | None:
    """(3,) where the sensor was in the world; None where the cloud is not one sweep of it."""
    place = frame.T_world_points[:3, 3]
    # With images a frame comes from a sensor. A cloud from a file, or fused, has its origin anywhere.
    return place if frame.views or seen_from(world, place) else None


def _lift(frame: Frame, detections: Sequence[Detections2D]) -> list[NDArray[np.int64]]:
    from data_prep.lift import create_lifter

    if len(detections) != len(frame.views):
        raise InputError(
            f"given for {len(detections)} images, the frame has {len(frame.views)}",
            source=f"frame {frame.id}",
            field="detections",
            fix="give one Detections2D per view",
        )
    # Doubles would compete for the points of their one object and get half of it each.
    detections = [_without_doubles(found) for found in detections]
    lifted = create_lifter("auto").lift(frame, detections).objects
    scores = [float(detections[o.view].scores[o.detection]) for o in lifted]
    kept: list[NDArray[np.int64]] = []
    for i in np.argsort([-score for score in scores], kind="stable"):
        index = lifted[i].indices
        if all(_point_iou(index, other) <= _SAME_OBJECT for other in kept):
            kept.append(index)
    return kept


def _without_doubles(found: Detections2D) -> Detections2D:
    kept: list[int] = []
    for i in np.argsort(-found.scores, kind="stable").tolist():
        if not kept or _box_iou(found.boxes[i], found.boxes[kept]).max() <= _SAME_BOX:
            kept.append(i)
    return found[np.array(sorted(kept), dtype=np.int64)]


def _box_iou(box: NDArray, others: NDArray) -> NDArray:
    overlap = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = overlap.clip(0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return shared / (areas - shared)


def _point_iou(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)


def _softmax(logits: NDArray) -> NDArray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True)) if logits.size else logits
    return shifted / shifted.sum(axis=1, keepdims=True) if logits.size else logits
