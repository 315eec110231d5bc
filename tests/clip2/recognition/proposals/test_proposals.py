import numpy as np
import pytest
from support.recognition_stand_ins import (
    THREE_BOXES,
    box_surface,
    ground,
    three_boxes_on_a_floor,
    without_what_is_covered,
)

from clip2.evaluation.scenes.proposals import mask_overlaps
from clip2.recognition import fit_upright_box, proposals, propose_objects
from clip2.recognition.proposals.lidar import members_with_feet, propose_lidar
from clip2.recognition.proposals.sweep import beam_gap, seen_from
from data_prep import InputError, open_scan


def test_three_boxes_on_a_floor_are_three_proposals_of_their_size():
    points = three_boxes_on_a_floor(0.014)
    found = [fit_upright_box(points[index]) for index in propose_objects(points).distinct().objects().indices]
    assert len(found) == 3
    for center, size, yaw in THREE_BOXES:
        box = min(found, key=lambda box: np.linalg.norm(box.center - center))
        assert box.size == pytest.approx([*sorted(size[:2], reverse=True), size[2]], abs=0.05)
        assert box.center == pytest.approx(center, abs=0.05)
        if size[0] != size[1]:
            assert abs((box.yaw - np.deg2rad(yaw) + np.pi / 2) % np.pi - np.pi / 2) < np.deg2rad(3)


def test_turning_and_moving_the_world_changes_nothing():
    points = three_boxes_on_a_floor(0.014)
    c, s = np.cos(0.7), np.sin(0.7)
    turned = points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + [12.0, -7.0, 3.0]
    sure = [int((propose_objects(p).distinct().objectness > 0.8).sum()) for p in (points, turned)]
    assert sure == [3, 3]


