import json

import numpy as np
import pytest

from clip2.cli.main import main

TABLE = ["map", "procedural", "tabletop", "--option", "frames=40", "--labels", "mug,bottle,bowl"]


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    out = tmp_path_factory.mktemp("command") / "map"
    assert main([*TABLE, "--frames", "0:4", "--out", str(out)]) == 0
    return out


def test_a_map_is_written_and_continued_under_the_same_ids(mapped, capsys):
    before = {one["id"] for one in json.loads((mapped / "map.json").read_text())["objects"]}
    assert before
    assert main([*TABLE, "--frames", "4:6", "--out", str(mapped), "--continue", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["frames"] == 2
    tracks = {one["track"] for one in document["objects"]}
    assert tracks & before
    assert {one["label"] for one in document["objects"]} <= {"mug", "bottle", "bowl", "unknown"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--out", "{map}"], "holds a map already. Fix: add --continue"),
        (["--out", "{new}", "--continue"], "holds no map to continue"),
        (["--out", "{new}", "--merge-transform", "T.txt"], "--merge-transform: belongs to --merge"),
        (["--out", "{new}", "--merge", "{new}"], "holds no map"),
        (["--out", "{new}", "--confirm", "0"], "confirm"),
        (["--out", "{new}", "--labels", ","], "labels"),
    ],
)
def test_bad_options_are_one_line(mapped, tmp_path, capsys, arguments, told):
    names = {"{map}": str(mapped), "{new}": str(tmp_path / "new")}
    assert main([*TABLE, *(names.get(part, part) for part in arguments)]) == 2
    said = capsys.readouterr().err.strip()
    assert told in said
    assert len(said.splitlines()) == 1


def test_a_sequence_without_poses_gets_them_by_registration(tmp_path, caplog):
    rng = np.random.default_rng(0)
    walls = rng.uniform(-8, 8, (6000, 3)) * [1, 1, 0.3]
    walls[:3000, 0], walls[3000:5000, 1], walls[5000:, 2] = 8, 8, -2
    crate = rng.uniform(-0.5, 0.5, (600, 3)) + [4, 0, -1.5]
    for step in range(4):
        cloud = np.concatenate([walls, crate]) - [0.4 * step, 0, 0]
        np.save(tmp_path / f"{step}.npy", cloud.astype(np.float32))
    out = tmp_path / "map"
    assert main(["map", "cloud", str(tmp_path), "--labels", "box", "--out", str(out)]) == 0
    assert "has no poses: they are estimated" in caplog.text
    assert json.loads((out / "map.json").read_text())["frames"] == 4
