"""Your own scan: find its objects, name them from any labels, look at the page.

python examples/own_scan.py room.ply --labels "chair,table,lamp"
python examples/own_scan.py                                        # a synthetic room instead
"""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

import clip2
from data_prep import open_scan


def main(
    scan: tyro.conf.Positional[Path | None] = None,
    labels: str = "chair,table,sofa,lamp,mug,box",
    model: str = "mini-points",
    out: Path = Path("own_scan"),
) -> int:
    """Recognize and print.

    Args:
        scan: a cloud file in meters, z up; none: a synthetic room.
        labels: to choose from.
        model: as for clip2.load.
        out: folder for result.json, result.ply and result.html.
    """
    frame = open_scan("procedural", "room", frames=1)[0] if scan is None else open_scan("cloud", scan)[0]
    # Finding and encoding the objects is the expensive part. After it, any labels can be asked for.
    recognizer = clip2.Recognizer(clip2.load(model)).set_scan(frame)
    found = recognizer.query(labels, threshold=0.3)
    for one in found:
        x, y, z = one.boxes[0, :3]
        print(f"{one.labels[0]:<12} {one.scores[0]:.2f} at ({x:.2f}, {y:.2f}, {z:.2f})")
    found.to_json(out / "result.json")
    found.to_ply(out / "result.ply")
    print(
        f"{len(found)} of {len(recognizer.boxes)} objects; see {found.to_html(out / 'result.html', frame=frame)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main, description=__doc__))
