"""2D detections and where they come from."""

from data_prep.detect.detections import Detections2D

__all__ = ["Detections2D"]
