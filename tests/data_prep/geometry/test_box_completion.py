import numpy as np
import pytest

from data_prep import Camera, OrientedBox
from data_prep.geometry import box_to_image
from data_prep.geometry.box_completion import SeenObject, complete_boxes
from data_prep.geometry.box_iou import box_iou_3d
from data_prep.geometry.scan_sizes import ScanSizes
from data_prep.geometry.typical_sizes import typical_size

EYE = np.array([0.0, 0.0, 1.8])
CAMERA = Camera(
    np.array([[700.0, 0, 320], [0, 700.0, 180], [0, 0, 1]]),
    640,
    360,
    # Looks along +x of the world, from the eye.
    np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.8], [0, 0, 0, 1]]),
)


def a_car(yaw: float) -> OrientedBox:
    return OrientedBox.from_yaw([25.0, 3.0, 0.75], [4.2, 1.75, 1.5], yaw)


def seen_part(box: OrientedBox, share: float, seed: int = 0) -> np.ndarray:
    """Points on the sides that face the eye; of the longer one only ``share``, from the near corner; the lowest 0.4 m hidden."""
    rng = np.random.default_rng(seed)
    eye = (EYE - box.center) @ box.rotation
    half, clouds = box.size / 2, []
    for axis, other in ((0, 1), (1, 0)):
        if abs(eye[axis]) <= half[axis]:
            continue
        local = rng.uniform(-1, 1, (60, 3)) * half
        local[:, axis] = np.sign(eye[axis]) * half[axis]
        reach = share if other == 0 else 1.0
        near = np.sign(eye[other]) or 1.0
        local[:, other] = near * half[other] * (1 - 2 * reach * rng.random(60))
        clouds.append(local[local[:, 2] > -half[2] + 0.4])
    points: np.ndarray = np.concatenate(clouds) @ box.rotation.T + box.center
    return points


def iou(a: OrientedBox, b: OrientedBox) -> float:
    return float(box_iou_3d(*([[*x.center, *x.size, x.yaw]] for x in (a, b)))[0][0, 0])


@pytest.mark.parametrize("yaw", [-60, -20, 10, 35, 80, 130])
@pytest.mark.parametrize("share", [0.35, 1.0])
def test_a_half_hidden_car_gets_its_whole_length_away_from_the_sensor(yaw, share):
    car = a_car(np.deg2rad(yaw))
    points = seen_part(car, share)
    # Two sides of which equally much is seen are length and width, or width and length: the image decides.
    outline = box_to_image(car, CAMERA) if share < 1 else None
    (found,) = complete_boxes([SeenObject(points, "car", EYE, 0.0, outline, CAMERA, np.eye(4))])
    assert iou(found.amodal, car) > 0.6
    assert iou(found.amodal, car) > iou(found.visible, car)
    assert 0 < found.quality <= 1


def test_the_2d_box_tells_how_a_car_stands_of_which_only_the_rear_is_seen():
    gains = []
    for yaw in (-50, -30, 20, 40):
        car = a_car(np.deg2rad(yaw))
        points = seen_part(car, 0.05)
        outline = box_to_image(car, CAMERA)
        (alone,) = complete_boxes([SeenObject(points, "car", EYE, 0.0)])
        (both,) = complete_boxes([SeenObject(points, "car", EYE, 0.0, outline, CAMERA, np.eye(4))])
        gains.append(iou(both.amodal, car) - iou(alone.amodal, car))
        assert iou(both.amodal, car) > 0.5
    assert np.mean(gains) > 0


def test_a_car_of_which_a_square_corner_is_seen_stands_like_its_neighbors():
    """The corner alone fits a car along the road and one across it."""
    length, width, height = 4.2, 1.75, 1.5
    for yaw in (np.pi / 4, -np.pi / 4):
        row = [
            OrientedBox.from_yaw([20.0, y, 0.75], [length, width, height], yaw)
            for y in (-9.0, -4.0, 6.0, 11.0)
        ]
        clouds = [seen_part(box, 1.0, n) for n, box in enumerate(row)]
        eye = EYE - [20.0, 0.0, 0.0]
        near = np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2)
        sides = -np.sign(near @ eye[:2])  # of the two sides that face the eye
        steps = np.repeat(np.linspace(0, 1.6, 30), 3)
        tall = np.tile([0.5, 0.9, 1.3], 30)
        corner = np.concatenate(
            [
                np.column_stack([steps[:, None] * (side * along) + [20.0, 0.0], tall])
                for side, along in zip(sides, near, strict=True)
            ]
        )
        alone, among = (
            complete_boxes([SeenObject(cloud, "car", EYE, 0.0) for cloud in some])[0].amodal
            for some in ([corner], [corner, *clouds])
        )
        off = abs((among.yaw - yaw + np.pi / 2) % np.pi - np.pi / 2)
        assert off < np.deg2rad(8)
        assert among.size[:2] == pytest.approx(alone.size[:2], rel=0.3)


