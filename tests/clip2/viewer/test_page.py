"""The page in a real browser."""

import json
import urllib.request

import numpy as np
import pytest
import trimesh

from clip2.recognition import Instances3D
from data_prep.scans import open_scan
from data_prep.scans.layout.save import save_layout
from tests.support.viewer_browser import (
    choose,
    field,
    needs_browser,
    picture,
    place,
    served,
    settled,
    until,
    visitor,
)
from tests.support.viewer_stand_ins import room_frame


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    path = tmp_path_factory.mktemp("view") / "room.ply"
    frame = room_frame()
    trimesh.PointCloud(frame.world_points(), frame.colors).export(path)
    return path


def pixels_of(image, color):
    """How many pixels have the hue of a color, whatever their brightness."""
    direction = np.asarray(color, float) - np.mean(color)
    chroma = image - image.mean(axis=2, keepdims=True)
    length = np.linalg.norm(chroma, axis=2) * np.linalg.norm(direction)
    return int(
        (((chroma @ direction) / np.maximum(length, 1e-9) > 0.97) & (np.ptp(image, axis=2) > 40)).sum()
    )


def colors_sent(app, number):
    """The colors, as sent to the browser, of the points of one object."""
    owners = app.session.owners
    return np.concatenate(
        [
            handle.colors[owners[part] == number]
            for handles, parts in zip(app.stage.clouds, app.stage.parts, strict=True)
            for handle, part in zip(handles, parts, strict=True)
            if handle is not None
        ]
    )


def opened(page, gate, app):
    page.goto(gate.url)
    page.wait_for_selector("canvas")
    settled(app, lambda: len(app.session.content.objects) > 0)


def test_the_scene_follows_what_is_typed(room):
    """The short form: the page is served and its scene is checked, without a browser."""
    with served(str(room), "--labels", "table") as (gate, app):
        with urllib.request.urlopen(gate.url, timeout=5) as page:
            assert b"<html" in page.read()
        settled(app, lambda: app.page.appearance.mode == "similarity")
        (table, *_) = np.flatnonzero(app.session.naming.wanted)
        settled(app, lambda: table in app.stage.captions)
        assert np.ptp(colors_sent(app, table).astype(int), axis=1).min() > 40
        assert app.stage.captions[table].text == "table"
        assert len(app.stage.boxes.points) == 12 * app.session.naming.wanted.sum()


@needs_browser
@pytest.mark.slow
def test_what_is_typed_lights_up(room):
    with served(str(room)) as (gate, app), visitor((640, 400)) as page:
        opened(page, gate, app)
        session = app.session
        field(page, "labels").fill("tab")
        page.get_by_role("button", name="table", exact=True).click()
        settled(app, lambda: session.labels == ("table",) and app.page.appearance.mode == "similarity")
        (table, *_) = np.flatnonzero(session.naming.wanted)
        assert session.naming.labels[table] == "table"
        lit = colors_sent(app, table).astype(int)
        assert np.ptp(lit, axis=1).min() > 40  # colored
        dark = colors_sent(app, int(np.flatnonzero(~session.naming.wanted)[0])).astype(int)
        assert np.ptp(dark, axis=1).max() < 15  # gray
        until(lambda: pixels_of(picture(page)[:, :320], app.page.appearance.palette()[0]) > 40)


