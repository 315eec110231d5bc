"""Which states of color a run shows to the network: what it never saw it must not be asked about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clip2.model_config import ColorsSeen
from clip2.training.config import TrainConfig


def colors_seen(has_color: NDArray[np.bool_], config: TrainConfig) -> ColorsSeen:
    """What training on these objects teaches about color.

    Args:
        has_color: (n,) of the objects that are trained on.
        config: ``color_drop`` shows colored objects without their color too; all of them at 1.
    """
    drop = config.augmentation.color_drop
    if not config.model.preprocessing.color or drop == 1 or not has_color.any():
        return "absent"
    return "both" if drop > 0 or not has_color.all() else "present"


def say_colors(seen: ColorsSeen) -> str:
    """What follows for the use of the model, in one line."""
    return {
        "absent": "seen without color only: the model will ignore colors",
        "present": "seen with color only: the model will refuse clouds without (augmentation.color_drop above 0 trains both)",
        "both": "seen with and without color: the model will take both",
    }[seen]
