"""Detectors exported to ONNX: tiny graphs whose outputs hold one known box, in the form of each family of exports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from clip2.cli import main
from data_prep.detect import Vocabulary
from data_prep.detect.onnx_detector import OnnxDetector
from data_prep.errors import InputError

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

NAMES = ("mug", "chair", "car")
SIDE = 64  # of the input; the image is 128 x 64, so that letterboxing halves it
IMAGE = np.zeros((64, 128, 3), np.uint8)
INPUT_BOX = np.array([16.0, 8.0, 32.0, 24.0])  # in the input
IMAGE_BOX = [32.0, 16.0, 64.0, 48.0]
CENTER = np.array([24.0, 16.0, 16.0, 16.0])  # center and size in the input


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def outputs(layout: str) -> list[np.ndarray]:
    """Outputs of a network that found a chair with the score 0.8 in INPUT_BOX, and nothing else."""
    scores = np.array([0.0, 0.8, 0.0])
    if layout == "yolov5":
        return [np.array([[[*CENTER, 1.0, *scores], [*CENTER, 0.0, *scores]]])]
    if layout == "yolov8":
        return [np.array([[*CENTER, *scores]]).T[None]]
    if layout == "yolox":
        rows = np.zeros((8 * 8 + 4 * 4 + 2 * 2, 8))
        # Column 1, row 1 of the map of stride 16.
        rows[64 + 5] = [24 / 16 - 1, 16 / 16 - 1, 0.0, 0.0, 1.0, *scores]
        return [rows[None]]
    if layout == "nanodet":
        rows = np.zeros((8 * 8 + 4 * 4 + 2 * 2 + 1, 3 + 32))
        rows[:, 3:] = -100
        # Column 3, row 2 of the map of stride 8: a point (24, 16), one cell from every side.
        rows[2 * 8 + 3, :3] = scores
        rows[2 * 8 + 3, 3:].reshape(4, 8)[:, 1] = 100
        return [rows[None]]
    if layout == "fastestdet":
        grid = np.zeros((8, 4, 4))
        grid[:, 1, 1] = [1.0, np.arctanh(24 / 16 - 1), 0.0, logit(0.25), logit(0.25), *(scores ** (1 / 0.4))]
        return [grid[None]]
    if layout == "boxes-scores":
        return [INPUT_BOX[None, None], scores[None, None]]
    return [np.array([[[*INPUT_BOX, 0.8]]]), np.array([[1]])]


def write_detector(folder: Path, arrays: list[np.ndarray], **keys: object) -> Path:
    """A graph with constant outputs, and its description."""
    nodes, infos = [], []
    for i, array in enumerate(arrays):
        value = numpy_helper.from_array(array.astype(np.int64 if array.dtype.kind == "i" else np.float32))
        nodes.append(helper.make_node("Constant", [], [f"out{i}"], value=value))
        infos.append(helper.make_tensor_value_info(f"out{i}", value.data_type, array.shape))
    entry = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, (1, 3, SIDE, SIDE))
    graph = helper.make_graph(nodes, "twin", [entry], infos)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "twin.onnx")
    path = folder / "twin.yaml"
    path.write_text(yaml.safe_dump({"model": "twin.onnx", "names": list(NAMES), **keys}))
    return path


@pytest.mark.parametrize(
    "layout", ["yolox", "yolov5", "yolov8", "nanodet", "fastestdet", "boxes-scores", "dets-labels"]
)
def test_every_layout_gives_the_box_in_pixels_of_the_image(layout: str, tmp_path: Path) -> None:
    keys = {"strides": [8, 16, 32, 64]} if layout == "nanodet" else {}
    detector = OnnxDetector(write_detector(tmp_path, outputs(layout), layout=layout, **keys))
    (found,) = detector.detect([IMAGE], min_score=0.3)
    assert found.labels == ("chair",)
    assert found.scores.tolist() == pytest.approx([0.8], abs=1e-4)
    assert found.boxes[0].tolist() == pytest.approx(IMAGE_BOX, abs=1e-2)


def test_an_image_in_the_middle_and_a_stretched_one(tmp_path: Path) -> None:
    arrays = outputs("boxes-scores")
    middle = OnnxDetector(write_detector(tmp_path, arrays, layout="boxes-scores", centered=True))
    (found,) = middle.detect([IMAGE], 0.3)
    # 16 rows of the input lie above the image: the box is cut at its top.
    assert found.boxes[0].tolist() == pytest.approx([32, 0, 64, 16])
    stretched = OnnxDetector(write_detector(tmp_path, arrays, layout="boxes-scores", resize="stretch"))
    (found,) = stretched.detect([IMAGE], 0.3)
    assert found.boxes[0].tolist() == pytest.approx([32, 8, 64, 24])


def test_the_network_sees_the_channels_and_the_fill_as_stated(tmp_path: Path) -> None:
    path = write_detector(
        tmp_path, outputs("yolov5"), layout="yolov5", channels="bgr", mean=[1, 2, 3], std=[2, 2, 2], fill=11
    )
    detector = OnnxDetector(path)
    image = np.full((64, 128, 3), (10, 20, 30), np.uint8)
    array, scale, offset = detector._input(image)
    assert array.shape == (1, 3, SIDE, SIDE)
    assert array[0, :, 0, 0].tolist() == [(30 - 1) / 2, (20 - 2) / 2, (10 - 3) / 2]
    assert array[0, :, -1, -1].tolist() == [5.0, 4.5, 4.0]
    assert (scale.tolist(), offset.tolist()) == ([0.5, 0.5], [0, 0])


def test_a_vocabulary_keeps_some_of_its_labels(tmp_path: Path) -> None:
    path = write_detector(tmp_path, outputs("yolov5"), layout="yolov5")
    (found,) = OnnxDetector(path, Vocabulary.load("car,mug")).detect([IMAGE], 0.3)
    assert len(found.boxes) == 0
    with pytest.raises(InputError, match="'sofa' is not one of the detector's 3 labels"):
        OnnxDetector(path, Vocabulary.load("sofa"))


def test_clip2_detect_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_detector(tmp_path, outputs("yolov5"), layout="yolov5")
    out = tmp_path / "boxes.json"
    scan = ["procedural", "room", "--option", "frames=2"]
    assert main(["detect", *scan, "--detector", str(path), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["words"] == {"chair": 2}
    assert main(["detect", *scan, "--out", str(out)]) == 2
    assert "--vocabulary" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"layout": "yolov9"}, "layout"),
        ({"model": "other.onnx"}, "does not exist"),
        ({"names": ["mug", "chair"]}, "are 2, the network has 3 classes"),
        ({"layout": "fastestdet"}, "does not fit the outputs"),
        ({"strides": "x"}, "strides"),
    ],
)
def test_a_wrong_description_is_one_line(change: dict, problem: str, tmp_path: Path) -> None:
    path = write_detector(tmp_path, outputs("yolov5"), **({"layout": "yolov5"} | change))
    with pytest.raises(InputError, match=problem):
        OnnxDetector(path).detect([IMAGE], 0.3)


def test_a_damaged_model_is_one_line(tmp_path: Path) -> None:
    path = write_detector(tmp_path, outputs("yolov5"), layout="yolov5")
    (tmp_path / "twin.onnx").write_bytes(b"rubbish" * 20)
    with pytest.raises(InputError, match="is no graph that onnxruntime runs"):
        OnnxDetector(path)
