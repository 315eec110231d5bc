"""Is depth in meters?"""

from __future__ import annotations

import numpy as np

from data_prep.check.finding import Finding
from data_prep.check.sample import Sample

_FAR, _NEAR = 20.0, 0.05  # m: beyond what depth cameras measure


def check_depth(sample: Sample) -> list[Finding]:
    """Median depth, and the shares too far and too near for a depth camera; nothing for LiDAR."""
    depths = [frame.depth[frame.depth > 0] for frame in sample.frames.values() if frame.depth is not None]
    if not depths:
        return []
    sizes = [frame.depth.size for frame in sample.frames.values() if frame.depth is not None]
    depth = np.concatenate(depths)
    median, far, near = float(np.median(depth)), float((depth > _FAR).mean()), float((depth < _NEAR).mean())
    measured = len(depth) / sum(sizes)
    values = {"median (m)": median, "beyond 20 m": far, "below 5 cm": near, "measured": measured}
    told = f"median {median:.3g} m, {far:.0%} beyond 20 m, {near:.0%} below 5 cm, {measured:.0%} of pixels measured"
    if median > 5 * _FAR:
        guess = "millimeters taken for meters" if 200 < median < 20_000 else "units taken for meters"
        return [Finding("depth", "error", f"depth is too large: {told}; it looks like {guess}", values,
                        "give the depth units per meter: depth_scale 1000 for millimeters, 5000 for TUM")]  # fmt: skip
    if median < _NEAR:
        return [Finding("depth", "error", f"depth is too small: {told}; its scale is taken for too large", values,
                        "give the depth units per meter: depth_scale 1 if the file holds meters already")]  # fmt: skip
    if far > 0.2 or near > 0.05:
        return [Finding("depth", "warning", f"depth reaches where depth cameras do not measure: {told}", values,
                        "check depth_scale; state max_depth if the far values are noise")]  # fmt: skip
    if measured < 0.1:
        return [Finding("depth", "warning", f"hardly any depth: {told}", values, "check the depth files")]
    return [Finding("depth", "ok", told, values)]
