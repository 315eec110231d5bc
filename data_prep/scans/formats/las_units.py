"""The units of a LAS file's coordinates, as its coordinate system states them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import BadFrameError

# GeoTIFF keys and their EPSG codes (OGC 19-008r4).
_MODEL_TYPE, _HORIZONTAL_UNITS, _VERTICAL_UNITS = 1024, 3076, 4099
_GEOGRAPHIC = 2
_METERS = {9001: 1.0, 9002: 0.3048, 9003: 1200 / 3937}
# A unit in WKT 1 and 2; ANGLEUNIT and SCALEUNIT do not match.
_UNIT = re.compile(r'\b(?:LENGTHUNIT|UNIT)\s*\[\s*"([^"]*)"\s*,\s*([0-9.eE+-]+)', re.IGNORECASE)
_ANGLES = ("degree", "radian", "grad", "gon")


def meters_per_unit(vlrs: Iterable[Any], path: Path) -> NDArray[np.float64]:
    """(3,) factors that turn x, y, z into meters; ones where the file states no coordinate system.

    Args:
        vlrs: the variable length records of the header.
        path: named in errors.

    Raises:
        BadFrameError: coordinates are degrees, or the unit is none that is known here.
    """
    for record in vlrs:
        if record.user_id.strip("\0") != "LASF_Projection":
            continue
        if record.record_id == 2112:
            return _from_wkt(record.string, path)
        if record.record_id == 34735:
            return _from_keys({key.id: key.value_offset for key in record.geo_keys}, path)
    return np.ones(3)


def _from_wkt(text: str, path: Path) -> NDArray[np.float64]:
    horizontal, _, vertical = re.sub("VERT(?=_CS|CRS)", "\0", text, flags=re.IGNORECASE).partition("\0")
    if "PROJC" not in horizontal.upper() and re.search("GEOGC|GEODCRS|GEOGRAPHIC", horizontal, re.IGNORECASE):
        raise _degrees(path)
    across = _last_length(horizontal) or 1.0
    return np.array([across, across, _last_length(vertical) or across])


def _last_length(text: str) -> float | None:
    """The last unit of length: those before it belong to parts of the coordinate system."""
    lengths = [
        float(size) for name, size in _UNIT.findall(text) if not any(a in name.lower() for a in _ANGLES)
    ]
    return lengths[-1] if lengths else None


def _from_keys(keys: dict[int, int], path: Path) -> NDArray[np.float64]:
    if keys.get(_MODEL_TYPE) == _GEOGRAPHIC:
        raise _degrees(path)
    across = keys.get(_HORIZONTAL_UNITS, 9001)
    up = keys.get(_VERTICAL_UNITS, across)
    for code in (across, up):
        if code not in _METERS:
            raise BadFrameError(
                f"has the unit {code}", source=path, field="GeoKeyDirectory", fix="convert the file to meters"
            )
    return np.array([_METERS[across], _METERS[across], _METERS[up]])


def _degrees(path: Path) -> BadFrameError:
    return BadFrameError(
        "is geographic: x and y are degrees",
        source=path,
        field="coordinate system",
        fix="project the file to meters, for example UTM",
    )
