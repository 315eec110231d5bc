"""Settings of the object map."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from data_prep.config import TypedConfig


class MapConfig(TypedConfig):
    """Settings of an :class:`~clip2.mapping.ObjectMap`; chosen on the synthetic world.

    Attributes:
        proposals: how objects are found without detections: ``lidar``, ``room``, or ``auto`` by the scan's extent.
        min_objectness: proposals that are less likely to be one whole object start no object of the map; 0..1.
        depth_points: points of a depth image in which objects are looked for; larger images are thinned on their grid.
        confirm: frames in which an object must be seen to be confirmed.
        looks: an object is encoded at most this many times; later looks move its mean embedding too little.
        max_points: points kept of each object. With 512-wide embeddings an object takes about 16 kB at 512 points.
        max_objects: objects kept. Beyond that the tentative and lost objects that were unseen for longest are dropped.
        max_gap: seconds for which the velocity of a moving object is trusted.
        frame_time: seconds from frame to frame in scans without timestamps.
        max_speed: meters per second of the sensor. A faster pose is a jump: its frame is refused.
        budget_ms: milliseconds per update, or None. When an update takes longer, the map first puts off encoding far
            objects, then leaves out far points.

    >>> MapConfig(confirm=5).confirm
    5
    """

    proposals: Literal["auto", "lidar", "room"] = "auto"
    min_objectness: float = Field(default=0.4, ge=0, le=1)
    depth_points: int = Field(default=80_000, ge=1000)
    confirm: int = Field(default=3, ge=1)
    looks: int = Field(default=10, ge=1)
    max_points: int = Field(default=512, ge=32)
    max_objects: int = Field(default=100_000, ge=1)
    max_gap: float = Field(default=1.0, gt=0)
    frame_time: float = Field(default=0.1, gt=0)
    max_speed: float = Field(default=60.0, gt=0)
    budget_ms: float | None = Field(default=None, gt=0)
