"""The page that ``clip2 demo`` leaves behind: every stage in pictures and numbers, in one self-contained file."""

from __future__ import annotations

from collections import Counter
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clip2.demo.drawings import confusion_svg, curves_svg, read_curves
from clip2.demo.layout import (
    GOOD,
    SOFT,
    STRONG,
    DemoPage,
    bars,
    boxed_picture,
    drawing,
    label_color,
    picture,
    table,
)
from clip2.demo.pictures import Album, open_room, open_street
from clip2.demo.plan import SETTINGS
from clip2.demo.queries import Recognised
from clip2.demo.scenes import load_example
from clip2.demo.scoring import EVERYTHING, Naming, card, shipped_card
from clip2.recognition import fit_upright_box
from data_prep.report import Card
from data_prep.report.cloud_data import cloud_figure
from data_prep.scans import Frame
from data_prep.scans.procedural import list_categories
from data_prep.scans.procedural.registry import Setting
from data_prep.triplets import open_triplets

if TYPE_CHECKING:
    from clip2.demo.stages import DemoResult

_INTRO = (
    "Rooms and streets were made up, a simulated detector drew 2D boxes, the boxes were lifted to points, a frozen teacher "
    "embedded crops and words, a small point encoder learned to agree with it, and then named things in scenes it had "
    "never seen. All of it offline, by the commands you would use on your own scans."
)
_NOTICE = (
    "The teacher here is “mini”: a small stand-in that ships with the package, was trained on this made-up world and knows "
    "nothing else. It is not CLIP. What this page shows is that every step works, and how well at this size; for real "
    "scans, swap mini for a real CLIP with one option (see the end)."
)
_ORBIT = (
    "Drag to turn, shift-drag to move, click then wheel to zoom. Point at a word to light its objects up."
)
# Figures of score cards in words, and the order they come in.
_FIGURES = {
    "seen": "top-1, categories trained on, among all words",
    "teacher_seen": "top-1 of the teacher on the same objects' crops",
    "of_teacher": "the first as a share of the second",
    "top5": "the right word among the best five",
    "top1_per_word": "top-1, every word counting the same",
    "top1_room": "things of rooms, among words of rooms",
    "top1_street": "things of streets, among words of streets",
    "unseen_among_unseen": "categories never trained on, among those",
    "unseen_among_all": "categories never trained on, among all words",
    "unseen_pairs": "colour and category never seen together, among all pairs",
    "teacher_unseen_pairs": "the teacher on those",
    "category_in_unseen_color": "category of a thing in a colour new to it",
    "seen_objects": "objects of known categories",
    "unseen_objects": "objects of unknown categories",
    "pair_objects": "objects in new colours",
    "objects_trained_on": "objects trained on",
}


def write_report(result: DemoResult, path: Path) -> Path:
    """Write the page.

    Args:
        result: of all stages.
        path: the HTML file.
    """
    page = DemoPage("clip2 demo", _INTRO)
    page.notice(_NOTICE)
    _summary(page, result)
    _room(page, result)
    _queries(page, result)
    _street(page, result)
    _scores(page, result)
    _training(page, result)
    _data(page, result)
    _times(page, result)
    _next(page)
    return page.write(path)


def _summary(page: DemoPage, result: DemoResult) -> None:
    whole = result.naming[EVERYTHING]
    mined = sum(each["objects"] for each in result.mined.values())
    frames = sum(each["frames"] for each in result.mined.values())
    page.tiles(
        [
            (
                _percent(whole.student.top1),
                f"of {whole.objects:,} objects in unseen scenes named right among {whole.words} words",
            ),
            (
                _percent(whole.teacher.top1),
                "by the teacher, from image crops of the same objects: what there is to learn",
            ),
            (
                _percent(whole.commonest),
                f"by always saying the commonest word; chance is {_percent(1 / whole.words)}",
            ),
            (f"{mined:,}", f"training objects lifted from {frames:,} frames, without a single 3D label"),
            (_duration(sum(result.seconds.values())), "from nothing to this page"),
        ]
    )


def _room(page: DemoPage, result: DemoResult) -> None:
    room = result.recognised["room"]
    page.heading("A room it has never seen")
    page.paragraph(
        f"Put together from {len(room.scene.frame.views)} depth pictures. Objects were searched in the geometry alone, without 2D "
        f"boxes, and named with {_asked(result, room)}. {_verdict(room, result)}"
    )
    _scene(page, room, "room")


def _street(page: DemoPage, result: DemoResult) -> None:
    street = result.recognised["street"]
    page.heading("A street it has never seen")
    page.paragraph(
        f"One turn of a spinning LiDAR: no colour, and fewer points the further away. {_verdict(street, result)}"
    )
    _scene(page, street, "street")