@pytest.mark.parametrize("kind", ["room", "lidar"])
def test_a_large_cloud_is_thinned_and_every_point_still_has_its_object(monkeypatch, kind):
    points = three_boxes_on_a_floor(0.014) if kind == "room" else street_of_boxes()
    whole = sure_objects(points, kind)
    monkeypatch.setattr(proposals, "MOST_POINTS", len(points) // 2)
    thinned = sure_objects(points, kind)
    assert len(thinned) == len(whole) == 3
    overlaps = mask_overlaps(thinned, [np.isin(np.arange(len(points)), index) for index in whole]).max(axis=1)
    assert np.median(overlaps) > 0.8
    assert overlaps.min() > 0.65  # a choice on the edge may leave one face of a box away


def sure_objects(points, kind) -> tuple[np.ndarray, ...]:
    found = propose_objects(points, kind).distinct()
    return found[found.objectness > 0.8].indices


def street_of_boxes() -> np.ndarray:
    cars = [box_surface((x, 6, 0.8), (4, 1.8, 1.5), spacing=0.06) for x in (-12, 0, 12)]
    return np.concatenate([ground(40, 0.2), *cars])


def test_only_alternatives_overlap():
    points = three_boxes_on_a_floor(0.024)
    every = propose_objects(points)
    distinct = every.distinct()
    inside = np.concatenate(distinct.indices)
    assert len(inside) == len(np.unique(inside))
    assert (every.owners(len(points)) >= 0).sum() == len(inside)
    without = propose_objects(points, alternatives=False)
    assert [index.tolist() for index in without.indices] == [index.tolist() for index in distinct.indices]


def test_alternatives_find_more_things_on_a_table():
    """Where two things that touch look like one, both groupings are proposed."""
    found, more = 0, 0
    for seed in (7, 9):
        scan = open_scan("procedural", "tabletop", frames=1, seed=seed)
        world, truth = scan[0].world_points(), scan.ground_truth(0).instances
        every = propose_objects(world, "room", scan[0].T_world_points[:3, 3], scan[0].colors).objects()
        masks = [truth == number for number in np.unique(truth[truth >= 0])]
        overlap = mask_overlaps(every.indices, masks)
        found += int((overlap[~every.alternative].max(axis=0) >= 0.5).sum())
        more += int((overlap.max(axis=0) >= 0.5).sum())
    assert more > found


def test_a_better_name_decides_between_the_whole_and_its_parts():
    parts, whole, apart = [np.arange(0, 50), np.arange(50, 100)], np.arange(100), np.arange(100, 150)
    found = proposals.Proposals((*parts, apart, whole), np.full(4, 0.5), (None,) * 4, np.arange(4) == 3)
    assert found.settle(np.array([0.2, 0.2, 0.1, 0.5])).tolist() == [2, 3]
    assert found.settle(np.array([0.5, 0.2, 0.1, 0.2])).tolist() == [0, 1, 2]
    assert found.settle(np.array([0.4, 0.4, 0.1, 0.5])).tolist() == [0, 1, 2]  # two good names beat one
    assert found.settle(np.zeros(4)).tolist() == [0, 1, 2]


def test_a_cup_on_a_table_is_an_object_of_its_own():
    table_box = ((0, 0, 0.35), (1.2, 0.8, 0.7), 0)
    cup_box = ((0.2, 0.1, 0.78), (0.12, 0.12, 0.16), 0)
    table = without_what_is_covered(box_surface(*table_box[:2], spacing=0.015), [cup_box])
    cup = box_surface(*cup_box[:2], spacing=0.008)
    points = np.concatenate([without_what_is_covered(ground(2.0, 0.02), [table_box]), table, cup])
    sizes = [fit_upright_box(points[index]).size for index in propose_objects(points).objects().indices]
    assert any(size == pytest.approx([0.12, 0.12, 0.16], abs=0.05) for size in sizes)
    assert any(size[:2] == pytest.approx([1.2, 0.8], abs=0.06) for size in sizes)


@pytest.fixture(scope="module")
def table():
    """World points of a synthetic table top, the camera's pose and the instance of each point."""
    scan = open_scan("procedural", "tabletop", frames=1, seed=3)
    return scan[0].world_points(), scan[0].T_world_points, scan.ground_truth(0).instances


def found_of(points, truth, eye) -> tuple[int, int]:
    """How many instances of 40 points or more are found, and how many proposals there are."""
    found = propose_objects(points, "room", eye).objects()
    ids, counts = np.unique(truth[truth >= 0], return_counts=True)
    masks = [truth == i for i in ids[counts >= 40]]
    return int((mask_overlaps(found.indices, masks).max(axis=0) >= 0.5).sum()), len(found)


def test_flying_pixels_cost_few_objects(table):
    points, pose, truth = table
    eye, random = pose[:3, 3], np.random.default_rng(0)
    reach = np.linalg.norm(points - eye, axis=1)
    edge = np.flatnonzero(np.abs(np.diff(reach)) > 0.05)
    between = reach[edge] + random.random(len(edge)) * (reach[edge + 1] - reach[edge])
    flying = points.copy()
    flying[edge] = eye + (points[edge] - eye) * (between / reach[edge])[:, None]
    assert len(edge) > 1000
    clean, noisy = found_of(points, truth, eye), found_of(flying, truth, eye)
    assert noisy[0] >= clean[0] - 2
    assert noisy[1] <= 1.5 * clean[1]


def test_a_table_in_camera_axes_is_leveled(table):
    points, pose, truth = table
    camera = (points - pose[:3, 3]) @ pose[:3, :3]
    ahead = camera[:, [0, 2, 1]] * [1, 1, -1]  # as if the camera looked straight ahead
    assert found_of(ahead, truth, np.zeros(3))[0] >= found_of(points, truth, pose[:3, 3])[0] - 1


def test_somebody_who_walks_through_a_fused_scan_costs_no_object():
    points, random = three_boxes_on_a_floor(0.014), np.random.default_rng(1)
    turn = random.uniform(0, 2 * np.pi, 3000)
    body = np.column_stack([0.22 * np.cos(turn), 0.18 * np.sin(turn), random.uniform(0, 1.7, 3000)])
    walk = [body + [x, 2.2, 0] for x in np.arange(-1.5, 1.5, 0.3)]
    cloud = np.concatenate([points, *walk])
    sure = [fit_upright_box(cloud[index]) for index in propose_objects(cloud).objects()[:3].indices]
    for center, _, _ in THREE_BOXES:
        assert min(np.linalg.norm(box.center - center) for box in sure) < 0.05


def test_walls_and_floor_are_no_objects():
    chest_box = ((0, 0, 0.4), (0.8, 0.5, 0.8), 0)
    floor = without_what_is_covered(ground(2.0, 0.025), [chest_box])
    ticks = np.arange(-2, 2, 0.025)
    u, v = np.meshgrid(ticks, np.arange(0, 2.5, 0.025))
    wall = np.column_stack([u.ravel(), np.full(u.size, 2.0), v.ravel()])
    chest = box_surface(*chest_box[:2])
    found = propose_objects(np.concatenate([floor, wall, chest]))
    assert len(found.objects()) == 1
    assert len(found.indices[0]) == pytest.approx(len(chest), rel=0.15)


def test_street_objects_are_found_in_a_sweep():
    scan = open_scan("procedural", "street", frames=1, seed=5)
    frame, truth = scan[0], scan.ground_truth(0).instances
    found = propose_objects(frame.world_points(), "lidar", frame.T_world_points[:3, 3])
    owner = found.objects().owners(len(frame.points))
    seen = [i for i in np.unique(truth[truth >= 0]) if (truth == i).sum() >= 30]
    good = 0
    for instance in seen:
        mine = truth == instance
        best = np.bincount(owner[mine] + 1, minlength=2)[1:].argmax()
        good += (mine & (owner == best)).sum() / (mine | (owner == best)).sum() >= 0.5
    assert len(seen) >= 5
    assert good / len(seen) >= 0.8


@pytest.mark.parametrize("gap_degrees", [0.4, 1.33, 2.0])
def test_the_gap_between_beams_is_measured(gap_degrees):
    elevation = np.deg2rad(-25 + gap_degrees * np.arange(int(24 / gap_degrees)))
    azimuth = np.deg2rad(np.arange(0, 360, 0.2) + 0.05)
    e, a = (x.ravel() for x in np.meshgrid(elevation, azimuth))
    distance = 1.7 / np.sin(-e)  # flat ground
    rays = np.column_stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    origin = np.array([3.0, 4.0, 1.7])
    assert beam_gap(rays * distance[:, None] + origin, origin) == pytest.approx(
        np.deg2rad(gap_degrees), rel=0.1
    )


def test_the_gap_is_the_median_step_within_every_fourth_column_of_azimuth():
    scan = open_scan("procedural", "street", frames=1, seed=5)
    points, place = scan[0].world_points(), scan[0].T_world_points[:3, 3]
    x, y, z = (points - place).T
    elevation, column = np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x) // np.deg2rad(0.2)
    steps = np.concatenate(
        [np.diff(np.sort(elevation[column == c])) for c in np.unique(column) if c % 4 == 0]
    )
    steps = steps[(steps > np.deg2rad(0.08)) & (steps < np.deg2rad(4))]
    assert beam_gap(points, place) == pytest.approx(np.median(steps), rel=1e-6)


