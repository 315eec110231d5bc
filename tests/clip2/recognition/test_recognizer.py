import html
import json
import weakref
from dataclasses import replace

import numpy as np
import pytest
from support.recognition_stand_ins import (
    THREE_BOXES,
    WIDTH,
    WORDS,
    three_boxes_on_a_floor,
    tiny_bank,
    tiny_model,
)

from clip2.recognition import Instances3D, Recognizer
from data_prep import Camera, Detections2D, Frame, InputError, View


@pytest.fixture(scope="module")
def points():
    return three_boxes_on_a_floor(0.024)


@pytest.fixture(scope="module")
def recognizer(points):
    return Recognizer(tiny_model(tiny_bank())).set_scan((points, None))


def test_three_objects_get_names_boxes_and_embeddings(recognizer, points):
    result = recognizer.query(["chair", "table", "box"])
    assert len(result) == 3
    assert set(result.labels) <= {"chair", "table", "box"}
    assert result.embeddings.shape == (3, WIDTH)
    assert np.linalg.norm(result.embeddings, axis=1) == pytest.approx(1, abs=1e-5)
    assert (np.diff(result.scores) <= 0).all()
    centers = np.array([center for center, _, _ in THREE_BOXES])
    for row, index, R in zip(result.boxes, result.indices, result.rotations, strict=True):
        assert np.linalg.norm(centers - row[:3], axis=1).min() < 0.05
        assert R[:2, 0] == pytest.approx([np.cos(row[6]), np.sin(row[6])])
        assert (np.diff(index) > 0).all()
        local = (points[index] - row[:3]) @ R
        assert (np.abs(local) <= row[3:6] / 2 + 0.05).all()


def test_scores_are_the_softmax_of_scaled_cosines_times_objectness(recognizer):
    words = ["chair", "table"]
    result = recognizer.query(words)
    logits = result.embeddings @ tiny_bank().lookup(words).T / 0.07  # the temperature of an untrained model
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert result.scores == pytest.approx(expected.max(axis=1) * result.objectness, abs=1e-5)
    assert result.labels == tuple(words[i] for i in expected.argmax(axis=1))


def test_one_word_alone_is_as_sure_as_that_it_is_an_object(recognizer):
    result = recognizer.query("chair")
    assert result.scores == pytest.approx(result.objectness)


def test_threshold_leaves_the_sure_ones(recognizer):
    everything = recognizer.query("chair, table, box")
    cut = float(everything.scores[0])
    assert len(recognizer.query("chair, table, box", threshold=cut)) == (everything.scores >= cut).sum()
    assert len(recognizer.query("chair, table, box", threshold=1.0)) == 0


def test_background_words_compete_and_are_left_out(recognizer):
    both = recognizer.query(["chair", "table"])
    chairs = recognizer.query(["chair"], background=["table"])
    assert len(chairs) == both.labels.count("chair")
    assert sorted(chairs.scores) == pytest.approx(sorted(both[np.array(both.labels) == "chair"].scores))


def test_without_words_all_that_the_model_carries_compete(recognizer):
    assert recognizer.query().vocabulary == WORDS
    fewer = recognizer.query(background="Traffic_Light")
    assert fewer.vocabulary == ("chair", "table", "box", "floor")
    assert recognizer.check()[0] == WORDS


class Verdicts:
    """Stands for statistics of training objects: what is strange is said beforehand."""

    def __init__(self, strange):
        self.strange = strange

    def is_in_distribution(self, features):
        others = [True] * (len(features) - len(self.strange))  # alternatives, which come last
        return ~np.array([*self.strange, *others])


@pytest.fixture
def one_strange(points, recognizer):
    """The same scan for a model to which the first of the three objects is strange."""
    model = tiny_model(tiny_bank())
    model.ood_detector = Verdicts([True, False, False])
    return Recognizer(model).set_scan((points, None))


def test_what_is_like_nothing_known_is_called_unknown_and_comes_last(one_strange, recognizer):
    words = ["chair", "table", "box"]
    kept, named = one_strange.query(words), recognizer.query(words)
    assert len(kept) == len(named) == 3
    assert kept.labels[2] == "unknown"
    assert kept.scores[2] == 0
    assert "unknown" not in kept.labels[:2]
    assert kept.vocabulary == tuple(words)
    same = one_strange.query(words, unknown="name")
    assert (same.labels, same.scores.tolist()) == (named.labels, named.scores.tolist())
    dropped = one_strange.query(words, unknown="drop")
    assert (dropped.labels, dropped.scores.tolist()) == (kept.labels[:2], kept.scores[:2].tolist())


def test_any_threshold_leaves_the_unknown_out(one_strange):
    assert len(one_strange.query(["chair", "table"], threshold=1e-6)) == 2
    assert len(one_strange.query(["chair", "table"], threshold=1e-6, unknown="name")) == 3


def test_background_that_fits_better_is_left_out_unknown_or_not(one_strange, recognizer):
    for words, background in (("chair", "table"), ("table", "chair")):
        everything = recognizer.query(words, background=background)
        kept = one_strange.query(words, background=background)
        assert len(kept) == len(everything)


