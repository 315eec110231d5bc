"""``clip2 prep`` as it is called from a shell, on a KITTI folder that holds one box-shaped thing per frame."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.scan_twins import P2, TR, write_kitti

from clip2.cli.main import main
from data_prep.triplets import open_triplets

# A box 1.8 m wide and 1.4 m high, its face 12 m ahead, standing on the road 1.7 m below the sensor.
FACE_X, HALF_WIDTH, BOTTOM, TOP = 12.0, 0.9, -1.7, -0.3


def write_thing(root: Path, number: int) -> list[float]:
    """Replace a sweep by road and the box; returns the box's x, y, w, h in the image."""
    road = np.stack(np.meshgrid(np.arange(4, 40, 0.25), np.arange(-12, 12, 0.25)), -1).reshape(-1, 2)
    road = np.column_stack([road, np.full(len(road), BOTTOM)])
    face = np.stack(
        np.meshgrid(np.arange(-0.9, 0.91, 0.06), np.arange(BOTTOM + 0.05, TOP, 0.06)), -1
    ).reshape(-1, 2)
    face = np.column_stack([np.full(len(face), FACE_X + 0.1 * number), face])
    points = np.concatenate([road, face])
    sweep = np.column_stack([points, np.full(len(points), 0.5)]).astype("<f4")
    sweep.tofile(root / f"training/velodyne/{number:06d}.bin")
    pixels = (P2 @ np.vstack([TR @ np.column_stack([face, np.ones(len(face))]).T, np.ones(len(face))])).T
    uv = pixels[:, :2] / pixels[:, 2:]
    (x0, y0), (x1, y1) = uv.min(axis=0), uv.max(axis=0)
    return [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """Three frames."""
    return write_kitti(tmp_path / "kitti", frames=3)


@pytest.fixture
def detections(scan: Path, tmp_path: Path) -> Path:
    """The thing in each frame with score 0.9, and a box on the sky with score 0.5."""
    annotations = []
    for number in range(3):
        for category, box, score in ((1, write_thing(scan, number), 0.9), (2, [20.0, 5.0, 40.0, 20.0], 0.5)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number + 1,
                    "category_id": category,
                    "bbox": box,
                    "score": score,
                }
            )
    content = {
        "info": {"source": "detector"},
        "images": [
            {"id": n + 1, "file_name": f"training/image_2/{n:06d}.png", "width": 400, "height": 160}
            for n in range(3)
        ],
        "categories": [{"id": 1, "name": "Traffic_Cone"}, {"id": 2, "name": "kite"}],
        "annotations": annotations,
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    return tmp_path / "boxes.json"


@pytest.fixture
def command(scan: Path, detections: Path, tmp_path: Path) -> list[str]:
    return ["prep", "kitti", str(scan), "--detections", str(detections), "--out", str(tmp_path / "out")]


def test_objects_are_mined_and_the_sky_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["objects"], report["frames"], report["bad_frames"]) == (3, 3, 0)
    assert sum(report["rejections"].values()) == 3
    for number, triplet in enumerate(open_triplets(tmp_path / "out")):
        assert triplet.texts == ("traffic cone",)
        size = triplet.points.max(axis=0) - triplet.points.min(axis=0)
        # The box's face, as wide as it was made; what is lowest may go with the road.
        assert size[0] < 0.1
        assert size[1] == pytest.approx(1.8, abs=0.1)
        assert 0.9 < size[2] < 1.4
        assert triplet.provenance.center[0] == pytest.approx(FACE_X + 0.1 * number, abs=0.05)


def test_the_report_counts_mined_and_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "3 frames of kitti" in out
    assert "rejected: no-points-in-region" in out


