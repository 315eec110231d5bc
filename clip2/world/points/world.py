"""Mines the embedded world into triplets, by the functions that ``clip2 prep`` calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.detect import Coverage, Detections2D
from data_prep.errors import BadDatasetError
from data_prep.lift import create_lifter
from data_prep.scans import Scan
from data_prep.storage.files import write_atomically
from data_prep.triplets.manifest import Manifest
from data_prep.triplets.mining import Progress, mine
from data_prep.world import ProceduralScan, Setting, list_categories


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
        setting: which.
        frames: how many.
        seed: of everything.
        frames_per_world: a new room or street begins after this many.
        detector: the flaws of the simulated detector.
        assemblies: nameless things in every room or street.
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
    words: Mapping[str, Sequence[str]] | None = None,
    objects_per_shard: int = 1000,
) -> Manifest:
    """Triplets of a scan, with the boxes of its simulated detector; called again after a kill, it continues.

    Args:
        scan: the frames.
        folder: receives the triplets; what was detected and how is written beside it, see :func:`detections_file`.
        on_frame: called after each frame.
        words, objects_per_shard: as for :func:`data_prep.triplets.mine`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    return mine(
        scan,
        WatchedDetector(scan, detections_file(folder)),
        create_lifter("auto"),
        folder,
        words=words,
        objects_per_shard=objects_per_shard,
        options={"scan": _scan_options(scan)},
        on_frame=on_frame,
    )


def detections_file(folder: Path) -> Path:
    """Where :func:`mine_world` states which detector it listened to. Every box follows from what is in it."""
    return folder.with_name(f"{folder.name}.detector.json")


class WatchedDetector:
    """A scan's simulated detector, asked frame by frame; a :class:`data_prep.triplets.mining.DetectionSource`.

    The boxes of a frame need its rendered truth. Asked while the frame is at hand they cost nothing; written to a file
    first, as a real detector's are, they cost a second rendering of everything: mining rooms took 1.6 times as long,
    streets 1.7 times. They are the same boxes.

    Args:
        scan: the frames.
        path: receives the statement.
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
        statement = json.dumps({"setting": scan.setting, **_scan_options(scan)}, indent=2) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != statement:
            write_atomically(path, lambda scratch: scratch.write_text(statement, encoding="utf-8"))

    def for_image(self, name: str, width: int, height: int) -> Detections2D:
        """The detections of the view called ``name``."""
        frame, view = self._places[name]
        return self._scan.detections(frame)[view]

    def check(self, scan: Scan) -> Coverage:
        """Every image of the scan is known, and no other scan is."""
        if scan is not self._scan:
            raise BadDatasetError("is the detector of another scan", source=self.path)
        return Coverage(matched=len(self._places), not_in_scan=(), not_in_file=())


def _scan_options(scan: ProceduralScan) -> dict[str, Any]:
    """What ``open_scan`` needs beside the setting to make the same frames again."""
    return {
        "frames": scan.frames,
        "worlds": scan.worlds,
        "seed": scan.seed,
        "detector": scan.detector,
        "assemblies": scan.assemblies,
    }
