"""Open-vocabulary recognition: set a scan once, then query it with any labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from clip2.labels import BACKGROUND, UNKNOWN, normalize_label, parse_labels
from clip2.recognition.found_objects import FoundObjects
from clip2.recognition.instances import Instances3D
from clip2.recognition.proposals import Kind
from clip2.recognition.proposals.masks import MaskedFrames
from clip2.recognition.scannable import Scannable, as_frame
from clip2.score_calibration import object_scores
from clip2.size_prior import size_plausibility
from clip2.teacher.text_source import labels_and_vectors
from data_prep.check.orientation import up_note
from data_prep.detect.detections import Detections2D
from data_prep.errors import InputError
from data_prep.geometry import OrientedBox
from data_prep.geometry.box_iou import box_rows
from data_prep.scale.blas import single_threaded_blas
from data_prep.scans import Frame

if TYPE_CHECKING:
    from clip2.object_model import Description, ObjectModel
    from clip2.teacher.text_source import TextSource

Unknown = Literal["keep", "name", "drop"]


class Recognizer:
    """Finds the objects of a scan and names them from any list of labels.

    Args:
        model: as :func:`clip2.load` returns it.
        text: source of label vectors (a TextBank or a Teacher); None: the model's own labels.
        describe: stands in for ``model.describe``, for example to encode the objects of several scans together.

    Raises:
        InputError: no labels anywhere, or label vectors of another CLIP model than the model was trained against.

    Attributes:
        seconds: time of each step of the last ``set_scan``: ``propose``, ``boxes``, ``encode``.
        notes: oddities of the last scan that did not stop ``set_scan``, one line each.

    >>> import clip2, numpy as np
    >>> grid = np.stack(np.meshgrid(*[np.arange(20)] * 3), axis=-1).reshape(-1, 3)
    >>> cube = 0.02 * grid[((grid == 0) | (grid == 19)).any(axis=1)]
    >>> scan = clip2.Recognizer(clip2.load("mini-points")).set_scan(np.concatenate([cube, cube + [1, 1, 0]]))
    >>> objects = scan.query(["chair", "box"], unknown="name")
    >>> len(objects), objects.boxes.shape, objects.vocabulary
    (2, (2, 7), ('chair', 'box'))
    """

    def __init__(
        self,
        model: ObjectModel,
        text: TextSource | None = None,
        describe: Callable[..., Description] | None = None,
    ) -> None:
        from clip2.object_model import ObjectModel

        if not isinstance(model, ObjectModel):
            raise InputError(
                f"is a {type(model).__name__}", field="model", fix="give what clip2.load returns"
            )
        self._model, self._text = model, model.text_source(text)
        self._describe = describe
        self._found: FoundObjects | None = None
        self._embeddings = self._features = np.zeros((0, 0), np.float32)
        self.seconds: dict[str, float] = {}
        self.notes: tuple[str, ...] = ()

    @single_threaded_blas()
    def set_scan(
        self,
        scan: Scannable,
        detections: Sequence[Detections2D] | None = None,
        proposals: Kind = "auto",
        masks: MaskedFrames | None = None,
    ) -> Recognizer:
        """Find the objects of a scan and embed them. This is the expensive part; it is done once.

        Args:
            scan: a Frame; a cloud file; points (N, 3) in meters, z-up; or these and their colors (N, 3) uint8.
            detections: one per view of the frame; objects are then lifted from them, not found in the cloud.
            proposals: how objects are found: ``lidar``, ``room``, or ``auto`` by the scan's extent.
            masks: frames of the scan, each with one ``Detections2D`` per view whose masks need no classes; objects are then
                found by masks and geometry together (:func:`propose_with_masks`). For one frame: ``[(frame, found)]``.

        Returns:
            The recognizer itself.

        Raises:
            InputError: an empty or broken scan, detections or masks that do not fit its views, or both at once. The
                previous scan stays.
        """
        if detections is not None and masks is not None:
            raise InputError("are given beside detections", field="masks", fix="give one of the two")
        frame = as_frame(scan)
        found, clouds = FoundObjects.find(frame, detections, proposals, masks)
        started = time.perf_counter()
        embeddings = np.zeros((0, self._model.teacher.width), dtype=np.float32)
        features = np.zeros((0, 0), dtype=np.float32)
        if clouds:
            colors = (
                None if frame.colors is None else [frame.colors[index] for index in found.objects.indices]
            )
            embeddings, features = (self._describe or self._model.describe)(clouds, colors)
        self._found, self._embeddings, self._features = found, embeddings, features
        # A Frame comes from a reader that was told the axes.
        doubts = () if isinstance(scan, Frame) else up_note(frame)
        turn = "If so, turn the points (a file: open_scan('cloud', file, up='y')[0])"
        self.notes = (*found.notes, *(f"{note}. {turn}" for note in doubts))
        if not clouds:
            world = found.world_points()
            size = " x ".join(f"{side:,.1f}" for side in np.ptp(world, axis=0))
            self.notes += (f"no object is found (points: {len(world):,}, extent: {size} m)",)
        self.seconds = {**found.seconds, "encode": time.perf_counter() - started}
        return self

    @single_threaded_blas()
    def query(
        self,
        labels: str | Iterable[str] | None = None,
        threshold: float = 0.0,
        background: str | Iterable[str] | None = None,
        unknown: Unknown = "keep",
        min_objectness: float = 0.0,
        max_objects: int | None = None,
    ) -> Instances3D:
        """Give each object the most probable label. This is cheap; call it as often as you like.

        Args:
            labels: to choose from, a list or one string with commas; None: all that the text source lists, except
                ``background``.
            threshold: objects whose best label is less probable are left out.
            background: further labels that compete but are not wanted (``"wall, floor, tree"``): objects that match
                one of them best are left out, and stated in the result's ``background``. None: those of
                :data:`clip2.labels.BACKGROUND` that the model was trained on and that ``labels`` lacks; ``()``: none.
            unknown: for objects unlike anything the model was trained on: ``keep`` them as ``unknown`` with score 0,
                ``name`` them like all others, or ``drop`` them. A model without statistics of its training objects
                has none.
            min_objectness: objects with a lower objectness, 0 to 1, are left out.
            max_objects: keep at most this many, those with the highest objectness; None: all.

        Returns:
            The objects, highest scores first. A score is how likely the points are an object of that label. Its parts are
            the probability among labels and background at the temperature that the model learned, times the plausibility
            of the object's size for the label; and the objectness. A model with a ``calibration`` maps them to the share
            of such names that were right in synthetic scenes; without one the score is their product. Objects labeled
            ``unknown`` get no probability: they come last, and any threshold above 0 leaves them out.

        Raises:
            InputError: no scan set; no labels, a repeated label, or one without a vector; a threshold or objectness
                outside 0..1; another value of ``unknown``; ``max_objects`` below 1.
        """
        found = self._require_scan()
        for name, value in (("threshold", threshold), ("min_objectness", min_objectness)):
            if not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
                raise InputError(f"is {value}", field=name, fix="give a probability, 0 to 1")
        if max_objects is not None and (not isinstance(max_objects, int | np.integer) or max_objects < 1):
            raise InputError(f"is {max_objects}", field="max_objects", fix="give 1 or more")
        if unknown not in get_args(Unknown):
            raise InputError(f"is {unknown!r}", field="unknown", fix=f"use {', '.join(get_args(Unknown))}")
        if background is None:
            background = trained_background(self._text, self._model.config.sizes, labels)
        others = parse_labels(background, source="background") if background else ()
        wanted, vectors = self.check(labels, others)
        offered = (*wanted, *others)
        best, likely = self._likeliest(offered, vectors)
        strange = np.zeros(len(best), bool) if unknown == "name" else ~self.is_in_distribution()
        likely[strange] = 0
        score = object_scores(likely, found.objects.objectness, self._model.config.calibration)
        stays = np.zeros(len(best), bool)
        enough = found.objects.objectness >= min_objectness
        stays[self.settle(np.where(enough, score, 0))] = True
        keep = stays & enough & (best < len(wanted)) & (score >= threshold)
        if unknown == "drop":
            keep &= ~strange
        kept = np.flatnonzero(keep)
        kept = kept[np.argsort(-found.objects.objectness[kept], kind="stable")][:max_objects]
        kept = kept[np.argsort(-score[kept], kind="stable")]
        labels_kept = tuple(UNKNOWN if strange[i] else wanted[best[i]] for i in kept)
        scenery = np.flatnonzero(stays & (best >= len(wanted)))
        background_points = found.background_points(scenery, [offered[best[i]] for i in scenery])
        return self._instances(kept, labels_kept, score[kept], likely[kept], wanted, background_points)

    def likeliest(
        self, labels: str | Iterable[str], background: str | Iterable[str] = ()
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The evidence behind scores: the best label of each object of :meth:`unnamed`, and its probability.

        Args:
            labels, background: as of :meth:`query`.

        Returns:
            best (N,) int64: position in labels, then background; likely (N,) float32: the label's probability times the
            plausibility of the object's size.

        Raises:
            InputError: no scan set, or labels as in :meth:`query`.
        """
        wanted, vectors = self.check(labels, background)
        others = parse_labels(background, source="background") if background else ()
        return self._likeliest((*wanted, *others), vectors)

    def _likeliest(
        self, offered: Sequence[str], vectors: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        found = self._require_scan()
        scores = softmax(self._model.logit_scale * self._embeddings @ vectors.T, axis=1)
        # A label that the size excludes loses its probability; the others do not win it.
        sizes = np.array([box.size for box in found.boxes]).reshape(-1, 3)
        scores *= size_plausibility(self._model.config.sizes, sizes, offered)
        best = scores.argmax(axis=1)
        return best, scores[np.arange(len(scores)), best].astype(np.float32)

    def unnamed(self) -> Instances3D:
        """All objects of the scan, each with an empty label and the score 0: those of :attr:`boxes`, then alternatives.

        Raises:
            InputError: no scan set.
        """
        found = self._require_scan()
        numbers, nothing = np.arange(len(found)), np.zeros(len(found), np.float32)
        background = found.background_points(numbers[:0], ())
        return self._instances(numbers, ("",) * len(found), nothing, nothing, (), background)

    def is_in_distribution(self, false_alarms: float | None = None) -> NDArray[np.bool_]:
        """(N,) bool, whether each object of :meth:`unnamed` resembles the training objects.

        Args:
            false_alarms: share of objects like the training objects that may be called ``unknown``, above 0 and below 1;
                None: as the model was calibrated.

        Raises:
            InputError: no scan set, or a share outside 0..1.
        """
        self._require_scan()
        features, detector = self._features, self._model.ood_detector
        if detector is None or len(features) == 0:
            return np.ones(len(features), dtype=bool)
        detector = detector if false_alarms is None else detector.with_quantile(1 - false_alarms)
        return detector.is_in_distribution(features)

    def settle(self, scores: NDArray[np.floating]) -> NDArray[np.int64]:
        """Numbers of the objects of :meth:`unnamed` that stay if each has this score: of alternatives, the best named.

        Raises:
            InputError: no scan set.
        """
        return self._require_scan().objects.settle(scores)

    def whole_boxes(self, labels: Sequence[str], likely: NDArray[np.float32]) -> list[OrientedBox]:
        """Boxes of all N whole objects, shaped by the labels that are likely right.

        Args:
            labels: N, in the order of :meth:`unnamed`.
            likely: (N,) probabilities of the labels.

        Raises:
            InputError: no scan set.
        """
        found = self._require_scan()
        return found.whole_boxes(np.arange(len(found)), labels, likely)

    def _require_scan(self) -> FoundObjects:
        if self._found is None:
            raise InputError("no scan is set", field="scan", fix="call set_scan first")
        return self._found

    def _instances(
        self,
        kept: NDArray[np.int64],
        labels: tuple[str, ...],
        scores: NDArray[np.float32],
        likely: NDArray[np.float32],
        vocabulary: tuple[str, ...],
        background: dict[str, NDArray[np.int64]],
    ) -> Instances3D:
        found = self._require_scan()
        points = found.world_points()  # held here, or the boxes would compute them once more
        boxes = found.whole_boxes(kept, labels, likely)
        return Instances3D(
            indices=tuple(found.objects.indices[i] for i in kept),
            boxes=box_rows(boxes),
            visible_boxes=box_rows(found.boxes[i] for i in kept),
            rotations=np.array([box.rotation for box in boxes]).reshape(-1, 3, 3),
            labels=labels,
            scores=scores,
            embeddings=self._embeddings[kept],
            objectness=found.objects.objectness[kept],
            background=background,
            points=points,
            colors=found.frame.colors,
            frame_id=found.frame.id,
            timestamp=found.frame.timestamp,
            model=self._model.teacher.name,
            vocabulary=vocabulary,
        )

    def check(
        self, labels: str | Iterable[str] | None = None, background: str | Iterable[str] = ()
    ) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Check labels before the work of :meth:`set_scan`; needs no scan.

        Returns:
            The labels, and the vectors (K, D) of labels and background, in this order.

        Raises:
            InputError: no labels, a repeated label, or one without a vector.
        """
        return labels_and_vectors(self._text, labels, background)

    @property
    def viewpoint(self) -> NDArray[np.float64] | None:
        """(3,) world position of the scan's one sensor; None for a fused cloud, or without a scan."""
        return None if self._found is None else self._found.viewpoint

    @property
    def boxes(self) -> tuple[OrientedBox, ...]:
        """Boxes of all objects found by ``set_scan``, without alternatives, in world axes."""
        return () if self._found is None else tuple(self._found.boxes[: self._found.distinct])


def trained_background(
    text: TextSource, trained_sizes: Mapping[str, object], labels: str | Iterable[str] | None
) -> tuple[str, ...]:
    """Background labels that a model was trained on, without those asked for.

    Args:
        text: source of label vectors; labels that a bank lacks are left out.
        trained_sizes: by label that the model was trained on.
        labels: asked for; None: all that ``text`` lists, and then no others compete.
    """
    if labels is None:
        return ()
    asked = {normalize_label(label) for label in parse_labels(labels)}
    trained = trained_sizes.keys() - asked
    listed = getattr(text, "names", None)
    if listed is not None:  # a bank; a text tower has a vector for everything
        trained &= {normalize_label(name) for name in listed}
    return tuple(label for label in BACKGROUND if label in trained)
