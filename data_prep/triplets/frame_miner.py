"""Mining of a single frame, independent of all others, in any process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from data_prep.associate.observation import Observation, observe
from data_prep.detect import Coverage, Detections2D
from data_prep.errors import BadFrameError
from data_prep.labels import normalize_label
from data_prep.lift import Lifter
from data_prep.scale.blas import single_threaded_blas
from data_prep.scans import Frame, Scan, View
from data_prep.triplets.captions import Captions
from data_prep.triplets.config import MiningConfig
from data_prep.triplets.members import PackedTriplet, pack_triplet
from data_prep.triplets.triplet import Triplet

OUTSIDE = "crop-outside-image"
LEFT_OUT = "label-left-out"


class DetectionSource(Protocol):
    """Source of the boxes of an image; :class:`data_prep.detect.CocoDetections` is one.

    Attributes:
        path: the file they come from; its contents are part of the set's configuration.
        min_score: detections below were left out already.
        is_ground_truth: they are labels, not a detector's.
        categories: id → label of the vocabulary.
        skipped: reason → number of entries of the file that could not be used.
    """

    path: Path
    min_score: float
    is_ground_truth: bool

    @property
    def categories(self) -> Mapping[Any, str]: ...

    @property
    def skipped(self) -> Mapping[str, int]: ...

    def for_image(self, name: str, width: int, height: int) -> Detections2D:
        """The detections of the view called ``name``."""
        ...

    def check(self, scan: Scan) -> Coverage:
        """Compare image names; raises :class:`BadDatasetError` where no image of the scan has detections."""
        ...


class FrameRef(NamedTuple):
    """A frame by its position in the scan and its id."""

    position: int
    id: str

    def __str__(self) -> str:
        return f"frame {self.id}"


@dataclass(frozen=True)
class MinedFrame:
    """Result of one frame.

    Attributes:
        objects: its objects: observations to be associated, or triplets packed for the shard.
        rejections: detections that gave no object, by reason.
        error: why the frame could not be used, if so.
        notes: oddities of the frame that did not stop it.
    """

    objects: tuple[Observation | PackedTriplet, ...] = ()
    rejections: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FrameMiner:
    """Reads a frame, lifts its detections and cuts out its objects. It can be pickled if the scan can.

    Attributes:
        scan, detections, config, captions: as in :func:`data_prep.triplets.mine`.
        lifter: cuts the points of each detection out of the frame.
    """

    scan: Scan
    detections: DetectionSource
    lifter: Lifter[Any]
    config: MiningConfig
    captions: Captions | None = None

    @single_threaded_blas()
    def __call__(self, at: FrameRef) -> MinedFrame:
        """Mine one frame. A frame that cannot be used is returned with its error, not raised."""
        try:
            frame = self.scan[at.position]
            found = [self._detections_of(view) for view in frame.views]
            lifted = self.lifter.lift(frame, found)
            if not lifted.objects:
                _require_points_in_sight(frame, found)
        except BadFrameError as error:
            return MinedFrame(error=str(error))
        rejections = Counter(rejection.reason for rejection in lifted.rejections)
        objects: list[Observation | PackedTriplet] = []
        for cloud in lifted.objects:
            detections = found[cloud.view]
            texts = self._texts(detections, cloud.detection, frame.views[cloud.view].name)
            if not texts:
                rejections[LEFT_OUT] += 1
                continue
            observation = observe(
                frame,
                cloud,
                detections,
                texts=texts,
                source=self.scan.source,
                margin=self.config.margin,
                max_points=self.config.max_points,
            )
            if observation is None:
                rejections[OUTSIDE] += 1
            elif self.config.associate.enabled:
                objects.append(observation)
            else:  # encoded here, so that this work is done in parallel, too
                objects.append(pack_triplet(Triplet.of(observation, self.lifter.settings)))
        return MinedFrame(tuple(objects), rejections, notes=frame.notes)

    def _detections_of(self, view: View) -> Detections2D:
        found = self.detections.for_image(view.name, view.camera.width, view.camera.height)
        certain = found.scores >= self.config.min_score
        return found if certain.all() else found[certain]

    def _texts(self, detections: Detections2D, row: int, image: str) -> tuple[str, ...]:
        """Labels of a detection, then captions of its crop, then the templates; none: its label is left out."""
        label = normalize_label(detections.labels[row])
        labels = self.config.labels.get(label, (label,))
        if not labels:
            return ()
        captions: tuple[str, ...] = ()
        if self.captions is not None:
            assert detections.ids is not None
            captions = self.captions.of(image, detections.boxes[row], int(detections.ids[row]))
        filled = (template.format(labels[0]) for template in self.config.caption_templates)
        return tuple(dict.fromkeys((*labels, *captions, *filled)))


def _require_points_in_sight(frame: Frame, found: Sequence[Detections2D]) -> None:
    """Reject a frame whose views with detections see no point at all: the calibration is wrong, not the detector."""
    searched = [view for view, detections in zip(frame.views, found, strict=True) if len(detections)]
    behind = True
    for view in searched:
        uv, depth = view.camera.project(frame.points)
        if view.camera.in_image(uv).any():
            return
        behind = behind and bool((depth <= 0).all())
    if searched:
        raise BadFrameError(
            f"puts all {len(frame.points):,} points {'behind the camera' if behind else 'outside the image'}",
            source=f"frame {frame.id}: {searched[0].name}",
            field="calibration",
            fix="check the direction and the axes of the transform from points to camera",
        )
