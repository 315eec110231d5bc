"""data_prep: LiDAR + camera and RGB-D scans become triplets of words, image crop and points.

Nothing here needs torch, so it runs on a bare robot or a CPU farm.
"""

from data_prep.detect import Detections2D
from data_prep.errors import BadDatasetError, BadFrameError, InputError
from data_prep.geometry import Camera, OrientedBox
from data_prep.lift import ObjectCloud
from data_prep.scans import Frame, Scan, View, list_sources, open_scan
from data_prep.triplets import Triplet

__all__ = [
    "BadDatasetError",
    "BadFrameError",
    "Camera",
    "Detections2D",
    "Frame",
    "InputError",
    "ObjectCloud",
    "OrientedBox",
    "Scan",
    "Triplet",
    "View",
    "list_sources",
    "open_scan",
]
