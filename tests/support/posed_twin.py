"""Posed RGB-D folders in any convention: a floor at z = 0 seen from above."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from support.scan_twins import LOOKING_DOWN, RGBD_K, floor_depth, write_image

from data_prep.geometry import invert, rigid, rotation_between

WIDTH, HEIGHT = 64, 48
STATED = {"depth_scale": 1000, "pose_direction": "camera_to_world", "up": "z"}


def write_depth(path: Path, meters: np.ndarray, scale: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(meters * scale).astype(np.uint16)).save(path)


def write_generic(root: Path, statement: dict | None = None, T_world_zup: np.ndarray | None = None) -> Path:
    """Three frames looking down at the floor, written with the conventions of ``statement``."""
    statement = STATED if statement is None else statement
    T_world_zup = np.eye(4) if T_world_zup is None else T_world_zup
    root.mkdir(exist_ok=True)
    for number in (2, 10, 9):
        pose = LOOKING_DOWN.copy()
        pose[0, 3] += number / 10
        depth = floor_depth(pose, RGBD_K, WIDTH, HEIGHT)
        pose = T_world_zup @ pose
        stored = invert(pose) if statement.get("pose_direction") == "world_to_camera" else pose
        write_depth(root / f"depth/{number}.png", depth, float(statement.get("depth_scale", 1000)))
        write_image(root / f"color/{number}.png", WIDTH, HEIGHT)
        (root / "pose").mkdir(exist_ok=True)
        np.savetxt(root / f"pose/{number}.txt", stored)
    np.savetxt(root / "intrinsics.txt", RGBD_K)
    (root / "scan.yaml").write_text(yaml.safe_dump(statement))
    return root


def write_seven_scenes(root: Path, down: list[float] | None) -> Path:
    """Two frames in 7-Scenes naming whose world has y down."""
    T_world_zup = rigid(rotation_between([0, 0, 1], [0, -1, 0]))
    root.mkdir(exist_ok=True)
    for number in (0, 10):
        stem = root / f"frame-{number:06d}"
        write_depth(
            stem.with_name(f"{stem.name}.depth.png"), floor_depth(LOOKING_DOWN, RGBD_K, WIDTH, HEIGHT), 1000
        )
        write_image(stem.with_name(f"{stem.name}.color.jpg"), WIDTH, HEIGHT)
        np.savetxt(stem.with_name(f"{stem.name}.pose.txt"), T_world_zup @ LOOKING_DOWN)
    np.savetxt(root / "camera-intrinsics.txt", RGBD_K)
    if down is not None:
        np.savetxt(root / "gravity-direction.txt", down)
    return root
