"""What mining does with one frame, alone: it can be done anywhere and in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from data_prep.detect import Coverage, Detections2D
from data_prep.errors import BadFrameError
from data_prep.labels import normalize_label
from data_prep.lift import Lifter
from data_prep.scans import Frame, Scan
from data_prep.triplets.captions import Captions
from data_prep.triplets.cut import cut_triplet
from data_prep.triplets.packed import PackedTriplet, pack_triplet
from data_prep.triplets.triplet import Triplet

OUTSIDE = "crop-outside-image"
LEFT_OUT = "word-left-out"


class DetectionSource(Protocol):
    """Where mining finds the boxes of an image; :class:`data_prep.detect.CocoDetections` is one.

    Attributes:
        path: the file they come from; its contents are part of the set's configuration.
        min_score: detections below are left out.
        is_ground_truth: they are labels, not a detector's.
        categories: id → word of the vocabulary.
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
    """What came of a frame.

    Attributes:
        triplets: its objects, packed for the shard or not, as :class:`FrameMiner` was told.
        rejections: detections that gave no object, by reason.
        error: why the frame could not be used, if so.
    """

    triplets: tuple[Triplet | PackedTriplet, ...] = ()
    rejections: Mapping[str, int] | None = None
    error: str | None = None


@dataclass(frozen=True)
class FrameMiner:
    """Reads a frame, lifts its detections, cuts its triplets. Can be sent to other processes if the scan can.

    Attributes:
        scan, detections, lifter: as in :func:`data_prep.triplets.mine`.
        texts_of: normalized label → texts.
        margin, max_points: as in :func:`data_prep.triplets.mine`.
        lifter_config: name and settings of the lifter, for the provenance.
        captions: further texts of single crops, or None.
        packed: give :class:`PackedTriplet`, so that encoding too is done where this runs.
    """

    scan: Scan
    detections: DetectionSource
    lifter: Lifter
    texts_of: Mapping[str, tuple[str, ...]]
    margin: float
    max_points: int
    lifter_config: Mapping[str, Any]
    packed: bool = True
    captions: Captions | None = None

    def __call__(self, at: FrameRef) -> MinedFrame:
        """Mine one frame; one that cannot be used is an answer, not an exception."""
        try:
            frame = self.scan[at.position]
            found = [
                self.detections.for_image(view.name, view.camera.width, view.camera.height)
                for view in frame.views
            ]
            lifted = self.lifter.lift(frame, found)
            if not lifted.objects:
                _require_points_in_sight(frame, found)
        except BadFrameError as error:
            return MinedFrame(error=str(error))
        rejections = Counter(rejection.reason for rejection in lifted.rejections)
        triplets: list[Triplet | PackedTriplet] = []
        for cloud in lifted.objects:
            label = normalize_label(found[cloud.view].labels[cloud.detection])
            texts = self.texts_of.get(label, (label,))
            if not texts:
                rejections[LEFT_OUT] += 1
                continue
            triplet = cut_triplet(
                frame,
                cloud,
                found[cloud.view],
                texts=self._with_captions(
                    texts, found[cloud.view], frame.views[cloud.view].name, cloud.detection
                ),
                source=self.scan.source,
                margin=self.margin,
                max_points=self.max_points,
                lifter=self.lifter_config,
            )
            if triplet is None:
                rejections[OUTSIDE] += 1
            else:
                triplets.append(pack_triplet(triplet) if self.packed else triplet)
        return MinedFrame(tuple(triplets), rejections)

    def _with_captions(
        self, texts: tuple[str, ...], detections: Detections2D, image: str, row: int
    ) -> tuple[str, ...]:
        if self.captions is None:
            return texts
        assert detections.ids is not None
        said = self.captions.of(image, detections.boxes[row], int(detections.ids[row]), texts[0])
        return tuple(dict.fromkeys((*texts, *said)))


def _require_points_in_sight(frame: Frame, found: Sequence[Detections2D]) -> None:
    """Refuse a frame of which no view with detections sees a single point: that is not the detector's fault."""
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
