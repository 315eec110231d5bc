"""Settings of lifting: filters that all lifters share, and what each lifter adds."""

from __future__ import annotations

from pydantic import Field

from data_prep.config import TypedConfig


class Filters(TypedConfig):
    """Thresholds that every lifter applies. A detection below one is rejected under that filter's name.

    Attributes:
        min_points: fewest points of an object (``too-few-points``). What is few depends on the sensor: a pedestrian
            at 60 m is a dozen points of a LiDAR; for depth images see ``share`` of the rgbd lifter.
        min_side: shortest side of a box inside the image, pixels (``tiny-region``).
        max_truncated: largest share of a box's border on the image's border, 0..1 (``truncated``).
        max_occluded: largest share of a region's points that nearer objects hold, 0..1 (``occluded``).
    """

    min_points: int = Field(default=5, ge=1)
    min_side: float = Field(default=4.0, ge=0)
    max_truncated: float = Field(default=0.7, ge=0, le=1)
    max_occluded: float = Field(default=0.9, ge=0, le=1)


class LidarConfig(TypedConfig):
    """Settings of the ``lidar`` lifter.

    Attributes:
        ground: points this far above the fitted ground stand on it, meters; below a found object, half as far.
        gap: largest gap within an object seen from above, as a share of its size (the geometric mean of its box's
            sides).
        beams: the same in spacings of the sensor's beams, which are measured in the sweep; the wider of the two counts.
        focus: standard deviation of a point's weight around the box's middle, as a share of the box's sides.
        extent: how far an object reaches behind its nearest point, in lengths of its box's longer side.
    """

    ground: float = Field(default=0.1, gt=0)
    gap: float = Field(default=0.3, gt=0)
    beams: float = Field(default=3.0, gt=0)
    focus: float = Field(default=0.25, gt=0)
    extent: float = Field(default=3.0, gt=0)


class RgbdConfig(TypedConfig):
    """Settings of the ``rgbd`` lifter.

    Attributes:
        held: share of a piece of surface that a box must hold for the piece to belong to the object, 0..1: walls,
            floors and table tops run out of the box.
        gap: largest gap within an object, as a share of its size (the geometric mean of its box's sides).
        focus: standard deviation of a point's weight around the box's middle, as a share of the box's sides.
        extent: how far an object reaches behind its nearest point, in lengths of its box's longer side.
        refine_mask: move the outline of what a box holds to where color and depth change.
        share: least share an object must be of its region's measured pixels that nothing nearer hides, 0..1
            (``too-few-points``). Depth is dense: of 3,000 pixels in a box, 8 are not the object. A line from corner to
            corner, its width a fiftieth of its length, is 0.04.
    """

    held: float = Field(default=0.5, ge=0, le=1)
    gap: float = Field(default=0.3, gt=0)
    focus: float = Field(default=0.25, gt=0)
    extent: float = Field(default=3.0, gt=0)
    refine_mask: bool = True
    share: float = Field(default=0.03, ge=0, le=1)


class FrustumDbscanConfig(TypedConfig):
    """Settings of the ``frustum-dbscan`` lifter.

    Attributes:
        radius: DBSCAN's neighborhood, meters; one for all objects, near and far.
        neighbors: DBSCAN's ``min_points``, the point itself included.
    """

    radius: float = Field(default=0.6, gt=0)
    neighbors: int = Field(default=1, ge=1)


class AutoConfig(TypedConfig):
    """Settings of the ``auto`` lifter: those of the two lifters it chooses from."""

    lidar: LidarConfig = Field(default_factory=LidarConfig)
    rgbd: RgbdConfig = Field(default_factory=RgbdConfig)


class LiftConfig(Filters):
    """Lifter, filters and the settings of each lifter.

    Attributes:
        name: ``auto`` (by what a frame holds), ``lidar``, ``rgbd``, ``frustum-dbscan`` (the recipe of CLIP²), or a
            registered lifter of your own.
        lidar: settings of ``lidar``, and of ``auto`` for frames without a depth image.
        rgbd: settings of ``rgbd``, and of ``auto`` for frames with one.
        frustum_dbscan: settings of ``frustum-dbscan``.
    """

    name: str = "auto"
    lidar: LidarConfig = Field(default_factory=LidarConfig)
    rgbd: RgbdConfig = Field(default_factory=RgbdConfig)
    frustum_dbscan: FrustumDbscanConfig = Field(default_factory=FrustumDbscanConfig)

    def filters(self) -> Filters:
        """The filters alone."""
        return Filters(**{name: getattr(self, name) for name in Filters.model_fields})

    def of_lifter(self, kind: type[TypedConfig]) -> TypedConfig:
        """Settings of the chosen lifter, as an object of its ``Config``; a lifter of your own gets its defaults."""
        if kind is AutoConfig:
            return AutoConfig(lidar=self.lidar, rgbd=self.rgbd)
        own = getattr(self, self.name.replace("-", "_"), None)
        return own if isinstance(own, kind) else kind()
