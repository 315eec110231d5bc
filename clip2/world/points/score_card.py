"""What a point encoder of the embedded world can do, measured on scenes it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from clip2.model import Clip2Model
from clip2.teacher import TextSource
from clip2.world.points.data import WorldSet, kept_out_pairs
from data_prep.world import list_categories
from data_prep.world.palette import COLORS


@dataclass(frozen=True)
class StudentCard:
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
) -> StudentCard:
    """Name the objects of a world set whose truth is known.

    Args:
        model: trained with ``unseen`` and the pairs of :func:`~clip2.world.points.data.kept_out_pairs` kept out.
        teacher: turns words into vectors.
        world: objects of fresh scenes, cut out along exact boxes, with the teacher's image vectors.
        unseen: categories that were kept out.
        clear: only objects that show well (:attr:`WorldSet.clear`); False: all of them, slivers included.
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
    # Only what has colors can show an unseen one; what has none shows nothing new.
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
    return StudentCard(
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
