"""Training batches for the mini teacher: images, captions and augmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from clip2.world.teacher.captions import Captioner, true_of
from clip2.world.teacher.pictures import SIZE, Pictures, is_held_out
from data_prep.world import list_categories
from data_prep.world.palette import COLORS


class Batch(NamedTuple):
    """B images and T sentences of one step.

    Attributes:
        images: (B, 3, 64, 64) bfloat16.
        texts: (T, L) token ids: B captions, then a name for each of C categories, then the colored names of a few; no
            rows while the image tower learns alone.
        also_true: (B, B) bool: caption (row) is true of image (column).
        categories: (B,) int64.
        colors: (B,) int64, -1 where the true color is not visible.
        pairs: (B,) int64 index of the correct colored name, counted from the first of them; -1 = none of them.
    """

    images: Tensor
    texts: Tensor
    also_true: Tensor
    categories: Tensor
    colors: Tensor
    pairs: Tensor


@dataclass(frozen=True)
class Mixture:
    """Composition of a training step.

    Attributes:
        batch_size: B.
        scenes: share of images cut out of rooms and streets.
        colored_categories: number of categories named in all their colors.
        repainted, repainted_last: see :func:`~clip2.world.teacher.batches.augment`.
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
        steps: number of steps.
        seed: random seed, combined with the step.
        mixture: composition of a step.
        alone: number of first steps without texts.
        repaint_from: from this step on, objects are repainted too.
        polish_from: from this step on, more objects are repainted; None: never.
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
        """Some categories in all training colors, as (category, color) and as sentences."""
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


FILL = 128  # gray level that pads crops to squares, equal to the preprocessing config
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

ELSEWHERE = 0.3  # share of single objects that are pasted onto another image
COVERED = 0.25  # share with another object in front
RECOLORED = 0.25  # share whose color is removed or changed; their captions do not name a color
COARSE = 0.5  # share that loses pixels


def augment(
    pictures: Pictures, rows: NDArray[np.int64], rng: np.random.Generator, repainted: float = 0.0
) -> tuple[Tensor, NDArray[np.bool_]]:
    """One batch for the image tower.

    Args:
        pictures: where the rows point.
        rows: (B,) image indices.
        rng: random generator.
        repainted: share of the images whose object is repainted or whose hues are rotated. Without it the network
            learns that pairs of category and color missing from the pool do not exist.

    Returns:
        (B, 3, 64, 64) float32 normalized, channels last, and (B,) bool: the true color is still visible.
    """
    count = len(rows)
    images = torch.from_numpy(pictures.images[rows]).permute(0, 3, 1, 2).float() / 255
    masks = torch.from_numpy(np.unpackbits(pictures.masks[rows], axis=-1)).float()[:, None]
    boxes = torch.from_numpy(pictures.boxes[rows])

    _move(images, masks, torch.from_numpy(~pictures.in_scene[rows]), rng)
    _cover(images, masks, boxes, rng)
    shown = _recolor(images, rng)
    if repainted:
        shown[_repaint(images, masks, repainted, rng)] = False
    images = _crop(images, boxes, rng)
    _coarsen(images, rng)
    gain = _uniform(rng, 0.8, 1.2, count, 1, 1, 1)
    shift = _uniform(rng, -0.06, 0.06, count, 1, 1, 1)
    images.sub_(0.5).mul_(gain).add_(shift + 0.5).clamp_(0, 1)
    mirrored = _chosen(rng, count, 0.5)
    images[mirrored] = images[mirrored].flip(-1)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    images.sub_(mean).div_(std)
    return images.contiguous(memory_format=torch.channels_last), shown


def _chosen(rng: np.random.Generator, count: int, share: float) -> Tensor:
    """Random subset of rows of the batch."""
    return torch.from_numpy(np.flatnonzero(rng.random(count) < share))


def _others(rng: np.random.Generator, count: int, rows: Tensor) -> Tensor:
    """For each row, another of the batch."""
    return (rows + torch.from_numpy(rng.integers(1, count, len(rows)))) % count


def _move(images: Tensor, masks: Tensor, movable: Tensor, rng: np.random.Generator) -> None:
    """Replace the background of objects by another image."""
    rows = _chosen(rng, len(images), ELSEWHERE)
    rows = rows[movable[rows]]
    there = images[_others(rng, len(images), rows)].flip(-1)
    images[rows] = torch.lerp(there, images[rows], masks[rows])


