import json

import numpy as np
import pytest
from support.box_world import sweep
from support.recognition_stand_ins import tiny_bank, tiny_model

import clip2
from clip2.mapping import files
from data_prep.errors import InputError
from data_prep.geometry import rigid

ROOM = {
    0: ((4, 0, 0.5), (1, 1, 1)),
    1: ((0, 5, 0.75), (0.4, 0.4, 1.5)),
    2: ((-4, 1, 0.3), (1.6, 0.8, 0.6)),
    3: ((-2, -4, 1.0), (0.5, 0.5, 2.0)),
    4: ((3, -4, 0.4), (0.8, 0.3, 0.8)),
}


def mapped(T=None, boxes=ROOM):
    object_map = clip2.ObjectMap(tiny_model(tiny_bank()))
    for step in range(4):
        object_map.update(*sweep(boxes, step / 10, T=T))
    return object_map


@pytest.fixture
def saved(tmp_path):
    return mapped().save(tmp_path / "map")


def test_a_loaded_map_answers_the_same_and_goes_on_under_the_same_ids(saved):
    before, after = mapped(), clip2.ObjectMap.load(saved, tiny_model(tiny_bank()))
    first, second = (m.query("chair, box, table", points=True) for m in (before, after))
    assert first.labels == second.labels
    assert np.allclose(first.scores, second.scores)
    assert np.allclose(first.points, second.points)
    assert np.allclose(first.boxes, second.boxes)
    update = after.update(*sweep(ROOM, 0.0))  # the clock of a new session begins where it likes
    assert update.track_ids.tolist() == [0, 1, 2, 3, 4]


def test_the_folder_holds_what_other_programs_read(saved):
    assert sorted(path.suffix for path in saved.iterdir()) == [".html", ".json", ".npz", ".ply"]
    objects = json.loads((saved / "map.json").read_text())["objects"]
    assert [one["id"] for one in objects] == [0, 1, 2, 3, 4]
    assert objects[0]["state"] == "confirmed"
    assert "span" in (saved / "index.html").read_text()


def test_a_map_that_is_not_written_to_the_end_is_the_old_one(saved, monkeypatch):
    object_map = clip2.ObjectMap.load(saved, tiny_model(tiny_bank()))
    object_map.correct(rigid(translation=(5, 0, 0)))

    def full(path, write):
        if path.name == "map.json":
            raise OSError(28, "No space left on device")
        write(path)

    monkeypatch.setattr(files, "write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        object_map.save(saved)
    monkeypatch.undo()
    again = clip2.ObjectMap.load(saved, tiny_model(tiny_bank()))
    assert again.objects[0].box[0] < 5


def test_a_map_of_another_model_is_refused(saved):
    document = json.loads((saved / "map.json").read_text())
    (saved / "map.json").write_text(json.dumps({**document, "model": "ViT-L-14/openai"}))
    with pytest.raises(
        InputError, match=r"model: is of ViT-L-14/openai, 16 wide; the model is of ViT-B-32/openai"
    ):
        clip2.ObjectMap.load(saved, tiny_model(tiny_bank()))


@pytest.mark.parametrize("damage", ["cut", "missing", "pickle"])
def test_a_damaged_map_is_one_line(saved, damage):
    (arrays,) = saved.glob("*.npz")
    data = arrays.read_bytes()
    if damage == "missing":
        arrays.unlink()
    elif damage == "cut":
        arrays.write_bytes(data[: len(data) // 2])
    else:
        with arrays.open("wb") as file:
            np.savez(file, id=np.array([{}], object))
    with pytest.raises(InputError, match="is damaged"):
        clip2.ObjectMap.load(saved, tiny_model(tiny_bank()))


def test_a_folder_without_a_map_is_one_line(tmp_path):
    with pytest.raises(InputError, match="holds no map"):
        clip2.ObjectMap.load(tmp_path, tiny_model(tiny_bank()))


def test_maps_of_two_worlds_are_merged_by_objects_that_look_alike():
    c, s = np.cos(0.7), np.sin(0.7)
    T_other_self = rigid([[c, -s, 0], [s, c, 0], [0, 0, 1]], (20, -7, 0))
    one = mapped()
    other = mapped(T_other_self, {**ROOM, 9: ((1, 4, 0.25), (0.5, 0.5, 0.5))})
    T = one.merge(other)
    assert np.abs(T @ T_other_self - np.eye(4)).max() < 0.05
    assert len(one) == 6
    assert np.abs(one.objects[0].box[:2] - [3.7, 0]).max() < 0.4


def test_maps_without_common_objects_are_not_merged():
    other = mapped(boxes={5: ((2, 2, 2.0), (6, 0.3, 4.0))})
    with pytest.raises(InputError, match="T_self_other: cannot be placed: 1 objects"):
        mapped().merge(other)
