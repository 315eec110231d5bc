"""Scans + 2D detections → triplets."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from data_prep.errors import BadDatasetError, InputError
from data_prep.labels import normalize_label
from data_prep.lift import Lifter
from data_prep.scale import Engine, InProcess
from data_prep.scans import Scan
from data_prep.storage.files import file_sha256
from data_prep.storage.store import open_store
from data_prep.triplets.captions import Captions
from data_prep.triplets.frame_miner import DetectionSource, FrameMiner, FrameRef, MinedFrame
from data_prep.triplets.manifest import Manifest
from data_prep.triplets.packed import PackedTriplet
from data_prep.triplets.parts import WHOLE, Part, join_parts, unfinished_parts
from data_prep.triplets.triplet import Triplet
from data_prep.triplets.writer import TripletWriter

_log = logging.getLogger(__name__)


class ObjectMerger(Protocol):
    """Brings the detections of many frames together; :class:`data_prep.associate.Associator` is one.

    Attributes:
        settings: all that decides what it gives.
        segment: it is closed at every frame whose number is a multiple of this.
    """

    @property
    def settings(self) -> Mapping[str, Any]: ...

    @property
    def segment(self) -> int: ...

    def push(self, triplets: Sequence[Triplet]) -> list[Triplet]:
        """Take a frame's triplets in; give the objects that are complete."""
        ...

    def close(self) -> list[Triplet]:
        """Give all the rest, and forget everything."""
        ...

    def take_left_out(self) -> Mapping[str, int]:
        """Reason → detections left out since the last call."""
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
    root: str | Path | None = None,
    associate: ObjectMerger | None = None,
    thinned: Mapping[str, int] | None = None,
    captions: Captions | None = None,
    engine: Engine | None = None,
    part: Part = WHOLE,
    on_frame: Callable[[Progress], None] = lambda progress: None,
) -> Manifest:
    """Turn a scan into a folder of triplets; called again after being killed, it continues.

    Every detection ends as one triplet, as one look of one, or as one rejection with a reason. A frame that cannot be read is counted,
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
        root: what the manifest calls the scan's folder, where ``scan.root`` is a copy of it.
        associate: brings the detections of one object in many frames together into one triplet with several looks;
            None: every detection is an object of its own. Shards end where it is empty, so a killed run goes on as
            if it had not been: objects in sight at the end of a shard begin again in the next.
        thinned: frames left out of ``frames`` by :func:`data_prep.associate.thin_frames`, by reason; only told.
        captions: further texts of single crops.
        engine: where frames are mined, from :func:`data_prep.scale.create_engine`; default: in this process. The
            folder's bytes are the same with any engine and any number of workers.
        part: mine only this piece of ``frames``, into the same folder as the other pieces; the last to finish makes
            the set whole (:func:`data_prep.triplets.parts.join_parts`).
        on_frame: called after each frame.

    Raises:
        BadDatasetError: no image of the scan has detections; two frames share an id; the folder cannot be used
            or was begun with other options.
        InputError: a setting is impossible; another process writes there; the scan cannot be sent to a worker;
            workers keep dying at a frame.
    """
    if margin < 0:
        raise InputError(f"is {margin}", field="margin", fix="give a share of the box, 0 or more")
    if max_points < 1:
        raise InputError(f"is {max_points}", field="max_points", fix="give at least 1")
    all_ids = scan.frame_ids()
    chosen = list(range(len(all_ids))) if frames is None else list(frames)
    ids = [all_ids[position] for position in chosen]
    _require_distinct(ids, scan)
    mine_here = [FrameRef(position, all_ids[position]) for position in part.of_frames(chosen)]
    coverage = detections.check(scan)
    if coverage.not_in_scan or coverage.not_in_file:
        _log.warning("clip2: warning: %s: %s", detections.path, coverage)
    texts_of = {normalize_label(label): tuple(texts) for label, texts in (words or {}).items()}
    lifter_config = lifter.settings
    writer = TripletWriter(
        out,
        source=scan.source,
        root=scan.root if root is None else root,
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
            **({"part": asdict(part)} if part else {}),
            "words": {label: list(texts) for label, texts in sorted(texts_of.items())},
            **({"associate": dict(associate.settings)} if associate is not None else {}),
            **({"captions": captions.sha256} if captions is not None else {}),
        },
        objects_per_shard=objects_per_shard,
        part=part,
        about_detections={
            "skipped_detections": dict(sorted(detections.skipped.items())),
            "categories": list(detections.categories.values()),
            "is_ground_truth": detections.is_ground_truth,
            "thinned_frames": dict(sorted((thinned or {}).items())),
        },
    )
    miner = FrameMiner(
        scan,
        detections,
        lifter,
        texts_of,
        margin,
        max_points,
        lifter_config,
        packed=associate is None,
        captions=captions,
    )
    to_do = mine_here[writer.frames_done :]
    with writer, closing((engine or InProcess()).map(miner, to_do)) as mined:
        totals = Counter(writer.manifest.totals)
        for done, (at, found) in enumerate(zip(to_do, mined, strict=True), start=writer.frames_done + 1):
            rejections = Counter(found.rejections or {})
            if associate is None:
                objects: Sequence[Triplet | PackedTriplet] = found.triplets
                for triplet in objects:
                    writer.add(triplet)
                writer.end_frame(at.id, rejections=rejections, error=found.error)
            else:
                objects = _add_objects(writer, associate, found, rejections, at.id, done, len(mine_here))
            totals.update(
                objects=len(objects), refused=sum(rejections.values()), bad_frames=found.error is not None
            )
            on_frame(
                Progress(done, len(mine_here), totals["objects"], totals["refused"], totals["bad_frames"])
            )
    if part:
        store = open_store(out)
        if not unfinished_parts(store, part.of):
            join_parts(store, part.of)
    return writer.manifest


def _add_objects(
    writer: TripletWriter,
    associate: ObjectMerger,
    found: MinedFrame,
    rejections: Counter[str],
    frame: str,
    done: int,
    total: int,
) -> list[Triplet]:
    """Write the objects that a frame completes, and all of them wherever a shard ends."""
    objects = associate.push([triplet for triplet in found.triplets if isinstance(triplet, Triplet)])
    for triplet in objects:
        writer.add(triplet)
    # By the number of the frame alone, so that a run that goes on cuts where one that was never killed does.
    ends = done % associate.segment == 0
    if ends or writer.full or done == total:
        rest = associate.close()
        for triplet in rest:
            writer.add(triplet)
        objects = [*objects, *rest]
    rejections.update(associate.take_left_out())
    merged = sum(len(triplet.provenance.get("sightings", (1,))) - 1 for triplet in objects)
    writer.end_frame(frame, rejections=rejections, error=found.error, merged=merged, checkpoint=ends)
    return objects


def _require_distinct(ids: Sequence[str], scan: Scan) -> None:
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise BadDatasetError(
            f"{repeated[0]!r} comes twice", source=scan.root, field="frame ids", fix="name every frame once"
        )
