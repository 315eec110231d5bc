"""ROS 2 messages, bags and the logic of the live node; no ROS is needed to install or to test it."""

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "LiveMap": "clip2.ros.live",
        "ResultBag": "clip2.ros.bag",
        "instances_from_ros": "clip2.ros.detections",
        "markers": "clip2.ros.marker_array",
        "typestore": "clip2.ros.definitions",
        "vision_info": "clip2.ros.detections",
    },
)

if TYPE_CHECKING:
    from clip2.ros.bag import ResultBag as ResultBag
    from clip2.ros.definitions import typestore as typestore
    from clip2.ros.detections import instances_from_ros as instances_from_ros
    from clip2.ros.detections import vision_info as vision_info
    from clip2.ros.live import LiveMap as LiveMap
    from clip2.ros.marker_array import markers as markers
