"""Detections + frame → :class:`ObjectCloud`."""

from data_prep.lift.object_cloud import LiftQuality, ObjectCloud, Refusal

__all__ = ["LiftQuality", "ObjectCloud", "Refusal"]
