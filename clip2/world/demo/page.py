"""Report page of ``clip2 demo``, one self-contained HTML file."""

from __future__ import annotations

from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.recognition import fit_upright_box
from clip2.world.demo.layout import (
    GOOD,
    SOFT,
    STRONG,
    DemoPage,
    bars,
    boxed_picture,
    confusion_svg,
    curves_svg,
    drawing,
    label_color,
    read_curves,
    table,
)
from clip2.world.demo.plan import SETTINGS
from clip2.world.demo.result import DemoResult
from clip2.world.demo.scene_sections import add_queries, add_room, add_street
from clip2.world.demo.scenes import NOTHING, Example, load_example
from clip2.world.demo.scoring import EVERYTHING, Naming, card, shipped_card
from data_prep.report import Card
from data_prep.report.cloud_data import cloud_figure
from data_prep.scans import Frame
from data_prep.triplets import open_triplets
from data_prep.world import Setting, list_categories

_INTRO = (
    "Synthetic rooms and streets were rendered, a simulated detector drew 2D boxes, the boxes were lifted to points, a "
    "frozen teacher embedded crops and labels, the small point encoder mini-points went on learning to match it, and then "
    "named objects in scenes it had never seen. Everything ran offline, with the commands you would use on your own scans."
)
_NOTICE = (
    "The teacher here is “mini”, a small stand-in for CLIP that ships with the package and was trained on this synthetic "
    "world only. It is not CLIP. This page shows that every step works, and how well at this size. For real scans, replace "
    "mini with a real CLIP by one option (see the end)."
)


def write_report(result: DemoResult, path: Path) -> Path:
    """Write the page of a finished run to the HTML file ``path``."""
    page = DemoPage("clip2 demo", _INTRO)
    page.notice(_NOTICE)
    _summary(page, result)
    add_room(page, result)
    add_queries(page, result)
    add_street(page, result)
    add_scores(page, result)
    add_training(page, result)
    add_data(page, result)
    _times(page, result)
    _next(page)
    return page.write(path)


def _summary(page: DemoPage, result: DemoResult) -> None:
    whole = result.naming[EVERYTHING]
    mined = sum(each["objects"] for each in result.mined.values())
    frames = sum(each["frames"] for each in result.mined.values())
    named = f"of {whole.objects:,} objects in unseen scenes named correctly among {whole.words} labels"
    if whole.shipped is not None:
        named += f"; mini-points, from which it started: {_percent(whole.shipped.top1)}"
    teacher = "by the teacher, from image crops of the same objects"
    constant = f"by always answering the most frequent label; chance is {_percent(1 / whole.words)}"
    page.tiles(
        [
            (_percent(whole.encoder.top1), named),
            (_percent(whole.teacher.top1), teacher),
            (_percent(whole.commonest), constant),
            (f"{mined:,}", f"training objects lifted from {frames:,} frames, without a single 3D label"),
            (_duration(sum(result.seconds.values())), "from an empty folder to this page"),
        ]
    )


def _times(page: DemoPage, result: DemoResult) -> None:
    page.heading("Where the time went")
    rows: list[list[str | float]] = [[stage, f"{seconds:.1f} s"] for stage, seconds in result.seconds.items()]
    page.table(["stage", "took"], [*rows, ["all", f"{sum(result.seconds.values()):.1f} s"]])


