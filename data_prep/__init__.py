"""Scans (LiDAR + cameras, RGB-D) become triplets of points, image crop and labels.

No torch outside ``data_prep.detect``, so that mining runs on a bare robot or a CPU farm.

>>> import data_prep
>>> "open_scan" in dir(data_prep)
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from data_prep.associate.observation import Observation as Observation
    from data_prep.autolabel.labeling import label_scan as label_scan
    from data_prep.check.report import check_scan as check_scan
    from data_prep.detect.coco import CocoDetections as CocoDetections
    from data_prep.detect.detections import Detections2D as Detections2D
    from data_prep.errors import BadDatasetError as BadDatasetError
    from data_prep.errors import BadFrameError as BadFrameError
    from data_prep.errors import InputError as InputError
    from data_prep.geometry.boxes import OrientedBox as OrientedBox
    from data_prep.geometry.camera import Camera as Camera
    from data_prep.lift import create_lifter as create_lifter
    from data_prep.lift.object_cloud import LiftResult as LiftResult
    from data_prep.lift.object_cloud import ObjectCloud as ObjectCloud
    from data_prep.scans.frame import Frame as Frame
    from data_prep.scans.frame import View as View
    from data_prep.scans.scan import Scan as Scan
    from data_prep.scans.sources import list_sources as list_sources
    from data_prep.scans.sources import open_scan as open_scan
    from data_prep.triplets.config import MiningConfig as MiningConfig
    from data_prep.triplets.mining import mine as mine
    from data_prep.triplets.provenance import Provenance as Provenance
    from data_prep.triplets.reader import open_triplets as open_triplets
    from data_prep.triplets.triplet import ObjectView as ObjectView
    from data_prep.triplets.triplet import Triplet as Triplet
    from data_prep.triplets.writer import write_triplets as write_triplets

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "BadDatasetError": "data_prep.errors",
        "BadFrameError": "data_prep.errors",
        "Camera": "data_prep.geometry.camera",
        "CocoDetections": "data_prep.detect.coco",
        "Detections2D": "data_prep.detect.detections",
        "Frame": "data_prep.scans.frame",
        "InputError": "data_prep.errors",
        "LiftResult": "data_prep.lift.object_cloud",
        "MiningConfig": "data_prep.triplets.config",
        "ObjectCloud": "data_prep.lift.object_cloud",
        "ObjectView": "data_prep.triplets.triplet",
        "Observation": "data_prep.associate.observation",
        "OrientedBox": "data_prep.geometry.boxes",
        "Provenance": "data_prep.triplets.provenance",
        "Scan": "data_prep.scans.scan",
        "Triplet": "data_prep.triplets.triplet",
        "View": "data_prep.scans.frame",
        "check_scan": "data_prep.check.report",
        "create_lifter": "data_prep.lift",
        "label_scan": "data_prep.autolabel.labeling",
        "list_sources": "data_prep.scans.sources",
        "mine": "data_prep.triplets.mining",
        "open_scan": "data_prep.scans.sources",
        "open_triplets": "data_prep.triplets.reader",
        "write_triplets": "data_prep.triplets.writer",
    },
)
