"""npz reader: ``points``, ``colors`` and ``intensity`` of a cloud as plain numpy arrays."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from data_prep.errors import BadFrameError
from data_prep.scans.formats.records import RawCloud, require_at_most
from data_prep.scans.formats.text import unreadable
from data_prep.storage.parsing import read_arrays

_ARRAYS = ("points", "colors", "intensity")


def read_npz(path: Path, content: bytes | None = None, max_points: int | None = None) -> RawCloud:
    """Read points (N, 3) float, colors (N, 3) uint8 and intensity (N,) float in 0..1; the last two may be missing.

    Args:
        path: the file.
        content: its bytes if they are already in memory; ``path`` then only names them in errors.
        max_points: refuse more, before they are unpacked; None: any number.

    Raises:
        BadFrameError: not an npz of plain arrays, cut short, or other arrays than these.
    """

    def require(values: int, dtype: np.dtype) -> None:
        require_at_most(path, -(-values // 3), 3 * dtype.itemsize, max_points)

    try:
        arrays = read_arrays(path if content is None else io.BytesIO(content), require)
    except BadFrameError:
        raise
    except (OSError, ValueError) as error:
        raise unreadable(path, "points", error) from error
    if unknown := sorted(set(arrays) - set(_ARRAYS)):
        raise BadFrameError(
            "is not an array of it", source=path, field=unknown[0], fix="use points, colors, intensity"
        )
    points, colors, intensity = (arrays.get(name) for name in _ARRAYS)
    count = -1 if points is None or points.ndim != 2 else len(points)
    for name, array, shape, kinds in (
        ("points", points, (count, 3), ("float32", "float64")),
        ("colors", colors, (count, 3), ("uint8",)),
        ("intensity", intensity, (count,), ("float32", "float64")),
    ):
        if array is None and name != "points":
            continue
        if array is None or array.shape != shape or str(array.dtype) not in kinds:
            got = "missing" if array is None else f"{array.dtype} {array.shape}"
            raise BadFrameError(
                f"is {got}", source=path, field=name,
                fix="save points (N, 3) float32, colors (N, 3) uint8, intensity (N,) float32 in 0..1",
            )  # fmt: skip
    if intensity is not None and len(intensity) and not 0 <= intensity.min() <= intensity.max() <= 1:
        raise BadFrameError(
            f"runs from {intensity.min():.3g} to {intensity.max():.3g}", source=path, field="intensity",
            fix="divide by the sensor's largest value: it must be in 0..1",
        )  # fmt: skip
    assert points is not None
    return RawCloud(
        points.astype(np.float64), colors, None if intensity is None else intensity.astype(np.float32)
    )
