"""Proposals of raw scans as nameless triplets, from which a small encoder learns what a larger one sees in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.found_objects import FoundObjects
from clip2.recognition.proposals import Kind
from data_prep.associate.observation import choose_points, observation_key
from data_prep.errors import BadFrameError
from data_prep.scale import Engine
from data_prep.scale.blas import single_threaded_blas
from data_prep.scans import Scan
from data_prep.triplets.frame_miner import FrameRef, MinedFrame
from data_prep.triplets.manifest import Manifest
from data_prep.triplets.members import PackedTriplet, pack_triplet
from data_prep.triplets.mining import Progress, frames_record, require_distinct, write_frames
from data_prep.triplets.provenance import Provenance
from data_prep.triplets.triplet import Triplet
from data_prep.triplets.writer import TripletWriter

NAMELESS = "object"  # among ``data.nameless`` of every training configuration


@dataclass(frozen=True)
class _ProposalMiner:
    """Finds the objects of a frame as ``recognize`` does and packs their points; it can be pickled if the scan can."""

    scan: Scan
    kind: Kind
    max_points: int

    @single_threaded_blas()
    def __call__(self, at: FrameRef) -> MinedFrame:
        try:
            frame = self.scan[at.position]
            _ = frame.points
        except BadFrameError as error:
            return MinedFrame(error=str(error))
        found, clouds = FoundObjects.find(frame, None, self.kind, None)
        packed = []
        for number, (index, cloud) in enumerate(zip(found.objects.indices, clouds, strict=True)):
            source = Provenance(
                source=self.scan.source,
                frame=frame.id,
                timestamp=frame.timestamp,
                label=NAMELESS,
                score=round(float(found.objects.objectness[number]), 4),
            )
            colors = None if frame.colors is None else frame.colors[index]
            packed.append(pack_proposal(source, number, cloud, colors, self.max_points))
        return MinedFrame(tuple(packed), notes=frame.notes)


def pack_proposal(
    source: Provenance,
    number: int,
    cloud: NDArray[np.floating],
    colors: NDArray[np.uint8] | None,
    max_points: int,
) -> PackedTriplet:
    """A proposal as a triplet without a crop.

    Args:
        source: where it was found, and its label.
        number: of the proposal in its frame.
        cloud, colors: (n, 3) meters in world axes, and (n, 3) or None.
        max_points: a larger one keeps a random choice of this many.
    """
    key = observation_key(source.source, source.frame, 0, number)
    kept = choose_points(len(cloud), max_points, key)
    center = cloud[kept].mean(axis=0)
    points = (cloud[kept] - center).astype(np.float32)
    source = replace(source, center=tuple(center.tolist()))
    return pack_triplet(
        Triplet(key, points, None if colors is None else colors[kept], None, (source.label,), source)
    )


def mine_proposals(
    scan: Scan,
    out: str | Path,
    kind: Kind = "auto",
    *,
    frames: Sequence[int] | None = None,
    max_points: int = 16384,
    objects_per_shard: int = 1000,
    scan_options: Mapping[str, Any] | None = None,
    root: str | Path | None = None,
    engine: Engine | None = None,
    on_frame: Callable[[Progress], None] = lambda progress: None,
) -> Manifest:
    """Write the objects that ``recognize`` would name in each frame as triplets without labels; after a kill it continues.

    They hold points and colors, the label "object" and no crop. No detector and no image is needed. Alternatives are
    among them, because ``recognize`` embeds those as well.

    Args:
        scan: the frames.
        out: folder or URL; see :class:`data_prep.triplets.TripletWriter`.
        kind: how objects are found, see :func:`clip2.recognition.propose_objects`.
        frames: positions in the scan; default: all.
        max_points: larger objects keep a random choice of this many, the same in every run.
        objects_per_shard: a shard is closed after the frame in which it reaches this many.
        scan_options, root, engine, on_frame: as of :func:`data_prep.triplets.mine`.

    Raises:
        BadDatasetError: two frames share an id; the folder cannot be used or was begun with other settings.
        InputError: another process writes there.

    >>> import tempfile
    >>> from data_prep import open_scan
    >>> scan = open_scan("procedural", "room", frames=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mine_proposals(scan, f"{folder}/triplets").totals["objects"] > 5
    True
    """
    ids = scan.frame_ids()
    chosen = range(len(ids)) if frames is None else frames
    names = [ids[position] for position in chosen]
    require_distinct(names, scan)
    options = {
        "scan": dict(scan_options or {}),
        "proposals": {"kind": kind, "max_points": max_points},
        "frames": frames_record(names),
    }
    writer = TripletWriter(
        out,
        source=scan.source,
        root=scan.root if root is None else root,
        options=options,
        objects_per_shard=objects_per_shard,
    )
    miner = _ProposalMiner(scan, kind, max_points)
    write_frames(writer, miner, [FrameRef(i, ids[i]) for i in chosen], engine, on_frame)
    return writer.manifest
