"""Figures of a set worked out by hand, and what its page shows."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import triplet_stand_ins
from PIL import Image
from triplet_stand_ins import StandInScan, mine_stand_ins

from data_prep.scans.scan import register_source
from data_prep.triplets import Triplet, open_triplets, write_triplets
from data_prep.triplets.figures import RangeFigures, WordFigures, measure_triplets
from data_prep.triplets.gallery import camera_of, frame_points, write_gallery


def toy(number: int, points: int, word: str, distance: float | None) -> Triplet:
    quality = {} if distance is None else {"quality": {"median_range": distance}}
    return Triplet(
        f"t{number}",
        np.zeros((points, 3), np.float32),
        None,
        None,
        (word,),
        {"frame": str(number), **quality},
    )


def page_of(folder: Path, path: Path, **options: object) -> str:
    triplets = open_triplets(folder)
    write_gallery(triplets, measure_triplets(triplets), path, **options)  # type: ignore[arg-type]
    return path.read_text()


@pytest.fixture
def scan_that_opens(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Makes ``open_scan("stand-in", root)`` give the stand-in scan; collects the roots it was asked for."""
    asked: list[Path] = []

    def open_stand_in(root: Path) -> StandInScan:
        asked.append(root)
        return StandInScan(root)

    monkeypatch.setattr("data_prep.scans.scan._OPENERS", {})
    register_source("stand-in")(open_stand_in)
    return asked


def test_figures_of_four_objects_by_hand(tmp_path: Path) -> None:
    objects = [
        toy(0, 10, "mug", 1.0),
        toy(1, 20, "car", 15.0),
        toy(2, 30, "car", 12.0),
        toy(3, 100, "car", None),
    ]
    write_triplets(tmp_path, objects, source="toy")
    figures = measure_triplets(open_triplets(tmp_path))
    assert figures.objects == 4
    assert (figures.with_colors, figures.with_crop) == (0, 0)
    assert figures.points_per_object[0] == 10
    assert figures.points_per_object[50] == 25
    assert figures.points_per_object[100] == 100
    assert figures.words == [WordFigures("car", 3, 30.0), WordFigures("mug", 1, 10.0)]
    assert figures.by_range == [RangeFigures(0, 2, 1, 10.0), RangeFigures(10, 20, 2, 25.0)]


def test_figures_of_a_mined_set_hold_refusals_and_bad_frames(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path, count=5)
    figures = measure_triplets(open_triplets(tmp_path))
    assert (figures.objects, figures.with_colors, figures.with_crop) == (12, 12, 12)
    assert figures.refusals == {"too-few-points": 4}
    assert [frame for frame, _ in figures.bad_frames] == ["f003"]
    assert [word.word for word in figures.words] == ["mug", "potted plant", "traffic light"]


def test_an_empty_set_has_figures_and_a_page(tmp_path: Path) -> None:
    write_triplets(tmp_path / "set", [], source="toy")
    assert measure_triplets(open_triplets(tmp_path / "set")).points_per_object == {}
    assert "0 objects" in page_of(tmp_path / "set", tmp_path / "page.html")


def test_points_find_back_to_their_frame_and_its_camera(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path, count=1)
    frame = StandInScan(Path("/nowhere"))[0]
    for row, triplet in enumerate(open_triplets(tmp_path)):
        np.testing.assert_allclose(frame_points(triplet), frame.points[20 * row : 20 * row + 20], atol=1e-5)
        camera = camera_of(triplet.provenance)
        np.testing.assert_array_equal(camera.K, frame.views[0].camera.K)
        np.testing.assert_array_equal(camera.T_points_cam, frame.views[0].camera.T_points_cam)


def test_the_page_is_one_file_with_overlays_crops_and_clouds(
    tmp_path: Path, scan_that_opens: list[Path]
) -> None:
    mine_stand_ins(tmp_path / "set", count=12)
    html = page_of(tmp_path / "set", tmp_path / "page.html", scan_root=tmp_path)
    assert scan_that_opens == [tmp_path]
    assert "6 of 10 images with objects" in html
    assert "images/000.png: 3 objects, 60 points" in html
    assert "30 of 30 objects" in html
    assert html.count('class="cloud" style') == 30
    assert html.count('class="card"') == 30
    # Nothing is fetched: every picture is inside.
    assert not re.search(r'(src|href)="(?!data:)', html)


def test_overlays_show_the_frames_image(tmp_path: Path, scan_that_opens: list[Path]) -> None:
    mine_stand_ins(tmp_path / "set", count=1)
    html = page_of(tmp_path / "set", tmp_path / "page.html", scan_root=tmp_path)
    first = re.search(r"data:image/jpeg;base64,([^\"]+)", html)
    assert first is not None
    with Image.open(io.BytesIO(base64.b64decode(first[1]))) as picture:
        assert picture.size == (triplet_stand_ins.WIDTH, triplet_stand_ins.HEIGHT + 26)


def test_the_scan_is_looked_for_where_it_was_mined(tmp_path: Path, scan_that_opens: list[Path]) -> None:
    mine_stand_ins(tmp_path / "set", count=1, root=tmp_path)
    page_of(tmp_path / "set", tmp_path / "page.html")
    assert scan_that_opens == [tmp_path]


def test_without_the_scan_objects_are_drawn_on_crops_and_the_page_says_so(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path / "set", count=1)
    html = page_of(tmp_path / "set", tmp_path / "page.html")
    assert "The images of the scan cannot be opened" in html
    assert "--scan-root" in html
    assert html.count('class="card"') == 3 + 3  # crops with points on them, then the gallery


def test_a_scan_that_lost_frames_is_drawn_where_it_can_be(
    tmp_path: Path, scan_that_opens: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine_stand_ins(tmp_path / "set", count=3)
    monkeypatch.setattr(StandInScan, "frame_ids", lambda self: ["f000", "f001"])
    html = page_of(tmp_path / "set", tmp_path / "page.html", scan_root=tmp_path)
    assert "Frame f002 is not drawn: the scan no longer has it." in html
    assert "images/001.png" in html


def test_a_large_set_is_sampled_and_every_word_gets_its_turn(tmp_path: Path) -> None:
    words = ["car"] * 200 + ["mug"] * 30 + ["lamp"]
    write_triplets(tmp_path / "set", [toy(i, 5, word, 3.0) for i, word in enumerate(words)], source="toy")
    html = page_of(tmp_path / "set", tmp_path / "page.html")
    assert "60 of 231 objects" in html
    titles = re.findall(r"<h3>(\w+)</h3>", html)
    assert (titles.count("car"), titles.count("mug"), titles.count("lamp")) == (30, 29, 1)


def test_labels_as_boxes_are_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triplet_stand_ins.StandInDetections, "is_ground_truth", True)
    mine_stand_ins(tmp_path / "set", count=1)
    assert "labels, not a detector" in page_of(tmp_path / "set", tmp_path / "page.html")


def test_words_are_text_and_never_markup(tmp_path: Path) -> None:
    write_triplets(tmp_path / "set", [toy(0, 5, "<script>alert(1)</script>", None)], source="toy")
    assert "<script>alert" not in page_of(tmp_path / "set", tmp_path / "page.html")
