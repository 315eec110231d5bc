"""Figures of a set worked out by hand, and what its page shows."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import triplet_stand_ins
from support.triplet_stand_ins import StandInScan, mine_stand_ins

from data_prep.geometry import Camera
from data_prep.registry import Registry
from data_prep.report.cards import EXPLORER_SIZE, Card, card_element
from data_prep.report.gallery import CARDS, OVERLAYS, write_gallery
from data_prep.report.gallery_images import frame_points
from data_prep.report.metrics import LabelMetrics, RangeMetrics, measure_triplets
from data_prep.report.overlay import OverlayObject
from data_prep.report.overlay_view import overlay_view
from data_prep.scans.sources import register_source
from data_prep.triplets import ObjectView, Provenance, Triplet, open_triplets, write_triplets
from data_prep.triplets.provenance import QualityRecord, ViewRecord


def toy(number: int, points: int, word: str, distance: float | None) -> Triplet:
    return Triplet(
        f"t{number}",
        np.zeros((points, 3), np.float32),
        None,
        None,
        (word,),
        Provenance(frame=str(number), quality=QualityRecord(median_range=distance)),
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

    monkeypatch.setattr("data_prep.scans.sources.SOURCES", Registry("source"))
    register_source("stand-in")(open_stand_in)
    return asked


def test_metrics_of_four_objects_by_hand(tmp_path: Path) -> None:
    objects = [
        toy(0, 10, "mug", 1.0),
        toy(1, 20, "car", 15.0),
        toy(2, 30, "car", 12.0),
        toy(3, 100, "car", None),
    ]
    write_triplets(tmp_path, objects, source="toy")
    metrics = measure_triplets(open_triplets(tmp_path))
    assert metrics.objects == 4
    assert (metrics.with_colors, metrics.with_crop) == (0, 0)
    assert metrics.points_per_object[0] == 10
    assert metrics.points_per_object[50] == 25
    assert metrics.points_per_object[100] == 100
    assert metrics.words == [LabelMetrics("car", 3, 30.0), LabelMetrics("mug", 1, 10.0)]
    assert metrics.by_range == [
        RangeMetrics(0, 2, 1, 10.0, dict.fromkeys((10, 25, 50, 75, 90), 10.0)),
        RangeMetrics(10, 20, 2, 25.0, {10: 21.0, 25: 22.5, 50: 25.0, 75: 27.5, 90: 29.0}),
    ]


def test_metrics_of_a_mined_set_hold_refusals_and_bad_frames(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path, count=5)
    metrics = measure_triplets(open_triplets(tmp_path))
    assert (metrics.objects, metrics.with_colors, metrics.with_crop) == (12, 12, 12)
    assert metrics.rejections == {"too-few-points": 4}
    assert [frame for frame, _ in metrics.bad_frames] == ["f003"]
    assert [word.word for word in metrics.words] == ["mug", "potted plant", "traffic light"]


def test_an_empty_set_has_metrics_and_a_page(tmp_path: Path) -> None:
    write_triplets(tmp_path / "set", [], source="toy")
    assert measure_triplets(open_triplets(tmp_path / "set")).points_per_object == {}
    assert "0 objects" in page_of(tmp_path / "set", tmp_path / "page.html")


def test_points_find_back_to_their_frame_and_its_camera(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path, count=1)
    frame = StandInScan(Path("/nowhere"))[0]
    for row, triplet in enumerate(open_triplets(tmp_path)):
        np.testing.assert_allclose(frame_points(triplet), frame.points[20 * row : 20 * row + 20], atol=1e-5)
        assert triplet.provenance.camera is not None
        camera = triplet.provenance.camera.camera()
        np.testing.assert_array_equal(camera.K, frame.views[0].camera.K)
        np.testing.assert_array_equal(camera.T_points_cam, frame.views[0].camera.T_points_cam)


def test_the_page_is_one_file_with_overlays_crops_and_clouds(
    tmp_path: Path, scan_that_opens: list[Path]
) -> None:
    mine_stand_ins(tmp_path / "set", count=12)
    html = page_of(tmp_path / "set", tmp_path / "page.html", scan_root=tmp_path)
    assert scan_that_opens == [tmp_path]
    assert "10 of 10 images with objects" in html
    assert "images/000.png: 3 objects, 60 points" in html
    assert "30 of 30 objects" in html
    assert html.count('class="cloud" style') == 30
    assert html.count('class="overlay" data') == 10
    assert html.count('class="card"') == 30
    # Nothing is fetched: every picture is inside.
    assert not re.search(r'(src|href)="(?!data:)', html)


def test_overlays_hold_the_frames_image_points_and_objects(
    tmp_path: Path, scan_that_opens: list[Path]
) -> None:
    mine_stand_ins(tmp_path / "set", count=1)
    html = page_of(tmp_path / "set", tmp_path / "page.html", scan_root=tmp_path)
    overlay = html[html.index('class="overlay"') :]
    first = re.search(r"data:image/jpeg;base64,([^\"]+)", overlay)
    assert first is not None
    with Image.open(io.BytesIO(base64.b64decode(first[1]))) as picture:
        assert picture.size == (triplet_stand_ins.WIDTH, triplet_stand_ins.HEIGHT)
    header = json.loads(unescape(re.search(r'data-header="([^"]*)"', overlay)[1]))  # type: ignore[index]
    assert header["count"] == 60 + 3 * 20
    assert [item["caption"] for item in header["objects"]] == [
        "mug 0.90",
        "traffic light 0.80",
        "potted plant 0.70",
    ]
    # Each is a link to its card.
    assert [item["key"] for item in header["objects"]] == [t.key for t in open_triplets(tmp_path / "set")]


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
    words = ["car"] * 500 + ["mug"] * 230 + ["lamp"]
    write_triplets(tmp_path / "set", [toy(i, i + 1, word, 3.0) for i, word in enumerate(words)], source="toy")
    html = page_of(tmp_path / "set", tmp_path / "page.html")
    assert f"{CARDS} of 731 objects" in html
    titles = re.findall(r"<h3>(\w+)</h3>", html)
    assert (titles.count("car"), titles.count("mug"), titles.count("lamp")) == (180, 179, 1)
    # The fewest and the most points of a word are always among those shown.
    points = [int(text) for text in re.findall(r"<li>(\d+) points at", html)]
    assert (points[0], points[179], points[180], points[358]) == (500, 1, 730, 501)


def test_every_view_is_on_the_card_and_on_its_own_image(tmp_path: Path, scan_that_opens: list[Path]) -> None:
    """A mug that was seen in two frames: its second view is drawn where the second frame saw it."""
    mine_stand_ins(tmp_path / "single", count=2)
    first, second = (t for t in open_triplets(tmp_path / "single") if t.texts == ("mug",))
    shown = ("frame", "view_index", "camera", "box", "score", "center", "T_world_points")
    views = tuple(
        ViewRecord(**{name: getattr(t.provenance, name) for name in shown}) for t in (first, second)
    )
    both = replace(
        first,
        views=(ObjectView(second.points, second.colors, second.crop),),
        provenance=replace(first.provenance, views=views),
    )
    write_triplets(tmp_path / "set", [both], source="stand-in")
    metrics = measure_triplets(open_triplets(tmp_path / "set"))
    assert metrics.with_several_views == 1
    html = page_of(tmp_path / "set", tmp_path / "page.html", scan_root=tmp_path)
    assert "2 views" in html
    assert html.count('class="more"') == 1
    headers = [
        json.loads(unescape(text)) for text in re.findall(r'class="overlay" data-header="([^"]*)"', html)
    ]
    assert [[item["box"] for item in header["objects"]] for header in headers] == [
        [pytest.approx(t.provenance.box)] for t in (first, second)
    ]
    assert [header["count"] for header in headers] == [60 + 20, 60 + 20]


@pytest.mark.slow
def test_the_page_of_ten_thousand_objects_is_small(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    crop = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    points = random.normal(size=(1200, 3)).astype(np.float32)
    colors = random.integers(0, 256, (1200, 3), dtype=np.uint8)
    write_triplets(
        tmp_path / "set",
        (
            Triplet(f"t{i}", points, colors, crop, (f"word {i % 300}",), Provenance(frame=f"f{i}"))
            for i in range(10_000)
        ),
        source="toy",
    )
    assert len(page_of(tmp_path / "set", tmp_path / "page.html")) < 20e6


def test_the_largest_cards_and_overlays_there_can_be_fit_into_20_mb() -> None:
    """Noise does not compress: nothing takes more of the page than it."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (300, 300, 3), dtype=np.uint8)
    points = random.normal(size=(5000, 3))
    colors = random.integers(0, 256, (5000, 3), dtype=np.uint8)
    card = Card("a" * 80, ["b" * 120] * 5, noise, points, colors, more_images=[noise] * 9, key="k" * 80)
    camera = Camera([[800, 0, 959.5], [0, 800, 539.5], [0, 0, 1]], 1920, 1080)
    points = random.uniform((-6, -3, 4), (6, 3, 8), (200_000, 3))
    image = random.integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    items = [OverlayObject(points[i::40], np.array([0, 0, 9, 9]), "a" * 40, "k" * 80) for i in range(40)]
    overlay = overlay_view(image, camera, points, items)
    assert CARDS * len(card_element(card, EXPLORER_SIZE)) + OVERLAYS * len(overlay) < 19.5e6


def test_labels_as_boxes_are_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triplet_stand_ins.StandInDetections, "is_ground_truth", True)
    mine_stand_ins(tmp_path / "set", count=1)
    assert "labels, not a detector" in page_of(tmp_path / "set", tmp_path / "page.html")


def test_words_are_text_and_never_markup(tmp_path: Path) -> None:
    write_triplets(tmp_path / "set", [toy(0, 5, "<script>alert(1)</script>", None)], source="toy")
    assert "<script>alert" not in page_of(tmp_path / "set", tmp_path / "page.html")
