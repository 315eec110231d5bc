"""Mines the embedded world into triplets, by the functions that ``clip2 prep`` calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from data_prep.detect import CocoDetections
from data_prep.lift import create_lifter
from data_prep.scans.procedural import ProceduralScan
from data_prep.scans.procedural.registry import Setting
from data_prep.triplets.manifest import Manifest
from data_prep.triplets.mine import Progress, mine


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
    scan: ProceduralScan, folder: Path, on_frame: Callable[[Progress], None] = lambda progress: None
) -> Manifest:
    """Triplets of a scan, with the boxes of its simulated detector; called again after a kill, it continues.

    Args:
        scan: the frames.
        folder: receives the triplets; the boxes are written beside it as COCO JSON.
        on_frame: called after each frame.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    detections = detections_file(folder)
    if not detections.exists():
        scan.save_detections(detections)
    options = {
        "frames": scan.frames,
        "worlds": scan.worlds,
        "seed": scan.seed,
        "detector": scan.detector,
        "assemblies": scan.assemblies,
    }
    return mine(
        scan,
        CocoDetections.load(detections),
        create_lifter("auto"),
        folder,
        options={"scan": options},
        on_frame=on_frame,
    )


def detections_file(folder: Path) -> Path:
    """Where :func:`mine_world` writes the boxes of a folder."""
    return folder.with_name(f"{folder.name}.detections.json")
