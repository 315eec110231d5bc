"""Own scan to named objects on a synthetic room; the stages run in this process (tests/siege kills them)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from support.training_shapes import unit_rows

import clip2
from clip2.auto import stages
from clip2.auto.config import OWN_SCAN, AutoConfig
from clip2.auto.plan import make_plan
from clip2.cli.main import main
from clip2.teacher import TextBank
from clip2.training import TrainConfig, load_config
from data_prep import open_scan
from data_prep.detect import CocoDetections
from data_prep.errors import BadFrameError, InputError
from data_prep.scans import Frame, Scan
from data_prep.triplets import open_triplets

OPTIONS = {"frames": 4, "seed": 3, "image_size": "160,120"}


def open_room() -> Scan:
    return open_scan("procedural", "room", frames=4, seed=3, image_size=(160, 120))


QUICK = (
    "train.loop.steps=3",
    "train.model.encoder={name: pointnet, options: {widths: [16, 32]}}",
    "train.model.preprocessing.num_points=32",
    "train.data.hold_out=0.3",
    "recognized_frames=1",
    "label_objects=2",
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Detections of a synthetic room, and a bank with a random vector for each of their labels."""
    folder = tmp_path_factory.mktemp("inputs")
    scan = open_room()
    scan.save_detections(folder / "boxes.json")
    labels = sorted({c["name"] for c in json.loads((folder / "boxes.json").read_text())["categories"]})
    TextBank(tuple(labels), unit_rows(len(labels)), "ViT-B-32/openai").save(folder / "bank.npz")
    return {"detections": str(folder / "boxes.json"), "bank": str(folder / "bank.npz")}


def scan_options() -> list[str]:
    return [part for name, value in OPTIONS.items() for part in ("--option", f"{name}={value}")]


