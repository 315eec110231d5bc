"""A depth image and the color image it belongs to make a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.geometry import Camera
from data_prep.scans.frame import Frame, View


def depth_frame(
    id: str,
    camera: Camera,
    image: NDArray[np.uint8],
    depth: NDArray[np.float32],
    T_world_cam: NDArray,
    name: str,
    timestamp: float | None = None,
) -> Frame:
    """A frame whose points are the unprojected depth (H, W) of ``camera``, in camera axes, colored by ``image``."""
    points, pixels = camera.unproject(depth)
    if len(points) == 0:
        raise BadFrameError("holds no measurement", source=f"frame {id}", field="depth", fix="leave it out")
    # Lifting counts on points and measured pixels being the same list.
    measured = np.zeros(depth.size, bool)
    measured[pixels] = True
    depth = np.where(measured.reshape(depth.shape), depth, np.float32(0))
    return Frame(
        id,
        points,
        colors=image.reshape(-1, 3)[pixels],
        views=(View(name, camera, image),),
        depth=depth,
        T_world_points=T_world_cam,
        timestamp=timestamp,
    )


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
