"""Settings of object association and of frame thinning."""

from __future__ import annotations

from pydantic import Field

from data_prep.config import TypedConfig


class AssociationConfig(TypedConfig):
    """How observations become objects. Lengths and speeds are in sizes of the object, for mugs and trucks alike.

    Attributes:
        enabled: associate the detections of one object over frames and cameras: one triplet with its best crops, the
            union of its clouds if it stands still, and the label with most votes.
        min_score: two observations with an affinity below this are never one object; 0..1.
        max_gap: seconds that an object may be out of sight. Still objects in a scan with poses are remembered for as
            long as ``max_open`` allows.
        frame_time: seconds from frame to frame in scans without timestamps.
        views: crops and partial clouds kept per object.
        min_observations: objects seen fewer times are left out; most of them are mistakes of the detector.
        max_open: objects followed at a time; beyond that, the one unseen for longest is closed.
        max_observations: an object is closed after this many, which bounds the memory of each.
        segment: all objects are closed every this many frames. A killed run loses at most one segment, and parts of a
            scan mined on different machines fit together if they end on a multiple.
    """

    enabled: bool = False
    min_score: float = Field(default=0.2, gt=0, lt=1)
    max_gap: float = Field(default=1.0, gt=0)
    frame_time: float = Field(default=0.1, gt=0)
    views: int = Field(default=4, ge=1)
    min_observations: int = Field(default=1, ge=1)
    max_open: int = Field(default=500, ge=1)
    max_observations: int = Field(default=1000, ge=1)
    segment: int = Field(default=1000, ge=1)


class ThinConfig(TypedConfig):
    """When a frame shows nothing new.

    Attributes:
        enabled: leave out frames that show what the last one showed: by pose, or without poses by image.
        move: with poses: least way of the sensor since the last frame kept, meters, for a frame to be new.
        turn: with poses: least turn of the sensor since the last frame kept, degrees, for a frame to be new.
        change: without poses: smallest share of the picture that must have changed. Compared are the pixels of the
            first image at thumbnail size, or without images the cells of 1 m that hold points.
    """

    enabled: bool = False
    move: float = Field(default=0.2, gt=0)
    turn: float = Field(default=8.0, gt=0)
    change: float = Field(default=0.1, gt=0)
