"""Seams leave no trace."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.detection_stand_ins import ColorDetector, paint

from data_prep.detect import Detections2D
from data_prep.detect.nms import Selection
from data_prep.detect.tiles import Tile, TiledDetector, merge_tiles, tiles_of
from data_prep.errors import InputError


class Shortsighted(ColorDetector):
    """Sees nothing in pictures wider than a tile, as a network that scales them down sees nothing small."""

    def __init__(self, widest: int) -> None:
        super().__init__()
        self._widest = widest

    def _look(self, image: np.ndarray) -> Detections2D:
        return super()._look(image) if image.shape[1] <= self._widest else Detections2D.empty()


@settings(max_examples=50, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    size=st.integers(32, 128),
    overlap=st.floats(0, 0.9),
)
def test_tiles_cover_the_image_and_overlap_as_asked(
    width: int, height: int, size: int, overlap: float
) -> None:
    tiles = tiles_of(width, height, size, overlap)
    assert tiles[0] == Tile(0, 0, width, height)
    seen = np.zeros((height, width), bool)
    for tile in tiles[1:]:
        assert 0 <= tile.x0 < tile.x1 <= width
        assert tile.x1 - tile.x0 == min(size, width)
        seen[tile.y0 : tile.y1, tile.x0 : tile.x1] = True
    assert seen.all() or len(tiles) == 1
    columns = sorted({(tile.x0, tile.x1) for tile in tiles[1:]})
    for (_, end), (start, _) in pairwise(columns):
        assert end - start >= int(overlap * size) - 1


@settings(max_examples=25, deadline=None)
@given(
    x=st.integers(0, 260),
    y=st.integers(0, 160),
    w=st.integers(4, 200),
    h=st.integers(4, 120),
    word=st.sampled_from(sorted(ColorDetector.labels)),
)
def test_a_thing_of_any_size_and_place_is_one_box(x: int, y: int, w: int, h: int, word: str) -> None:
    box = (x, y, min(x + w, 300), min(y + h, 200))
    image = paint({box: word}, 300, 200)
    for detector in (ColorDetector(), Shortsighted(96)):
        found = TiledDetector(detector, 96, 0.25).detect([image], 0.1)[0]
        kept = Selection().apply(found, 300, 200)
        # Within what counts as an edge: a part of a few pixels in one tile tells nothing.
        assert kept.labels == (word,)
        np.testing.assert_allclose(kept.boxes[0], box, atol=2)


def test_neighbors_of_one_kind_stay_apart() -> None:
    # Two cars beside each other; the seam between the tiles runs through the first.
    boxes = {(80, 50, 120, 70): "mug", (130, 52, 160, 72): "mug"}
    found = TiledDetector(Shortsighted(96), 96, 0.25).detect([paint(boxes, 300, 200)], 0.1)[0]
    kept = Selection().apply(found, 300, 200)
    assert sorted(map(tuple, kept.boxes.astype(int).tolist())) == sorted(boxes)


def test_parts_with_different_words_do_not_grow_together() -> None:
    left = Detections2D(np.array([[40, 10, 64, 30]], np.float32), np.array([0.9], np.float32), ("mug",))
    right = Detections2D(np.array([[0, 10, 40, 30]], np.float32), np.array([0.6], np.float32), ("cup",))
    tiles = (Tile(0, 0, 64, 64), Tile(48, 0, 112, 64))
    assert len(merge_tiles(112, 64, list(zip(tiles, (left, right), strict=True)))) == 2
    same = Detections2D(right.boxes, right.scores, ("mug",))
    joined = merge_tiles(112, 64, list(zip(tiles, (left, same), strict=True)))
    # 48 + 40 = 88 pixels from the left; the better of the two scores.
    np.testing.assert_allclose(joined.boxes, [[40, 10, 88, 30]])
    np.testing.assert_allclose(joined.scores, [0.9])


def test_small_images_are_shown_once() -> None:
    detector = ColorDetector()
    TiledDetector(detector, 96).detect([paint({}, 96, 90), paint({}, 97, 90)], 0.1)
    assert detector.calls == [1 + 3]


@pytest.mark.parametrize(("size", "overlap"), [(8, 0.2), (64, 0.95), (64, -0.1)])
def test_impossible_tiles_are_refused(size: int, overlap: float) -> None:
    with pytest.raises(InputError, match="tile"):
        TiledDetector(ColorDetector(), size, overlap)
