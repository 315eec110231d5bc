"""Clouds that no word fits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from clip2.world.outliers import background_pieces, clutter, cut_pieces, of_wrong_size, solids
from data_prep.world import ProceduralScan, list_categories


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


@pytest.mark.parametrize("setting", ["room", "street"])
def test_no_cut_piece_is_most_of_one_thing_that_has_a_name(setting: str) -> None:
    scan = ProceduralScan(setting, frames=2, worlds=2, image_size=(240, 180), seed=4, assemblies=4)
    points = np.concatenate([scan[i].world_points() for i in range(2)])
    owners = np.concatenate([scan.ground_truth(i).instances for i in range(2)])
    names = {o.instance: o.label for i in range(2) for o in scan.world_objects(i)}
    tree = cKDTree(points)
    pieces = list(cut_pieces(scan, seed=1))
    assert len(pieces) > 20
    touched = 0
    for cloud, _ in pieces:
        owner = owners[tree.query(cloud)[1]]
        for thing in set(owner[owner >= 0].tolist()):
            touched += names[thing] in list_categories()
            mostly_it = (owner == thing).mean() > 0.5
            enough_of_it = (owner == thing).sum() > 0.4 * (owners == thing).sum()
            assert not (mostly_it and enough_of_it) or names[thing] not in list_categories()
    assert touched  # parts of things are among them


def test_of_wrong_size_is_far_from_the_right_one_in_both_directions() -> None:
    made = list(of_wrong_size([(np.eye(3), None)] * 200, seed=0))
    factors = np.array([points[0, 0] for points, _ in made])
    assert ((factors >= 2.5) | (factors <= 1 / 2.5)).all()
    assert 0.3 < (factors > 1).mean() < 0.7
    assert ((factors >= 1 / 50) & (factors <= 50)).all()


def test_clutter_stands_on_the_ground_and_is_seen_from_one_side_only() -> None:
    made = list(clutter(30, seed=2))
    assert len(made) == 30
    assert all(len(points) >= 12 and np.isfinite(points).all() for points in made)
    assert min(points[:, 2].min() for points in made) > -1.5
    assert max(np.ptp(points, axis=0).max() for points in made) < 25
    assert np.std([len(points) for points in made]) > 50
    again = list(clutter(30, seed=2))
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
