"""Mining: scans and 2D detections become triplets."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from data_prep.associate.associator import Associator, Similarity
from data_prep.associate.observation import Observation
from data_prep.associate.thin import thin_frames
from data_prep.errors import BadDatasetError
from data_prep.lift.lifter import Lifter, create_lifter
from data_prep.scale import Engine, InProcess
from data_prep.scans import Scan
from data_prep.storage.files import file_sha256
from data_prep.storage.store import open_store
from data_prep.triplets.captions import Captions
from data_prep.triplets.config import MiningConfig
from data_prep.triplets.folder import WHOLE, Part, join_parts, unfinished_parts
from data_prep.triplets.frame_miner import DetectionSource, FrameMiner, FrameRef, MinedFrame
from data_prep.triplets.manifest import Manifest
from data_prep.triplets.members import PackedTriplet
from data_prep.triplets.triplet import Triplet
from data_prep.triplets.writer import TripletWriter

_log = logging.getLogger(__name__)

AddFrame = Callable[["TripletWriter", "MinedFrame", "FramePlace"], tuple[int, int]]


@dataclass(frozen=True)
class Progress:
    """State of a run: frames done and to do, those of earlier runs included; objects, rejections, bad frames."""

    frames: int
    frames_total: int
    objects: int
    rejected: int
    bad_frames: int


def mine(
    scan: Scan,
    detections: DetectionSource,
    out: str | Path,
    config: MiningConfig | None = None,
    *,
    frames: Sequence[int] | None = None,
    captions: Captions | None = None,
    scan_options: Mapping[str, Any] | None = None,
    root: str | Path | None = None,
    engine: Engine | None = None,
    part: Part = WHOLE,
    lifter: Lifter[Any] | None = None,
    similarity: Similarity | None = None,
    on_frame: Callable[[Progress], None] = lambda progress: None,
    on_thin: Callable[[int, int], None] = lambda done, total: None,
) -> Manifest:
    """Turn a scan into a folder of triplets; called again after a kill, it continues.

    Every detection ends as one triplet, as one view of one, or as one rejection with a reason. A frame that cannot be
    read is counted, listed and skipped.

    Args:
        scan: the frames.
        detections: 2D boxes and labels for each view, found by the view's name.
        out: folder or URL; see :class:`TripletWriter`.
        config: settings; default: all defaults. The manifest keeps them.
        frames: positions in the scan, in the order to take them; default: all.
        captions: further texts of single crops.
        scan_options: what ``open_scan`` was given beside source and root, so that reports can open the scan again.
        root: the scan's folder for the manifest, if ``scan.root`` is a copy of it.
        engine: where frames are mined, from :func:`data_prep.scale.create_engine`; default: in this process. The
            folder's bytes are the same with any engine and any number of workers.
        part: mine only this piece of ``frames``, into the same folder as the other pieces; the last to finish completes
            the set (:func:`data_prep.triplets.folder.join_parts`).
        lifter: a lifter object instead of that of ``config.lift``.
        similarity: compares two observations for the association in place of their colors, 0..1.
        on_frame: called after each frame.
        on_thin: called with frames compared and in all, if ``config.thin`` is enabled.

    Raises:
        BadDatasetError: no image of the scan has detections; two frames share an id; the folder cannot be used
            or was begun with other settings.
        InputError: another process writes there; the scan cannot be sent to a worker; workers keep dying at a frame.

    >>> import tempfile
    >>> from data_prep import CocoDetections, open_scan
    >>> scan, folder = open_scan("procedural", "room", frames=1), tempfile.TemporaryDirectory()
    >>> scan.save_detections(f"{folder.name}/detections.json")
    >>> found = CocoDetections.load(f"{folder.name}/detections.json")
    >>> mine(scan, found, f"{folder.name}/triplets").totals["objects"]
    21
    """
    config = config or MiningConfig()
    lifter = lifter or create_lifter(config.lift)
    all_ids = scan.frame_ids()
    chosen = list(range(len(all_ids))) if frames is None else list(frames)
    coverage = detections.check(scan)
    if coverage.not_in_scan or coverage.not_in_file:
        _log.warning("clip2: warning: %s: %s", detections.path, coverage)
    thinned: dict[str, int] = {}
    if config.thin.enabled:
        chosen, thinned = thin_frames(scan, chosen, config.thin, on_thin)
    ids = [all_ids[position] for position in chosen]
    require_distinct(ids, scan)
    mine_here = [FrameRef(position, all_ids[position]) for position in part.of_frames(chosen)]
    associate = None
    if config.associate.enabled:
        associate = Associator(config.associate, max_points=config.max_points, similarity=similarity)
    writer = TripletWriter(
        out,
        source=scan.source,
        root=scan.root if root is None else root,
        options={
            "scan": dict(scan_options or {}),
            "mining": config.model_dump(mode="json"),
            "lifter": lifter.settings,
            "detections": {
                "file": detections.path.name,
                "sha256": file_sha256(detections.path),
                "min_score": detections.min_score,
            },
            "frames": frames_record(ids),
            **({"part": asdict(part)} if part else {}),
            **({"captions_sha256": captions.sha256} if captions is not None else {}),
        },
        objects_per_shard=config.objects_per_shard,
        part=part,
        about_detections={
            "skipped_detections": dict(sorted(detections.skipped.items())),
            "categories": list(detections.categories.values()),
            "is_ground_truth": detections.is_ground_truth,
            "thinned_frames": dict(sorted(thinned.items())),
        },
    )
    miner = FrameMiner(scan, detections, lifter, config, captions)
    add = _add_objects if associate is None else partial(_add_associated, associate, lifter.settings)
    write_frames(writer, miner, mine_here, engine, on_frame, add)
    if part:
        store = open_store(out)
        if not unfinished_parts(store, part.of):
            join_parts(store, part.of)
    return writer.manifest


def write_frames(
    writer: TripletWriter,
    miner: Callable[[FrameRef], MinedFrame],
    frames: Sequence[FrameRef],
    engine: Engine | None = None,
    on_frame: Callable[[Progress], None] = lambda progress: None,
    add: AddFrame | None = None,
) -> None:
    """Mine the frames that are not in a set yet, and finish it.

    Args:
        writer: of the set.
        miner: mines one frame, perhaps in another process.
        frames: all of the set, in order.
        engine, on_frame: as of :func:`mine`.
        add: writes the objects of a frame and returns how many there were, and how many rejections; default: each as it is.
    """
    to_do = frames[writer.frames_done :]
    with writer, closing((engine or InProcess()).map(miner, to_do)) as mined:
        totals = Counter(writer.manifest.totals)
        for done, (at, found) in enumerate(zip(to_do, mined, strict=True), start=writer.frames_done + 1):
            for note in found.notes:
                _log.warning("clip2: warning: frame %s: %s", at.id, note)
            place = FramePlace(at.id, done, last=done == len(frames))
            objects, rejected = (add or _add_objects)(writer, found, place)
            totals.update(objects=objects, rejected=rejected, bad_frames=found.error is not None)
            on_frame(Progress(done, len(frames), totals["objects"], totals["rejected"], totals["bad_frames"]))


@dataclass(frozen=True)
class FramePlace:
    """A frame's id and its place in the set."""

    id: str
    number: int  # counted from 1
    last: bool


