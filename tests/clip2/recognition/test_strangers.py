"""Clouds that no word fits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from clip2.recognition.strangers import background_pieces, solids
from data_prep.scans.procedural import ProceduralScan


@pytest.mark.parametrize("setting", ["room", "street"])
def test_most_points_of_a_piece_lie_on_nothing(setting: str) -> None:
    scan = ProceduralScan(setting, frames=2, worlds=2, image_size=(240, 180), seed=4)
    points = np.concatenate([scan[i].world_points() for i in range(2)])
    owners = np.concatenate([scan.ground_truth(i).instances for i in range(2)])
    tree = cKDTree(points)
    pieces = list(background_pieces(scan))
    assert pieces
    for cloud, colors in pieces:
        distance, index = tree.query(cloud)
        assert distance.max() < 1e-6
        assert (owners[index] < 0).mean() > 0.5
        assert (colors is None) == (setting == "street")
        assert colors is None or (colors.dtype, colors.shape) == (np.uint8, cloud.shape)


def test_solids_come_in_any_size_and_every_other_has_colours() -> None:
    made = list(solids(8, seed=3))
    radii = [np.linalg.norm(points, axis=1).max() for points, _ in made]
    assert min(radii) >= 0.03 - 1e-9
    assert max(radii) <= 2 + 1e-9
    assert max(radii) > 3 * min(radii)
    assert [colors is None for _, colors in made] == [True, False] * 4
    assert all(colors.dtype == np.uint8 and colors.shape == points.shape for points, colors in made[1::2])
    again = list(solids(8, seed=3))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(made, again, strict=True))
    assert not np.array_equal(made[0][0], next(solids(1, seed=4))[0])
