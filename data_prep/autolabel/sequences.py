"""Sequences: frames of a scan that were recorded one after another."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from data_prep.scans import Scan

_KITTI = re.compile(r"(\d{4})_(\d{6})")


def sequence_places(scan: Scan, positions: Sequence[int]) -> dict[str, tuple[str, int]]:
    """Frame id → name of its sequence and number in it; KITTI's own if the ids hold them.

    Otherwise a sequence is the frames of one world, or all frames if worlds have no name.

    Args:
        scan: the frames.
        positions: of those asked for.
    """
    ids = scan.frame_ids()
    own = {ids[position]: _KITTI.fullmatch(ids[position]) for position in positions}
    if all(own.values()):
        return {id: (found[1], int(found[2])) for id, found in own.items() if found}
    worlds: dict[str | None, str] = {}
    counts: dict[str, int] = defaultdict(int)
    places = {}
    for position, id in enumerate(ids):
        sequence = worlds.setdefault(scan.world_of(position), f"{len(worlds):04d}")
        if id in own:
            places[id] = (sequence, counts[sequence])
        counts[sequence] += 1
    return places
