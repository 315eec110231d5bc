"""Layers, picking, heat, suggestions and the panel, each for itself."""

import numpy as np

from clip2.viewer.appearance import LegendRow
from clip2.viewer.coloring import by_height, ramp, spread_heat
from clip2.viewer.corrections import rename
from clip2.viewer.detail import layers
from clip2.viewer.moments import Moments, thinned
from clip2.viewer.naming import similarity_range, stretch
from clip2.viewer.panel import legend_html, message_html, object_html, with_legend
from clip2.viewer.picking import grow, pick_point
from clip2.viewer.stage import first_look
from clip2.viewer.suggestions import complete, suggest, typed_labels
from data_prep.scans import Frame
from tests.support.viewer_stand_ins import room_session


def test_layers_share_no_point_and_each_covers_the_scene():
    points = np.random.default_rng(1).random(1_000_000)
    split = layers(len(points), 700_000)
    together = np.concatenate(split)
    assert len(together) == len(np.unique(together)) == 700_000
    assert max(map(len, split)) <= 250_000
    assert all(abs(points[layer].mean() - 0.5) < 0.01 for layer in split)


def test_the_nearer_of_two_points_on_a_ray_is_picked():
    points = np.array([[10.0, 0, 0], [5, 0.01, 0], [5, 2, 0], [-3, 0, 0]])
    assert pick_point(np.zeros(3), np.array([2.0, 0, 0]), points) == 1
    assert pick_point(np.zeros(3), np.array([0.0, 0, 1]), points) is None


def test_growth_stops_at_gaps_and_at_what_is_taken():
    line = np.column_stack([np.arange(0, 2, 0.05), np.zeros(40), np.zeros(40)])
    free = np.ones(40, bool)
    free[30] = False
    taken = grow(line, free, 20, reach=5.0, radius=0.07)
    assert taken.tolist() == list(range(30))


def test_heat_fades_over_the_edge_of_an_object():
    x = np.linspace(0, 4, 4001)
    points = np.column_stack([x, np.zeros_like(x), np.zeros_like(x)])
    owners = np.where(x < 2, 0, -1)
    heat = spread_heat(points, owners, np.array([1.0], np.float32))
    assert heat[0] > 0.99
    assert heat[-1] < 0.01
    near = heat[np.abs(x - 2) < 0.012]
    assert 0.05 < near.min() < near.max() < 0.95


def test_scales_get_brighter_all_the_way():
    values = np.linspace(0, 1, 50)
    for scale in ("height", "heat"):
        brightness = ramp(values, scale).astype(float) @ [0.299, 0.587, 0.114]
        assert (np.diff(brightness) > -0.5).all()
    flat = by_height(np.zeros((3, 3)))
    assert len(np.unique(flat, axis=0)) == 1


def test_similarity_is_measured_against_what_is_usual():
    embeddings = np.eye(4, dtype=np.float32)
    limits = similarity_range(embeddings, np.eye(4, dtype=np.float32))
    assert stretch(np.array([0.0, 1.0]), limits).tolist() == [0.0, 1.0]
    assert similarity_range(embeddings[:0], embeddings) == (0.0, 1.0)


def test_suggestions():
    names = ["chair", "armchair", "office chair", "traffic light", "table"]
    assert suggest("", names) == []
    assert suggest("Office_c", names) == ["office chair"]
    assert suggest("chair", names) == ["office chair"]
    assert suggest("tabel", names) == ["table"]
    assert complete("  chair ,ta", "table") == "chair, table, "
    assert typed_labels("unknown, chair", {"chair", "unknown"}.__contains__) == (("chair",), ("unknown",))


def test_what_comes_from_data_is_text_on_the_page():
    evil = '<img src=x onerror="alert(1)">\x1b[31m'
    assert "<img" not in legend_html([LegendRow(evil, (1, 2, 3), 1, 0.5)])
    assert "<img" not in message_html(evil)
    session = room_session()
    rename(session, 0, evil)
    html = object_html(session, 0)
    assert "&lt;img" in html
    assert "<img" not in html


def test_a_saved_page_has_a_legend_in_its_corner():
    evil = "</script><b>"
    rows = [LegendRow("mug", (1, 2, 3), 4, 0.5)]
    page = with_legend("<html><body>scene</body></html>", evil, "object", rows)
    assert page.startswith("<html><body>scene<div")
    assert page.endswith("</body></html>")
    assert "rgb(1, 2, 3)" in page
    assert "<b>" not in page.replace("<b>&lt;/script&gt;&lt;b&gt;</b>", "").replace("<b style", "")
    assert page.count("</script>") == 1


def test_the_panel_shows_probabilities_size_and_distance():
    session = room_session()
    html = object_html(session, 0)
    label, probability = session.naming.top(0)[0]
    assert label in html
    assert f"width:{100 * probability:.1f}%" in html
    length = session.boxes[0].size[0]
    assert f"{length:.2f} ×" in html
    assert "m from the sensor" in html


def test_the_page_opens_where_the_camera_stood_and_above_a_sweep():
    room = np.random.default_rng(0).random((1000, 3)) * [4, 4, 2]
    position, at = first_look(room, np.array([2.0, -3, 1]))
    assert abs(position[0] - 2) < 0.2
    assert position[1] < -3
    position, at = first_look(room * 10, np.array([20.0, 20, 1]))
    assert position[2] > at[2] + 5


def test_moments_are_found_once_and_the_last_dozen_are_kept():
    asked = []
    moments = Moments([str(i) for i in range(20)], bare=str, full=lambda i: asked.append(i) or f"full {i}")
    assert moments.bare(3) == "3"
    assert [moments.full(3), moments.full(3), moments.bare(3)] == ["full 3"] * 3
    assert asked == [3]
    for i in range(4, 17):
        moments.full(i)
    assert not moments.is_known(3)


def test_a_cloud_of_too_many_points_is_thinned_and_says_so():
    frame = Frame.build("a", np.random.default_rng(0).random((1000, 3)), intensity=np.ones(1000, np.float32))
    small = thinned(frame, 100)
    assert (len(small.points), len(small.intensity)) == (100, 100)
    assert small.notes == ("100 of 1,000 points are used",)
    assert thinned(frame, 1000) is frame
