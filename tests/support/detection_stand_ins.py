"""A scan of painted pictures and a detector that finds what was painted: truth without a network."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.detect import Detections2D
from data_prep.errors import BadFrameError
from data_prep.geometry import Camera
from data_prep.scans import Frame, Scan, View

COLORS = {"mug": (255, 0, 0), "bottle": (0, 255, 0), "traffic cone": (0, 0, 255)}
WIDTH, HEIGHT = 64, 48


def paint(boxes: Mapping[tuple[int, int, int, int], str], width: int, height: int) -> NDArray[np.uint8]:
    """Gray picture with rectangles x0 y0 x1 y1 (ends left out) in the colors of their words."""
    image = np.full((height, width, 3), 128, np.uint8)
    for (x0, y0, x1, y1), word in boxes.items():
        image[y0:y1, x0:x1] = COLORS[word]
    return image


def thing(frame: int, view: int) -> tuple[tuple[int, int, int, int], str]:
    """The one thing in a picture of :class:`PaintedScan`."""
    x, y = (5 * frame) % 40, (7 * view + 3 * frame) % 30
    return (x, y, x + 12, y + 9), list(COLORS)[(frame + view) % 3]


class PaintedScan(Scan):
    """Frames of ``views`` pictures with one thing each; counts how often each frame is read."""

    source = "painted"

    def __init__(self, root: Path, frames: int = 5, views: int = 2, bad: Sequence[int] = ()) -> None:
        self.root, self._frames, self._views, self._bad = root, frames, views, bad
        self.reads: list[int] = []

    def __getitem__(self, index: int) -> Frame:
        position = range(self._frames)[index]
        self.reads.append(position)
        if position in self._bad:
            raise BadFrameError("is cut short", source=f"image_0/{position}.png", field="image")
        camera = Camera(K=np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]), width=WIDTH, height=HEIGHT)
        views = tuple(
            View(f"image_{view}/{position}.png", camera, paint(dict([thing(position, view)]), WIDTH, HEIGHT))
            for view in range(self._views)
        )
        return Frame(f"{position:03d}", np.ones((1, 3), np.float32), views=views)

    def frame_ids(self) -> list[str]:
        return [f"{position:03d}" for position in range(self._frames)]

    def image_names(self) -> list[str]:
        return [f"image_{view}/{frame}.png" for frame in range(self._frames) for view in range(self._views)]


class ColorDetector:
    """Boxes every patch of a word's color, exactly, with score 0.9. May kill its own process at its n-th call."""

    labels = tuple(COLORS)

    def __init__(self, version: str = "1", kill_at: int | None = None) -> None:
        self._version, self._kill_at = version, kill_at
        self.calls: list[int] = []

    def detect(self, images: Sequence[NDArray[np.uint8]], min_score: float) -> list[Detections2D]:
        self.calls.append(len(images))
        if len(self.calls) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return [self._look(image) for image in images]

    def settings(self) -> Mapping[str, Any]:
        return {"name": "color", "version": self._version}

    def _look(self, image: NDArray[np.uint8]) -> Detections2D:
        boxes, labels = [], []
        for word, color in COLORS.items():
            channel = int(np.argmax(color))
            painted = (image[..., channel] == 255) & (image[..., channel - 1] == 0)
            if not painted.any():
                continue
            patches, _ = ndimage.label(painted)
            for rows, columns in ndimage.find_objects(patches):
                boxes.append([columns.start, rows.start, columns.stop, rows.stop])
                labels.append(word)
        return Detections2D(
            np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32), tuple(labels)
        )


class BoxFiller:
    """A segmenter whose mask is the box itself, and empty for boxes at the left border."""

    def segment(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        masks = np.zeros((len(boxes), *image.shape[:2]), bool)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
            if x0 > 0:
                mask[y0:y1, x0:x1] = True
        return masks, np.full(len(boxes), 0.75, np.float32)

    def settings(self) -> Mapping[str, Any]:
        return {"name": "filler"}