def far_apart_sweeps(count):
    scan = open_scan("procedural", "street", frames=count, seed=5)
    return [(scan[i].world_points(), scan[i].T_world_points[:3, 3]) for i in range(count)]


def test_one_sweep_is_told_from_several_and_its_sensor_from_other_places():
    sweeps = far_apart_sweeps(4)
    points, place = sweeps[0]
    assert seen_from(points, place)
    for step in ([8, 0, 0], [0, -20, 0], [1e5, 1e6, 0]):
        assert not seen_from(points, place + step)
    fused = np.concatenate([points for points, _ in sweeps])
    assert not seen_from(fused, place)
    assert not seen_from(fused, np.zeros(3))


def test_without_a_sensor_the_place_of_the_origin_means_nothing():
    fused = np.concatenate([points for points, _ in far_apart_sweeps(3)])
    here = propose_objects(fused, "lidar")
    there = propose_objects(fused + [500.0, -300.0, 0], "lidar")
    assert len(here) > 5
    assert len(there) == pytest.approx(len(here), rel=0.1)  # voxels may fall a little differently


@pytest.mark.parametrize("seed", range(5))
def test_low_points_go_to_the_smallest_footprint_they_are_in(seed):
    rng = np.random.default_rng(seed)
    # A coarse grid: many points lie on the rectangles' very borders.
    points = np.round(rng.uniform(0, 20, (600, 3)))
    owner = rng.integers(-1, 9, len(points))
    low = np.flatnonzero(rng.random(len(points)) < 0.5)
    owner[low] = -1
    parts = [np.flatnonzero(owner == number) for number in range(9)]
    ends = [(points[part, :2].min(axis=0), points[part, :2].max(axis=0)) for part in parts]
    for i in low:
        inside = [
            n for n, (a, b) in enumerate(ends) if (a <= points[i, :2]).all() and (points[i, :2] <= b).all()
        ]
        areas = [np.prod(ends[n][1] - ends[n][0]) for n in inside]
        # Of equally small ones the last.
        owner[i] = max((n for n, area in zip(inside, areas, strict=True) if area == min(areas)), default=-1)
    got = members_with_feet(points, parts, low)
    assert [part.tolist() for part in got] == [np.flatnonzero(owner == n).tolist() for n in range(9)]


