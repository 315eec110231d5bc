"""COCO segmentations: polygons and both run-length forms, decoded by pycocotools."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle


def mask_problem(segmentation: Any, width: int, height: int) -> str | None:
    """The problem of a segmentation, or None. pycocotools crashes on some of these, so check first."""
    if isinstance(segmentation, dict):
        if segmentation.get("size") != [height, width]:
            return f"has size {segmentation.get('size')}, the image [{height}, {width}]"
        counts = segmentation.get("counts")
        if isinstance(counts, list):
            whole = all(isinstance(count, int) and count >= 0 for count in counts)
            return None if whole and sum(counts) == width * height else "has runs that do not fill the image"
        return None if isinstance(counts, str) and counts else "has no counts"
    if not isinstance(segmentation, list):
        return "is neither polygons nor run lengths"
    reach = 100.0 * max(width, height)  # far outside, pycocotools' integer edges overflow
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            return "has a polygon without three x, y pairs"
        if not all(isinstance(value, (int, float)) and abs(value) <= reach for value in polygon):
            return "has a polygon with values that are not pixels"
    return None


def decode_mask(segmentation: Any, width: int, height: int) -> NDArray[np.bool_]:
    """(H, W) bool from a segmentation that passed :func:`mask_problem`.

    Raises:
        ValueError: a compressed run-length string that does not fill the image.
    """
    if isinstance(segmentation, dict) and isinstance(segmentation["counts"], str):
        runs = _decompress(segmentation["counts"])
        # pycocotools leaves what short runs do not reach uninitialized.
        if min(runs) < 0 or sum(runs) != width * height:
            raise ValueError(f"its runs make {sum(runs)} pixels, the image has {width * height}")
    return rle.decode(_runs(segmentation, width, height)).astype(bool)


def mask_bbox(segmentation: Any, width: int, height: int) -> list[float]:
    """Bounding box x y w h of a segmentation; results files may leave ``bbox`` out."""
    return [float(value) for value in rle.toBbox(_runs(segmentation, width, height))]


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Compressed run lengths of an (H, W) mask, fit for JSON."""
    runs = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in runs["size"]], "counts": runs["counts"].decode("ascii")}


def _runs(segmentation: Any, width: int, height: int) -> Any:
    if isinstance(segmentation, list):
        return rle.merge(rle.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return rle.frPyObjects(segmentation, height, width)
    return segmentation


def _decompress(counts: str) -> list[int]:
    """Run lengths of COCO's compressed string: six bits a character, each run relative to the one before last."""
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"its runs hold the character {character!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its runs end in the middle of a number")
    return runs
