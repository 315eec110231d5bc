"""The frame of an evaluation: results that survive a file, tables, changes, folders, and the choice of protocols."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip2.evaluation.folder import write_folder
from clip2.evaluation.objects import Cloud, ObjectSet, cloud_digest, draw_points
from clip2.evaluation.protocol import PROTOCOLS, Settings, chosen_protocols
from clip2.evaluation.result import (
    ClassRow,
    Conditions,
    Confusion,
    Curve,
    EvalResult,
    Metric,
    read_results,
    write_results,
)
from clip2.evaluation.tables import changes, markdown
from data_prep.errors import InputError

RESULT = EvalResult(
    benchmark="modelnet10",
    summary="zero-shot",
    count=10,
    metrics={"top-1": Metric(0.5, 0.2, 0.8), "rank": Metric(float("nan"), unit="rank")},
    conditions=Conditions(counted="10 objects", points="all, of which the model keeps 64", seed=0, other={"a": "b"}),
    classes=(ClassRow("chair", 10, {"top-1": 0.5}), ClassRow("table", 0, {"top-1": float("nan")})),
    confusion=Confusion(("chair", "table"), ((5, 5), (0, 0))),
    curves=(Curve("noise", "gaussian", "severity", "top-1", (1.0, 2.0), (0.5, 0.25), (0.1, 0.1)),),
    notes=("a note",),
    model="a|b",
)  # fmt: skip


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", [RESULT])
    (again,) = read_results(tmp_path / "results.json")
    assert again.to_json() == RESULT.to_json()
    assert (again.confusion, again.curves, again.conditions) == (
        RESULT.confusion,
        RESULT.curves,
        RESULT.conditions,
    )
    assert np.isnan(again.metrics["rank"].value)
    assert again.metrics["top-1"] == RESULT.metrics["top-1"]
    assert "NaN" not in (tmp_path / "results.json").read_text()


@pytest.mark.parametrize(
    "text", ["{}", '{"format": "clip2-evaluation", "version": 1, "results": [{"metrics": 3}]}']
)
def test_a_file_of_something_else_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(InputError, match=r"other.json.*results.json of clip2 eval"):
        read_results(tmp_path / "other.json")


def test_markdown_escapes_bars_and_shows_what_was_not_counted() -> None:
    text = markdown([RESULT])
    assert "| metric | a\\|b |" in text
    assert "| top-1 | 0.500 [0.200, 0.800] |" in text
    assert "| table | 0 | – |" in text
    assert "- a note" in text


def test_a_change_is_told_from_noise_and_from_another_protocol() -> None:
    now = replace(RESULT, metrics={"top-1": Metric(0.9, 0.8, 1.0)})
    (change,) = changes([now], [RESULT])
    assert (change.verdict, change.before.value) == ("beyond the interval", 0.5)
    close = replace(
        RESULT,
        metrics={"top-1": Metric(0.6)},
        conditions=replace(RESULT.conditions, points="all, of which the model keeps 512"),
    )
    assert (
        changes([close], [RESULT])[0].verdict == "within the interval"
    )  # the model's own points are part of it
    other = replace(now, conditions=replace(RESULT.conditions, seed=1))
    drawn = replace(RESULT, metrics={"top-1": Metric(0.5, spread=0.1)})
    assert (
        changes([replace(drawn, metrics={"top-1": Metric(0.55, spread=0.1)})], [drawn])[0].verdict
        == "changed"
    )
    (change,) = changes([other], [RESULT])
    assert (change.verdict, change.differences) == ("not comparable", ("seed: 0 → 1",))
    with pytest.raises(InputError, match="--against: holds modelnet10"):
        changes([replace(now, benchmark="kitti")], [RESULT])


def test_the_folder_holds_everything_and_is_written_alike_twice(tmp_path: Path) -> None:
    other = replace(RESULT, model="other")
    for name in ("first", "second"):
        write_folder(tmp_path / name, [RESULT, other])
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == [
        "index.html", "modelnet10-confusion-1.png", "modelnet10-confusion-1.svg", "modelnet10-confusion.png",
        "modelnet10-confusion.svg", "modelnet10-noise.png", "modelnet10-noise.svg", "results.json", "results.md",
    ]  # fmt: skip
    page = (tmp_path / "first" / "index.html").read_text()
    assert "a|b" in page
    assert "the true label is among the k most similar" in page
    assert "NDCG" not in page  # only what occurs is explained
    assert "<script src" not in page
    for name in names:
        if not name.endswith(".svg"):  # ids in an SVG are drawn anew
            assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name


def test_a_wrong_folder_says_what_is_there_and_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=r"--root: holds photos/; modelnet10 expects CLASS/test/\*\.off"):
        chosen_protocols("modelnet10", tmp_path, {})
    with pytest.raises(InputError, match="holds no data of any benchmark"):
        chosen_protocols("all", tmp_path, {})
    with pytest.raises(InputError, match="did you mean 'modelnet10'"):
        chosen_protocols("modelnet1O", tmp_path, {})


def test_every_name_of_the_registry_is_a_protocol() -> None:
    for name in PROTOCOLS:
        assert PROTOCOLS[name].name == name
        assert PROTOCOLS[name].summary
        assert PROTOCOLS[name].expected


def test_digests_tell_copies_from_other_objects() -> None:
    random = np.random.default_rng(0)
    clouds = [random.normal(size=(300, 3)) for _ in range(20)]
    digests = [cloud_digest(cloud) for cloud in clouds]
    assert len(set(digests)) == 20
    again = [cloud_digest((cloud - cloud.mean(axis=0))[::-1].astype(np.float32)) for cloud in clouds]
    assert np.mean([a == b for a, b in zip(digests, again, strict=True)]) > 0.9


def test_points_drawn_from_an_object_do_not_depend_on_the_others() -> None:
    cloud = Cloud(
        np.random.default_rng(0).normal(size=(100, 3)), np.arange(300, dtype=np.uint8).reshape(100, 3)
    )
    drawn = draw_points(cloud, 10, seed=0, index=3)
    assert len({tuple(p) for p in drawn.points}) == 10
    assert np.array_equal(draw_points(cloud, 10, 0, 3).points, drawn.points)
    assert not np.array_equal(draw_points(cloud, 10, 0, 4).points, drawn.points)
    where = [int(np.flatnonzero((cloud.points == point).all(axis=1))[0]) for point in drawn.points]
    assert np.array_equal(drawn.colors, cloud.colors[where])
    assert draw_points(cloud, 100, 0, 0) is cloud


def test_objects_without_meters_get_a_side_of_one_meter() -> None:
    load = lambda index: Cloud(np.array([[10.0, 0, 0], [30, 5, 1]]))  # noqa: E731
    given = ObjectSet("set", ("a",), np.zeros(1, np.int64), ("x",), load, "")
    assert given.read(0).points.tolist() == [[0, 0, 0], [1, 0.25, pytest.approx(0.05)]]
    assert replace(given, metric=True).read(0).points.tolist() == load(0).points.tolist()


def test_settings_refuse_nonsense() -> None:
    with pytest.raises(InputError, match=r"--points: is 3\. Fix: give 8 or more"):
        Settings(points=3)


def test_results_are_plain_json() -> None:
    assert json.loads(json.dumps(RESULT.to_json()))["metrics"]["rank"]["value"] is None
