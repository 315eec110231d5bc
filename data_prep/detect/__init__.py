"""2D detections and where they come from."""

from data_prep.detect.coco import CocoDetections, Coverage, save_coco
from data_prep.detect.detection_run import DetectionRun, detect_scan
from data_prep.detect.detections import Detections2D
from data_prep.detect.detector import Detector, Segmenter
from data_prep.detect.nms import Selection
from data_prep.detect.tiles import TiledDetector
from data_prep.detect.vocabulary import Vocabulary, list_vocabularies

__all__ = [
    "CocoDetections",
    "Coverage",
    "DetectionRun",
    "Detections2D",
    "Detector",
    "Segmenter",
    "Selection",
    "TiledDetector",
    "Vocabulary",
    "detect_scan",
    "list_vocabularies",
    "save_coco",
]
