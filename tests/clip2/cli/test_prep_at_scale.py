"""``clip2 prep`` with workers, in parts, to and from URLs, and interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest
from support.scan_twins import write_kitti

from clip2.cli.main import main
from data_prep.triplets import open_triplets


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Four KITTI frames of random points, and a box over the middle of each image."""
    root = write_kitti(tmp_path / "kitti", frames=4)
    content = {
        "images": [
            {"id": n, "file_name": f"training/image_2/{n:06d}.png", "width": 400, "height": 160}
            for n in range(4)
        ],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": n + 1, "image_id": n, "category_id": 1, "bbox": [50, 20, 300, 120], "score": 0.9}
            for n in range(4)
        ],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    return [
        *("prep", "kitti", str(root), "--detections", str(tmp_path / "boxes.json")),
        *("--lifter", "frustum-dbscan", "--lift.min-points", "1", "--json"),
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_workers_do_not_show_in_the_triplets(command: list[str], tmp_path: Path) -> None:
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    assert main([*command, "--out", str(tmp_path / "two"), "--workers", "2"]) == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_parts_tell_what_is_missing_and_make_a_whole(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "parts")]
    tables = [word for word in command if word != "--json"]
    assert main([*tables, *out, "--part", "2/3"]) == 0
    assert "part 2 of 3; still to finish: 1, 3" in capsys.readouterr().out
    assert main([*tables, *out, "--part", "1/3"]) == 0
    assert main([*tables, *out, "--part", "3/3"]) == 0
    assert "part 3 of 3; the set is whole" in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    joined, whole = open_triplets(tmp_path / "parts"), open_triplets(tmp_path / "whole")
    assert [triplet.key for triplet in joined] == [triplet.key for triplet in whole]
    assert main([*command, *out, "--part", "1/2"]) == 2
    assert "holds part 1 of 3, this is part 1 of 2. Fix: give --part K/3" in capsys.readouterr().err


@pytest.fixture
def follow() -> list[str]:
    """A street seen by two cameras in six frames, followed in segments of three."""
    scan = ["frames=6", "cameras=front,left", "image_size=320,180", "detector=good"]
    return [
        *("prep", "procedural", "street", "--associate", "--associate.segment", "3", "--json"),
        *(word for option in scan for word in ("--option", option)),
    ]


def test_workers_do_not_show_in_objects_that_are_followed(follow: list[str], tmp_path: Path) -> None:
    assert main([*follow, "--out", str(tmp_path / "one")]) == 0
    assert main([*follow, "--out", str(tmp_path / "two"), "--workers", "2"]) == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert open_triplets(tmp_path / "one").manifest.merged > 0


def test_parts_of_whole_segments_follow_the_same_objects(follow: list[str], tmp_path: Path) -> None:
    assert main([*follow, "--out", str(tmp_path / "whole")]) == 0
    for number, workers in ((2, "1"), (1, "2")):
        out = ["--out", str(tmp_path / "parts"), "--part", f"{number}/2", "--workers", workers]
        assert main([*follow, *out]) == 0
    joined, whole = open_triplets(tmp_path / "parts"), open_triplets(tmp_path / "whole")
    shards = [[set_.path / shard.name for shard in set_.shards] for set_ in (joined, whole)]
    assert [path.read_bytes() for path in shards[0]] == [path.read_bytes() for path in shards[1]]
    for name in ("rejections", "merged", "totals", "config_hash"):
        assert getattr(joined.manifest, name) == getattr(whole.manifest, name)


def test_parts_that_cut_a_segment_lose_and_double_no_detection(follow: list[str], tmp_path: Path) -> None:
    assert main([*follow, "--out", str(tmp_path / "whole")]) == 0
    for number in (1, 2, 3):
        assert main([*follow, "--out", str(tmp_path / "parts"), "--part", f"{number}/3"]) == 0
    joined, whole = (_sightings(tmp_path / name) for name in ("parts", "whole"))
    assert sorted(joined) == sorted(set(joined)) == sorted(whole)


def _sightings(folder: Path) -> list[tuple]:
    found = (triplet.provenance for triplet in open_triplets(folder))
    return [place for one in found for place in one.sightings or (one.place,)]


def test_scan_detections_and_triplets_may_be_at_urls(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLIP2_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    base = f"memory://prep-{time.monotonic_ns()}"
    memory.put(str(tmp_path / "kitti") + "/", f"{base}/kitti/", recursive=True)
    memory.put(str(tmp_path / "boxes.json"), f"{base}/boxes.json")
    remote = [*command, "--out", f"{base}/out"]
    remote[2], remote[4] = f"{base}/kitti", f"{base}/boxes.json"
    assert main(remote) == 0
    assert json.loads(capsys.readouterr().out)["out"] == f"{base}/out"
    main([*command, "--out", str(tmp_path / "here")])
    found = open_triplets(f"{base}/out")
    assert found.manifest.root == f"{base}/kitti"
    assert [shard.sha256 for shard in found.shards] == [
        shard.sha256 for shard in open_triplets(tmp_path / "here").shards
    ]
    capsys.readouterr()
    assert main(["inspect", f"{base}/out", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["objects"] == len(found)
    # What is made from a set at a URL stays on this machine.
    assert (found.path / "inspect.html").is_file()
    assert tmp_path / "cache" in found.path.parents


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        (["--workers", "0"], "clip2: workers: is 0. Fix: give 1 or more"),
        (["--part", "5/4"], "clip2: part: is 5/4. Fix: give K/N with K from 1 to N"),
        (["--part", "x"], "clip2: part: is 'x'. Fix: give K/N, like 3/16"),
    ],
)
def test_impossible_options_are_one_line(
    command: list[str], tmp_path: Path, option: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--out", str(tmp_path / "out"), *option]) == 2
    assert capsys.readouterr().err.strip() == problem
    assert not (tmp_path / "out").exists()


def test_ctrl_c_ends_workers_and_command_with_130(command: list[str], tmp_path: Path) -> None:
    """As a terminal sends it: to the whole group. Nobody prints a traceback, nobody stays behind."""
    root = write_kitti(tmp_path / "long", frames=100)
    command[2] = str(root)
    content = json.loads((tmp_path / "boxes.json").read_text())
    content["images"] = [
        {**content["images"][0], "id": n, "file_name": f"training/image_2/{n:06d}.png"} for n in range(100)
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    options = ["--out", str(tmp_path / "out"), "--workers", "2", "--objects-per-shard", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "clip2", *command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not list((tmp_path / "out").glob("shard-*.tar")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; run the same command again to continue" in errors
    assert "Traceback" not in errors
    open_triplets(tmp_path / "out").verify()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
