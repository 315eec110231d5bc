"""Recall, precision and speed of class-agnostic object proposals, beside a plain baseline.

    python -m benchmarks.proposals [ROOT] [--json] [--page FILE] [--only TEXT] [--masks DETECTOR]

Every scan is searched by geometry alone (``clip2.recognition.propose_objects``); what it calls background does not count.
``clip2.evaluation.scenes.proposals`` says when an object is found. Its points depend on the ground truth of each set:

- ``procedural``: rooms (single frames, and six of them fused), table tops and streets with exact instances; always measured.
- ``kitti``, ``kitti-tracking``, ``nuscenes``: points inside the labeled 3D box (KITTI: and in the camera's view); objects
  with >= 10 points.
- ``scannet``, ``sunrgbd``: label boxes also hold floor and neighbors, so the *boxes* are compared.
- ``hand-labeled``: depth images outlined by hand (``benchmarks.outlines``). Nobody tunes on them; only ``validation`` is
  looked at while building.
- ``7-scenes`` (one frame, and the sequence fused): no labels; number of proposals and time only.

With ``--masks perfect|good|weak``, synthetic scans are searched by geometry and the masks of that simulated detector.

*Precision* is the share of proposals that share at least half of their union with an object; given only where every object is
known. *Recall of 60* counts the 60 proposals of highest objectness. *Plain* is ``benchmarks.plain_proposals``.

ROOT is a folder with any of kitti_object/ kitti_tracking/ nuscenes/ scannet/ sunrgbd/ rgbd/.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.plain_proposals import plain_proposals
from benchmarks.proposal_cases import Case, real_cases, synthetic_cases
from benchmarks.record import Row, Settings
from benchmarks.tables import emit
from clip2.evaluation.scenes.proposals import (
    MOST,
    ProposalOverlaps,
    best_overlaps,
    objectness_calibration,
    proposal_figures,
    recall_by,
)
from clip2.recognition import fit_upright_box, propose_objects, propose_with_masks
from clip2.recognition.proposals import Proposals
from data_prep.report import Page

_RIVAL = "planes away, DBSCAN"


def main(
    root: Annotated[Path | None, tyro.conf.Positional] = None,
    json: bool = False,
    page: Path | None = None,
    only: str = "",
    masks: Literal["perfect", "good", "weak"] | None = None,
) -> int:
    """Measure proposals.

    Args:
        root: folder with real scans; without it only the synthetic world is searched.
        json: print one JSON object on standard output instead of tables.
        page: also write the first proposals of each group as an HTML page.
        only: measure only groups whose name contains this text.
        masks: simulated detector whose masks are used besides, in synthetic scans.
    """
    report = (
        None
        if page is None
        else Page("Proposals", "Found by geometry alone; one color each. Labels are not used.")
    )
    result = measure(root, report, only, masks)
    if page is not None and report is not None:
        report.write(page)
    return emit(result, json, _print)


def rows(settings: Settings) -> Iterator[Row]:
    """Recall by group of scans, beside the plain baseline."""
    for group, found in measure(settings.data).items():
        if "recall_50" in found:
            ours, theirs = found["recall_50"], found["plain"]["recall_50"]
            case, note = f"{group}: recall at IoU 0.5", f"{found['objects']} objects"
            yield Row(
                "proposals", case, _RIVAL, "", ours, theirs, ours / theirs if theirs else None, note=note
            )


def measure(
    root: Path | None, report: Page | None = None, only: str = "", masks: str | None = None
) -> dict[str, dict[str, Any]]:
    """Group → figures; the first proposals of each group are added to ``report``."""
    groups: defaultdict[str, list[_Searched]] = defaultdict(list)
    cases = chain(synthetic_cases(only), [] if root is None else real_cases(root, only))
    for case in track(list(cases), console=Console(stderr=True), description="searching", transient=True):
        started = time.perf_counter()
        found = propose_objects(case.points, case.kind, case.viewpoint, case.colors)
        if masks is not None and case.frames is not None:
            found = propose_with_masks(case.points, case.masked(masks), found)
        seconds = time.perf_counter() - started
        objects = found.objects()
        if report is not None and case.group not in groups:
            _show(report, case, objects)
        plain = plain_proposals(case.points, case.plain)
        on_background = 0
        if case.background is not None:
            on_background = sum(bool(case.background[index].mean() > 0.5) for index in objects.indices)
        groups[case.group].append(
            _Searched(
                name=case.name,
                points=len(case.points),
                seconds=seconds,
                background=len(found) - len(objects),
                bands=case.bands,
                ours=case.overlaps(objects.indices, objects.objectness),
                plain=case.overlaps(plain, np.ones(len(plain))),
                on_background=on_background,
            )
        )
    return {name: _figures(scans) for name, scans in groups.items()}


@dataclass(frozen=True, eq=False)
class _Searched:
    """One case, searched by us and by the baseline."""

    name: str
    points: int
    seconds: float
    background: int
    bands: list[str]
    ours: ProposalOverlaps
    plain: ProposalOverlaps
    on_background: int


def _figures(scans: list[_Searched]) -> dict[str, Any]:
    ours, theirs = [scan.ours for scan in scans], [scan.plain for scan in scans]
    result: dict[str, Any] = {
        "scans": len(scans),
        "points_per_scan": round(float(np.mean([scan.points for scan in scans]))),
        "seconds_per_scan": round(float(np.mean([scan.seconds for scan in scans])), 2),
        "background_per_scan": round(float(np.mean([scan.background for scan in scans])), 1),
        **proposal_figures(ours),
        "plain": proposal_figures(theirs),
    }
    if result["objects"] == 0:
        return result
    best = {"recall_50": best_overlaps(ours), "plain_recall_50": best_overlaps(theirs)}
    for name, values in (
        ("per_class", [label for scan in ours for label in scan.labels]),
        ("per_band", [band for scan in scans for band in scan.bands]),
    ):
        if values:
            result[name] = recall_by(values, best)
    if any(scan.on_background for scan in scans):
        result["on_background_per_scan"] = round(float(np.mean([s.on_background for s in scans])), 1)
    calibration = objectness_calibration(ours)
    if calibration is not None and all(scan.complete for scan in ours):
        result["objectness_ece"] = round(calibration.ece, 3)
    if len(scans) > 1:
        result["per_scan"] = {
            scan.name: {**proposal_figures([scan.ours]), "plain": proposal_figures([scan.plain])}
            for scan in scans
            if scan.ours.labels
        }
    return result


_COLUMNS = {
    "scans": "scans",
    "points_per_scan": "points",
    "seconds_per_scan": "s",
    "background_per_scan": "background",
    "objects": "objects",
    "proposals_per_scan": "proposals",
    "recall_25": "at 0.25",
    "recall_50": "recall",
    f"recall_50_of_{MOST}": f"of {MOST}",
    "precision_50": "precision",
    "mean_iou": "IoU",
}
_PLAIN_COLUMNS = {
    "proposals_per_scan": "plain: proposals",
    "recall_25": "at 0.25",
    "recall_50": "recall",
    "precision_50": "precision",
}


def _print(result: dict[str, Any]) -> None:
    console = Console(width=max(160, Console().width))
    table = Table(box=None, header_style="bold")
    table.add_column("group")
    for title in (*_COLUMNS.values(), *_PLAIN_COLUMNS.values()):
        table.add_column(title, justify="right", no_wrap=True)
    for name, figures in result.items():
        cells = [figures.get(key, "") for key in _COLUMNS]
        cells += [figures["plain"].get(key, "") for key in _PLAIN_COLUMNS]
        table.add_row(name, *(f"{cell:,}" if cell != "" else "" for cell in cells))
    console.print(table)
    for name, figures in result.items():
        if name.startswith("hand-labeled"):
            for scan, found in figures["per_scan"].items():
                console.print(f"{scan}: {_short(found)}; plain {_short(found['plain'])}", highlight=False)
        for key, said in (("per_band", "by size or range"), ("per_class", "by label")):
            listed = ", ".join(
                f"{value} {v['recall_50']:.2f} ({v['objects']}; plain {v['plain_recall_50']:.2f})"
                for value, v in list(figures.get(key, {}).items())[:12]
            )
            if listed:
                console.print(f"[bold]{name}[/bold] recall {said} (objects): {listed}", highlight=False)


def _short(found: dict[str, Any]) -> str:
    hits = round(found["recall_50"] * found["objects"])
    return f"{hits} of {found['objects']}, precision {found.get('precision_50', 0):.2f}"


def _show(report: Page, case: Case, objects: Proposals) -> None:
    boxes = [fit_upright_box(case.points[index]) for index in objects.indices]
    names = [f"{score:.2f}" for score in objects.objectness]
    report.heading(f"{case.group}: {len(objects)} proposals, named by their objectness")
    owners = objects.owners(len(case.points))
    report.cloud(case.points, case.colors, boxes, names, height=640, max_points=100_000, owners=owners)


if __name__ == "__main__":
    raise SystemExit(tyro.cli(main))
