"""Tables of per-point values: columns become points, colors and intensity."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.scans.formats.text import unreadable
from data_prep.storage.reading import open_file, read_file

_WIDEST = 256  # bytes of a point with every attribute that sensors record
_COLORS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
_PACKED = {"rgb", "rgba"}
_INTENSITY = {"intensity", "scalar_Intensity", "scalar_intensity"}
_SINGLE = {*"xyz", *_PACKED, *_INTENSITY}.union(*_COLORS)


class TooManyPointsError(BadFrameError):
    """A cloud has more points than its reader was told to accept."""


@dataclass(frozen=True)
class RawCloud:
    """A cloud as its file has it, before anything is dropped or moved.

    Attributes:
        points: (N, 3) float64 in the file's own axes; may hold NaN.
        colors: (N, 3) uint8 RGB, or None.
        intensity: (N,) float32 in 0..1, or None.
        total: points of the file, if only some were read; None: all were.
    """

    points: NDArray[np.float64]
    colors: NDArray[np.uint8] | None = None
    intensity: NDArray[np.float32] | None = None
    total: int | None = None

    def __getitem__(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> RawCloud:
        """The points of an (N,) mask, or of row numbers, with their attributes."""
        colors = None if self.colors is None else self.colors[kept]
        intensity = None if self.intensity is None else self.intensity[kept]
        return RawCloud(self.points[kept], colors, intensity, self.total)

    def thinned(self, most: int | None, total: int | None = None) -> RawCloud:
        """At most so many points, spread over the file; ``total`` if it had more points than this cloud."""
        count = len(self.points)
        if most is None or max(count, total or 0) <= most:
            return self
        return replace(self[spread(count, most)], total=total or count)


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Ascending rows of a sample of ``most`` out of ``count``: one at random from each of as many equal stretches.

    A sample of the whole would need memory for every row; every n-th row would show the lines of a scanner.

    >>> spread(3, 5).tolist(), len(spread(1000, 10))
    ([0, 1, 2], 10)
    """
    if count <= most:
        return np.arange(count)
    starts = np.arange(most) * count // most
    lengths = np.diff(starts, append=count)
    return starts + np.random.default_rng(0).integers(lengths)


def mapped(path: Path) -> bytes | mmap.mmap:
    """Content of a file that the system reads when it is needed, and drops when memory is.

    Raises:
        OSError: it cannot be read.
    """
    with open_file(path) as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""


def cloud_from_columns(table: NDArray, path: Path) -> RawCloud:
    """Give (N, C) unnamed columns their usual meaning.

    3: x y z. 4 and 5: the fourth is intensity (KITTI; nuScenes adds the ring). 6 and more: columns 4 to 6 are
    r g b if they can be (never negative, at most 255; normals are not), else they are left aside.

    Raises:
        BadFrameError: fewer than three columns, no rows, or a fourth column that cannot be an intensity, as
            when the number of columns is wrong.
    """
    if table.ndim != 2 or table.shape[1] < 3 or len(table) == 0:
        raise BadFrameError(
            f"has shape {table.shape}", source=path, field="points", fix="give (N, 3 or more) numbers, N > 0"
        )
    points = table[:, :3].astype(np.float64)
    if table.shape[1] >= 6:
        return RawCloud(points, colors=_colors_or_none(table[:, 3:6]))
    if table.shape[1] == 3:
        return RawCloud(points)
    fix = "state the number of columns per point, like columns=6 (clip2: --option columns=6)"
    return RawCloud(points, intensity=unit_intensity(table[:, 3], path, "column 4", fix))


def cloud_from_fields(table: NDArray, path: Path) -> RawCloud:
    """Points, colors and intensity of a structured array by field name (PLY and PCD names).

    Raises:
        BadFrameError: no rows, no x, y, z, a field with several values per point, or packed colors that are not four bytes.
    """
    names = set(table.dtype.names or ())
    if missing := [name for name in "xyz" if name not in names]:
        raise BadFrameError("is missing", source=path, field=f"property {missing[0]}", fix="write x, y and z")
    if len(table) == 0:
        raise BadFrameError("holds no points", source=path, field="points", fix="give at least one")
    for name in names & _SINGLE:
        if table.dtype[name].shape or (name in _PACKED and table.dtype[name].itemsize != 4):
            raise BadFrameError(
                f"is {table.dtype[name]}",
                source=path,
                field=f"property {name}",
                fix="write one number per point, packed colors in four bytes",
            )
    colors = intensity = None
    for triple in _COLORS:
        if names.issuperset(triple):
            colors = scale_colors(np.stack([table[name] for name in triple], axis=1))
            break
    else:
        if packed := names & _PACKED:  # PCL packs 0xRRGGBB into four bytes, typed float or integer
            bits = np.ascontiguousarray(table[packed.pop()]).view(np.uint32)
            colors = np.stack([bits >> shift & 255 for shift in (16, 8, 0)], axis=1).astype(np.uint8)
    if found := names & _INTENSITY:
        intensity = unit_intensity(table[found.pop()], path)
    points = np.stack([table[name] for name in "xyz"], axis=1).astype(np.float64)
    return RawCloud(points, colors, intensity)