def test_called_again_there_is_nothing_to_do(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(command)
    capsys.readouterr()
    assert main(command) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_other_options_in_the_same_folder_are_refused(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(command)
    assert main([*command, "--min-score", "0.6"]) == 2
    assert "min_score: was 0.3, is 0.6 now. Fix:" in capsys.readouterr().err


def test_the_score_threshold_leaves_detections_out(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--min-score", "0.6", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["objects"], report["rejected"]) == (3, 0)


def test_frames_every_and_limit(command: list[str], tmp_path: Path) -> None:
    assert main([*command, "--frames", "000000,000002"]) == 0
    frames = [triplet.provenance.frame for triplet in open_triplets(tmp_path / "out")]
    assert frames == ["000000", "000002"]


def test_a_truncated_sweep_is_reported_and_skipped(
    command: list[str], scan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = scan / "training/velodyne/000001.bin"
    sweep.write_bytes(sweep.read_bytes()[:-3])
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["objects"] == 2
    assert [bad["frame"] for bad in report["bad_frame_list"]] == ["000001"]
    assert "000001.bin" in report["bad_frame_list"][0]["error"]


def test_no_readable_frame_is_a_failure(command: list[str], scan: Path) -> None:
    for sweep in (scan / "training/velodyne").iterdir():
        sweep.write_bytes(b"abc")
    assert main(command) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--option", "color=red"], "'color' is not an option of kitti. Fix: known: split"),
        (["--option", "split=testing"], "testing"),
        (["--lifter", "magic"], "lifter: 'magic' is unknown"),
        (["--lift.min-points", "0"], "options: lift.min_points: 0 is not possible"),
        (
            ["--set", "lift.min_point=3"],
            "--set: lift.min_point: is not a known key. Fix: did you mean min_points?",
        ),
        (["--config", "/none.yaml"], "/none.yaml: does not exist"),
        (["--label-map", "person"], "--label-map: 'person' is not LABEL=LABEL,LABEL"),
        (["--frames", "7:"], "chooses none of 3 frames"),
        (["--margin", "-1"], "margin: -1.0 is not possible"),
        (["--min-score", "7"], "min_score: 7.0 is not possible"),
    ],
)
def test_bad_options_are_one_line_and_write_nothing(
    command: list[str], change: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *change]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert error.count("\n") == 0
    assert not (tmp_path / "out").exists()


def test_detections_of_another_scan_stop_before_anything_is_written(
    command: list[str], detections: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detections.write_text(detections.read_text().replace("image_2/", "elsewhere/"))
    assert main(command) == 2
    assert "none of its 3 images is in the scan" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scan_that_is_not_simulated_needs_detections(
    scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prep", "kitti", str(scan), "--out", str(tmp_path / "out")]) == 2
    assert "--detections: is missing" in capsys.readouterr().err


def test_mining_imports_no_torch(command: list[str]) -> None:
    program = (
        "import sys; from clip2.cli.main import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    result = subprocess.run(
        [sys.executable, "-c", program, *command], cwd=root, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("source", "folder", "boxes", "objects"),
    [
        ("kitti", "kitti_object", "kitti_object_gt", 6),
        ("kitti-tracking", "kitti_tracking", "kitti_tracking_gt", 63),
        ("sunrgbd", "sunrgbd", "sunrgbd_fastestdet", 45),
    ],
)
def test_real_scans_are_mined_and_every_detection_is_accounted_for(
    source: str,
    folder: str,
    boxes: str,
    objects: int,
    real_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["prep", source, str(real_data / folder), "--out", str(tmp_path / "out"), "--json"]
    assert main([*arguments, "--detections", str(real_data / f"detections/{boxes}.json")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bad_frames"] == 0
    assert report["objects"] + report["rejected"] == objects
    assert report["objects"] > 0.8 * objects
    assert report["is_ground_truth"] == boxes.endswith("_gt")


def test_a_simulated_scan_brings_its_own_detections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["prep", "procedural", str(tmp_path / "room"), "--out", str(tmp_path / "out"), "--json"]
    options = ["--option", "frames=2", "--option", "image_size=160,120", "--option", "detector=good"]
    assert main([*arguments, *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 2
    assert report["objects"] > 0
    assert report["is_ground_truth"] is False
    # The same again: simulated twice, the detections are the same, so the set is recognized as complete.
    assert main([*arguments, *options]) == 0
    assert json.loads(capsys.readouterr().out) == report


def test_a_calibration_the_wrong_way_round_is_one_line(
    command: list[str], scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (scan / "training/calib").iterdir():
        lines = path.read_text().split("\n")
        turned = TR * [[-1], [1], [-1]]  # half a turn about the camera's y: it looks back
        number = next(n for n, line in enumerate(lines) if line.startswith("Tr_velo_to_cam"))
        lines[number] = "Tr_velo_to_cam: " + " ".join(map(str, turned.ravel()))
        path.write_text("\n".join(lines))
    assert main([*command, "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert (report["bad_frames"], report["objects"], report["rejections"]) == (3, 0, {})
    error = report["bad_frame_list"][0]["error"]
    assert error.startswith("frame 000000: training/image_2/000000.png: calibration: puts all ")
    assert "points behind the camera. Fix: check the direction" in error
    assert "\n" not in error


def test_a_cloud_without_images_is_one_line(
    detections: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).random((50, 3)))
    command = ["prep", "cloud", str(tmp_path / "cloud.npy"), "--out", str(tmp_path / "out")]
    for more in ([], ["--detections", str(detections)]):
        assert main([*command, *more]) == 2
        error = capsys.readouterr().err.strip()
        assert "cloud.npy: source cloud: holds no images" in error
        assert error.count("\n") == 0
        assert not (tmp_path / "out").exists()


def test_what_stands_in_every_frame_becomes_one_object(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--associate", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["objects"], report["merged"], report["frames"]) == (1, 2, 3)
    (cone,) = open_triplets(tmp_path / "out")
    assert len(cone.crops) == 3
    assert [row[0] for row in cone.provenance.sightings] == ["000000", "000001", "000002"]


def test_settings_of_association_reach_it_and_are_checked(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--associate.views", "2"]) == 2
    assert "--associate.views: is for --associate. Fix: add --associate" in capsys.readouterr().err
    assert main([*command, "--associate", "--associate.views", "0"]) == 2
    assert "associate.views: 0 is not possible" in capsys.readouterr().err
    assert main([*command, "--associate", "--associate.views", "2"]) == 0
    assert [len(triplet.crops) for triplet in open_triplets(tmp_path / "out")] == [2]


def test_equal_pictures_are_thinned_and_counted(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--thin.move", "1"]) == 2
    assert "--thin.move: is for --thin" in capsys.readouterr().err
    # The twin's three images are one image, and there are no poses.
    assert main([*command, "--thin", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["frames"], report["thinned_frames"]) == (1, {"thinned-same-sight": 2})


def test_labels_from_a_file_captions_and_templates(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(json.dumps({"traffic_cone": ["cone", "pylon"]}))
    (tmp_path / "said.jsonl").write_text(
        json.dumps({"image": "training/image_2/000001.png", "detection": 3, "caption": "a dented cone"})
        + "\n"
    )
    texts = ["--label-map-file", str(tmp_path / "labels.json"), "--captions", str(tmp_path / "said.jsonl")]
    assert main([*command, *texts, "--caption-template", "a {} on a road"]) == 0
    assert [triplet.texts for triplet in open_triplets(tmp_path / "out")] == [
        ("cone", "pylon", "a cone on a road"),
        ("cone", "pylon", "a dented cone", "a cone on a road"),
        ("cone", "pylon", "a cone on a road"),
    ]


def test_flags_go_before_set_and_set_before_the_file(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "margin: 0.2\nmax_points: 99\nlift: {min_points: 7, max_truncated: 0.4}\nlabels: {traffic cone: [cone]}\n"
    )
    given = ["--config", str(tmp_path / "run.yaml"), "--set", "max_points=77", "--set", "lift.min_points=9"]
    flags = ["--lift.min-points", "5", "--label-map", "kite=dragon"]
    assert main([*command, *given, *flags]) == 0
    mining = open_triplets(tmp_path / "out").manifest.options["mining"]
    assert (mining["margin"], mining["max_points"]) == (0.2, 77)
    assert (mining["lift"]["min_points"], mining["lift"]["max_truncated"]) == (5, 0.4)
    assert mining["labels"] == {"traffic cone": ["cone"], "kite": ["dragon"]}


def test_the_manifest_of_a_set_repeats_its_configuration(command: list[str], tmp_path: Path) -> None:
    first = [
        *command,
        "--associate",
        "--associate.views",
        "2",
        "--caption-template",
        "a {}",
        "--margin",
        "0.3",
    ]
    assert main(first) == 0
    again = [*command[:-1], str(tmp_path / "again"), "--config", str(tmp_path / "out/manifest.json")]
    assert main(again) == 0
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_help_shows_nested_flags_and_imports_nothing_heavy() -> None:
    program = (
        "import sys, time; from clip2.cli.main import main\n"
        "try: main(['prep', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(str({'numpy', 'scipy', 'torch', 'PIL', 'open3d'} & set(sys.modules) or ''))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr == "\n"
    for flag in ("--associate.views INT", "--lift.min-points INT", "--thin.move FLOAT", "--every INT"):
        assert flag in result.stdout


@pytest.mark.parametrize("damaged", [1e12, 1e19, 3e38, np.nan])
def test_one_damaged_float_does_not_stop_the_job(
    command: list[str],
    scan: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    damaged: float,
) -> None:
    file = scan / "training/velodyne/000001.bin"
    sweep = np.fromfile(file, "<f4")
    sweep[4] = damaged
    sweep.tofile(file)
    assert main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["objects"], result["bad_frames"]) == (3, 0)
    if np.isfinite(damaged):
        assert "frame 000001: 1 stray point is left out" in caplog.text
