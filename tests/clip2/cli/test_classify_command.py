import json

import numpy as np
import pytest
from support.mini_stand_ins import WORDS, make_everything_strange, put_tiny_mini_points
from support.recognition_stand_ins import box_surface, tiny_bank, tiny_model

from clip2.checkpoint import MINI_POINTS, save
from clip2.cli import main
from clip2.cli.model_options import ModelOptions


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    save(tiny_model(), folder, text_bank=tiny_bank())
    return str(folder)


@pytest.fixture
def clouds(tmp_path):
    paths = []
    for name, size in (("flat", (1.0, 0.8, 0.1)), ("tall", (0.3, 0.3, 1.5))):
        np.save(tmp_path / f"{name}.npy", box_surface((0, 0, 0), size).astype(np.float32))
        paths.append(str(tmp_path / f"{name}.npy"))
    return paths


def test_every_file_gets_its_words(clouds, run, capsys):
    words = "chair,table,box,floor"
    assert main(["classify", *clouds, "--model", run, "--labels", words, "--json", "--top", "2"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["labels"] == words.split(",")
    assert [o["file"] for o in document["objects"]] == clouds
    for item in document["objects"]:
        assert len(item["top"]) == 2
        assert item["label"] == item["top"][0]["label"]
        assert item["top"][0]["score"] >= item["top"][1]["score"] > 0
    assert main(["classify", *clouds, "--model", run, "--labels", words]) == 0
    table = capsys.readouterr().out
    assert all(item["label"] in table for item in document["objects"])


def test_y_up_and_z_up_files_of_one_object_agree(clouds, run, tmp_path, capsys):
    points = np.load(clouds[1])
    # The smallest rotation from y to z, undone: x y z → x z -y.
    np.save(tmp_path / "yup.npy", np.column_stack([points[:, 0], points[:, 2], -points[:, 1]]))
    scores = []
    for path, up in ((clouds[1], "z"), (str(tmp_path / "yup.npy"), "y")):
        assert main(["classify", path, "--up", up, "--model", run, "--labels", "chair,table", "--json"]) == 0
        scores.append(json.loads(capsys.readouterr().out)["objects"][0]["score"])
    assert scores[0] == pytest.approx(scores[1], abs=0.02)  # another sample of the same points


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--labels", ""], "is empty"),
        (["--labels", "chair, chair"], "twice"),
        (["--labels", "chiar"], "chair"),
        (["--labels", "chair", "--up", "w"], "up"),
        (["--labels", "chair", "--top", "0"], "--top"),
    ],
)
def test_bad_options_are_named(clouds, run, capsys, arguments, message):
    assert main(["classify", *clouds, "--model", run, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_bad_files_are_named(run, tmp_path, capsys):
    assert main(["classify", str(tmp_path / "no.ply"), "--model", run, "--labels", "chair"]) == 2
    assert "no.ply" in capsys.readouterr().err.replace("\n", "")
    assert main(["classify", "--model", run, "--labels", "chair"]) == 2
    assert "no files given" in capsys.readouterr().err


def test_without_a_model_and_words_the_shipped_ones_are_used(clouds, tmp_path, monkeypatch, capsys):
    put_tiny_mini_points(tmp_path / "shipped", monkeypatch)
    assert main(["classify", *clouds, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert tuple(document["labels"]) == WORDS
    assert "one synthetic world" in document["note"]
    assert main(["classify", *clouds, "--labels", "something red to sit on,table"]) == 0
    shown = capsys.readouterr()
    assert "something red to sit on" in shown.out
    assert shown.err.replace("\n", " ").count("synthetic world") == 1
    assert "clip2 auto" in shown.err.replace("\n", " ")


def test_what_the_model_does_not_know_is_unknown(clouds, tmp_path, monkeypatch, capsys):
    put_tiny_mini_points(tmp_path / "shipped", monkeypatch)
    make_everything_strange(tmp_path / "shipped" / "points")
    assert main(["classify", *clouds, "--json"]) == 0
    for item in json.loads(capsys.readouterr().out)["objects"]:
        assert (item["label"], item["score"]) == ("unknown", 0.0)
        assert item["top"][0]["label"] in WORDS
    assert main(["classify", *clouds]) == 0
    assert capsys.readouterr().out.count("unknown") == 2
    assert main(["classify", *clouds, "--unknown", "name", "--json"]) == 0
    for item in json.loads(capsys.readouterr().out)["objects"]:
        assert item["label"] == item["top"][0]["label"]


def test_a_model_of_a_real_clip_has_no_such_limits(clouds, run, capsys):
    assert main(["classify", *clouds, "--model", run, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["labels"] == ["chair", "table", "box", "floor", "traffic light"]
    assert "note" not in document
    assert main(["classify", *clouds, "--model", run, "--labels", "chair"]) == 0
    assert capsys.readouterr().err == ""


def test_an_installation_without_the_shipped_model_says_so(clouds, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("clip2.checkpoint.MINI_POINTS_FOLDER", tmp_path / "nothing")
    assert main(["classify", *clouds]) == 2
    error = capsys.readouterr().err
    assert "mini-points" in error
    assert "is not in this installation" in error
    assert ModelOptions().model == MINI_POINTS


def test_a_cloud_that_is_no_object_is_named_by_its_file(clouds, run, tmp_path, capsys):
    np.save(tmp_path / "dot.npy", np.ones((5, 3), np.float32))
    arguments = [*clouds, str(tmp_path / "dot.npy"), "--model", run, "--labels", "chair"]
    assert main(["classify", *arguments]) == 2
    error = capsys.readouterr().err.replace("\n", "")
    assert "dot.npy: points: all 5 are the same place" in error
    assert "cloud 2" not in error
    assert main(["classify", str(tmp_path), "--model", run, "--labels", "chair"]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_brackets_in_file_names_stay(clouds, run, tmp_path, capsys):
    for name in ("mug[a].npy", "mug[", "[bold].npy"):
        path = (tmp_path / name).with_suffix(".npy")
        np.save(path, np.load(clouds[0]))
        assert main(["classify", str(path), "--model", run, "--labels", "chair,table"]) == 0
        assert path.name in capsys.readouterr().out.replace("\n", "")


def test_columns_can_be_stated(clouds, run, tmp_path, capsys):
    points = np.load(clouds[0])
    table = np.column_stack([points, np.full_like(points, 200)]).astype(np.float32)
    table.tofile(tmp_path / "o.bin")
    np.save(tmp_path / "o.npy", table)  # knows its columns itself
    arguments = ["--model", run, "--labels", "chair,table", "--json"]
    scores = []
    for name, option in ((str(tmp_path / "o.npy"), []), (str(tmp_path / "o.bin"), ["--option", "columns=6"])):
        assert main(["classify", name, *option, *arguments]) == 0
        scores.append(json.loads(capsys.readouterr().out)["objects"][0]["score"])
    assert scores[0] == scores[1]
    assert main(["classify", clouds[0], "--option", "kolumns=6", *arguments]) == 2
    assert "kolumns" in capsys.readouterr().err


def test_gltf_is_y_up_unless_said_otherwise(run, tmp_path, capsys):
    import trimesh

    mesh = trimesh.creation.box((0.3, 1.5, 0.4))
    mesh.export(tmp_path / "tall.glb")
    scores = []
    for up in ([], ["--up", "y"], ["--up", "z"]):
        arguments = [str(tmp_path / "tall.glb"), *up, "--model", run, "--labels", "chair,table", "--json"]
        assert main(["classify", *arguments]) == 0
        scores.append(json.loads(capsys.readouterr().out)["objects"][0]["top"])
    assert scores[0] == scores[1] != scores[2]
