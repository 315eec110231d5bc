"""Lifting: detections of a frame become :class:`ObjectCloud` objects."""

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from data_prep.lift.config import Filters as Filters
    from data_prep.lift.config import LiftConfig as LiftConfig
    from data_prep.lift.lifter import LIFTERS as LIFTERS
    from data_prep.lift.lifter import REASONS as REASONS
    from data_prep.lift.lifter import Lifter as Lifter
    from data_prep.lift.lifter import create_lifter as create_lifter
    from data_prep.lift.lifter import list_lifters as list_lifters
    from data_prep.lift.object_cloud import LiftQuality as LiftQuality
    from data_prep.lift.object_cloud import LiftResult as LiftResult
    from data_prep.lift.object_cloud import ObjectCloud as ObjectCloud
    from data_prep.lift.object_cloud import Rejection as Rejection

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Filters": "data_prep.lift.config",
        "LiftConfig": "data_prep.lift.config",
        "LIFTERS": "data_prep.lift.lifter",
        "REASONS": "data_prep.lift.lifter",
        "Lifter": "data_prep.lift.lifter",
        "create_lifter": "data_prep.lift.lifter",
        "list_lifters": "data_prep.lift.lifter",
        "LiftQuality": "data_prep.lift.object_cloud",
        "LiftResult": "data_prep.lift.object_cloud",
        "ObjectCloud": "data_prep.lift.object_cloud",
        "Rejection": "data_prep.lift.object_cloud",
    },
)
