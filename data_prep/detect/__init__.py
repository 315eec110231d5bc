"""2D detections: values, COCO files, detectors, and runs over whole scans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from data_prep.detect.coco import CocoDetections as CocoDetections
    from data_prep.detect.coco import Coverage as Coverage
    from data_prep.detect.coco_format import save_coco as save_coco
    from data_prep.detect.detection_run import DetectionRun as DetectionRun
    from data_prep.detect.detection_run import detect_scan as detect_scan
    from data_prep.detect.detections import Detections2D as Detections2D
    from data_prep.detect.detector import Detector as Detector
    from data_prep.detect.detector import Segmenter as Segmenter
    from data_prep.detect.nms import Selection as Selection
    from data_prep.detect.tiles import TiledDetector as TiledDetector
    from data_prep.detect.vocabulary import Vocabulary as Vocabulary
    from data_prep.detect.vocabulary import list_vocabularies as list_vocabularies

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "CocoDetections": "data_prep.detect.coco",
        "Coverage": "data_prep.detect.coco",
        "DetectionRun": "data_prep.detect.detection_run",
        "Detections2D": "data_prep.detect.detections",
        "Detector": "data_prep.detect.detector",
        "Segmenter": "data_prep.detect.detector",
        "Selection": "data_prep.detect.nms",
        "TiledDetector": "data_prep.detect.tiles",
        "Vocabulary": "data_prep.detect.vocabulary",
        "detect_scan": "data_prep.detect.detection_run",
        "list_vocabularies": "data_prep.detect.vocabulary",
        "save_coco": "data_prep.detect.coco_format",
    },
)
