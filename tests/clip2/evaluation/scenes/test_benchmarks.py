"""Benchmarks on labeled scans: files of objects with scores known by hand, models, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.labeled_scans import objects_as_labeled, put_labeled_scan, put_objects

import clip2
from clip2.evaluation import Settings
from clip2.evaluation.result import EvalResult
from data_prep import open_scan
from data_prep.errors import InputError

SCANS = ("boxes", "detection", "lifting", "open-set", "proposals", "tracking")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return put_labeled_scan(tmp_path / "scan")


def measured(subject: object, benchmark: str, root: Path, **options: str) -> EvalResult:
    settings = Settings(options={name.replace("_", "-"): value for name, value in options.items()})
    (result,) = clip2.evaluate(subject, benchmark, root, settings=settings)  # type: ignore[arg-type]
    return result


def values(result: EvalResult) -> dict[str, float]:
    return {name: metric.value for name, metric in result.metrics.items()}


def test_what_is_labeled_is_scored_as_perfect(scan: Path, tmp_path: Path) -> None:
    file = put_objects(tmp_path / "tool.json", objects_as_labeled())
    found = {name: measured(file, name, scan) for name in SCANS}
    assert all(result.count == 6 for result in found.values())
    assert values(found["detection"])["AP25"] == values(found["detection"])["AP50"] == 1
    assert values(found["boxes"])["3D IoU"] == pytest.approx(1)
    assert values(found["proposals"])["recall at IoU 0.5"] == 1
    assert values(found["lifting"])["point IoU"] == 1
    assert values(found["tracking"])["IDF1"] == 1
    assert values(found["open-set"])["top-1 of known objects, score"] == 1


def test_errors_by_hand(scan: Path, tmp_path: Path) -> None:
    # Frame a: the first car 1 m off (IoU 3/5), the second with half of its points and 20 of the ground, called truck.
    # Frame b: the person is missing, and the two cars have swapped their ids.
    frames = objects_as_labeled()
    frames["a"][0]["center"][0] += 1
    frames["a"][1] |= {"label": "truck", "indices": list(range(60, 90)) + list(range(200, 220))}
    del frames["b"][2]
    frames["b"][0]["track_id"], frames["b"][1]["track_id"] = 12, 11
    file = put_objects(tmp_path / "tool.json", frames)

    detection = measured(file, "detection", scan)
    # Cars of both frames by score: three of four are found, all predictions are right: AP 3/4 at 0.25 and at 0.5 (IoU
    # 0.6). The person of frame a is found: AP 1/2.
    assert values(detection)["AP25"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert "1 predictions have other labels and do not count: truck" in detection.notes
    assert {row.label: row.values["AP50"] for row in detection.classes} == {"car": 0.75, "person": 0.5}
    assert values(measured(file, "boxes", scan))["3D IoU"] == pytest.approx((0.6 + 1 + 1 + 1 + 1 + 0) / 6)
    # The second car of frame a: 30 shared points of 60 + 50 - 30.
    lifted = values(measured(file, "lifting", scan))
    assert lifted["point IoU"] == pytest.approx((1 + 30 / 80 + 1 + 1 + 1 + 0) / 6)
    assert values(measured(file, "proposals", scan))["recall at IoU 0.5"] == pytest.approx(4 / 6)
    tracking = values(measured(file, "tracking", scan, labels="car,person,truck"))
    assert (tracking["identity switches"], tracking["names right at each look"]) == (2, 4 / 5)
    # The best pairing of ids and tracks agrees in 1 + 1 + 1 of 6 labeled and 5 found.
    assert tracking["IDF1"] == pytest.approx(2 * 3 / (6 + 5))


def test_open_set_by_hand(scan: Path, tmp_path: Path) -> None:
    # Cars are asked for; the persons, called car with 0.7, are none of these. Car scores 0.9 and 0.8 are above.
    frames = objects_as_labeled()
    for rows in frames.values():
        rows[2]["label"] = "car"
    file = put_objects(tmp_path / "tool.json", frames)
    found = values(measured(file, "open-set", scan, labels="car"))
    assert (found["AUROC, score"], found["FPR95, score"], found["others"]) == (1, 0, 2)
    frames["a"][2]["score"] = 0.95
    found = values(measured(put_objects(file, frames), "open-set", scan, labels="car"))
    assert found["AUROC, score"] == pytest.approx(1 / 2)  # one of the two persons above all cars
    assert found["FPR95, score"] == 0.5


def test_labels_in_a_file_and_boxes_in_the_axes_of_the_points(tmp_path: Path) -> None:
    bare = put_labeled_scan(tmp_path / "bare", labeled=False)
    truth = put_objects(tmp_path / "truth.json", objects_as_labeled(points=False))
    file = put_objects(tmp_path / "tool.json", objects_as_labeled(points=False), axes="points")
    assert values(measured(file, "detection", bare, truth=str(truth)))["AP50"] == 1
    with pytest.raises(InputError, match=r"labels: no frame of 2 is labeled.*--option truth=FILE"):
        measured(file, "detection", bare)


def test_workers_on_a_scan_are_told_to_be_of_no_effect(scan: Path, tmp_path: Path) -> None:
    file = put_objects(tmp_path / "tool.json", objects_as_labeled())
    (result,) = clip2.evaluate(file, "detection", scan, settings=Settings(workers=2))
    assert "--workers has no effect here: one process reads the frames" in result.notes


def test_objects_with_few_points_count_neither_way(scan: Path, tmp_path: Path) -> None:
    frames = objects_as_labeled()
    file = put_objects(tmp_path / "tool.json", {"a": frames["a"]})
    result = measured(file, "detection", scan, min_points="61")
    assert result.count == 0
    assert "6 with fewer than 61 points ignored" in result.conditions.counted
    assert result.metrics["AP25"].text() == "–"


def test_base_and_novel_labels(scan: Path, tmp_path: Path) -> None:
    frames = objects_as_labeled()
    frames["b"] = frames["b"][:2]
    found = values(measured(put_objects(tmp_path / "t.json", frames), "detection", scan, base="car"))
    assert (found["AP25 of base labels"], found["AP25 of novel labels"]) == (1, 0.5)


def broken(tmp_path: Path, what: str) -> tuple[Path, dict[str, str]]:
    """A file of objects with one fault, and options."""
    frames, more, options = objects_as_labeled(), {}, {}
    if what == "another scan":
        frames = {"000017": frames["a"]}
    elif what == "nan":
        frames["a"][0]["score"] = float("nan")
    elif what == "flat":
        frames["b"][1]["size"][2] = -1.0
    elif what == "two axes":
        more = {"axes": "camera"}
    elif what == "another format":
        more = {"format": "coco"}
    elif what == "points":
        frames["b"][0]["indices"] = [5_000_000]
    elif what == "half":
        del frames["a"][1]["indices"]
    elif what == "no points":
        frames = objects_as_labeled(points=False)
        options = {"compare": "points"}
    elif what == "label":
        options = {"labels": "unicorn"}
    return put_objects(tmp_path / f"{what}.json", frames, **more), options


@pytest.mark.parametrize(
    ("what", "benchmark", "message"),
    [
        ("another scan", "detection", r"another scan.json: frames: has objects of frame '000017'.*frames are a, b"),
        ("nan", "detection", r"nan.json: frames.a.0.score"),
        ("flat", "boxes", r"flat.json: frames.b"),
        ("two axes", "boxes", r"two axes.json: axes.*'world' or 'points'"),
        ("another format", "detection", r"another format.json: .*docs/evaluation.md"),
        ("points", "lifting", r"points.json: frames.b.indices: names point 5000000 of 580"),
        ("half", "proposals", r"half.json: frames.a.indices: object 1 has none, others have"),
        ("no points", "proposals", r"indices: are needed to compare points.*compare=boxes"),
        ("label", "detection", r"labels: none of them occurs in the scan.*car, person"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line(
    scan: Path, tmp_path: Path, what: str, benchmark: str, message: str
) -> None:
    file, options = broken(tmp_path, what)
    with pytest.raises(InputError, match=message):
        measured(file, benchmark, scan, **options)


def test_what_a_scan_or_a_file_lacks_is_one_line(tmp_path: Path) -> None:
    scan = put_labeled_scan(tmp_path / "scan", tracks=False)
    file = put_objects(tmp_path / "tool.json", objects_as_labeled())
    with pytest.raises(InputError, match=r"labeled: have no track_id"):
        measured(file, "tracking", scan)
    with pytest.raises(InputError, match=r"other.json: .*is not there"):
        measured(tmp_path / "other.json", "detection", scan)
    with pytest.raises(InputError, match=r"'shots' is not an option of detection.*min-points"):
        measured(file, "detection", scan, shots="3")
    with pytest.raises(InputError, match=r"--option min-points: is 'few'"):
        measured(file, "detection", scan, min_points="few")
    (tmp_path / "else").mkdir()
    put_objects(tmp_path / "else" / "tool.json", {})
    with pytest.raises(InputError, match=r"holds tool.json.*detection expects a labeled scan"):
        measured(file, "detection", tmp_path / "else")
    (tmp_path / "modelnet10.npz").touch()
    with pytest.raises(InputError, match="is a file of predictions"):
        measured(file, "modelnet10", tmp_path)


def test_all_takes_what_fits_the_subject_and_the_labels(scan: Path, tmp_path: Path) -> None:
    file = put_objects(tmp_path / "tool.json", objects_as_labeled())
    by_file = {result.benchmark for result in clip2.evaluate(file, "all", scan)}
    assert by_file == {"boxes", "detection", "open-set", "proposals"}
    by_model = {result.benchmark for result in clip2.evaluate("mini-points", "all", scan)}
    assert by_model == set(SCANS)
    untracked = put_labeled_scan(tmp_path / "untracked", tracks=False)
    assert "tracking" not in {result.benchmark for result in clip2.evaluate("mini-points", "all", untracked)}


def test_a_file_of_recognize_is_scored_as_the_model_itself(tmp_path: Path) -> None:
    labels = "chair,table,sofa,cabinet,box"
    options = {"source": "procedural", "labels": labels}
    settings = Settings(limit=1, options=options)
    (by_model,) = clip2.evaluate("mini-points", "detection", "room", settings=settings)
    frame = open_scan("procedural", "room")[0]
    found = clip2.Recognizer(clip2.load("mini-points")).set_scan(frame).query(labels)
    file = tmp_path / "result.json"
    file.write_text(json.dumps(found.to_json()))
    (by_file,) = clip2.evaluate(file, "detection", "room", settings=settings)
    assert by_model.metrics["AP25"].value > 0
    for name, metric in by_model.metrics.items():
        assert by_file.metrics[name].value == pytest.approx(metric.value, abs=1e-6, nan_ok=True), name


def test_a_scan_that_was_interrupted_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"source": "procedural"}
    settings = Settings(limit=2, options=options, cache=tmp_path / "cache")
    (first,) = clip2.evaluate("mini-points", "proposals", "tabletop", settings=settings)
    monkeypatch.setattr("clip2.recognition.Recognizer.set_scan", None)  # nothing is found anew
    (again,) = clip2.evaluate("mini-points", "proposals", "tabletop", settings=settings)
    assert again.metrics == first.metrics
    assert again.data_digest == first.data_digest
    monkeypatch.undo()
    damaged, sound = sorted((tmp_path / "cache").rglob("*.npz"))
    damaged.write_bytes(sound.read_bytes()[:100])
    (mended,) = clip2.evaluate("mini-points", "proposals", "tabletop", settings=settings)
    assert mended.metrics == first.metrics


def test_a_recall_curve_rises_with_the_proposals(scan: Path, tmp_path: Path) -> None:
    file = put_objects(tmp_path / "tool.json", objects_as_labeled())
    (curve,) = measured(file, "proposals", scan).curves
    assert curve.y[0] == pytest.approx(1 / 3)
    assert np.all(np.diff(curve.y) >= 0)
    assert curve.y[-1] == 1
    complete = measured(file, "proposals", scan, complete="yes")
    assert complete.metrics["precision at IoU 0.5"].value == 1
