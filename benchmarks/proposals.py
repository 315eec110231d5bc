"""Recall and speed of class-agnostic object proposals.

    python -m benchmarks.proposals [ROOT] [--json] [--page FILE]

Every scan is searched by geometry alone (``clip2.recognition.propose_objects``). An object counts as found when a
proposal and the object's points share at least half of their union. The object's points depend on the ground truth of each set:

- ``procedural room`` (single frames), ``procedural room fused``, ``procedural street``: exact instances; always measured.
- ``kitti``, ``kitti-tracking``: points inside the labeled 3D box and the camera's view; objects with >= 10 points.
- ``scannet``, ``sunrgbd``: label boxes also hold floor and neighbors, so the *boxes* are compared, upright and
  aligned with the label's axes, at IoU 0.25 and 0.5, as ScanNet's detection benchmark does.
- ``7-scenes`` (one frame, and the sequence fused): no labels; number of proposals and time only.

ROOT is a folder with any of kitti_object/ kitti_tracking/ scannet/ sunrgbd/ rgbd/7scenes_redkitchen/.
"""

from __future__ import annotations

import json as json_format
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.record import Row, Settings
from clip2.recognition import fuse_frames, propose_objects
from clip2.recognition.proposals import Kind
from data_prep.geometry import OrientedBox
from data_prep.geometry.voxels import voxel_index
from data_prep.report import Page
from data_prep.scans import Scan, open_scan

MIN_POINTS = 10


@dataclass
class Case:
    """One cloud in world axes and what is in it: masks of points, or boxes, or nothing known."""

    group: str
    points: NDArray
    viewpoint: NDArray | None
    kind: Kind
    colors: NDArray[np.uint8] | None = None
    labels: list[str] = field(default_factory=list)
    masks: list[NDArray[np.bool_]] = field(default_factory=list)
    boxes: list[OrientedBox] = field(default_factory=list)
    visible: NDArray[np.bool_] | None = None


def main(
    root: Annotated[Path | None, tyro.conf.Positional] = None, json: bool = False, page: Path | None = None
) -> int:
    """Measure proposals.

    Args:
        root: folder with real scans; without it only the synthetic world is searched.
        json: print one JSON object on standard output instead of tables.
        page: also write the first proposals of each group as an HTML page.
    """
    report = (
        None
        if page is None
        else Page("Proposals", "Found by geometry alone; one color each. Labels are not used.")
    )
    result = measure(root, report)
    if page is not None and report is not None:
        report.write(page)
    if json:
        print(json_format.dumps(result, indent=2))
    else:
        _print(result)
    return 0


def rows(settings: Settings) -> Iterator[Row]:
    """Recall by group of scans."""
    for group, found in measure(settings.data).items():
        if "recall_50" in found:
            case, note = f"{group}: recall at IoU 0.5", f"{found['objects']} objects"
            yield Row("proposals", case, unit="", ours=found["recall_50"], note=note)


def measure(root: Path | None, report: Page | None = None) -> dict[str, dict[str, Any]]:
    """Group → figures; the first proposals of each group are added to ``report``."""
    found: dict[str, dict[str, Any]] = {}
    cases = [*_procedural(), *([] if root is None else _real(root))]
    for case in track(cases, console=Console(stderr=True), description="searching", transient=True):
        started = time.perf_counter()
        proposals = propose_objects(case.points, case.kind, case.viewpoint, case.colors).objects().indices
        seconds = time.perf_counter() - started
        group = found.setdefault(
            case.group, {"scans": 0, "proposals": 0, "seconds": 0.0, "points": 0, "ious": []}
        )
        group["scans"] += 1
        group["proposals"] += len(proposals)
        group["seconds"] += seconds
        group["points"] += len(case.points)
        group["ious"] += list(zip(case.labels, _best_ious(case, proposals), strict=True))
        if report is not None and group["scans"] == 1:
            _show(report, case, proposals)
    return {name: _figures(group) for name, group in found.items()}


