"""State of the page: names as in recognize, colors, choice by ray, corrections."""

from dataclasses import replace

import numpy as np
import pytest

from clip2.recognition.instances import instance_palette
from clip2.size_prior import SizeRange
from clip2.viewer import Content, Session
from clip2.viewer.appearance import Appearance
from clip2.viewer.coloring import UNKNOWN_GRAY
from clip2.viewer.corrections import (
    add_by_box,
    add_by_click,
    add_by_rectangle,
    first_box,
    labeled,
    move_box,
    remove,
    rename,
    settle_box,
    to_annotations,
)
from clip2.viewer.panel import object_html
from clip2.viewer.picking import Eye
from data_prep import InputError
from data_prep.geometry import OrientedBox
from tests.support.viewer_stand_ins import recognized_room, room_frame, room_session


@pytest.fixture
def session():
    return room_session()


def number_of(session, label):
    """Of the object with this label and the highest score."""
    mine = [i for i, name in enumerate(session.naming.labels) if name == label and session.naming.wanted[i]]
    return max(mine, key=lambda i: session.naming.scores[i])


BOTTLE = (-0.28, -0.41, 0.84)  # center of a bottle that stands on a table, in meters


def number_at(session, place):
    """Of the object with this center, whatever the model calls it."""
    return int(np.linalg.norm(session.content.objects.visible_boxes[:, :3] - place, axis=1).argmin())


@pytest.mark.parametrize("labels", ["table, globe, fan", "table"])
def test_names_scores_and_boxes_are_those_of_recognize(session, labels):
    session.set_against_all(False)
    session.ask(labels)
    shown, written = session.result(), recognized_room().query(labels)
    assert (shown.labels, shown.vocabulary) == (written.labels, written.vocabulary)
    np.testing.assert_allclose(shown.scores, written.scores, atol=1e-6)
    np.testing.assert_array_equal(shown.boxes, written.boxes)
    assert [index[0] for index in shown.indices] == [index[0] for index in written.indices]


def test_without_labels_all_of_the_model_compete(session):
    assert session.result().labels == recognized_room().query().labels


def test_one_label_does_not_fit_everything(session):
    session.ask("globe")
    everything = recognized_room().query()
    named = [label for label in session.naming.labels if label == "globe"]
    assert len(named) == everything.labels.count("globe") > 0
    session.set_against_all(False)
    assert session.naming.wanted.sum() == sum(
        label == "globe" for label in recognized_room().query("globe").labels
    )


def test_text_is_taken_over_while_it_is_typed(session):
    session.ask("globe, cha")
    assert (session.labels, session.rejected) == (("globe",), ("cha",))
    assert session.suggestions("globe, cha") == ["chair"]
    session.ask("globe, chair, ")
    assert (session.labels, session.rejected) == (("globe", "chair"), ())
    chairs = [row for row in Appearance(session).legend() if row.label == "chair"]
    assert len(chairs) == 1


def test_an_object_lights_up_in_its_labels_color_and_the_unknown_are_gray(session):
    session.ask("globe, fan")
    look = Appearance(session)
    look.mode = "similarity"
    colors, owners = look.colors(), session.owners
    globe = number_of(session, "globe")
    lit = colors[owners == globe].mean(axis=0)
    hue = look.palette()[0].astype(float)
    assert np.corrcoef(lit - lit.mean(), hue)[0, 1] > 0.98
    unknown = int(np.flatnonzero(session.unknown())[0])
    assert (abs(colors[owners == unknown].mean(axis=0) - UNKNOWN_GRAY) < 40).all()
    assert np.ptp(colors[owners == unknown].astype(int), axis=1).max() < 10
    assert (np.ptp(colors[owners < 0].astype(int), axis=1) == 0).all()  # the rest is gray


def test_more_false_alarms_mean_more_unknown(session):
    counts = []
    for share in (0.02, 0.15, 0.5):
        session.set_false_alarms(share)
        counts.append(int(session.unknown().sum()))
    assert counts[0] < counts[1] < counts[2]
    assert counts[1] == recognized_room().query().labels.count("unknown")


def test_the_threshold_takes_names_away(session):
    before = session.naming.wanted.sum()
    session.set_threshold(0.5)
    assert 0 < session.naming.wanted.sum() < before
    assert (session.naming.scores[session.naming.wanted] >= 0.5).all()
    assert "unknown" not in session.result().labels


def test_every_mode_gives_a_color_to_every_point(session):
    look = Appearance(session)
    assert look.modes == ("color", "height", "object", "similarity", "heat")
    pictures = []
    for mode in look.modes:
        look.mode = mode
        colors = look.colors()
        assert (colors.shape, colors.dtype) == (session.content.points.shape, np.uint8)
        pictures.append(colors)
    assert all((a != b).any() for i, a in enumerate(pictures) for b in pictures[:i])
    look.mode = "object"
    assert (look.colors()[session.owners == 0] == instance_palette(1)[0]).all()


def test_heat_is_highest_on_the_object_asked_for(session):
    session.ask("globe")
    heat, owners = Appearance(session).heat(), session.owners
    globe = number_of(session, "globe")
    others = [heat[owners == i].mean() for i in np.unique(owners[owners >= 0]) if i != globe]
    assert heat[owners == globe].mean() > max(others)
    assert heat[owners < 0].mean() < 0.1


def test_a_click_selects_the_object_in_front(session):
    content = session.content
    eye = content.centered(content.T_world_points[:3, 3])
    every = np.arange(len(content.points))
    table = number_of(session, "table")
    target = content.centered(content.points[content.objects.indices[table]])
    middle = target[np.argmin(np.linalg.norm(target - np.median(target, axis=0), axis=1))]
    assert session.click(eye, middle - eye, every) == table
    _, colors = Appearance(session).edges()
    assert (colors == 255).all(axis=(1, 2)).sum() == 12  # the selected box is white
    assert session.click(eye, eye - middle, every) is None  # behind the camera is nothing


