"""Detections + frame → :class:`ObjectCloud`."""

from data_prep.lift import auto, frustum_dbscan, lidar, rgbd  # noqa: F401  (each registers its lifter)
from data_prep.lift.filters import REASONS, Gates
from data_prep.lift.lifter import Lifter, create_lifter, list_lifters
from data_prep.lift.object_cloud import LiftQuality, LiftResult, ObjectCloud, Refusal

__all__ = [
    "Gates",
    "LiftQuality",
    "LiftResult",
    "Lifter",
    "ObjectCloud",
    "REASONS",
    "Refusal",
    "create_lifter",
    "list_lifters",
]
