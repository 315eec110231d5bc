"""What is in a shard, and what readers say about a broken one."""

from __future__ import annotations

import io
import json
import tarfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from data_prep.errors import BadDatasetError, InputError
from data_prep.storage.files import file_sha256
from data_prep.triplets import Provenance, Triplet, TripletSet, TripletWriter, open_triplets, write_triplets
from data_prep.triplets.members import decode_triplet, encode_triplet


def make_triplet(number: int = 0, **fields: object) -> Triplet:
    random = np.random.default_rng(number)
    values = {
        "key": f"toy-{number}",
        "points": random.normal(size=(7, 3)).astype(np.float32),
        "colors": random.integers(0, 256, (7, 3), dtype=np.uint8),
        "crop": np.full((5, 9, 3), (200, 40, 40), np.uint8),
        "texts": ("red mug", "mug"),
        "provenance": Provenance(
            source="toy", frame=f"f{number}", center=(1.5, 2.5, 3.5), extra={"name": "Tür"}
        ),
    }
    return Triplet(**{**values, **fields})  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five triplets in shards of two."""
    write_triplets(tmp_path / "set", map(make_triplet, range(5)), source="toy", objects_per_shard=2)
    return tmp_path / "set"


def rewrite(shard: Path, change: dict[str, bytes | None]) -> None:
    """Replace (or, with None, drop) members of a shard, and make the manifest agree with it."""
    with tarfile.open(shard) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    with tarfile.open(shard, "w") as tar:
        for name, data in {**members, **change}.items():
            if data is not None:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    agree(shard)


def agree(shard: Path) -> None:
    path = shard.parent / "manifest.json"
    manifest = json.loads(path.read_text())
    for record in manifest["shards"]:
        if record["name"] == shard.name:
            record |= {"bytes": shard.stat().st_size, "sha256": file_sha256(shard)}
    path.write_text(json.dumps(manifest))


def test_points_colors_texts_and_provenance_come_back_as_they_were(folder: Path) -> None:
    for number, read in enumerate(open_triplets(folder)):
        written = make_triplet(number)
        assert read.key == written.key
        assert read.points.dtype == np.float32
        np.testing.assert_array_equal(read.points, written.points)
        np.testing.assert_array_equal(read.colors, written.colors)
        assert read.texts == written.texts
        assert read.provenance == written.provenance


def test_a_crop_loses_no_more_than_jpeg_does(folder: Path) -> None:
    crop = next(iter(open_triplets(folder))).crop
    assert crop is not None
    assert crop.shape == (5, 9, 3)
    assert np.abs(crop.astype(int) - (200, 40, 40)).max() <= 3


def test_color_and_crop_that_are_absent_stay_absent(tmp_path: Path) -> None:
    write_triplets(tmp_path, [make_triplet(colors=None, crop=None)], source="toy")
    (read,) = open_triplets(tmp_path)
    assert read.colors is None
    assert read.crop is None


@settings(max_examples=25, deadline=None)
@given(
    points=arrays.arrays(np.float32, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(-1e6, 1e6, width=32)),
    texts=st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=4),
)  # fmt: skip
def test_any_triplet_survives_the_round_trip(points: np.ndarray, texts: list[str]) -> None:
    triplet = make_triplet(points=points, colors=None, texts=tuple(texts))
    read = decode_triplet(triplet.key, encode_triplet(triplet), "a shard")
    np.testing.assert_array_equal(read.points, points)
    assert read.texts == tuple(texts)


def test_webdataset_itself_reads_our_shards(folder: Path) -> None:
    urls = [str(folder / shard.name) for shard in open_triplets(folder).shards]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"))
    assert [sample["__key__"] for sample in samples] == [f"toy-{number}" for number in range(5)]
    np.testing.assert_array_equal(samples[3]["points.npy"], make_triplet(3).points)
    np.testing.assert_array_equal(samples[3]["colors.npy"], make_triplet(3).colors)
    assert samples[3]["jpg"].shape == (5, 9, 3)
    assert samples[3]["json"]["texts"] == ["red mug", "mug"]


def test_the_same_triplets_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_triplets(tmp_path / name, map(make_triplet, range(5)), source="toy", objects_per_shard=2)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_the_order_of_provenance_keys_does_not_matter_to_the_bytes() -> None:
    a = make_triplet(provenance=Provenance.from_json({"frame": "1", "source": "toy"}))
    b = make_triplet(provenance=Provenance.from_json({"source": "toy", "frame": "1"}))
    assert encode_triplet(a) == encode_triplet(b)


def test_members_carry_no_owner_and_no_time(folder: Path) -> None:
    with tarfile.open(folder / "shard-000000.tar") as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")


def test_the_set_knows_its_length_and_can_be_read_shard_by_shard(folder: Path) -> None:
    triplets = open_triplets(folder)
    assert len(triplets) == 5
    assert [shard.count for shard in triplets.shards] == [2, 2, 1]
    assert [triplet.key for triplet in triplets.iter_shard("shard-000001.tar")] == ["toy-2", "toy-3"]


def test_without_crops_no_jpeg_is_decoded(folder: Path) -> None:
    triplets = open_triplets(folder)
    shard = triplets.shards[0].name
    rewrite(folder / shard, {f"{next(triplets.iter_shard(shard)).key}.jpg": b"no jpeg"})
    triplets = open_triplets(folder)
    read = list(islice(triplets.iter_shard(shard, crops=False), triplets.shards[0].count))
    assert [triplet.crop for triplet in read] == [None] * triplets.shards[0].count
    assert read[0].points.shape[1] == 3
    with pytest.raises(InputError, match="jpg"):
        list(triplets.iter_shard(shard))


def test_entries_count_points_without_reading_them(folder: Path) -> None:
    entries = list(open_triplets(folder).iter_entries())
    assert [entry.num_points for entry in entries] == [7] * 5
    assert all(entry.has_colors and entry.has_crop for entry in entries)


def test_a_sound_set_verifies(folder: Path) -> None:
    open_triplets(folder).verify()


def test_a_key_longer_than_a_tar_header_field_is_kept_whole(tmp_path: Path) -> None:
    key = "k" * 180
    write_triplets(tmp_path, [make_triplet(key=key)], source="toy")
    assert next(iter(open_triplets(tmp_path))).key == key


def test_numpy_numbers_in_provenance_are_written_as_numbers(tmp_path: Path) -> None:
    provenance = Provenance(frame="1", score=np.float32(0.5), extra={"K": np.eye(2)})
    write_triplets(tmp_path, [make_triplet(provenance=provenance)], source="toy")
    assert next(iter(open_triplets(tmp_path))).provenance.to_json() == {
        "frame": "1",
        "score": 0.5,
        "K": [[1, 0], [0, 1]],
    }


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_provenance_that_json_cannot_hold_is_rejected(tmp_path: Path, value: object) -> None:
    with pytest.raises(InputError, match="toy-0: provenance: cannot be written as JSON"):
        write_triplets(tmp_path, [make_triplet(provenance=Provenance(extra={"x": value}))], source="toy")


def test_a_repeated_key_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'toy-0' comes twice"):
        write_triplets(tmp_path, [make_triplet(0), make_triplet(0)], source="toy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"toy-1.points.npy": None}, "toy-1.points.npy: is missing"),
        ({"toy-1.json": None}, "toy-1.json: is missing"),
        ({"toy-1.points.npy": b"\x93NUMPY"}, "toy-1.points.npy: cannot be read"),
        ({"toy-1.jpg": b"not a picture"}, "toy-1.jpg: cannot be read"),
        ({"toy-1.json": b"{"}, "toy-1.json: is not a triplet's record"),
        ({"toy-1.json": b'{"texts": []}'}, "toy-1.json: is not a triplet's record"),
        (
            {"toy-1.json": b'{"texts": ["mug"], "provenance": {"camera": {"width": "wide"}}}'},
            "toy-1.json: provenance.camera.width: is 'wide'",
        ),
        ({"toy-1.json": b'{"texts": [], "provenance": {}}'}, "toy-1: texts: needs at least one label"),
    ],
)
def test_a_broken_member_is_named_with_shard_key_and_field(
    folder: Path, change: dict[str, bytes | None], message: str
) -> None:
    rewrite(folder / "shard-000000.tar", change)
    with pytest.raises(InputError, match=message) as caught:
        list(open_triplets(folder))
    assert "shard-000000.tar" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pickle_in_place_of_points_is_never_unpickled(folder: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"surprise": 1}], dtype=object), allow_pickle=True)
    rewrite(folder / "shard-000000.tar", {"toy-1.points.npy": stream.getvalue()})
    with pytest.raises(InputError, match=r"toy-1\.points\.npy: cannot be read .*Python objects"):
        list(open_triplets(folder))


def test_colors_that_do_not_fit_the_points_are_rejected(folder: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros((3, 3), np.uint8))
    rewrite(folder / "shard-000000.tar", {"toy-1.colors.npy": stream.getvalue()})
    with pytest.raises(
        InputError, match=r"shard-000000\.tar: toy-1: colors: must be uint8 of the points' shape"
    ):
        list(open_triplets(folder))


def test_a_shard_cut_short_is_rejected_when_the_set_is_opened(folder: Path) -> None:
    shard = folder / "shard-000001.tar"
    shard.write_bytes(shard.read_bytes()[:5000])
    with pytest.raises(BadDatasetError, match=r"shard-000001\.tar: has 5,000 bytes, the manifest says"):
        open_triplets(folder)


@pytest.mark.parametrize("keep", [100, 700, 2048, 5000])
def test_a_shard_cut_short_is_found_in_reading_even_if_the_manifest_agrees(folder: Path, keep: int) -> None:
    shard = folder / "shard-000001.tar"
    shard.write_bytes(shard.read_bytes()[:keep])
    agree(shard)
    with pytest.raises(InputError, match=r"shard-000001\.tar"):
        list(open_triplets(folder))


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "shard-000002.tar").unlink()
    with pytest.raises(BadDatasetError, match=r"shard-000002\.tar: is missing"):
        open_triplets(folder)


def test_one_flipped_byte_is_found_by_verify_and_by_reading(folder: Path) -> None:
    shard = folder / "shard-000001.tar"
    data = bytearray(shard.read_bytes())
    data[data.index(b"\x93NUMPY") + 150] ^= 1  # inside the points: nothing but the checksum can tell
    shard.write_bytes(bytes(data))
    for read in (list, TripletSet.verify):
        with pytest.raises(InputError, match=r"shard-000001\.tar: is not what was written"):
            read(open_triplets(folder))


def test_a_shard_name_that_is_not_listed_is_rejected(folder: Path) -> None:
    with pytest.raises(InputError, match=r"'shard-9\.tar' is not a shard"):
        list(open_triplets(folder).iter_shard("shard-9.tar"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "is not a clip2-triplets file"),
        ('{"format": "other", "version": 1}', "format: is not a clip2-triplets file"),
        ('{"format": "clip2-triplets", "version": 2}', "version: is 2, this release reads 1. Fix: upgrade"),
        ('{"format": "clip2-triplets", "version": 1}', "source: Field required"),
    ],
)
def test_a_manifest_that_is_not_ours_is_rejected(folder: Path, text: str, message: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BadDatasetError, match=message):
        open_triplets(folder)


def test_folders_that_are_not_triplets_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="does not exist"):
        open_triplets(tmp_path / "nothing")
    with pytest.raises(BadDatasetError, match=r"has no manifest\.json"):
        open_triplets(tmp_path)


def test_each_triplet_is_a_frame_unless_the_caller_ends_frames(tmp_path: Path) -> None:
    with TripletWriter(tmp_path, source="toy", objects_per_shard=2) as writer:
        for number in range(3):
            writer.add(make_triplet(number))
        writer.end_frame("a")
        writer.add(make_triplet(3))
        writer.end_frame("b")
    # The frame is not cut although its third object exceeds the shard.
    assert [shard.count for shard in writer.manifest.shards] == [3, 1]
    assert writer.manifest.frames_done == 2
