import base64
import html as html_module
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep import InputError, OrientedBox
from data_prep.report import Card, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def decoded(html):
    """What the browser's script will find: header, positions, colors of each cloud."""
    found = []
    for header, data in re.findall(r'data-header="([^"]*)"><script type="text/plain">([^<]*)</script>', html):
        header = json.loads(html_module.unescape(header))
        raw = base64.b64decode(data)
        count = header["count"]
        points = np.frombuffer(raw[: 6 * count], "<i2").reshape(-1, 3) * header["step"]
        colors = (
            np.frombuffer(raw[6 * count : 9 * count], np.uint8).reshape(-1, 3) if header["colors"] else None
        )
        owners = np.frombuffer(raw[-2 * count :], "<i2") if header["owners"] else None
        found.append((header, points, colors, owners))
    return found


def test_a_cloud_survives_its_encoding():
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (500, 3)) * [60, 40, 3] + [4.5e5, 5.4e6, 100]  # UTM
    colors = rng.integers(0, 256, (500, 3)).astype(np.uint8)
    owners = rng.integers(-1, 2, 500)
    boxes = [OrientedBox(points[0], [1, 2, 3]), OrientedBox(points[1], [1, 1, 1])]
    page = Page("x").cloud(points, colors, boxes, ["a 0.9", "b 0.8"], labels=["a", "b"], owners=owners)
    ((header, shown, shown_colors, shown_owners),) = decoded(page.html())
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    assert np.abs(shown - (points - middle)).max() < 0.002
    assert (shown_colors == colors).all()
    assert (shown_owners == owners).all()
    corners = np.array(header["boxes"][0]["corners"]).reshape(8, 3)
    assert corners == pytest.approx(boxes[0].corners() - middle, abs=1e-3)
    assert [box["label"] for box in header["boxes"]] == [0, 1]


def test_objects_carry_a_value_and_places_a_name():
    points = np.random.default_rng(0).normal(size=(50, 3)) + 1000
    boxes = [OrientedBox(points[0], [1, 2, 3]), OrientedBox(points[1], [1, 1, 1])]
    page = Page("x").cloud(
        points, boxes=boxes, values=[0.25, 1.0], value="objectness", places=[("wall", points[7])]
    )
    ((header, shown, *_),) = decoded(page.html())
    assert header["value"] == "objectness"
    assert [box["value"] for box in header["boxes"]] == [0.25, 1.0]
    (place,) = header["places"]
    assert place["name"] == "wall"
    assert place["at"] == pytest.approx(shown[7], abs=0.002)
    with pytest.raises(InputError, match="values"):
        Page("x").cloud(points, boxes=boxes, values=[1.0])
    ((header, *_),) = decoded(Page("x").cloud(points, boxes=boxes).html())
    assert (header["value"], header["places"]) == ("", [])


def test_large_clouds_are_thinned_and_the_caption_says_so():
    points = np.random.default_rng(0).normal(size=(5000, 3))
    page = Page("x").cloud(points, max_points=1000, caption="A scan.")
    ((header, *_),) = decoded(page.html())
    assert header["count"] == 1000
    assert "A scan. 1,000 of 5,000 points shown" in page.html()
    assert len(Page("x").cloud(points, max_points=1000).html()) < 60_000


def test_text_cannot_break_the_page():
    evil = "</script><img src=x onerror=alert(1)>\"'&"
    points = np.zeros((3, 3), np.float32)
    page = (
        Page(evil, evil)
        .heading(evil)
        .paragraph(evil)
        .table([evil], [[evil]])
        .image(np.zeros((4, 4, 3), np.uint8), evil)
        .cloud(points, boxes=[OrientedBox([0, 0, 0], [1, 1, 1])], captions=[evil], caption=evil)
        .gallery([Card(evil, [evil], np.zeros((4, 4, 3), np.uint8), points)])
    )
    html = page.html()
    assert "<img src=x" not in html
    assert html.count("</script>") == html.count("<script")
    ((header, *_), _) = decoded(html)
    assert header["boxes"][0]["caption"] == evil


