"""Two small robots on tape: a vehicle with LiDAR and camera, and an RGB-D camera above a floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.bag_twins import SECOND, BagMaker
from support.scan_twins import LOOKING_DOWN, RGBD_K, floor_depth

WIDTH, HEIGHT = 64, 48
CAMERA_K = np.array([[50.0, 0, 31.5], [0, 50, 23.5], [0, 0, 1]])
START = 1_700_000_000 * SECOND
# Camera axes in the vehicle's: z forward = x, x right = -y, y down = -z.
FORWARD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
FORWARD_WXYZ = (0.5, -0.5, 0.5, -0.5)
LANDMARK = np.array([20.0, 1.0, 2.0])  # in the world
SPEED = 10.0  # meters per second along the world's x
DELAY = SECOND // 50  # from a sweep to its image
T_WORLD_CAM = LOOKING_DOWN


def write_vehicle(
    folder: Path, format: str = "sqlite3", *, frames: int = 4, with_tf: bool = True, with_info: bool = True
) -> Path:
    """A vehicle at SPEED: sweep i is at x = i meters, LiDAR 2 m up, camera 1 m ahead of it, images DELAY later.

    The first point of every sweep is LANDMARK, in the LiDAR's axes; the rest lie around it.
    """
    maker = BagMaker(format)
    rng = np.random.default_rng(0)
    around = rng.uniform([10, -4, 0], [30, 4, 3], (40, 3))
    for i in range(frames):
        at = START + i * SECOND // 10
        world = np.vstack([LANDMARK, around])
        maker.points("/velodyne_points", at, world - [i, 0, 2])
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        maker.add("/front/image_raw", maker.image(pixels, "bgr8", at + DELAY), at + DELAY)
        if with_info:
            maker.add("/front/camera_info", maker.info(CAMERA_K, WIDTH, HEIGHT, at + DELAY), at + DELAY)
    if with_tf:
        for k in range(-1, 2 * frames + 1):  # every 50 ms, between the sweeps too
            at = START + k * SECOND // 20
            maker.tf("odom", "base_link", at, (k * 0.05 * SPEED, 0, 0))
        maker.tf("base_link", "lidar", START, (0, 0, 2), static=True)
        maker.tf("base_link", "cam", START, (1, 0, 2), FORWARD_WXYZ, static=True)
    return maker.write(folder)


def landmark_pixel(i: int) -> tuple[float, float]:
    """Where LANDMARK is in the image of sweep i, worked out from where the camera is when it is taken."""
    camera_x = i + SPEED * DELAY / SECOND + 1
    x, y, z = LANDMARK - [camera_x, 0, 2]
    return 50 * -y / x + 31.5, 50 * -z / x + 23.5


def write_rgbd(
    folder: Path,
    format: str = "sqlite3",
    *,
    own_frame: bool = False,
    with_tf: bool = True,
    meters: bool = False,
    color_delay: int = 0,
) -> Path:
    """Three frames of a camera that sees the floor, the plane z = 0 of the world.

    With ``own_frame`` the depth camera sits 5 cm beside the color camera and has fewer pixels.
    """
    maker = BagMaker(format)
    shift = np.array([0.05, 0, 0]) if own_frame else np.zeros(3)
    T_world_depth = T_WORLD_CAM.copy()
    T_world_depth[:3, 3] += T_WORLD_CAM[:3, :3] @ shift
    K, width, height = (RGBD_K, WIDTH, HEIGHT)
    if own_frame:
        K, width, height = (np.array([[30.0, 0, 15.5], [0, 30, 11.5], [0, 0, 1]]), 32, 24)
    depth = floor_depth(T_world_depth, K, width, height)
    image = depth.astype("<f4") if meters else np.rint(depth * 1000).astype("<u2")
    depth_frame = "depth_optical" if own_frame else "rgb_optical"
    rng = np.random.default_rng(1)
    for i in range(3):
        at = START + i * SECOND // 30
        pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        encoding = "32FC1" if meters else "16UC1"
        maker.add("/depth/image", maker.image(image, encoding, at, depth_frame), at)
        maker.add("/depth/camera_info", maker.info(K, width, height, at, depth_frame), at)
        later = at + color_delay
        maker.add("/rgb/image_raw", maker.image(pixels, "rgb8", later, "rgb_optical"), later)
        maker.add("/rgb/camera_info", maker.info(RGBD_K, WIDTH, HEIGHT, later, "rgb_optical"), later)
        if with_tf:
            maker.tf("world", "rgb_optical", at, T_WORLD_CAM[:3, 3], wxyz_of(T_WORLD_CAM[:3, :3]))
    if own_frame:
        maker.tf("rgb_optical", "depth_optical", START, tuple(shift), static=True)
    return maker.write(folder)


def wxyz_of(R: np.ndarray) -> tuple[float, ...]:
    """Quaternion of a rotation that is less than half a turn."""
    w = np.sqrt(1 + np.trace(R)) / 2
    x, y, z = (R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]) / (4 * w)
    return float(w), float(x), float(y), float(z)