def test_there_are_three_ways_with_the_unknown(one_strange):
    with pytest.raises(InputError, match="use keep, name, drop"):
        one_strange.query("chair", unknown="guess")


def test_unknown_objects_are_gray_in_every_file(one_strange, tmp_path):
    result = one_strange.query(["chair", "table", "box"])
    again = Instances3D.from_json(result.to_json())
    assert again.labels == result.labels
    assert again.scores.tolist() == result.scores.tolist()
    assert again.to_ros()["detections"][2]["results"][0]["hypothesis"] == {
        "class_id": "unknown",
        "score": 0.0,
    }
    result.to_ply(tmp_path / "r.ply")
    vertices = PlyData(tmp_path / "r.ply")
    grays = vertices.colors(result.owners() == 2)
    assert len(grays) == 1
    assert len(set(grays[0])) == 1
    for i in (0, 1):
        assert all(len(set(color)) > 1 for color in vertices.colors(result.owners() == i))
    page = result.to_html(tmp_path / "r.html").read_text()
    assert "1 of them unlike the training objects" in page
    header = json.loads(html.unescape(page.split('data-header="')[1].split('"')[0]))
    assert [header["labels"][i] for i in header["gray"]] == ["unknown"]
    assert [box["caption"] == "" for box in header["boxes"]] == [False, False, True]
    named = one_strange.query(["chair", "table", "box"], unknown="name")
    assert "unlike anything" not in named.to_html(tmp_path / "n.html").read_text()


class PlyData:
    """Colors of a binary PLY of x y z (double), red green blue (uchar), instance (int)."""

    def __init__(self, path):
        body = path.read_bytes().partition(b"end_header\n")[2]
        self.rows = np.frombuffer(body, dtype=[("xyz", "<f8", 3), ("rgb", "u1", 3), ("instance", "<i4")])

    def colors(self, mask):
        return [tuple(color) for color in np.unique(self.rows["rgb"][mask], axis=0).tolist()]


