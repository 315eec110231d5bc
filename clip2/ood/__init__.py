"""Out-of-distribution detection: objects unlike the training set, which get the label ``unknown``."""

from data_prep.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {"OODDetector": "clip2.ood.detector", "OutlierExposureHead": "clip2.ood.exposure"},
)
