"""From a training run to the folder that ships: score card, what is familiar, model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import clip2
from clip2.checkpoint import BANK_FILE, CONFIG_FILE, WEIGHTS_FILE, read_config, save
from clip2.mini_points.data import WorldSet, load_world
from clip2.mini_points.model_card import write_model_card
from clip2.mini_points.score_card import measure
from clip2.teacher import Teacher, TextBank
from data_prep.files import write_atomically
from data_prep.scans.procedural import list_categories

SHIPPED = Path(__file__).parent / "weights"
SCORE_FILE, CARD_FILE = "score_card.json", "README.md"
FILES = (CONFIG_FILE, WEIGHTS_FILE, BANK_FILE, SCORE_FILE, CARD_FILE)


def ship(world: Path, run: Path, learn: WorldSet) -> dict[str, Any]:
    """Give a finished run its words, its sense of the familiar, and its papers.

    Args:
        world: made by ``python -m clip2.mini_points mine``.
        run: the run folder; changed in place.
        learn: what it was trained on.

    Returns:
        The score card.
    """
    teacher, model = Teacher.load("mini"), clip2.load(run)
    names = list_categories()
    bank = TextBank(tuple(names), teacher.embed_labels(names), teacher.model, teacher.templates)
    training = read_config(run).training
    save(model, run, bank, training)
    fresh = load_world([world / "eval-room", world / "eval-street"])
    card: dict[str, Any] = measure(clip2.load(run), teacher, fresh).figures()
    card |= {"objects_trained_on": training.get("objects"), "teacher": teacher.model}
    text = json.dumps(card, indent=2) + "\n"
    write_atomically(run / SCORE_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    write_model_card(run, card)
    return card
