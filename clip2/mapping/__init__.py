"""Persistent maps of named objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from clip2.mapping.config import MapConfig as MapConfig
    from clip2.mapping.map_object import MapObject as MapObject
    from clip2.mapping.object_map import ObjectMap as ObjectMap
    from clip2.mapping.odometry import Odometry as Odometry
    from clip2.mapping.pipeline import LivePipeline as LivePipeline
    from clip2.mapping.update import MapUpdate as MapUpdate

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "MapConfig": "clip2.mapping.config",
        "MapObject": "clip2.mapping.map_object",
        "MapUpdate": "clip2.mapping.update",
        "LivePipeline": "clip2.mapping.pipeline",
        "Odometry": "clip2.mapping.odometry",
        "ObjectMap": "clip2.mapping.object_map",
    },
)
