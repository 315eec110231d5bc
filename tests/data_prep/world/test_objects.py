"""Every category builds, looks like something, and is as big as such a thing is."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.world import (
    get_category,
    list_categories,
    make_object,
    random_directions,
    render_object,
)
from data_prep.world.palette import COLORS, SIZES

NUSCENES = {
    "car", "truck", "bus", "trailer", "construction vehicle", "pedestrian", "motorcycle", "bicycle",
    "traffic cone", "barrier",
}  # fmt: skip


def test_the_world_is_rich_and_its_words_are_unambiguous() -> None:
    names = list_categories()
    assert len(names) >= 40
    assert len(list_categories("room")) >= 20
    assert len(list_categories("street")) >= 12
    assert len(COLORS) >= 10
    assert len(SIZES) == 3
    words = [word for name in names for word in (name, *get_category(name).synonyms)]
    assert len(words) == len(set(words))
    assert all(word == word.lower() and "_" not in word for word in words)
    for name in names:
        assert get_category(name).synonyms
        assert {*get_category(name).confusions} <= {*names} - {name}


def test_names_come_from_vocabularies_that_people_use(real_data) -> None:
    with np.load(real_data / "clip" / "vit_b32_text_bank.npz", allow_pickle=False) as bank:
        known = set(bank["names"].tolist()) | NUSCENES
    assert [name for name in list_categories() if name not in known] == []


@pytest.mark.parametrize("name", list_categories())
def test_category_builds_in_plausible_sizes(name: str) -> None:
    low, high = get_category(name).extent
    variety, features = set(), set()
    for seed in range(4):
        for size in SIZES:
            obj = make_object(name, seed, size=size)
            assert obj.size_word == size
            assert low <= obj.extent.max() <= high
            variety.add(tuple(obj.extent.round(5)))
        surface = obj.surface
        assert np.isfinite(surface.corners).all()
        np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=-1), 1, atol=1e-3)
        corners = surface.corners.reshape(-1, 3)
        middle = (corners.max(axis=0) + corners.min(axis=0)) / 2
        assert abs(corners[:, 2].min()) < 1e-5
        assert np.abs(middle[:2]).max() < 1e-5
        features.update(obj.features)
    assert features  # at least some instances have a part worth a word
    assert len(variety) == 12  # no two instances are alike


@pytest.mark.parametrize("name", list_categories())
def test_the_color_word_is_seen(name: str) -> None:
    """Pictures of a red and a blue one differ in much of the object; everything else stays the same."""
    directions = [(1, 0.6, 0.5), (-1, -0.7, 0.4)]
    red, blue = (render_object(make_object(name, 3, color=c), directions, 32) for c in ("red", "blue"))
    np.testing.assert_array_equal(red.masks, blue.masks)
    for a, b, mask in zip(red.crops, blue.crops, red.masks, strict=True):
        warmer = (a[..., 0].astype(int) - b[..., 0] > 25) & (b[..., 2].astype(int) - a[..., 2] > 15)
        if "red" in get_category(name).colors and "blue" in get_category(name).colors:
            assert warmer[mask].mean() > 0.12
        assert (a[~mask] == b[~mask]).all()


def test_the_same_seed_makes_the_same_object_and_asking_for_a_color_changes_nothing_else() -> None:
    first, again, red = make_object("chair", 7), make_object("chair", 7), make_object("chair", 7, color="red")
    np.testing.assert_array_equal(first.surface.corners, again.surface.corners)
    np.testing.assert_array_equal(first.surface.corners, red.surface.corners)
    assert first.color == again.color
    assert red.color == "red"
    assert {make_object("chair", seed).color for seed in range(80)} == set(COLORS)


def test_size_words_do_not_overlap() -> None:
    sizes = {word: [make_object("mug", seed, size=word).extent[2] for seed in range(20)] for word in SIZES}
    natural = [make_object("mug", seed, size="medium").extent[2] for seed in range(20)]
    for word, (low, high) in SIZES.items():
        factor = np.array(sizes[word]) / np.array(natural)
        assert (factor > low / 1.07).all()
        assert (factor < high / 0.94).all()


def test_crops_frame_the_object_and_their_points_lie_on_it() -> None:
    obj = make_object("car", 1)
    views = render_object(obj, random_directions(np.random.default_rng(0), 5), 48, rng=0)
    assert views.crops.shape == (5, 48, 48, 3)
    assert views.crops.dtype == np.uint8
    for crop, mask, points, colors in zip(views.crops, views.masks, views.points, views.colors, strict=True):
        assert len(points) == mask.sum() > 200
        np.testing.assert_array_equal(crop[mask], colors)
        span = max(np.ptp(np.flatnonzero(mask.any(axis=k))) for k in (0, 1))
        assert 48 * (1 - 2 * 0.06) - 3 <= span <= 48
        assert not mask[[0, -1]].any()
        assert not mask[:, [0, -1]].any()
        assert (np.abs(points[:, :2]) <= obj.extent[:2] / 2 + 1e-3).all()
        assert points[:, 2].min() >= -1e-3
    again = render_object(obj, random_directions(np.random.default_rng(0), 5), 48, rng=0)
    np.testing.assert_array_equal(views.crops, again.crops)


def test_the_mesh_has_the_objects_size() -> None:
    obj = make_object("table", 2)
    np.testing.assert_allclose(obj.mesh.extents, obj.extent, atol=1e-5)


@pytest.mark.parametrize("options, field", [({"color": "mauve"}, "color"), ({"size": "huge"}, "size")])
def test_unknown_words_are_refused(options: dict, field: str) -> None:
    with pytest.raises(InputError) as caught:
        make_object("chair", 0, **options)
    assert caught.value.field == field


def test_unknown_category_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'chair'"):
        make_object("chiar", 0)
