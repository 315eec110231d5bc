"""One detection of one frame, with what is needed to know the object again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.associate.appearance import color_histogram, sharpness
from data_prep.triplets.triplet import Triplet

SAMPLE = 192  # points by which overlap is judged


@dataclass(frozen=True, eq=False)
class Observation:
    """A triplet of a single detection, measured.

    Attributes:
        triplet: as it was cut.
        time: seconds.
        view: index of the camera in its frame.
        center, size: (3,) float64 of the box around all but the outermost points, world axes, meters.
        sample: (m, 3) float64 world points, evenly drawn.
        spacing: meters between neighbors of ``sample``.
        colors: (B,) float32 unit vector, the square root of a color histogram; None: neither colors nor a crop.
        camera: (3,) float64 world position of the camera.
        whole: the image border cuts nothing off.
        value: by which looks are ranked: large, open, sharp, sure.
    """

    triplet: Triplet
    time: float
    view: int
    center: NDArray[np.float64]
    size: NDArray[np.float64]
    sample: NDArray[np.float64]
    spacing: float
    colors: NDArray[np.float32] | None
    camera: NDArray[np.float64]
    whole: bool
    value: float

    @classmethod
    def of(cls, triplet: Triplet, time: float) -> Observation:
        """Measure a triplet made by :func:`data_prep.triplets.cut.cut_triplet`."""
        record = triplet.provenance
        origin = np.array(record["center"], np.float64)
        low, high = np.percentile(triplet.points, (2, 98), axis=0).astype(np.float64)
        rows = np.linspace(0, len(triplet.points) - 1, min(len(triplet.points), SAMPLE)).astype(np.int64)
        sample = triplet.points[np.unique(rows)].astype(np.float64)
        spacing = float(np.median(cKDTree(sample).query(sample, k=2)[0][:, 1])) if len(sample) > 1 else 0.0
        T_world_cam = np.array(record["T_world_points"]) @ np.array(record["camera"]["T_points_cam"])
        quality = record["quality"]
        truncated, occluded = (float(quality[name] or 0.0) for name in ("truncated", "occluded"))
        value = float(record["score"]) * (1 - truncated) * (1 - occluded)
        if triplet.crop is not None:
            height, width = triplet.crop.shape[:2]
            value *= min(1.0, np.sqrt(height * width) / 224) * sharpness(triplet.crop)
        return cls(
            triplet=triplet,
            time=time,
            view=int(record["view_index"]),
            center=origin + (low + high) / 2,
            size=high - low,
            sample=sample + origin,
            spacing=spacing,
            colors=color_histogram(triplet.points, triplet.colors, triplet.crop),
            camera=T_world_cam[:3, 3],
            whole=truncated == 0.0,
            value=float(value),
        )

    @property
    def label(self) -> str:
        """The detector's word."""
        return str(self.triplet.provenance["label"])

    @property
    def score(self) -> float:
        """The detector's score."""
        return float(self.triplet.provenance["score"])

    @property
    def diagonal(self) -> float:
        """Length of the box's diagonal, meters; never zero."""
        return max(float(np.linalg.norm(self.size)), 1e-3)