def test_the_page_needs_nothing_else():
    page = Page("x").cloud(np.zeros((3, 3))).image(np.zeros((4, 4, 3), np.uint8))
    html = page.html()
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", html)
    assert "http:" not in html
    assert "https:" not in html


def test_numbers_and_words_in_tables():
    html = (
        Page("x")
        .table(["n", "share", "word"], [[1234567, 0.5, "a"], [np.int64(3), np.float32(0.25), True]])
        .html()
    )
    assert '<td class="number">1,234,567</td>' in html
    assert '<td class="number">0.500</td>' in html
    assert '<td class="number">0.250</td><td>True</td>' in html


def test_a_page_is_written_whole(tmp_path):
    path = Page("x").write(tmp_path / "deep" / "page.html")
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_empty_and_tiny_clouds_are_shown():
    page = Page("x").cloud(np.zeros((0, 3))).cloud(np.ones((1, 3))).gallery([Card("nothing")])
    assert [header["count"] for header, *_ in decoded(page.html())] == [0, 1]


@pytest.mark.parametrize(
    "arguments, field",
    [
        ({"points": np.zeros((3, 2))}, "cloud.points"),
        ({"points": np.full((3, 3), np.nan)}, "cloud.points"),
        ({"points": np.zeros((3, 3)), "colors": np.zeros((3, 3))}, "cloud.colors"),
        ({"points": np.zeros((3, 3)), "colors": np.zeros((2, 3), np.uint8)}, "cloud.colors"),
        ({"points": np.zeros((3, 3)), "captions": ["a"]}, "cloud.captions"),
        ({"points": np.zeros((3, 3)), "owners": np.zeros(2)}, "cloud.owners"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, field):
    with pytest.raises(InputError, match=field):
        Page("x").cloud(**arguments)


def test_other_mistakes_are_refused():
    with pytest.raises(InputError, match="table row 1"):
        Page("x").table(["a"], [[1], [1, 2]])
    with pytest.raises(InputError, match="uint8"):
        Page("x").image(np.zeros((4, 4, 3)))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_a_browser_draws_the_cloud(tmp_path):
    green = np.tile(np.uint8([[0, 255, 0]]), (4000, 1))
    points = np.random.default_rng(0).uniform(-1, 1, (4000, 3))
    box = OrientedBox([0, 0, 0], [2, 2, 2])
    page = Page("x").cloud(points, green, [box], ["cube"], height=500).write(tmp_path / "page.html")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars --window-size=900,900"
    command = [CHROMIUM, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    subprocess.run(
        [*command, f"--screenshot={tmp_path / 'page.png'}", page.as_uri()],
        check=True,
        timeout=120,
        capture_output=True,
    )
    shot = np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).astype(int)
    green_share = ((shot[..., 1] > 60) & (shot[..., 0] < 40) & (shot[..., 2] < 40)).mean()
    assert green_share > 0.05


@pytest.mark.parametrize("side", [40, 700])
def test_a_picture_of_noise_can_be_shown(side: int) -> None:
    """Denser than a byte per pixel, which Pillow's encoder does not expect."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    assert "data:image/jpeg;base64," in Page("Noise").image(noise).html()


def test_no_two_style_sheets_style_one_class_as_a_whole() -> None:
    # A page holds all of them. The time slider of a map was once drawn over the filters of a gallery.
    sheets = [
        path.read_text("utf-8") for path in (Path(__file__).parents[3] / "data_prep/report").glob("*.css")
    ]
    assert len(sheets) > 3
    styled = Counter(name for sheet in sheets for name in set(re.findall(r"^\.([\w-]+)\s*[{,]", sheet, re.M)))
    assert styled["cloud"] == 1
    assert [name for name, count in styled.items() if count > 1] == []
