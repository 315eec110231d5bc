"""``clip2 inspect`` as it is called from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clip2.cli.main import main
from data_prep.triplets import Provenance, Triplet, write_triplets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three chairs of 10, 20 and 30 points, and a mug of 40."""
    triplets = [
        Triplet(
            f"t{number}",
            np.random.default_rng(number).normal(size=(10 * number + 10, 3)).astype(np.float32),
            None,
            None,
            ("mug" if number == 3 else "chair",),
            Provenance(frame=f"f{number}"),
        )
        for number in range(4)
    ]
    write_triplets(tmp_path / "set", triplets, source="toy", objects_per_shard=2)
    return tmp_path / "set"


def test_tables_show_counts_points_and_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "4 objects of toy, 4 frames, 2 shards" in out
    assert "chair │       3 │            20" in out
    assert "mug   │       1 │            40" in out


def test_json_is_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder), "--json", "--verify"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["objects"] == 4
    assert report["points_per_object"]["50"] == 25
    assert report["words"][0] == {"word": "chair", "objects": 3, "median_points": 20}
    assert report["finished"] is True
    assert report["verified"] is True


def test_the_page_is_written_where_asked(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "new folder" / "page.html"
    assert main(["inspect", str(folder), "--html", str(page)]) == 0
    html = page.read_text()
    assert html.count('class="card"') == 4
    assert "not mined from images" in html


@pytest.mark.parametrize("verify", [[], ["--verify"]])
def test_damage_is_found(folder: Path, verify: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    shard = folder / "shard-000001.tar"
    data = bytearray(shard.read_bytes())
    data[data.index(b"\x93NUMPY") + 140] ^= 1
    shard.write_bytes(bytes(data))
    assert main(["inspect", str(folder), *verify]) == 2
    assert "shard-000001.tar: is not what was written (SHA-256 differs). Fix:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "has no manifest.json"),
        (lambda folder: (folder / "shard-000001.tar").unlink(), "shard-000001.tar: is missing"),
        (lambda folder: (folder / "shard-000001.tar").write_bytes(b"x"), "shard-000001.tar: has 1 bytes"),
        (
            lambda folder: (folder / "manifest.json").write_text(
                '{"format": "clip2-triplets", "version": 9}'
            ),
            "version: is 9, this release reads 1. Fix: upgrade clip2",
        ),
    ],
)
def test_a_set_that_cannot_be_read_is_one_line(
    folder: Path,
    damage,  # type: ignore[no-untyped-def]
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(folder)
    assert main(["inspect", str(folder)]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert error.count("\n") == 0


def test_a_set_that_is_still_being_mined_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"finished": true', '"finished": false'))
    assert main(["inspect", str(folder)]) == 0
    assert "not finished: run the same `clip2 prep` again" in capsys.readouterr().out


def test_real_frames_become_a_page_with_overlays(real_data: Path, tmp_path: Path) -> None:
    folder, page = tmp_path / "set", tmp_path / "page.html"
    boxes = real_data / "detections" / "kitti_object_gt.json"
    prep = [
        "prep",
        "kitti",
        str(real_data / "kitti_object"),
        "--detections",
        str(boxes),
        "--out",
        str(folder),
    ]
    assert main(prep) == 0
    assert main(["inspect", str(folder), "--html", str(page)]) == 0
    html = page.read_text()
    assert "3 of 3 images with objects" in html
    assert "training/image_2/000000.png" in html
    assert len(html) < 10e6


def test_the_page_lies_in_the_folder_unless_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["html"] == str(folder / "inspect.html")
    assert (folder / "inspect.html").read_text().count('class="card"') == 4
    (folder / "inspect.html").unlink()
    assert main(["inspect", str(folder), "--html", str(tmp_path / "page.html")]) == 0
    assert f"page: {tmp_path / 'page.html'}" in capsys.readouterr().out
    assert not (folder / "inspect.html").exists()


def test_the_page_disturbs_nobody_who_reads_or_goes_on_with_the_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o[a]"
    prep = ["prep", "procedural", str(tmp_path / "room"), "--out", str(out), "--option", "frames=2", "--json"]
    prep += ["--option", "image_size=160,120", "--option", "detector=good", "--objects-per-shard", "1"]
    assert main(prep) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["inspect", str(out), "--verify"]) == 0
    assert main(["inspect", str(out), "--verify"]) == 0
    capsys.readouterr()
    # As if killed before the last shard was listed.
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["finished"] = False
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert main(prep) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert (out / "inspect.html").exists()
    prep.remove("--json")
    assert main(prep) == 0
    assert "o[a] is complete" in " ".join(capsys.readouterr().out.split())


def no_right(**_: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_page_that_cannot_be_written_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: str) -> str:
        assert main(["inspect", str(folder), *arguments]) == 2
        error = capsys.readouterr().err.strip()
        assert error.count("\n") == 0
        return error

    assert "would be overwritten" in refused("--html", str(folder / "manifest.json"))
    assert "would be overwritten" in refused("--html", str(folder / "shard-000000.tar"))
    assert "manifest.json: --html: is a file" in refused(
        "--html", str(folder / "manifest.json" / "page.html")
    )
    monkeypatch.setattr("tempfile.TemporaryFile", no_right)
    assert "--html: cannot be written (Permission denied). Fix: name a folder you may write into" in refused()


def test_words_with_brackets_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    words = ("[/b]", "[bold]")
    made = [
        Triplet(f"t{i}", points, None, None, (word,), Provenance(frame="f")) for i, word in enumerate(words)
    ]
    write_triplets(tmp_path / "[set]", made, source="[toy]")
    assert main(["inspect", str(tmp_path / "[set]")]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in (*words, "[toy]", "[set]/inspect.html"))
