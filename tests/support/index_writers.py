"""Objects for an index, and a job that writes them; light to import, as processes that are started and killed do it."""

from __future__ import annotations

import numpy as np

from clip2.search import Index, StoredObject

SPACE, WIDTH = "ViT-B-32/openai", 16


def objects(count: int, seed: int = 0, **fields: object) -> list[StoredObject]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        StoredObject(
            vectors[i],
            np.array([10.0 * i, seed, 0, 1, 1, 1, 0]),
            f"label {i}",
            number=i,
            **{"scan": "kitchen", **fields},  # type: ignore[arg-type]
        )
        for i in range(count)
    ]


def write(path: str, first: int, count: int) -> None:
    index = Index(path)
    for seed in range(first, first + count):
        index.add(objects(20, seed=seed), SPACE)
