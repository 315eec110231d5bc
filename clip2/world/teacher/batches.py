"""What one training step sees: pictures, their captions, and two lists of words to choose from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from clip2.world.teacher.augment import augment
from clip2.world.teacher.captions import Captioner, true_of
from clip2.world.teacher.pictures import Pictures, is_held_out
from data_prep.world import list_categories
from data_prep.world.palette import COLORS


class Batch(NamedTuple):
    """B pictures and T sentences of one step.

    Attributes:
        images: (B, 3, 64, 64) bfloat16.
        texts: (T, L) token ids: B captions, then a name for each of C categories, then the colored names of a few; no
            rows while the image tower learns alone.
        also_true: (B, B) bool: caption (row) is true of picture (column).
        categories: (B,) int64.
        colors: (B,) int64, -1 where the true color does not show.
        pairs: (B,) int64: which colored name is right, counted from the first of them; -1 = none of them.
    """

    images: Tensor
    texts: Tensor
    also_true: Tensor
    categories: Tensor
    colors: Tensor
    pairs: Tensor


@dataclass(frozen=True)
class Mixture:
    """How a step is put together.

    Attributes:
        batch_size: B.
        scenes: share of pictures cut out of rooms and streets.
        colored_categories: how many categories are named in all their colors.
        repainted, repainted_last: see :func:`~clip2.world.teacher.augment.augment`.
    """

    batch_size: int = 256
    scenes: float = 0.35
    colored_categories: int = 6
    repainted: float = 0.35
    repainted_last: float = 0.6


class Batches(Dataset[Batch]):
    """Step ``i`` of a seed is always the same batch.

    Args:
        pictures: the pool.
        tokenize: sentences → (n, L) ids.
        steps: length.
        seed: source of everything random, with the step.
        mixture: how a step is put together.
        alone: so many first steps come without words.
        repaint_from: from this step on, objects are repainted too.
        polish_from: from this step on, more of them are; None: never.
    """

    def __init__(
        self,
        pictures: Pictures,
        tokenize: Callable[[list[str]], Tensor],
        steps: int,
        seed: int,
        mixture: Mixture,
        alone: int = 0,
        repaint_from: int = 0,
        polish_from: int | None = None,
    ) -> None:
        self._alone, self._repaint_from = alone, repaint_from
        self._polish_from = steps if polish_from is None else polish_from
        self._pictures, self._tokenize = pictures, tokenize
        self._steps, self._seed, self._mixture = steps, seed, mixture
        self._scenes = np.flatnonzero(pictures.in_scene)
        self._single = np.flatnonzero(~pictures.in_scene)
        # Scenes hold many cars and few globes: draw categories evenly first.
        self._scenes_of = [self._scenes[pictures.category[self._scenes] == c] for c in range(_categories())]
        self._captioner = Captioner()

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self._seed, step])
        rows = self._rows(rng)
        pictures = self._pictures
        repainted = self._mixture.repainted if step >= self._repaint_from else 0.0
        if step >= self._polish_from:
            repainted = self._mixture.repainted_last
        images, shown = augment(pictures, rows, rng, repainted)
        categories = torch.from_numpy(pictures.category[rows].astype(np.int64))
        colors = torch.from_numpy(np.where(shown, pictures.color[rows], -1).astype(np.int64))
        if step < self._alone:
            nothing = torch.zeros(0, dtype=torch.int64)
            return Batch(images.bfloat16(), nothing, nothing, categories, colors, nothing)
        captions = [
            self._captioner.write(
                int(pictures.category[row]),
                int(pictures.color[row]) if visible else -1,
                pictures.words[row],
                rng,
            )
            for row, visible in zip(rows, shown, strict=True)
        ]
        names = [self._captioner.name(category, -1, rng) for category in range(_categories())]
        pairs, colored = self._colored(rng)
        index = {pair: number for number, pair in enumerate(pairs)}
        right = [
            index.get((int(pictures.category[row]), int(pictures.color[row])), -1) if visible else -1
            for row, visible in zip(rows, shown, strict=True)
        ]
        return Batch(
            images.bfloat16(),
            self._tokenize([caption.text for caption in captions] + names + colored),
            torch.from_numpy(true_of(captions, pictures, rows, shown)),
            categories,
            colors,
            torch.tensor(right),
        )

    def _rows(self, rng: np.random.Generator) -> np.ndarray:
        count = self._mixture.batch_size
        from_scenes = round(count * self._mixture.scenes) if len(self._scenes) else 0
        single = rng.choice(self._single, count - from_scenes, replace=False)
        kinds = rng.integers(0, _categories(), from_scenes)
        scenes = [self._pick(self._scenes_of[kind], rng) for kind in kinds]
        return np.concatenate([single, np.array(scenes, single.dtype)])

    def _pick(self, rows: np.ndarray, rng: np.random.Generator) -> int:
        return int(
            rows[rng.integers(len(rows))] if len(rows) else self._scenes[rng.integers(len(self._scenes))]
        )

    def _colored(self, rng: np.random.Generator) -> tuple[list[tuple[int, int]], list[str]]:
        """Some categories in all colors that may be learned, as (category, color) and as sentences."""
        names, colors = list_categories(), list(COLORS)
        kinds = rng.choice(len(names), self._mixture.colored_categories, replace=False)
        pairs = [
            (int(kind), color)
            for kind in kinds
            for color in range(len(colors))
            if not is_held_out(names[kind], colors[color])
        ]
        return pairs, [self._captioner.name(kind, color, rng) for kind, color in pairs]


def _categories() -> int:
    return len(list_categories())
