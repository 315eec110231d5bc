"""3D boxes against labeled ones: from labeled 2D boxes, from a detector's, and from geometry alone.

    python -m benchmarks.boxes [ROOT] [--frames 12] [--json]

ROOT holds any of ``kitti_object/``, ``kitti_tracking/``, ``nuscenes/`` and ``sunrgbd/``; streets and rooms of the synthetic
world are always measured. Every labeled object in view with at least one point counts; one that is not found counts as IoU 0.
*visible* is the box around the points, *whole* the box that ``complete_boxes`` makes of it. From geometry alone the
proposal whose box overlaps the label most is taken, and *whole* is given the label's name: what recognition yields
where it names an object right. Average precision (AP) is class-agnostic: all predictions of a set compete by their score, and a
label is found once, by the best prediction left with IoU of at least the threshold; area under the precision envelope.
"""

from __future__ import annotations

import json as json_format
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.lift_cases import SETS, Case, labeled_cases, synthetic_cases
from benchmarks.lift_quality import OPEN_GATES
from benchmarks.record import Row, Settings
from clip2.recognition import propose_objects
from data_prep.geometry import OrientedBox
from data_prep.geometry.box_completion import CompletedBox, SeenObject, complete_boxes
from data_prep.geometry.box_iou import box_iou_3d, box_rows
from data_prep.geometry.ground import floor_heights
from data_prep.geometry.transforms import transform_points
from data_prep.lift import create_lifter

BANDS = ((0, 15), (15, 30), (30, 45), (45, 200))  # meters
THRESHOLDS = (0.25, 0.4, 0.5, 0.7)
_NOTHING = np.zeros(7)


@dataclass(frozen=True)
class Pair:
    """A labeled object and what was predicted for it.

    Attributes:
        label, range: class, and meters from the sensor.
        truth, predicted: (7,) boxes in the world; the prediction has size 0 where nothing was found.
        iou, above: 3D and seen from above.
    """

    label: str
    range: float
    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    iou: float
    above: float


@dataclass
class Result:
    """Pairs of one set and mode, and all its predictions by frame for average precision."""

    pairs: list[Pair]
    frames: list[tuple[NDArray, NDArray, NDArray]]  # predictions (P, 7), scores (P,), labels (L, 7)


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
    if json:
        print(json_format.dumps(found, indent=2))
    else:
        _print(found)
    return 0


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
    """Set → mode → ``visible`` or ``whole`` → figures."""
    cases: dict[str, dict[str, list[Case]]] = {}
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
        result[name] = {mode: _both(_from_2d(found)) for mode, found in modes.items()}
        result[name]["geometry alone"] = _both(_from_geometry(modes["labeled 2D boxes"]))
    return result


def _both(results: dict[str, Result]) -> dict[str, Any]:
    return {
        kind: {**_figures(found.pairs), **_precision(found.frames), **_parts(found.pairs)}
        for kind, found in results.items()
    }


def _from_2d(cases: list[Case]) -> dict[str, Result]:
    lifter = create_lifter("auto", **OPEN_GATES)
    results = {"visible": Result([], []), "whole": Result([], [])}
    for case in cases:
        lifted = {found.detection: found for found in lifter.lift(case.frame, [case.detections]).objects}
        view, T = case.frame.views[0], case.frame.T_world_points
        seen = _seen(case, [transform_points(T, lifted[row].points.astype(np.float64)) for row in lifted])
        seen = [
            replace(
                one,
                label=case.detections.labels[row],
                box_2d=case.detections.boxes[row],
                camera=view.camera,
                T_world_points=T,
            )
            for one, row in zip(seen, lifted, strict=True)
        ]
        boxes = dict(zip(lifted, complete_boxes(seen), strict=True))
        scores = {row: float(case.detections.scores[row]) * box.quality for row, box in boxes.items()}
        for kind, result in results.items():
            of = {row: box_rows([_kind(box, kind)])[0] for row, box in boxes.items()}
            truths = {row: box_rows([box.transformed(T)])[0] for row, box in _labeled(case)}
            for row, truth in truths.items():
                result.pairs.append(_pair(case, row, truth, of.get(row, _NOTHING)))
            result.frames.append(
                (_stack(list(of.values())), np.array(list(scores.values())), _stack(list(truths.values())))
            )
    return results


def _from_geometry(cases: list[Case]) -> dict[str, Result]:
    results = {"visible": Result([], []), "whole": Result([], [])}
    for case in cases:
        world, T = case.frame.world_points(), case.frame.T_world_points
        kind = "lidar" if case.frame.depth is None and np.ptp(world[:, 0]) > 25 else "room"
        found = propose_objects(world, kind, T[:3, 3], case.frame.colors).objects()  # type: ignore[arg-type]
        clouds = [world[index] for index in found.indices]
        truths = [(row, box_rows([box.transformed(T)])[0]) for row, box in _labeled(case)]
        seen = _seen(case, clouds)
        boxes = complete_boxes(seen)
        plain = _stack([box_rows([box.visible])[0] for box in boxes])
        overlap = box_iou_3d(plain, _stack([truth for _, truth in truths]))[0]
        # The label of the object that a proposal overlaps most, as if it were named right.
        named = [
            replace(one, label=case.labels[truths[int(row.argmax())][0]])
            if len(row) and row.max() > 0.02
            else one
            for one, row in zip(seen, overlap, strict=True)
        ]
        whole = _stack([box_rows([box.amodal])[0] for box in complete_boxes(named)])
        for name, predicted in (("visible", plain), ("whole", whole)):
            result = results[name]
            labels = _stack([truth for _, truth in truths])
            iou = box_iou_3d(predicted, labels)[0]
            for column, (row, truth) in enumerate(truths):
                best = (
                    predicted[int(iou[:, column].argmax())]
                    if len(predicted) and iou[:, column].max() > 0
                    else _NOTHING
                )
                result.pairs.append(_pair(case, row, truth, best))
            result.frames.append((predicted, np.asarray(found.objectness, np.float64), labels))
    return results


