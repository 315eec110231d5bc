"""Finding the frames of an RGB-D folder by their names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


class RgbdFiles(NamedTuple):
    """The three files of one frame; the color file may be absent, then reading says so."""

    color: Path
    depth: Path
    pose: Path


def find_seven_scenes(root: Path) -> dict[str, RgbdFiles]:
    """``frame-000000.depth.png`` and its like, in ``root`` or in ``root/seq-*``, by frame id; empty if none."""
    entries = {}
    for depth in sorted(root.glob("frame-*.depth.png")) or sorted(root.glob("seq-*/frame-*.depth.png")):
        stem = depth.name.removesuffix(".depth.png")
        colors = [depth.with_name(f"{stem}.color{suffix}") for suffix in _IMAGE_SUFFIXES]
        color = next(filter(Path.exists, colors), colors[0])
        id = stem if depth.parent == root else f"{depth.parent.name}_{stem}"
        entries[id] = RgbdFiles(color, depth, depth.with_name(f"{stem}.pose.txt"))
    return entries


def find_generic(root: Path) -> dict[str, RgbdFiles]:
    """``depth/STEM.png`` with ``color/STEM.*`` and ``pose/STEM.txt``, by stem; empty if none."""
    colors = {p.stem: p for p in sorted((root / "color").glob("*")) if p.suffix.lower() in _IMAGE_SUFFIXES}
    depths = sorted((root / "depth").glob("*.png"), key=_natural)
    return {
        path.stem: RgbdFiles(
            colors.get(path.stem, root / "color" / f"{path.stem}.jpg"),
            path,
            root / "pose" / f"{path.stem}.txt",
        )
        for path in depths
    }


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """2 before 10: exports number frames without leading zeros."""
    parts = re.findall(r"\d+|\D+", path.stem)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts], path.stem
