"""TUM RGB-D: sequences of a Kinect whose color, depth and pose each have times of their own.

Layout (https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats)::

    rgb.txt depth.txt groundtruth.txt  rgb/1305031102.175304.png  depth/1305031102.160407.png
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.geometry import Camera, Distortion
from data_prep.geometry.transforms import T_zup_from
from data_prep.scans.formats.images import read_depth, read_image, read_lines, require_centered
from data_prep.scans.frame import Frame
from data_prep.scans.rgbd.depth_frame import depth_frame
from data_prep.scans.rgbd.tum_files import Trajectory, associate, read_image_list
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source

# fx fy cx cy, then k1 k2 p1 p2 k3 (https://cvg.cit.tum.de/data/datasets/rgbd-dataset/intrinsic_calibration).
PRESETS: dict[str, tuple[float, ...]] = {
    "freiburg1": (517.3, 516.5, 318.6, 255.3, 0.2624, -0.9531, -0.0054, 0.0026, 1.1633),
    "freiburg2": (520.9, 521.0, 325.1, 249.7, 0.2312, -0.7849, -0.0033, -0.0001, 0.9172),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
    "openni": (525.0, 525.0, 319.5, 239.5),
}


class TumFrame(NamedTuple):
    """Two images taken at almost the same time, seconds."""

    color: Path
    depth: Path
    depth_time: float


@register_source("tum")
class TumScan(IndexedScan[TumFrame]):
    """A TUM RGB-D sequence, or a recording written like one.

    Color and depth are paired by time as the benchmark's ``associate.py`` does. The pose is the trajectory's at
    the time of the depth, whose points it moves: interpolated between the two poses around it, or the nearer
    one where only one is close. A pair without a pose is a bad frame.

    Points are the unprojected depth in camera axes (x right, y down, z forward), colored by their pixel: depth
    is registered to color. ``T_world_points`` is the pose followed by the rotation that puts ``up`` along z.

    Args:
        root: the sequence's folder.
        up: the axis of the trajectory's world that points up. None: ``up`` in ``scan.yaml``, else z for the
            benchmark's own sequences (``rgbd_dataset_freiburgN_…``, motion capture), else it is asked for.
        intrinsics: ``fx,fy,cx,cy`` with or without ``k1,k2,p1,p2[,k3]``, or ``freiburg1`` to ``3``, or
            ``openni`` (525, 319.5, 239.5: the driver's default). None: the numbers in ``camera.txt``, else the
            preset that the folder's name says, else it is asked for.
        max_difference: seconds between color and depth, and to the poses used.
        depth_scale: depth units per meter. None: the seventh number of ``camera.txt``, else 5000.

    Raises:
        InputError: an option that cannot be.
        BadDatasetError: a list is missing or not one, nothing can be paired, or ``up`` or the camera is unknown.
    """

    source = "tum"

    def __init__(
        self,
        root: Path,
        up: str | None = None,
        intrinsics: str | Sequence[float] | None = None,
        max_difference: float = 0.02,
        depth_scale: float | None = None,
    ) -> None:
        root = Path(root)
        if not max_difference >= 0:
            raise InputError(f"is {max_difference}", field="max_difference", fix="give seconds, 0 or more")
        if depth_scale is not None and not depth_scale > 0:
            raise InputError(f"is {depth_scale}", field="depth_scale", fix="give units per meter, like 5000")
        preset = re.search(r"freiburg[123]", root.resolve().name)
        stated = _camera_file(root / "camera.txt")
        self._camera = _numbers(intrinsics) or stated[:4] or (PRESETS[preset[0]] if preset else ())
        if not self._camera:
            raise BadDatasetError(
                "is not stated, and it cannot be guessed",
                source=root,
                field="intrinsics",
                fix="give the option intrinsics=fx,fy,cx,cy or one of " + ", ".join(PRESETS),
            )
        self._size = tuple(int(value) for value in stated[4:6])
        self._depth_scale = depth_scale or (stated[6] if len(stated) == 7 else 5000.0)
        self.T_world_poses = T_zup_from(up or _stated_up(root / "scan.yaml") or _up_of(root, bool(preset)))
        self._max_difference = max_difference
        self._trajectory = Trajectory.load(root / "groundtruth.txt")
        colors, depths = (read_image_list(root / name) for name in ("rgb.txt", "depth.txt"))
        pairs = associate(list(colors), list(depths), max_difference)
        if not pairs:
            raise BadDatasetError(
                f"no time is within {max_difference:g} s of one in rgb.txt",
                source=root / "depth.txt",
                fix="check the clocks, or give a larger max_difference",
            )
        color_files, depth_times, depth_files = list(colors.values()), list(depths), list(depths.values())
        entries = {
            color_files[i].stem.replace(".", "_"): TumFrame(color_files[i], depth_files[j], depth_times[j])
            for i, j in pairs
        }
        super().__init__(root, entries, "rgb.txt, depth.txt and groundtruth.txt")

    def read(self, id: str, entry: TumFrame) -> Frame:
        pose = self._trajectory.at(entry.depth_time, self._max_difference)
        if pose is None:
            raise BadFrameError(
                f"has no pose within {self._max_difference:g} s of {entry.depth_time:.6f}",
                source=self.root / "groundtruth.txt",
                field="timestamp",
                fix="leave this frame out, or give a larger max_difference",
            )
        image, raw = read_image(entry.color), read_depth(entry.depth)
        height, width = image.shape[:2]
        expected = self._size or raw.shape[::-1]
        if (width, height) != expected or raw.shape != (height, width):
            raise BadFrameError(
                f"is {width}x{height}, its depth {raw.shape[1]}x{raw.shape[0]}, "
                f"expected {expected[0]}x{expected[1]}",
                source=entry.color,
                field="image size",
                fix="give depth registered to the color images, and camera.txt of their size",
            )
        fx, fy, cx, cy, *lens = self._camera
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        require_centered(K, width, height, entry.color)
        camera = Camera(
            K, width, height, distortion=Distortion("radtan", tuple(lens)) if lens else Distortion()
        )
        depth = (raw / np.float32(self._depth_scale)).astype(np.float32)
        T_world_cam, name = self.T_world_poses @ pose, self.image_name(id, entry)
        return depth_frame(id, camera, image, depth, T_world_cam, name, entry.depth_time)

    def image_name(self, id: str, entry: TumFrame) -> str:
        return entry.color.relative_to(self.root).as_posix()

    def world(self, id: str, entry: TumFrame) -> str:
        """The sequence."""
        return self.root.name


def _numbers(intrinsics: str | Sequence[float] | None) -> tuple[float, ...]:
    """What the option says; () where it says nothing."""
    if intrinsics is None:
        return ()
    if isinstance(intrinsics, str) and intrinsics in PRESETS:
        return PRESETS[intrinsics]
    words = intrinsics.replace(",", " ").split() if isinstance(intrinsics, str) else list(intrinsics)
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        values = ()
    if len(values) not in (4, 8, 9) or not np.isfinite(values).all() or min(values[:2]) <= 0:
        raise InputError(
            f"is {intrinsics!r}",
            field="intrinsics",
            fix=f"give fx,fy,cx,cy[,k1,k2,p1,p2[,k3]] or one of {', '.join(PRESETS)}",
        )
    return values


def _camera_file(path: Path) -> tuple[float, ...]:
    """``camera.txt``: ``fx fy cx cy`` or ``fx fy cx cy width height depth_factor``; () where there is none."""
    if not path.exists():
        return ()
    words = " ".join(line for line in read_lines(path, "camera") if not line.startswith("#")).split()
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        values = ()
    if len(values) not in (4, 7) or not np.isfinite(values).all() or min(values) <= 0:
        raise BadDatasetError(
            f"holds {' '.join(words)[:80]!r}",
            source=path,
            field="camera",
            fix="write fx fy cx cy width height depth_factor",
        )
    return values


def _stated_up(path: Path) -> str | list[float] | None:
    """``up`` of ``scan.yaml``, of which nothing else is read here; None where there is no such file."""
    if not path.exists():
        return None
    try:
        stated: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadDatasetError(f"is not YAML ({error})", source=path, fix="write up: z") from error
    up = stated.get("up") if isinstance(stated, dict) else None
    if isinstance(up, list) and len(up) == 3 and all(isinstance(value, int | float) for value in up):
        if np.isfinite(up).all() and np.linalg.norm(up) > 0:
            return up
    elif isinstance(up, str):
        return up
    raise BadDatasetError(f"is {up!r}", source=path, field="up", fix="write an axis like z, or three numbers")


def _up_of(root: Path, benchmark: bool) -> str:
    if not benchmark:
        raise BadDatasetError(
            "is not stated, and it cannot be guessed",
            source=root,
            field="up",
            fix="give the option up=z (or -y, when the world is the first camera's) or write it in scan.yaml",
        )
    return "z"
