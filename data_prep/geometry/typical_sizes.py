"""Typical sizes of common objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from data_prep.labels import normalize_label


class TypicalSize(NamedTuple):
    """Length, width and height in meters, and how far they vary: standard deviations relative to the mean."""

    length: float
    width: float
    height: float
    length_spread: float = 0.12
    width_spread: float = 0.1
    height_spread: float = 0.12


# From common knowledge: vehicle classes of makers' data sheets, body measures, furniture norms; fitted to no data set.
_SIZES = {
    "car": TypicalSize(4.2, 1.75, 1.5),
    "van": TypicalSize(5.0, 1.95, 2.1, 0.12, 0.08, 0.14),
    "truck": TypicalSize(8.0, 2.5, 3.2, 0.3, 0.08, 0.15),
    "pickup truck": TypicalSize(5.3, 1.95, 1.85),
    "bus": TypicalSize(11.5, 2.6, 3.2, 0.15, 0.05, 0.08),
    "trailer": TypicalSize(10.0, 2.5, 3.6, 0.3, 0.08, 0.15),
    "tram": TypicalSize(16.0, 2.5, 3.5, 0.3, 0.06, 0.06),
    "construction vehicle": TypicalSize(6.0, 2.6, 3.0, 0.3, 0.15, 0.15),
    "motorcycle": TypicalSize(2.1, 0.8, 1.3, 0.1, 0.15, 0.2),
    "bicycle": TypicalSize(1.75, 0.6, 1.1, 0.08, 0.15, 0.15),
    "cyclist": TypicalSize(1.75, 0.65, 1.75, 0.08, 0.15, 0.08),
    "pedestrian": TypicalSize(0.75, 0.65, 1.72, 0.25, 0.15, 0.08),
    "barrier": TypicalSize(2.0, 0.5, 1.0, 0.25, 0.2, 0.1),
    "traffic cone": TypicalSize(0.4, 0.4, 0.75, 0.15, 0.15, 0.25),
    "stroller": TypicalSize(1.0, 0.55, 1.05),
    "stop sign": TypicalSize(0.75, 0.1, 2.8, 0.1, 0.5, 0.1),
    "fire hydrant": TypicalSize(0.4, 0.35, 0.8, 0.2, 0.2, 0.15),
    "bench": TypicalSize(1.6, 0.6, 0.85, 0.15, 0.15, 0.1),
    "chair": TypicalSize(0.55, 0.52, 0.9, 0.15, 0.12, 0.12),
    "armchair": TypicalSize(0.85, 0.8, 0.9, 0.12, 0.12, 0.12),
    "sofa": TypicalSize(1.9, 0.9, 0.82, 0.2, 0.1, 0.12),
    "bed": TypicalSize(2.05, 1.5, 0.6, 0.05, 0.25, 0.3),
    "toilet": TypicalSize(0.68, 0.4, 0.75, 0.1, 0.1, 0.1),
    "bathtub": TypicalSize(1.65, 0.75, 0.58, 0.08, 0.08, 0.1),
    "refrigerator": TypicalSize(0.68, 0.65, 1.7, 0.1, 0.1, 0.12),
    "washing machine": TypicalSize(0.6, 0.58, 0.85, 0.05, 0.1, 0.04),
    "oven": TypicalSize(0.6, 0.6, 0.85, 0.06, 0.08, 0.1),
    "microwave": TypicalSize(0.5, 0.38, 0.3, 0.1, 0.12, 0.12),
    "nightstand": TypicalSize(0.48, 0.42, 0.55, 0.15, 0.12, 0.15),
    "dresser": TypicalSize(1.2, 0.5, 0.9, 0.25, 0.12, 0.2),
    "desk": TypicalSize(1.35, 0.68, 0.74, 0.15, 0.12, 0.04),
}
_ALIKE = {
    "person": "pedestrian", "adult": "pedestrian", "pedestrian adult": "pedestrian", "human pedestrian adult": "pedestrian",
    "person sitting": "pedestrian", "sedan": "car", "suv": "car", "vehicle car": "car", "taxi": "car", "rider": "cyclist",
    "bike": "bicycle", "motorbike": "motorcycle", "lorry": "truck", "couch": "sofa", "fridge": "refrigerator", "night stand": "nightstand",
    "office chair": "chair", "bus rigid": "bus", "coach": "bus",
}  # fmt: skip


def typical_size(label: str | None, known: Mapping[str, TypicalSize] | None = None) -> TypicalSize | None:
    """Size of an ordinary thing of that label; None for labels whose things come in many sizes, or unknown ones.

    Args:
        label: any spelling.
        known: name → size where it is known better, as :class:`~data_prep.geometry.scan_sizes.ScanSizes` gives it.

    >>> typical_size("Car").length, typical_size("rock") is None
    (4.2, True)
    """
    name = size_name(label)
    return (known or {}).get(name) or _SIZES.get(name)


def size_name(label: str | None) -> str:
    """The name under which the size of a label is known: ``car`` for a sedan.

    >>> size_name("Sedan"), size_name(None)
    ('car', '')
    """
    name = normalize_label(label).lower().replace("_", " ").replace(".", " ") if label else ""
    return _ALIKE.get(name, name)
