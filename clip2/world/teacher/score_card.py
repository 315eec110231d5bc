"""Score card and temperature calibration of the mini teacher."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.special import softmax

from clip2.teacher.teacher import Teacher
from clip2.tensor_files import save_tensors
from clip2.world.teacher.pictures import Pictures, draw_objects, draw_scene
from clip2.world.teacher.training import WEIGHTS_FILE
from data_prep.world import get_category, list_categories
from data_prep.world.palette import COLORS

MARGIN = 0.1  # margin around the box, as in ``clip2 prep``
SCENES_APART = 900_000_000  # first seed of evaluation scenes, never used in training


@dataclass(frozen=True)
class ScoreCard:
    """Top-1 accuracies, 0..1, on fresh instances.

    Attributes:
        category: single objects in training colors, among all categories.
        category_in_scenes: crops of rooms and streets, cut along the visible object; with occlusion, distance and any
            color.
        unseen_pair: single objects in a color never seen on their category, named as color and category among all
            pairs.
        unseen_pair_category: the same objects, named among all categories without color.
        unseen_pair_color: the same objects, the color named among all colors of the right category.
        synonym: single objects of categories with synonyms, each category called by one of them.
        synonym_nearest: share of synonyms whose nearest category name is the right one.
        calibration_error: expected calibration error of the category probabilities (15 bins), 0 = calibrated.
        objects, scene_objects, unseen_objects: numbers of scored objects.
        seed: seed of the instances.
    """

    category: float
    category_in_scenes: float
    unseen_pair: float
    unseen_pair_category: float
    unseen_pair_color: float
    synonym: float
    synonym_nearest: float
    calibration_error: float
    objects: int
    scene_objects: int
    unseen_objects: int
    seed: int

    def figures(self) -> dict[str, float]:
        """All of it, rounded, for JSON."""
        return {key: round(value, 4) for key, value in asdict(self).items()}


def measure(
    teacher: Teacher, seed: int, per_category: int = 20, rooms: int = 40, streets: int = 10
) -> ScoreCard:
    """Score a teacher on fresh instances.

    Args:
        teacher: ``mini``, or any other.
        seed: seed of the instances; training used others.
        per_category: single objects of each category, one image each.
        rooms, streets: worlds for ``category_in_scenes``.
    """
    names, colors = list_categories(), list(COLORS)
    single = draw_objects([seed, 1], range(per_category * len(names)), views=1)
    unseen = draw_objects([seed, 2], range(per_category * len(names)), views=1, held_out=True)
    scenes = Pictures.join(
        [
            draw_scene("room", SCENES_APART + 1_000_000 * seed, range(rooms), held_out=None),
            draw_scene("street", SCENES_APART + 1_000_000 * seed, range(streets), held_out=None),
        ]
    )
    words = teacher.embed_labels(names)
    single_vectors, unseen_vectors = embed(teacher, single), embed(teacher, unseen)
    pairs = [(category, color) for category in range(len(names)) for color in range(len(colors))]
    pair_words = teacher.embed_labels([f"{colors[color]} {names[category]}" for category, color in pairs])
    chosen = (unseen_vectors @ pair_words.T).argmax(axis=1)
    row_of = {pair: row for row, pair in enumerate(pairs)}
    truth = np.array([row_of[int(c), int(k)] for c, k in zip(unseen.category, unseen.color, strict=True)])
    by_color = (unseen_vectors @ pair_words.T).reshape(len(unseen), len(names), len(colors))
    by_color = by_color[np.arange(len(unseen)), unseen.category]
    synonyms = [(row, word) for row, name in enumerate(names) for word in get_category(name).synonyms]
    synonym_vectors = teacher.embed_labels([word for _, word in synonyms])
    nearest = (synonym_vectors @ words.T).argmax(axis=1)
    rng = np.random.default_rng(seed)
    renamed = words.copy()
    for row in range(len(names)):
        mine = [i for i, (owner, _) in enumerate(synonyms) if owner == row]
        if mine:
            renamed[row] = synonym_vectors[mine[rng.integers(len(mine))]]
    have = np.isin(single.category, [row for row, _ in synonyms])
    return ScoreCard(
        category=_top1(single_vectors, words, single.category),
        category_in_scenes=_top1(embed(teacher, scenes), words, scenes.category),
        unseen_pair=float((chosen == truth).mean()),
        unseen_pair_category=_top1(unseen_vectors, words, unseen.category),
        unseen_pair_color=float((by_color.argmax(axis=1) == unseen.color).mean()),
        synonym=_top1(single_vectors[have], renamed, single.category[have]),
        synonym_nearest=float(np.mean(nearest == [row for row, _ in synonyms])),
        calibration_error=calibration_error(
            teacher.logit_scale * single_vectors @ words.T, single.category.astype(np.int64)
        ),
        objects=len(single),
        scene_objects=len(scenes),
        unseen_objects=len(unseen),
        seed=seed,
    )


def embed(teacher: Teacher, pictures: Pictures) -> NDArray[np.float32]:
    """Vectors of the objects in images, cropped along their boxes as in triplets."""
    return teacher.encode_images(cut_out(pictures))


def cut_out(pictures: Pictures) -> list[NDArray[np.uint8]]:
    """(h, w, 3) uint8 crops along the boxes, with the margin of triplets."""
    crops = []
    for image, (x0, y0, x1, y1) in zip(pictures.images, pictures.boxes, strict=True):
        grow_x, grow_y = MARGIN * (x1 - x0), MARGIN * (y1 - y0)
        rows = slice(max(0, round(y0 - grow_y)), max(1, round(y1 + grow_y)))
        crops.append(image[rows, max(0, round(x0 - grow_x)) : max(1, round(x1 + grow_x))])
    return crops


def calibration_error(logits: NDArray[np.float32], truth: NDArray[np.int64], bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017): mean gap between confidence and accuracy over confidence bins."""
    probability = softmax(logits, axis=1)
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == truth
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(right[which == b].mean() - confidence[which == b].mean()) * (which == b).mean()
        for b in set(which)
    ]
    return float(np.sum(gaps))


def _top1(vectors: NDArray[np.float32], words: NDArray[np.float32], truth: Sequence[int] | NDArray) -> float:
    return float(((vectors @ words.T).argmax(axis=1) == truth).mean())


def calibrate(folder: Path, seed: int, per_category: int = 10) -> float:
    """Replace the learned logit scale by the maximum-likelihood scale on fresh objects (Guo et al. 2017).

    The learned scale is overconfident on fresh images. Calibration does not change the ranking of labels.

    Returns:
        The new scale.
    """
    teacher = Teacher.load(f"local-dir:{folder}", precision="fp32")
    names = list_categories()
    fresh = draw_objects([seed, 3], range(per_category * len(names)), views=1)
    cosines = torch.from_numpy(embed(teacher, fresh) @ teacher.embed_labels(names).T)
    truth = torch.from_numpy(fresh.category.astype(np.int64))
    candidates = np.exp(np.linspace(math.log(5), math.log(100), 60))
    losses = [float(torch.nn.functional.cross_entropy(scale * cosines, truth)) for scale in candidates]
    best = float(candidates[int(np.argmin(losses))])
    path = folder / WEIGHTS_FILE
    weights = load_file(path)
    weights["logit_scale"] = torch.tensor(math.log(best), dtype=weights["logit_scale"].dtype)
    save_tensors(path, weights)
    return best