def arguments(inputs: dict[str, str], out: Path) -> list[str]:
    given = [part for name, value in inputs.items() for part in (f"--{name}", value)]
    return [
        "auto",
        "procedural",
        "room",
        *scan_options(),
        "--out",
        str(out),
        *given,
        *(p for q in QUICK for p in ("--set", q)),
    ]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stages that ran, in this process."""
    ran: list[str] = []

    def run_stage(stage: stages.Stage, quiet: bool) -> tuple[int, float]:
        ran.append(stage.name)
        return main(stage.arguments), 0.1

    monkeypatch.setattr(stages, "run_stage", run_stage)
    return ran


def test_one_command_leads_to_named_objects_and_is_done_once(
    inputs: dict[str, str], tmp_path: Path, run_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert main(arguments(inputs, out)) == 0
    assert [name.split()[0] for name in run_here] == [
        "check",
        "prep",
        "inspect",
        "embed",
        "train",
        "recognize",
    ]
    model = clip2.load(out / "run")
    (result,) = out.glob("objects-*.json")
    objects = json.loads(result.read_text())["objects"]
    assert objects
    counts = Counter(triplet.texts[0] for triplet in open_triplets(out / "triplets"))
    often = {label for label, count in counts.items() if count >= 2}
    assert often < set(model.text_bank.names)
    assert {o["label"] for o in objects} <= {*often, "unknown"}
    page = (out / "report.html").read_text()
    assert "held-out frames" in page
    assert f'href="{result.with_suffix(".html").name}"' in page
    run_here.clear()
    assert main(arguments(inputs, out)) == 0
    assert run_here == []
    # Without its result a stage is not done; a stage that fails stops the run and is tried again.
    result.unlink()
    monkeypatch.setattr(stages, "run_stage", lambda stage, quiet: (2, 0.1))
    assert main(arguments(inputs, out)) == 2
    monkeypatch.undo()
    assert main(arguments(inputs, out)) == 0
    assert result.is_file()


def test_a_dry_run_states_the_cost_and_writes_nothing(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(inputs, tmp_path / "out"), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [row["stage"] for row in plan["rows"]] == ["check", "prep", "embed", "train", "recognize"]
    assert plan["seconds"] > 600  # ten minutes of training
    assert not (tmp_path / "out").exists()


def test_the_plan_is_near_what_mining_writes(inputs: dict[str, str], tmp_path: Path) -> None:
    from data_prep.triplets.mining import mine

    scan = open_room()
    config = AutoConfig(
        detections=inputs["detections"], bank=inputs["bank"], mining={"thin": {"enabled": False}}
    )
    plan = make_plan(scan, config, 6)
    detections = CocoDetections.load(Path(inputs["detections"]), min_score=config.mining.min_score)
    written = mine(scan, detections, str(tmp_path / "set"), config.mining).totals["bytes"]
    prep = next(row for row in plan.rows if row.stage == "prep")
    assert prep.disk == pytest.approx(written, rel=0.6)


@pytest.mark.slow
def test_the_configuration_file_states_every_stage(
    inputs: dict[str, str], tmp_path: Path, run_here: list[str]
) -> None:
    assert main(arguments(inputs, tmp_path / "out")) == 0
    whole = yaml.safe_load((tmp_path / "out" / "auto.yaml").read_text())
    assert whole["mining"]["associate"]["enabled"]
    again = [
        "auto",
        "procedural",
        "room",
        "--option",
        "frames=6",
        "--option",
        "seed=3",
        "--out",
        str(tmp_path / "two"),
    ]
    assert main([*again, "--config", str(tmp_path / "out" / "auto.yaml")]) == 0
    weights = [(tmp_path / run / "run" / "model.safetensors").read_bytes() for run in ("out", "two")]
    assert weights[0] == weights[1]


def test_the_shipped_training_configuration_is_the_one_that_is_used() -> None:
    path = Path(__file__).parents[3] / "configs" / "train" / "own_scan.yaml"
    assert load_config(path) == TrainConfig.model_validate(OWN_SCAN)
    changed = AutoConfig(vocabulary="coco", clip="x", train={"loop": {"steps": 7}})
    assert (changed.train.loop.steps, changed.train.loop.batch_size) == (7, 64)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"clip": "ViT-B-32/openai"}, "vocabulary"),
        ({"vocabulary": "coco"}, "clip"),
        ({"vocabulary": "coco", "clip": "a", "bank": "b"}, "either clip"),
        ({"vocabulary": "coco", "clip": "a", "minutes": 0}, "minutes"),
    ],
)
def test_what_is_missing_is_said_before_anything_runs(given: dict, problem: str, tmp_path: Path) -> None:
    from data_prep.config import load_config

    with pytest.raises(InputError, match=problem):
        load_config(AutoConfig, None, [f"{name}={value}" for name, value in given.items()])


def test_a_bare_cloud_is_sent_to_recognize(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "room.npy", np.random.default_rng(0).random((100, 3)).astype(np.float32))
    cloud = ["auto", "cloud", str(tmp_path / "room.npy"), "--out", str(tmp_path / "out")]
    assert main([*cloud, "--vocabulary", "coco", "--clip", "ViT-B-32/openai"]) == 2
    assert "clip2 recognize" in capsys.readouterr().err


def test_a_path_without_its_reader_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, reader in (("room.ply", "cloud"), ("drive.bag", "rosbag")):
        (tmp_path / name).write_bytes(b"")
        assert main(["auto", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 2
        assert f"Fix: clip2 auto {reader} {tmp_path / name}" in capsys.readouterr().err
    assert main(["auto", str(tmp_path)]) == 2
    assert "SOURCE one of cloud, kitti" in capsys.readouterr().err


class _BadFrames(Scan):
    """A scan some of whose frames cannot be read."""

    def __init__(self, scan: Scan, bad: set[int]) -> None:
        self._scan, self._bad = scan, bad
        self.source, self.root = scan.source, scan.root

    def frame_ids(self) -> list[str]:
        return self._scan.frame_ids()

    def __getitem__(self, index: int) -> Frame:
        if index in self._bad:
            raise BadFrameError("is cut short", source=f"frame {index}")
        return self._scan[index]


def test_the_plan_leaves_out_bad_frames(inputs: dict[str, str]) -> None:
    config = AutoConfig(**inputs)
    assert make_plan(_BadFrames(open_room(), {1}), config, 4).seconds > 0
    with pytest.raises(InputError, match="no frame of 4 can be read: frame 0: is cut short"):
        make_plan(_BadFrames(open_room(), {0, 1, 2, 3}), config, 4)
