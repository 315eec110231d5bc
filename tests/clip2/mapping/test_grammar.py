import numpy as np
import pytest
from support.recognition_stand_ins import WORDS, tiny_bank, tiny_model

import clip2
from clip2.mapping import MapObject
from clip2.mapping.grammar import parse_phrase
from clip2.mapping.motion import ConstantVelocity
from data_prep.errors import InputError

RED, BLUE = (200, 30, 25), (30, 40, 200)


def put(object_map, label, center, size, color=None, **fields):
    """An object that is surely of a label."""
    grid = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 8)] * 3), axis=-1).reshape(-1, 3)
    cloud = (grid * size).astype(np.float32)
    id = len(object_map.objects)
    object_map._store.add(
        MapObject(
            id=id,
            cloud=cloud,
            origin=np.asarray(center, float),
            colors=None if color is None else np.tile(np.uint8(color), (len(cloud), 1)),
            box=np.array([*center, *size, 0.0]),
            motion=ConstantVelocity(np.asarray(center, float), 0.1, 1.0),
            first_seen=0.0,
            last_seen=0.0,
            state="confirmed",
            looks=1,
            embedding=tiny_bank().embeddings[WORDS.index(label)].copy(),
            **fields,
        )
    )
    return id


@pytest.fixture
def room():
    """0: table, 1: red box on it, 2: blue box under it, 3: large red box far away, 4 and 5: chairs, 6: moving chair."""
    object_map = clip2.ObjectMap(tiny_model(tiny_bank()))
    put(object_map, "table", (0, 0, 0.4), (1.6, 1.0, 0.8))
    put(object_map, "box", (0.3, 0.1, 0.95), (0.3, 0.3, 0.3), RED)
    put(object_map, "box", (0.1, 0.1, 0.15), (0.3, 0.3, 0.3), BLUE)
    put(object_map, "box", (5, 5, 0.5), (1, 1, 1), RED)
    put(object_map, "chair", (1.3, 0, 0.45), (0.5, 0.5, 0.9))
    put(object_map, "chair", (5, 3, 0.45), (0.6, 0.6, 1.1))
    put(object_map, "chair", (-6, 0, 0.45), (0.5, 0.5, 0.9), moves=3.0)
    return object_map


@pytest.mark.parametrize(
    ("phrase", "ids"),
    [
        ("red box", {1, 3}),
        ("blue box", {2}),
        ("green box", set()),
        ("red table", set()),  # nobody knows its color
        ("box on the table", {1}),
        ("red box on top of a table", {1}),
        ("box under the table", {2}),
        ("largest box", {3}),
        ("the smallest red box", {1}),
        ("chair nearest the table", {4}),
        ("chair closest to the large box", {5}),
        ("chair near the table", {4}),
        ("moving chair", {6}),
        ("still chair", {4, 5}),
        ("tallest chair", {5}),
        ("highest box", {1}),
        ("table near the box", {0}),
        ("chair on the box on the table", set()),
    ],
)
def test_phrases_find_what_they_mean(room, phrase, ids):
    found = room.query(phrase, threshold=0.3)
    assert set(found.track_ids.tolist()) == ids
    assert set(found.labels) <= {phrase}


def test_several_phrases_and_labels_are_answered_at_once(room):
    found = room.query(["red box", "blue box", "table"], threshold=0.3)
    labels = dict(zip(found.track_ids.tolist(), found.labels, strict=True))
    assert labels == {0: "table", 1: "red box", 2: "blue box", 3: "red box"}


def test_a_label_that_the_bank_lists_is_no_phrase():
    assert parse_phrase("orange", {"orange"}).plain
    assert parse_phrase("white board", {"white board"}).plain
    assert not parse_phrase("white board").plain
    assert parse_phrase("traffic light").plain


def test_words_without_a_thing_are_one_line():
    with pytest.raises(InputError, match="'red' names no thing"):
        parse_phrase("red")


def test_a_reference_without_a_vector_is_one_line(room):
    with pytest.raises(InputError, match="zebra"):
        room.query("box on the zebra")
