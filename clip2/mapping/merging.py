"""Merging of objects of the map that turned out to be the same."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from clip2.mapping.map_object import MapObject
from clip2.mapping.store import ObjectStore
from data_prep.associate.affinity import overlap

_SAME_PLACE, _SAME_LOOK = 0.5, 0.7


def unify(store: ObjectStore, max_points: int) -> int:
    """Join confirmed and lost objects that cover the same surface and look alike; the older id stays.

    Args:
        store: of the map.
        max_points: of a cloud.

    Returns:
        Number of objects that were joined to another.
    """
    kept = [one for one in store.objects.values() if one.state != "tentative"]
    if len(kept) < 2:
        return 0
    centers = np.array([one.box[:3] for one in kept])
    radii = np.array([one.diagonal / 2 for one in kept])
    near = cKDTree(centers).query_ball_point(centers, radii)
    gone: set[int] = set()
    for a, others in enumerate(near):
        for b in sorted(others):
            if a == b or a in gone or b in gone or not _same(kept[a], kept[b]):
                continue
            older, younger = (a, b) if kept[a].id < kept[b].id else (b, a)
            kept[older].absorb(kept[younger], max_points)
            gone.add(younger)
    for number in gone:
        store.drop(kept[number].id)
    return len(gone)


def _same(a: MapObject, b: MapObject) -> bool:
    small, large = sorted((a.diagonal, b.diagonal))
    if small < 0.4 * large:
        return False
    one, other = a.mean_embedding, b.mean_embedding
    if one is not None and other is not None and float(one @ other) < _SAME_LOOK:
        return False
    reach = max(a.voxel, b.voxel, 0.05 * small)
    return overlap(a.sample(), b.sample(), 2 * reach) >= _SAME_PLACE
