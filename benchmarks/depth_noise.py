"""Noise of depth cameras: the same figures for real frames and for the synthetic world's named cameras.

    python -m benchmarks.depth_noise [ROOT] [--json]

The models of ``data_prep.world.sensors.DEPTH_CAMERAS`` are fitted so that their figures are near those of real frames.

- *noise*: millimeters, the 40th percentile of the residual of depth to planes over 7 x 7 pixels, by range, for surfaces seen
  nearly head on (cosine above 0.7), and at a slant (0.3 to 0.6). The percentile leaves edges and small shapes out.
- *step*: millimeters between the values that depth takes near 1 m.
- *holes*: share of pixels without depth. *flying*: share of measured pixels between the surfaces on both sides of them.

Holes and flying pixels depend on what a scene holds, so they compare only roughly.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.ndimage import uniform_filter

from benchmarks.tables import emit
from data_prep.scans import open_scan
from data_prep.scans.formats.images import read_depth
from data_prep.world.sensors import DEPTH_CAMERAS

_RANGES = ((0.3, 0.6), (0.6, 1.2), (1.2, 2.0), (2.0, 3.0), (3.0, 4.5))  # m
_SLANTS = {"head on": (0.7, 1.01), "slant": (0.3, 0.6)}  # cosine between ray and surface
_WINDOW = 7  # pixels
_FEWEST = 500  # pixels of a figure
_BETWEEN = 0.02  # of the depth


def main(root: Annotated[Path | None, tyro.conf.Positional] = None, json: bool = False) -> int:
    """Measure depth noise.

    Args:
        root: folder with any of rgbd/ and sunrgbd/; without it only synthetic cameras are measured.
        json: print one JSON object on standard output instead of a table.
    """
    sets = [*([] if root is None else _real(root)), *_synthetic()]
    return emit({name: noise_figures(images, focal) for name, images, focal in sets}, json, _print)


def noise_figures(images: list[NDArray], focal: float) -> dict[str, Any]:
    """Figures of depth images (H, W) in meters of one camera; ``focal`` in pixels."""
    rows = [_plane_residuals(depth.astype(np.float64), focal) for depth in images]
    residual, depth, cosine = (np.concatenate(column) for column in zip(*rows, strict=True))
    figures: dict[str, Any] = {}
    for name, (low, high) in _SLANTS.items():
        for near, far in _RANGES:
            mine = (depth >= near) & (depth < far) & (cosine >= low) & (cosine < high)
            if mine.sum() >= _FEWEST:
                figures[f"{name} {near}-{far} m"] = round(1000 * float(np.percentile(residual[mine], 40)), 2)
    values = np.unique(np.concatenate([image[(image > 0.9) & (image < 1.1)] for image in images]))
    if len(values) > 2:
        figures["step"] = round(1000 * float(np.median(np.diff(values))), 2)
    figures["holes"] = round(float(np.mean([(image == 0).mean() for image in images])), 3)
    figures["flying"] = round(float(np.mean([_flying(image) for image in images])), 4)
    return figures


def _plane_residuals(depth: NDArray, focal: float) -> tuple[NDArray, NDArray, NDArray]:
    """Residual in meters, depth and cosine of each pixel whose window is measured throughout.

    The inverse depth of a plane is an affine function of the pixel.
    """
    valid = depth > 0
    inverse = np.where(valid, 1 / np.where(valid, depth, 1), 0.0)
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(float)
    u, v = u - u.mean(), v - v.mean()

    def mean(image: NDArray) -> NDArray:
        return uniform_filter(image, _WINDOW, mode="constant")

    mu, mv, mz = mean(u), mean(v), mean(inverse)
    uz, vz, zz = mean(u * inverse) - mu * mz, mean(v * inverse) - mv * mz, mean(inverse**2) - mz**2
    spread = (_WINDOW**2 - 1) / 12
    a, b = uz / spread, vz / spread
    off = np.sqrt(np.maximum(zz - a * uz - b * vz, 0)) * depth**2
    cosine = 1 / np.sqrt(1 + (np.hypot(a, b) * depth * focal) ** 2)
    full = mean(valid.astype(float)) > 1 - 1e-6
    return off[full], depth[full], cosine[full]


def _flying(depth: NDArray) -> float:
    """Share of measured pixels that lie between the pixels before and after them, far from both."""
    before, at, after = depth[:, :-2], depth[:, 1:-1], depth[:, 2:]
    near, far = np.minimum(before, after), np.maximum(before, after)
    between = (near > 0) & (at > near * (1 + _BETWEEN)) & (at < far * (1 - _BETWEEN))
    return float(between.sum() / max((at > 0).sum(), 1))


def _real(root: Path) -> Iterator[tuple[str, list[NDArray], float]]:
    """Name, depth images and focal length of each real camera."""
    kitchen = root / "rgbd/7scenes_redkitchen"
    if kitchen.is_dir():
        scan = open_scan("rgbd", kitchen)
        yield "7-Scenes (Kinect v1)", [scan[i].depth for i in range(0, len(scan), 10)], 585.0
    tum = sorted((root / "rgbd/slambook2_ch5_tum/depth").glob("*"))
    if tum:
        yield "TUM format (Kinect v1)", [read_depth(file) / 5000 for file in tum], 518.0
    if (root / "sunrgbd").is_dir():
        scan = open_scan("sunrgbd", root / "sunrgbd")
        for index, name in enumerate(scan.frame_ids()):
            depth = scan[index].depth
            if depth is not None:
                yield f"SUN {name[:12]}", [depth], float(scan[index].views[0].camera.K[0, 0])
    grasp = root / "rgbd/graspnet_example/depth.png"
    if grasp.is_file():
        yield "GraspNet (RealSense)", [read_depth(grasp) / 1000], 631.0


def _synthetic() -> Iterator[tuple[str, list[NDArray], float]]:
    for camera in DEPTH_CAMERAS:
        for setting in ("room", "tabletop"):
            size = (640, 480)
            scan = open_scan(
                "procedural", setting, frames=3, worlds=3, seed=1, image_size=size, depth_camera=camera
            )
            focal = float(scan[0].views[0].camera.K[0, 0])
            yield f"{camera}, {setting}", [scan[i].depth for i in range(3)], focal


def _print(result: dict[str, dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for figures in result.values() for key in figures))
    order = [f"{name} {near}-{far} m" for name in _SLANTS for near, far in _RANGES]
    columns.sort(key=lambda key: order.index(key) if key in order else len(order))
    table = Table("camera", *columns, box=None, header_style="bold")
    for name, figures in result.items():
        table.add_row(name, *(str(figures.get(key, "")) for key in columns))
    Console(width=200).print(table)


if __name__ == "__main__":
    raise SystemExit(tyro.cli(main))
