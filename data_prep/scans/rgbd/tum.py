"""TUM RGB-D reader: Kinect sequences whose color, depth and poses have separate times.

Layout (https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats)::

    rgb.txt depth.txt groundtruth.txt  rgb/1305031102.175304.png  depth/1305031102.160407.png
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from data_prep.config import read_yaml
from data_prep.errors import BadDatasetError, BadFrameError, InputError, shared_by_all_frames
from data_prep.geometry import Camera, Distortion, rigid
from data_prep.geometry.transforms import T_zup_from
from data_prep.scans.formats.images import read_depth, read_image, require_centered, require_size
from data_prep.scans.formats.text import read_lines
from data_prep.scans.frame import Frame
from data_prep.scans.scan import IndexedScan
from data_prep.scans.sources import register_source
from data_prep.storage.reading import stays_inside

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
    T_world_poses: NDArray[np.float64]

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
        require_size(image, raw.shape[::-1], "its depth", entry.color, fix="register depth to color")
        require_size(image, self._size or (width, height), "camera.txt says", entry.color)
        fx, fy, cx, cy, *lens = self._camera
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        require_centered(K, width, height, entry.color)
        camera = Camera(
            K, width, height, distortion=Distortion("radtan", tuple(lens)) if lens else Distortion()
        )
        depth = (raw / np.float32(self._depth_scale)).astype(np.float32)
        T_world_cam, name = self.T_world_poses @ pose, self.image_name(id, entry)
        return Frame.from_depth(id, camera, image, depth, T_world_cam, name, entry.depth_time)

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
    values = _floats(words)
    if len(values) not in (4, 8, 9) or min(values[:2]) <= 0:
        raise InputError(
            f"is {intrinsics!r}",
            field="intrinsics",
            fix=f"give fx,fy,cx,cy[,k1,k2,p1,p2[,k3]] or one of {', '.join(PRESETS)}",
        )
    return values


def _camera_file(path: Path) -> tuple[float, ...]:
    """``camera.txt``: ``fx fy cx cy`` or ``fx fy cx cy width height depth_factor``; () without the file."""
    if not path.exists():
        return ()
    words = " ".join(line for line in read_lines(path, "camera") if not line.startswith("#")).split()
    values = _floats(words)
    if len(values) not in (4, 7) or min(values) <= 0:
        raise BadDatasetError(
            f"holds {' '.join(words)[:80]!r}",
            source=path,
            field="camera",
            fix="write fx fy cx cy width height depth_factor",
        )
    return values


def _stated_up(path: Path) -> str | list[float] | None:
    """``up`` of ``scan.yaml``, the only key read here; None without the file."""
    if not path.exists():
        return None
    with shared_by_all_frames(fix="write up: z"):
        stated = read_yaml(path)
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


def read_image_list(path: Path) -> dict[float, Path]:
    """``rgb.txt`` or ``depth.txt``: time in seconds → image file, in order of time.

    Raises:
        BadDatasetError: missing, empty, or a line that is not a time and a name.
    """
    images: dict[float, Path] = {}
    for number, words in _rows(path):
        stamp = _number(words[0]) if len(words) == 2 else None
        if stamp is None or not stays_inside(words[1]):
            raise BadDatasetError(
                f"{' '.join(words)[:60]!r} is not a time and a file name below the folder",
                source=path,
                field=f"line {number}",
                fix="write TIMESTAMP FILE",
            )
        images[stamp] = path.parent / words[1]
    return dict(sorted(images.items()))


def associate(first: list[float], second: list[float], max_difference: float) -> list[tuple[int, int]]:
    """Pair two lists of times, closest pairs first, each used once, as the benchmark's ``associate.py`` does.

    >>> associate([0.0, 1.0], [0.99, 1.5], max_difference=0.02)
    [(1, 0)]
    """
    a, b = np.asarray(first), np.asarray(second)
    # Written times have six decimals: a difference of exactly 0.02 is not to fail by rounding.
    reach = max_difference + 1e-9
    low, high = np.searchsorted(b, a - reach, "left"), np.searchsorted(b, a + reach, "right")
    pairs = sorted((abs(a[i] - b[j]), i, j) for i in range(len(a)) for j in range(int(low[i]), int(high[i])))
    free_a, free_b, found = set(range(len(a))), set(range(len(b))), []
    for _, i, j in pairs:
        if i in free_a and j in free_b:
            free_a.remove(i)
            free_b.remove(j)
            found.append((i, j))
    return sorted(found)


@dataclass(frozen=True)
class Trajectory:
    """Camera-to-world poses over time.

    Attributes:
        times: (n,) seconds, increasing.
        positions: (n, 3) meters.
        quaternions: (n, 4) x y z w, unit.
    """

    times: NDArray[np.float64]
    positions: NDArray[np.float64]
    quaternions: NDArray[np.float64]

    @classmethod
    def load(cls, path: Path) -> Trajectory:
        """Read ``groundtruth.txt``: ``timestamp tx ty tz qx qy qz qw`` per line.

        Raises:
            BadDatasetError: missing, empty, or a line that is not eight such numbers.
        """
        table = []
        for number, words in _rows(path):
            values = [_number(word) for word in words]
            norm = np.linalg.norm([value or 0.0 for value in values[4:]])
            if len(values) != 8 or None in values or not 0.5 < norm < 2:
                raise BadDatasetError(
                    f"{' '.join(words)[:80]!r} is not a pose",
                    source=path,
                    field=f"line {number}",
                    fix="write timestamp tx ty tz qx qy qz qw",
                )
            table.append(values)
        rows = np.array(table, dtype=np.float64)
        rows = rows[np.unique(rows[:, 0], return_index=True)[1]]
        return cls(rows[:, 0], rows[:, 1:4], rows[:, 4:] / np.linalg.norm(rows[:, 4:], axis=1, keepdims=True))

    def at(self, time: float, max_difference: float) -> NDArray[np.float64] | None:
        """T_world_cam (4, 4) at ``time``; None where no pose is within ``max_difference`` seconds.

        Between two poses that both are, it is interpolated (linear, slerp); else it is the nearer one.
        """
        after = int(np.searchsorted(self.times, time))
        sides = [i for i in (after - 1, after) if 0 <= i < len(self.times)]
        near = [i for i in sides if abs(self.times[i] - time) <= max_difference + 1e-9]
        if not near:
            return None
        if len(near) == 1:
            return rigid(Rotation.from_quat(self.quaternions[near[0]]).as_matrix(), self.positions[near[0]])
        before, after = near
        share = (time - self.times[before]) / (self.times[after] - self.times[before])
        turn = Slerp([0, 1], Rotation.from_quat(self.quaternions[[before, after]]))(share)
        position = (1 - share) * self.positions[before] + share * self.positions[after]
        return rigid(turn.as_matrix(), position)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and words of every line that is no comment."""
    with shared_by_all_frames():
        lines = read_lines(path, "list")
    rows = [
        (number, line.replace(",", " ").split())
        for number, line in enumerate(lines, start=1)
        if not line.lstrip().startswith("#")
    ]
    if not rows:
        raise BadDatasetError("lists nothing", source=path, fix="copy it again")
    return rows


def _floats(words: Sequence[str | float]) -> tuple[float, ...]:
    """All words as finite numbers; () if one is not."""
    values = [value for word in words if (value := _number(word)) is not None]
    return tuple(values) if len(values) == len(words) else ()


def _number(word: str | float) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
