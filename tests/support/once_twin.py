"""A sequence of ONCE in its true format: four seconds, two of three cameras, a frame without pose."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation
from support.scan_twins import write_image

K = [[1000.0, 0, 200], [0, 1000, 80], [0, 0, 1]]
# The LiDAR has x left, y backward, z up. A camera that looks ahead has x right, y down, z forward.
AHEAD = [[-1.0, 0, 0, 0.1], [0, 0, -1, -0.6], [0, -1, 0, -0.3], [0, 0, 0, 1]]
BACK = [[1.0, 0, 0, 0], [0, 0, 1, 0.9], [0, -1, 0, -0.3], [0, 0, 0, 1]]
BENT = [[-0.3, 0.1, 0.001, -0.002, 0.0]]  # the devkit's file has it as 1x5 or 5
TIMES = ["1616343527200", "1616343527700", "1616343528200"]


def sequence() -> dict[str, Any]:
    # The car drives ahead at 10 m/s in a world whose x is ahead at the start: z turned by -90 degrees.
    turn = Rotation.from_euler("z", 90, degrees=True).as_quat().tolist()
    frames = [
        {"sequence_id": "000076", "frame_id": time, "pose": [*turn, 5.0 * k, 0, 1.9]}
        for k, time in enumerate(TIMES)
    ]
    frames[1]["annos"] = {
        "names": ["Car", "Pedestrian"],
        "boxes_3d": [[-2, -10, -1, 4, 2, 1.5, -np.pi / 2], [3, 8, -1, 0.5, 0.6, 1.7, 0.0]],
        "boxes_2d": {"cam01": [[1, 2, 3, 4], [-1, -1, -1, -1]]},
    }
    frames[2]["pose"] = [0, 0, 0, 0, 0, 0, 0]
    content = {
        "meta_info": {"weather": "sunny"},
        "calib": {
            "cam01": {"cam_to_velo": AHEAD, "cam_intrinsic": K, "distortion": BENT},
            "cam09": {"cam_to_velo": BACK, "cam_intrinsic": K, "distortion": [0.0] * 5},
            "cam05": {"cam_to_velo": BACK, "cam_intrinsic": K, "distortion": [0.0] * 5},
        },
        "frames": frames[::-1],
    }
    return copy.deepcopy(content)  # tests spoil it


def write_once(root: Path, content: object | None = None, name: str = "000076") -> Path:
    folder = root / "data" / name
    (folder / "lidar_roof").mkdir(parents=True, exist_ok=True)
    text = json.dumps(sequence() if content is None else content)
    (folder / f"{name}.json").write_text(text)
    for number, time in enumerate(TIMES):
        rng = np.random.default_rng(number)
        sweep = np.c_[rng.uniform(-30, 30, (40, 3)), rng.integers(0, 255, 40)]
        sweep[0, 3] = 255
        sweep.astype("<f4").tofile(folder / "lidar_roof" / f"{time}.bin")
        for camera in ("cam01", "cam09"):
            write_image(folder / camera / f"{time}.jpg")
    return root
