"""The page that ``clip2 demo`` leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from data_prep.detect import CocoDetections
from data_prep.report import Card, Page
from data_prep.scans.procedural.registry import Setting

if TYPE_CHECKING:
    from clip2.demo.stages import DemoResult, Plan

_BOX = (255, 196, 0)
_CURVE = (38, 110, 220)


def write_report(result: DemoResult, seed: int, plan: Plan, folders: list[Path], path: Path) -> Path:
    """Every stage in pictures and numbers, in one self-contained file."""
    from clip2.demo.stages import DETECTOR, SETTINGS, STAND_IN, mined_examples

    page = Page(
        "clip2 demo",
        "A made-up world went the whole way: scans and 2D boxes → objects in 3D → triplets → a point encoder → named boxes "
        "in scenes it never saw.",
    )
    page.paragraph(
        f"No CLIP was used. Its place is taken by “{STAND_IN}”: one random direction per word, which knows no meaning. "
        "So only words from training can be found here, and there is no image term. Everything else is the real path; "
        "with CLIP weights at hand it becomes clip2 embed --clip ViT-B-32/laion2b_s34b_b79k."
    )
    page.heading("How well the objects of unseen scenes are named").table(
        ["setting", "objects", "words", "top-1", "always the commonest word"],
        [
            [setting, int(s["objects"]), int(s["words"]), s["top1"], s["commonest_word"]]
            for setting, s in result.score.items()
        ],
    )
    for setting, scene in result.scenes.items():
        page.heading(f"Recognised: a {setting} never seen before")
        page.paragraph(
            "Objects were searched in the geometry alone, without 2D boxes, and named with the words of the setting."
        )
        assert scene.points is not None
        page.cloud(
            scene.points,
            scene.colors,
            scene.oriented_boxes(),
            [f"{word} {score:.2f}" for word, score in zip(scene.labels, scene.scores, strict=True)],
            height=560,
            max_points=60_000,
            labels=list(scene.labels),
            owners=scene.owners(),
            caption="Drag to turn, wheel to zoom. Point at a word to light its objects up",
        )
    page.heading("What it learned from").paragraph(
        f"Frames with the boxes of a simulated detector (“{DETECTOR}”: it misses, shifts, invents and confuses)."
    )
    for setting, folder in zip(SETTINGS, folders, strict=True):
        page.image(_with_boxes(setting, seed, plan, folder), caption=setting)
    page.table(
        ["setting", "frames", "objects", "refused", "why"],
        [
            [
                setting,
                m["frames"],
                m["objects"],
                m["refused"],
                ", ".join(f"{k} {v}" for k, v in m["refusals"].items()),
            ]
            for setting, m in result.mined.items()
        ],
    )
    page.heading("Triplets: words, image crop, points")
    page.gallery(
        [
            Card(t.texts[0], [f"{len(t.points):,} points"], t.crop, t.points, t.colors)
            for folder in folders
            for t in mined_examples(folder, 12)
        ]
    )
    page.heading("Training").image(
        _loss_curve(path.parent / "run" / "metrics.jsonl"), caption="text loss by step"
    )
    worst = sorted(((n, a, b) for (a, b), n in result.confusion.items() if a != b), reverse=True)[:12]
    if worst:
        page.heading("What it confuses most").table(
            ["truth", "named", "times"], [[a, b, n] for n, a, b in worst]
        )
    page.heading("Where the time went").table(
        ["stage", "seconds"], [[stage, seconds] for stage, seconds in result.seconds.items()]
    )
    page.heading("Next, on your own data").paragraph(
        "clip2 prep kitti ROOT --detections boxes.json --out triplets\n\n"
        "clip2 embed triplets --clip ViT-B-32/laion2b_s34b_b79k\n\n"
        "clip2 train --config configs/train/pointnet2.yaml --data triplets --out run\n\n"
        'clip2 recognize scan.ply --model run --labels "chair,table,mug" --out result.json'
    )
    return page.write(path)


def _with_boxes(setting: Setting, seed: int, plan: Plan, folder: Path) -> NDArray[np.uint8]:
    from clip2.demo.stages import detections_file

    scan = plan.scan(setting, seed)
    detections = CocoDetections.load(detections_file(folder.parent, setting, seed, plan))
    width, height = scan.image_size
    # The busiest picture tells most.
    busiest = max(
        range(len(scan)), key=lambda i: len(detections.for_image(scan.image_names()[i], width, height))
    )
    view = scan[busiest].views[0]
    picture = Image.fromarray(view.image).resize((view.camera.width * 2, view.camera.height * 2))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=15)
    boxes = detections.for_image(view.name, width, height)
    for box, label in zip(boxes.boxes * 2, boxes.labels, strict=True):
        draw.rectangle([float(value) for value in box], outline=_BOX, width=2)
        at = (float(box[0]) + 4, float(box[1]) + 2)
        draw.text(at, label, fill=_BOX, font=font, stroke_width=2, stroke_fill=(0, 0, 0))
    return np.asarray(picture)


def _loss_curve(metrics: Path, size: tuple[int, int] = (900, 260)) -> NDArray[np.uint8]:
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    points = [(row["step"], row["train/text_loss"]) for row in rows if "train/text_loss" in row]
    width, height = size
    margin = 44
    picture = Image.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    last, top = max(step for step, _ in points), max(loss for _, loss in points) * 1.05

    def place(step: float, loss: float) -> tuple[float, float]:
        return margin + step / last * (width - margin - 16), height - 28 - loss / top * (height - 44)

    for k in range(5):
        level = top * k / 4
        draw.line([place(0, level), place(last, level)], fill=(226, 229, 234))
        draw.text((6, place(0, level)[1] - 6), f"{level:.1f}", fill=(90, 96, 105))
        draw.text((place(last * k / 4, 0)[0] - 8, height - 22), f"{last * k / 4:.0f}", fill=(90, 96, 105))
    draw.line([place(*point) for point in points], fill=_CURVE, width=3, joint="curve")
    return np.asarray(picture)
