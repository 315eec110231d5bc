"""CameraInfo of ROS 1 and ROS 2."""

from __future__ import annotations

import numpy as np
import pytest
from support.bag_twins import BagMaker

from data_prep.errors import InputError
from data_prep.geometry import Distortion
from data_prep.scans.rosbag.cameras import camera_info_topic, is_rectified, lens_from_info

K = np.array([[500.0, 0, 319.5], [0, 510, 239.5], [0, 0, 1]])


@pytest.mark.parametrize("format", ["ros1", "mcap"])
@pytest.mark.parametrize(
    "model, D, expected",
    [
        ("plumb_bob", (0.1, -0.2, 0.01, 0.02, 0.3), Distortion("radtan", (0.1, -0.2, 0.01, 0.02, 0.3))),
        ("plumb_bob", (0.1, -0.2, 0.01, 0.02), Distortion("radtan", (0.1, -0.2, 0.01, 0.02))),
        ("plumb_bob", (0, 0, 0, 0, 0), Distortion()),
        ("", (), Distortion()),
        ("rational_polynomial", (0.1, 0, 0, 0, 0.3, 0, 0, 0), Distortion("radtan", (0.1, 0, 0, 0, 0.3))),
        ("equidistant", (0.1, 0.2, 0.3, 0.4), Distortion("fisheye", (0.1, 0.2, 0.3, 0.4))),
    ],
)
def test_lens_models(format: str, model: str, D: tuple, expected: Distortion) -> None:
    lens = lens_from_info(BagMaker(format).info(K, 640, 480, model=model, D=D), "bag", rectified=False)
    np.testing.assert_array_equal(lens.K, K)
    assert (lens.width, lens.height, lens.distortion) == (640, 480, expected)


def test_rectified_images_use_p_and_are_turned_back() -> None:
    turned = np.array([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]])
    P = np.array([[400.0, 0, 300, -48], [0, 400, 200, 0], [0, 0, 1, 0]])
    info = BagMaker().info(K, 640, 480, D=(0.1, 0, 0, 0, 0), R=turned, P=P)
    lens = lens_from_info(info, "bag", rectified=True)
    np.testing.assert_array_equal(lens.K, P[:, :3])
    assert lens.distortion.model == "none"
    # R takes the camera's axes to the rectified ones; what is wanted is the way back.
    np.testing.assert_array_equal(lens.R_cam_image, turned.T)


def test_region_of_interest_and_binning() -> None:
    lens = lens_from_info(BagMaker().info(K, 640, 480, roi=(100, 50, 400, 300)), "bag", False)
    assert (lens.width, lens.height, lens.K[0, 2], lens.K[1, 2]) == (400, 300, 219.5, 189.5)
    lens = lens_from_info(BagMaker().info(K, 640, 480, binning=2), "bag", False)
    # The middle of a 640 wide image is at 319.5, of a 320 wide one at 159.5.
    assert (lens.width, lens.height, lens.K[0, 0], lens.K[0, 2]) == (320, 240, 250, 159.5)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"K": np.zeros((3, 3))}, "K: is of a camera that is not calibrated"),
        (
            {"model": "rational_polynomial", "D": (0.1, 0, 0, 0, 0, 0.5, 0, 0)},
            "D: has k4..k6 = [0.5, 0.0, 0.0], a rational polynomial",
        ),
        ({"model": "scaramuzza", "D": (1, 2, 3, 4)}, "distortion_model: is 'scaramuzza' with 4 numbers"),
        ({"model": "plumb_bob", "D": (0.1, 0.2)}, "distortion_model: is 'plumb_bob' with 2 numbers"),
    ],
)
def test_what_is_no_camera_says_so(changes: dict, complaint: str) -> None:
    info = BagMaker().info(**{"K": K, "width": 640, "height": 480, **changes})
    with pytest.raises(InputError) as caught:
        lens_from_info(info, "drive.bag: /camera_info", False)
    assert complaint in str(caught.value)
    assert "calibration=FILE" in caught.value.fix


def test_topics_follow_image_transport() -> None:
    assert camera_info_topic("/cam0/image_raw") == "/cam0/camera_info"
    assert camera_info_topic("/depth/image_rect_raw/compressedDepth") == "/depth/camera_info"
    assert is_rectified("/left/image_rect_color/compressed")
    assert not is_rectified("/rect/image_raw")
