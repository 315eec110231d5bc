"""Settings of the association. Lengths and speeds are in sizes of the object, so one set serves mugs and trucks."""

from __future__ import annotations

from dataclasses import dataclass

from data_prep.errors import InputError


@dataclass(frozen=True)
class AssociationConfig:
    """How sightings become objects.

    Attributes:
        min_score: two sightings below this are never one object; 0..1.
        max_gap: seconds that an object may be out of sight; what stands still in a scan with poses is remembered for
            as long as ``max_open`` allows.
        frame_time: seconds from frame to frame where a scan has no timestamps.
        looks: crops and partial clouds kept per object.
        min_sightings: objects seen fewer times are left out, as most of them are mistakes of the detector.
        max_open: objects followed at a time; past it the one unseen for longest is closed.
        max_sightings: an object is closed after this many; it bounds what is held of each.
        segment: every this many frames all objects are closed. Segments do not know of each other: a killed run loses
            at most one, and parts of a scan mined on different machines fit together where they end on a multiple.
    """

    min_score: float = 0.2
    max_gap: float = 1.0
    frame_time: float = 0.1
    looks: int = 4
    min_sightings: int = 1
    max_open: int = 500
    max_sightings: int = 1000
    segment: int = 1000

    def __post_init__(self) -> None:
        for name in ("looks", "min_sightings", "max_open", "max_sightings", "segment"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"is {getattr(self, name)}", field=f"association.{name}", fix="give at least 1"
                )
        for name in ("max_gap", "frame_time"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"is {getattr(self, name)}", field=f"association.{name}", fix="give seconds")
        if not 0 < self.min_score < 1:
            raise InputError(
                f"is {self.min_score}", field="association.min_score", fix="give a number inside 0..1"
            )
