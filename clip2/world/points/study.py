"""Training of mini-points, and a study of unseen categories, unseen colors and ablations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import clip2
from clip2.teacher import Teacher
from clip2.training import load_config, train
from clip2.world.points.data import WorldSet, draw_unseen, kept_out_pairs, load_world
from clip2.world.points.score_card import measure
from data_prep.storage.files import write_atomically
from data_prep.world import list_categories

DRAWS = (0, 1, 2)
RESULT_FILE = "score_card.json"


@dataclass(frozen=True)
class Variant:
    """Training variant of the study.

    Attributes:
        name: name of the row in the table.
        overrides: changes to the shipped configuration.
        folders: training folders, below the world's folder.
        nameless: whether unlabeled objects are used.
    """

    name: str
    overrides: tuple[str, ...] = ()
    folders: tuple[str, ...] = ("room", "around", "street")
    nameless: bool = True


# The paper's central claim is that both terms together are better than either; the others are our own choices.
VARIANTS = (
    Variant("text and image"),
    Variant("text only", ("objective.image_weight=0",)),
    Variant("image only", ("objective.text_weight=0",)),
    Variant("without nameless things", nameless=False),
    Variant("single frames only", folders=("room", "street")),
    Variant("without cuts", ("augmentation.cut=0",)),
    Variant("without the size", ("model.preprocessing.size=false",)),
    Variant("true colors only", ("augmentation.recolor=0",)),
    Variant("fewer frames, detector with flaws", folders=("noisy", "street")),
    Variant("fewer frames, perfect boxes", folders=("perfect", "street")),
)


def run_study(
    world: Path,
    out: Path,
    *,
    variants: Sequence[Variant] = VARIANTS,
    draws: Sequence[int] = DRAWS,
    part: tuple[int, int] = (0, 1),
    overrides: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Train and measure every variant on every draw; finished runs are skipped.

    Args:
        world: folder with the mined and embedded folders of the variants, and ``eval-room``, ``eval-street``.
        out: receives one run folder each.
        variants, draws: runs to do; a draw's number is its training seed, too.
        part: k of n: this process does every n-th run, for several processes at once.
        overrides: changes to the configuration of every run.
        console: receives the progress bars.
    """
    teacher = Teacher.load("mini")
    fresh = load_world([world / "eval-room", world / "eval-street"])
    # By draw, so that an interrupted study is still a comparison.
    runs = [(v, draw) for draw in draws for v in variants]
    cache: dict[tuple[str, ...], WorldSet] = {}
    for variant, draw in runs[part[0] :: part[1]]:
        folder = out / f"{variant.name.replace(' ', '-').replace(',', '')}-draw{draw}"
        if (folder / RESULT_FILE).exists():
            continue
        if variant.folders not in cache:
            cache = {variant.folders: load_world([world / name for name in variant.folders])}
        learn = cache[variant.folders]
        if not variant.nameless:
            learn = learn.select(np.flatnonzero(learn.objects.own_texts[:, 0] >= 0))
        unseen = draw_unseen(draw)
        asked = (*overrides, *variant.overrides, f"seed={draw}")
        train_encoder(learn, folder, unseen=unseen, overrides=asked, console=console)
        card = measure(clip2.load(folder), teacher, fresh, unseen)
        document = {"variant": variant.name, "draw": draw, "unseen": unseen, **card.figures()}
        text = json.dumps(document, indent=2) + "\n"
        write_atomically(folder / RESULT_FILE, lambda path, text=text: path.write_text(text))  # type: ignore[misc]
        if console is not None:
            console.print(json.dumps(document), highlight=False)


COLUMNS = (
    "of_teacher",
    "seen",
    "unseen_among_unseen",
    "unseen_among_all",
    "unseen_pairs",
    "category_in_unseen_color",
)


def summary(out: Path) -> dict[str, dict[str, tuple[float, float, int]]]:
    """Mean, sample standard deviation (0 for one run) and number of runs of each figure of each variant, over draws."""
    cards = [json.loads(path.read_text()) for path in sorted(out.glob(f"*/{RESULT_FILE}"))]
    table: dict[str, dict[str, tuple[float, float, int]]] = {}
    for name in dict.fromkeys([v.name for v in VARIANTS] + [card["variant"] for card in cards]):
        mine = [card for card in cards if card["variant"] == name]
        if mine:
            values = {
                column: [card[column] for card in mine if card[column] is not None] for column in COLUMNS
            }
            table[name] = {
                column: (float(np.mean(v)), float(np.std(v, ddof=min(1, len(v) - 1))), len(v))
                for column, v in values.items()
                if v
            }
    return table


def markdown(table: dict[str, dict[str, tuple[float, float, int]]]) -> str:
    """The summary as a table for people."""
    heads = (
        "of the teacher's",
        "seen",
        "unseen, of four",
        "unseen, of all",
        "unseen pairs",
        "in unseen color",
    )
    lines = [f"| training | runs | {' | '.join(heads)} |", f"|---|---|{'---|' * len(heads)}"]
    for name, row in table.items():
        runs = max(count for _, _, count in row.values())
        cells = [_cell(*row[c]) if c in row else "" for c in COLUMNS]
        lines.append(f"| {name} | {runs} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(mean: float, spread: float, count: int) -> str:
    return f"{100 * mean:.1f} ± {100 * spread:.1f} %" if count > 1 else f"{100 * mean:.1f} %"


CONFIG = Path(__file__).parent / "train.yaml"


def rows_to_learn(world: WorldSet, unseen: Sequence[str] = ()) -> NDArray[np.int64]:
    """Objects that reveal nothing about held-out categories and pairs.

    An object is removed if its true or detected label is held out, or if its color and category are a held-out pair.
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


def train_encoder(
    world: WorldSet,
    out: Path,
    *,
    unseen: Sequence[str] = (),
    overrides: Sequence[str] = (),
    console: Console | None = None,
) -> Path:
    """Train one encoder; a call after a kill continues.

    Args:
        world: mined triplets.
        out: run folder.
        unseen: categories to hold out.
        overrides: changes to the configuration, like ``seed=1``.
        console: receives the progress bar.
    """
    kept = world.select(rows_to_learn(world, unseen)).objects.without_texts(unseen)
    result = train(load_config(CONFIG, overrides), out, resume=True, data=kept, console=console)
    if not result.finished:
        raise KeyboardInterrupt(f"stopped at step {result.step} of {result.total}; the same call continues")
    return out
