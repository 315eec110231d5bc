"""Balls, boxes and pipes: objects that a tiny network tells apart in seconds."""

from __future__ import annotations

import numpy as np

WORDS = ("ball", "box", "pipe")


def surface(word: int, random: np.random.Generator, count: int = 150) -> np.ndarray:
    """(count, 3) points on a ball, a box or a pipe of random size."""
    points = random.normal(size=(count, 3))
    if word == 0:
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    elif word == 1:
        points = random.uniform(-1, 1, (count, 3))
        side = random.integers(0, 3, count)
        points[np.arange(count), side] = np.sign(points[np.arange(count), side])
    else:
        points /= np.linalg.norm(points[:, :2], axis=1, keepdims=True)
        points[:, 2] = random.uniform(-1.5, 1.5, count)
    return (points * random.uniform(0.2, 2)).astype(np.float32)


def unit_rows(count: int, width: int = 16, seed: int = 5) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
