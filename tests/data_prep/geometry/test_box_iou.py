import numpy as np
import pytest

from data_prep import InputError, OrientedBox
from data_prep.geometry.box_iou import box_iou_3d

UNIT = [0, 0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("other", "volume", "plan"),
    [
        (UNIT, 1.0, 1.0),
        ([0, 0, 0, 1, 1, 1, np.pi / 2], 1.0, 1.0),
        ([0, 0, 0, 1, 1, 1, np.pi / 4], (2 * np.sqrt(2) - 2) / (4 - 2 * np.sqrt(2)), (2 * np.sqrt(2) - 2) / (4 - 2 * np.sqrt(2))),
        ([0.5, 0, 0, 1, 1, 1, 0], 1 / 3, 1 / 3),
        ([0, 0, 0.5, 1, 1, 1, 0], 1 / 3, 1.0),
        ([0, 0, 0, 0.5, 0.5, 0.5, 0.3], 1 / 8, 1 / 4),
        ([1, 0, 0, 1, 1, 1, 0], 0.0, 0.0),
        ([0, 0, 3, 1, 1, 1, 0], 0.0, 1.0),
        ([0, 0, 0, 0, 0, 0, 0], 0.0, 0.0),
    ],
)  # fmt: skip
def test_worked_by_hand(other, volume, plan):
    iou, above = box_iou_3d([UNIT], [other])
    assert iou[0, 0] == pytest.approx(volume, abs=1e-6)
    assert above[0, 0] == pytest.approx(plan, abs=1e-6)


def test_random_boxes_agree_with_counting_random_points():
    rng = np.random.default_rng(0)
    boxes = np.column_stack(
        [rng.uniform(-1, 1, (12, 3)), rng.uniform(0.5, 3, (12, 3)), rng.uniform(-4, 4, 12)]
    )
    points = rng.uniform(-4, 4, (400_000, 3))
    inside = np.array([OrientedBox.from_yaw(b[:3], b[3:6], b[6]).contains(points) for b in boxes])
    iou, _ = box_iou_3d(boxes + [5e5, 4e6, 0, 0, 0, 0, 0], boxes + [5e5, 4e6, 0, 0, 0, 0, 0])
    for i in range(12):
        for j in range(12):
            counted = (inside[i] & inside[j]).sum() / (inside[i] | inside[j]).sum()
            assert iou[i, j] == pytest.approx(counted, abs=0.02)
    np.testing.assert_allclose(iou, iou.T, atol=1e-9)


def test_empty_and_bad_input():
    assert box_iou_3d([], [UNIT])[0].shape == (0, 1)
    with pytest.raises(InputError, match=r"shape \(N, 7\)"):
        box_iou_3d([[1, 2, 3]], [UNIT])
    with pytest.raises(InputError, match="finite"):
        box_iou_3d([[np.nan] * 7], [UNIT])
