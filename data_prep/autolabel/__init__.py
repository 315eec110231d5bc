"""Auto-labels: 3D boxes and tracks from scans and 2D detections, in the formats that 3D detectors are trained on."""

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from data_prep.autolabel.formats import FORMATS as FORMATS
    from data_prep.autolabel.labeling import label_scan as label_scan
    from data_prep.autolabel.labels import ImageDetection as ImageDetection
    from data_prep.autolabel.labels import Label3D as Label3D
    from data_prep.autolabel.labels import LabeledFrame as LabeledFrame
    from data_prep.autolabel.report import LabelReport as LabelReport
    from data_prep.autolabel.score import score_labels as score_labels

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "FORMATS": "data_prep.autolabel.formats",
        "Label3D": "data_prep.autolabel.labels",
        "LabelReport": "data_prep.autolabel.report",
        "LabeledFrame": "data_prep.autolabel.labels",
        "ImageDetection": "data_prep.autolabel.labels",
        "label_scan": "data_prep.autolabel.labeling",
        "score_labels": "data_prep.autolabel.score",
    },
)