def _scene(page: DemoPage, one: Recognised, setting: Setting) -> None:
    found = one.named
    assert found.points is not None
    owners = found.owners()
    look = (open_room if setting == "room" else open_street)(found.points, owners)
    page.scene(
        found.points[look.shown],
        None if found.colors is None else found.colors[look.shown],
        found.oriented_boxes(),
        list(found.labels),
        owners[look.shown],
        seen_from=look.seen_from,
        caption=_ORBIT,
    )


def _verdict(one: Recognised, result: DemoResult) -> str:
    figures = one.figures()
    walls = figures["found"] - figures["things"]
    beside = (
        f"; the other {walls} are pieces of wall or ground that geometry cannot tell from things"
        if walls
        else ""
    )
    if result.words:
        return (
            f"{len(one.named)} of {figures['found']} objects are best described by one of them; the names of everything else "
            "that may be here compete."
        )
    return (
        f"Of {figures['found']} objects found, {figures['things']} are things, and {figures['named_right']} of those have "
        f"exactly their word{beside}."
    )


def _asked(result: DemoResult, one: Recognised) -> str:
    if result.words:
        return f"the words of the command line ({', '.join(result.words)})"
    return f"the {len(one.found.vocabulary)} words of its setting"


def _queries(page: DemoPage, result: DemoResult) -> None:
    if not result.queries:
        return
    page.heading("Ask for anything").paragraph(
        "Free questions to everything found in the room and the street. None of these phrases was ever a label: training saw "
        "the names of things and pictures, and the teacher's space ties both to such words. The four most similar objects of "
        "each, with what they really are; questions were chosen so that something found answers them."
    )
    albums = {setting: Album(one.scene.frame) for setting, one in result.recognised.items()}
    rows = []
    for query in result.queries:
        hits = []
        for hit in query.hits:
            one = result.recognised[hit.setting]
            index = one.found.indices[hit.number]
            crop = albums[hit.setting].crop(index)
            if crop is not None:
                media = picture(crop, hit.true_name)
            else:
                assert one.found.points is not None
                colors = None if one.found.colors is None else one.found.colors[index]
                media, _ = cloud_figure(one.found.points[index], colors, max_points=1500, height=92)
            kind, mark = ("yes", "✓") if hit.right else ("no", "✗")
            hits.append(
                f'<div class="hit {kind}">{media}<div><b>{escape(hit.true_name or f"piece of the {hit.setting}")} '
                f'<span class="mark">{mark}</span></b><span>similarity {hit.similarity:.2f}</span></div></div>'
            )
        answers = (
            f"{query.answers} of the objects found answer it"
            if query.answers > 1
            else "one object found answers it"
        )
        rows.append(
            f'<div class="query"><div><q>{escape(query.text)}</q><small>{answers}</small></div>'
            f'<div class="hits">{"".join(hits)}</div></div>'
        )
    page.html_part(f'<div class="queries">{"".join(rows)}</div>')


def _scores(page: DemoPage, result: DemoResult) -> None:
    page.heading("How well unseen objects are named")
    page.paragraph(
        "Objects of rooms and streets that were not trained on, cut out along exact boxes, so that this measures the encoder "
        "and not a detector. The teacher names the image crops of the same objects: it is what the encoder learns from."
    )
    groups = [(_group_title(name, each), _group_bars(each)) for name, each in result.naming.items()]
    left = "<h3>Top-1</h3>" + bars(groups)
    right = "<h3>Score card</h3>" + _cards(result)
    page.columns(left, right)
    whole = result.naming[EVERYTHING].student
    page.html_part('<h3 class="sub">What is taken for what</h3>')
    page.drawing(
        confusion_svg(whole.confusion, whole.labels, [list_categories(setting) for setting in SETTINGS]),
        "Rows: what it is, with how many there were. Columns: what it was called. Things of rooms first, then those of "
        "streets; among them, words that are taken for one another stand side by side. Point at a cell to read it.",
    )


def _group_title(name: str, each: Naming) -> str:
    where = "all together" if name == EVERYTHING else f"{name}s"
    return f"{where}: {each.objects:,} objects, {each.words} words"


def _group_bars(each: Naming) -> list[tuple[str, float, str]]:
    rows = [
        ("commonest word", each.commonest, SOFT),
        ("this run", each.student.top1, STRONG),
        ("teacher mini, from crops", each.teacher.top1, GOOD),
    ]
    if each.shipped is not None:
        rows.insert(2, ("mini-points, shipped", each.shipped.top1, "#7c5cd6"))
    return rows


