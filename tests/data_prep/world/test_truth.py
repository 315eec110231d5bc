"""Occlusion and truncation of scenes small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.geometry import Camera
from data_prep.world.objects import ProceduralObject
from data_prep.world.palette import Paint
from data_prep.world.rooms import look_at
from data_prep.world.sensors import Lidar, take_photo, true_detections
from data_prep.world.solids import Parts
from data_prep.world.surface import Light, Surface
from data_prep.world.world import Footprints, World, WorldBuilder

# 100 px per radian, straight along +x from the origin at eye height 1 m.
CAMERA = Camera(np.array([[100.0, 0, 100], [0, 100, 100], [0, 0, 1]]), 201, 201)
POSE = look_at((0, 0, 1), (1, 0, 1))


def _plate(width: float, height: float) -> ProceduralObject:
    """A thin upright plate across x, standing on its origin."""
    p = Parts()
    p.box((0.001, width, height))
    surface = Surface.paint(p.solids, {"main": Paint((0.5, 0.5, 0.5))})
    return ProceduralObject("box", "gray", "medium", "paper", "plain", (), surface)


def _world(*plates: tuple[ProceduralObject, tuple[float, float, float]]) -> World:
    builder = WorldBuilder()
    for plate, at in plates:
        builder.place(plate, at, 0.0)
    return builder.build(Light(), ((0, 0, 0), (0, 0, 0)))


def test_half_hidden_by_a_nearer_plate() -> None:
    # 2 m wide at 10 m is 20 px; a plate 0.5 m wide at 5 m is 10 px and covers its left half (+y is left).
    world = _world((_plate(2, 2), (10, 0, 0)), (_plate(0.5, 2), (5, 0.25, 0)))
    owner = take_photo(world, CAMERA, POSE).owner
    found = true_detections(world.objects, owner, CAMERA, POSE)
    occluded = dict(zip(found.attributes["track_id"], found.attributes["occluded"], strict=True))
    assert occluded[0] == pytest.approx(0.5, abs=0.03)
    assert occluded[1] == 0
    assert (found.attributes["truncated"] == 0).all()
    box = found.boxes[list(found.attributes["track_id"]).index(0)]
    # Visible: pixels right of the middle, 100 - 0.5 .. 110.
    np.testing.assert_allclose(box, [100, 90, 111, 111], atol=1)


def test_a_quarter_outside_the_image() -> None:
    # At 10 m the image's left edge (u = -0.5) is 10.05 m to the left. 4 m wide, centered 9.05 m left: 1 m is outside.
    world = _world(
        (_plate(4, 2), (10, 9.05, 0)),
    )
    owner = take_photo(world, CAMERA, POSE).owner
    found = true_detections(world.objects, owner, CAMERA, POSE)
    assert found.attributes["truncated"][0] == pytest.approx(0.25, abs=0.02)
    assert found.attributes["occluded"][0] == 0


def test_what_is_hardly_seen_is_not_detected() -> None:
    world = _world(
        (_plate(0.2, 0.2), (10, 0, 1)),
    )  # 2 x 2 px
    assert len(true_detections(world.objects, take_photo(world, CAMERA, POSE).owner, CAMERA, POSE)) == 0


def test_depth_is_along_the_optical_axis() -> None:
    world = _world(
        (_plate(8, 8), (10, 0, -3)),
    )
    depth = take_photo(world, CAMERA, POSE).depth
    # A plane across the axis has one depth everywhere, unlike its distance.
    np.testing.assert_allclose(depth[depth > 0], 9.9995, atol=1e-3)


def test_lidar_measures_distance() -> None:
    world = _world(
        (_plate(8, 8), (10, 0, -3)),
    )
    points, intensity, instances = Lidar().sweep(world, np.eye(4), np.random.default_rng(0), noise=False)
    np.testing.assert_allclose(points[:, 0], 9.9995, atol=1e-3)
    assert (instances == 0).all()
    # Gray of 0.5 met head-on at 10 m: 0.5 / (1 + (10 / 40)²).
    assert intensity.max() == pytest.approx(0.5 / 1.0625, abs=0.01)


def test_lidar_noise_has_the_stated_size() -> None:
    world, lidar = (
        _world(
            (_plate(8, 8), (10, 0, -3)),
        ),
        Lidar(rings=64, low=-20, high=20),
    )
    exact, _, _ = lidar.sweep(world, np.eye(4), np.random.default_rng(0), noise=False)
    noisy, _, _ = lidar.sweep(world, np.eye(4), np.random.default_rng(0))
    assert len(noisy) / len(exact) == pytest.approx(1 - lidar.loss, abs=0.02)
    off = np.linalg.norm(noisy, axis=1) * (1 - 9.9995 / noisy[:, 0])
    assert off.std() == pytest.approx(lidar.sigma, rel=0.08)


def test_footprints_refuse_overlap_and_accept_touching_neighbors() -> None:
    floor = Footprints()
    assert floor.claim((0, 0), (2, 2), 0.0, gap=0.0)
    assert not floor.claim((1.9, 0), (2, 2), 0.0, gap=0.0)
    assert floor.claim((2.01, 0), (2, 2), 0.0, gap=0.0)
    # A square of 2 m turned by 45° reaches 1.41 m, so its corner meets a square at 2.4 m.
    assert not floor.claim((0, 2.4), (2, 2), np.pi / 4, gap=0.0)
    assert floor.claim((0, 2.42), (2, 2), np.pi / 4, gap=0.0)
    assert floor.distance((-2.0, 0.0)) == pytest.approx(1.0)
    assert floor.distance((0.5, 0.5)) == 0