def _labeled(case: Case) -> list[tuple[int, OrientedBox]]:
    return [
        (row, box)
        for row, box in enumerate(case.boxes)
        if box is not None and case.labels[row] and case.truths[row].any()
    ]


def _seen(case: Case, clouds: Sequence[NDArray]) -> list[SeenObject]:
    """Objects with the sensor's place, and the height of the ground or floor under them."""
    world, T = case.frame.world_points(), case.frame.T_world_points
    middles = np.array([cloud[:, :2].mean(axis=0) for cloud in clouds]).reshape(-1, 2)
    floors = floor_heights(world, middles, indoors=case.frame.depth is not None).tolist()
    return [SeenObject(cloud, None, T[:3, 3], floor) for cloud, floor in zip(clouds, floors, strict=True)]


def _kind(box: CompletedBox, kind: str) -> OrientedBox:
    return box.visible if kind == "visible" else box.amodal


def _stack(boxes: Sequence[NDArray]) -> NDArray[np.float64]:
    return np.array(boxes, dtype=np.float64).reshape(-1, 7)


def _pair(case: Case, row: int, truth: NDArray, predicted: NDArray) -> Pair:
    iou, above = box_iou_3d([predicted], [truth])
    distance = float(np.linalg.norm(truth[:3] - case.frame.T_world_points[:3, 3]))
    return Pair(case.labels[row], distance, truth, predicted, float(iou[0, 0]), float(above[0, 0]))


def _figures(pairs: Sequence[Pair]) -> dict[str, Any]:
    found = [pair for pair in pairs if pair.predicted[3:6].prod() > 0]
    figures: dict[str, Any] = {"objects": len(pairs), "found": len(found)}
    figures["iou_3d"] = float(np.mean([pair.iou for pair in pairs])) if pairs else None
    figures["iou_bev"] = float(np.mean([pair.above for pair in pairs])) if pairs else None
    if found:
        yaws = [abs((p.predicted[6] - p.truth[6] + np.pi / 2) % np.pi - np.pi / 2) for p in found]
        figures["yaw_error_deg"] = float(np.rad2deg(np.median(yaws)))
        ratios = np.array([p.predicted[3:6] / np.maximum(p.truth[3:6], 1e-6) for p in found])
        figures["size_ratio"] = np.median(ratios, axis=0).tolist()
    return figures


def _parts(pairs: Sequence[Pair]) -> dict[str, Any]:
    by_label: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_label[pair.label].append(pair)
    return {
        "per_range": {f"{a}-{b} m": _figures([p for p in pairs if a <= p.range < b]) for a, b in BANDS},
        "per_class": {
            label: _figures(some) for label, some in sorted(by_label.items(), key=lambda item: -len(item[1]))
        },
    }


def _precision(frames: Sequence[tuple[NDArray, NDArray, NDArray]]) -> dict[str, float]:
    return {f"ap_{round(100 * t)}": average_precision(frames, t) for t in THRESHOLDS}


def average_precision(frames: Sequence[tuple[NDArray, NDArray, NDArray]], threshold: float) -> float:
    """Area under the precision envelope; see the module.

    Args:
        frames: of each frame predictions (P, 7), scores (P,), labels (L, 7).
        threshold: 3D IoU.
    """
    total = sum(len(labels) for _, _, labels in frames)
    scores, hits = [np.zeros(0)], [np.zeros(0, bool)]
    for boxes, score, labels in frames:
        overlap = box_iou_3d(boxes, labels)[0]
        order = np.argsort(-score, kind="stable")
        taken, hit = np.zeros(len(labels), bool), np.zeros(len(boxes), bool)
        for row in order:
            free = np.where(taken, 0, overlap[row])
            if len(free) and free.max() >= threshold:
                taken[int(free.argmax())] = True
                hit[row] = True
        scores.append(score)
        hits.append(hit)
    score, hit = np.concatenate(scores), np.concatenate(hits)
    hit = hit[np.argsort(-score, kind="stable")]
    if total == 0 or not hit.any():
        return 0.0
    recall = np.cumsum(hit) / total
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def _print(found: dict[str, Any]) -> None:
    console = Console()
    table = Table(box=None, header_style="bold")
    columns = ("objects", "3D IoU", "BEV IoU", "AP 25", "AP 40", "AP 50", "AP 70", "yaw °", "l w h of true")
    columns += tuple(f"{a}-{b} m" for a, b in BANDS)
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
        classes = modes["labeled 2D boxes"]["whole"]["per_class"]
        listed = ", ".join(
            f"{label} {v['iou_3d']:.2f} ({v['objects']})" for label, v in list(classes.items())[:12]
        )
        console.print(f"[bold]{name}[/bold] mean 3D IoU of whole boxes (objects): {listed}", highlight=False)


if __name__ == "__main__":
    raise SystemExit(tyro.cli(main))
