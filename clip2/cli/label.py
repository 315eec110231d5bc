"""``clip2 label``: 3D boxes and tracks from a scan and 2D detections, as training data for 3D detectors."""

from __future__ import annotations

import json as json_format
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from clip2.cli.frame_choice import require_images
from clip2.cli.mining_options import MiningCommand, show_mining

if TYPE_CHECKING:
    from rich.console import Console

    from data_prep.autolabel import LabelReport


@dataclass(kw_only=True)
class Label(MiningCommand):
    """Label a scan in 3D: boxes, tracks, names, scores and quality from 2D detections.

    Writes a format that 3D detectors are trained on, boxes.jsonl with everything known about every box, and
    labels.json, a summary. Killed or interrupted, the same command continues where it stopped. Frames that cannot be
    read are listed and skipped. Exit code 0: done; 2: bad input.
    """

    out: str
    """Folder for the labels, new or started by the same command."""
    format: Annotated[str, tyro.conf.arg(metavar="{kitti,nuscenes,coco3d,openpcdet}")]
    """KITTI text files; nuScenes results and tables; COCO with 3D boxes as in Omni3D; a custom dataset of OpenPCDet."""
    tracks: Literal["auto", "yes", "no"] = "auto"
    """Follow objects over frames; auto: if the frames have times or poses."""
    min_quality: float = 0.0
    """Leave out boxes of lower quality, 0..1: how well the points and the 2D box agree with the 3D box."""
    score: bool = False
    """Compare with the scan's own 3D labels, by distance."""

    def run(self) -> int:
        """Label and report."""
        from pydantic_core import to_jsonable_python

        from clip2.cli.terminal import Console
        from clip2.progress import FrameBar
        from data_prep.autolabel import FORMATS, label_scan, score_labels
        from data_prep.detect import CocoDetections
        from data_prep.scale import create_engine
        from data_prep.storage.urls import as_url

        console = Console(stderr=True)
        FORMATS[self.format]  # a wrong name is found before the scan is searched
        config = self.configuration()
        options = self.reader_options()
        engine = create_engine(self.engine, self.workers)
        with console.status("looking for the scan"):
            scan = self.open_scan()
        require_images(scan, ", and labels start from 2D boxes", "; objects of a bare cloud: clip2 recognize")
        frames = self.frame.choose(scan)
        with self.detections_file(scan, console) as file, FrameBar("labeling", console) as bar:
            report = label_scan(
                scan,
                CocoDetections.load(file, min_score=config.min_score, images=self.detection_images),
                self.out,
                self.format,
                config,
                tracks={"auto": None, "yes": True, "no": False}[self.tracks],
                min_quality=self.min_quality,
                frames=frames,
                scan_options=to_jsonable_python(options),
                root=as_url(self.root),
                engine=engine,
                on_frame=lambda progress: show_mining(bar, progress),
                on_box=lambda done, total: bar.show(done, total, "fitting boxes"),
            )
        scores = score_labels(scan, self.out, frames) if self.score else None
        if self.json:
            content: dict[str, Any] = {"out": self.out, **vars(report)}
            if scores is not None:
                content["scores"] = [vars(one) for one in scores]
            print(json_format.dumps(content, ensure_ascii=False))
            return 0
        _report(Console(), report, self.out, nothing_to_do=not bar.moved)
        if scores is not None:
            _show_scores(Console(), scores)
        return 0


def _report(console: Console, report: LabelReport, out: str, nothing_to_do: bool) -> None:
    from rich.table import Table

    from data_prep.report.counted import counted

    if nothing_to_do:
        console.print(f"nothing to do: {out} is complete", highlight=False, markup=False)
    title = f"{counted(report.boxes, 'label')} in {counted(report.frames, 'frame')}"
    table = Table("label", "boxes", title=title)
    table.columns[1].justify = "right"
    for label, count in list(report.labels.items())[:20]:
        table.add_row(label, f"{count:,}")
    for label, count in list(report.unknown_labels.items())[:20]:
        table.add_row(f"left out, no class of {report.label_format}: {label}", f"{count:,}", style="yellow")
    for reason, count in sorted(report.rejections.items(), key=lambda item: -item[1]):
        table.add_row(f"rejected: {reason}", f"{count:,}", style="dim")
    console.print(table)
    for bad in report.bad_frames[:10]:
        console.print(
            f"bad frame {bad['frame']}: {bad['error']}", style="yellow", markup=False, highlight=False
        )
    if len(report.bad_frames) > 10:
        console.print(f"and {len(report.bad_frames) - 10:,} more bad frames, listed in labels.json")
    if report.is_ground_truth:
        console.print("The 2D boxes are labels, not a detector's.")
    tracks = f", {counted(report.tracks, 'object')} followed" if report.tracks else ""
    console.print(f"{report.label_format} labels{tracks}: {out}", highlight=False, markup=False)


def _show_scores(console: Console, scores: Any) -> None:
    from rich.table import Table

    table = Table("distance", "labeled", "ours", "R 25", "R 50", "P 25", "P 50", "IoU", "yaw °")
    table.title = "against the scan's own labels (R, P at 3D IoU 0.25, 0.5)"
    for column in table.columns[1:]:
        column.justify = "right"
    for one in scores:
        shares = (one.recall_25, one.recall_50, one.precision_25, one.precision_50, one.iou)
        table.add_row(
            one.distance,
            f"{one.labeled:,}",
            f"{one.boxes:,}",
            *("–" if share is None else f"{share:.2f}" for share in shares),
            "–" if one.yaw_error is None else f"{one.yaw_error:.0f}",
        )
    console.print(table)
