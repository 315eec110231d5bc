"""Benchmarks report what they measured, what they missed, and what they could not measure."""

from __future__ import annotations

import json
import sys
import types
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import __main__ as entry
from benchmarks import report, results
from benchmarks.encoder_speed import SSG_GFLOP, gradient_errors
from benchmarks.ops_speed import Case, measure
from benchmarks.record import Curve, Row, Settings, Target, compare, row, take_turns
from benchmarks.suite import BENCHMARKS, Benchmark

FAST = Target("at least", 4, "≥ 4× the textbook")
SMALL = Target("at most", 0.65, "≤ 0.65× textbook")
GONE = "not measured: not installed (pip install 'clip2[bench]')"


def test_contenders_take_turns_and_the_first_turn_warms_up() -> None:
    calls: list[str] = []
    work = {name: lambda name=name: calls.append(name) for name in ("ours", "other")}  # type: ignore[misc]
    seconds = take_turns(work, 2)
    assert calls == ["ours", "other"] * 3
    assert [len(times) for times in seconds.values()] == [2, 2]


def test_ratios_by_hand() -> None:
    seconds = {"ours": [1.0, 2.0, 4.0], "textbook": [6.0, 4.0, 20.0]}
    (found,) = compare("encoder", "batch_1024", seconds, per=4)
    assert (found.ours, found.theirs) == (500, 1500)  # milliseconds per object, four per turn
    assert (found.ratio, found.spread) == (3, (2, 6))
    assert found.met is False  # at least 4 was promised


@pytest.mark.parametrize(
    ("target", "ratio", "ours", "met"),
    [
        (FAST, 4.0, 1.0, True),
        (FAST, 3.9, 1.0, False),
        (SMALL, 0.65, 1.0, True),
        (SMALL, 0.7, 1.0, False),
        (Target("at most", 5, "p99", of="ours"), 9.0, 6.0, False),
        (FAST, None, None, None),
        (None, 9.0, 1.0, None),
    ],
)
def test_met_or_missed(
    target: Target | None, ratio: float | None, ours: float | None, met: bool | None
) -> None:
    assert Row("b", "c", ours=ours, ratio=ratio, target=target).met is met


def test_rows_and_curves_survive_json() -> None:
    for each in (
        Row("b", "c", "other", "ms", 1.0, 4.0, 4.0, (3.0, 5.0), FAST, "shared"),
        Row("b", "c", note="not measured: no CUDA device"),
        Curve("c", "t", "x", "y", {"clip2": [(1.0, 2.0)]}),
    ):
        assert type(each).from_json(json.loads(json.dumps(each.to_json()))) == each


def test_a_contender_that_is_missing_or_fails_is_a_row_that_says_why() -> None:
    def missing() -> object:
        raise ImportError("no module", name="torch_cluster")

    def fails() -> object:
        raise OSError("undefined symbol")

    rivals = {"torch-cluster": missing, "built wrong": fails, "slow": lambda: lambda: sum(range(1000))}
    slow, absent, wrong = measure(Case("fps_4096_to_1024", lambda: None, rivals), 2)  # type: ignore[arg-type]
    assert slow.ratio is not None
    assert absent.note == GONE
    assert absent.target == row("ops", "fps_4096_to_1024", "torch-cluster").target is not None
    assert wrong.note == "not measured: does not run here (undefined symbol)"


def test_gradients_of_a_training_step_equal_the_textbooks() -> None:
    errors = gradient_errors()
    assert 0 < errors["float64"] < 1e-9 < errors["ours in float32"] < 0.05


def test_the_encoders_operations_are_those_of_the_paper() -> None:
    assert pytest.approx(1.67, abs=0.01) == SSG_GFLOP


def fake(settings: Settings) -> Iterator[Row | Curve]:
    yield Row("fake", "a case", "other", "ms", 1.0, 3.0, 3.0, (2.5, 3.5), FAST, f"{settings.repeats} turns")
    yield Row("fake", "a case", "gone", note=GONE, target=SMALL)
    yield Row("fake", "small | case", "other", "MB", 2.0, 4.0, 0.5, None, SMALL)
    yield Curve("fake", "A <curve>", "points", "ms", {"clip2": [(1, 1), (4, 2)], "other": [(1, 50)]}, "fake")


def broken(settings: Settings) -> Iterator[Row]:
    yield Row("broken", "the first", ours=1.0)
    raise ZeroDivisionError("no\ntime")


