"""Proposals in fused rooms of the synthetic world, with the thing that each shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.model import Clip2Model
from clip2.recognition import propose_objects
from clip2.recognition.unlabeled import NAMELESS, pack_proposal
from clip2.teacher import Teacher
from clip2.world.demo.scenes import make_scene
from clip2.world.outliers import Cloud
from clip2.world.points.data import read_triplets, scan_options
from data_prep.scale.blas import single_threaded_blas
from data_prep.triplets import Triplet, open_triplets
from data_prep.triplets.frame_miner import FrameRef, MinedFrame
from data_prep.triplets.manifest import Manifest
from data_prep.triplets.mining import Progress, frames_record, write_frames
from data_prep.triplets.provenance import Provenance
from data_prep.triplets.writer import TripletWriter
from data_prep.world import ProceduralScan, list_categories

# A proposal shows a thing if it is most of the proposal and enough of the thing, and none if it is less than these; what is
# between teaches nothing.
_PURE, _ENOUGH = 0.6, 0.4
_MIXED, _PIECE = 0.4, 0.25
_FOUND = 0.5  # IoU from which a proposal has found its thing
_MAX_POINTS = 4096


def mine_found(
    scan: ProceduralScan, folder: Path, on_room: Callable[[Progress], None] = lambda progress: None
) -> Manifest:
    """Fuse each room's frames and write its proposals as triplets without crops; a call after a kill continues.

    A proposal that shows one thing is called so; "object" is one that shows none: a piece, several things, a wall. Boxes of
    a 2D detector, from which all other triplets come, do not know these: what ``recognize`` finds in a fused room looks
    different.

    Args:
        scan: several rooms, each with as many frames.
        folder: receives the triplets.
        on_room: called after each room.
    """
    ids, each = scan.frame_ids(), scan.frames // scan.worlds
    rooms = [FrameRef(first, ids[first]) for first in range(0, len(ids), each)]
    options = {"scan": scan_options(scan), "frames": frames_record(ids)}
    writer = TripletWriter(folder, source=scan.source, root=scan.root, options=options)
    write_frames(writer, _RoomMiner(scan), rooms, on_frame=on_room)
    return writer.manifest


def pieces(folder: Path) -> list[Cloud]:
    """Clouds (n, 3) meters, and colors, of the proposals that show no thing."""
    return [(one.points, one.colors) for one in read_triplets(open_triplets(folder)) if not _named(one)]


def measure_found(model: Clip2Model, teacher: Teacher, folder: Path) -> dict[str, float]:
    """How a model names the things of the rooms that a proposal found, among the names of rooms.

    Args:
        model: with its detector of unknown objects.
        teacher: embeds the names.
        folder: made by :func:`mine_found`.

    Returns:
        Shares of the found things whose proposal is named right, and named right and not called unknown, and of the
        proposals that show no thing and are not called unknown; and the numbers of both.
    """
    names = list_categories("room")
    triplets = list(read_triplets(open_triplets(folder)))
    best: dict[tuple[str, int], tuple[float, int]] = {}
    for row, one in enumerate(triplets):
        iou, thing = one.provenance.attributes["iou"], one.provenance.attributes["track_id"]
        if _named(one) and iou >= _FOUND:
            place = (one.provenance.frame, thing)
            best[place] = max(best.get(place, (0.0, 0)), (iou, row))
    things = [row for _, row in best.values()]
    others = [row for row, one in enumerate(triplets) if not _named(one)]
    described = model.describe([one.points for one in triplets], [one.colors for one in triplets])
    vectors = model.teacher.require(teacher).embed_labels(names)
    given = (np.asarray(described.embeddings) @ vectors.T).argmax(axis=1)
    right = np.array([names[given[row]] == triplets[row].texts[0] for row in things])
    known = model.is_in_distribution(described.features)
    return {
        "found_named": float(right.mean()),
        "found_answered": float((right & known[things]).mean()),
        "pieces_answered": float(known[others].mean()),
        "found_things": len(things),
        "pieces": len(others),
    }


@dataclass(frozen=True)
class _RoomMiner:
    scan: ProceduralScan

    @single_threaded_blas()
    def __call__(self, at: FrameRef) -> MinedFrame:
        each = self.scan.frames // self.scan.worlds
        scene = make_scene(self.scan, numbers=range(at.position, at.position + each))
        points, colors, owners = scene.frame.world_points(), scene.frame.colors, scene.instances
        sizes = dict(zip(*(part.tolist() for part in np.unique(owners, return_counts=True)), strict=True))
        objects = propose_objects(points, "room", None, colors).objects()
        packed = []
        for number, (index, score) in enumerate(zip(objects.indices, objects.objectness, strict=True)):
            thing, share, of_thing = _most(owners[index], sizes)
            name = scene.names.get(thing, "")
            if name in list_categories() and share >= _PURE and of_thing >= _ENOUGH:
                label = name
            elif not name or share < _MIXED or of_thing < _PIECE:
                label = NAMELESS
            else:
                continue
            shared = share * len(index)
            source = Provenance(
                source=self.scan.source,
                frame=at.id,
                label=label,
                score=round(float(score), 4),
                attributes={
                    "track_id": thing if label != NAMELESS else -1,
                    "iou": round(shared / (len(index) + sizes[thing] - shared), 4),
                },
            )
            its = None if colors is None else colors[index]
            packed.append(pack_proposal(source, number, points[index], its, _MAX_POINTS))
        return MinedFrame(tuple(packed))


def _most(owners: NDArray[np.int64], sizes: dict[int, int]) -> tuple[int, float, float]:
    """The thing that most points are of, its share of these, and the share of its points that these are."""
    things, counts = np.unique(owners, return_counts=True)
    thing, count = int(things[counts.argmax()]), int(counts.max())
    return thing, count / len(owners), count / sizes[thing]


def _named(one: Triplet) -> bool:
    return one.texts != (NAMELESS,)
