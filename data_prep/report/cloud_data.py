"""HTML element of a point cloud for ``cloud.js``: quantized, base64, with its boxes."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.errors import InputError
from data_prep.geometry import OrientedBox

_STEPS = 32767


def cloud_figure(
    points: NDArray,
    colors: NDArray[np.uint8] | None = None,
    boxes: Sequence[OrientedBox] = (),
    captions: Sequence[str] = (),
    *,
    labels: Sequence[str] | None = None,
    owners: NDArray | None = None,
    gray: Sequence[str] = (),
    spans: Sequence[tuple[float, float]] | None = None,
    values: Sequence[float] | None = None,
    value: str = "",
    places: Sequence[tuple[str, NDArray]] = (),
    max_points: int = 60000,
    height: int = 480,
    seen_from: NDArray | None = None,
) -> tuple[str, str]:
    """The element and a note about the number of points; arguments as in :meth:`data_prep.report.page.Page.cloud`."""
    points = np.asarray(points)
    labels = captions if labels is None else labels
    _validate(points, colors, boxes, captions, labels, owners, spans, values)
    total = len(points)
    keep = _thin(owners, total, max_points)
    shown = points[keep].astype(np.float64)
    low, high = (shown.min(axis=0), shown.max(axis=0)) if len(shown) else (np.zeros(3), np.ones(3))
    center, step = (low + high) / 2, np.maximum((high - low) / 2, 1e-6) / _STEPS

    # One block of bytes: int16 xyz, uint8 rgb if any, int16 owner if any.
    blocks = [np.round((shown - center) / step).astype("<i2").tobytes()]
    if colors is not None:
        blocks.append(np.ascontiguousarray(colors[keep]).tobytes())
    if owners is not None:
        blocks.append(np.asarray(owners)[keep].astype("<i2").tobytes())
    names = list(dict.fromkeys(labels))
    number = {name: n for n, name in enumerate(names)}
    header = {
        "count": len(keep),
        "step": step.tolist(),
        "colors": colors is not None,
        "owners": owners is not None,
        "spacing": _spacing(shown),
        "frame": _frame_to_look_at(shown - center),
        "start": _direction(seen_from),
        "labels": names,
        "value": value if values is not None else "",
        "places": [
            {"name": name, "at": np.round(np.asarray(at) - center, 3).tolist()} for name, at in places
        ],
        "gray": [names.index(name) for name in gray if name in names],
        "boxes": [
            {
                "corners": np.round(box.corners() - center, 4).ravel().tolist(),
                "caption": captions[i] if len(captions) else "",
                "label": number[labels[i]] if len(labels) else -1,
                **({} if spans is None else {"span": list(spans[i])}),
                **({} if values is None else {"value": round(float(values[i]), 3)}),
            }
            for i, box in enumerate(boxes)
        ],
    }
    data = base64.b64encode(b"".join(blocks)).decode()
    element = (
        f'<div class="cloud" style="--height:{int(height)}px" data-header="{escape(json.dumps(header), quote=True)}">'
        f'<script type="text/plain">{data}</script></div>'
    )
    note = f"{total:,} points" if len(keep) == total else f"{len(keep):,} of {total:,} points shown"
    return element, note


def _direction(seen_from: NDArray | None) -> dict[str, float] | None:
    """Angles of the viewpoint as seen from the cloud; None: chosen by the viewer."""
    if seen_from is None:
        return None
    x, y, z = (float(value) for value in seen_from)
    return {
        "azimuth": round(float(np.arctan2(y, x)), 3),
        "elevation": round(float(np.arctan2(z, np.hypot(x, y))), 3),
    }


def _validate(
    points: NDArray,
    colors: NDArray | None,
    boxes: Sequence[OrientedBox],
    captions: Sequence[str],
    labels: Sequence[str],
    owners: NDArray | None,
    spans: Sequence[tuple[float, float]] | None,
    values: Sequence[float] | None,
) -> None:
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError(f"has shape {points.shape}", field="cloud.points", fix="give finite (N, 3) points")
    if colors is not None and (colors.shape != points.shape or colors.dtype != np.uint8):
        raise InputError(f"is {colors.dtype} {colors.shape}", field="cloud.colors", fix="give (N, 3) uint8")
    if owners is not None and len(owners) != len(points):
        raise InputError(f"has {len(owners)} entries for {len(points)} points", field="cloud.owners")
    for name, texts in (
        ("captions", captions),
        ("labels", labels),
        ("spans", spans or ()),
        ("values", values or ()),
    ):
        if len(texts) not in (0, len(boxes)):
            raise InputError(f"has {len(texts)} entries for {len(boxes)} boxes", field=f"cloud.{name}")


def _thin(owners: NDArray | None, total: int, max_points: int) -> NDArray[np.int64]:
    """Ascending indices of the points to show; points of objects have double weight."""
    if total <= max_points:
        return np.arange(total)
    weight = np.ones(total)
    if owners is not None:
        weight[np.asarray(owners) >= 0] = 2.0
    # Weighted sampling without replacement: the largest u^(1/w) win (Efraimidis and Spirakis, 2006).
    race = np.random.default_rng(0).random(total) ** (1 / weight)
    return np.sort(np.argpartition(race, total - max_points)[total - max_points :])


def _spacing(points: NDArray) -> float:
    """Size of a drawn point that closes the surface, meters.

    The fourth neighbor, not the first: thinned at random, points come in pairs with holes between them.
    """
    if len(points) < 5:
        return 0.05
    some = points[:: max(1, len(points) // 500)]
    return float(np.median(cKDTree(points).query(some, k=5)[0][:, 4]))


def _frame_to_look_at(points: NDArray) -> dict[str, object]:
    """Center and radius of the bulk of the points, so that far outliers do not shrink the rest to a dot."""
    if len(points) == 0:
        return {"center": [0, 0, 0], "radius": 1.0, "height": [0, 1]}
    low, high = np.percentile(points, [4, 96], axis=0)
    radius = max(float(np.linalg.norm(high - low)) / 2, 1e-3)
    heights = np.percentile(points[:, 2], [1, 99])
    return {
        "center": ((low + high) / 2).round(4).tolist(),
        "radius": round(radius, 4),
        "height": heights.tolist(),
    }
