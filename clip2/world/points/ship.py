"""Release of the shipped model: text bank, out-of-distribution detector, score card and model card."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import clip2
from clip2.checkpoint import (
    BANK_FILE,
    CONFIG_FILE,
    OOD_FILE,
    WEIGHTS_FILE,
    add_ood_detector,
    read_config,
    save,
)
from clip2.model import Clip2Model
from clip2.ood.detector import OODDetector
from clip2.teacher import Teacher, TextBank
from clip2.training.dataset import combine
from clip2.training.fit_ood import describe_objects, fit_ood_detector
from clip2.world.outliers import Cloud, background_pieces, clutter, cut_pieces, of_wrong_size, solids
from clip2.world.points.data import WorldSet, load_world
from clip2.world.points.found import measure_found, pieces
from clip2.world.points.score_card import measure, write_model_card
from data_prep.storage.files import write_atomically
from data_prep.world import ProceduralScan, list_categories

SHIPPED = Path(__file__).parents[2] / "weights" / "mini-points"
SCORE_FILE, CARD_FILE = "score_card.json", "README.md"
FILES = (CONFIG_FILE, WEIGHTS_FILE, BANK_FILE, OOD_FILE, SCORE_FILE, CARD_FILE)
ACCEPTED = 0.85  # share of fresh objects of the synthetic world to accept as in distribution
FITTED = 10_000  # objects to fit the detector; more do not improve it
# Outliers: places searched per setting (their seed belongs to no triplets), solids, views of clutter, things of wrong size.
_PLACES, _PLACES_SEED, _NAMELESS_PER_PLACE = 60, 555_000, 10
_SOLIDS, _CLUTTER, _WRONG_SIZE = 3000, 4000, 2000


def ship(world: Path, run: Path, learn: WorldSet) -> dict[str, Any]:
    """Add text bank, out-of-distribution detector, score card and model card to a finished run.

    Args:
        world: made by ``python -m clip2.world.points mine``.
        run: the run folder; changed in place.
        learn: the training set.

    Returns:
        The score card.
    """
    teacher, model = Teacher.load("mini"), clip2.load(run)
    names = list_categories()
    bank = TextBank(tuple(names), teacher.embed_labels(names), teacher.model, teacher.templates)
    training = read_config(run).training
    save(model, run, bank, training)
    add_ood_detector(run, _ood_detector(clip2.load(run), world, learn))
    fresh = load_world([world / "eval-room", world / "eval-street"])
    card: dict[str, Any] = measure(clip2.load(run), teacher, fresh).figures()
    card |= measure_found(clip2.load(run), teacher, world / "eval-found")
    card |= {"objects_trained_on": training.get("objects"), "teacher": teacher.model}
    text = json.dumps(card, indent=2) + "\n"
    write_atomically(run / SCORE_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    write_model_card(run, card)
    return card


def _ood_detector(model: Clip2Model, world: Path, learn: WorldSet) -> OODDetector:
    """Fit to labeled training objects, with a threshold from objects of fresh scenes found by the same detector."""
    fresh = load_world([world / f"fresh-{name}" for name in ("room", "street", "found")])
    both = combine([learn.objects, fresh.objects], ["training", "fresh"])
    named = np.flatnonzero(both.own_texts[:, 0] >= 0)
    known, others = named[named < len(learn)], named[named >= len(learn)]
    known = np.random.default_rng(0).permutation(known)[:FITTED]
    nameless = np.flatnonzero(both.own_texts[: len(learn), 0] < 0)[:FITTED]
    sized = [both.cloud(int(row)) for row in known[:_WRONG_SIZE]]
    outliers = [
        describe_objects(model, both, nameless),
        _described(model, pieces(world / "found")),
        _described(model, of_wrong_size(sized)),
        _described(model, solids(_SOLIDS)),
        _described(model, ((points, None) for points in clutter(_CLUTTER))),
    ]
    for setting in ("room", "street"):
        scan = ProceduralScan(setting, _PLACES, _PLACES_SEED, worlds=_PLACES, assemblies=_NAMELESS_PER_PLACE)
        outliers += [_described(model, find(scan)) for find in (background_pieces, cut_pieces)]
    return fit_ood_detector(model, both, known, others, outliers, quantile=ACCEPTED)


def _described(model: Clip2Model, clouds: Iterable[Cloud]) -> NDArray[np.float32]:
    """Features of clouds; clouds with colors are also encoded without them."""
    found = list(clouds)
    features = [model.describe([points for points, _ in found], [colors for _, colors in found]).features]
    colored = [points for points, colors in found if colors is not None]
    if colored:
        features.append(model.describe(colored).features)
    return np.concatenate(features)
