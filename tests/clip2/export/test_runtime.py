"""Exported models on a machine without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from support.recognition_stand_ins import three_boxes_on_a_floor
from support.slim_installs import ROOT, left_out

import clip2
import data_prep.native as native
from clip2 import point_queries
from clip2.cli.main import main
from clip2.ops import ball_query, farthest_point_sample, knn
from clip2.runtime import OnnxModel
from data_prep import InputError

WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
import json
import numpy as np
from clip2.runtime import OnnxModel

model = OnnxModel(sys.argv[1])
scan = np.load(sys.argv[2])
found = model.recognize(scan, "chair, table, box", unknown="name")
answer = model.classify([scan[:200]], "chair, table")
print(json.dumps({{"labels": found.labels, "centers": found.boxes[:, :3].tolist(), "scores": answer.scores.tolist()}}))
"""


def test_objects_are_found_and_named_with_the_packages_of_the_slim_install(exported, tmp_path):
    blocked = left_out("requirements-runtime.txt") | {"onnx", "onnxscript", "rosbags"}
    assert {"torch", "open3d", "open_clip", "trimesh", "tyro"} <= blocked
    scan = three_boxes_on_a_floor()
    scan = np.asarray(scan[0] if isinstance(scan, tuple) else scan, np.float64)
    np.save(tmp_path / "scan.npy", scan)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH.format(blocked=blocked), str(exported), str(tmp_path / "scan.npy")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    model = clip2.load("mini-points")
    wanted = clip2.Recognizer(model).set_scan(scan).query("chair, table, box", unknown="name")
    assert found["labels"] == list(wanted.labels)
    assert np.allclose(found["centers"], wanted.boxes[:, :3])
    assert np.allclose(found["scores"], model.classify([scan[:200]], "chair, table").scores, atol=1e-4)


@pytest.mark.parametrize("built", [True, False], ids=["native", "numpy"])
def test_indices_are_those_of_torch(built, monkeypatch):
    import torch

    if built and native.problem():
        pytest.skip(native.problem())
    draw = np.random.default_rng(0)
    points = np.round(draw.random((3, 90, 3)), 1).astype(np.float32)  # many ties
    centers = np.concatenate([points[:, :20], np.full((3, 1, 3), 9, np.float32)], axis=1)  # one ball is empty
    lengths = np.array([90, 7, 1])
    wanted_sample = farthest_point_sample(torch.from_numpy(points), 40, torch.from_numpy(lengths))
    given = [torch.from_numpy(array) for array in (points, centers)]
    wanted_ball = ball_query(*given, 0.3, 8, torch.from_numpy(lengths))
    wanted_nearest = knn(*given, 12, torch.from_numpy(lengths))[1]
    if not built:
        monkeypatch.setattr(native, "problem", lambda: "not built")
    assert (point_queries.farthest_point_sample(points, 40, lengths) == wanted_sample.numpy()).all()
    assert (point_queries.ball_query(points, centers, 0.3, 8, lengths) == wanted_ball.numpy()).all()
    assert (point_queries.knn(points, centers, 12, lengths) == wanted_nearest.numpy()).all()


def test_a_cloud_with_one_point_is_one_line(exported):
    model = OnnxModel(exported)
    with pytest.raises(InputError, match=r"cloud 1.*has 1 points. Fix: give at least two"):
        model.encode([np.random.default_rng(0).random((30, 3)), np.zeros((1, 3))])
    with pytest.raises(InputError, match="no clouds given"):
        model.encode([])


def test_a_label_outside_the_bank_is_one_line(exported):
    with pytest.raises(InputError, match="zeppelin"):
        OnnxModel(exported).classify([np.random.default_rng(0).random((30, 3))], "chair, zeppelin")


@pytest.mark.parametrize("file", ["encoder.onnx", "text_bank.npz", "clip2_onnx.json"])
def test_a_missing_file_is_one_line(exported, file, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    (folder / file).unlink()
    with pytest.raises(InputError, match=file):
        OnnxModel(folder)


def test_an_altered_graph_and_a_path_outside_are_refused(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    with (folder / "encoder.onnx").open("ab") as file:
        file.write(b"0")
    with pytest.raises(InputError, match=r"encoder.onnx.*checksum"):
        OnnxModel(folder)
    text = (exported / "clip2_onnx.json").read_text().replace('"text_bank.npz"', '"../text_bank.npz"')
    (folder / "clip2_onnx.json").write_text(text)
    with pytest.raises(InputError, match="not in it"):
        OnnxModel(folder)


def test_recognize_and_map_take_an_export_as_their_model(exported, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # recognize writes its result here
    np.save(tmp_path / "scan.npy", np.asarray(three_boxes_on_a_floor(0.03), np.float32))
    found = []
    for model in (str(exported), "mini-points"):
        arguments = [str(tmp_path / "scan.npy"), "--labels", "chair,table", "--model", model, "--json"]
        assert main(["recognize", *arguments]) == 0
        found.append(json.loads(capsys.readouterr().out)["objects"])
    assert [one["label"] for one in found[0]] == [one["label"] for one in found[1]]
    assert np.allclose([one["score"] for one in found[0]], [one["score"] for one in found[1]], atol=1e-3)

    frames = ["procedural", "tabletop", "--option", "frames=40", "--frames", "0:3", "--labels", "mug,bottle"]
    out = tmp_path / "map"
    assert main(["map", *frames, "--model", str(exported), "--out", str(out)]) == 0
    assert json.loads((out / "map.json").read_text())["objects"]
    capsys.readouterr()
    assert main(["recognize", *arguments[:1], "--model", str(exported), "--device", "cuda"]) == 2
    assert "--device: is cuda, and a folder of clip2 export runs on the CPU" in capsys.readouterr().err
