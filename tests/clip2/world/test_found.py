"""What proposals find in fused rooms, with the thing that each shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import clip2
from clip2.recognition.unlabeled import NAMELESS
from clip2.teacher import Teacher
from clip2.teacher.embed import embed_triplets
from clip2.world.points.data import load_world, read_triplets, world_scan
from clip2.world.points.found import measure_found, mine_found, pieces
from data_prep.triplets import open_triplets
from data_prep.world import ProceduralScan, list_categories


@pytest.fixture(scope="module")
def room() -> ProceduralScan:
    return world_scan("room", 4, 5, frames_per_world=4, assemblies=2)


@pytest.fixture(scope="module")
def folder(room: ProceduralScan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "found"
    mine_found(room, folder)
    embed_triplets(folder, Teacher.load("mini"))
    return folder


def test_a_proposal_is_called_by_the_thing_whose_place_it_has(room: ProceduralScan, folder: Path) -> None:
    things = {placed.instance: placed for placed in room.world_objects(0)}
    named = [one for one in read_triplets(open_triplets(folder)) if one.texts != (NAMELESS,)]
    assert len(named) > 5
    for one in named:
        thing = things[one.provenance.attributes["track_id"]]
        assert one.texts == (thing.label,)
        center = np.asarray(one.provenance.center)
        assert np.linalg.norm(center[:2] - thing.box.center[:2]) < 0.6 * np.linalg.norm(thing.box.size)
    assert max(one.provenance.attributes["iou"] for one in named) > 0.8


def test_training_reads_the_named_ones_and_the_rest_are_outliers(folder: Path) -> None:
    world, others = load_world([folder]), pieces(folder)
    assert len(world) + len(others) == len(open_triplets(folder))
    assert len(others) > 5
    assert (world.category >= 0).all()
    names = list_categories()
    labels = [world.objects.texts[row] for row in world.objects.own_texts[:, 0]]
    assert labels == [names[row] for row in world.category]
    assert not world.objects.image_present.any()


def test_the_measure_counts_each_found_thing_once(folder: Path) -> None:
    measured = measure_found(clip2.load("mini-points"), Teacher.load("mini"), folder)
    named = [one for one in read_triplets(open_triplets(folder)) if one.texts != (NAMELESS,)]
    found = {
        one.provenance.attributes["track_id"] for one in named if one.provenance.attributes["iou"] >= 0.5
    }
    assert measured["found_things"] == len(found)
    assert measured["pieces"] == len(pieces(folder))
    assert 0 < measured["found_answered"] <= measured["found_named"] <= 1
