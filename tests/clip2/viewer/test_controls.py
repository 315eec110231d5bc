"""Controls of the page: what is hidden is not drawn, what is corrected is saved, and frames keep their corrections."""

import numpy as np
import pytest

from clip2.viewer.corrections import rename
from data_prep.scans import open_scan
from data_prep.scans.layout.save import save_layout
from tests.support.viewer_browser import field, needs_browser, picture, place, served, until, visitor


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Three frames of a room, with images."""
    folder = tmp_path_factory.mktemp("controls") / "room"
    save_layout(open_scan("procedural", "room", frames=3, image_size=(320, 240)), folder)
    return str(folder)


def drawn(stage, ground):
    """Whether the browser shows any of the layers."""
    handles = [pair[ground] for pair in stage.clouds if pair[ground] is not None]
    assert handles
    return any(handle.visible for handle in handles)


def test_marks_ground_cameras_and_time_without_a_browser(scan):
    with served(scan, "--source", "layout") as (_, app):
        page, stage, session = app.page, app.stage, app.session
        until(lambda: len(session.content.objects) > 0 and stage.boxes is not None)
        page.marks.update(boxes=False, names=False, ids=True)
        page.mark()
        assert stage.boxes is None
        assert {handle.text for handle in stage.captions.values()} == {
            f"#{i}" for i in np.flatnonzero(session.naming.wanted)
        }
        stage.show_layers(ground=False)
        assert (drawn(stage, ground=True), drawn(stage, ground=False)) == (False, True)
        assert session.ground[stage.shown].sum() == 0
        stage.show_cameras(session, True)
        (camera,) = stage.cameras

        first, wrong = session.content.objects.frame_id, int(np.flatnonzero(session.unknown())[0])
        page.change(lambda: rename(session, wrong, "robot"))
        app.timeline.go(1)
        until(lambda: len(session.content.objects) > 0 and session.content.objects.frame_id != first)
        assert "robot" not in session.naming.labels
        assert stage.cameras != [camera], "the camera of the new frame"
        app.timeline.go(0)
        assert session.content.objects.frame_id == first
        assert session.naming.labels[wrong] == "robot"
        assert list(app.timeline.edited()) == [first]


@needs_browser
@pytest.mark.slow
def test_a_person_uses_every_control(scan, tmp_path):
    out = tmp_path / "labels"
    arguments = (scan, "--source", "layout", "--labels", "table, fan, globe", "--out", str(out))
    with served(*arguments) as (gate, app), visitor((1100, 800)) as page:
        page.goto(gate.url)
        page.wait_for_selector("canvas")
        stage, session = app.stage, app.session
        until(lambda: len(session.content.objects) > 0 and stage.boxes is not None)

        strange = int(session.unknown().sum())
        field(page, "false alarms").fill("0.5")
        field(page, "false alarms").press("Enter")
        until(lambda: int(session.unknown().sum()) > strange)
        field(page, "false alarms").fill("0.05")
        field(page, "false alarms").press("Enter")
        until(lambda: int(session.unknown().sum()) < strange)

        page.get_by_text("Show", exact=True).click()
        page.get_by_label("boxes", exact=True).uncheck()
        until(lambda: stage.boxes is None)
        page.get_by_label("names", exact=True).uncheck()
        until(lambda: not stage.captions)
        page.get_by_label("ids", exact=True).check()
        until(lambda: all(handle.text.startswith("#") for handle in stage.captions.values()))
        page.get_by_label("cameras", exact=True).check()
        until(lambda: len(stage.cameras) == 1)
        before = picture(page)
        page.get_by_label("ground", exact=True).uncheck()
        until(lambda: not drawn(stage, ground=True))
        page.wait_for_timeout(1500)
        assert (abs(picture(page) - before).max(axis=2) > 30).sum() > 500, "the floor is gone"

        # What was there already is taken out, and added again by a click on it.
        fan = int(np.flatnonzero(np.array(session.naming.labels) == "fan")[0])
        points = session.content.objects.object_points(fan)
        page.mouse.click(*place(page, app, points))
        until(lambda: session.selected is not None)
        chosen = session.selected
        page.get_by_role("button", name="not an object").click()
        until(lambda: session.edits.removed == {chosen})
        field(page, "label").fill("ventilator")
        page.get_by_text("by click", exact=True).click()
        page.get_by_text("Click the object.").wait_for()
        page.mouse.click(*place(page, app, points))
        until(lambda: "ventilator" in session.naming.labels)

        first = session.content.objects.frame_id
        field(page, "frame").fill("2")
        field(page, "frame").press("Enter")
        until(lambda: session.content.objects.frame_id != first and len(session.content.objects) > 0)
        page.get_by_text("Save", exact=True).click()
        page.get_by_role("button", name="labels for training").click()
        until(lambda: (out / "labels.json").is_file())  # of the images, the last to be written
        saved = open_scan("layout", out / "layout")
        assert len(saved.frame_ids()) == 2, "the corrected frame and the present one"
        assert "ventilator" in saved.annotations(saved.frame_ids().index(first)).labels
