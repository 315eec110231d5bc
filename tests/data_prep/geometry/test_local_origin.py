import numpy as np
import pytest

from data_prep.geometry.local_origin import FAR, local_origin


def test_survey_coordinates_fit_into_float32_after_the_offset():
    points = np.array([[500_000.1234, 5_400_000.5678, 212.5], [500_003.9, 5_400_001.25, 213.0]])
    offset = local_origin(points)
    assert (offset == np.floor(offset)).all()
    near = (points - offset).astype(np.float32)
    assert near + offset == pytest.approx(points, abs=1e-6)


def test_points_near_zero_stay_where_they_are():
    assert not local_origin(np.full((3, 3), FAR / 2)).any()
    assert not local_origin(np.zeros((0, 3))).any()


def test_a_stray_does_not_move_a_cloud():
    points = np.zeros((9, 3))
    points[0] = 1e9
    points[1] = np.nan
    assert not local_origin(points).any()