def _uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def _cover(images: Tensor, masks: Tensor, boxes: Tensor, rng: np.random.Generator) -> None:
    """Paste another image's object over one side of the box, so that about half of it stays visible."""
    rows = _chosen(rng, len(images), COVERED)
    others, count = _others(rng, len(images), rows), len(rows)
    angle = _uniform(rng, 0, 2 * np.pi, count)
    reach = (boxes[rows, 2:] - boxes[rows, :2]) / 2
    center = (boxes[rows, 2:] + boxes[rows, :2]) / 2
    target = center + torch.stack([angle.cos(), angle.sin()], 1) * reach * _uniform(rng, 0.9, 1.4, count, 1)
    theirs = (boxes[others, 2:] + boxes[others, :2]) / 2
    scale = _uniform(rng, 0.7, 1.6, count)  # pixels of theirs per pixel of ours
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    # Normalized coordinates run from -1 to 1: theirs = scale * (ours - target) + their center.
    theta[:, :, 2] = (theirs - SIZE / 2 - scale[:, None] * (target - SIZE / 2)) / (SIZE / 2)
    grid = functional.affine_grid(theta, [count, 1, SIZE, SIZE], align_corners=False)
    both = torch.cat([images[others], masks[others]], 1)
    front = functional.grid_sample(both, grid, align_corners=False)
    images[rows] = torch.lerp(images[rows], front[:, :3], (front[:, 3:] > 0.5).float())


def _recolor(images: Tensor, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Remove or change the colors of some images; returns a mask of those with true colors."""
    rows = _chosen(rng, len(images), RECOLORED)
    orders = torch.from_numpy(rng.permuted(np.tile(np.arange(3), (len(rows), 1)), axis=1))
    other = images[rows].gather(1, orders[:, :, None, None].expand(-1, -1, SIZE, SIZE))
    inverted, gray = _chosen(rng, len(rows), 0.2), _chosen(rng, len(rows), 0.4)
    other[inverted] = 1 - other[inverted]
    other[gray] = other[gray].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    images[rows] = other
    shown = np.ones(len(images), bool)
    shown[rows.numpy()] = False
    return shown


# Rec. 601 luma.
_LUMA = (0.299, 0.587, 0.114)


def _repaint(images: Tensor, masks: Tensor, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Paint some objects in one random color, keep their shading, rotate the hues of other images; returns a mask."""
    rows = _chosen(rng, len(images), share)
    painted, turned = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    luma = torch.tensor(_LUMA)[:, None, None]
    gray = (images[painted] * luma).sum(1, keepdim=True)
    inside = masks[painted]
    mean = (gray * inside).sum((1, 2, 3), keepdim=True) / inside.sum((1, 2, 3), keepdim=True).clamp_min(1)
    paint = _uniform(rng, 0.03, 1, len(painted), 3, 1, 1)
    coat = (gray / mean.clamp_min(0.05) * paint).clamp_(0, 1)
    images[painted] = torch.lerp(images[painted], coat, inside)

    gray = (images[turned] * luma).sum(1, keepdim=True)
    chroma = images[turned] - gray
    angle = _uniform(rng, 0, 2 * np.pi, len(turned), 1, 1, 1)
    # Rodrigues rotation about the gray axis: changes hues, keeps grays.
    cross = (chroma.roll(-1, 1) - chroma.roll(1, 1)) / np.sqrt(3)
    along = chroma.mean(1, keepdim=True) * (1 - angle.cos())
    turn = chroma * angle.cos() + cross * angle.sin() + along
    images[turned] = (gray + turn * _uniform(rng, 0.3, 1.5, len(turned), 1, 1, 1)).clamp_(0, 1)
    both: NDArray[np.int64] = rows.numpy()
    return both


def _crop(images: Tensor, boxes: Tensor, rng: np.random.Generator) -> Tensor:
    """Crop along the box, with a margin and detector errors; the longer side fills the image."""
    count = len(images)
    size = boxes[:, 2:] - boxes[:, :2]
    sides = torch.from_numpy(rng.normal(0.07, 0.06, (count, 4)).astype(np.float32)).clamp_(-0.12, 0.28)
    low, high = boxes[:, :2] - sides[:, :2] * size, boxes[:, 2:] + sides[:, 2:] * size
    center, half = (low + high) / 2, ((high - low) / 2).clamp_min(1.5)
    longest = half.amax(dim=1)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = longest / (SIZE / 2)
    theta[:, :, 2] = (center - SIZE / 2) / (SIZE / 2)
    grid = functional.affine_grid(theta, [count, 1, SIZE, SIZE], align_corners=False)
    cut = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    steps = ((torch.arange(SIZE) + 0.5) / (SIZE / 2) - 1).abs()
    share = (half / longest[:, None])[:, :, None]
    inside = (steps <= share[:, 0])[:, None, None, :] & (steps <= share[:, 1])[:, None, :, None]
    return cut.sub_(FILL / 255).mul_(inside).add_(FILL / 255)


def _coarsen(images: Tensor, rng: np.random.Generator) -> None:
    """Reduce the resolution of some images."""
    chosen = rng.permutation(len(images))[: int(COARSE * len(images))]
    for part in np.array_split(chosen, 4):
        side = int(np.exp(rng.uniform(np.log(12), np.log(SIZE))))
        rows = torch.from_numpy(part)
        small = functional.interpolate(images[rows], size=(side, side), mode="area")
        images[rows] = functional.interpolate(small, size=(SIZE, SIZE), mode="bicubic", align_corners=False)