def interrupted(settings: Settings) -> Iterator[Row]:
    yield Row("interrupted", "the first", ours=float(settings.repeats))
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks that take no time, beside the real ones; by default only ``fake`` runs."""
    module = types.ModuleType("benchmarks.fakes")
    for measure_ in (fake, broken, interrupted):
        setattr(module, measure_.__name__, measure_)
        benchmark = Benchmark(f"{measure_.__name__} one", f"fakes:{measure_.__name__}", measure_ is fake)
        monkeypatch.setitem(BENCHMARKS, measure_.__name__, benchmark)
    monkeypatch.setitem(sys.modules, "benchmarks.fakes", module)


def test_from_measuring_to_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(("fake",), json=tmp_path / "out.json", repeats=7) == 0
    shown = capsys.readouterr().out
    assert "missed" in shown
    assert "7 turns" in shown
    assert entry.main(write=tmp_path / "docs" / "page.md", from_=(tmp_path / "out.json",)) == 0
    page = (tmp_path / "docs" / "page.md").read_text()
    assert "**1 of 2 measured targets are met.**" in page
    assert "- fake, a case, beside other: **3.00×**, promised was: ≥ 4× the textbook" in page
    assert f"- fake, a case, beside gone: {GONE}" in page
    assert "`python -m benchmarks fake`" in page
    assert "small \\| case" in page
    drawn = (tmp_path / "docs" / "images" / "performance_fake.svg").read_text()
    assert ET.fromstring(drawn).tag.endswith("svg")


def test_a_failure_or_ctrl_c_keeps_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.main(("broken", "fake"), json=tmp_path / "out.json") == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    found = results.load(tmp_path / "out.json")
    assert (found["runs"][0]["names"], found["runs"][0]["unfinished"]) == (["fake"], ["broken"])
    notes = [(each["case"], each["note"]) for each in found["rows"] if each["benchmark"] == "broken"]
    assert notes == [("the first", ""), ("the rest", "not measured: failed: ZeroDivisionError: no time")]
    assert "broken, cut off" in report.render(found)
    assert entry.main(("interrupted", "fake"), json=tmp_path / "part.json") == 130
    assert results.load(tmp_path / "part.json")["runs"][0]["names"] == []


def stored(folder: Path, name: str, benchmark: str, note: str, ours: float | None) -> Path:
    """Results of one benchmark with one row."""
    entry.main(("fake",), json=folder / name)
    found = json.loads((folder / name).read_text())
    found["runs"][0]["names"], found["about"], found["curves"] = [benchmark], {benchmark: note}, []
    found["rows"] = [Row(benchmark, "a case", ours=ours, note=note).to_json()]
    (folder / name).write_text(json.dumps(found))
    return folder / name


def test_results_of_two_machines_on_one_page(tmp_path: Path) -> None:
    ops, gpu = stored(tmp_path, "a", "ops", "first", 1.0), stored(tmp_path, "b", "gpu", "on a GPU", 1.0)
    assert entry.main(json=tmp_path / "both", from_=(ops, gpu)) == 0
    again = stored(tmp_path, "c", "gpu", "another GPU", 2.0)
    without = stored(tmp_path, "d", "gpu", "not measured: no CUDA device", None)
    for files, expected in (
        ((tmp_path / "both", again), {"first", "another GPU"}),  # the later file counts
        ((again, tmp_path / "both"), {"first", "on a GPU"}),
        ((tmp_path / "both", without), {"first", "on a GPU"}),  # unless it measured nothing
        ((ops, without), {"first", "not measured: no CUDA device"}),
    ):
        found = results.combine(files)
        assert {each["note"] for each in found["rows"]} == expected
        assert sorted(name for run in found["runs"] for name in run["names"]) == ["gpu", "ops"]


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        ({"names": ("flying",)}, "no benchmark 'flying'"),
        ({"names": ("fake",), "from_": (tmp_path / "x",)}, "--from measures nothing"),
        ({"names": ("fake",), "repeats": 0}, "--repeats: must be at least 1"),
        ({"names": ("fake",), "data": tmp_path / "nowhere"}, "nowhere: --data: is no folder"),
        ({"from_": (tmp_path / "absent.json",)}, "absent.json"),
    ):
        assert entry.main(**arguments) == 2  # type: ignore[arg-type]
        assert said in capsys.readouterr().err
    assert entry.main(("fake",), json=tmp_path / "whole.json") == 0
    whole = (tmp_path / "whole.json").read_text()
    for text in (
        "[]",
        whole[:100],
        whole.replace('"rows"', '"lost"'),
        whole.replace('"ours"', '"x"', 1),
        "\0",
    ):
        (tmp_path / "bad.json").write_text(text)
        assert entry.main(write=tmp_path / "page.md", from_=(tmp_path / "bad.json",)) == 2
    assert not (tmp_path / "page.md").exists()


def test_missing_data_are_said(tmp_path: Path) -> None:
    assert entry.main(("modelnet10",), json=tmp_path / "out.json") == 0
    (found,) = results.load(tmp_path / "out.json")["rows"]
    assert found["note"] == "not measured: no --data FOLDER given"


def test_names_beside_lines_do_not_touch_and_lines_rise_with_their_figures() -> None:
    series = {f"clip2, {i}": [(1.0, 10.0), (10.0, 10.0 + i / 100)] for i in range(4)} | {
        "slow": [(1.0, 900.0), (10.0, 950.0)]
    }
    root = ET.fromstring(report.draw(Curve("c", "t", "x", "y", series)))
    space = "{http://www.w3.org/2000/svg}"
    names = {
        each.text: float(each.get("y") or 0) for each in root.iter(f"{space}text") if each.text in series
    }
    heights = sorted(names.values())
    assert all(b - a >= 14 for a, b in pairwise(heights))
    assert names["slow"] == heights[0]  # at the top
