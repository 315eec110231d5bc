"""Small RGB-D recordings in the formats of their makers, by the tests that read them: a floor at z = 0."""

from __future__ import annotations

import json
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation
from support.scan_twins import LOOKING_DOWN, RGBD_K, floor_depth

from data_prep.geometry import rigid, rotation_between

WIDTH, HEIGHT = 64, 48
FRAMES = 3
T_ARKIT_ZUP = rigid(rotation_between([0, 0, 1], [0, 1, 0]))  # to a world with y up
T_CV_ARKIT = np.diag([1.0, -1, -1, 1])


def pose(number: int) -> np.ndarray:
    """Camera to the z-up world of frame ``number``: 5 cm to the right each."""
    T = LOOKING_DOWN.copy()
    T[0, 3] += 0.05 * number
    return T


def depth_meters(number: int, K: np.ndarray = RGBD_K, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Depth of the floor seen from ``pose(number)``."""
    return floor_depth(pose(number), K, width, height)


def scaled_K(factor: float) -> np.ndarray:
    """Intrinsics of ``RGBD_K``'s view with ``factor`` times the pixels, the image's edge at -0.5 staying."""
    K = RGBD_K.copy()
    K[:2, :2] *= factor
    K[:2, 2] = (RGBD_K[:2, 2] + 0.5) * factor - 0.5
    return K


def picture(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> Image.Image:
    """Noise, smooth enough that JPEG keeps it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def write_depth_png(path: Path, meters: np.ndarray, scale: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(meters * scale).astype(np.uint16)).save(path)


def write_picture(path: Path, **size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(**size).save(path)


def write_tum(root: Path, depth_delay: float = 0.004) -> Path:
    """Color at 0, 0.1, 0.2 s; depth a little later; poses at 100 Hz of a camera moving at 0.5 m/s."""
    lists: dict[str, list[str]] = {"rgb": ["# color images"], "depth": ["# depth maps"]}
    for number in range(FRAMES):
        for kind, delay in (("rgb", 0.0), ("depth", depth_delay)):
            name = f"{kind}/{100 + number / 10 + delay:.6f}.png"
            lists[kind].append(f"{100 + number / 10 + delay:.6f} {name}")
            if kind == "rgb":
                write_picture(root / name)
            else:
                write_depth_png(root / name, depth_meters(0), 5000)
    for kind, lines in lists.items():
        (root / f"{kind}.txt").write_text("\n".join(lines) + "\n")
    rows = ["# timestamp tx ty tz qx qy qz qw"]
    for step in range(-5, 40):
        T = pose(0)
        T[0, 3] += 0.005 * step
        values = [*T[:3, 3], *Rotation.from_matrix(T[:3, :3]).as_quat()]
        rows.append(f"{100 + step / 100:.4f} " + " ".join(f"{value:.6f}" for value in values))
    (root / "groundtruth.txt").write_text("\n".join(rows) + "\n")
    (root / "camera.txt").write_text("# fx fy cx cy width height depth_factor\n60 60 32 24 64 48 5000\n")
    return root


ALIGNMENT = rigid(Rotation.from_euler("z", 30, degrees=True).as_matrix(), [1.0, -2.0, 0.0])


def write_scannet_meta(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    values = " ".join(f"{value:.6f}" for value in ALIGNMENT.ravel())
    (folder / f"{folder.name}.txt").write_text(f"axisAlignment = {values} \ncolorHeight = 96\n")


def write_scannet_export(folder: Path) -> Path:
    """Color of twice the pixels; frame 2 has no pose."""
    write_scannet_meta(folder)
    for number in (0, 1, 2):
        write_picture(folder / f"color/{number}.jpg", width=2 * WIDTH, height=2 * HEIGHT, seed=number)
        write_depth_png(folder / f"depth/{number}.png", depth_meters(number), 1000)
        (folder / "pose").mkdir(exist_ok=True)
        T = pose(number) if number < 2 else np.full((4, 4), -np.inf)
        np.savetxt(folder / f"pose/{number}.txt", T, fmt="%f")
    (folder / "intrinsic").mkdir()
    for kind, factor in (("color", 2), ("depth", 1)):
        K = np.eye(4)
        K[:3, :3] = scaled_K(factor)
        np.savetxt(folder / f"intrinsic/intrinsic_{kind}.txt", K, fmt="%f")
    return folder


def sens_bytes(
    version: int = 4,
    coding: tuple[int, int] = (2, 1),
    extrinsic: np.ndarray | None = None,
    frames: int = 3,
) -> bytes:
    """A ``.sens`` of the same frames; the third has no pose."""
    K_color, K_depth = np.eye(4), np.eye(4)
    K_color[:3, :3], K_depth[:3, :3] = scaled_K(2), RGBD_K
    name = b"StructureSensor"
    out = struct.pack("<IQ", version, len(name)) + name
    for matrix in (K_color, np.eye(4) if extrinsic is None else extrinsic, K_depth, np.eye(4)):
        out += matrix.astype("<f4").tobytes()
    out += struct.pack("<2i4If", *coding, 2 * WIDTH, 2 * HEIGHT, WIDTH, HEIGHT, 1000.0)
    out += struct.pack("<Q", frames)
    for number in range(frames):
        buffer = BytesIO()
        picture(2 * WIDTH, 2 * HEIGHT, seed=number).save(buffer, "JPEG" if coding[0] == 2 else "PNG")
        color = buffer.getvalue()
        depth = np.rint(depth_meters(number) * 1000).astype("<u2").tobytes()
        if coding[1] == 1:
            depth = zlib.compress(depth)
        T = pose(number) if number < 2 else np.full((4, 4), -np.inf)
        out += T.astype("<f4").tobytes() + struct.pack("<4Q", number, number, len(color), len(depth))
        out += color + depth
    return out + struct.pack("<Q", 0)  # no motion sensor


def write_replica(root: Path, scenes: tuple[str, ...] = ("room0",)) -> Path:
    """Scenes of three frames; returns the folder of all."""
    root.mkdir(parents=True, exist_ok=True)
    camera = {"w": WIDTH, "h": HEIGHT, "fx": 60.0, "fy": 60.0, "cx": 32.0, "cy": 24.0, "scale": 6553.5}
    (root / "cam_params.json").write_text(json.dumps({"camera": camera}))
    for scene in scenes:
        rows = []
        for number in range(FRAMES):
            write_picture(root / scene / f"results/frame{number:06d}.jpg", seed=number)
            write_depth_png(root / scene / f"results/depth{number:06d}.png", depth_meters(number), 6553.5)
            rows.append(" ".join(f"{value:.12e}" for value in pose(number).ravel()))
        (root / scene / "traj.txt").write_text("\n".join(rows) + "\n")
    return root


def write_polycam(root: Path, corrected: bool = False) -> Path:
    """Keyframes of a phone: depth of half the pixels."""
    images, cameras = ("corrected_images", "corrected_cameras") if corrected else ("images", "cameras")
    folder = root / "keyframes"
    for number in range(FRAMES):
        time = 1000 + 100 * number
        write_picture(folder / images / f"{time}.jpg", width=2 * WIDTH, height=2 * HEIGHT, seed=number)
        write_depth_png(folder / "depth" / f"{time}.png", depth_meters(number), 1000)
        K, T = scaled_K(2), T_ARKIT_ZUP @ pose(number) @ T_CV_ARKIT
        record = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "blur_score": 99.0}
        record |= {"width": 2 * WIDTH, "height": 2 * HEIGHT, "timestamp": time}
        record |= {f"t_{i}{j}": T[i, j] for i in range(3) for j in range(4)}
        (folder / cameras).mkdir(parents=True, exist_ok=True)
        (folder / cameras / f"{time}.json").write_text(json.dumps(record))
    return root


def record3d_files() -> dict[str, bytes]:
    """What an ``.r3d`` holds, with depth of half the pixels that is not compressed."""
    poses, files = [], {}
    for number in range(FRAMES):
        T = T_ARKIT_ZUP @ pose(number) @ T_CV_ARKIT
        poses.append([*Rotation.from_matrix(T[:3, :3]).as_quat(), *T[:3, 3]])
        buffer = BytesIO()
        picture(2 * WIDTH, 2 * HEIGHT, seed=number).save(buffer, "JPEG")
        files[f"rgbd/{number}.jpg"] = buffer.getvalue()
        files[f"rgbd/{number}.depth"] = depth_meters(number).astype("<f4").tobytes()
    metadata = {
        "w": 2 * WIDTH, "h": 2 * HEIGHT, "dw": WIDTH, "dh": HEIGHT, "fps": 60,
        "K": scaled_K(2).T.ravel().tolist(), "poses": poses, "frameTimestamps": [0.5, 0.6, 0.7],
    }  # fmt: skip
    return {"metadata": json.dumps(metadata).encode(), **files}
