"""The model card that travels with ``mini-points``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clip2.checkpoint import read_config
from data_prep.storage.files import write_atomically

_TEXT = """# mini-points

A small point encoder ({parameters:.2f} M parameters, {encoder}, {points} points, with or without color) that names
objects of one made-up world: {words} kinds of things in rooms and streets, drawn by `clip2` itself. It ships so that
the first command works on the first try and every step can be tried offline. **It is not CLIP and was not taught by
CLIP**: its teacher is `mini` (`{teacher}`), our own small stand-in, which has seen nothing but pictures of that world.
On real scans it is a demonstration. Train on your own triplets with a real CLIP for real work.

- Trained by the ordinary path on {objects} objects: rooms seen by an RGB-D camera and streets seen by a LiDAR, boxes of a
  simulated detector with flaws, lifting, triplets, `clip2 embed`, both loss terms. Nameless things (random
  assemblies) took part with their pictures alone.
- One color in ten was kept out of each category's triplets; the score card names just those.
- Points: meters, z up, one object each. Objects of streets had no color.
- What is unlike everything it was trained on is called "unknown".

## Score card

Objects of scenes never seen, cut out along exact boxes. Teacher: its own naming of the same objects' image crops.

| | top-1 |
|---|---|
{rows}

Made by `python -m clip2.world.points train`. What happens to categories that were never trained on, over three draws of
four, and what each part of the recipe is worth, is in docs/mini.md.
"""

_NAMES = {
    "seen": "all categories, among {words} words",
    "teacher_seen": "the teacher, on the crops of the same objects",
    "of_teacher": "share of the teacher's accuracy",
    "unseen_pairs": "color and category, in a color kept out of the category, among {pairs} pairs",
    "teacher_unseen_pairs": "the teacher, on the crops of the same objects",
    "category_in_unseen_color": "the same objects, category alone",
}


def write_model_card(folder: Path, card: Mapping[str, Any], words: int = 73, colors: int = 11) -> None:
    """Write ``README.md`` beside the weights.

    Args:
        folder: a checkpoint.
        card: its score card.
        words, colors: how many categories and colors there are.
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
        rows="\n".join(rows),
    )
    write_atomically(folder / "README.md", lambda path: path.write_text(text, encoding="utf-8"))
