"""The whole path, offline, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip2.cli import main
from clip2.progress import StopRequest
from clip2.recognition import Instances3D
from clip2.teacher import Teacher
from clip2.world.demo.queries import competitors
from data_prep.world import list_categories

SETTINGS = ["room", "street"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quick demo, interrupted twice on its way; the tests that call it again repeat nothing that is done."""
    out = tmp_path_factory.mktemp("demo") / "out"
    command = ["demo", "--quick", "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clip2.world.demo.stages.train", interrupted)
        assert main(command) == 130
    mined = {path: path.stat().st_mtime_ns for path in out.glob("*-*/*.tar")}
    assert len(mined) >= 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clip2.training.loop.StopRequest", StopsSoon)
        assert main(command) == 130
    assert json.loads((out / "run" / "config.json").read_text())["training"]["step"] < 40
    assert not (out / "report.html").exists()
    assert main(command) == 0
    assert json.loads((out / "run" / "config.json").read_text())["training"]["step"] == 40
    assert mined == {path: path.stat().st_mtime_ns for path in out.glob("*-*/*.tar")}
    return out


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


class StopsSoon(StopRequest):
    """Ctrl-C after a few steps."""

    def __init__(self) -> None:
        self._asked = 0

    def __enter__(self) -> StopsSoon:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def requested(self) -> bool:  # type: ignore[override]
        self._asked += 1
        return self._asked > 5