def _add_objects(writer: TripletWriter, found: MinedFrame, frame: FramePlace) -> tuple[int, int]:
    """Write the objects of a frame; returns the numbers of objects and rejections."""
    for packed in found.objects:
        assert isinstance(packed, PackedTriplet)
        writer.add(packed)
    writer.end_frame(frame.id, rejections=found.rejections, error=found.error)
    return len(found.objects), sum(found.rejections.values())


def _add_associated(
    associate: Associator,
    lifter: Mapping[str, Any],
    writer: TripletWriter,
    found: MinedFrame,
    frame: FramePlace,
) -> tuple[int, int]:
    """Write the objects that a frame completes, and all open ones where a shard ends; returns the numbers of both."""
    objects = associate.push([one for one in found.objects if isinstance(one, Observation)])
    for observation in objects:
        writer.add(Triplet.of(observation, lifter))
    # By the frame's number alone, so that a continued run cuts where an uninterrupted one does.
    ends = frame.number % associate.config.segment == 0
    if ends or writer.full or frame.last:
        rest = associate.close()
        for observation in rest:
            writer.add(Triplet.of(observation, lifter))
        objects += rest
    rejections = Counter(found.rejections)
    rejections.update(associate.take_left_out())
    merged = sum(len(one.association.places) - 1 for one in objects if one.association is not None)
    writer.end_frame(frame.id, rejections=rejections, error=found.error, merged=merged, checkpoint=ends)
    return len(objects), sum(rejections.values())


def frames_record(ids: Sequence[str]) -> dict[str, Any]:
    """What the manifest keeps of the chosen frames; a set goes on with the same frames only."""
    return {"count": len(ids), "ids_sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest()}


def require_distinct(ids: Sequence[str], scan: Scan) -> None:
    """Reject a scan in which two frames share an id."""
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise BadDatasetError(
            f"{repeated[0]!r} comes twice", source=scan.root, field="frame ids", fix="name every frame once"
        )
