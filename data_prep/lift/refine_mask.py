"""Mask refinement by color and depth: GrabCut's model with known depth and a linear solver."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

_MARGIN = 0.2  # of the box's sides: what is around the box shows what the background looks like
_PIXELS = 20_000  # of the window; of larger windows every second, third, … pixel is used
_INSIDE, _OUTSIDE = 0.85, 0.2  # probability that a pixel is the object's, before its color is known
_BINS, _BLUR = 12, 0.7  # of the histograms of color, per channel
_STRONGEST = 4.0  # bound of one color's log odds
_SURE = 0.1  # weight of a pixel's own odds relative to one neighbor
_COLOR_STEP, _DEPTH_STEP = (
    0.15,
    0.02,
)  # differences at which a neighbor stops counting: of white, of the depth
_ROUNDS = 40  # of relaxation


def refine_mask(
    image: NDArray[np.uint8], depth: NDArray, box: NDArray, chosen: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Move the outline of a rough choice to where color and depth change.

    The colors of what was chosen and of all else in and around the box give every pixel odds (Rother et al.,
    GrabCut, 2004); neighbors of like color and depth share them. Instead of a minimum cut the equations of
    a random walk with priors are relaxed (Grady, 2005), which needs no graph and a few milliseconds.

    Args:
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) meters, 0 = no measurement.
        box: (4,) xyxy pixels; nothing outside is the object's.
        chosen: (H, W) the rough choice.

    Returns:
        (H, W) the better one.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    grow_x, grow_y = _MARGIN * (x1 - x0) + 3, _MARGIN * (y1 - y0) + 3
    left, top = max(0, int(x0 - grow_x)), max(0, int(y0 - grow_y))
    right, bottom = min(depth.shape[1], int(x1 + grow_x) + 2), min(depth.shape[0], int(y1 + grow_y) + 2)
    stride = max(1, int(np.ceil(np.sqrt((right - left) * (bottom - top) / _PIXELS))))
    window = (slice(top, bottom, stride), slice(left, right, stride))
    inside, measured = chosen[window], depth[window] > 0
    if not inside.any():
        return chosen
    color = image[window].astype(np.float32) / 255
    v, u = np.arange(top, bottom, stride), np.arange(left, right, stride)
    in_box = ((v >= y0 - 0.5) & (v <= y1 + 0.5))[:, None] & ((u >= x0 - 0.5) & (u <= x1 + 0.5))

    prior = np.where(inside, np.log(_INSIDE / (1 - _INSIDE)), np.log(_OUTSIDE / (1 - _OUTSIDE)))
    odds = (prior + _color_odds(color, inside)).astype(np.float32)
    belief = np.where(in_box, 1 / (1 + np.exp(-odds)), 0).astype(np.float32)
    # Outside the box the answer is fixed; pixels without depth cannot become the object's.
    weight = np.where(in_box, np.where(measured, _SURE * np.abs(odds) + 0.02, 1e-3), 50).astype(np.float32)
    log_depth = np.log(np.where(measured, depth[window], 1)).astype(np.float32)
    flipped = (_share(belief, weight, color, log_depth, stride) > 0.5) != inside
    # Only changed pixels are taken over, so that a coarse stride does not coarsen the rest of the outline.
    result = np.zeros_like(chosen)
    part = (slice(top, bottom), slice(left, right))
    result[part] = chosen[part] ^ flipped.repeat(stride, 0).repeat(stride, 1)[: bottom - top, : right - left]
    rows, columns = np.arange(depth.shape[0])[:, None], np.arange(depth.shape[1])
    result &= (rows >= y0 - 0.5) & (rows <= y1 + 0.5) & (columns >= x0 - 0.5) & (columns <= x1 + 0.5)
    result &= depth > 0
    return result


def _color_odds(color: NDArray, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(h, w) logarithm of how much more frequent a pixel's color is inside than outside."""
    bins = np.minimum((color * _BINS).astype(np.int64), _BINS - 1)
    code = (bins[..., 0] * _BINS + bins[..., 1]) * _BINS + bins[..., 2]
    shares = []
    for pixels in (code[inside], code[~inside]):
        count = np.bincount(pixels, minlength=_BINS**3).reshape(_BINS, _BINS, _BINS).astype(np.float64)
        count = gaussian_filter(count, _BLUR, mode="nearest").ravel()
        shares.append(count / max(count.sum(), 1e-9) + 1 / _BINS**3)
    return np.clip(np.log(shares[0] / shares[1])[code], -_STRONGEST, _STRONGEST)


def _share(
    belief: NDArray[np.float32],
    weight: NDArray[np.float32],
    color: NDArray,
    log_depth: NDArray,
    stride: int,
) -> NDArray[np.float32]:
    """(h, w) beliefs after relaxation over the neighbors."""

    def alike(a: tuple[slice, slice], b: tuple[slice, slice]) -> NDArray[np.float32]:
        contrast = ((color[a] - color[b]) ** 2).sum(axis=2) / _COLOR_STEP**2
        step = (log_depth[a] - log_depth[b]) / (_DEPTH_STEP * stride)
        return np.exp(-contrast - step**2) + np.float32(1e-4)

    across = alike((slice(None), slice(1, None)), (slice(None), slice(None, -1)))
    down = alike((slice(1, None), slice(None)), (slice(None, -1), slice(None)))
    own, total = weight * belief, weight.copy()
    total[:, 1:] += across
    total[:, :-1] += across
    total[1:] += down
    total[:-1] += down
    for _ in range(_ROUNDS):
        heard = own.copy()
        heard[:, 1:] += across * belief[:, :-1]
        heard[:, :-1] += across * belief[:, 1:]
        heard[1:] += down * belief[:-1]
        heard[:-1] += down * belief[1:]
        belief = heard / total
    return belief
