"""Tiled detection: small objects in large images are found in overlapping tiles, and boxes cut by a seam are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.detect.detections import Detections2D
from data_prep.detect.detector import Detector
from data_prep.errors import InputError
from data_prep.geometry.boxes2d import box_area_2d, box_overlap_2d

# A cut box is dropped if this share of it lies in an uncut box of the same label.
_EXPLAINED = 0.7
# Two parts of one object overlap along the seam by at least this IoU of their extents.
_AGREE = 0.6


@dataclass(frozen=True)
class Tile:
    """A part of an image, x0 y0 x1 y1 in whole pixels, ends excluded."""

    x0: int
    y0: int
    x1: int
    y1: int


class TiledDetector:
    """Runs a detector on the whole image and on overlapping tiles, and merges the results.

    The whole image finds objects larger than a tile; tiles find objects that would vanish when the image is scaled
    down to the network's input size. A box that reaches an inner edge of its tile is a part: it is dropped if another
    tile holds the whole object, and otherwise joined with its neighbors across the seam. Duplicates are left to
    non-maximum suppression.

    Args:
        detector: runs on every tile.
        size: side of a tile in pixels; smaller images are not tiled.
        overlap: of neighboring tiles, as a share of the side. Objects smaller than that are whole in one of them.

    Raises:
        InputError: size below 32 or overlap outside 0..0.9.
    """

    def __init__(self, detector: Detector, size: int, overlap: float = 0.25) -> None:
        if size < 32:
            raise InputError(f"is {size}", field="tiles", fix="give a side of at least 32 pixels")
        if not 0 <= overlap <= 0.9:
            raise InputError(f"is {overlap}", field="tile_overlap", fix="give a share from 0 to 0.9")
        self._detector, self.size, self.overlap = detector, size, overlap
        self.labels = detector.labels

    def detect(self, images: Sequence[NDArray[np.uint8]], min_score: float) -> list[Detections2D]:
        """As :class:`~data_prep.detect.detector.Detector`."""
        plan = [tiles_of(image.shape[1], image.shape[0], self.size, self.overlap) for image in images]
        cuts = [
            image[tile.y0 : tile.y1, tile.x0 : tile.x1]
            for image, tiles in zip(images, plan, strict=True)
            for tile in tiles
        ]
        answers = iter(self._detector.detect(cuts, min_score))
        return [
            merge_tiles(image.shape[1], image.shape[0], [(tile, next(answers)) for tile in tiles])
            for image, tiles in zip(images, plan, strict=True)
        ]

    def settings(self) -> Mapping[str, Any]:
        """Settings of the detector and the tiles."""
        return {**self._detector.settings(), "tiles": {"size": self.size, "overlap": self.overlap}}


def tiles_of(width: int, height: int, size: int, overlap: float) -> list[Tile]:
    """The whole image, then tiles that cover it, the last of each row and column flush with the border.

    >>> [(tile.x0, tile.x1) for tile in tiles_of(100, 40, 64, 0.25)]
    [(0, 100), (0, 64), (36, 100)]
    """
    spans = [_spans(side, size, overlap) for side in (width, height)]
    tiles = [Tile(x0, y0, x1, y1) for y0, y1 in spans[1] for x0, x1 in spans[0]]
    return [Tile(0, 0, width, height)] + (tiles if len(tiles) > 1 else [])


def merge_tiles(width: int, height: int, answers: Sequence[tuple[Tile, Detections2D]]) -> Detections2D:
    """Move boxes from tile pixels to image pixels, and join the parts of one object.

    Args:
        width, height: of the image.
        answers: each tile with its detections in the tile's pixels.
    """
    boxes = [
        found.boxes + np.array([tile.x0, tile.y0, tile.x0, tile.y0], np.float32) for tile, found in answers
    ]
    cut = [_cut_sides(tile, found.boxes, width, height) for tile, found in answers]
    tile_of = np.repeat(np.arange(len(answers)), [len(found) for _, found in answers])
    return _join(
        np.concatenate(boxes),
        np.concatenate([found.scores for _, found in answers]),
        [label for _, found in answers for label in found.labels],
        np.concatenate(cut),
        tile_of,
    )


def _join(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: Sequence[str],
    cut: NDArray[np.bool_],
    tile_of: NDArray[np.int64],
) -> Detections2D:
    words = np.array(labels, object)
    parts = np.flatnonzero(cut.any(axis=1))
    whole = np.flatnonzero(~cut.any(axis=1))
    left: list[int] = []
    for part in map(int, parts):
        same = whole[words[whole] == words[part]]
        share = _share_inside(boxes[part], boxes[same])
        if not (share >= _EXPLAINED).any():
            left.append(part)
    parent = {part: part for part in left}
    for place, a in enumerate(left):
        later = np.array(left[place + 1 :], int)
        rivals = later[(words[later] == words[a]) & (tile_of[later] != tile_of[a])]
        for b in map(int, rivals):
            if _continues(boxes, cut, a, b):
                parent[_root(parent, b)] = _root(parent, a)
    groups: dict[int, list[int]] = {}
    for part in left:
        groups.setdefault(_root(parent, part), []).append(part)
    hulls = np.array(
        [np.r_[boxes[group, :2].min(axis=0), boxes[group, 2:].max(axis=0)] for group in groups.values()]
    ).reshape(-1, 4)
    best = np.array([max(group, key=lambda part: scores[part]) for group in groups.values()], int)
    best, hulls = _drop_slivers(best, hulls.astype(np.float32), words)
    return Detections2D(
        boxes=np.concatenate([boxes[whole], hulls]),
        scores=np.concatenate([scores[whole], scores[best]]),
        labels=(*words[whole], *words[best]),
    )


def _drop_slivers(
    best: NDArray[np.int64], hulls: NDArray[np.float32], words: NDArray[np.object_]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Drop boxes inside a larger joined one, for example a fragment from a third tile."""
    order = np.argsort(-box_area_2d(hulls), kind="stable")
    kept: list[int] = []
    for candidate in map(int, order):
        rivals = np.array([k for k in kept if words[best[k]] == words[best[candidate]]], int)
        share = _share_inside(hulls[candidate], hulls[rivals])
        if not (share >= _EXPLAINED).any():
            kept.append(candidate)
    kept.sort()
    return best[kept], hulls[kept]


