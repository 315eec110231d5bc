"""``clip2 label`` as it is called from a shell, on the labeled frames of a KITTI folder that holds one car."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.label_stand_ins import seen_faces
from support.scan_twins import CAR, write_kitti

from clip2.cli.main import main
from data_prep import open_scan
from data_prep.geometry import box_to_image


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The labeled car as points, and as a detection; a detection on the sky."""
    root = write_kitti(tmp_path / "kitti", frames=2)
    images, annotations = [], []
    for number in range(2):
        (root / f"training/label_2/{number:06d}.txt").write_text(f"{CAR}\n")
        scan = open_scan("kitti", root)
        (box,) = scan.annotations(number).boxes
        x, y = np.meshgrid(np.arange(4, 40, 0.3), np.arange(-15, 15, 0.3))
        ground = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, box.center[2] - 0.75)])
        points = np.concatenate([ground, seen_faces(box)])
        np.column_stack([points, np.zeros(len(points))]).astype("<f4").tofile(
            root / f"training/velodyne/{number:06d}.bin"
        )
        x0, y0, x1, y1 = box_to_image(box, scan[number].views[0].camera)
        name = f"training/image_2/{number:06d}.png"
        images.append({"id": number + 1, "file_name": name, "width": 400, "height": 160})
        for category, outline in ((1, [x0, y0, x1 - x0, y1 - y0]), (2, [300.0, 5.0, 40.0, 20.0])):
            one = {"image_id": number + 1, "category_id": category, "bbox": outline, "score": 0.9}
            annotations.append({"id": len(annotations) + 1, **one})
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "kite"}]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    detections = ["--detections", str(tmp_path / "boxes.json")]
    return ["label", "kitti", str(root), *detections, "--out", str(tmp_path / "out")]


def test_labels_are_written_and_scored(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--format", "kitti", "--score", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["frames"], told["boxes"], told["labels"]) == (2, 2, {"car": 2})
    assert told["rejections"] == {"no-points-in-region": 2}
    near, *_, every = told["scores"]
    assert (near["distance"], near["labeled"], near["recall_50"], near["precision_50"]) == ("0-15 m", 2, 1, 1)
    assert every["labeled"] == every["boxes"] == 2
    assert every["iou"] > 0.6
    kinds = [path.read_text().split()[0] for path in sorted((tmp_path / "out/label_2").iterdir())]
    assert kinds == ["Car", "Car"]


def test_report_for_people_and_a_second_run(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    command = [*command, "--format", "coco3d", "--score"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "2 labels in 2 frames" in told
    assert "rejected: no-points-in-region" in told
    assert "against the scan's own labels" in told
    assert "nothing to do" not in told
    assert main(command) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, told",
    [
        (["--format", "openpcd"], "did you mean 'openpcdet'"),
        (["--format", "kitti", "--tracks", "yes"], "tracks: need times or poses"),
        (["--format", "kitti", "--label-map", "car=sofa"], "no class for any label found (sofa)"),
        (["--format", "kitti", "--thin"], "thin: leaves frames without labels"),
        (["--format", "kitti", "--frames", "7:9"], "chooses none of 2 frames"),
    ],
)
def test_bad_options_are_one_line(
    command: list[str], options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *options]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_detections_of_another_scan_are_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "boxes.json"
    file.write_text(file.read_text().replace("training/image_2/", "elsewhere/"))
    assert main([*command, "--format", "kitti"]) == 2
    assert "image" in capsys.readouterr().err
    assert not (tmp_path / "out/labels.json").exists()
