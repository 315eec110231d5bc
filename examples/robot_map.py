"""A robot's map: frames come in one by one, named objects with stable ids come out.

python examples/robot_map.py                                          # a synthetic room
python examples/robot_map.py --source rgbd --root my_scan --labels "chair,table"
"""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

import clip2
from data_prep import open_scan


def main(
    source: str = "procedural",
    root: str = "room",
    labels: str = "chair,table,sofa,lamp,mug,box",
    model: str = "mini-points",
    frames: int = 20,
    out: Path = Path("robot_map"),
) -> int:
    """Map and print what changes.

    Args:
        source: reader of the scan.
        root: folder of the scan.
        labels: to choose from.
        model: as for clip2.load.
        frames: at most this many.
        out: folder for the map.
    """
    scan = open_scan(source, root, **({"frames": 200} if source == "procedural" else {}))
    object_map = clip2.ObjectMap(clip2.load(model), labels)
    for number in range(min(frames, len(scan))):
        update = object_map.update(scan[number])
        if update.new or update.lost:
            print(f"frame {number}: new {list(update.new)}, lost {list(update.lost)}")
    found = object_map.query(labels)  # or any other labels, at any moment
    assert found.track_ids is not None
    for one, track in zip(found, found.track_ids, strict=True):
        x, y, z = one.boxes[0, :3]
        print(f"object {track}: {one.labels[0]} {one.scores[0]:.2f} at ({x:.2f}, {y:.2f}, {z:.2f})")
    print(f"{len(found)} objects; see {object_map.save(out)}")
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main, description=__doc__))
