"""The text files of a TUM RGB-D sequence: lists of images by time, and the trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from data_prep.errors import BadDatasetError, shared_by_all_frames
from data_prep.geometry import rigid
from data_prep.scans.formats.images import read_lines


def read_image_list(path: Path) -> dict[float, Path]:
    """``rgb.txt`` or ``depth.txt``: time in seconds → image file, in order of time.

    Raises:
        BadDatasetError: missing, empty, or a line that is not a time and a name.
    """
    images: dict[float, Path] = {}
    for number, words in _rows(path):
        if len(words) != 2 or (stamp := _number(words[0])) is None or Path(words[1]).is_absolute():
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
        turn = Rotation.from_quat(self.quaternions[[before, after]])
        half = turn[0] * Rotation.from_rotvec(share * (turn[0].inv() * turn[1]).as_rotvec())
        position = (1 - share) * self.positions[before] + share * self.positions[after]
        return rigid(half.as_matrix(), position)


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


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
