"""Cities: what they hold, what is background, and how the LiDARs of data sets see them."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep import open_scan
from data_prep.errors import InputError
from data_prep.world import LIDARS, get_category, list_categories, make_object
from data_prep.world.surface import Light
from data_prep.world.world import WorldBuilder


@pytest.fixture(scope="module")
def city():
    return open_scan(
        "procedural",
        "city",
        frames=1,
        seed=3,
        beams=32,
        image_size=(320, 180),
        noise=False,
        boxed_background=True,
    )


def test_cities_hold_riders_vans_and_trees_and_the_bundled_models_labels_stay() -> None:
    labels = {get_category(name).label for name in list_categories("city")}
    assert {"cyclist", "motorcyclist", "van", "tree", "hedge", "bush", "fence", "wall", "building"} <= labels
    assert {"cyclist", "hedge", "panel van"}.isdisjoint(list_categories())
    assert make_object("panel van", 0).category == "van"


@pytest.mark.parametrize("name", list_categories("city"))
def test_city_things_have_natural_sizes(name: str) -> None:
    low, high = get_category(name).extent
    sizes = [make_object(name, seed, size="medium").extent for seed in range(8)]
    assert all(low <= size.max() <= high for size in sizes)
    assert len({tuple(size.round(4)) for size in sizes}) == 8


def test_a_cyclist_is_one_object_as_tall_as_a_person_and_as_long_as_a_bicycle() -> None:
    length, width, height = np.median(
        [make_object("cyclist", s, size="medium").extent for s in range(9)], axis=0
    )
    assert 1.5 < length < 2.0
    assert 0.4 < width < 0.9
    assert 1.5 < height < 1.95


def test_background_has_labels_and_boxes_but_no_instances(city) -> None:
    truth, view = city.ground_truth(0), city.ground_truth(0).detections[0]
    assert truth.background is not None
    assert {"building"} < set(truth.background.tolist())
    assert (truth.instances[truth.background != ""] == -1).all()
    assert truth.instances.min() == -1
    named = set(city.annotations(0).labels)
    assert "pedestrian" in named
    assert named.isdisjoint({"building", "hedge", "wall", "fence", "bush"})
    behind = np.array(view.labels)[view.attributes["track_id"] < 0]
    assert set(behind.tolist()) <= {"building", "hedge", "wall", "fence", "bush"}
    assert "building" in behind


def test_some_people_and_barriers_touch(city) -> None:
    people = [o for o in city.objects if o.label in ("pedestrian", "barrier")]
    middle = np.array([o.box.center[:2] for o in people])
    apart = np.linalg.norm(middle[:, None] - middle[None], axis=-1) + 99 * np.eye(len(people))
    width = np.array([o.object.extent[1] for o in people])
    assert (apart.min(axis=1) < 1.05 * width).sum() >= 4


@pytest.mark.parametrize("beams", LIDARS)
def test_every_beam_of_a_lidar_draws_a_ring(beams: int) -> None:
    frame = open_scan("procedural", "street", frames=1, beams=beams, image_size=(32, 18), noise=False)[0]
    elevation = np.rad2deg(np.arctan2(frame.points[:, 2], np.linalg.norm(frame.points[:, :2], axis=1)))
    rings = np.unique(elevation.round(2))
    assert beams * 0.9 <= len(rings) <= beams * 1.1
    if beams == 64:  # KITTI's sensor is denser above than below
        assert np.median(np.diff(rings[rings < -9])) > 1.4 * np.median(np.diff(rings[rings > -8]))


def test_sixty_four_beams_see_a_person_at_50_m() -> None:
    counts = []
    for seed in range(6):
        builder = WorldBuilder()
        builder.place(make_object("pedestrian", seed, size="medium"), (50.0, 0.0, -1.8), 0.0)
        world = builder.build(Light(), ((0, 0, 0), (0, 0, 0)))
        counts.append(len(LIDARS[64].sweep(world, np.eye(4), np.random.default_rng(seed))[0]))
    assert 8 <= np.median(counts) <= 20


def test_a_lidar_of_ten_beams_is_refused() -> None:
    with pytest.raises(InputError, match="beams"):
        open_scan("procedural", "city", beams=10)
