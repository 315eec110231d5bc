"""Search hits in a real browser."""

from __future__ import annotations

import numpy as np
import pytest
from support.in_browser import needs_browser, screenshot, visit
from support.index_writers import SPACE, WIDTH

from clip2 import Index
from clip2.search import StoredObject
from clip2.search.page import write_hits


@needs_browser
@pytest.mark.slow
def test_hits_are_seen_with_crop_and_cloud(tmp_path):
    rng, vectors = np.random.default_rng(0), np.eye(WIDTH, dtype=np.float32)
    stored = [
        StoredObject(
            vectors[i],
            np.array([9.0 * i, 0, 0, 1, 1, 1, 0]),
            "<b>mug</b>",
            scan="kitchen",
            points=rng.normal(size=(300, 3)) + [9.0 * i, 0, 0],
            crop=np.full((60, 60, 3), (250, 10, 10), np.uint8),
        )
        for i in range(3)
    ]
    index = Index(tmp_path / "db")
    index.add(stored, SPACE)
    page = write_hits(tmp_path / "hits.html", "mug", "", index.search(np.ones(WIDTH), SPACE))
    seen = visit(
        page,
        "return {cards: document.querySelectorAll('.card').length, titles: [...document.querySelectorAll('.card h3')]"
        ".map(e => e.textContent), images: [...document.images].filter(e => e.naturalWidth > 0).length,"
        "canvases: document.querySelectorAll('.card canvas').length, bold: document.querySelectorAll('.card b').length}",
    )
    titles = [f"{rank}. <b>mug</b>" for rank in (1, 2, 3)]
    assert seen == {"cards": 3, "titles": titles, "images": 3, "canvases": 3, "bold": 0}
    picture = screenshot(page)
    red = (picture[..., 0] > 200) & (picture[..., 1:].max(axis=-1) < 60)
    assert red.mean() > 0.01
