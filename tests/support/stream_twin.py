"""A triplet set of a dozen small shards, with features from a bank."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from support.training_shapes import WORDS, surface, unit_rows

from clip2.teacher import TextBank, embed_triplets
from data_prep.triplets import Provenance, Triplet, write_triplets

OBJECTS, PER_SHARD = 90, 8


def make_triplets(place: str | Path) -> str | Path:
    """90 objects in twelve shards; one cannot be used, and every third has color."""
    random = np.random.default_rng(0)

    def objects() -> Iterator[Triplet]:
        for i in range(OBJECTS):
            points = surface(i % 3, random, 60 + i)
            colors = random.integers(0, 256, points.shape, dtype=np.uint8) if i % 3 == 0 else None
            if i == 13:
                points[:] = points[0]
            yield Triplet(
                f"o{i:03d}", points, colors, None, (WORDS[i % 3],), Provenance(source="t", frame=str(i))
            )

    write_triplets(place, objects(), source="test", objects_per_shard=PER_SHARD)
    embed_triplets(place, bank=TextBank(WORDS, unit_rows(3), "ViT-B-32/openai"))
    return place
