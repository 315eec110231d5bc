"""Small scans in the datasets' own formats, written by the tests that read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

# A car with its camera: velodyne x forward, y left, z up; camera 0 is 0.08 m below and 0.27 m ahead.
P2 = np.array([[700.0, 0, 200, 45], [0, 700, 80, -0.3], [0, 0, 1, 0.003]])
R0 = np.eye(3)
TR = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27]])
CAR = "Car 0.10 1 -1.57 10.0 20.0 110.0 80.0 1.5 1.6 4.0 2.0 1.5 10.0 0.0"
PERSON = "Person_sitting 0 0 0 1 2 3 4 1.0 0.5 0.6 -3.0 1.5 8.0 -1.5707963267948966"
DONT_CARE = "DontCare -1 -1 -10 500 170 590 190 -1 -1 -1 -1000 -1000 -1000 -10"


def write_sweep(path: Path, count: int = 50) -> np.ndarray:
    """A velodyne file of points ahead of the car; returns them (count, 4)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(count)
    sweep = rng.uniform([5, -2, -1, 0], [40, 2, 1, 1], (count, 4)).astype("<f4")
    sweep.tofile(path)
    return sweep


def write_image(path: Path, width: int = 400, height: int = 160) -> np.ndarray:
    """An image of noise; returns it (height, width, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def write_calibration(
    path: Path, colon: str = ":", names: tuple[str, str] = ("R0_rect", "Tr_velo_to_cam")
) -> None:
    """KITTI calibration; the tracking set writes other names without a colon."""
    path.parent.mkdir(parents=True, exist_ok=True)
    matrices = {"P2:": P2, f"{names[0]}{colon}": R0, f"{names[1]}{colon}": TR}
    lines = [f"{name} {' '.join(f'{v:.12e}' for v in matrix.ravel())}" for name, matrix in matrices.items()]
    path.write_text("\n".join(lines) + "\n\n")


def write_kitti(root: Path, split: str = "training", frames: int = 2) -> Path:
    """A KITTI object folder; ``testing`` gets no labels."""
    for number in range(frames):
        stem = f"{number:06d}"
        write_sweep(root / split / "velodyne" / f"{stem}.bin")
        write_image(root / split / "image_2" / f"{stem}.png")
        write_calibration(root / split / "calib" / f"{stem}.txt")
        if split == "training":
            (root / split / "label_2").mkdir(exist_ok=True)
            (root / split / "label_2" / f"{stem}.txt").write_text(f"{CAR}\n{DONT_CARE}\n{PERSON}\n")
    return root


def write_kitti_tracking(root: Path) -> Path:
    """Two sequences: 0000 with frames 0 and 2, 0003 with frame 5."""
    base = root / "training"
    (base / "label_02").mkdir(parents=True)
    for sequence, numbers in {"0000": (0, 2), "0003": (5,)}.items():
        for number in numbers:
            write_sweep(base / "velodyne" / sequence / f"{number:06d}.bin")
            write_image(base / "image_02" / sequence / f"{number:06d}.png")
        write_calibration(base / "calib" / f"{sequence}.txt", colon="", names=("R_rect", "Tr_velo_cam"))
        (base / "label_02" / f"{sequence}.txt").write_text(
            f"0 -1 {DONT_CARE}\n0 7 {CAR}\n1 7 {CAR}\n2 7 {CAR}\n2 9 {PERSON}\n"
        )
    return root


def floor_depth(T_world_cam: np.ndarray, K: np.ndarray, width: int, height: int) -> np.ndarray:
    """(height, width) meters along z at which each pixel's ray meets the floor, the world's plane z = 0."""
    v, u = np.mgrid[:height, :width]
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(K).T @ T_world_cam[:3, :3].T
    return -T_world_cam[2, 3] / rays[..., 2]


# A camera 1.5 m above the floor, looking along world y and 50 degrees down, so that all it sees is floor.
_DOWN = np.radians(50)
LOOKING_DOWN = np.array(
    [
        [1, 0, 0, 0.3],
        [0, -np.sin(_DOWN), np.cos(_DOWN), -0.2],
        [0, -np.cos(_DOWN), -np.sin(_DOWN), 1.5],
        [0, 0, 0, 1],
    ]
)
RGBD_K = np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]])
