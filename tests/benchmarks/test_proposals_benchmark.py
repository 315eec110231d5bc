"""Facts that the figures of the proposals' benchmark rest on."""

from __future__ import annotations

import numpy as np
from support.recognition_stand_ins import box_surface, ground

from benchmarks.outlines import FOLDER, Outlines
from benchmarks.plain_proposals import TABLETOP, plain_proposals
from benchmarks.proposal_cases import Case
from benchmarks.proposal_stages import stages
from data_prep.geometry import Camera, OrientedBox
from data_prep.scans import Frame


def _square(low: float, high: float) -> np.ndarray:
    return np.array([[low, low], [high, low], [high, high], [low, high]])


def _outlines(*rings: tuple[np.ndarray, ...], background: tuple[str, ...] = ()) -> Outlines:
    names = tuple(f"thing {i}" for i in range(len(rings) - len(background)))
    return Outlines("none", "test", (40, 40), names, background, rings)


def test_of_two_outlines_the_first_is_in_front_and_the_background_behind_both() -> None:
    owner = _outlines(
        (_square(5, 15),), (_square(10, 25),), (_square(0, 39),), background=("cupboard",)
    ).pixels()

    assert [owner[v, v] for v in (7, 12, 20, 30)] == [0, 0, 1, 2]


def test_a_ring_inside_a_ring_is_a_hole() -> None:
    owner = _outlines((_square(5, 30), _square(10, 20))).pixels()

    assert [owner[v, v] for v in (7, 15, 25, 35)] == [0, -1, 0, -1]


def test_wall_seen_past_the_edge_of_an_outline_is_not_the_object() -> None:
    depth = np.full((40, 40), 3.0)
    depth[8:20, 8:20] = 1.0
    camera = Camera(np.array([[50.0, 0, 20], [0, 50, 20], [0, 0, 1]]), 40, 40)
    frame = Frame.from_depth("0", camera, np.zeros((40, 40, 3), np.uint8), depth)

    owner = _outlines((_square(8, 20),)).truth(frame).reshape(40, 40)

    assert ((owner == 0) == (depth == 1.0)).all()


def test_the_plain_baseline_takes_the_table_away_and_parts_what_stands_on_it() -> None:
    grid = np.stack(np.meshgrid(np.arange(0, 0.6, 0.004), np.arange(0, 0.6, 0.004), [0.0]), -1).reshape(-1, 3)
    cube = np.stack(np.meshgrid(*[np.arange(0, 0.05, 0.004)] * 3), -1).reshape(-1, 3) + [0.1, 0.1, 0.02]
    points = np.concatenate([grid, cube, cube + [0.3, 0, 0]])

    groups = plain_proposals(points, TABLETOP)

    assert len(groups) == 2
    assert {int(group.min() >= len(grid)) for group in groups} == {1}
    assert [len(group) for group in groups] == [len(cube)] * 2


def test_every_outline_file_lies_inside_its_image() -> None:
    for file in sorted(FOLDER.glob("*.json")):
        outlines = Outlines.load(file)
        points = np.concatenate([ring for rings in outlines.rings for ring in rings])
        assert outlines.part in ("validation", "test"), file.name
        assert (np.clip(points, -1, outlines.size) == points).all(), file.name
        # Whatever is drawn is seen: nothing lies wholly behind what is in front of it.
        seen = set(np.unique(outlines.pixels()).tolist())
        assert set(range(len(outlines.names))) <= seen, file.name


def test_a_box_on_a_floor_is_lost_at_no_stage_and_a_patch_of_the_floor_at_the_first() -> None:
    thing = box_surface((0, 0, 0.25), (0.5, 0.5, 0.5), spacing=0.02)
    points = np.concatenate([ground(1.5, 0.03), thing])
    case = Case("none", "0", points, None, "room", complete=True)
    case.add("box", np.arange(len(points)) >= len(points) - len(thing))
    case.add("patch of the floor", np.arange(len(points)) < 200)
    rows, removed = stages(case)
    assert (rows[0] > 0.8).all()
    assert (rows[1] < 0.1).all()
    assert removed is not None
    assert removed > 0.9
    case.boxes, case.masks = [OrientedBox((0, 0, 0.25), (0.5, 0.5, 0.5))], []
    case.labels, case.complete = ["box"], False
    rows, removed = stages(case)
    assert (rows[0] > 0.8).all()
    assert removed is None
