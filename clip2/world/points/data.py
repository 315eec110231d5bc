"""Mined triplets of the synthetic world with their ground truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from clip2.training import TrainingSet, load_training_set
from clip2.training.dataset import combine
from data_prep.associate import AssociationConfig
from data_prep.detect import Coverage, Detections2D
from data_prep.errors import BadDatasetError
from data_prep.scans import Scan
from data_prep.storage.files import write_atomically
from data_prep.triplets import MiningConfig, Triplet, TripletSet, open_triplets
from data_prep.triplets.manifest import Manifest
from data_prep.triplets.mining import Progress, mine
from data_prep.world import ProceduralScan, Setting, list_categories
from data_prep.world.palette import COLORS
from data_prep.world.world import PlacedObject

TRUTH_FILE = "truth.npz"
MIN_PIXELS, MAX_HIDDEN = 200, 0.5


@dataclass(frozen=True, eq=False)
class WorldSet:
    """n mined objects with their ground truth.

    Attributes:
        objects: points, image and text vectors, as training reads them.
        category: (n,) row of ``list_categories()``; -1: an unlabeled object, or a false box.
        color: (n,) row of ``COLORS``; -1 with ``category``.
        clear: (n,) bool, at least half of the object is visible, on at least ``MIN_PIXELS`` pixels; False without exact
            boxes.
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
    """Read folders that :func:`~clip2.world.points.data.mine_world` filled and ``embed_triplets`` embedded.

    Args:
        folders: triplet folders.
        clip: CLIP model of the features, if a folder has several sets.
        max_points: points kept in memory per object.
    """
    sets = []
    for folder in folders:
        objects = load_training_set([folder], clip, max_points, views=True)
        category, color = _truth(folder)
        clear = np.array([is_clear(t.provenance.attributes) for t in read_triplets(open_triplets(folder))])
        rows = objects.triplets
        sets.append(WorldSet(objects, category[rows], color[rows], clear[rows]))
    return WorldSet(
        combine([one.objects for one in sets], [str(folder) for folder in folders]),
        *(np.concatenate([getattr(one, name) for one in sets]) for name in ("category", "color", "clear")),
    )


def is_kept_out(category: str, color: str) -> bool:
    """Whether training of ``mini-points`` leaves out this color on this category: one pair in ten.

    These differ from the pairs that ``mini`` never saw: the point encoder cannot learn what its teacher does not know.
    """
    return crc32(f"{category} in {color}".encode()) % 10 == 0


def kept_out_pairs() -> NDArray[np.bool_]:
    """(C, K) bool over categories and colors."""
    return np.array([[is_kept_out(name, color) for color in COLORS] for name in list_categories()])


def draw_unseen(draw: int, count: int = 4) -> list[str]:
    """The categories held out in draw number ``draw``; the first draws share no category."""
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


def is_clear(attributes: Mapping[str, Any]) -> bool:
    """Whether at least half of an object is visible, on at least ``MIN_PIXELS`` pixels; False without exact boxes."""
    shown = (1 - attributes.get("occluded", 1)) * (1 - attributes.get("truncated", 1))
    return bool(1 - shown <= MAX_HIDDEN and attributes.get("pixels", 0) >= MIN_PIXELS)


def read_triplets(triplets: TripletSet) -> Iterator[Triplet]:
    """All triplets in order, without their crops."""
    for shard in triplets.shards:
        yield from triplets.iter_shard(shard.name, crops=False)


