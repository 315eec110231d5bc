"""3D boxes against labeled ones: from labeled 2D boxes, from a detector's, and from geometry alone.

    python -m benchmarks.boxes [ROOT] [--frames 12] [--json]

ROOT holds any of ``kitti_object/``, ``kitti_tracking/``, ``nuscenes/`` and ``sunrgbd/``; streets and rooms of the synthetic
world are always measured. ``clip2.evaluation.scenes.boxes`` says what is measured, and how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.lift_cases import SETS, labeled_cases, synthetic_cases
from benchmarks.record import Row, Settings
from benchmarks.tables import emit
from clip2.evaluation.scenes.boxes import (
    THRESHOLDS,
    BoxScores,
    boxes_from_2d,
    boxes_from_geometry,
    labeled_objects,
)
from clip2.evaluation.scenes.detection import BANDS, band_name
from clip2.evaluation.scenes.views import LabeledView
from data_prep.geometry.scan_sizes import ScanSizes


def main(
    root: Annotated[Path | None, tyro.conf.Positional] = None, frames: int = 12, json: bool = False
) -> int:
    """Measure boxes.

    Args:
        root: folder with real scans; without it only the synthetic world is measured.
        frames: number of synthetic streets and of synthetic rooms.
        json: print one JSON object on standard output instead of tables.
    """
    found = measure(root, frames)
    return emit(found, json, _print)


def rows(settings: Settings) -> Iterator[Row]:
    """Mean 3D IoU of whole boxes beside the boxes around the points."""
    found = measure(settings.data, 6)
    for name, modes in found.items():
        for mode, kinds in modes.items():
            ours, theirs = kinds["whole"]["iou_3d"], kinds["visible"]["iou_3d"]
            yield Row(
                "boxes",
                f"{name}, {mode}: mean 3D IoU",
                "visible box",
                "",
                ours,
                theirs,
                ours / max(theirs, 1e-9),
            )


def measure(root: Path | None, frames: int) -> dict[str, Any]:
    """Set → mode → ``visible``, ``whole`` or ``scan-sized`` → figures."""
    cases: dict[str, dict[str, list[LabeledView]]] = {}
    for name in SETS if root is not None else ():
        assert root is not None
        labeled = labeled_cases(root, name, detector=False)
        if labeled:
            cases[name] = {"labeled 2D boxes": labeled}
            detected = labeled_cases(root, name, detector=True)
            if any(any(box is not None for box in case.boxes) for case in detected):
                cases[name]["detector's 2D boxes"] = detected
    for setting in ("street", "room"):
        cases[f"synthetic {setting}s"] = {
            "labeled 2D boxes": synthetic_cases(setting, frames, "perfect"),
            "detector's 2D boxes": synthetic_cases(setting, frames, "good"),
        }
    result: dict[str, Any] = {}
    for name, modes in cases.items():
        result[name] = {mode: _figures(boxes_from_2d, found) for mode, found in modes.items()}
        framed = [(v.frame, labeled_objects(v)[1]) for v in modes["labeled 2D boxes"]]
        result[name]["geometry alone"] = _figures(boxes_from_geometry, framed)
    return result


def _figures(boxes: Callable[..., dict[str, BoxScores]], of: Iterable[Any]) -> dict[str, Any]:
    """Kind of box → figures. Scan-sized boxes are whole ones, by the sizes that the whole boxes of the set have shown."""
    shown = ScanSizes()
    results = boxes(of, shown=shown)
    results["scan-sized"] = boxes(of, sizes=shown.sizes())["whole"]
    return {kind: scores.to_json() for kind, scores in results.items()}


def _print(found: dict[str, Any]) -> None:
    console = Console()
    table = Table(box=None, header_style="bold")
    columns = ("objects", "3D IoU", "BEV IoU", "AP 25", "AP 40", "AP 50", "AP 70", "yaw °", "l w h of true")
    columns += tuple(band_name(*band) for band in BANDS)
    table.add_column("set, from, box")
    for column in columns:
        table.add_column(column, justify="right")
    for name, modes in found.items():
        for mode, kinds in modes.items():
            for kind, figures in kinds.items():
                size = " ".join(f"{v:.2f}" for v in figures.get("size_ratio", ()))
                bands = [v["iou_3d"] for v in figures["per_range"].values()]
                table.add_row(
                    f"{name}, {mode}, {kind}",
                    str(figures["objects"]),
                    *(f"{figures[key]:.3f}" for key in ("iou_3d", "iou_bev")),
                    *(f"{figures[f'ap_{round(100 * t)}']:.2f}" for t in THRESHOLDS),
                    f"{figures['yaw_error_deg']:.0f}" if "yaw_error_deg" in figures else "",
                    size,
                    *("" if v is None else f"{v:.2f}" for v in bands),
                )
    console.print(table)
    for name, modes in found.items():
        console.print(bands_table(f"{name}: AP3D of whole boxes by distance", modes))
    for name, modes in found.items():
        classes = modes["labeled 2D boxes"]["whole"]["per_class"]
        listed = ", ".join(
            f"{label} {v['iou_3d']:.2f} ({v['objects']})" for label, v in list(classes.items())[:12]
        )
        console.print(f"[bold]{name}[/bold] mean 3D IoU of whole boxes (objects): {listed}", highlight=False)


def bands_table(title: str, modes: dict[str, Any]) -> Table:
    """Average precision by distance: a row per mode and threshold.

    Args:
        title: of the table.
        modes: mode → ``whole`` → figures as :meth:`BoxScores.to_json` gives them.
    """
    bands = [band_name(*band) for band in BANDS]
    table = Table("boxes from", "3D IoU from", *bands, title=title, title_justify="left")
    for mode, kinds in modes.items():
        for threshold in THRESHOLDS[:3]:
            key = f"ap_{round(100 * threshold)}"
            rows = (kinds["whole"]["per_range"][band] for band in bands)
            table.add_row(
                mode,
                f"{threshold:g}",
                *("" if r[key] is None else f"{r[key]:.2f} ({r['objects']})" for r in rows),
            )
    return table


if __name__ == "__main__":
    raise SystemExit(tyro.cli(main))
