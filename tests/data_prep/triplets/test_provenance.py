"""Provenance: the same JSON in and out, whoever wrote it."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import BadDatasetError, InputError
from data_prep.geometry import Camera, rigid
from data_prep.storage.store import open_store
from data_prep.triplets import Provenance, Triplet, open_triplets
from data_prep.triplets.folder import continue_set
from data_prep.triplets.manifest import Manifest
from data_prep.triplets.members import encode_triplet
from data_prep.triplets.provenance import CameraRecord, QualityRecord

YESTERDAY = Path(__file__).parents[2] / "data" / "v0.1.0" / "triplets"


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"source": "theirs", "frame": "7", "center": [1, 2.5, -3]},
        {"frame": "7", "mood": "sunny", "sensor": {"id": [1, None]}},
        {"frame": "7", "timestamp": None, "score": None, "votes": None},
        {"camera": {"K": [[1.5, 0, 2], [0, 1, 2], [0, 0, 1]], "shutter": 0.01, "width": None}},
        {
            "quality": {
                "num_points": 3,
                "num_in_region": 4,
                "median_range": None,
                "truncated": 0.5,
                "occluded": 0,
            }
        },
        {
            "views": [{"frame": "1", "weather": "rain"}, {"frame": "2"}],
            "sightings": [["1", 0, 3], ["2", 1, 4]],
        },
    ],
)
def test_what_others_wrote_comes_back_unchanged(record: dict[str, object]) -> None:
    assert json.loads(json.dumps(Provenance.from_json(record).to_json())) == record


def test_a_set_of_version_0_1_0_is_written_again_byte_for_byte() -> None:
    triplets = open_triplets(YESTERDAY)
    for shard in triplets.shards:
        with tarfile.open(YESTERDAY / shard.name) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        for triplet in triplets.iter_shard(shard.name):
            assert encode_triplet(triplet)["json"] == members[f"{triplet.key}.json"]
            assert Provenance.from_json(triplet.provenance.to_json()) == triplet.provenance
            assert triplet.provenance.camera is not None
            assert triplet.provenance.camera.camera().K.shape == (3, 3)


def test_a_camera_comes_back_from_its_record() -> None:
    camera = Camera(np.diag([50.0, 60.0, 1.0]), 64, 48, rigid(translation=(1, 2, 3)))
    back = CameraRecord.from_json(CameraRecord.of(camera).to_json()).camera()
    np.testing.assert_array_equal(back.K, camera.K)
    np.testing.assert_array_equal(back.T_points_cam, camera.T_points_cam)
    assert (back.width, back.height, back.distortion) == (64, 48, camera.distortion)
    with pytest.raises(InputError, match=r"provenance\.camera: is not complete"):
        CameraRecord(width=64).camera()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"frame": 7}, "frame: is 7"),
        ({"score": "high"}, "score: is 'high'"),
        ({"center": [1, 2]}, r"center: is \[1, 2\]"),
        ({"camera": {"width": 6.5}}, r"camera\.width: is 6\.5"),
        ({"views": [{"box": [1, 2, 3]}]}, r"views\.box: is \[1, 2, 3\]"),
        ({"sightings": [["1", 0]]}, "sightings: is"),
        ({"attributes": [1]}, r"attributes: is \[1\]"),
    ],
)
def test_a_field_of_another_form_is_named(record: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        Provenance.from_json(record)


def test_unknown_quality_is_none() -> None:
    assert QualityRecord.from_json({"occluded": None}).occluded is None


def test_a_mapping_is_no_provenance() -> None:
    points = np.zeros((1, 3), np.float32)
    with pytest.raises(
        InputError, match=r"k: provenance: is not a Provenance\. Fix: use Provenance\.from_json"
    ):
        Triplet("k", points, None, None, ("mug",), {"frame": "1"})  # type: ignore[arg-type]


def test_a_set_begun_by_version_0_1_0_is_read_but_not_continued() -> None:
    store = open_store(YESTERDAY)
    wanted = Manifest(source="procedural", options={"mining": {}})
    with pytest.raises(BadDatasetError, match="was begun by an earlier version of clip2") as caught:
        continue_set(store, wanted)
    assert "another folder" in str(caught.value)
