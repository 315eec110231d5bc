"""``clip2 detect`` as it is called from a shell, with a tiny detector of a real class on a simulated scan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.tiny_detectors import make_tiny_owl, make_tiny_sam

from clip2.cli.main import main
from data_prep.detect import CocoDetections
from data_prep.scans import open_scan


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_owl(tmp_path_factory.mktemp("owl"))


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture
def command(owl: Path, tmp_path: Path) -> list[str]:
    out = str(tmp_path / "detections.json")
    return [
        "detect", "procedural", "room", "--option", "frames=3", "--detector", str(owl), "--vocabulary", "mug,chair",
        "--out", out, "--device", "cpu",
    ]  # fmt: skip


def test_every_image_is_looked_at_and_prep_can_read_the_file(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--min-score", "0.1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["frames"], report["detected_frames"], report["images"]) == (3, 3, 3)
    assert report["detections"] == sum(report["words"].values()) > 0
    loaded = CocoDetections.load(tmp_path / "detections.json")
    assert loaded.check(open_scan("procedural", "room", frames=3)).matched == 3
    assert len(loaded) == report["detections"]
    assert set(loaded.categories.values()) <= {"mug", "chair"}
    triplets = str(tmp_path / "triplets")
    detections = str(tmp_path / "detections.json")
    assert main(["prep", "procedural", "room", "--option", "frames=3", "--detections", detections, "--out", triplets]) == 0  # fmt: skip


def test_masks_tiles_and_thresholds_from_a_file(
    command: list[str], sam: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scores.yaml").write_text("default: 0.2\nmug: 0.9\n")
    options = ["--limit", "1", "--masks", str(sam), "--tiles", "160", "--max-boxes", "5"]
    assert main([*command, *options, "--min-score", str(tmp_path / "scores.yaml"), "--json"]) == 0
    loaded = CocoDetections.load(tmp_path / "detections.json")
    settings = loaded.info["settings"]
    assert settings["selection"]["min_score"] == 0.2
    assert settings["selection"]["min_scores"] == {"mug": 0.9}
    assert settings["detector"]["tiles"] == {"size": 160, "overlap": 0.25}
    found = loaded.for_image(loaded.image_names[0], 320, 240)
    assert 0 < len(found) <= 5
    assert found.masks is not None
    assert all(score >= 0.9 for score, word in zip(found.scores, found.labels, strict=True) if word == "mug")


def test_called_again_only_new_frames_are_looked_at(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--limit", "2"]) == 0
    assert "2 frames processed" in capsys.readouterr().out
    assert main(command) == 0
    assert "1 frames processed, 2 from earlier runs" in capsys.readouterr().out
    assert main(command) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_other_words_are_not_mixed_into_the_file(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--limit", "1"]) == 0
    capsys.readouterr()
    assert main([*command, "--vocabulary", "mug,chair,lamp"]) == 2
    error = capsys.readouterr().err
    assert "detector.vocabulary.labels: was 2, is 3 now" in error
    assert "Fix: give the same options, or another --out" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--min-score", "much"],
            "--min-score: 'much' is neither a number, nor label=number, nor a YAML file",
        ),
        (["--min-score", "cat=0.5"], "min_score: 'cat' is not in the vocabulary"),
        (["--vocabulary", "words.txt"], "words.txt: vocabulary: does not exist"),
        (["--detector", "/no/such/folder"], "/no/such/folder: is not a folder"),
        (["--precision", "half"], "precision: 'half' is unknown"),
        (["--tiles", "4"], "tiles: is 4"),
        (["--frames", "9:"], "--frames: '9:' chooses none of 3 frames"),
        (["--option", "frame=3"], "--option: 'frame' is not an option of procedural"),
    ],
)
def test_bad_input_is_one_line(
    command: list[str], capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main([*command, *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "scores.yaml: --min-score: is not a list of LABEL: NUMBER"),
        ("mug: high", "scores.yaml: mug: is 'high'"),
        ("mug: [", "scores.yaml: --min-score: cannot be read"),
    ],
)
def test_bad_threshold_files_are_named(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    (tmp_path / "scores.yaml").write_text(content)
    assert main([*command, "--min-score", str(tmp_path / "scores.yaml")]) == 2
    assert message in capsys.readouterr().err


def test_a_scan_without_images_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cloud.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n1 2 3\n"
    )
    assert main(["detect", "cloud", str(tmp_path / "cloud.ply"), *command[5:]]) == 2
    assert "holds no images to detect in" in capsys.readouterr().err