def _share_inside(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """(M,) share of one box's area that lies in each of the others."""
    return box_overlap_2d(box[None], others)[0] / max(float(box_area_2d(box)), 1e-9)


def _continues(boxes: NDArray[np.float32], cut: NDArray[np.bool_], a: int, b: int) -> bool:
    """Whether two parts meet across a seam: each is cut on the other's side and their extents agree."""
    for axis in (0, 1):
        first, second = (a, b) if boxes[a, axis] <= boxes[b, axis] else (b, a)
        if not (cut[first, axis + 2] and cut[second, axis]):
            continue
        if boxes[first, axis + 2] < boxes[second, axis]:  # they do not reach each other
            continue
        along = 1 - axis
        low, high = boxes[[a, b], along], boxes[[a, b], along + 2]
        shared, hull = high.min() - low.max(), high.max() - low.min()
        if shared >= _AGREE * hull:
            return True
    return False


def _cut_sides(tile: Tile, boxes: NDArray[np.float32], width: int, height: int) -> NDArray[np.bool_]:
    """(M, 4): whether a box ends at the tile's left, top, right or bottom edge inside the image."""
    sides = np.array([tile.x1 - tile.x0, tile.y1 - tile.y0], np.float32)
    near = np.maximum(2.0, 0.01 * sides)  # detectors do not box to the very edge
    inner = np.array([tile.x0 > 0, tile.y0 > 0, tile.x1 < width, tile.y1 < height])
    return np.concatenate([boxes[:, :2] <= near, boxes[:, 2:] >= sides - near], axis=1) & inner


def _spans(side: int, size: int, overlap: float) -> list[tuple[int, int]]:
    if side <= size:
        return [(0, side)]
    count = int(np.ceil((side - size) / max(size * (1 - overlap), 1))) + 1
    starts = np.rint(np.linspace(0, side - size, count)).astype(int)
    return [(int(start), int(start) + size) for start in starts]


def _root(parent: dict[int, int], part: int) -> int:
    while parent[part] != part:
        part = parent[part]
    return part
