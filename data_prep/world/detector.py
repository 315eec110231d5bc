"""Simulated 2D detector: ground truth degraded by a stated error profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.detect import Detections2D
from data_prep.errors import InputError
from data_prep.world.category import NAMELESS
from data_prep.world.objects import get_category


@dataclass(frozen=True)
class DetectorProfile:
    """Error profile of a detector. Sizes are square roots of box areas in pixels.

    Attributes:
        miss: chance that a large, open object is missed.
        miss_small: further chance for a vanishing one; falls with size as exp(-size / ``small``).
        small: pixels.
        miss_hidden: further chance for a fully occluded or truncated one; rises with the square of the hidden share.
        jitter: standard deviation of each box edge as a share of the box's width or height.
        false_boxes: mean number of boxes per image around nothing (Poisson).
        confused: chance that the label is another category's.
        score: mean score of correct detections; false boxes and confused labels get less.
    """

    miss: float
    miss_small: float
    small: float
    miss_hidden: float
    jitter: float
    false_boxes: float
    confused: float
    score: float

    def miss_chance(self, size: NDArray, hidden: NDArray) -> NDArray[np.float64]:
        """Chance to miss objects of (M,) ``size`` pixels of which the share (M,) ``hidden`` is not seen."""
        found = (1 - self.miss) * (1 - self.miss_small * np.exp(-size / self.small))
        return 1 - found * (1 - self.miss_hidden * np.square(hidden))


# ``good`` is of the class of a large open-vocabulary detector on its home ground, ``weak`` of a sub-million-parameter one.
PROFILES: dict[str, DetectorProfile] = {
    "perfect": DetectorProfile(0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    "good": DetectorProfile(0.03, 0.9, 12.0, 0.7, 0.03, 0.4, 0.06, 0.75),
    "weak": DetectorProfile(0.15, 1.0, 30.0, 0.9, 0.08, 2.0, 0.15, 0.55),
}


def get_profile(name: str) -> DetectorProfile:
    """The profile of that name.

    Raises:
        InputError: the name is unknown.
    """
    if name not in PROFILES:
        raise InputError(f"{name!r} is unknown", field="detector", fix=f"use one of {', '.join(PROFILES)}")
    return PROFILES[name]


def simulate_detector(
    truth: Detections2D,
    width: int,
    height: int,
    profile: DetectorProfile,
    vocabulary: Sequence[str],
    rng: np.random.Generator,
) -> Detections2D:
    """Detections of one image by a detector with this profile.

    Args:
        truth: the visible objects, named or ``NAMELESS``, with attributes ``occluded`` and ``truncated``; masks follow their boxes.
        width, height: of the image in pixels.
        profile: how it errs.
        vocabulary: categories it knows; at least two if it may confuse them.
        rng: source of everything random.

    Returns:
        Detections with scores; ``track_id`` is the instance, -1 for a false box.
    """
    kept, instances = _keep(truth, profile, rng)
    boxes = _jitter(kept.boxes, width, height, profile, rng)
    labels, confused = list(kept.labels), rng.random(len(kept)) < profile.confused
    for k in np.flatnonzero(confused):
        labels[k] = _mistake(labels[k], vocabulary, rng)
    scores = _scores(len(kept), profile.score, rng)
    scores[confused] *= rng.uniform(0.5, 1.0, int(confused.sum())).astype(np.float32)
    masks = None if kept.masks is None else _follow(kept.masks, kept.boxes, boxes)

    count = int(rng.poisson(profile.false_boxes))
    false = _false_boxes(count, width, height, rng)
    if masks is not None:
        filled = np.zeros((count, height, width), bool)
        for mask, (x0, y0, x1, y1) in zip(filled, np.rint(false).astype(int), strict=True):
            mask[y0:y1, x0:x1] = True
        masks = np.concatenate([masks, filled])
    invented = [vocabulary[int(rng.integers(len(vocabulary)))] for _ in range(count)]
    return Detections2D(
        boxes=np.concatenate([boxes, false]),
        scores=np.concatenate([scores, _scores(count, profile.score * 0.5, rng)]),
        labels=(*labels, *invented),
        masks=masks,
        attributes={"track_id": np.concatenate([instances, np.full(count, -1)])},
    )


def _keep(
    truth: Detections2D, profile: DetectorProfile, rng: np.random.Generator
) -> tuple[Detections2D, NDArray[np.int64]]:
    if len(truth) == 0:
        return truth, np.zeros(0, np.int64)
    size = np.sqrt((truth.boxes[:, 2:] - truth.boxes[:, :2]).prod(axis=1))
    hidden = np.maximum(truth.attributes["occluded"], truth.attributes["truncated"])
    kept = truth[np.flatnonzero(rng.random(len(truth)) >= profile.miss_chance(size, hidden))]
    return kept, kept.attributes["track_id"].astype(np.int64)


def _jitter(
    boxes: NDArray[np.float32], width: int, height: int, profile: DetectorProfile, rng: np.random.Generator
) -> NDArray[np.float32]:
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = boxes + profile.jitter * sides * rng.standard_normal(boxes.shape)
    low, high = np.minimum(moved[:, :2], moved[:, 2:]), np.maximum(moved[:, :2], moved[:, 2:])
    # At least a pixel of it stays in the image.
    low = np.clip(low, 0, [width - 1, height - 1])
    high = np.clip(np.maximum(high, low + 1), 1, [width, height])
    return np.concatenate([low, high], axis=1).astype(np.float32)


def _mistake(label: str, vocabulary: Sequence[str], rng: np.random.Generator) -> str:
    """Two in three mistakes are for something similar, if the vocabulary has it; the rest for anything.

    What has no name is like nothing in particular.
    """
    near = () if label == NAMELESS else get_category(label).confusions
    similar = [name for name in near if name in vocabulary]
    if similar and rng.random() < 2 / 3:
        return similar[int(rng.integers(len(similar)))]
    others = [name for name in vocabulary if name != label]
    return others[int(rng.integers(len(others)))]


def _scores(count: int, mean: float, rng: np.random.Generator) -> NDArray[np.float32]:
    if mean >= 1:
        return np.ones(count, np.float32)
    return rng.beta(10 * mean, 10 * (1 - mean), count).astype(np.float32)


def _follow(
    masks: NDArray[np.bool_], old: NDArray[np.float32], new: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Stretch every mask from its old box to its new one."""
    height, width = masks.shape[1:]
    moved = np.zeros_like(masks)
    for target, mask, a, b in zip(moved, masks, old, new, strict=True):
        spans = []
        for axis, limit in ((0, width), (1, height)):
            pixels = np.arange(max(int(np.floor(b[axis])), 0), min(int(np.ceil(b[axis + 2])), limit))
            share = (pixels + 0.5 - b[axis]) / max(b[axis + 2] - b[axis], 1e-6)
            source = np.floor(a[axis] + share * (a[axis + 2] - a[axis])).astype(int)
            spans.append((pixels, np.clip(source, int(a[axis]), int(np.ceil(a[axis + 2])) - 1)))
        (u, from_u), (v, from_v) = spans
        target[np.ix_(v, u)] = mask[np.ix_(from_v, from_u)]
    return moved


def _false_boxes(count: int, width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    sides = np.exp(rng.uniform(np.log(0.05), np.log(0.35), (count, 2))) * min(width, height)
    corner = rng.random((count, 2)) * (np.array([width, height]) - sides)
    return np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
