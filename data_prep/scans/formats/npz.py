"""npz reader: ``points``, ``colors`` and ``intensity`` of a cloud as plain numpy arrays.

Ours on purpose: ``numpy.load`` takes as much memory as an archive promises; this reader checks every array's header first.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError
from data_prep.scans.formats.records import RawCloud, require_at_most
from data_prep.scans.formats.text import unreadable

_ARRAYS = ("points", "colors", "intensity")
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy writes; the others may ask for gigabytes
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: Path, content: bytes | None = None, max_points: int | None = None) -> RawCloud:
    """Read points (N, 3) float, colors (N, 3) uint8 and intensity (N,) float in 0..1; the last two may be missing.

    Args:
        path: the file.
        content: its bytes if they are already in memory; ``path`` then only names them in errors.
        max_points: refuse more, before they are unpacked; None: any number.

    Raises:
        BadFrameError: not an npz of plain arrays, cut short, or other arrays than these.
    """
    try:
        with zipfile.ZipFile(path if content is None else io.BytesIO(content)) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if unknown := sorted(set(members) - set(_ARRAYS)):
                raise BadFrameError(
                    "is not an array of it",
                    source=path,
                    field=unknown[0],
                    fix="use points, colors, intensity",
                )
            arrays = {
                name: _read_array(archive, info, path, max_points)
                for name, info in sorted(members.items(), key=lambda item: _ARRAYS.index(item[0]))
            }
    except BadFrameError:
        raise
    # RuntimeError: a password; TokenError and SyntaxError: numpy parses the header.
    except (OSError, ValueError, EOFError, RuntimeError, SyntaxError, TokenError, zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        raise unreadable(path, "points", error) from error
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


def _read_array(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, max_points: int | None
) -> NDArray:
    """One member of the archive, whose header is believed only as far as ``max_points``."""
    if info.compress_type not in _PLAIN:
        raise ValueError("a compression that numpy does not write")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"an array of format {version}")
        shape, fortran, dtype = _HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError("a pickled array")
        if min(shape, default=0) < 0:
            raise ValueError(f"an array of shape {shape}")
        values = math.prod(shape)
        require_at_most(path, -(-values // 3), 3 * dtype.itemsize, max_points)
        raw = file.read(values * dtype.itemsize)
        if len(raw) < values * dtype.itemsize or file.read(1):
            raise ValueError(f"not the {values:,} values that its header promises")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")
