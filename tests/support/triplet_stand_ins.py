"""A scan, detections and a lifter small enough to know by heart."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from data_prep.config import parse_config
from data_prep.detect import Coverage, Detections2D
from data_prep.errors import BadFrameError
from data_prep.geometry import Camera, rigid
from data_prep.lift import LiftQuality, ObjectCloud, Rejection
from data_prep.scans import Frame, Scan, View
from data_prep.triplets import Manifest, MiningConfig, mine

WIDTH, HEIGHT = 64, 48
# Camera axes from points axes: the camera looks along the points' x, with y to its left and z up.
T_POINTS_CAM = rigid([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [0, 0, 1.5])
T_WORLD_POINTS = rigid([[0, -1, 0], [1, 0, 0], [0, 0, 1]], [4e6, 5e5, 100])  # a map grid, far from its origin
WORDS = ("Mug", "traffic_light", "Potted_Plant")


class StandInScan(Scan):
    """``count`` frames with three objects each; every fifth frame from 3 on is bad."""

    source = "stand-in"

    def __init__(self, root: Path, count: int = 12, pause: float = 0.0) -> None:
        self.root, self.count, self.pause = root, count, pause

    def frame_ids(self) -> list[str]:
        return [f"f{index:03d}" for index in range(self.count)]

    def __getitem__(self, index: int) -> Frame:
        time.sleep(self.pause)
        if index % 5 == 3:
            raise BadFrameError("is cut short", source=f"{index}.bin", field="points", fix="copy it again")
        random = np.random.default_rng(index)
        image = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        camera = Camera([[50, 0, 31.5], [0, 50, 23.5], [0, 0, 1]], WIDTH, HEIGHT, T_POINTS_CAM)
        # Three groups of 20 points, 10 m ahead, left, middle and right.
        groups = [random.normal((10, y, 1.5), 0.05, (20, 3)) for y in (3, 0, -3)]
        return Frame(
            id=f"f{index:03d}",
            points=np.concatenate(groups).astype(np.float32),
            T_world_points=T_WORLD_POINTS,
            views=(View(f"images/{index:03d}.png", camera, image),),
            colors=random.integers(0, 256, (60, 3), dtype=np.uint8),
            timestamp=index / 10,
        )


class StandInDetections:
    """One box around each of the three groups, and one on nothing."""

    path = Path(__file__)
    min_score = 0.0
    is_ground_truth = False
    categories: Mapping[int, str] = dict(enumerate((*WORDS, "ghost")))
    skipped: Mapping[str, int] = {}

    def check(self, scan: Scan) -> Coverage:
        return Coverage(len(scan), (), ())

    def for_image(self, name: str, width: int, height: int) -> Detections2D:
        boxes = [[u - 5, 18.5, u + 5, 28.5] for u in (16.5, 31.5, 46.5)]
        return Detections2D(
            boxes=np.array([*boxes, [0, 40, 5, 45]]),
            scores=np.array([0.9, 0.8, 0.7, 0.6]),
            labels=(*WORDS, "ghost"),
            ids=np.array([11, 12, 13, 14]),
            attributes={"track_id": np.array([1, 2, 3, 4])},
        )


@dataclass(frozen=True)
class StandInConfig:
    """A setting that a run can differ in."""

    reach: float = 1.0


class StandInLifter:
    """Knows which points belong to which box."""

    config = StandInConfig()

    @property
    def settings(self) -> dict[str, object]:
        return {"name": "stand-in", **asdict(self.config)}

    def lift(self, frame: Frame, detections: Sequence[Detections2D]) -> SimpleNamespace:
        def cloud(row: int) -> ObjectCloud:
            indices = np.arange(20 * row, 20 * row + 20)
            quality = LiftQuality(20, 25, 10.0 + row, 0.0, float("nan"))
            return ObjectCloud(indices, frame.points[indices], frame.colors[indices], 0, row, quality)

        return SimpleNamespace(
            objects=tuple(map(cloud, range(3))), rejections=(Rejection(0, 3, "too-few-points"),)
        )


def mine_stand_ins(
    out: Path,
    count: int = 12,
    pause: float = 0.0,
    reach: float = 1.0,
    root: Path = Path("/nowhere"),
    **settings: object,
) -> Manifest:
    """Mine the stand-in scan. ``settings`` are fields of :class:`MiningConfig` and further arguments of :func:`mine`."""
    lifter = StandInLifter()
    lifter.config = StandInConfig(reach)
    values = {"objects_per_shard": 5, **settings}
    config = {name: values.pop(name) for name in list(values) if name in MiningConfig.model_fields}
    return mine(
        StandInScan(root, count, pause),
        StandInDetections(),
        out,
        parse_config(MiningConfig, config, source="mining"),
        lifter=lifter,  # type: ignore[arg-type]
        **values,  # type: ignore[arg-type]
    )
