"""Proposals of raw scans become nameless triplets that a point encoder can be distilled on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from support.public_twins import TWINS

import clip2
from clip2.cli.main import main
from clip2.pretrained import convert_checkpoint
from clip2.recognition.found_objects import FoundObjects
from clip2.recognition.unlabeled import mine_proposals
from data_prep import open_scan
from data_prep.triplets import Triplet, open_triplets
from data_prep.triplets.mining import Progress

TINY = (
    *("--set", "model.encoder.name=pointnet", "--set", "model.encoder.options={widths: [32, 64, 128]}"),
    *("--set", "model.preprocessing.num_points=64", "--set", "loop.steps=20", "--set", "loop.batch_size=16"),
    *("--set", "device.accelerator=cpu", "--config", "configs/train/distill.yaml"),
)


def read(folder: Path) -> list[Triplet]:
    triplets = open_triplets(folder)
    return [triplet for shard in triplets.shards for triplet in triplets.iter_shard(shard.name)]


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two bare clouds: no image, no detector, no label."""
    folder = tmp_path_factory.mktemp("scans")
    for number, frame in enumerate(open_scan("procedural", "room", frames=2, worlds=2)):
        points = trimesh.PointCloud(frame.world_points(), frame.colors)
        points.export(folder / f"room-{number}.ply")
    return folder


@pytest.fixture(scope="module")
def mined(clouds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mined") / "triplets"
    assert main(["prep", "cloud", str(clouds), "--proposals", "room", "--out", str(out)]) == 0
    return out


def test_the_triplets_are_what_recognize_would_name(clouds: Path, mined: Path) -> None:
    triplets = read(mined)
    for frame in open_scan("cloud", clouds):
        found, world = FoundObjects.find(frame, None, "room", None)
        own = [one for one in triplets if one.provenance.frame == frame.id]
        assert [len(one.points) for one in own] == [len(cloud) for cloud in world]
        for one, cloud in zip(own, world, strict=True):
            np.testing.assert_allclose(one.points + one.provenance.center, cloud, atol=1e-5)
            assert (one.texts, one.crop) == (("object",), None)
            assert one.colors is not None
        assert [one.provenance.score for one in own] == pytest.approx(found.objects.objectness, abs=1e-4)


def test_a_stopped_run_goes_on_to_the_same_bytes(clouds: Path, mined: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    scan, once = open_scan("cloud", clouds), tmp_path / "once"
    with pytest.raises(KeyboardInterrupt):
        mine_proposals(scan, once, "room", objects_per_shard=1, on_frame=stop)
    assert len(open_triplets(once).shards) == 1
    mine_proposals(scan, once, "room", objects_per_shard=1)
    assert [one.key for one in read(once)] == [one.key for one in read(mined)]
    mine_proposals(scan, tmp_path / "whole", "room", objects_per_shard=1)
    for shard in open_triplets(once).shards:
        assert (once / shard.name).read_bytes() == (tmp_path / "whole" / shard.name).read_bytes()


def test_mini_points_teaches_a_student_on_raw_scans(mined: Path, tmp_path: Path) -> None:
    assert likeness("mini-points", mined, tmp_path / "run") > 0.3  # two untrained networks: about 0


def test_a_public_encoder_teaches_a_student_on_raw_scans(clouds: Path, tmp_path: Path) -> None:
    checkpoint, public, out = tmp_path / "teacher.pt", str(tmp_path / "public"), tmp_path / "triplets"
    TWINS["uni3d-ti"].write(checkpoint, TWINS["uni3d-ti"].state(1))
    clip2.save(convert_checkpoint(checkpoint), public)
    mining = ["--proposals", "room", "--limit", "1", "--max-points", "128", "--out", str(out)]
    assert main(["prep", "cloud", str(clouds), *mining]) == 0
    assert max(len(one.points) for one in read(out)) == 128
    assert likeness(public, out, tmp_path / "run") > 0.3


def likeness(teacher: str, triplets: Path, run: Path) -> float:
    """Mean cosine between the embeddings of a teacher and of a student trained on it for a moment."""
    arguments = ["train", "--out", str(run), "--data", str(triplets), *TINY, "--teacher-points", teacher]
    assert main(arguments) == 0
    objects = read(triplets)
    points, colors = [one.points for one in objects], [one.colors for one in objects]
    taught, learned = (clip2.load(one).encode(points, colors).numpy() for one in (teacher, str(run)))
    return float((taught * learned).sum(1).mean())


@pytest.mark.parametrize("option", ["--detections", "--min-score", "--part", "--associate"])
def test_an_option_of_detectors_is_one_line(
    option: str, clouds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = {"--detections": ["found.json"], "--min-score": ["0.5"], "--part": ["1/2"]}.get(option, [])
    arguments = ["prep", "cloud", str(clouds), "--proposals", "auto", "--out", str(tmp_path / "t")]
    assert main([*arguments, option, *value]) == 2
    line = " ".join(capsys.readouterr().err.split())
    assert "--proposals, which needs no detector" in line
    assert not (tmp_path / "t").exists()
