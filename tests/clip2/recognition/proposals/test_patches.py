import numpy as np
import pytest

from clip2.recognition.proposals import propose_objects
from clip2.recognition.proposals.room import read_room

WOOD, PAPER = (150, 100, 60), (235, 235, 230)


def plane(half, height):
    x, y = (g.ravel() for g in np.meshgrid(*(np.arange(-h, h, 0.008) for h in half)))
    return np.column_stack([x, y, np.full(len(x), height)])


def table_with(color, shadow=1.0):
    """A table over a floor, lit from 1 to ``shadow`` of the light, with a sheet of 40 x 30 cm; True for the sheet's points."""
    top, floor = plane((0.8, 0.6), 0.7), plane((1.2, 1.0), 0.0)
    points = np.concatenate([top, floor[(np.abs(floor[:, :2]) > (0.8, 0.6)).any(axis=1)]])
    sheet = (np.abs(points - (0.3, 0.1, 0.7)) < (0.2, 0.15, 0.01)).all(axis=1)
    light = shadow + (1 - shadow) * (points[:, 0] + 1.2) / 2.4
    return points, (np.where(sheet[:, None], color, WOOD) * light[:, None]).astype(np.uint8), sheet


def best_overlap(found, sheet):
    masks = [np.isin(np.arange(len(sheet)), index) for index in found.objects().indices]
    return max(((mask & sheet).sum() / (mask | sheet).sum() for mask in masks), default=0.0)


def test_a_paper_on_a_table_is_a_proposal_of_its_own():
    points, colors, sheet = table_with(PAPER)
    eye = np.array([0, -1.0, 1.6])
    assert best_overlap(propose_objects(points, "room", eye, colors), sheet) > 0.8
    assert best_overlap(propose_objects(points, "room", eye), sheet) < 0.5


@pytest.mark.parametrize("shadow", [1.0, 0.4])
def test_light_and_shadow_are_no_patch(shadow):
    points, colors, _ = table_with(WOOD, shadow)
    assert read_room(points, None, colors).support.all()
    points, colors, sheet = table_with(PAPER, shadow)
    room = read_room(points, None, colors)
    patch = np.append(~room.support, False)[room.rest.element]
    assert (patch & sheet).sum() > 0.9 * (patch | sheet).sum()