def _cards(result: DemoResult) -> str:
    ours, shipped = card(result.naming), shipped_card()
    keys = [key for key in _FIGURES if key in ours or key in shipped]
    keys += [key for key in (*ours, *shipped) if key not in _FIGURES]
    keys = [key for key in dict.fromkeys(keys) if _shown(ours.get(key)) or _shown(shipped.get(key))]
    columns = ["figure", "this run", *(["mini-points, shipped"] if shipped else [])]
    rows = [
        [
            _FIGURES.get(key, key.replace("_", " ")),
            _shown(ours.get(key)) or "–",
            *([_shown(shipped.get(key)) or "–"] if shipped else []),
        ]
        for key in keys
    ]
    note = (
        "The shipped one was measured on other scenes when it was made, after longer training."
        if shipped
        else "No trained mini-points is in this installation to set beside it."
    )
    return table(columns, rows) + f"<p>{escape(note)}</p>"


def _shown(value: Any) -> str:
    """A figure as people read it; empty for what is none."""
    if isinstance(value, dict) and "mean" in value:
        spread = f" ± {100 * value['std']:.1f}" if "std" in value else ""
        return f"{100 * value['mean']:.1f}{spread} %"
    if isinstance(value, float):
        return f"{100 * value:.1f} %"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else ""


def _training(page: DemoPage, result: DemoResult) -> None:
    plan, run = result.plan, result.out / "run"
    page.heading("Learning")
    page.columns(
        drawing(curves_svg(read_curves(run / "metrics.jsonl"))),
        f"<p>A PointNet++ of {result.parameters / 1e6:.1f} million parameters, {plan.steps:,} steps of {plan.batch_size} objects with {plan.num_points} "
        "points each. Two terms pull its vector of an object towards the frozen vectors of its words and of its picture; "
        "faint lines are single steps.</p><p>An object comes turned about the vertical, thinned, jittered, and sometimes "
        "without its colour, so that the same model serves depth cameras and LiDAR.</p>",
    )


def _data(page: DemoPage, result: DemoResult) -> None:
    page.heading("What it learned from").paragraph(
        "Frames with the boxes of a simulated detector, which misses, shifts, invents and confuses; its words are the only "
        "labels there are. Beside each, the points that were lifted from those boxes, in the colours of their words."
    )
    for setting in SETTINGS:
        example = load_example(result.files(setting).example)
        found = example.detections
        names = list(dict.fromkeys(found.labels[i] for i in range(len(found)) if (example.owners == i).any()))
        colors = [label_color(names.index(label)) if label in names else "#c8ced8" for label in found.labels]
        captions = [f"{label} {score:.2f}" for label, score in zip(found.labels, found.scores, strict=True)]
        lifted = [i for i in range(len(found)) if (example.owners == i).any()]
        rank = {row: number for number, row in enumerate(lifted)}
        world = example.frame.world_points()
        near = _in_sight(example.frame)
        owners = np.array([rank.get(int(i), -1) for i in range(-1, len(found))])[example.owners + 1]
        view, note = cloud_figure(
            world[near],
            None if example.frame.colors is None else example.frame.colors[near],
            [fit_upright_box(world[example.owners == i]) for i in lifted],
            [found.labels[i] for i in lifted],
            owners=owners[near],
            max_points=45_000,
            height=360,
            seen_from=_over_the_shoulder(example.frame),
        )
        image = boxed_picture(
            example.frame.views[0].image, found.boxes, captions, colors, f"a {setting} with 2D boxes"
        )
        page.columns(
            f"<figure>{image}</figure>", f"<figure>{view}<figcaption>{escape(note)}</figcaption></figure>"
        )
    rows = [
        [
            f"{setting}s",
            each["frames"],
            each["objects"],
            each["refused"],
            ", ".join(f"{why.replace('-', ' ')} {count}" for why, count in each["refusals"].items()) or "–",
        ]
        for setting, each in result.mined.items()
    ]
    page.table(["mined", "frames", "objects", "boxes refused", "why"], rows)
    page.html_part('<h3 class="sub">Triplets: words, picture, points</h3>')
    page.gallery([card for setting in SETTINGS for card in _examples(result.files(setting).triplets, 6)])


def _examples(folder: Path, count: int) -> list[Card]:
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
            "# LiDAR and cameras (kitti), or posed depth pictures (rgbd, sunrgbd)",
            "clip2 prep kitti ROOT --detections boxes.json --out triplets/",
            "clip2 inspect triplets/                    # look at them before anything else",
            "clip2 embed triplets/ --clip ViT-B-32/laion2b_s34b_b79k",
            "clip2 train --config configs/train/pointnet2.yaml --data triplets/ --out run/",
            "",
            "# then name anything, without CLIP on the robot",
            'clip2 recognize scan.ply --model run/ --labels "chair,table,mug" --out result.json',
            "",
            "# this world again, asked for other things",
            'clip2 demo --words "red chair, something to sit on"',
        ]
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
