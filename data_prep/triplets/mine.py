"""Scans + 2D detections → triplets."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from data_prep.detect import Coverage, Detections2D
from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.files import file_sha256
from data_prep.lift import Lifter
from data_prep.scans import Frame, Scan
from data_prep.triplets.cut import cut_triplet, normalise_label
from data_prep.triplets.manifest import Manifest
from data_prep.triplets.triplet import Triplet
from data_prep.triplets.writer import TripletWriter

OUTSIDE = "crop-outside-image"
LEFT_OUT = "word-left-out"
_log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class Progress:
    """Where a run is: frames done and to do, counting those of earlier runs; objects, refused, bad frames."""

    frames: int
    frames_total: int
    objects: int
    refused: int
    bad_frames: int


def mine(
    scan: Scan,
    detections: DetectionSource,
    lifter: Lifter,
    out: str | Path,
    *,
    frames: Sequence[int] | None = None,
    words: Mapping[str, Sequence[str]] | None = None,
    margin: float = 0.1,
    max_points: int = 16384,
    objects_per_shard: int = 1000,
    options: Mapping[str, Any] | None = None,
    on_frame: Callable[[Progress], None] = lambda progress: None,
) -> Manifest:
    """Turn a scan into a folder of triplets; called again after being killed, it continues.

    Every detection ends as one triplet or as one refusal with a reason. A frame that cannot be read is counted,
    listed and skipped.

    Args:
        scan: the frames.
        detections: 2D boxes and words for each view, found by the view's name.
        lifter: cuts the points of each detection out of the frame.
        out: the folder; see :class:`TripletWriter`.
        frames: positions in the scan, in the order to take them; default: all.
        words: for a label of the detector, the texts that its objects get instead of it, best first; none: its
            objects are left out (they still hide what is behind them). Case, ``_`` and blanks do not matter.
        margin: context around the box in the crop, as a share of its width and height, on every side.
        max_points: larger clouds keep a random choice of this many points, the same in every run.
        objects_per_shard: a shard is closed at the end of the frame in which it holds this many.
        options: what else decides the result. ``options["scan"]`` holds what ``open_scan`` was given beside
            source and root, so that reports can open the scan again.
        on_frame: called after each frame.

    Raises:
        BadDatasetError: no image of the scan has detections; two frames share an id; the folder cannot be used
            or was begun with other options.
        InputError: a setting is impossible.
    """
    if margin < 0:
        raise InputError(f"is {margin}", field="margin", fix="give a share of the box, 0 or more")
    if max_points < 1:
        raise InputError(f"is {max_points}", field="max_points", fix="give at least 1")
    all_ids = scan.frame_ids()
    chosen = list(range(len(all_ids))) if frames is None else list(frames)
    ids = [all_ids[position] for position in chosen]
    _require_distinct(ids, scan)
    coverage = detections.check(scan)
    if coverage.not_in_scan or coverage.not_in_file:
        _log.warning("clip2: warning: %s: %s", detections.path, coverage)
    texts_of = {normalise_label(label): tuple(texts) for label, texts in (words or {}).items()}
    lifter_config = {"name": lifter.name, **asdict(lifter.gates), **asdict(lifter.config)}
    writer = TripletWriter(
        out,
        source=scan.source,
        root=scan.root,
        options={
            **(options or {}),
            "detections": {
                "file": detections.path.name,
                "sha256": file_sha256(detections.path),
                "min_score": detections.min_score,
            },
            "frames": {"count": len(ids), "ids_sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest()},
            "lifter": lifter_config,
            "margin": margin,
            "max_points": max_points,
            "words": {label: list(texts) for label, texts in sorted(texts_of.items())},
        },
        objects_per_shard=objects_per_shard,
        about_detections={
            "skipped_detections": dict(sorted(detections.skipped.items())),
            "categories": list(detections.categories.values()),
            "is_ground_truth": detections.is_ground_truth,
        },
    )
    with writer:
        totals = Counter(writer.manifest.totals)
        for done in range(writer.frames_done, len(chosen)):
            triplets, refusals, error = _mine_frame(
                scan, chosen[done], detections, lifter, texts_of, margin, max_points, lifter_config
            )
            for triplet in triplets:
                writer.add(triplet)
            writer.end_frame(ids[done], refusals=refusals, error=error)
            totals.update(objects=len(triplets), refused=sum(refusals.values()), bad_frames=error is not None)
            on_frame(
                Progress(done + 1, len(chosen), totals["objects"], totals["refused"], totals["bad_frames"])
            )
    return writer.manifest


def _mine_frame(
    scan: Scan,
    position: int,
    detections: DetectionSource,
    lifter: Lifter,
    texts_of: Mapping[str, tuple[str, ...]],
    margin: float,
    max_points: int,
    lifter_config: Mapping[str, Any],
) -> tuple[list[Triplet], Counter[str], str | None]:
    try:
        frame = scan[position]
        found = [
            detections.for_image(view.name, view.camera.width, view.camera.height) for view in frame.views
        ]
        lifted = lifter.lift(frame, found)
        if not lifted.objects:
            _require_points_in_sight(frame, found)
    except BadFrameError as error:
        return [], Counter(), str(error)
    refusals = Counter(refusal.reason for refusal in lifted.refusals)
    triplets = []
    for cloud in lifted.objects:
        label = normalise_label(found[cloud.view].labels[cloud.detection])
        texts = texts_of.get(label, (label,))
        if not texts:
            refusals[LEFT_OUT] += 1
            continue
        triplet = cut_triplet(
            frame,
            cloud,
            found[cloud.view],
            texts=texts,
            source=scan.source,
            margin=margin,
            max_points=max_points,
            lifter=lifter_config,
        )
        if triplet is None:
            refusals[OUTSIDE] += 1
        else:
            triplets.append(triplet)
    return triplets, refusals, None


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


def _require_distinct(ids: Sequence[str], scan: Scan) -> None:
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise BadDatasetError(
            f"{repeated[0]!r} comes twice", source=scan.root, field="frame ids", fix="name every frame once"
        )