def again(out: Path, *options: str, capsys: pytest.CaptureFixture[str]) -> dict:
    capsys.readouterr()
    assert main(["demo", "--quick", "--out", str(out), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_page_is_one_file_that_needs_nothing_else(demo: Path) -> None:
    html = (demo / "report.html").read_text()
    assert len(html) < 15e6
    # Names of XML dialects are no addresses, and there are none of them either.
    assert not re.search(r"https?://", html)
    assert not re.search(r"<(link|iframe|object)\b|<script[^>]*\ssrc=|@import", html)
    assert set(re.findall(r'\bsrc="([a-z]+:)', html)) == {"data:"}


def test_the_page_says_that_mini_is_not_clip(demo: Path) -> None:
    html = (demo / "report.html").read_text()
    assert "It is not CLIP" in html
    assert "clip2 embed triplets/ --clip ViT-B-32/laion2b_s34b_b79k" in html


def test_the_page_tells_the_whole_story(demo: Path) -> None:
    html = (demo / "report.html").read_text()
    body = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", html, flags=re.DOTALL)
    assert body.count('class="boxed"') == 2  # a room and a street with 2D boxes
    assert body.count('class="cloud"') >= 4  # both scenes and both lifted frames can be turned
    assert 'aria-label="training curves"' in body
    assert body.count("<polyline") == 4  # the term of words and that of pictures, measured and smoothed
    assert 'aria-label="confusion matrix"' in body
    assert body.count('class="query"') >= 4
    for stage in ("scans, boxes, lifting", "embed", "train", "score", "recognize"):
        assert f"<td>{stage}</td>" in body


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_leaves_named_boxes(demo: Path, setting: str) -> None:
    found = Instances3D.from_json(demo / f"{setting}.json")
    assert len(found) > 0
    assert np.isfinite(found.boxes).all()
    assert (demo / f"{setting}.ply").stat().st_size > 0


def test_called_again_it_repeats_nothing_that_is_done(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = [*demo.glob("*-*/*.tar"), *demo.glob("*-*/features/*/*.safetensors"), *demo.glob("*.npz")]
    kept += [demo / "run" / "model.safetensors", demo / "plan.json"]
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in kept}
    seconds = json.loads((demo / "seconds.json").read_text())
    figures = again(demo, capsys=capsys)
    assert before == {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in kept}
    for stage in ("scans, boxes, lifting", "embed", "train"):  # how long they took when they were done
        assert figures["seconds"][stage] == pytest.approx(seconds[stage], abs=0.01)
    check_that_figures_fit_together(figures)
    assert figures["score_card"] == json.loads((demo / "score_card.json").read_text())


def check_that_figures_fit_together(figures: dict) -> None:
    assert figures["mined"]["room"]["frames"] == 8
    naming = figures["naming"]
    assert naming["all"]["objects"] == naming["room"]["objects"] + naming["street"]["objects"]
    assert naming["all"]["words"] == naming["room"]["words"] + naming["street"]["words"]
    assert naming["room"]["chance"] == 1 / naming["room"]["words"]
    assert figures["score_card"]["seen"] == pytest.approx(naming["all"]["student"]["top1"], abs=1e-4)
    for query in figures["queries"]:  # only questions that something found answers, best answer first
        assert query["answers"] > 0
        similarity = [hit["similarity"] for hit in query["hits"]]
        assert similarity == sorted(similarity, reverse=True)
    for scene in figures["recognized"].values():
        assert scene["named_right"] <= scene["things"] <= scene["found"]


def test_words_of_the_command_line_name_the_scenes(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["something to sit on", "a vehicle", 'a <b>"bold"</b> chair']
    again(demo, "--words", ", ".join(words), capsys=capsys)
    for setting in SETTINGS:
        found = Instances3D.from_json(demo / f"{setting}.json")
        assert set(found.labels) <= set(words)
        assert set(found.vocabulary) == set(words)
    html = (demo / "report.html").read_text()
    assert "something to sit on, a vehicle, a &lt;b&gt;" in html
    assert '<b>"bold"' not in html


def test_a_folder_of_another_demo_is_refused(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, field in ((["--quick", "--seed", "1"], "seed 0"), ([], "name quick")):
        assert main(["demo", "--out", str(demo), *options]) == 2
        said = capsys.readouterr().err
        assert field in said
        assert "Fix:" in said


def test_a_folder_with_other_things_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "holiday.jpg")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "holds other things" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize(
    "options, said",
    [
        (["--words", "mug,,chair"], "--words"),
        (["--words", "mug,Mug"], "--words"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_bad_options_are_refused_before_any_work(
    tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path / "out"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["train.yaml", "demo.css"])
def test_its_files_are_found_where_the_package_is_installed(name: str) -> None:
    assert files("clip2.world.demo").joinpath(name).is_file()


@pytest.mark.slow
def test_ctrl_c_while_mining_ends_the_workers_and_keeps_what_is_done(tmp_path: Path) -> None:
    out = tmp_path / "out"
    # A shell that starts tests in the background has them ignore Ctrl-C, and what they start.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{listen}; from clip2.cli import main; raise SystemExit(main())"]
    process = subprocess.Popen(
        [*command, "demo", "--quick", "--out", str(out)], stderr=subprocess.PIPE, start_new_session=True
    )
    while not list(out.glob("triplets-room/.*")) and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"run the same command again to continue" in said
    assert b"Traceback" not in said
    with pytest.raises(ProcessLookupError):  # nobody of the group is left
        os.killpg(process.pid, 0)
    assert main(["demo", "--quick", "--out", str(out)]) == 0


def test_what_a_word_describes_does_not_compete_with_it() -> None:
    teacher = Teacher.load("mini")
    rooms, streets = list_categories("room"), list_categories("street")
    left = competitors(["something to sit on"], rooms, teacher)
    assert not {"chair", "armchair", "sofa"} & set(left)
    assert {"lamp", "mug", "dresser"} <= set(left)
    assert set(streets) - set(competitors(["a vehicle"], streets, teacher)) >= {"car", "van", "truck"}
    # A name of the world describes itself alone, whatever is like it.
    assert set(rooms) - set(competitors(["armchair"], rooms, teacher)) == {"armchair"}


def test_a_color_competes_with_the_other_colors() -> None:
    left = competitors(["red chair"], list_categories("room"), Teacher.load("mini"))
    assert {"blue chair", "white chair", "stool"} <= set(left)
    assert not {"red chair", "chair"} & set(left)