def _procedural() -> Iterator[Case]:
    for setting, frames in (("room", 8), ("street", 3)):
        scan = open_scan("procedural", setting, frames=frames, worlds=frames, seed=11)
        for i in range(frames):
            frame, truth = scan[i], scan.ground_truth(i).instances  # type: ignore[attr-defined]
            case = Case(
                f"procedural {setting}",
                frame.world_points(),
                frame.T_world_points[:3, 3],
                "lidar" if setting == "street" else "room",
                frame.colors,
            )
            yield _with_instances(case, truth, scan)
    scan = open_scan("procedural", "room", frames=24, worlds=4, seed=12)
    for world in range(4):
        frames_of = range(6 * world, 6 * world + 6)
        points = np.concatenate([scan[i].world_points() for i in frames_of])
        truth = np.concatenate([scan.ground_truth(i).instances for i in frames_of])  # type: ignore[attr-defined]
        first, _ = voxel_index(points, 0.02)
        yield _with_instances(
            Case("procedural room fused", points[first] - points.mean(axis=0), None, "room"),
            truth[first],
            scan,
        )


def _with_instances(case: Case, truth: NDArray, scan: Scan) -> Case:
    names = {placed.instance: placed.label for placed in scan.objects}  # type: ignore[attr-defined]
    for instance in np.unique(truth[truth >= 0]):
        mask = truth == instance
        if mask.sum() >= MIN_POINTS:
            case.labels.append(names[int(instance)])
            case.masks.append(mask)
    return case


def _real(root: Path) -> Iterator[Case]:
    for folder, source in (("kitti_object", "kitti"), ("kitti_tracking", "kitti-tracking")):
        if (root / folder).is_dir():
            yield from _sweeps(open_scan(source, root / folder))
    if (root / "scannet").is_dir():
        yield from _scannet(root / "scannet")
    if (root / "sunrgbd").is_dir():
        yield from _sunrgbd(open_scan("sunrgbd", root / "sunrgbd"))
    if (root / "rgbd/7scenes_redkitchen").is_dir():
        scan = open_scan("rgbd", root / "rgbd/7scenes_redkitchen")
        for name, frame in (("7-scenes frame", scan[0]), ("7-scenes fused", fuse_frames(scan))):
            viewpoint = frame.T_world_points[:3, 3] if frame.views else None
            yield Case(name, frame.world_points(), viewpoint, "auto", frame.colors)


def _sweeps(scan: Scan) -> Iterator[Case]:
    for i in range(len(scan)):
        frame, labeled = scan[i], scan.annotations(i)  # type: ignore[attr-defined]
        camera = frame.views[0].camera
        visible = camera.in_image(camera.project(frame.points)[0])
        case = Case(scan.source, frame.points, np.zeros(3), "auto", visible=visible)
        for box, label in zip(labeled.boxes, labeled.labels, strict=True):
            mask = box.contains(frame.points) & visible
            if mask.sum() >= MIN_POINTS:
                case.labels.append(label)
                case.masks.append(mask)
        yield case


def _scannet(root: Path) -> Iterator[Case]:
    for file in sorted(root.glob("*_boxes.json")):
        document = json_format.loads(file.read_text())
        name = document["scene"]
        frame = open_scan("cloud", root / "scans" / name / f"{name}_vh_clean_2.ply")[0]
        T = np.array(document["axis_align_matrix"])
        case = Case("scannet", frame.world_points() @ T[:3, :3].T + T[:3, 3], None, "auto", frame.colors)
        for item in document["instances"]:
            case.labels.append(item["name"])
            case.boxes.append(OrientedBox(item["centre"], item["size"]))
        yield case


def _sunrgbd(scan: Scan) -> Iterator[Case]:
    for i in range(len(scan)):
        frame, labeled = scan[i], scan.annotations(i)  # type: ignore[attr-defined]
        case = Case("sunrgbd", frame.world_points(), frame.T_world_points[:3, 3], "auto", frame.colors)
        if labeled is not None:
            case.labels = list(labeled.labels)
            case.boxes = [box.transformed(frame.T_world_points) for box in labeled.boxes]
        yield case


