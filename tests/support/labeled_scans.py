"""A tiny labeled scan in true ``layout`` format, and files of objects that another tool might have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CAR, PERSON = (4.0, 2.0, 1.5), (0.6, 0.6, 1.8)
# label, x, y, size, track
OBJECTS = (("car", 10.0, 0.0, CAR, 1), ("car", 20.0, 5.0, CAR, 2), ("person", 12.0, -4.0, PERSON, 3))
CAMERA = {
    "K": [[500, 0, 319.5], [0, 500, 239.5], [0, 0, 1]],
    "width": 640,
    "height": 480,
    "T_points_cam": [[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0.8], [0, 0, 0, 1]],
}
IDS = ("a", "b")


def box(label: str, x: float, y: float, size: tuple[float, ...], **more: Any) -> dict[str, Any]:
    """An object on the ground."""
    return {"label": label, "center": [x, y, size[2] / 2], "size": list(size), "yaw": 0.0, **more}


def put_labeled_scan(folder: Path, tracks: bool = True, labeled: bool = True, moved: float = 1.0) -> Path:
    """Two frames of two cars and a person, 60 points in each; from frame to frame all move ``moved`` meters along x."""
    for name in ("frames", "points", "images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    about = {"format": "clip2-scan", "version": 1, "units": "m", "up": "z", "cameras": {"front": CAMERA}}
    (folder / "scan.json").write_text(json.dumps(about))
    for number, id in enumerate(IDS):
        random = np.random.default_rng(number)
        clouds = [
            random.uniform(-0.49, 0.49, (60, 3)) * size + [x + moved * number, y, size[2] / 2]
            for _, x, y, size, _ in OBJECTS
        ]
        clouds.append(random.uniform([5, -8, -0.2], [30, 8, -0.1], (400, 3)))
        np.savez(folder / f"points/{id}.npz", points=np.concatenate(clouds).astype(np.float32))
        Image.new("RGB", (640, 480), "gray").save(folder / f"images/{id}.jpg")
        rows = [
            box(label, x + moved * number, y, size, attributes={"track_id": track} if tracks else {})
            for label, x, y, size, track in OBJECTS
        ]
        frame = {
            "points": f"points/{id}.npz",
            "T_world_points": np.eye(4).tolist(),
            "timestamp": 0.1 * number,
            "views": [{"image": f"images/{id}.jpg", "camera": "front"}],
            **({"annotations": rows} if labeled else {}),
        }
        (folder / f"frames/{id}.json").write_text(json.dumps(frame))
    return folder


def objects_as_labeled(moved: float = 1.0, points: bool = True) -> dict[str, list[dict[str, Any]]]:
    """What a perfect tool finds: frame → objects."""
    return {
        id: [
            box(
                label, x + moved * number, y, size, score=0.9 - 0.1 * row, track_id=10 + track,
                **({"indices": list(range(60 * row, 60 * row + 60))} if points else {}),
            )
            for row, (label, x, y, size, track) in enumerate(OBJECTS)
        ]
        for number, id in enumerate(IDS)
    }  # fmt: skip


def put_objects(file: Path, frames: dict[str, list[dict[str, Any]]], **more: Any) -> Path:
    """A file of objects."""
    document = {"format": "clip2-objects", "version": 1, "axes": "world", "frames": frames, **more}
    file.write_text(json.dumps(document))
    return file
