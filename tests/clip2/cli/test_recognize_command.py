import json

import numpy as np
import pytest
from recognition_stand_ins import MODEL, three_boxes_on_a_floor, tiny_bank, tiny_model

from clip2.checkpoint import save
from clip2.cli import main
from clip2.recognition import Instances3D


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    save(tiny_model(), folder, text_bank=tiny_bank())
    return str(folder)


@pytest.fixture(scope="module")
def wordless(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "wordless"
    save(tiny_model(), folder)
    return str(folder)


@pytest.fixture
def cloud(tmp_path):
    path = tmp_path / "room.npy"
    np.save(path, three_boxes_on_a_floor(0.02).astype(np.float32))
    return str(path)


def error_of(capsys, *arguments) -> str:
    assert main(["recognize", *arguments]) == 2
    return capsys.readouterr().err.replace("\n", " ")


def test_a_cloud_becomes_three_files(cloud, run, tmp_path, capsys):
    out = tmp_path / "out" / "found.json"
    assert main(["recognize", cloud, "--model", run, "--labels", "chair,table", "--out", str(out)]) == 0
    result = Instances3D.from_json(out)
    assert len(result) == 3
    assert result.vocabulary == ("chair", "table")
    assert sorted(p.name for p in out.parent.iterdir()) == ["found.html", "found.json", "found.ply"]
    assert "3 of 3 objects kept" in capsys.readouterr().out


def test_json_goes_to_standard_output_alone(cloud, run, tmp_path, capsys):
    out = tmp_path / "found.json"
    arguments = [cloud, "--model", run, "--labels", "chair,table", "--out", str(out), "--json"]
    assert main(["recognize", *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["objects"]) == 3
    assert document["files"] == [str(out.with_suffix(s)) for s in (".json", ".ply", ".html")]
    assert set(document["seconds"]) == {"propose", "boxes", "encode"}


def test_words_can_come_from_a_bank_file(cloud, wordless, tmp_path, capsys):
    bank = tiny_bank()
    np.savez(tmp_path / "bank.npz", names=np.array(bank.names), embeddings=bank.embeddings)
    arguments = [cloud, "--model", wordless, "--labels", "chair", "--out", str(tmp_path / "r.json")]
    given = ["--bank", str(tmp_path / "bank.npz"), "--bank-model", MODEL]
    assert main(["recognize", *arguments, *given]) == 0
    capsys.readouterr()
    assert "--bank-model" in error_of(capsys, *arguments, "--bank", str(tmp_path / "bank.npz"))
    other = ["--bank", str(tmp_path / "bank.npz"), "--bank-model", "ViT-B-16/openai"]
    assert "ViT-B-16" in error_of(capsys, *arguments, *other)
    assert "exclude each other" in error_of(capsys, *arguments, *given, "--clip", MODEL)
    assert "carries no words" in error_of(capsys, *arguments)
    assert "there is no --bank" in error_of(capsys, *arguments, "--bank-model", MODEL)


def test_up_axis_of_a_file(run, tmp_path, capsys):
    points = three_boxes_on_a_floor(0.02).astype(np.float32)
    np.save(tmp_path / "yup.npy", points[:, [1, 2, 0]])  # z-up x y z stored as y z x: up is y
    arguments = ["--model", run, "--labels", "chair", "--out", str(tmp_path / "r.json"), "--json"]
    assert main(["recognize", str(tmp_path / "yup.npy"), "--up", "y", *arguments]) == 0
    heights = sorted(o["size"][2] for o in json.loads(capsys.readouterr().out)["objects"])
    assert heights == pytest.approx([0.5, 0.8, 1.8], abs=0.06)


def test_a_sequence_is_fused(run, tmp_path, capsys):
    arguments = ["room", "--source", "procedural", "--model", run, "--labels", "chair,table"]
    out = ["--out", str(tmp_path / "r.json"), "--json", "--voxel", "0.04"]
    assert main(["recognize", *arguments, *out]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["frame"]["id"] == "room-0000-000000-room-0000-000007"
    assert len(document["objects"]) > 2
    assert main(["recognize", *arguments, *out, "--frame", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["frame"]["id"] == "room-0000-000003"
    assert "is '8'" in error_of(capsys, *arguments, "--frame", "8")


def test_bad_words_stop_before_the_scan_is_read(run, capsys):
    for labels, message in (
        ("", "is empty"),
        ("chair,chair", "twice"),
        ("chair,Chair", "one word"),
        ("submarine", "submarine"),
    ):
        assert message in error_of(capsys, "no/such/file.ply", "--model", run, "--labels", labels)


def test_bad_input_is_one_line(cloud, run, tmp_path, capsys):
    labels = ["--labels", "chair"]
    assert "no trained model ships with clip2 yet" in error_of(capsys, cloud, *labels)
    assert "does not exist" in error_of(capsys, str(tmp_path / "no.ply"), "--model", run, *labels)
    (tmp_path / "empty.bin").write_bytes(b"")
    assert "empty.bin" in error_of(capsys, str(tmp_path / "empty.bin"), "--model", run, *labels)
    assert "threshold" in error_of(capsys, cloud, "--model", run, *labels, "--threshold", "2")
    assert "knows its own axes" in error_of(
        capsys, "room", "--source", "procedural", "--up", "y", "--model", run, *labels
    )


def test_real_sweep_with_and_without_detections(real_data, run, tmp_path, capsys):
    root = str(real_data / "kitti_object")
    arguments = [root, "--source", "kitti", "--model", run, "--labels", "chair,table"]
    out = ["--out", str(tmp_path / "r.json"), "--json"]
    assert main(["recognize", *arguments, *out, "--frame", "000002"]) == 0
    assert len(json.loads(capsys.readouterr().out)["objects"]) > 10
    boxes = str(real_data / "detections" / "kitti_object_gt.json")
    assert main(["recognize", *arguments, *out, "--frame", "000002", "--detections", boxes]) == 0
    assert 1 <= len(json.loads(capsys.readouterr().out)["objects"]) <= 2
    assert "3 frames that are not one cloud" in error_of(capsys, *arguments)
