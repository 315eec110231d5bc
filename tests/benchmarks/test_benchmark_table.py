"""The one entry to all benchmarks: what it says of figures, targets, machines and things that are not there."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import __main__ as entry
from benchmarks import report, suite
from benchmarks.drawing import HEIGHT, WIDTH, draw
from benchmarks.machine import describe, describe_machine
from benchmarks.record import Curve, Row, Target, compare, take_turns
from benchmarks.suite import SSG_GFLOP, Benchmark, Settings, encoder_rows, lift_rows, ops_rows
from benchmarks.targets import TARGETS

FAST = Target("at least", 4, "≥ 4× the textbook")
SMALL = Target("at most", 0.65, "≤ 0.65× textbook")


def test_contenders_take_turns_and_the_first_turn_is_a_warm_up() -> None:
    calls: list[str] = []
    work = {name: lambda name=name: calls.append(name) for name in ("ours", "other")}  # type: ignore[misc]
    seconds = take_turns(work, 2)
    assert calls == ["ours", "other"] * 3
    assert [len(times) for times in seconds.values()] == [2, 2]


def test_ratios_by_hand() -> None:
    (row,) = compare("b", "c", {"ours": [1.0, 2.0, 4.0], "other": [6.0, 4.0, 20.0]}, {"other": FAST}, per=4)
    assert (row.ours, row.theirs) == (500, 1500)  # milliseconds of one of four
    assert row.ratio == 3
    assert row.spread == (2, 6)
    assert row.met is False


@pytest.mark.parametrize(
    ("target", "ratio", "ours", "met"),
    [
        (FAST, 4.0, 1.0, True),
        (FAST, 3.9, 1.0, False),
        (SMALL, 0.65, 1.0, True),
        (SMALL, 0.7, 1.0, False),
        (Target("at most", 5, "p99", of="ours"), None, 4.0, True),
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
    row = Row("b", "c", "other", "ms", 1.0, 4.0, 4.0, (3.0, 5.0), FAST, "shared")
    assert Row.from_json(json.loads(json.dumps(row.to_json()))) == row
    bare = Row("b", "c", note="not measured: no CUDA device")
    assert Row.from_json(json.loads(json.dumps(bare.to_json()))) == bare
    curve = Curve("c", "t", "x", "y", {"clip2": [(1.0, 2.0)]})
    assert Curve.from_json(json.loads(json.dumps(curve.to_json()))) == curve


def test_a_contender_that_is_not_installed_is_a_row_that_says_so() -> None:
    figures = {
        "name": "fps_4096_to_1024",
        "ms": 0.2,
        "against": {
            "open3d": {"ms": 2.0, "ratio": 10.0, "ratio_range": [9, 11], "target": 8, "missed": False}
        },
        "missing": ["torch-cluster: not installed (torch_cluster)"],
    }
    measured, missing = ops_rows(figures)
    assert measured.met is True
    assert missing.contender == "torch-cluster"
    assert missing.met is None
    assert missing.note == "not measured: not installed (torch_cluster)"
    assert missing.target == Target("at least", 50, missing.target.source if missing.target else "")


def test_the_targets_of_the_operations_are_those_their_own_benchmark_marks() -> None:
    from benchmarks import ops_speed

    promised = {
        (case, rival): target.value for (name, case, rival), target in TARGETS.items() if name == "ops"
    }
    marked = {}
    for make in ops_speed.CASES.values():
        case = make()
        marked |= {(case.name, rival): value for rival, (value, _) in case.rivals.items() if value}
    assert promised == marked


def test_encoder_figures_become_rows() -> None:
    figures = {
        "name": "batch_1024",
        "ms_per_cloud": {"textbook": 50.0, "ours": 10.0, "ours_bfloat16": 5.0},
        "ratio": 5.0,
        "ratio_range": [4.5, 6.0],
        "ratio_bfloat16_to_ours": 2.0,
        "relative_error": 3e-7,
        "cosine_bfloat16": 0.9999,
    }
    worse = {**figures, "name": "batch_10k", "relative_error": 2e-5, "cosine_bfloat16": 0.99}
    rows = {(row.case, row.contender): row for row in encoder_rows([figures, worse])}
    assert rows["batch_1024", "textbook"].met is True
    assert rows["batch_10k", "textbook"].met is False  # 5 of 7
    assert rows["batch_1024", "ours in float32"].met is True
    assert rows["largest relative error", ""].ours == 2e-5
    assert rows["largest relative error", ""].met is False
    assert rows["smallest cosine of bf16", ""].met is False


def test_results_that_differ_are_said() -> None:
    figures = {"milliseconds": {"ours": 1.0, "Open3D DBSCAN": 10.0}, "identical": False}
    (row,) = lift_rows("10000 points in 4 blobs", figures)
    assert row.met is True
    assert row.note == "RESULTS DIFFER"


def test_the_encoders_operations_are_those_of_the_paper() -> None:
    assert pytest.approx(1.67, abs=0.01) == SSG_GFLOP


def test_without_a_gpu_every_gpu_row_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import gpu

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    rows = gpu.measure(1, quick=True)
    assert {row.note for row in rows} == {"not measured: no CUDA device"}
    assert sum(row.target is not None for row in rows) == 3


def fake(settings: Settings) -> tuple[list[Row], list[Curve]]:
    rows = [
        Row("fake", "a case", "other", "ms", 1.0, 3.0, 3.0, (2.5, 3.5), FAST, f"{settings.repeats} turns"),
        Row("fake", "a case", "gone", note="not measured: not installed (gone)", target=SMALL),
        Row("fake", "small | case", "other", "MB", 2.0, 4.0, 0.5, None, SMALL),
    ]
    return rows, [
        Curve("fake", "A <curve>", "points", "ms", {"clip2": [(1, 1), (4, 2)], "other": [(1, 50)]}, "fake")
    ]


@pytest.fixture
def _only_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = {
        "fake": Benchmark("what is no benchmark", fake),
        "real": Benchmark("what needs scans", fake, default=False, needs_data=True),
    }
    monkeypatch.setattr(suite, "BENCHMARKS", fakes)
    monkeypatch.setattr(entry, "BENCHMARKS", fakes)


@pytest.mark.usefixtures("_only_fakes")
def test_the_whole_way_to_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(json=tmp_path / "out.json", repeats=7) == 0
    shown = capsys.readouterr().out
    assert "missed" in shown
    assert "7 turns" in shown
    figures = json.loads((tmp_path / "out.json").read_text())
    assert [row["met"] for row in figures["rows"]] == [False, None, True]
    assert figures["runs"][0]["machine"]["cores"] >= 1
    assert entry.main(write=tmp_path / "docs" / "page.md", from_=(tmp_path / "out.json",)) == 0
    page = (tmp_path / "docs" / "page.md").read_text()
    assert "**1 of 2 measured targets are met.**" in page
    assert "- fake, a case, beside other: **3.00×**, promised was: ≥ 4× the textbook" in page
    assert "- fake, a case, beside gone: not measured: not installed (gone)" in page
    assert "`python -m benchmarks fake`" in page
    assert "small \\| case" in page
    assert "images/performance_fake.svg" in page
    drawn = (tmp_path / "docs" / "images" / "performance_fake.svg").read_text()
    assert ET.fromstring(drawn).tag.endswith("svg")


@pytest.mark.usefixtures("_only_fakes")
def test_figures_of_two_machines_on_one_page(tmp_path: Path) -> None:
    for name, repeats in (("one", 3), ("two", 9)):
        entry.main(json=tmp_path / name, repeats=repeats)
    other = json.loads((tmp_path / "two").read_text())
    other["runs"][0]["names"] = other["about"] = {"gpu": "on a GPU"}
    other["runs"][0]["names"] = ["gpu"]
    other["rows"] = [{**row, "benchmark": "gpu"} for row in other["rows"]]
    other["curves"] = []
    (tmp_path / "gpu").write_text(json.dumps(other))
    both = entry._combine((tmp_path / "one", tmp_path / "gpu"))
    page = report.render(both)
    assert "(fake)" in page
    assert "(gpu)" in page
    again = entry._combine((tmp_path / "one", tmp_path / "two"))  # the later one counts
    assert len(again["runs"]) == 1
    assert {row["note"] for row in again["rows"] if row["contender"] == "other" and row["note"]} == {
        "9 turns"
    }


@pytest.mark.usefixtures("_only_fakes")
def test_what_cannot_be_done_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(("flying",)) == 2
    assert "no benchmark 'flying'" in capsys.readouterr().err
    (tmp_path / "bad.json").write_text("[]")
    for file in (tmp_path / "bad.json", tmp_path / "absent.json"):
        assert entry.main(write=tmp_path / "page.md", from_=(file,)) == 2
        assert file.name in capsys.readouterr().err
    assert entry.main(("real",), json=tmp_path / "out.json") == 0
    (row,) = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert row["note"] == "not measured: no --data FOLDER given"


def test_a_quick_run_is_called_one() -> None:
    machine = describe_machine()
    figures = {
        "runs": [{"date": "2026-01-01", "names": [], "machine": machine, "quick": True, "repeats": 1}],
        "about": {},
        "needs_data": [],
        "rows": [],
        "curves": [],
    }
    assert "nothing here counts" in report.render(figures)


def test_a_busy_machine_is_called_busy() -> None:
    machine = {**describe_machine(), "load_average": [3.5, 3.0, 2.0], "shared": True}
    assert "3.5: **the machine was shared" in describe(machine)
    assert "nothing else ran" in describe({**machine, "shared": False})


def test_names_beside_lines_do_not_touch_and_lines_rise_with_their_figures() -> None:
    series = {f"clip2, {i}": [(1.0, 10.0), (10.0, 10.0 + i / 100)] for i in range(4)} | {
        "slow": [(1.0, 900.0), (10.0, 950.0)]
    }
    root = ET.fromstring(draw(Curve("c", "t", "x", "y", series)))
    space = "{http://www.w3.org/2000/svg}"
    names = {
        text.text: float(text.get("y") or 0) for text in root.iter(f"{space}text") if text.text in series
    }
    heights = sorted(names.values())
    assert all(b - a >= 14 for a, b in pairwise(heights))
    assert names["slow"] == heights[0]  # at the top
    for circle in root.iter(f"{space}circle"):
        assert 0 < float(circle.get("cx") or 0) < WIDTH
        assert 0 < float(circle.get("cy") or 0) < HEIGHT
