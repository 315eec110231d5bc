"""Scans + 2D detections → triplets."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_prep.errors import BadDatasetError, InputError
from data_prep.files import file_sha256
from data_prep.lift import Lifter
from data_prep.scale import Engine, InProcess
from data_prep.scans import Scan
from data_prep.triplets.cut import normalise_label
from data_prep.triplets.frame_miner import DetectionSource, FrameMiner, FrameRef
from data_prep.triplets.manifest import Manifest
from data_prep.triplets.parts import WHOLE, Part, join_parts, unfinished_parts
from data_prep.triplets.store import open_store
from data_prep.triplets.writer import TripletWriter

_log = logging.getLogger(__name__)


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
    engine: Engine | None = None,
    part: Part = WHOLE,
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
    mine_here = part.of_frames([FrameRef(*at) for at in zip(chosen, ids, strict=True)])
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
            **({"part": asdict(part)} if part else {}),
            "words": {label: list(texts) for label, texts in sorted(texts_of.items())},
        },
        objects_per_shard=objects_per_shard,
        part=part,
        about_detections={
            "skipped_detections": dict(sorted(detections.skipped.items())),
            "categories": list(detections.categories.values()),
            "is_ground_truth": detections.is_ground_truth,
        },
    )
    miner = FrameMiner(scan, detections, lifter, texts_of, margin, max_points, lifter_config)
    to_do = mine_here[writer.frames_done :]
    with writer, closing((engine or InProcess()).map(miner, to_do)) as mined:
        totals = Counter(writer.manifest.totals)
        for done, (at, found) in enumerate(zip(to_do, mined, strict=True), start=writer.frames_done + 1):
            for triplet in found.triplets:
                writer.add(triplet)
            writer.end_frame(at.id, refusals=found.refusals, error=found.error)
            totals.update(
                objects=len(found.triplets),
                refused=sum((found.refusals or {}).values()),
                bad_frames=found.error is not None,
            )
            on_frame(
                Progress(done, len(mine_here), totals["objects"], totals["refused"], totals["bad_frames"])
            )
    if part:
        store = open_store(out)
        if not unfinished_parts(store, part.of):
            join_parts(store, part.of)
    return writer.manifest


def _require_distinct(ids: Sequence[str], scan: Scan) -> None:
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise BadDatasetError(
            f"{repeated[0]!r} comes twice", source=scan.root, field="frame ids", fix="name every frame once"
        )
