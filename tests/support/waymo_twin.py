"""Two frames of Waymo as its exporter writes them in KITTI's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation
from support.scan_twins import write_image

from data_prep.geometry import rigid

# Car axes (x forward, y left, z up) to camera axes (x right, y down, z forward), as the exporter has it.
TO_CAMERA = rigid([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
IDS = ("0000000", "0000001")
# Front and side left: where the cameras sit on the car (x forward like Waymo's), the front one tilted by 3 degrees.
EXTRINSICS = {
    0: rigid(Rotation.from_euler("y", 3, degrees=True).as_matrix(), [1.54, -0.02, 2.12]),
    3: rigid(Rotation.from_euler("z", 90, degrees=True).as_matrix(), [1.43, 0.11, 2.12]),
}
K = {0: (200.0, 80.0), 3: (200.0, 30.0)}  # principal points; the side camera's image is cropped at the top
POSE = rigid(Rotation.from_euler("z", 30, degrees=True).as_matrix(), [-1000.5, 2000.25, 10])
CENTER, SIZE, HEADING = np.array([12.0, 3.0, 0.9]), np.array([4.5, 2.0, 1.8]), 0.4


def exported_label(T_cam_car: np.ndarray) -> str:
    """One row as the exporter writes it (save_label): bottom center in the front camera, ry = -heading - 90°."""
    bottom = T_cam_car @ [*(CENTER - [0, 0, SIZE[2] / 2]), 1]
    length, width, height = SIZE
    numbers = [height, width, length, *bottom[:3], -HEADING - np.pi / 2]
    return f"Car 0 0 -10 1 2 3 4 {' '.join(f'{v:.6f}' for v in numbers)} 0 track-7\n"


def write_waymo(root: Path, columns: int = 6) -> Path:
    base = root / "training"
    for name in ("velodyne", "calib", "pose", "timestamp", "label_all"):
        (base / name).mkdir(parents=True, exist_ok=True)
    for number, id in enumerate(IDS):
        rng = np.random.default_rng(number)
        table = np.zeros((60, columns))
        table[:, :3] = rng.uniform([-70, -70, 0], [70, 70, 5], (60, 3))
        table[:, 3] = rng.exponential(1, 60)
        table.astype("<f4").tofile(base / "velodyne" / f"{id}.bin")
        rows = {}
        for camera in range(5):
            T = TO_CAMERA @ np.linalg.inv(EXTRINSICS.get(camera, np.eye(4)))
            u, v = K.get(camera, (200.0, 80.0))
            rows[f"P{camera}"] = [500, 0, u, 0, 0, 500, v, 0, 0, 0, 1, 0]
            rows[f"Tr_velo_to_cam_{camera}"] = T[:3].ravel()
        rows["R0_rect"] = np.eye(3).ravel()
        text = "".join(f"{key}: {' '.join(f'{v:e}' for v in values)}\n" for key, values in rows.items())
        (base / "calib" / f"{id}.txt").write_text(text)
        for camera in EXTRINSICS:
            write_image(base / f"image_{camera}" / f"{id}.{'jpg' if camera else 'png'}")
        np.savetxt(base / "pose" / f"{id}.txt", POSE)
        (base / "timestamp" / f"{id}.txt").write_text(str(1_550_083_467_346_370 + 100_000 * number))
        (base / "label_all" / f"{id}.txt").write_text(
            exported_label(TO_CAMERA @ np.linalg.inv(EXTRINSICS[0]))
        )
    return root