def test_lidar_proposals_share_no_point_where_footprints_overlap():
    # A car that stands askew and a person beside it: their rectangles overlap.
    turned = box_surface((5, 0, 0.75), (4.2, 1.8, 1.5), np.deg2rad(45), 0.05)
    other = box_surface((6.8, -1.8, 0.88), (0.5, 0.4, 1.76), 0.0, 0.05)
    points = np.concatenate([ground(12, 0.1), turned, other])
    found = propose_lidar(points, None)
    together = np.concatenate(found.indices)
    assert len(found) == 2
    assert len(together) == len(np.unique(together))
    assert (points[together, 2] < 0.2).any()


def test_nothing_in_nothing_out():
    assert len(propose_objects(np.zeros((0, 3)))) == 0
    assert len(propose_objects(np.zeros((1, 3)), "room")) == 0
    assert len(propose_objects(np.zeros((50, 3)), "lidar")) == 0
    assert propose_objects(ground(), "room").background == ("floor",)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="proposals: 'semantic' is unknown"):
        propose_objects(np.zeros((5, 3)), "semantic")
    with pytest.raises(InputError, match="finite"):
        propose_objects(np.array([[0, 0, np.nan]]))


def _share_of_found(scan, count):
    good, total = 0, 0
    for i in range(count):
        frame, labels = scan[i], scan.annotations(i)
        camera = frame.views[0].camera
        visible = camera.in_image(camera.project(frame.points)[0])
        owner = np.full(len(frame.points), -1)
        for number, index in enumerate(propose_objects(frame.points, viewpoint=np.zeros(3)).indices):
            owner[index] = number
        for box in labels.boxes:
            mine = box.contains(frame.points) & visible
            if mine.sum() < 10:
                continue
            best = np.bincount(owner[mine] + 1, minlength=2)[1:].argmax()
            proposal = (owner == best) & visible
            good += (mine & proposal).sum() / (mine | proposal).sum() >= 0.5
            total += 1
    return good / total


def test_labeled_objects_of_real_sweeps_are_found(real_data):
    scan = open_scan("kitti-tracking", real_data / "kitti_tracking")
    assert _share_of_found(scan, 2) >= 0.8