def test_the_scan_is_embedded_once(points, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("encoded again")

    model = tiny_model(tiny_bank())
    recognizer = Recognizer(model).set_scan((points, None))
    monkeypatch.setattr(model, "describe", refuse)
    recognizer.query("chair")
    recognizer.query("table")


def test_the_world_coordinates_live_as_long_as_a_result_does(points):
    recognizer = Recognizer(tiny_model(tiny_bank())).set_scan((points, None))
    first, second = recognizer.query("chair"), recognizer.query("table")
    assert first.points is second.points
    kept, held = first.points.copy(), weakref.ref(first.points)
    del first, second
    assert held() is None  # the recognizer holds the scan alone, a third of it
    assert np.array_equal(recognizer.query("chair").points, kept)


def test_boxes_are_in_the_world_not_the_sensor(points):
    # The same scene seen by a sensor whose x axis points down.
    T_world_points = np.array([[0, 0, 1, 7], [0, 1, 0, 0], [-1, 0, 0, 2], [0, 0, 0, 1]], dtype=float)
    local = (points - T_world_points[:3, 3]) @ T_world_points[:3, :3]
    frame = Frame("tilted", local.astype(np.float32), T_world_points=T_world_points)
    turned = Recognizer(tiny_model(tiny_bank())).set_scan(frame).query("chair")
    straight = Recognizer(tiny_model(tiny_bank())).set_scan((points, None)).query("chair")
    assert len(turned) == len(straight) == 3
    order = [np.lexsort(r.boxes[:, :1].T) for r in (turned, straight)]
    assert turned.boxes[order[0], :6] == pytest.approx(straight.boxes[order[1], :6], abs=0.03)


@pytest.fixture
def seen_from_above(points):
    """A frame with one view from 5 m above the floor, and the rectangle (4,) of the middle box in it."""
    camera = Camera(
        np.array([[200.0, 0, 160], [0, 200.0, 120], [0, 0, 1]]),
        320,
        240,
        T_points_cam=np.array([[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 5], [0, 0, 0, 1]], dtype=float),
    )
    view = View("view.png", camera, np.zeros((240, 320, 3), np.uint8))
    around = points[np.linalg.norm(points[:, :2] - [1.2, 0.8], axis=1) < 0.4]
    uv, _ = camera.project(around[around[:, 2] > 0.4])
    box = np.concatenate([uv.min(axis=0) - 2, uv.max(axis=0) + 2])
    return Frame("above", points.astype(np.float32), views=(view,)), box


def test_the_page_shows_the_image_and_a_crop_of_each_object_in_it(seen_from_above, tmp_path):
    frame, _ = seen_from_above
    result = Recognizer(tiny_model(tiny_bank())).set_scan(frame).query("box")
    without = result.to_html(tmp_path / "a.html").read_text()
    page = result.to_html(tmp_path / "b.html", frame=frame).read_text()
    assert f"view.png: {len(result)} objects in this image" in page
    assert page.count("<img") >= without.count("<img") + len(result)  # a crop per object
    assert "objectness" in page
    with pytest.raises(InputError, match="give the frame that was recognized"):
        result.to_html(tmp_path / "c.html", frame=Frame("other", frame.points[:9]))


def test_a_cloud_with_many_images_is_not_seen_from_one_place(seen_from_above):
    frame, _ = seen_from_above
    beside = frame.views[0].camera.T_points_cam.copy()
    beside[0, 3] = 3.0
    moved = View("beside.png", replace(frame.views[0].camera, T_points_cam=beside), frame.views[0].image)
    fused = replace(frame, views=(frame.views[0], moved))
    result = Recognizer(tiny_model(tiny_bank())).set_scan(fused).query("chair")
    assert len(result) == 3
    assert result.boxes[:, 3:5] == pytest.approx(result.visible_boxes[:, 3:5])


def test_detections_choose_the_objects(seen_from_above):
    frame, box = seen_from_above
    recognizer = Recognizer(tiny_model(tiny_bank()))
    detections = Detections2D(box[None], np.ones(1), ("box",))
    result = recognizer.set_scan(frame, [detections]).query("box")
    assert len(result) == 1
    assert result.boxes[0, :2] == pytest.approx([1.2, 0.8], abs=0.1)
    assert len(recognizer.set_scan(frame, [Detections2D.empty()]).query("box")) == 0
    with pytest.raises(InputError, match="given for 2 images, the frame has 1"):
        recognizer.set_scan(frame, [detections, detections])
    with pytest.raises(InputError, match="one Detections2D per view"):
        recognizer.set_scan(frame, [box])


def test_a_box_detected_twice_gives_one_object(seen_from_above):
    frame, box = seen_from_above
    twice = Detections2D(np.stack([box, box + 1]), np.array([0.9, 0.8]), ("box", "chair"))
    assert len(Recognizer(tiny_model(tiny_bank())).set_scan(frame, [twice]).query("box")) == 1


def test_an_empty_floor_gives_an_empty_result():
    x, y = np.meshgrid(np.arange(0, 4, 0.03), np.arange(0, 4, 0.03))
    floor = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    result = Recognizer(tiny_model(tiny_bank())).set_scan((floor, None)).query("chair")
    assert len(result) == 0
    assert result.embeddings.shape == (0, WIDTH)


@pytest.mark.parametrize(
    "labels, message",
    [
        ("", "is empty"),
        ([], "is empty"),
        ("chair,,table", "empty"),
        ("chair, Chair", "the same label"),
        ("chiar", "chair"),
        (7, "labels"),
        ([7, 8], "labels"),
    ],
)
def test_bad_words_are_refused(recognizer, labels, message):
    with pytest.raises(InputError, match=message):
        recognizer.query(labels)


def test_a_word_cannot_be_wanted_and_unwanted(recognizer):
    with pytest.raises(InputError, match="twice"):
        recognizer.query("chair", background="chair")


def test_words_of_another_clip_are_refused_by_name():
    with pytest.raises(InputError, match="ViT-B-16"):
        Recognizer(tiny_model(), tiny_bank("ViT-B-16/openai"))
    with pytest.raises(InputError, match="8 wide"):
        Recognizer(tiny_model(), tiny_bank(width=8))


def test_order_of_use_is_checked():
    recognizer = Recognizer(tiny_model(tiny_bank()))
    with pytest.raises(InputError, match="call set_scan first"):
        recognizer.query("chair")


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan"), "half", None])
def test_threshold_is_a_probability(recognizer, threshold):
    with pytest.raises(InputError, match="threshold"):
        recognizer.query("chair", threshold=threshold)


def test_an_array_alone_is_a_scan(points, recognizer):
    alone = Recognizer(tiny_model(tiny_bank())).set_scan(points)
    assert (alone.query("chair").boxes == recognizer.query("chair").boxes).all()


def test_a_model_is_loaded_first():
    with pytest.raises(InputError, match=r"model: is a str.*clip2\.load"):
        Recognizer("run/")


def test_bad_clouds_are_refused():
    recognizer = Recognizer(tiny_model(tiny_bank()))
    one = np.zeros((5, 3))
    nan = np.full((5, 3), np.nan)
    for scan in (one[:0], one[:, :2], nan, (one, None, None), None, 7, [], ["a", "b", "c"], {"points": one}):
        with pytest.raises(InputError, match="points"):
            recognizer.set_scan(scan)
    with pytest.raises(InputError, match="colors"):
        recognizer.set_scan((one, np.zeros((4, 3), np.uint8)))


def test_a_scan_that_fails_leaves_the_one_before(points, monkeypatch):
    model = tiny_model(tiny_bank())
    recognizer = Recognizer(model).set_scan((points, None))
    before = recognizer.query("chair,table")

    def fail(*_):
        raise InputError("no memory")

    monkeypatch.setattr(model, "describe", fail)
    with pytest.raises(InputError, match="no memory"):
        recognizer.set_scan((points[::2], None))
    after = recognizer.query("chair,table")
    assert after.labels == before.labels
    assert len(after.points) == len(points)
    assert (after.embeddings == before.embeddings).all()
