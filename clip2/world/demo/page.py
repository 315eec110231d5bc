"""The page that ``clip2 demo`` leaves behind: every stage in pictures and numbers, in one self-contained file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clip2.world.demo.data_sections import add_data, add_training
from clip2.world.demo.layout import DemoPage
from clip2.world.demo.scene_sections import add_queries, add_room, add_street
from clip2.world.demo.score_sections import add_scores
from clip2.world.demo.scoring import EVERYTHING

if TYPE_CHECKING:
    from clip2.world.demo.stages import DemoResult

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


def write_report(result: DemoResult, path: Path) -> Path:
    """Write the page.

    Args:
        result: of all stages.
        path: the HTML file.
    """
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
