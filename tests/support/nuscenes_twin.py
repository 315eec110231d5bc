"""A small world in the official tables of nuScenes: a car drives past standing points, watched by two cameras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from data_prep.geometry import invert, rigid, transform_points

K = np.array([[100.0, 0, 80], [0, 100, 45], [0, 0, 1]])
# Camera axes (x right, y down, z forward) to the car's (x forward, y left, z up).
LOOK_AHEAD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
SENSORS = {
    "LIDAR_TOP": rigid(Rotation.from_euler("z", -90, degrees=True).as_matrix(), [0.9, 0, 1.8]),
    "CAM_FRONT": rigid(LOOK_AHEAD, [1.7, 0, 1.5]),
    "CAM_BACK": rigid(Rotation.from_euler("z", 180, degrees=True).as_matrix() @ LOOK_AHEAD, [0, 0, 1.5]),
    "RADAR_FRONT": rigid(None, [3, 0, 0.5]),
}
WORLD = np.random.default_rng(0).uniform([380, 1150, 0], [440, 1210, 3], (500, 3))
# A car parked in that world: 4 m long, 2 m wide, 1.5 m high, turned by 30 degrees.
CAR_CENTER, CAR_SIZE_WLH, CAR_YAW = np.array([405.0, 1185.0, 0.75]), [2.0, 4.0, 1.5], np.radians(30)
MILLISECOND = 1000
START = 1_500_000_000_000_000


def ego_pose(timestamp: int, scene: int = 0) -> np.ndarray:
    """Where the car is: 10 m/s along a bend, tilted by 2 degrees."""
    seconds = (timestamp - START) / 1e6
    turn = Rotation.from_euler("zyx", [40 + 5 * seconds + 90 * scene, 2, 1], degrees=True)
    return rigid(turn.as_matrix(), [400 + 7 * seconds, 1170 + 7 * seconds, 0.1])


class NuscenesTwin:
    """Writes the tables and files of two scenes: ``scene-0001`` of three keyframes, ``scene-0002`` of one.

    Between keyframes, half a second apart, lie four sweeps. Change ``tables`` and call :meth:`write_tables` again to
    spoil something.
    """

    def __init__(self, root: Path, version: str = "v1.0-test-twin") -> None:
        self.root, self.version = root, version
        names = "attribute calibrated_sensor category ego_pose instance sample sample_annotation sample_data scene sensor"
        self.tables: dict[str, list[dict[str, Any]]] = {name: [] for name in names.split()}
        for channel, T in SENSORS.items():
            modality = {"L": "lidar", "C": "camera", "R": "radar"}[channel[0]]
            self.tables["sensor"].append({"token": f"s-{channel}", "channel": channel, "modality": modality})
            self.tables["calibrated_sensor"].append(
                {
                    "token": f"c-{channel}",
                    "sensor_token": f"s-{channel}",
                    **_pose_fields(T),
                    "camera_intrinsic": K.tolist() if modality == "camera" else [],
                }
            )
        self.tables["category"] = [
            {"token": "cat0", "name": "vehicle.car", "description": ""},
            {"token": "cat1", "name": "human.pedestrian.adult", "description": ""},
        ]
        self.tables["instance"] = [
            {"token": "i0", "category_token": "cat1"},
            {"token": "i1", "category_token": "cat0"},
        ]
        self._scene(0, "scene-0001", keyframes=3)
        self._scene(1, "scene-0002", keyframes=1)
        # As in the real tables, the order in the file is not the order in time.
        for name in ("sample", "sample_data", "ego_pose"):
            self.tables[name].reverse()
        self.write_tables()

    def write_tables(self) -> None:
        folder = self.root / self.version
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.tables.items():
            (folder / f"{name}.json").write_text(json.dumps(rows, indent=0))

    def row(self, table: str, token: str) -> dict[str, Any]:
        return next(row for row in self.tables[table] if row["token"] == token)

    def _scene(self, number: int, name: str, keyframes: int) -> None:
        tokens = [f"{name}-sample-{k}" for k in range(keyframes)]
        self.tables["scene"].append(
            {"token": name, "name": name, "first_sample_token": tokens[0], "last_sample_token": tokens[-1]}
        )
        for k, token in enumerate(tokens):
            time = START + number * 60_000_000 + k * 500 * MILLISECOND
            around = {"prev": tokens[k - 1] if k else "", "next": tokens[k + 1] if k + 1 < keyframes else ""}
            self.tables["sample"].append({"token": token, "timestamp": time, "scene_token": name, **around})
            for back in range(4 if k else 0, 0, -1):
                self._recording("LIDAR_TOP", token, time - back * 100 * MILLISECOND, number, key=False)
            self._recording("LIDAR_TOP", token, time, number)
            self._recording("CAM_FRONT", token, time - 35 * MILLISECOND, number)
            self._recording("CAM_BACK", token, time - 10 * MILLISECOND, number)
            turn = Rotation.from_euler("z", CAR_YAW).as_quat()
            self.tables["sample_annotation"].append(
                {
                    "token": f"a-{token}",
                    "sample_token": token,
                    "instance_token": "i1",
                    "visibility_token": "4",
                    "attribute_tokens": [],
                    "translation": CAR_CENTER.tolist(),
                    "size": CAR_SIZE_WLH,
                    "rotation": [turn[3], *turn[:3]],
                    "num_lidar_pts": 7,
                }
            )

    def _recording(self, channel: str, sample: str, time: int, scene: int, key: bool = True) -> None:
        previous = [row for row in self.tables["sample_data"] if row["_stream"] == (channel, scene)]
        token = f"{channel}-{time}"
        folder = "samples" if key else "sweeps"
        suffix = "pcd.bin" if channel == "LIDAR_TOP" else "jpg"
        path = self.root / folder / channel / f"twin__{channel}__{time}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        T_global_sensor = ego_pose(time, scene) @ SENSORS[channel]
        if channel == "LIDAR_TOP":
            points = transform_points(invert(T_global_sensor), WORLD)
            roof = np.array([[0.3, -0.2, -0.1], [-0.9, 0.9, -0.3]])  # returns of the car itself
            table = np.c_[np.r_[points, roof], np.full(502, 51.0), np.arange(502) % 32]
            table.astype("<f4").tofile(path)
        else:
            noise = np.random.default_rng(time % 1000).integers(0, 256, (90, 160, 3), dtype=np.uint8)
            Image.fromarray(noise).save(path)
        self.tables["ego_pose"].append(
            {"token": f"e-{token}", "timestamp": time, **_pose_fields(ego_pose(time, scene))}
        )
        self.tables["sample_data"].append(
            {
                "token": token,
                "sample_token": sample,
                "ego_pose_token": f"e-{token}",
                "calibrated_sensor_token": f"c-{channel}",
                "timestamp": time,
                "fileformat": "pcd" if channel == "LIDAR_TOP" else "jpg",
                "is_key_frame": key,
                "height": 0 if channel == "LIDAR_TOP" else 90,
                "width": 0 if channel == "LIDAR_TOP" else 160,
                "filename": path.relative_to(self.root).as_posix(),
                "prev": previous[-1]["token"] if previous else "",
                "next": "",
                "_stream": (channel, scene),
            }
        )


def _pose_fields(T: np.ndarray) -> dict[str, list[float]]:
    x, y, z, w = Rotation.from_matrix(T[:3, :3]).as_quat()
    return {"translation": T[:3, 3].tolist(), "rotation": [w, x, y, z]}