def test_more_like_this_ranks_by_the_embeddings(session):
    table = number_of(session, "table")
    alike = session.compare_with(table)
    cosines = session.content.objects.embeddings @ session.content.objects.embeddings[table]
    assert [i for i, _ in alike] == [int(i) for i in np.argsort(-cosines) if i != table][: len(alike)]
    assert Appearance(session).similarity()[table] == pytest.approx(1)


def test_a_correction_changes_name_legend_and_result(session):
    session.ask("globe, fan")
    wrong = int(np.flatnonzero(session.unknown())[0])
    rename(session, wrong, "<b>robot</b>")
    assert ("<b>robot</b>", 1) in [(row.label, row.objects) for row in Appearance(session).legend()]
    assert session.result().labels[0] == "<b>robot</b>"
    globe = number_of(session, "globe")
    remove(session, globe)
    assert globe not in labeled(session)
    with pytest.raises(InputError, match="type a label"):
        rename(session, wrong, " ")


def test_an_object_is_added_by_a_click_on_what_was_missed(session):
    bottle = number_at(session, BOTTLE)
    cup = session.content.objects.indices[bottle]
    remove(session, bottle)  # as if it had not been found
    point = int(cup[len(cup) // 2])
    number = add_by_click(session, point, "vase")
    taken = session.content.objects.indices[number]
    assert len(np.intersect1d(taken, cup)) / len(np.union1d(taken, cup)) > 0.9
    assert session.naming.labels[number] == "vase"
    assert session.result().labels[0] == "vase"
    assert session.selected == number


def test_an_object_is_added_by_a_rectangle_around_it(session):
    content, frame = session.content, room_frame()
    number = number_at(session, BOTTLE)
    bottle = content.objects.indices[number]
    remove(session, number)
    camera = frame.views[0].camera
    T = content.T_world_points @ camera.T_points_cam
    fov = 2 * np.arctan2(camera.height / 2, camera.K[1, 1])
    eye = Eye(content.centered(T[:3, 3]), T[:3, :3], fov, camera.width / camera.height)
    place, _ = eye.project(content.centered(content.points[bottle]))
    low, high = place.min(axis=0) - 0.01, place.max(axis=0) + 0.01
    uv, _ = camera.project(content.in_frame(content.points[bottle]))
    np.testing.assert_allclose(place * [camera.width, camera.height], uv, atol=1.0)
    added = add_by_rectangle(session, eye, tuple(low), tuple(high), "vase")
    taken = session.content.objects.indices[added]
    assert len(np.intersect1d(taken, bottle)) / len(np.union1d(taken, bottle)) > 0.8
    assert "bottle" in object_html(session, number)
    assert "bottle" not in object_html(session, added), (
        "it has no embedding, so the model says nothing about it"
    )
    with pytest.raises(InputError, match="0 free points"):
        add_by_rectangle(session, eye, (2.0, 2.0), (2.1, 2.1), "vase")


def test_a_box_moved_by_hand_takes_the_points_in_it_and_is_saved(session):
    session.ask("fan, table")
    table = number_of(session, "table")
    before = session.boxes[table]
    moved = OrientedBox(before.center + [0.3, 0, 0], before.size * [2, 1, 1], before.rotation)
    move_box(session, table, moved)
    session.set_threshold(0.1)  # a box stays when objects are named again
    settle_box(session, table)
    points = session.content.points[session.content.objects.indices[table]]
    assert moved.contains(points).all()
    others = (session.owners >= 0) & (session.owners != table)
    assert not np.isin(session.content.objects.indices[table], np.flatnonzero(others)).any()
    place = session.result().labels.index("table")
    np.testing.assert_allclose(session.result().boxes[place, :6], [*moved.center, *moved.size])
    saved = to_annotations(session)
    row = labeled(session).index(table)
    assert saved.attributes["corrected"][row]
    T = session.content.T_world_points
    np.testing.assert_allclose(saved.boxes[row].transformed(T).center, moved.center, atol=1e-9)
    remove(session, table)
    assert table not in session.edits.boxes


def test_a_box_is_added_where_no_points_are(session):
    sizes = {"table": SizeRange(count=9, low=(0.8, 0.4, 0.6), high=(1.8, 1.0, 0.8))}
    session.vocabulary = replace(session.vocabulary, sizes=sizes)
    box = first_box(session, np.array([0.0, 0, 9]), "Table")
    np.testing.assert_allclose(box.size, [1.3, 0.7, 0.7])
    number = add_by_box(session, box, "lamp")
    assert len(session.content.objects.indices[number]) == 0
    assert session.naming.labels[number] == "lamp"
    assert session.result().labels[0] == "lamp"
    assert (first_box(session, box.center, "zeppelin").size == 1).all()


def test_without_a_model_a_cloud_can_still_be_seen():
    session = Session(Content.of_frame(room_frame()))
    assert Appearance(session).modes == ("color", "height")
    assert (Appearance(session).legend(), Appearance(session).captions()) == ([], [])
    with pytest.raises(InputError, match="--model"):
        session.ask("chair")


def test_a_result_from_a_file_shows_what_was_written():
    written = recognized_room().query("table, fan, globe")
    content = Content.of_result(type(written).from_json(written.to_json()), written.points)
    session = Session(content)
    assert session.naming.labels == written.labels
    assert session.unknown().sum() == written.labels.count("unknown")
    with pytest.raises(InputError, match="the cloud has 10 points"):
        Content.of_result(written, written.points[:10])
