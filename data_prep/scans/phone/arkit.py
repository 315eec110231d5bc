"""What recordings of Apple's ARKit have in common, whichever app exported them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Camera
from data_prep.geometry.transforms import T_zup_from
from data_prep.scans.frame import Frame
from data_prep.scans.rgbd.depth import depth_seen_by

# ARKit's camera looks along -z with y up (https://developer.apple.com/documentation/arkit/arcamera/transform);
# its world has y up, against gravity.
T_ARKIT_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])
T_WORLD_ARKIT = T_zup_from("y")


def arkit_frame(
    id: str,
    K: NDArray[np.float64],
    image: NDArray[np.uint8],
    depth: NDArray[np.float32],
    T_arkit_camera: NDArray[np.float64],
    name: str,
    timestamp: float | None = None,
) -> Frame:
    """A frame of a phone: the color camera, and a depth image of fewer pixels over the same view.

    Args:
        id: of the frame.
        K: (3, 3) intrinsics of the color image.
        image: (H, W, 3) uint8 RGB.
        depth: (h, w) float32 meters along z of the same field of view, 0 or NaN = none; each color pixel takes
            the depth nearest to its ray.
        T_arkit_camera: (4, 4) camera (x right, y up, z back) to ARKit's world (y up).
        name: of the view.
        timestamp: seconds.

    Raises:
        BadFrameError: no measurement.
    """
    height, width = image.shape[:2]
    camera = Camera(K, width, height)
    if depth.shape != (height, width):
        depth = depth_seen_by(camera, depth, resized_intrinsics(K, (width, height), depth.shape[::-1]))
    pose = T_WORLD_ARKIT @ T_arkit_camera @ T_ARKIT_CAMERA
    return Frame.from_depth(id, camera, image, depth, pose, name, timestamp)


def resized_intrinsics(
    K: NDArray[np.float64], size: tuple[int, ...], new_size: tuple[int, ...]
) -> NDArray[np.float64]:
    """Intrinsics of the same view with other pixels; sizes are (width, height).

    Pixel centers lie at integers, so it is the image's edge at -0.5 that stays where it is.
    """
    resized = K.copy()
    for axis in (0, 1):
        scale = new_size[axis] / size[axis]
        resized[axis, :2] *= scale
        resized[axis, 2] = (K[axis, 2] + 0.5) * scale - 0.5
    return resized