def test_a_thing_of_unknown_size_only_reaches_down_to_the_floor():
    points = seen_part(a_car(0.5), 1.0)
    (found,) = complete_boxes([SeenObject(points, "gadget", EYE, 0.0)])
    assert found.amodal.size[:2] == pytest.approx(found.visible.size[:2])
    assert found.amodal.center[2] - found.amodal.size[2] / 2 == pytest.approx(0.0)
    assert found.visible.center[2] - found.visible.size[2] / 2 > 0.3


def test_a_cup_on_a_table_does_not_reach_the_floor():
    cup = np.random.default_rng(0).uniform(-0.04, 0.04, (200, 3)) + [2.0, 0, 0.8]
    (found,) = complete_boxes([SeenObject(cup, "mug", EYE, 0.0)])
    assert found.amodal.size[2] < 0.1


def test_a_hedge_called_car_keeps_its_eighteen_meters():
    hedge = np.random.default_rng(0).uniform(-1, 1, (500, 3)) * [9, 0.5, 0.7] + [20, 8, 0.7]
    (found,) = complete_boxes([SeenObject(hedge, "car", EYE, 0.0)])
    assert found.amodal.size[0] > 17


def test_a_single_point_and_nothing():
    (found,) = complete_boxes([SeenObject(np.array([[20.0, 1.0, 0.9]]), "car", EYE, 0.0)])
    assert found.amodal.size == pytest.approx([4.2, 1.75, 1.5], rel=0.3)
    assert complete_boxes([]) == []


@pytest.mark.parametrize("name", ["Car", "person", "human.pedestrian.adult", "night_stand", "Couch"])
def test_sizes_are_found_by_the_names_that_data_sets_use(name):
    assert typical_size(name) is not None


def test_the_cars_of_a_scan_tell_the_length_of_a_car_seen_from_behind():
    """Small cars, of some of which both sides are seen: the whole box of one seen from behind gets shorter."""
    small = [3.4, 1.55, 1.45]
    cars = [
        OrientedBox.from_yaw([x, y, 0.725], small, np.deg2rad(yaw))
        for x, y, yaw in ((14, -6, 20), (16, 5, -30), (20, -9, 35), (12, 7, 150), (18, 8, 40), (22, -4, 25))
    ]
    seen = [
        SeenObject(seen_part(car, 1.0, seed), "Car", EYE, 0.0, box_to_image(car, CAMERA), CAMERA, np.eye(4))
        for seed, car in enumerate(cars)
    ]
    shown = ScanSizes()
    shown.add(seen, complete_boxes(seen))
    sizes = shown.sizes()
    assert 3.4 < sizes["car"].length < 4.0 < typical_size("car").length
    behind = OrientedBox.from_yaw([18.0, 0.0, 0.725], small, 0.0)
    rear = SeenObject(seen_part(behind, 0.0), "sedan", EYE, 0.0)
    (typical,), (learned,) = complete_boxes([rear]), complete_boxes([rear], sizes=sizes)
    assert iou(learned.amodal, behind) > iou(typical.amodal, behind) + 0.05


def test_a_scan_without_well_seen_objects_keeps_the_typical_sizes():
    shown = ScanSizes()
    assert shown.sizes() == {}
    few = SeenObject(np.array([[20.0, 1.0, 0.9]]), "car", EYE, 0.0)
    hedge = SeenObject(
        np.random.default_rng(0).uniform([10, 3, 0], [28, 4.5, 1.8], (500, 3)), "car", EYE, 0.0
    )
    shown.add([few, hedge], complete_boxes([few, hedge]))
    assert shown.sizes().get("car", typical_size("car")).length == pytest.approx(4.2, abs=0.02)