def _next(page: DemoPage) -> None:
    page.heading("Next: your own data").paragraph(
        "The same steps with a real CLIP. Boxes come from any 2D detector, as COCO JSON; weights are fetched once."
    )
    page.code(
        [
            "# LiDAR and cameras (kitti), or posed depth images (rgbd, sunrgbd)",
            "clip2 prep kitti ROOT --detections boxes.json --out triplets/",
            "clip2 inspect triplets/                    # check the triplets before training",
            "clip2 embed triplets/ --clip ViT-B-32/laion2b_s34b_b79k",
            "clip2 train --config configs/train/pointnet2.yaml --data triplets/ --out run/",
            "",
            "# then name anything, without CLIP on the robot",
            'clip2 recognize scan.ply --model run/ --labels "chair,table,mug" --out result.json',
            "",
            "# this demo again, with other labels",
            'clip2 demo --words "red chair, something to sit on"',
        ]
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


_NOT_LIFTED = "#c8ced8"


def add_training(page: DemoPage, result: DemoResult) -> None:
    """Loss curves of both terms, and the training setup."""
    plan, run = result.plan, result.out / "run"
    page.heading("Learning")
    page.columns(
        drawing(curves_svg(read_curves(run / "metrics.jsonl"))),
        f"<p>A PointNet++ of {result.parameters / 1e6:.1f} million parameters, {plan.steps:,} steps of {plan.batch_size} objects with {plan.num_points} "
        "points each, from the weights of the shipped mini-points, which learned from other scenes of this world. Two loss terms pull the embedding of an object towards the frozen embeddings of its label and its image; "
        "faint lines are single steps.</p><p>Augmentation rotates an object about the vertical, thins and jitters it, and sometimes removes "
        "its color, so that the same model serves depth cameras and LiDAR.</p>",
    )


def add_data(page: DemoPage, result: DemoResult) -> None:
    """Frames with boxes beside the points lifted from them, counts, and triplets to turn."""
    page.heading("What it learned from").paragraph(
        "Frames with the boxes of a simulated detector, which misses, shifts, invents and confuses objects; its labels are the "
        "only supervision. Beside each frame are the points lifted from those boxes, in the colors of their labels."
    )
    for setting in SETTINGS:
        page.columns(*_boxes_and_points(load_example(result.files(setting).example), setting))
    rows = []
    for setting, each in result.mined.items():
        why = ", ".join(f"{why.replace('-', ' ')} {count}" for why, count in each["rejections"].items())
        rows.append([f"{setting}s", each["frames"], each["objects"], each["rejected"], why or "–"])
    page.table(["mined", "frames", "objects", "boxes rejected", "why"], rows)
    page.html_part('<h3 class="sub">Triplets: labels, image, points</h3>')
    page.gallery([card for setting in SETTINGS for card in _cards(result.files(setting).triplets, 6)])


def _boxes_and_points(example: Example, setting: Setting) -> tuple[str, str]:
    """A frame's image with its boxes, and its points with the lifted ones in the same colors."""
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
    """The object with most points for each of the most frequent labels."""
    entries = list(open_triplets(folder).iter_entries())
    frequent = [word for word, _ in Counter(entry.texts[0] for entry in entries).most_common(count)]
    of_word = ([entry for entry in entries if entry.texts[0] == word] for word in frequent)
    keys = [max(some, key=lambda entry: entry.num_points).key for some in of_word]
    chosen = open_triplets(folder).select(keys)
    triplets = (chosen[key] for key in keys)
    return [
        Card(
            ", ".join(t.texts), [f"{len(t.points):,} points"], image=t.crop, points=t.points, colors=t.colors
        )
        for t in triplets
    ]


def _in_sight(frame: Frame, reach: float = 32.0) -> NDArray[np.bool_]:
    """(N,) points in or near the image, and close enough to be shown with it."""
    camera = frame.views[0].camera
    uv, depth = camera.project(frame.points)
    beside = np.abs(uv[:, 0] - camera.width / 2) < 0.6 * camera.width
    seen: NDArray[np.bool_] = (depth > 0) & (depth < reach) & beside
    return seen


def _over_the_shoulder(frame: Frame) -> NDArray[np.float64]:
    """Direction from the scene to a little above the first camera, so that cloud and image look alike."""
    T = frame.T_world_points @ frame.views[0].camera.T_points_cam
    forward = T[:3, 2]
    return np.array([-forward[0], -forward[1], 0.45 - 0.5 * forward[2]])


# Metrics of score cards: description and order.
_FIGURES = {
    "seen": "top-1, categories trained on, among all labels",
    "teacher_seen": "top-1 of the teacher on the same objects' crops",
    "of_teacher": "the first as a share of the second",
    "top5": "correct label among the best five",
    "top1_per_word": "top-1, mean over labels",
    "top1_room": "objects of rooms, among labels of rooms",
    "top1_street": "objects of streets, among labels of streets",
    "unseen_among_unseen": "categories never trained on, among those",
    "unseen_among_all": "categories never trained on, among all labels",
    "unseen_pairs": "color and category never seen together, among all pairs",
    "teacher_unseen_pairs": "the teacher on those",
    "category_in_unseen_color": "category of an object in a color not seen on it",
    "seen_objects": "objects of known categories",
    "unseen_objects": "objects of unknown categories",
    "pair_objects": "objects in new colors",
    "objects_trained_on": "objects trained on",
}


def add_scores(page: DemoPage, result: DemoResult) -> None:
    """Bars, score cards and the confusion matrix."""
    page.heading("How well unseen objects are named")
    page.paragraph(
        "Objects of unseen rooms and streets, at least half visible, cut out along exact boxes so that this measures the "
        "encoder and not a detector. The teacher, from which the encoder learns, names the image crops of the same objects."
    )
    groups = [(_group_title(name, each), _group_bars(each)) for name, each in result.naming.items()]
    left = "<h3>Top-1</h3>" + bars(groups)
    right = "<h3>Score card</h3>" + _score_cards(result)
    page.columns(left, right)
    whole = result.naming[EVERYTHING].encoder
    page.html_part('<h3 class="sub">Confusion matrix</h3>')
    page.drawing(
        confusion_svg(whole.confusion, whole.labels, [list_categories(setting) for setting in SETTINGS]),
        "Rows: true labels, with their counts. Columns: given labels. Objects of rooms come first, then those of streets; "
        "confused labels are adjacent. Point at a cell to read it.",
    )


def _group_title(name: str, each: Naming) -> str:
    where = "all together" if name == EVERYTHING else f"{name}s"
    return f"{where}: {each.objects:,} objects, {each.words} labels"


def _group_bars(each: Naming) -> list[tuple[str, float, str]]:
    rows = [
        ("most frequent label", each.commonest, SOFT),
        ("this run", each.encoder.top1, STRONG),
        ("teacher mini, from crops", each.teacher.top1, GOOD),
    ]
    if each.shipped is not None:
        rows.insert(2, ("mini-points, before this run", each.shipped.top1, "#7c5cd6"))
    return rows


def _score_cards(result: DemoResult) -> str:
    ours, shipped = card(result.naming), shipped_card()
    keys = [key for key in _FIGURES if key in ours or key in shipped]
    keys += [key for key in (*ours, *shipped) if key not in _FIGURES]
    keys = [key for key in dict.fromkeys(keys) if _shown(ours.get(key)) or _shown(shipped.get(key))]
    columns = ["figure", "this run", *(["mini-points, shipped"] if shipped else [])]
    cards = [ours, shipped] if shipped else [ours]
    rows = [
        [_FIGURES.get(key, key.replace("_", " ")), *(_shown(each.get(key)) or "–" for each in cards)]
        for key in keys
    ]
    note = "This run started from the shipped model. The shipped model's card was measured on other scenes."
    if not shipped:
        note = "This installation holds no trained mini-points to compare with."
    return table(columns, rows) + f"<p>{escape(note)}</p>"


def _shown(value: Any) -> str:
    """A number as text; empty for anything else."""
    if isinstance(value, float):
        return f"{100 * value:.1f} %"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and value else ""