def _best_ious(case: Case, proposals: Sequence[NDArray[np.int64]]) -> list[float]:
    if case.boxes:
        return [
            max((_box_iou(box, case.points[index]) for index in proposals), default=0.0) for box in case.boxes
        ]
    owner = np.full(len(case.points), -1)
    for number, index in enumerate(proposals):
        owner[index] = number
    if case.visible is not None:
        owner[~case.visible] = -1
    size = np.bincount(owner[owner >= 0], minlength=len(proposals) + 1)
    best = []
    for mask in case.masks:
        shared = np.bincount(owner[mask][owner[mask] >= 0], minlength=len(proposals) + 1)
        best.append(float((shared / (mask.sum() + size - shared)).max()))
    return best


def _box_iou(box: OrientedBox, points: NDArray) -> float:
    """IoU of a labeled box and the tightest box around points along the label's own axes."""
    local = (points - box.center) @ box.rotation
    low, high = local.min(axis=0), local.max(axis=0)
    shared = np.prod(np.clip(np.minimum(high, box.size / 2) - np.maximum(low, -box.size / 2), 0, None))
    return float(shared / (np.prod(high - low) + np.prod(box.size) - shared))


def _figures(group: dict[str, Any]) -> dict[str, Any]:
    result = {
        "scans": group["scans"],
        "points_per_scan": round(group["points"] / group["scans"]),
        "proposals_per_scan": round(group["proposals"] / group["scans"], 1),
        "seconds_per_scan": round(group["seconds"] / group["scans"], 2),
        "objects": len(group["ious"]),
    }
    if not group["ious"]:
        return result
    by_label: dict[str, list[float]] = {}
    for label, iou in group["ious"]:
        by_label.setdefault(label, []).append(iou)
    every = np.array([iou for _, iou in group["ious"]])
    result["recall_25"] = round(float((every >= 0.25).mean()), 3)
    result["recall_50"] = round(float((every >= 0.5).mean()), 3)
    result["mean_iou"] = round(float(every.mean()), 3)
    result["per_class"] = {
        label: {"objects": len(ious), "recall_50": round(float((np.array(ious) >= 0.5).mean()), 3)}
        for label, ious in sorted(by_label.items(), key=lambda item: -len(item[1]))
    }
    return result


def _print(result: dict[str, Any]) -> None:
    console = Console()
    columns = ("scans", "points_per_scan", "proposals_per_scan", "seconds_per_scan", "objects")
    scores = ("recall_25", "recall_50", "mean_iou")
    table = Table(box=None, header_style="bold")
    table.add_column("group")
    for column in (*columns, *scores):
        table.add_column(column.replace("_", " "), justify="right")
    for name, figures in result.items():
        table.add_row(
            name,
            *(f"{figures[c]:,}" for c in columns),
            *(f"{figures[s]:.2f}" if s in figures else "" for s in scores),
        )
    console.print(table)
    for name, figures in result.items():
        if "per_class" in figures:
            listed = ", ".join(
                f"{label} {v['recall_50']:.2f} ({v['objects']})" for label, v in figures["per_class"].items()
            )
            console.print(f"[bold]{name}[/bold] recall at 0.5 (objects): {listed}", highlight=False)


def _show(report: Page, case: Case, proposals: Sequence[NDArray[np.int64]]) -> None:
    from clip2.recognition import fit_upright_box

    owner = np.full(len(case.points), -1)
    for number, index in enumerate(proposals):
        owner[index] = number
    boxes = [fit_upright_box(case.points[index]) for index in proposals]
    names = [str(number) for number in range(len(proposals))]
    report.heading(f"{case.group}: {len(proposals)} proposals")
    report.cloud(case.points, case.colors, boxes, names, height=640, max_points=100_000, owners=owner)


if __name__ == "__main__":
    raise SystemExit(tyro.cli(main))
