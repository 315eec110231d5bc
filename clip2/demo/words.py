"""Word vectors that stand in for CLIP where no CLIP is at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from clip2.teacher import TextBank

STAND_IN = "stand-in/random-directions-64"
WIDTH = 64


def stand_in_bank(words: Iterable[str]) -> TextBank:
    """One random direction per word, the same on every machine. It is not CLIP and knows no meaning.

    "sofa" and "couch" are as far apart as "sofa" and "bus", and a word that was not trained on finds nothing. It is
    enough to run every step for real; open vocabulary needs a real CLIP (``clip2 embed --clip``).
    """
    names = tuple(words)
    vectors = np.stack([_direction(name) for name in names])
    return TextBank(names, vectors, STAND_IN)


def _direction(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).standard_normal(WIDTH)
    return (vector / np.linalg.norm(vector)).astype(np.float32)
