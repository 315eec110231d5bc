"""Triplets of the embedded world with what is true of them, so that parts can be kept out and answers checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from clip2.training import TrainingSet, load_training_set
from data_prep.triplets import TripletSet, open_triplets
from data_prep.world import ProceduralScan, list_categories
from data_prep.world.palette import COLORS

TRUTH_FILE = "truth.npz"
MIN_PIXELS, MAX_HIDDEN = 200, 0.5


@dataclass(frozen=True, eq=False)
class WorldSet:
    """n mined objects and the truth about each.

    Attributes:
        objects: points, pictures and words, as training reads them.
        category: (n,) row of ``list_categories()``; -1: a nameless thing, or a false box.
        color: (n,) row of ``COLORS``; -1 with ``category``.
        clear: (n,) bool, where the boxes are exact: at least half of the object shows, on at least ``MIN_PIXELS``
            pixels. Of a sliver of a chair behind a table nobody can say that it is one.
    """

    objects: TrainingSet
    category: NDArray[np.int64]
    color: NDArray[np.int64]
    clear: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.category)

    def select(self, rows: NDArray[np.int64]) -> WorldSet:
        """Some of the objects."""
        return WorldSet(self.objects.select(rows), self.category[rows], self.color[rows], self.clear[rows])


def load_world(folders: Sequence[Path], clip: str | None = None, max_points: int = 1024) -> WorldSet:
    """Read folders that :func:`~clip2.world.points.world.mine_world` filled and ``embed_triplets`` embedded.

    Args:
        folders: of triplets.
        clip: whose features, where a folder has those of several.
        max_points: points kept in memory per object.
    """
    objects = load_training_set(folders, clip, max_points)
    truths = [_truth(folder) for folder in folders]
    category, color = (np.concatenate([truth[i] for truth in truths]) for i in (0, 1))
    if len(objects) != len(category):
        raise ValueError(f"{len(category) - len(objects)} triplets were left out: {dict(objects.left_out)}")
    return WorldSet(objects, category, color, np.concatenate([_clear(folder) for folder in folders]))


def is_kept_out(category: str, color: str) -> bool:
    """Whether ``mini-points`` never sees this color on this category: one pair in ten.

    Not the pairs that ``mini`` never saw: what the teacher does not know the pupil cannot be asked.
    """
    return crc32(f"{category} in {color}".encode()) % 10 == 0


def kept_out_pairs() -> NDArray[np.bool_]:
    """(C, K) bool over categories and colors."""
    return np.array([[is_kept_out(name, color) for color in COLORS] for name in list_categories()])


def draw_unseen(draw: int, count: int = 4) -> list[str]:
    """The categories that draw number ``draw`` keeps out; no category is in two of the first draws."""
    order = np.random.default_rng(2303).permutation(len(list_categories()))
    return sorted(list_categories()[row] for row in order[draw * count : (draw + 1) * count])


def _truth(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Category and color of each triplet, made once from the scan's own objects."""
    path, triplets = folder / TRUTH_FILE, open_triplets(folder)
    if path.exists():
        with np.load(path) as file:
            if len(file["category"]) == len(triplets):
                return file["category"], file["color"]
    truth = _look_up(triplets)
    np.savez(path, category=truth[0], color=truth[1])
    return truth


def _clear(folder: Path) -> NDArray[np.bool_]:
    triplets, clear = open_triplets(folder), []
    for shard in triplets.shards:
        for triplet in triplets.iter_shard(shard.name, crops=False):
            about = triplet.provenance["attributes"]
            hidden = 1 - (1 - about.get("occluded", 1)) * (1 - about.get("truncated", 1))
            clear.append(hidden <= MAX_HIDDEN and about.get("pixels", 0) >= MIN_PIXELS)
    return np.array(clear, bool)


def _look_up(triplets: TripletSet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    manifest = triplets.manifest
    scan = ProceduralScan(manifest.root or "", **json.loads(json.dumps(manifest.options["scan"])))
    names, colors = list_categories(), list(COLORS)
    frame_of = {frame_id: index for index, frame_id in enumerate(scan.frame_ids())}
    category, color = [], []
    for shard in triplets.shards:
        for triplet in triplets.iter_shard(shard.name, crops=False):
            seen = {o.instance: o for o in scan.world_objects(frame_of[triplet.provenance["frame"]])}
            placed = seen.get(int(triplet.provenance["attributes"]["track_id"]))
            known = placed is not None and placed.label in names
            category.append(names.index(placed.label) if placed is not None and known else -1)
            color.append(colors.index(placed.color) if placed is not None and known else -1)
    return np.array(category, np.int64), np.array(color, np.int64)
