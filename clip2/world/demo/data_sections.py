"""The sections on what was learned from, and how the learning went."""

from __future__ import annotations

from collections import Counter
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.recognition import fit_upright_box
from clip2.world.demo.drawings import curves_svg, read_curves
from clip2.world.demo.layout import DemoPage, boxed_picture, drawing, label_color
from clip2.world.demo.plan import SETTINGS
from clip2.world.demo.scenes import NOTHING, Example, load_example
from data_prep.report import Card
from data_prep.report.cloud_data import cloud_figure
from data_prep.scans import Frame
from data_prep.triplets import open_triplets
from data_prep.world import Setting

if TYPE_CHECKING:
    from clip2.world.demo.stages import DemoResult

_NOT_LIFTED = "#c8ced8"


def add_training(page: DemoPage, result: DemoResult) -> None:
    """Curves of both terms, and how it was done."""
    plan, run = result.plan, result.out / "run"
    page.heading("Learning")
    page.columns(
        drawing(curves_svg(read_curves(run / "metrics.jsonl"))),
        f"<p>A PointNet++ of {result.parameters / 1e6:.1f} million parameters, {plan.steps:,} steps of {plan.batch_size} objects with {plan.num_points} "
        "points each. Two terms pull its vector of an object towards the frozen vectors of its words and of its picture; "
        "faint lines are single steps.</p><p>An object comes turned about the vertical, thinned, jittered, and sometimes "
        "without its color, so that the same model serves depth cameras and LiDAR.</p>",
    )


def add_data(page: DemoPage, result: DemoResult) -> None:
    """Frames with boxes beside the points lifted from them, counts, and triplets to turn."""
    page.heading("What it learned from").paragraph(
        "Frames with the boxes of a simulated detector, which misses, shifts, invents and confuses; its words are the only "
        "labels there are. Beside each, the points that were lifted from those boxes, in the colors of their words."
    )
    for setting in SETTINGS:
        page.columns(*_boxes_and_points(load_example(result.files(setting).example), setting))
    rows = [
        [
            f"{setting}s",
            each["frames"],
            each["objects"],
            each["refused"],
            ", ".join(f"{why.replace('-', ' ')} {count}" for why, count in each["rejections"].items()) or "–",
        ]
        for setting, each in result.mined.items()
    ]
    page.table(["mined", "frames", "objects", "boxes refused", "why"], rows)
    page.html_part('<h3 class="sub">Triplets: words, picture, points</h3>')
    page.gallery([card for setting in SETTINGS for card in _cards(result.files(setting).triplets, 6)])


def _boxes_and_points(example: Example, setting: Setting) -> tuple[str, str]:
    """A frame's picture with its boxes, and its points with those that were lifted, in the same colors."""
    frame, found = example.frame, example.detections
    lifted = [row for row in range(len(found)) if (example.owners == row).any()]
    names = list(dict.fromkeys(found.labels[row] for row in lifted))
    colors = [label_color(names.index(label)) if label in names else _NOT_LIFTED for label in found.labels]
    captions = [f"{label} {score:.2f}" for label, score in zip(found.labels, found.scores, strict=True)]
    image = boxed_picture(frame.views[0].image, found.boxes, captions, colors, f"a {setting} with 2D boxes")
    number_of = {row: number for number, row in enumerate(lifted)}
    owners = np.array([number_of.get(int(row), NOTHING) for row in example.owners])
    world, near = frame.world_points(), _in_sight(frame)
    view, note = cloud_figure(
        world[near],
        None if frame.colors is None else frame.colors[near],
        [fit_upright_box(world[example.owners == row]) for row in lifted],
        [found.labels[row] for row in lifted],
        owners=owners[near],
        max_points=45_000,
        height=360,
        seen_from=_over_the_shoulder(frame),
    )
    return f"<figure>{image}</figure>", f"<figure>{view}<figcaption>{escape(note)}</figcaption></figure>"


def _cards(folder: Path, count: int) -> list[Card]:
    """Of the most frequent words, the object with most points."""
    entries = list(open_triplets(folder).iter_entries())
    frequent = [word for word, _ in Counter(entry.texts[0] for entry in entries).most_common(count)]
    keys = [
        max((e for e in entries if e.texts[0] == word), key=lambda e: e.num_points).key for word in frequent
    ]
    chosen = open_triplets(folder).select(keys)
    return [
        Card(
            title=", ".join(chosen[key].texts),
            lines=[f"{len(chosen[key].points):,} points"],
            image=chosen[key].crop,
            points=chosen[key].points,
            colors=chosen[key].colors,
        )
        for key in keys
    ]


def _in_sight(frame: Frame, reach: float = 32.0) -> NDArray[np.bool_]:
    """(N,) points in the picture, or nearly, and not too far to be shown with it."""
    camera = frame.views[0].camera
    uv, depth = camera.project(frame.points)
    beside = np.abs(uv[:, 0] - camera.width / 2) < 0.6 * camera.width
    seen: NDArray[np.bool_] = (depth > 0) & (depth < reach) & beside
    return seen


def _over_the_shoulder(frame: Frame) -> NDArray[np.float64]:
    """Direction from what the first camera looks at to a little above it, so that cloud and picture look alike."""
    T = frame.T_world_points @ frame.views[0].camera.T_points_cam
    forward = T[:3, 2]
    return np.array([-forward[0], -forward[1], 0.45 - 0.5 * forward[2]])
