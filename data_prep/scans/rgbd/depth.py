"""Depth registration: depth as another camera sees it, and frames of phones that record both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry import Camera
from data_prep.geometry.transforms import T_zup_from, transform_points
from data_prep.scans.frame import Frame

_SEAM = 0.05  # pixels
# ARKit's camera looks along -z with y up (https://developer.apple.com/documentation/arkit/arcamera/transform);
# its world has y up, against gravity.
T_ARKIT_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])
T_WORLD_ARKIT = T_zup_from("y")


def depth_seen_by(
    camera: Camera, depth: NDArray[np.float32], K_depth: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Depth (H', W') of another pinhole camera with the same viewpoint, looked up for each pixel of ``camera``.

    Nearest neighbor: blending depths across an edge would invent points in mid-air.
    """
    v, u = np.mgrid[: camera.height, : camera.width]
    rays = camera.unproject_pixels(np.stack([u.ravel(), v.ravel()], axis=1), np.ones(u.size))
    other = Camera(K_depth, depth.shape[1], depth.shape[0])
    uv, _ = other.project(rays)
    inside = other.in_image(uv)
    column, row = np.rint(uv[inside]).astype(np.int64).T
    found = np.zeros(u.size, np.float32)
    found[inside] = depth[row.clip(0, depth.shape[0] - 1), column.clip(0, depth.shape[1] - 1)]
    return found.reshape(u.shape)


def register_depth(
    depth: NDArray[np.float32], depth_camera: Camera, T_color_depth: NDArray[np.float64], color_camera: Camera
) -> NDArray[np.float32]:
    """Depth of the color camera; what is nearest hides what is behind it, and pixels that nothing falls on stay 0.

    Each measurement covers the color pixels nearest to it, so many as the color image has more: a footprint of one
    pixel would leave a grid of holes through which the background shows.

    Args:
        depth: (H, W) meters along the depth camera's z, 0 = no measurement.
        depth_camera: the camera that measured it, in its own axes.
        T_color_depth: (4, 4), takes depth camera coordinates to color camera coordinates.
        color_camera: the other camera, in its own axes.

    Returns:
        (H', W') float32 meters along the color camera's z.
    """
    points, _ = depth_camera.unproject(depth)
    uv, z = color_camera.project(transform_points(T_color_depth, points.astype(np.float64)))
    ahead = np.isfinite(uv).all(axis=1)
    uv, z = uv[ahead], z[ahead]
    # Half the side of what one measurement covers; a little more, or rounding opens seams between neighbors.
    half = np.maximum(color_camera.K[[0, 1], [0, 1]] / depth_camera.K[[0, 1], [0, 1]], 1) / 2 + _SEAM
    low, high = np.ceil(uv - half).astype(np.int64), np.floor(uv + half).astype(np.int64)
    columns, rows = (int(n) + 1 for n in (high - low).max(axis=0, initial=0))
    out = np.full(color_camera.height * color_camera.width, np.inf, np.float32)
    for dy in range(rows):
        for dx in range(columns):
            u, v = low[:, 0] + dx, low[:, 1] + dy
            covered = (u <= high[:, 0]) & (v <= high[:, 1])
            seen = covered & (u >= 0) & (u < color_camera.width) & (v >= 0) & (v < color_camera.height)
            np.minimum.at(out, v[seen] * color_camera.width + u[seen], z[seen].astype(np.float32))
    return np.where(np.isfinite(out), out, 0).reshape(color_camera.height, color_camera.width)


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
