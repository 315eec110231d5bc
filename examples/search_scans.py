"""Search: objects of several scans in one index, found by words.

python examples/search_scans.py kitchen.ply office.ply --query "something to sit on"
python examples/search_scans.py                                       # three synthetic rooms
"""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

import clip2
from clip2.search.page import write_hits
from data_prep import open_scan


def main(
    *scans: Path,
    query: str = "chair",
    model: str = "mini-points",
    rooms: int = 3,
    out: Path = Path("search_scans"),
) -> int:
    """Index, search and print.

    Args:
        scans: cloud files in meters, z up; none: synthetic rooms.
        query: what to look for.
        model: as for clip2.load.
        rooms: number of synthetic rooms.
        out: folder for the index and the page.
    """
    frames = {scan.stem: open_scan("cloud", scan)[0] for scan in scans}
    if not frames:
        frames = {
            f"room {seed}": open_scan("procedural", "room", frames=1, seed=seed)[0] for seed in range(rooms)
        }
    loaded = clip2.load(model)
    recognizer, index = clip2.Recognizer(loaded), clip2.Index(out / "index")
    for name, frame in frames.items():
        added = index.add(recognizer.set_scan(frame).query(unknown="name"), scan=name, frame=frame)
        print(f"{name}: {added} new objects")
    (vector,) = loaded.text_source().embed_labels([query])
    hits = index.search(vector, loaded.teacher.name, k=5)
    for hit in hits:
        print(f"{hit.similarity:.3f} {hit.object.label or 'unnamed':<12} in {hit.object.scan}")
    print(f"see {write_hits(out / 'hits.html', query, f'{len(index)} objects in {len(frames)} scans', hits)}")
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main, description=__doc__))
