"""Trains point encoders on mined triplets of the embedded world, with parts of it kept out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from clip2.training import load_config, train
from clip2.world.points.data import WorldSet, kept_out_pairs
from data_prep.world import list_categories

CONFIG = Path(__file__).parent / "train.yaml"


def rows_to_learn(world: WorldSet, unseen: Sequence[str] = ()) -> NDArray[np.int64]:
    """Objects that give nothing of the kept-out parts away.

    An object goes when the truth or the detector's word is of a kept-out category, or when it shows a kept-out pair.
    """
    names = list_categories()
    gone = np.isin(world.category, [names.index(name) for name in unseen])
    words = [row for row, text in enumerate(world.objects.texts) if text in unseen]
    gone |= np.isin(world.objects.own_texts, words).any(axis=1)
    known = world.category >= 0
    gone[known] |= (
        kept_out_pairs()[world.category[known], world.color[known]] & world.objects.has_color[known]
    )
    return np.flatnonzero(~gone)


def train_student(
    world: WorldSet,
    out: Path,
    *,
    unseen: Sequence[str] = (),
    overrides: Sequence[str] = (),
    console: Console | None = None,
) -> Path:
    """Train one encoder; called again after a kill it continues.

    Args:
        world: mined triplets.
        out: run folder.
        unseen: categories to keep out.
        overrides: of the configuration, like ``seed=1``.
        console: where progress goes.
    """
    kept = world.select(rows_to_learn(world, unseen)).objects.without_texts(unseen)
    result = train(load_config(CONFIG, overrides), out, resume=True, data=kept, console=console)
    if not result.finished:
        raise KeyboardInterrupt(f"stopped at step {result.step} of {result.total}; the same call continues")
    return out
