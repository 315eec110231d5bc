"""Labels of known boxes, and a street of two cars that are to be labeled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.autolabel.labels import ImageDetection, Label3D, LabeledFrame
from data_prep.detect import Coverage, Detections2D
from data_prep.errors import BadFrameError
from data_prep.geometry import Camera, OrientedBox, box_to_image, invert, rigid
from data_prep.scans import Frame, Scan, View


def label(
    box: OrientedBox,
    name: str = "car",
    track: int | None = None,
    views: Sequence[int] = (0,),
    occluded: float = 0.0,
) -> Label3D:
    """A label seen in some views, with a 2D box of its own."""
    detections = tuple(
        ImageDetection(f"view {index}", index, np.array([10, 20, 50, 60], np.float32), 0.75, occluded, 40)
        for index in views
    )
    return Label3D(name, 0.75, track, box, box, 0.9, None, None, detections)


def labeled(scan: Scan, position: int, *labels: Label3D) -> LabeledFrame:
    """A frame of a scan with labels whose boxes are in the world."""
    frame = scan[position]
    cameras = {index: view.camera for index, view in enumerate(frame.views)}
    return LabeledFrame(frame.id, position, tuple(labels), frame.timestamp, frame.T_world_points, cameras)


WIDTH, HEIGHT = 640, 240
K = np.array([[360.0, 0, 319.5], [0, 360, 100], [0, 0, 1]])
T_POINTS_CAM = rigid([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [0.3, 0, 0])  # looks along the points' x
SPEED = 8.0  # m/s of the driving car
PARKED = OrientedBox.from_yaw([1016.0, 504.0, 20.75], [4.2, 1.75, 1.5], 0.15)


class Street(Scan):
    """A car parked and a car driving ahead, seen by a LiDAR and a camera that move 1 m per frame on flat ground.

    Args:
        count: frames, at 10 Hz.
        posed: poses lead to a shared world; otherwise every frame has its own.
        timed: frames have times.
        bad: positions of frames that cannot be read.
    """

    source, root = "street", Path("/nowhere")

    def __init__(
        self, count: int = 3, posed: bool = True, timed: bool = True, bad: Sequence[int] = ()
    ) -> None:
        self.count, self.posed, self.timed, self.bad = count, posed, timed, tuple(bad)

    def frame_ids(self) -> list[str]:
        return [f"f{n}" for n in range(self.count)]

    def image_names(self) -> list[str]:
        return [f"images/{n}.png" for n in range(self.count)]

    def world_of(self, index: int) -> str | None:
        return "street" if self.posed else None

    def pose(self, index: int) -> np.ndarray:
        """(4, 4) from the points to the map."""
        return rigid(None, [1000.0 + index, 500, 21.7])

    def boxes(self, index: int) -> list[OrientedBox]:
        """The two cars in the map. The second drives along y's negative direction."""
        driving = [1024.0, 500 - SPEED * index / 10, 20.75]
        return [PARKED, OrientedBox.from_yaw(driving, [4.2, 1.75, 1.5], -np.pi / 2)]

    def __getitem__(self, index: int) -> Frame:
        if index in self.bad:
            raise BadFrameError("is cut short", source=f"{index}.bin", field="points", fix="copy it again")
        T = self.pose(index)
        x, y = np.meshgrid(np.arange(4, 40, 0.3), np.arange(-15, 15, 0.3))
        ground = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, -1.7)])
        clouds = [ground, *(seen_faces(box.transformed(invert(T))) for box in self.boxes(index))]
        image = np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        camera = Camera(K, WIDTH, HEIGHT, T_POINTS_CAM)
        return Frame.build(
            f"f{index}",
            np.concatenate(clouds),
            T_world_points=T if self.posed else np.eye(4),
            views=(View(f"images/{index}.png", camera, image),),
            timestamp=index / 10 if self.timed else None,
        )


def seen_faces(box: OrientedBox) -> np.ndarray:
    """Points 6 cm apart on the sides of a box that face the origin."""
    clouds = []
    for axis in range(3):
        for side in (-0.5, 0.5):
            normal = np.sign(side) * box.rotation[:, axis]
            if normal @ (box.center + side * box.size[axis] * box.rotation[:, axis]) < 0:
                a, b = (other for other in range(3) if other != axis)
                grid = np.meshgrid(*(np.linspace(-0.5, 0.5, int(box.size[k] / 0.06)) for k in (a, b)))
                local = np.full((grid[0].size, 3), side)
                local[:, a], local[:, b] = grid[0].ravel(), grid[1].ravel()
                clouds.append((local * box.size) @ box.rotation.T + box.center)
    return np.concatenate(clouds)


class StreetDetections:
    """The cars' outlines in the images of :class:`Street`, and a kite in the sky."""

    path = Path(__file__)
    min_score = 0.0
    is_ground_truth = False
    skipped: Mapping[str, int] = {}

    def __init__(self, scan: Street, names: Sequence[str] = ("car", "car")) -> None:
        self.scan, self.names = scan, tuple(names)
        self.categories = dict(enumerate((*self.names, "kite")))

    def check(self, scan: Scan) -> Coverage:
        return Coverage(len(scan), (), ())

    def for_image(self, name: str, width: int, height: int) -> Detections2D:
        index = int(Path(name).stem)
        camera = Camera(K, WIDTH, HEIGHT, T_POINTS_CAM)
        T = invert(self.scan.pose(index))
        outlines = [box_to_image(box.transformed(T), camera) for box in self.scan.boxes(index)]
        return Detections2D(
            np.array([*outlines, [5, 5, 30, 30]]), np.array([0.9, 0.8, 0.6]), (*self.names, "kite")
        )