def unit_intensity(
    values: NDArray, source: str | Path, field: str = "intensity", fix: str | None = None
) -> NDArray[np.float32]:
    """(N,) float32 in 0..1 from 0..1, 0..255 or 16 bits, by the largest value; NaN becomes 0.

    Raises:
        BadFrameError: negative or beyond 16 bits.
    """
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=np.inf)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535:
        raise BadFrameError(
            f"runs from {low:.3g} to {high:.3g}, that is no intensity",
            source=source,
            field=field,
            fix=fix or "write it in 0..1, 0..255 or 16 bits",
        )
    return (values / (1 if high <= 1 else 255 if high <= 255 else 65535)).astype(np.float32)


def _colors_or_none(values: NDArray) -> NDArray[np.uint8] | None:
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.min() < 0 or finite.max() > 255:
        return None
    return scale_colors(values)


def scale_colors(values: NDArray) -> NDArray[np.uint8]:
    """uint8 from 0..1 or 0..255 (floats), 8 bits or 16 bits (integers)."""
    if values.dtype == np.uint8:
        return values
    scaled_to_one = values.dtype.kind == "f"
    values = np.nan_to_num(values.astype(np.float64) / (257 if values.dtype == np.uint16 else 1))
    if scaled_to_one and values.max(initial=0) <= 1:
        values = values * 255
    return np.rint(values.clip(0, 255)).astype(np.uint8)


def require_at_most(path: Path, count: int, record: int, max_points: int | None) -> None:
    """Refuse ``count`` points of ``record`` bytes before memory is taken for them.

    Args:
        path: the file, for the error.
        count: points that its header promises.
        record: bytes per point.
        max_points: most points to accept; None: any number.

    Raises:
        TooManyPointsError: more points, or points of absurd width.
    """
    if max_points is not None and (count > max_points or count * record > max_points * _WIDEST):
        wide = f" of {record:,} bytes" if count <= max_points else ""
        raise TooManyPointsError(
            f"holds {count:,} points{wide}, at most {max_points:,} are accepted",
            source=path,
            field="points",
            fix="thin the cloud, or raise the limit",
        )


def read_records(
    path: Path,
    columns: int,
    content: bytes | mmap.mmap | None = None,
    max_points: int | None = None,
) -> NDArray[np.float32]:
    """Read a headerless little-endian float32 file as (N, columns).

    Args:
        path: the file.
        columns: values per point.
        content: its bytes if they are already in memory; ``path`` then only names them in errors.
        max_points: refuse more; None: any number.

    Raises:
        BadFrameError: missing, empty, or not a whole number of records.
    """
    try:
        raw = read_file(path) if content is None else content
    except OSError as error:
        raise unreadable(path, "points", error) from error
    record = 4 * columns
    if not raw or len(raw) % record:
        raise BadFrameError(
            f"holds {len(raw)} bytes, not a positive multiple of {record} ({columns} float32 per point)",
            source=path,
            field="points",
            fix="copy the file again, it is cut short, or state its number of columns",
        )
    require_at_most(path, len(raw) // record, record, max_points)
    return np.frombuffer(raw, dtype="<f4").reshape(-1, columns)


def require_finite(points: NDArray, path: Path) -> None:
    """Refuse a cloud (N, 3) in which not one point is finite; single ones are dropped by ``Frame.build``.

    Raises:
        BadFrameError: it names ``path``.
    """
    if not np.isfinite(points).all(axis=1).any():
        raise BadFrameError(
            f"holds no finite point among {len(points)}",
            source=path,
            field="points",
            fix="write the sweep again, it is all NaN or inf",
        )
