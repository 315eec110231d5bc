"""Hand-drawn outlines of what is in real depth images, and the points they make ground truth.

One JSON file per image, ``tests/data/outlines/*.json``: numbers of ours, no pixels of the data sets. Outlines are drawn in
pixels of the **depth** image (the color of 7-Scenes lies a few pixels beside it)::

    {"image": "rgbd/7scenes_redkitchen/frame-000500", "part": "validation", "size": [640, 480],
     "objects": [["mug", [[10, 20], [30, 20], [30, 50]]], ...], "background": [["cupboard front", [...]], ...]}

An object is a name and one or more closed rings of (u, v); rings inside others are holes. Of outlines that overlap,
the one listed first is in front; every object is in front of the background. Walls, floor and ceiling are not drawn.

**Nobody may tune on these.** Even the part ``validation`` is for looking at while building; ``test`` is only measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw
from scipy.linalg import rq

from data_prep.geometry import Camera
from data_prep.scans import Frame, View, open_scan
from data_prep.scans.formats.images import read_depth, read_image

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data" / "outlines"
_GAP = 0.03  # m: noise and steps of depth, which grow with it
_GAP_SHARE = 0.015
_FEW = (
    0.003  # share of an object's points in one step of depth below which there is nothing but flying pixels
)


@dataclass(frozen=True)
class Outlines:
    """Outlines of one image.

    Attributes:
        image: its name, as ``open_image`` takes it.
        part: ``validation`` or ``test``.
        size: width and height in pixels.
        names: of the objects, front first.
        background: names of the background's parts.
        rings: of each object, then of each part of the background: closed polylines of (u, v).
    """

    image: str
    part: str
    size: tuple[int, int]
    names: tuple[str, ...]
    background: tuple[str, ...]
    rings: tuple[tuple[NDArray[np.float64], ...], ...]

    @classmethod
    def load(cls, file: Path) -> Outlines:
        document = json.loads(file.read_text())
        items = [*document["objects"], *document["background"]]
        return cls(
            document["image"],
            document["part"],
            tuple(document["size"]),
            tuple(name for name, *_ in document["objects"]),
            tuple(name for name, *_ in document["background"]),
            tuple(tuple(np.array(ring, np.float64) for ring in rings) for _, *rings in items),
        )

    def pixels(self) -> NDArray[np.int64]:
        """(H, W) number of the outline in front at each pixel: objects, then background; -1 for none."""
        owner = np.full(self.size[::-1], -1)
        for number in reversed(range(len(self.rings))):
            inside = Image.new("1", self.size)
            for ring in self.rings[number]:
                drawn = Image.new("1", self.size)
                ImageDraw.Draw(drawn).polygon([tuple(point) for point in ring], fill=1, outline=1)
                inside = ImageChops.logical_xor(inside, drawn)
            owner[np.asarray(inside)] = number
        return owner

    def truth(self, frame: Frame) -> NDArray[np.int64]:
        """(N,) number of the outline that each point of the frame belongs to, -1 for none.

        An object's depths hang together: from within Tukey's fences (1.5 interquartile ranges) outward while there are
        points. Beyond a gap nothing belongs to it: that is seen past its edge, or a flying pixel.
        """
        uv, depth = frame.views[0].camera.project(frame.points)
        column, row = np.rint(uv).astype(np.int64).T
        owner = self.pixels()[row, column]
        for number in range(len(self.names)):
            mine = np.flatnonzero(owner == number)
            if len(mine):
                near, far = _depths(depth[mine])
                owner[mine[(depth[mine] < near) | (depth[mine] > far)]] = -1
        return owner


def outlined_frames(root: Path) -> Iterator[tuple[Outlines, Frame]]:
    """Every outlined image whose data set lies under ``root``."""
    for file in sorted(FOLDER.glob("*.json")):
        outlines = Outlines.load(file)
        if (root / outlines.image).parent.is_dir():
            yield outlines, open_image(root, outlines.image)


def _depths(depth: NDArray) -> tuple[float, float]:
    """Nearest and farthest of an object, given the depths inside its outline."""
    low, middle, high = np.percentile(depth, [25, 50, 75])
    step = max(_GAP, _GAP_SHARE * middle)
    bins = np.floor((depth - depth.min()) / step).astype(np.int64)
    reach = max(1.5 * (high - low), step)
    held = np.bincount(bins) >= max(3, _FEW * len(depth))
    inside = np.unique(bins[(depth >= low - reach) & (depth <= high + reach)])
    first, last = int(inside.min()), int(inside.max())
    while first > 0 and held[first - 1]:
        first -= 1
    while last < len(held) - 1 and held[last + 1]:
        last += 1
    return float(depth.min() + first * step), float(depth.min() + (last + 1) * step)


def open_image(root: Path, name: str) -> Frame:
    """A depth image of the folder as a frame.

    Args:
        root: folder of the sets.
        name: path of the frame under it, without suffix.
    """
    path = root / name
    if "7scenes" in name:
        scan = open_scan("rgbd", path.parent)
        return scan[scan.frame_ids().index(path.name)]
    if "mmdet3d" in name:
        return _from_points(path)
    if "sunrgbd" in name:
        scan = open_scan("sunrgbd", root / "sunrgbd")
        (index,) = (i for i, image in enumerate(scan.image_names()) if Path(image).stem == path.name)
        return scan[index]
    if "icl_nuim" in name:
        color, depth = path.parent / "image" / f"{path.name}.jpg", path.parent / "depth" / f"{path.name}.png"
        return _unposed(path.name, color, depth, 1000, (525.0, 525.0, 319.5, 239.5))
    if "tum" in name:
        color, depth = path.parent / "rgb" / f"{path.name}.png", path.parent / "depth" / f"{path.name}.png"
        return _unposed(path.name, color, depth, 5000, (518.0, 519.0, 325.5, 253.5))
    return _unposed(path.name, path / "color.png", path / "depth.png", 1000, (631.5, 631.5, 638.4, 366.5))


def _from_points(path: Path) -> Frame:
    """The set's frame of points (x y z r g b, z-up) with the product of its camera's matrices."""
    rows = np.fromfile(path.parent / "points" / f"{path.name}.bin", "<f4").reshape(-1, 6)
    M = np.array(json.loads((path.parent / "info.json").read_text())["depth2img"])
    # M = K R: the rows of R are perpendicular, so K follows from the right end.
    K, R = rq(M)
    signs = np.diag(np.sign(np.diag(K)))
    K, R = K @ signs, signs @ R
    K /= K[2, 2]
    K[:2, 2] -= 1  # its pixels count from 1
    image = read_image(path.parent / "image" / f"{path.name}.jpg")
    pose = np.eye(4)
    pose[:3, :3] = R.T
    camera = Camera(K, image.shape[1], image.shape[0], pose)
    colors = np.clip(np.rint(255 * rows[:, 3:]), 0, 255).astype(np.uint8)
    return Frame.build(path.name, rows[:, :3], colors=colors, views=(View(path.name, camera, image),))


def _unposed(id: str, color: Path, depth: Path, scale: float, intrinsics: tuple[float, ...]) -> Frame:
    """A frame whose world is the camera, leveled as if it looked straight ahead."""
    image = read_image(color)
    fx, fy, cx, cy = intrinsics
    camera = Camera(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), image.shape[1], image.shape[0])
    return Frame.from_depth(id, camera, image, read_depth(depth) / scale)