@needs_browser
@pytest.mark.slow
def test_a_visit(room, tmp_path):
    out = tmp_path / "labels"
    with served(str(room), "--labels", "fan, table", "--out", str(out)) as (gate, app), visitor() as page:
        opened(page, gate, app)
        session = app.session
        settled(app, lambda: session.labels == ("fan", "table"))
        before = int(session.naming.wanted.sum())
        field(page, "score ≥").fill("0.9")
        field(page, "score ≥").press("Enter")
        settled(app, lambda: session.threshold == 0.9)
        assert int(session.naming.wanted.sum()) < before
        field(page, "score ≥").fill("0")
        settled(app, lambda: session.threshold == 0)

        choose(page, "color by", "height")
        settled(app, lambda: app.page.appearance.mode == "height")
        choose(page, "color by", "similarity to labels")

        table = int(np.flatnonzero(np.array(session.naming.labels) == "table")[0])
        page.mouse.click(*place(page, app, session.content.objects.object_points(table)))
        settled(app, lambda: session.selected is not None)
        page.get_by_text("objectness").first.wait_for()
        chosen = session.selected
        page.get_by_role("button", name="find more like this").click()
        settled(app, lambda: session.reference == chosen)
        page.get_by_text("most alike").wait_for()

        field(page, "label").fill("<b>desk</b>")
        page.get_by_role("button", name="set label").click()
        settled(app, lambda: session.naming.labels[chosen] == "<b>desk</b>")
        page.get_by_text("<b>desk</b>").first.wait_for()

        page.get_by_text("Save", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("button", name="objects (JSON)").click()
        result = Instances3D.from_json(json.loads(download.value.path().read_text()))
        assert "<b>desk</b>" in result.labels
        with page.expect_download(timeout=60_000) as download:
            page.get_by_role("button", name="picture (PNG)").click()
        assert download.value.path().read_bytes().startswith(b"\x89PNG")
        with page.expect_download(timeout=60_000) as download:
            page.get_by_role("button", name="page (HTML)").click()
        html = tmp_path / "view.html"
        download.value.save_as(html)
        page.get_by_role("button", name="labels for training").click()
        settled(app, lambda: (out / "layout" / "scan.json").is_file())
        labels = open_scan("layout", out / "layout").annotations(0).labels
        assert "<b>desk</b>" in labels
        page.goto(html.as_uri())
        page.wait_for_selector("canvas")
        until(lambda: picture(page).std() > 10)  # the scene is there without a server
        legend = page.locator("#clip2-legend").inner_text()
        assert "<b>desk</b>" in legend
        assert "similarity to labels" in legend
        assert page.title() == room.name


@needs_browser
@pytest.mark.slow
def test_a_box_is_edited_by_hand(room, tmp_path):
    out = tmp_path / "labels"
    with served(str(room), "--labels", "table", "--out", str(out)) as (gate, app), visitor() as page:
        opened(page, gate, app)
        session = app.session
        settled(app, lambda: session.labels == ("table",))
        table = int(np.flatnonzero(np.array(session.naming.labels) == "table")[0])
        page.mouse.click(*place(page, app, session.content.objects.object_points(table)))
        settled(app, lambda: session.selected is not None)
        table, start = session.selected, session.boxes[session.selected]
        page.get_by_role("button", name="edit box").click()
        page.get_by_role("button", name="box is right").wait_for()

        # By the panel: the length, then the heading.
        field(page, "size (m)").fill("2.5")
        field(page, "size (m)").press("Enter")
        settled(app, lambda: session.boxes[table].size[0] == 2.5)
        np.testing.assert_allclose(session.boxes[table].size[1:], start.size[1:], atol=1e-3)
        field(page, "heading (°)").fill("30")
        field(page, "heading (°)").press("Enter")
        settled(app, lambda: abs(np.rad2deg(session.boxes[table].yaw) - 30) < 0.01)

        # By the handle in the scene that lifts.
        center = session.boxes[table].center
        lift = 0.8 * start.size.max() * 0.9  # near its tip
        here = place(page, app, (center + [0, 0, lift])[None])
        there = place(page, app, (center + [0, 0, lift + 0.5])[None])
        page.mouse.move(*here)
        page.wait_for_timeout(300)
        page.mouse.down()
        page.mouse.move(*there, steps=8)
        page.mouse.up()
        settled(app, lambda: session.boxes[table].center[2] > center[2] + 0.3)
        np.testing.assert_allclose(session.boxes[table].center[:2], center[:2], atol=1e-3)

        page.get_by_role("button", name="box is right").click()
        page.get_by_role("button", name="edit box").wait_for()
        moved = session.boxes[table]
        assert session.edits.boxes[table] is moved

        field(page, "label").fill("lamp")
        page.get_by_text("by box", exact=True).click()
        settled(app, lambda: "lamp" in session.naming.labels)
        page.get_by_text("Save", exact=True).click()
        page.get_by_role("button", name="labels for training").click()
        settled(app, lambda: (out / "layout" / "scan.json").is_file())
        saved = open_scan("layout", out / "layout").annotations(0)
        assert "lamp" in saved.labels
        (row,) = [i for i, box in enumerate(saved.boxes) if np.allclose(box.size, moved.size, atol=1e-3)]
        assert saved.attributes["corrected"][row]


@needs_browser
@pytest.mark.slow
def test_a_sequence_plays(tmp_path):
    street = tmp_path / "street"
    save_layout(open_scan("procedural", "street", frames=3), street)
    with served(str(street), "--source", "layout") as (gate, app), visitor() as page:
        opened(page, gate, app)
        first = app.session.content.objects.frame_id
        field(page, "frame").fill("2")
        field(page, "frame").press("Enter")
        settled(app, lambda: app.session.content.objects.frame_id not in (first, ""))
        seen = set()
        page.get_by_label("play").check()
        until(lambda: seen.add(app.session.content.objects.frame_id) or len(seen) == 3)
        page.get_by_label("play").uncheck()
