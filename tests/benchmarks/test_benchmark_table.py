"""The one entry to all benchmarks: what it says of figures, targets, machines and things that are not there."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import __main__ as entry
from benchmarks import figures as figures_files
from benchmarks import report, suite
from benchmarks.drawing import HEIGHT, WIDTH, draw
from benchmarks.encoder_speed import gradient_errors
from benchmarks.machine import describe, describe_machine
from benchmarks.record import Curve, Row, Target, compare, take_turns
from benchmarks.suite import (
    SSG_GFLOP,
    Benchmark,
    Settings,
    encoder_rows,
    gradient_row,
    lift_rows,
    ops_rows,
    worst_rows,
)
from benchmarks.targets import TARGETS

FAST = Target("at least", 4, "≥ 4× the textbook")
SMALL = Target("at most", 0.65, "≤ 0.65× textbook")
GONE = "not measured: not installed (pip install 'clip2[bench]')"


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
        "ratio_range_bfloat16_to_ours": [1.5, 2.5],
        "relative_error": 3e-7,
        "cosine_bfloat16": 0.9999,
    }
    worse = {**figures, "name": "batch_10k", "relative_error": 2e-5, "cosine_bfloat16": 0.99}
    found = [*encoder_rows(figures), *encoder_rows(worse), *worst_rows([figures, worse])]
    rows = {(row.case, row.contender): row for row in found}
    assert rows["batch_1024", "textbook"].met is True
    assert rows["batch_10k", "textbook"].met is False  # 5 of 7
    assert rows["batch_1024", "ours in float32"].met is True
    assert rows["batch_1024", "ours in float32"].spread == (1.5, 2.5)
    assert rows["largest relative error", ""].ours == 2e-5
    assert rows["largest relative error", ""].met is False
    assert rows["smallest cosine of bf16", ""].met is False


def test_gradients_of_a_training_step_are_the_textbooks() -> None:
    errors = gradient_errors()
    row = gradient_row(errors)
    assert row.met is True
    assert row.target is not None
    assert row.target.value == 1e-4
    assert 0 < errors["float64"] < 1e-9 < errors["ours in float32"] < 0.05
    assert gradient_row({**errors, "float64": 2e-4}).met is False


def test_results_that_differ_are_said() -> None:
    figures = {
        "milliseconds": {"ours": 1.0, "Open3D DBSCAN": 10.0},
        "ratio_range": {"Open3D DBSCAN": [8.0, 12.0]},
        "identical": False,
    }
    (row,) = lift_rows("10000 points in 4 blobs", figures)
    assert row.met is True
    assert row.spread == (8, 12)
    assert row.note == "RESULTS DIFFER"


def test_the_encoders_operations_are_those_of_the_paper() -> None:
    assert pytest.approx(1.67, abs=0.01) == SSG_GFLOP


def test_without_a_gpu_every_gpu_row_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import gpu

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    rows = list(gpu.measure(1, quick=True))
    assert {row.note for row in rows} == {"not measured: no CUDA device"}
    assert sum(row.target is not None for row in rows) == 3


def fake(settings: Settings) -> Iterator[Row | Curve]:
    yield Row("fake", "a case", "other", "ms", 1.0, 3.0, 3.0, (2.5, 3.5), FAST, f"{settings.repeats} turns")
    yield Row("fake", "a case", "gone", note=GONE, target=SMALL)
    yield Row("fake", "small | case", "other", "MB", 2.0, 4.0, 0.5, None, SMALL)
    yield Curve("fake", "A <curve>", "points", "ms", {"clip2": [(1, 1), (4, 2)], "other": [(1, 50)]}, "fake")


def ends_with(error: BaseException) -> Callable[[Settings], Iterator[Row | Curve]]:
    """Measures one thing, then ends so."""

    def measure(settings: Settings) -> Iterator[Row | Curve]:
        yield Row("broken", "the first", ours=float(settings.repeats))
        raise error

    return measure


@pytest.fixture
def _only_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = {
        "fake": Benchmark("what is no benchmark", fake),
        "real": Benchmark("what needs scans", fake, default=False, needs_data=True),
    }
    monkeypatch.setattr(suite, "BENCHMARKS", fakes)
    monkeypatch.setattr(entry, "BENCHMARKS", fakes)
    monkeypatch.setattr(figures_files, "BENCHMARKS", fakes)


@pytest.mark.usefixtures("_only_fakes")
def test_the_whole_way_to_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(json=tmp_path / "out.json", repeats=7) == 0
    shown = capsys.readouterr().out
    assert "missed" in shown
    assert "7 turns" in shown
    assert "pip install 'clip2[bench]'" in " ".join(shown.replace("│", " ").split())
    figures = json.loads((tmp_path / "out.json").read_text())
    assert [row["met"] for row in figures["rows"]] == [False, None, True]
    assert figures["runs"][0]["machine"]["cores"] >= 1
    assert entry.main(write=tmp_path / "docs" / "page.md", from_=(tmp_path / "out.json",)) == 0
    page = (tmp_path / "docs" / "page.md").read_text()
    assert "**1 of 2 measured targets are met.**" in page
    assert "- fake, a case, beside other: **3.00×**, promised was: ≥ 4× the textbook" in page
    assert f"- fake, a case, beside gone: {GONE}" in page
    assert "`python -m benchmarks fake`" in page
    assert "small \\| case" in page
    assert "images/performance_fake.svg" in page
    drawn = (tmp_path / "docs" / "images" / "performance_fake.svg").read_text()
    assert ET.fromstring(drawn).tag.endswith("svg")


@pytest.mark.usefixtures("_only_fakes")
def test_one_that_fails_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Benchmark("what fails", ends_with(ZeroDivisionError("no\ntime")))
    monkeypatch.setattr(entry, "BENCHMARKS", {"broken": broken, **entry.BENCHMARKS})
    monkeypatch.setattr(suite, "BENCHMARKS", entry.BENCHMARKS)
    monkeypatch.setattr(figures_files, "BENCHMARKS", entry.BENCHMARKS)
    assert entry.main(json=tmp_path / "out.json") == 1
    said = capsys.readouterr()
    assert "ZeroDivisionError" in said.err
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["runs"][0]["names"], found["runs"][0]["unfinished"]) == (["fake"], ["broken"])
    rows = [(row["case"], row["note"]) for row in found["rows"] if row["benchmark"] == "broken"]
    assert rows == [("the first", ""), ("the rest", "not measured: failed: ZeroDivisionError: no time")]
    assert "broken, cut off" in report.render(found)


@pytest.mark.usefixtures("_only_fakes")
def test_ctrl_c_keeps_what_was_measured_and_a_part_replaces_no_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, name, repeats in ((KeyboardInterrupt(), "part", 2), (None, "whole", 3)):
        measure = fake if error is None else ends_with(error)
        known = {"fake": entry.BENCHMARKS["fake"], "broken": Benchmark("what is cut off", measure)}
        for module in (entry, suite, figures_files):
            monkeypatch.setattr(module, "BENCHMARKS", {**known, "real": Benchmark("never reached", fake)})
        code = entry.main(("fake", "broken", "real"), json=tmp_path / name, repeats=repeats)
        assert code == (0 if error is None else 130)
    part = figures_files.load(tmp_path / "part")
    assert part["runs"][0]["unfinished"] == ["broken"]
    assert part["runs"][0]["names"] == ["fake"]
    assert [row["ours"] for row in part["rows"] if row["benchmark"] == "broken"] == [2, None]
    whole = json.loads((tmp_path / "whole").read_text())
    for row in whole["rows"][3:]:
        row["benchmark"] = "broken"
    (tmp_path / "whole").write_text(json.dumps(whole))
    both = figures_files.combine((tmp_path / "whole", tmp_path / "part"))
    assert [run["names"] for run in both["runs"]] == [["broken", "real"], ["fake"]]
    assert not any(
        row["ours"] == 2 and row["benchmark"] == "broken" and not row["unit"] for row in both["rows"]
    )
    assert not any("interrupted" in row["note"] for row in both["rows"])


@pytest.mark.usefixtures("_only_fakes")
def test_combined_figures_combine_again_and_an_empty_suite_replaces_no_measured_one(tmp_path: Path) -> None:
    def store(name: str, benchmark: str, note: str, ours: float | None) -> Path:
        entry.main(json=tmp_path / name)
        figures = json.loads((tmp_path / name).read_text())
        figures["runs"][0]["names"] = [benchmark]
        figures["about"] = {benchmark: note}
        figures["rows"] = [Row(benchmark, "a case", ours=ours, note=note).to_json()]
        figures["curves"] = []
        (tmp_path / name).write_text(json.dumps(figures))
        return tmp_path / name

    ops, gpu = store("ops", "ops", "first", 1.0), store("gpu", "gpu", "on a GPU", 1.0)
    both = tmp_path / "both"
    assert entry.main(json=both, from_=(ops, gpu)) == 0
    again = store("again", "gpu", "another GPU", 2.0)
    without = store("without", "gpu", "not measured: no CUDA device", None)
    for files, expected in (
        ((both, again), {"first", "another GPU"}),
        ((again, both), {"first", "on a GPU"}),
        ((both, without), {"first", "on a GPU"}),
        ((without, both), {"first", "on a GPU"}),
        ((ops, without), {"first", "not measured: no CUDA device"}),
    ):
        found = figures_files.combine(files)
        assert {row["note"] for row in found["rows"]} == expected
        assert sorted(name for run in found["runs"] for name in run["names"]) == ["gpu", "ops"]


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
    both = figures_files.combine((tmp_path / "one", tmp_path / "gpu"))
    page = report.render(both)
    assert "(fake)" in page
    assert "(gpu)" in page
    again = figures_files.combine((tmp_path / "one", tmp_path / "two"))  # the later one counts
    assert len(again["runs"]) == 1
    assert {row["note"] for row in again["rows"] if row["contender"] == "other" and row["note"]} == {
        "9 turns"
    }


@pytest.mark.usefixtures("_only_fakes")
def test_what_cannot_be_done_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(("flying",)) == 2
    assert "no benchmark 'flying'" in capsys.readouterr().err
    assert entry.main(("fake",), from_=(tmp_path / "out.json",)) == 2
    assert entry.main(("fake",), repeats=0) == 2
    assert "--repeats: must be at least 1" in capsys.readouterr().err
    assert entry.main(("fake",), data=tmp_path / "nowhere") == 2
    assert "nowhere: --data: is no folder" in capsys.readouterr().err
    assert entry.main(json=tmp_path / "whole.json") == 0
    whole = (tmp_path / "whole.json").read_text()
    damaged = {
        "bad.json": "[]",
        "half.json": whole[: len(whole) // 2],
        "no_rows.json": whole.replace('"rows"', '"lost"'),
        "no_ours.json": whole.replace('"ours"', '"lost"', 1),
        "no_about.json": whole.replace('"fake": "what', '"lost": "what'),
        "binary.json": "\0\1",
    }
    for name, text in damaged.items():
        (tmp_path / name).write_text(text)
    capsys.readouterr()
    for name in (*damaged, "absent.json"):
        assert entry.main(write=tmp_path / "page.md", from_=(tmp_path / name,)) == 2
        assert name in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
    assert entry.main(("real",), json=tmp_path / "out.json") == 0
    (row,) = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert row["note"] == "not measured: no --data FOLDER given"


@pytest.mark.usefixtures("_only_fakes")
def test_where_nothing_can_be_written_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entry, "_measure", lambda *_: pytest.fail("measured first"))
    (tmp_path / "file").touch()
    for option in ("json", "write"):
        for path, problem in ((tmp_path, "is a folder"), (tmp_path / "file" / "out", "is a file")):
            assert entry.main(**{option: path}) == 2
            assert f"--{option}: {problem}" in capsys.readouterr().err


@pytest.mark.usefixtures("_only_fakes")
def test_a_quick_run_is_called_one_and_counts_for_nothing(tmp_path: Path) -> None:
    entry.main(json=tmp_path / "quick.json", quick=True)
    page = report.render(figures_files.load(tmp_path / "quick.json"))
    assert "nothing here counts" in page
    assert "**0 of 0 measured targets are met.**" in page
    assert "Not counted, as they come from a quick run: fake." in page


def test_a_contender_that_is_absent_or_does_not_run_is_said_and_the_others_are_measured() -> None:
    from benchmarks.ops_speed import Case, measure

    def absent() -> Callable[[], object]:
        raise ModuleNotFoundError("No module named 'torch_cluster'", name="torch_cluster")

    def other_torch() -> Callable[[], object]:
        raise OSError("undefined symbol\nof long name")

    def fails() -> object:
        raise RuntimeError("no kernel")

    rivals = {
        "absent": (2.0, absent),
        "other": (0.0, other_torch),
        "fails": (0.0, lambda: fails),
        "slow": (0.0, lambda: lambda: sum(range(1000))),
    }
    figures = measure(Case("a case", lambda: None, rivals), 2)
    assert list(figures["against"]) == ["slow"]
    assert [row.note for row in ops_rows(figures)[1:]] == [
        "not measured: not installed (pip install 'clip2[bench]')",
        "not measured: does not run here (undefined symbol)",
        "not measured: does not run here (no kernel)",
    ]


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