def _look_up(triplets: TripletSet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    manifest = triplets.manifest
    scan = ProceduralScan(manifest.root or "", **json.loads(json.dumps(manifest.options["scan"])))
    names, colors = list_categories(), list(COLORS)
    frame_of = {frame_id: index for index, frame_id in enumerate(scan.frame_ids())}

    @lru_cache(maxsize=8)  # triplets of a frame follow each other
    def objects_of(frame_id: str) -> dict[int, PlacedObject]:
        return {o.instance: o for o in scan.world_objects(frame_of[frame_id])}

    category, color = [], []
    for triplet in read_triplets(triplets):
        placed = objects_of(triplet.provenance.frame).get(int(triplet.provenance.attributes["track_id"]))
        known = placed is not None and placed.label in names
        category.append(names.index(placed.label) if placed is not None and known else -1)
        color.append(colors.index(placed.color) if placed is not None and known else -1)
    return np.array(category, np.int64), np.array(color, np.int64)


def world_scan(
    setting: Setting,
    frames: int,
    seed: int,
    *,
    frames_per_world: int = 2,
    detector: str = "good",
    assemblies: int = 0,
) -> ProceduralScan:
    """A scan that changes its room or street every few frames.

    Args:
        setting: room or street.
        frames: number of frames.
        seed: random seed.
        frames_per_world: frames per room or street.
        detector: flaws of the simulated detector.
        assemblies: unlabeled objects per room or street.
    """
    worlds = max(1, frames // frames_per_world)
    return ProceduralScan(
        setting, frames=frames, worlds=worlds, seed=seed, detector=detector, assemblies=assemblies
    )


def mine_world(
    scan: ProceduralScan,
    folder: Path,
    on_frame: Callable[[Progress], None] = lambda progress: None,
    *,
    objects_per_shard: int = 1000,
    associate: bool = False,
) -> Manifest:
    """Mine triplets of a scan with the boxes of its simulated detector; a call after a kill continues.

    Args:
        scan: the frames.
        folder: receives the triplets; the detector is recorded beside it, see :func:`detections_file`.
        on_frame: called after each frame.
        objects_per_shard: as in :class:`data_prep.triplets.MiningConfig`.
        associate: merge what several frames of a room or street see of an object.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    merge = AssociationConfig(enabled=True, segment=scan.frames // scan.worlds) if associate else None
    return mine(
        scan,
        WatchedDetector(scan, detections_file(folder)),
        folder,
        MiningConfig(
            min_score=0.0,
            objects_per_shard=objects_per_shard,
            associate=merge or AssociationConfig(),
        ),
        scan_options=scan_options(scan),
        on_frame=on_frame,
    )


def detections_file(folder: Path) -> Path:
    """File in which :func:`mine_world` records the detector; its content determines every box."""
    return folder.with_name(f"{folder.name}.detector.json")


class WatchedDetector:
    """A scan's simulated detector, run frame by frame; a :class:`data_prep.triplets.mining.DetectionSource`.

    The boxes of a frame need its rendered ground truth, which is in memory during mining. Writing them to a file first
    would render everything twice (mining rooms took 1.6 times as long, streets 1.7 times).

    Args:
        scan: the frames.
        path: receives the record of the detector.
    """

    min_score = 0.0
    skipped: Mapping[str, int] = {}

    def __init__(self, scan: ProceduralScan, path: Path) -> None:
        self._scan, self.path = scan, path
        self.is_ground_truth = scan.detector == "perfect"
        self.categories = dict(enumerate(list_categories(scan.setting)))  # type: ignore[arg-type]
        names = scan.image_names()
        views = len(names) // len(scan)
        self._places = {name: divmod(number, views) for number, name in enumerate(names)}
        statement = json.dumps({"setting": scan.setting, **scan_options(scan)}, indent=2) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != statement:
            write_atomically(path, lambda scratch: scratch.write_text(statement, encoding="utf-8"))

    def for_image(self, name: str, width: int, height: int) -> Detections2D:
        """The detections of the view called ``name``."""
        frame, view = self._places[name]
        return self._scan.detections(frame)[view]

    def check(self, scan: Scan) -> Coverage:
        """Accept this scan and reject any other."""
        if scan is not self._scan:
            raise BadDatasetError("is the detector of another scan", source=self.path)
        return Coverage(matched=len(self._places), not_in_scan=(), not_in_file=())


def scan_options(scan: ProceduralScan) -> dict[str, Any]:
    """Options of ``open_scan`` that reproduce the same frames, without the setting."""
    return {
        "frames": scan.frames,
        "worlds": scan.worlds,
        "seed": scan.seed,
        "detector": scan.detector,
        "assemblies": scan.assemblies,
    }
