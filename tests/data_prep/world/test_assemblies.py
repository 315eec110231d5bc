"""Nameless things: whole, varied, and in rooms and streets like any other object but without a name."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep import open_scan
from data_prep.detect import Detections2D
from data_prep.errors import InputError
from data_prep.geometry.cluster import connected_components
from data_prep.world import (
    ASSEMBLY_SIZES,
    NAMELESS,
    ProceduralObject,
    ProceduralScan,
    list_categories,
    make_assembly,
    render_object,
)
from data_prep.world.detector import PROFILES, simulate_detector

SMALL = {"room": {"image_size": (160, 120)}, "street": {"image_size": (240, 136)}}


def _scan(setting: str, assemblies: int, **options: object) -> ProceduralScan:
    wanted = {"frames": 3, "seed": 5, "noise": False, **SMALL[setting], **options}
    scan = open_scan("procedural", setting, assemblies=assemblies, **wanted)
    assert isinstance(scan, ProceduralScan)
    return scan


def _points_on(obj: ProceduralObject, step: float) -> np.ndarray:
    """Points on every triangle, none further than ``step`` from the next."""
    corners, points = obj.surface.corners.astype(np.float64), []
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    for count in np.unique(np.ceil(edges / step).astype(int)):
        a, b = np.meshgrid(np.arange(count + 1), np.arange(count + 1))
        a, b = a[a + b <= count] / max(count, 1), b[a + b <= count] / max(count, 1)
        weights = np.stack([a, b, 1 - a - b], axis=1)
        points.append((weights @ corners[np.ceil(edges / step).astype(int) == count]).reshape(-1, 3))
    return np.concatenate(points).astype(np.float32)


def test_their_solids_touch() -> None:
    for seed in range(40):
        obj = make_assembly(seed)
        longest = float(obj.extent.max())
        points = _points_on(obj, longest / 60)
        assert connected_components(points, longest / 40).max() == 0, seed


def test_they_stand_on_the_ground_in_the_stated_sizes() -> None:
    longest = []
    for seed in range(60):
        obj = make_assembly(seed)
        low, high = ASSEMBLY_SIZES[obj.size_word]
        assert low - 1e-6 <= obj.extent.max() <= high + 1e-6
        longest.append(obj.extent.max())
        corners = obj.surface.corners.reshape(-1, 3)
        assert abs(corners[:, 2].min()) < 1e-5
        assert np.abs(corners.max(axis=0) + corners.min(axis=0))[:2].max() < 1e-4
        assert np.isfinite(corners).all()
        np.testing.assert_allclose(np.linalg.norm(obj.surface.normals, axis=-1), 1, atol=1e-3)
        assert (obj.category, obj.synonyms) == (NAMELESS, ())
    assert NAMELESS not in list_categories()
    # Log-uniform from 0.1 to 2 m: a mean of 0.447 m in the logarithm.
    assert np.exp(np.mean(np.log(longest))) == pytest.approx(0.447, rel=0.4)


def test_one_seed_is_one_thing_and_no_two_seeds_are_alike() -> None:
    shapes = {make_assembly(seed).surface.corners.tobytes() for seed in range(30)}
    assert len(shapes) == 30
    again = {make_assembly(np.random.default_rng(7)).surface.corners.tobytes() for _ in range(2)}
    assert len(again) == 1


def test_asking_for_a_color_or_a_size_changes_nothing_else() -> None:
    red, blue = make_assembly(3, color="red"), make_assembly(3, color="blue")
    np.testing.assert_array_equal(red.surface.corners, blue.surface.corners)
    small, large = make_assembly(3, size="small"), make_assembly(3, size="large")
    np.testing.assert_allclose(
        small.extent / small.extent.max(), large.extent / large.extent.max(), atol=1e-4
    )
    pictures = [render_object(obj, [(1, 0.6, 0.5)], 32) for obj in (red, blue)]
    np.testing.assert_array_equal(pictures[0].masks, pictures[1].masks)
    first, second = (p.crops[p.masks].astype(int).mean(axis=0) for p in pictures)
    assert first[0] > second[0] + 25
    assert first[2] < second[2] - 15


@pytest.mark.parametrize("option", [{"color": "beige"}, {"size": "huge"}])
def test_unknown_words_are_refused(option: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        make_assembly(0, **option)  # type: ignore[arg-type]
    assert caught.value.field == next(iter(option))


@pytest.mark.parametrize("setting", ["room", "street"])
def test_they_come_on_top_of_the_same_world(setting: str) -> None:
    def told(scan: ProceduralScan) -> list[tuple]:
        return [
            (o.instance, o.label, o.T_world_object.tobytes(), o.object.surface.corners.tobytes())
            for o in scan.objects
        ]

    without, some, more = (told(_scan(setting, count)) for count in (0, 4, 9))
    assert [len(some) - len(without), len(more) - len(without)] == [4, 9]
    assert some[: len(without)] == without
    assert more[: len(some)] == some  # the first ones are the same however many there are
    assert all(label == NAMELESS for _, label, *_ in more[len(without) :])
    assert all(label != NAMELESS for _, label, *_ in without)


@pytest.mark.parametrize("setting", ["room", "street"])
def test_their_truth_is_as_exact_as_any(setting: str) -> None:
    scan, again = _scan(setting, 25), _scan(setting, 25)
    names = {placed.instance: placed.label for placed in scan.objects}
    seen = 0
    for index in range(3):
        frame, truth, labels = scan[index], scan.ground_truth(index), scan.annotations(index)
        np.testing.assert_array_equal(frame.points, again[index].points)
        assert labels.labels == tuple(names[track] for track in labels.attributes["track_id"])
        view = truth.detections[0]
        assert view.labels == tuple(names[track] for track in view.attributes["track_id"])
        for box, label, track in zip(labels.boxes, labels.labels, labels.attributes["track_id"], strict=True):
            if label == NAMELESS:
                seen += 1
                assert box.contains(frame.points[truth.instances == track], margin=1e-3).mean() >= 0.99
    assert seen >= 5


def test_in_rooms_they_stand_on_the_floor_and_on_tables_and_cameras_keep_out() -> None:
    on_tables = 0
    for seed in range(4):
        scan = _scan("room", 20, seed=seed, frames=6)
        tops = [o.T_world_object[2, 3] + o.object.top[2] for o in scan.objects if o.object.top is not None]
        for placed in scan.objects:
            if placed.label == NAMELESS and abs(z := placed.T_world_object[2, 3]) > 1e-6:
                assert np.abs(np.array(tops) - z).min() < 1e-6
                on_tables += 1
        eyes = scan._place(0).T_world_cams[:, :3, 3]  # type: ignore[union-attr]
        assert not any(placed.box.contains(eyes, margin=0.1).any() for placed in scan.objects)
    assert on_tables > 0


def test_detectors_call_them_objects_or_confuse_them_as_their_profile_says() -> None:
    count, words = 4000, list_categories("room")
    truth = Detections2D(
        boxes=np.tile([400, 400, 600, 600], (count, 1)),
        scores=np.ones(count),
        labels=(NAMELESS,) * count,
        attributes={
            "track_id": np.arange(count), "occluded": np.zeros(count), "truncated": np.zeros(count)
        },
    )  # fmt: skip
    found = simulate_detector(truth, 1000, 1000, PROFILES["weak"], words, np.random.default_rng(0))
    real = np.array(found.labels)[found.attributes["track_id"] >= 0]
    assert (real != NAMELESS).mean() == pytest.approx(PROFILES["weak"].confused, rel=0.15)
    assert set(real) - {NAMELESS} <= set(words)
    reported = [
        label
        for view in (_scan("room", 20, detector="weak").detections(index)[0] for index in range(3))
        for label in view.labels
    ]
    assert NAMELESS in reported
