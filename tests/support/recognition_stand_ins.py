"""Scenes worked out by hand, and a tiny model with words, for the tests of this folder and of the commands."""

from __future__ import annotations

import numpy as np

from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.teacher import TextBank

WORDS = ("chair", "table", "box", "floor", "traffic light")
WIDTH = 16
MODEL = "ViT-B-32/openai"


def tiny_bank(model: str = MODEL, width: int = WIDTH) -> TextBank:
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), width)).astype(np.float32)
    return TextBank(WORDS, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), model)


def tiny_model(bank: TextBank | None = None) -> Clip2Model:
    import torch

    torch.manual_seed(0)
    config = {
        "encoder": {"name": "pointnet2_ssg_small"},
        "preprocessing": {"num_points": 128},
        "teacher": {"name": MODEL, "width": WIDTH},
    }
    return Clip2Model(ModelConfig.model_validate(config), text_bank=bank).eval()


def box_surface(center, size, yaw=0.0, spacing=0.02, bottom=False) -> np.ndarray:
    """(n, 3) points on a grid over the sides and top of an upright box (and its bottom, if asked)."""
    half = np.asarray(size) / 2
    ticks = [np.linspace(-h, h, max(2, round(2 * h / spacing) + 1)) for h in half]
    faces = []
    for axis in range(3):
        u, v = (i for i in range(3) if i != axis)
        a, b = np.meshgrid(ticks[u], ticks[v], indexing="ij")
        for side in (-1, 1):
            if axis == 2 and side == -1 and not bottom:
                continue
            face = np.empty((a.size, 3))
            face[:, u], face[:, v], face[:, axis] = a.ravel(), b.ravel(), side * half[axis]
            faces.append(face)
    c, s = np.cos(yaw), np.sin(yaw)
    return np.concatenate(faces) @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + center


def ground(extent=3.0, spacing=0.03) -> np.ndarray:
    ticks = np.arange(-extent, extent + spacing / 2, spacing)
    x, y = np.meshgrid(ticks, ticks)
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])


# Three boxes on a floor: center, size l w h, yaw in degrees.
THREE_BOXES = (
    ((-1.5, -1.0, 0.3), (0.7, 0.6, 0.6), 20.0),
    ((1.2, 0.8, 0.25), (0.5, 0.5, 0.5), 0.0),
    ((0.8, -1.5, 0.3), (0.7, 0.4, 0.6), -35.0),
)


def without_what_is_covered(points: np.ndarray, boxes) -> np.ndarray:
    """Drop points under or inside boxes (center, size, yaw in degrees): no sensor sees them there."""
    for center, size, yaw in boxes:
        c, s = np.cos(np.deg2rad(yaw)), np.sin(np.deg2rad(yaw))
        local = (points[:, :2] - center[:2]) @ np.array([[c, -s], [s, c]])
        points = points[~(np.abs(local) < np.asarray(size[:2]) / 2).all(axis=1)]
    return points


def three_boxes_on_a_floor(spacing: float = 0.014) -> np.ndarray:
    """(n, 3) points, floor and all."""
    parts = [box_surface(center, size, np.deg2rad(yaw), spacing) for center, size, yaw in THREE_BOXES]
    return np.concatenate([without_what_is_covered(ground(spacing=spacing * 1.3), THREE_BOXES), *parts])
