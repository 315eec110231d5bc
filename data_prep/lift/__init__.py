"""Detections + frame → :class:`ObjectCloud`."""

from data_prep.lift import auto, frustum_dbscan, lidar, rgbd  # noqa: F401  (each registers its lifter)
from data_prep.lift.filters import REASONS, Filters
from data_prep.lift.lifter import Lifter, create_lifter, list_lifters
from data_prep.lift.object_cloud import LiftQuality, LiftResult, ObjectCloud, Rejection

__all__ = [
    "Filters",
    "LiftQuality",
    "LiftResult",
    "Lifter",
    "ObjectCloud",
    "REASONS",
    "Rejection",
    "create_lifter",
    "list_lifters",
]
