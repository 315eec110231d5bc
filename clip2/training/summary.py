"""What a run says about its data before it begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clip2.model_config import ColorsSeen
from clip2.training.colors import say_colors
from clip2.training.dataset import TrainingSet


def introduction(
    data: TrainingSet, train_on: NDArray[np.int64], held_out: int, seen: ColorsSeen
) -> list[str]:
    """Lines for people: counts, color, what was left out.

    Args:
        data: the packed set.
        train_on: (m,) rows that are trained on.
        held_out: how many objects are named only.
        seen: the states of color the run shows.
    """
    wordless = int((data.own_texts[train_on, 0] < 0).sum())
    pictures, colors = int(data.image_present[train_on].sum()), int(data.has_color[train_on].sum())
    clouds = data.clouds
    where = "mapped from the float16 files beside the shards" if clouds.mapped else "in memory"
    return [
        f"{len(train_on)} objects ({pictures} with a picture, {colors} with color), {len(data.texts)} words, "
        f"{held_out} objects held out, vectors of {data.teacher.name}",
        *([f"{wordless} objects have no word and teach by their picture alone"] if wordless else []),
        f"points: {clouds.nbytes / 1e6:.1f} MB {where}",
        say_colors(seen),
        *(f"{count} objects left out: {reason}" for reason, count in data.left_out.items()),
    ]
