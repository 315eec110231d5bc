"""``clip2 index`` and ``clip2 search`` as commands."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from support.recognition_stand_ins import box_surface, ground

from clip2 import Index, Recognizer, load
from clip2.cli import main
from clip2.search import StoredObject

SIZES = {"a": (0.5, 0.5, 0.9), "b": (0.3, 0.3, 0.3)}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    model = load("mini-points")
    for name, size in SIZES.items():
        points = np.concatenate([ground(2, 0.05), box_surface((0, 0, size[2] / 2), size, spacing=0.03)])
        result = Recognizer(model).set_scan(points).query("chair,box", unknown="name")
        result.to_json(folder / f"{name}.json")
        result.to_ply(folder / f"{name}.ply")
        np.save(folder / f"{name}.npy", box_surface((0, 0, 0), size, spacing=0.03).astype(np.float32))
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "crop.png")
    return folder


@pytest.fixture(scope="module")
def database(results):
    path = str(results / "db")
    assert main(["index", str(results / "a.json"), str(results / "b.json"), "--out", path]) == 0
    return path


def search(capsys, *arguments: str) -> list[dict]:
    assert main(["search", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["hits"]


def test_adding_reports_new_objects_once(results, tmp_path, capsys):
    command = [
        "index",
        str(results / "a.json"),
        str(results / "b.json"),
        "--out",
        str(tmp_path / "db"),
        "--json",
    ]
    assert main(command) == main(command) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["objects"] == second["objects"] == sum(first["added"].values()) >= 2
    assert set(second["added"].values()) == {0}


def test_words_images_clouds_and_filters(results, database, tmp_path, capsys):
    found = search(capsys, database, "wooden box")
    assert {hit["scan"] for hit in found} == {"a", "b"}
    assert {hit["scan"] for hit in search(capsys, database, "box", "--scan", "b")} == {"b"}
    assert search(capsys, database, "box", "--since", "2026-11-29") == []
    assert search(capsys, database, "box", "--near", "50,0,0,1") == []
    (best, *_) = search(capsys, database, "--cloud", str(results / "a.npy"), "--top", "1")
    assert best["scan"] == "a"
    assert best["similarity"] > 0.8
    assert search(capsys, database, "--image", str(results / "crop.png"))
    page = tmp_path / "page.html"
    assert main(["search", database, "box", "--html", str(page)]) == 0
    assert "similarity" in capsys.readouterr().out
    assert page.read_text().count('class="card"') == len(found)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "QUERY: is missing"),
        (["box", "--near", "1,2"], "near: "),
        (["box", "--near", "a,b,c,d"], "--near: is 'a,b,c,d'"),
        (["box", "--since", "yesterday"], "--since: is 'yesterday'"),
        (["box", "--top", "0"], "is 0"),
        (["--cloud", "nowhere.ply"], "nowhere.ply"),
        (["--image", "nowhere.png"], "nowhere.png"),
        ([""], "is empty"),
    ],
)
def test_bad_searches_are_one_line(database, capsys, arguments, message):
    assert main(["search", database, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_no_index_and_no_result(results, tmp_path, capsys):
    assert main(["search", str(tmp_path / "none"), "box"]) == 2
    assert "is no index, or an empty one" in capsys.readouterr().err
    (tmp_path / "other.json").write_text("{}")
    assert main(["index", str(tmp_path / "other.json"), "--out", str(tmp_path / "db")]) == 2
    assert "other.json" in capsys.readouterr().err
    assert not (tmp_path / "db").exists()


def test_codes_for_the_terminal_are_shown_as_text(tmp_path, capsys):
    model = load("mini-points")
    (vector,) = model.text_source().embed_labels(["mug"])
    evil = "mug\x1b[31m\x07"
    Index(tmp_path / "db").add([StoredObject(vector, np.ones(7), evil, scan=evil)], model.teacher.name)
    assert main(["search", str(tmp_path / "db"), "mug"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("mug\\x1b") == 2  # the table may cut the cell
    assert main(["search", str(tmp_path / evil), "mug"]) == 2
    assert "\x1b" not in capsys.readouterr().err
