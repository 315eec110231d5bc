"""Score card and model card of mini-points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.checkpoint import read_config
from clip2.model import Clip2Model
from clip2.teacher import TextSource
from clip2.world.points.data import WorldSet, kept_out_pairs
from data_prep.storage.files import write_atomically
from data_prep.world import list_categories
from data_prep.world.palette import COLORS


@dataclass(frozen=True)
class EncoderCard:
    """Top-1 accuracies, 0..1, of naming lifted objects; None where nothing was kept out.

    Attributes:
        seen: objects of categories and colors that were trained on, among all categories.
        teacher_seen: the teacher's own, on the image crops of the same objects.
        of_teacher: ``seen / teacher_seen``.
        unseen_among_unseen: objects of categories kept out, among those.
        unseen_among_all: the same objects, among all categories.
        unseen_pairs: colored objects in a color kept out of their category, among all pairs of color and category.
        teacher_unseen_pairs: the teacher's own, on the crops of the same objects.
        category_in_unseen_color: the same objects, among all categories.
        seen_objects, unseen_objects, pair_objects: how many were named.
    """

    seen: float
    teacher_seen: float
    of_teacher: float
    unseen_among_unseen: float | None
    unseen_among_all: float | None
    unseen_pairs: float | None
    teacher_unseen_pairs: float | None
    category_in_unseen_color: float | None
    seen_objects: int
    unseen_objects: int
    pair_objects: int

    def figures(self) -> dict[str, float | None]:
        """All of it, rounded, for JSON."""
        return {k: None if v is None else round(v, 4) for k, v in asdict(self).items()}


def measure(
    model: Clip2Model, teacher: TextSource, world: WorldSet, unseen: Sequence[str] = (), clear: bool = True
) -> EncoderCard:
    """Name the objects of a world set whose truth is known.

    Args:
        model: trained with ``unseen`` and the pairs of :func:`~clip2.world.points.data.kept_out_pairs` kept out.
        teacher: embeds the labels.
        world: objects of fresh scenes, cut out along exact boxes, with the teacher's image vectors.
        unseen: categories that were kept out.
        clear: only clearly visible objects (:attr:`WorldSet.clear`); False: all, including slivers.
    """
    rows = np.flatnonzero((world.category >= 0) & (world.clear | (not clear)))
    world = world.select(rows)
    names, colors = list_categories(), list(COLORS)
    clouds = [world.objects.cloud(i) for i in range(len(world))]
    points = model.encode([cloud for cloud, _ in clouds], [color for _, color in clouds]).numpy()
    assert world.objects.images is not None
    crops = world.objects.images.astype(np.float32)
    words = model.teacher.require(teacher).embed_labels(names)
    hit = _right(points, words, world.category)
    teacher_hit = _right(crops, words, world.category)
    kept_out = np.isin(world.category, [names.index(name) for name in unseen])
    pair = kept_out_pairs()[world.category, world.color] & ~kept_out
    # Only colored objects can have an unseen color.
    pair_shown = pair & world.objects.has_color
    seen = ~kept_out & ~pair_shown
    among = np.zeros(0, bool)
    if unseen:
        four = [names.index(name) for name in unseen]
        position = np.searchsorted(four, world.category[kept_out])
        among = _right(points[kept_out], words[four], position)
    asked = [f"{color} {name}" for name in names for color in colors]
    pair_words = model.teacher.require(teacher).embed_labels(asked) if pair_shown.any() else words
    truth = world.category * len(colors) + world.color
    return EncoderCard(
        seen=float(hit[seen].mean()),
        teacher_seen=float(teacher_hit[seen].mean()),
        of_teacher=float(hit[seen].mean() / teacher_hit[seen].mean()),
        unseen_among_unseen=_mean(among),
        unseen_among_all=_mean(hit[kept_out]),
        unseen_pairs=_mean(_right(points[pair_shown], pair_words, truth[pair_shown])),
        teacher_unseen_pairs=_mean(_right(crops[pair_shown], pair_words, truth[pair_shown])),
        category_in_unseen_color=_mean(hit[pair_shown]),
        seen_objects=int(seen.sum()),
        unseen_objects=int(kept_out.sum()),
        pair_objects=int(pair_shown.sum()),
    )


def _right(vectors: NDArray[np.float32], words: NDArray[np.float32], truth: NDArray) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = (vectors @ words.T).argmax(axis=1) == truth
    return right


def _mean(hits: NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if len(hits) else None


_TEXT = """# mini-points

A small point encoder ({parameters:.2f} M parameters, {encoder}, {points} points, with or without color) that names
objects of one synthetic world: {words} kinds of things in rooms and streets, drawn by `clip2` itself. It ships so that
the first command works on the first try and every step can be tried offline. **It is not CLIP and was not taught by
CLIP**: its teacher is `mini` (`{teacher}`), our own small stand-in, which has seen nothing but pictures of that world.
On real scans it is a demonstration. Train on your own triplets with a real CLIP for real work.

- Trained by the ordinary path on {objects} objects: rooms seen by an RGB-D camera and streets seen by a LiDAR, boxes of a
  simulated detector with flaws, lifting, triplets, `clip2 embed`, both loss terms. Nameless things (random
  assemblies) took part with their pictures alone.
- In one run of {steps:,} steps from random weights: single frames, rooms seen from six sides, both as whole clouds and
  view by view, and what proposals find in fused rooms, labeled by the world's truth.
- One color in ten was kept out of each category's triplets; the score card names just those.
- Points: meters, z up, one object each. Objects of streets had no color.
- What is unlike everything it was trained on is called "unknown".

## Score card

Objects of scenes never seen, cut out along exact boxes. Teacher: its own naming of the same objects' image crops.

| | top-1 |
|---|---|
{rows}

Made by `python -m clip2.world.points train`. What happens to categories that were never trained on, over draws of four, and
what each part of the recipe is worth, is in docs/synthetic-world.md.
"""

_NAMES = {
    "seen": "all categories, among {words} words",
    "teacher_seen": "the teacher, on the crops of the same objects",
    "of_teacher": "share of the teacher's accuracy",
    "unseen_pairs": "color and category, in a color kept out of the category, among {pairs} pairs",
    "teacher_unseen_pairs": "the teacher, on the crops of the same objects",
    "category_in_unseen_color": "the same objects, category alone",
    "found_named": "things that proposals found in fused rooms, among the names of rooms",
    "found_answered": "the same, if `unknown` counts as wrong",
    "pieces_answered": "proposals that show no thing and are not called unknown (fewer are better)",
}


def write_model_card(folder: Path, card: Mapping[str, Any], words: int = 73, colors: int = 11) -> None:
    """Write ``README.md`` beside the weights.

    Args:
        folder: a checkpoint.
        card: its score card.
        words, colors: numbers of categories and colors.
    """
    config = read_config(folder)
    rows = [
        f"| {text.format(words=words, pairs=words * colors)} | {card[key]:.1%} |"
        for key, text in _NAMES.items()
        if card.get(key) is not None
    ]
    import clip2

    text = _TEXT.format(
        parameters=clip2.load(folder).parameter_count() / 1e6,
        encoder=config.model.encoder.name,
        points=config.model.preprocessing.num_points,
        words=words,
        teacher=config.model.teacher.name,
        objects=f"{config.training.get('objects', 0):,}",
        steps=config.training.get("total_steps", 0),
        rows="\n".join(rows),
    )
    write_atomically(folder / "README.md", lambda path: path.write_text(text, encoding="utf-8"))
