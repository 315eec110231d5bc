"""2D detections and where they come from."""

from data_prep.detect.coco import CocoDetections, Coverage, save_coco
from data_prep.detect.detections import Detections2D

__all__ = ["CocoDetections", "Coverage", "Detections2D", "save_coco"]
