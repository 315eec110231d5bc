"""The gallery to search in and the overlays, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.in_browser import needs_browser, screenshot, visit

from data_prep.errors import InputError
from data_prep.geometry import Camera
from data_prep.report import Bar, Card, Measure, Page, Spread
from data_prep.report.charts import bar_chart, spread_chart
from data_prep.report.overlay import OverlayObject

SHOWN = "[...document.querySelectorAll('.explorer .card')].filter(c => !c.hidden).map(c => c.querySelector('h3').textContent)"
TYPE = "const type = (target, key) => target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));"
GREEN = np.array([0, 255, 0], np.uint8)


def cards() -> list[Card]:
    """Two cars and a mug; the far car has no score."""
    points = np.random.default_rng(0).uniform(-1, 1, (800, 3))
    crop = np.full((40, 60, 3), 200, np.uint8)
    measures = [{"points": 1000, "range": 5, "score": 0.9}, {"points": 10, "range": 50}, {"points": 100, "range": 1, "score": 0.5}]  # fmt: skip
    words = [("near car", "car"), ("far car", "car"), ("mug", "cup")]
    return [
        Card(
            title,
            [f"at {record['range']} m"],
            crop,
            points,
            np.tile(GREEN, (800, 1)),
            more_images=[crop // 2] if title == "mug" else [],
            key=f"k{number}",
            words=[word],
            measures=record,
        )
        for number, ((title, word), record) in enumerate(zip(words, measures, strict=True))
    ]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    bars = [Bar("car", 2, query={"word": "car"}), Bar("cup", 1, query={"word": "cup"}), Bar("ghost", 9)]
    far = Spread("40 m and more", 1, 2, 3, 4, 5, query={"measure": "range", "from": 40, "to": None})
    measures = [
        Measure("points", "points", log=True),
        Measure("score", "score"),
        Measure("range", "range", "m"),
    ]
    return (
        Page("x").bars(bars).spreads([far], "points").explorer(cards(), measures).write(tmp_path / "p.html")
    )


def overlay_page(path: Path) -> Path:
    """A wall of points 5 m away, a green object in the middle 2 m away, whose card is on the page."""
    camera = Camera([[100, 0, 159.5], [0, 100, 119.5], [0, 0, 1]], 320, 240)
    x, y = np.meshgrid(np.linspace(-7, 7, 80), np.linspace(-5, 5, 60))
    wall = np.stack([x.ravel(), y.ravel(), np.full(x.size, 5.0)], axis=1)
    thing = wall[(np.abs(wall[:, :2]) < 1).all(axis=1)] * 0.4
    image = np.full((240, 320, 3), 90, np.uint8)
    item = OverlayObject(thing, np.array([138, 98, 181, 141]), "mug 0.5", "k2")
    return Page("x").overlay(image, camera, wall, [item], "a wall").explorer(cards()).write(path)


@pytest.mark.slow
@needs_browser
def test_words_ranges_and_typing_choose_cards(page: Path) -> None:
    steps = visit(
        page,
        f"""{TYPE}
        const shown = () => {SHOWN}, steps = [shown()];
        document.querySelector("[data-query*=car]").click(); steps.push(shown());
        document.querySelector("[data-query*=range]").click(); steps.push(shown());
        steps.push([location.hash]);
        steps.push([...document.querySelectorAll("[aria-pressed=true].row .name")].map(n => n.textContent));
        type(document.body, "Escape"); steps.push(shown());
        type(document.body, "/"); steps.push([document.activeElement.type]);
        document.activeElement.value = "CUP"; document.activeElement.dispatchEvent(new Event("input")); steps.push(shown());
        document.activeElement.value = "z"; document.activeElement.dispatchEvent(new Event("input")); steps.push(shown());
        steps.push([document.querySelector(".nothing").hidden, document.querySelector(".count").textContent]);
        return steps;""",
    )
    everything = ["near car", "far car", "mug"]
    assert steps == [
        everything,
        ["near car", "far car"],
        ["far car"],
        ["#word=car&range=40.."],
        ["car", "40 m and more"],
        everything,
        ["search"],
        ["mug"],
        [],
        [False, "0 of 3 shown"],
    ]


@pytest.mark.slow
@needs_browser
def test_sorting_and_sliders(page: Path) -> None:
    steps = visit(
        page,
        f"""const shown = () => {SHOWN}, steps = [];
        const sort = document.querySelector(".tools select");
        for (const by of ["points", "-points", "-score", ""]) {{ sort.value = by; sort.dispatchEvent(new Event("change")); steps.push(shown()); }}
        const slide = (name, value) => {{
          const input = document.querySelector(`[aria-label="${{name}}"]`);
          input.value = value; input.dispatchEvent(new Event("input")); steps.push(shown());
        }};
        slide("least points", 400);    // 10 * 100^0.4 = 63
        slide("most points", 700);     // 10 * 100^0.7 = 251
        slide("least score", 1);
        return steps;""",
    )
    assert steps == [
        ["far car", "mug", "near car"],
        ["near car", "mug", "far car"],
        ["near car", "mug", "far car"],  # what has no score comes last
        ["near car", "far car", "mug"],
        ["near car", "mug"],
        ["mug"],
        [],
    ]


@pytest.mark.slow
@needs_browser
def test_an_address_leads_to_an_object_and_arrows_lead_on(page: Path) -> None:
    steps = visit(
        page,
        f"""{TYPE}
        const dialog = document.querySelector("dialog");
        const state = () => [dialog.open, dialog.querySelector("h3").textContent, dialog.querySelectorAll("img").length,
                             dialog.querySelectorAll("canvas").length, location.hash];
        await tick();
        const steps = [state()];
        type(dialog, "ArrowRight"); await tick(); steps.push(state());
        dialog.querySelector("[aria-label=close]").click(); await tick(); steps.push(state());
        steps.push([document.activeElement.getAttribute("aria-label")]);
        type(document.activeElement, "ArrowLeft");
        steps.push([document.activeElement.getAttribute("aria-label")]);
        return steps;""",
        fragment="sort=-range&object=k0",
    )
    assert steps[0] == [True, "near car", 1, 1, "#sort=-range&object=k0"]
    assert steps[1] == [True, "mug", 3, 1, "#sort=-range&object=k2"]  # its crop, and the strip of both looks
    assert steps[2][0] is False
    assert steps[2][4] == "#sort=-range"
    assert steps[3:] == [["enlarge mug"], ["enlarge near car"]]


@pytest.mark.slow
@needs_browser
def test_an_enlarged_cloud_is_drawn(tmp_path: Path) -> None:
    def green(shot: np.ndarray) -> float:
        return float(((shot[..., 1] > 60) & (shot[..., 0] < 40) & (shot[..., 2] < 40)).mean())

    page = Page("x").explorer(cards()[:1]).write(tmp_path / "p.html")
    assert green(screenshot(page, "object=k0")) > 3 * green(screenshot(page)) > 0


@pytest.mark.slow
@needs_browser
def test_nothing_is_wider_than_a_phone(page: Path, tmp_path: Path) -> None:
    # Chromium's own window is never narrower than 500 pixels; a frame is.
    for narrow in (page, overlay_page(tmp_path / "o.html")):
        frame = tmp_path / "phone.html"
        frame.write_text(
            f'<!doctype html><head></head><body><iframe src="{narrow.as_uri()}" style="width:360px;height:700px"></iframe></body>'
        )
        html = narrow.read_text().replace(
            "</body>", "<script>parent.postMessage(document.documentElement.scrollWidth, '*')</script></body>"
        )
        narrow.write_text(html)
        width = visit(frame, "return await new Promise(done => { addEventListener('message', e => done(e.data));"
                             "document.querySelector('iframe').src += ''; });")  # fmt: skip
        assert width <= 360


@pytest.mark.slow
@needs_browser
def test_overlays_switch_their_layers(tmp_path: Path) -> None:
    page, shown = overlay_page(tmp_path / "p.html"), {}
    for keys in ("", "p", "po", "pob"):
        press = f'{TYPE} for (const key of "{keys}") type(document.querySelector(".overlay canvas"), key);'
        shot = screenshot(page, script=press, size=(900, 720))[120:700]
        red, green, blue = (shot[..., channel] for channel in range(3))
        wall, thing = (blue > 1.5 * green) & (blue > 90), (green > 1.5 * red) & (green > 1.5 * blue)
        shown[keys] = (int(wall.sum()), int(thing.sum()))
    assert shown[""][0] > 10 * shown["p"][0]
    assert shown["p"][1] > shown["po"][1] > 0
    assert shown["pob"][1] == 0


@pytest.mark.slow
@needs_browser
def test_overlays_go_near_and_lead_to_the_card(tmp_path: Path) -> None:
    steps = visit(
        overlay_page(tmp_path / "p.html"),
        f"""{TYPE}
        const canvas = document.querySelector(".overlay canvas"), image = document.querySelector(".photo img");
        const depths = () => [...document.querySelectorAll(".depths span")].map(s => s.textContent).join(" ");
        const steps = [depths()];
        for (const key of ["n", "z"]) {{ type(canvas, key); await tick(); }}
        steps.push(Number(/scale\\(([\\d.]+)/.exec(image.style.transform)[1]));
        type(canvas, "0"); await tick(); steps.push(image.style.transform.startsWith("scale(1)"));
        type(canvas, "Enter"); steps.push(document.querySelector("dialog h3").textContent);
        return steps;""",
    )
    # The box is 43 by 43 pixels, of which a window of 1.6 sides is shown in an image 240 high.
    assert steps == ["2.00 m 5.00 m", pytest.approx(240 / (1.6 * 43 + 1), rel=1e-3), True, "mug"]


def test_cards_to_search_in_have_keys_of_their_own() -> None:
    for wrong in ([Card("a")], [Card("a", key="k"), Card("b", key="k")]):
        with pytest.raises(InputError, match=r"cards.key: are missing or repeated"):
            Page("x").explorer(wrong)


def test_bars_share_one_scale() -> None:
    html = bar_chart([Bar("a", 50), Bar("b", 200, "note")])
    assert "width:25.00%" in html
    assert "width:100.00%" in html
    assert "200<small>note</small>" in html


def test_spreads_lie_on_a_logarithmic_scale() -> None:
    """From 1 to 100: 10 is in the middle."""
    html = spread_chart([Spread("a", 1, 10, 10, 100, 100)], "points")
    assert '<u style="left:0.00%;right:0.00%">' in html
    assert '<i style="left:50.00%;right:0.00%">' in html
    assert '<b style="left:50.00%">' in html
    assert [f">{tick}</span>" in html for tick in ("1", "10", "100", "1k")] == [True, True, True, False]


def test_thousands_are_short_so_that_ticks_fit_a_phone() -> None:
    html = spread_chart([Spread("a", 0.2, 1, 1, 1, 2e6)], "points")
    ticks = re.findall(r'<span style="left:[^"]*">([^<]*)</span>', html)
    assert ticks == ["0.1", "1", "10", "100", "1k", "10k", "100k", "1M", "10M"]


def test_queries_and_names_are_text(tmp_path: Path) -> None:
    evil = "'\"><img src=x onerror=alert(1)>"
    html = bar_chart([Bar(evil, 1, evil, {"word": evil})]) + spread_chart(
        [Spread(evil, 1, 1, 1, 1, 1, evil)], evil
    )
    html += Page("x").explorer([Card(evil, key=evil, words=[evil])], [Measure(evil, evil)]).html()
    assert "<img src=x" not in html
