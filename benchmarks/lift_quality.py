"""Agreement of lifted points with labeled 3D boxes and exact ground truth.

    python -m benchmarks.lift_quality ROOT [--json] [--vary] [--frames 20]

ROOT holds any of ``kitti_object/``, ``kitti_tracking/``, ``nuscenes/`` and ``sunrgbd/`` in the official layouts. The labels'
own 2D boxes are the detections; where a set has none, the hulls of the projected 3D boxes. The truth of an object is the
points inside both its labeled 3D box and its 2D box; objects with fewer than 10 such points are skipped. All filters
are off, because a filtered object is not a lifting error. An object that a lifter does not find counts as IoU 0.
If ROOT holds ``detections/*_fastestdet.json``, a real detector's boxes are measured too: those that overlap a label by
2D IoU >= 0.5, with the truth limited to the detector's box.

Labels are not exact: boxes cut off bumpers and mirrors, and include a strip of road. Two more figures account for this.
*seam* is the mean IoU if points less than 10 cm outside the label are ignored. *label + 10 cm* is the score of the label
box itself, widened by 10 cm and without the ground: the best to expect of a lifter that does not know the labels.
The last table of a set is what other papers report: AP3D by distance of the whole boxes that the lifted points are completed to.
Rooms and streets of the synthetic world have exact ground truth per point.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.boxes import bands_table
from benchmarks.lift_cases import SETS, labeled_cases, synthetic_cases
from benchmarks.record import Row, Settings
from benchmarks.tables import emit
from clip2.evaluation.scenes.boxes import boxes_from_2d
from clip2.evaluation.scenes.lifting import (
    OPEN_GATES,
    PointScore,
    along_label,
    frustum_of,
    lifted_by,
    point_figures,
    score_points,
)
from clip2.evaluation.scenes.views import LabeledView
from data_prep.errors import BadDatasetError, InputError
from data_prep.lift import create_lifter
from data_prep.lift.config import LidarConfig

BANDS = ((0, 15), (15, 30), (30, 200))  # meters
# The recipe's radius for sweeps, 0.6 m, joins everything in a room, and DBSCAN takes minutes per depth image over it.
_DENSE_RADIUS = 0.05  # meters


def main(
    root: Annotated[Path, tyro.conf.Positional], json: bool = False, vary: bool = False, frames: int = 0
) -> int:
    """Measure our lifters beside the recipe of CLIP² and the bare frustum.

    Args:
        root: folder that holds the sets.
        json: print one JSON object on standard output instead of tables.
        vary: also halve and double every setting of the lidar lifter, on KITTI.
        frames: number of synthetic rooms and of synthetic streets to add, with exact boxes and with a detector's.
    """
    try:
        result = measure(root, vary, frames)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return emit(result, json, _print)


def rows(settings: Settings) -> Iterator[Row]:
    """Mean IoU with the labeled points, beside the other lifters."""
    assert settings.data is not None
    for name, kinds in measure(settings.data).items():
        for kind, said in (("boxes", "exact boxes"), ("detector", "real boxes")):
            found = kinds.get(kind, {})
            ours = found.get("clip2", {}).get("mean_iou")
            for rival, other in found.items():
                theirs = other["mean_iou"]
                if rival == "clip2" or ours is None or theirs is None:
                    continue
                share = ours / theirs if theirs else None
                yield Row("lift_quality", f"{name}, {said}: mean IoU", rival, "", ours, theirs, share)


def measure(root: Path, vary: bool = False, frames: int = 0) -> dict[str, Any]:
    """Set, then ``boxes`` or ``detector``, then contender → plain numbers; see the module for what they mean."""
    result: dict[str, Any] = {}
    for name in SETS:
        cases = labeled_cases(root, name, detector=False)
        if cases:
            result[name] = {"boxes": _contenders(cases, labeled=True)}
            detected = labeled_cases(root, name, detector=True)
            if detected:
                result[name]["detector"] = _contenders(detected, labeled=True)
            if vary and name == "KITTI":
                result[name]["varied"] = _varied(cases)
    if not result:
        raise BadDatasetError(
            "holds none of kitti_object/, kitti_tracking/, nuscenes/ and sunrgbd/ with labels", source=root
        )
    for setting in ("room", "street") if frames else ():
        result[f"synthetic {setting}s"] = {
            "boxes": _contenders(synthetic_cases(setting, frames, "perfect"), labeled=False),
            "detector": _contenders(synthetic_cases(setting, frames, "good"), labeled=False),
        }
    return result


def _contenders(cases: list[LabeledView], labeled: bool) -> dict[str, Any]:
    ours = score_points(cases, lifted_by(create_lifter("auto", **OPEN_GATES)))
    dense = {"radius": _DENSE_RADIUS} if cases[0].frame.depth is not None else {}
    recipe = create_lifter("frustum-dbscan", **OPEN_GATES, **dense)
    result = {
        "clip2": _summary(ours),
        "frustum-dbscan (CLIP²)": _summary(score_points(cases, lifted_by(recipe))),
        "bare frustum": _summary(score_points(cases, frustum_of)),
    }
    if labeled:
        result["label + 10 cm"] = _summary(score_points(cases, along_label))
    result["clip2"]["whole boxes"] = boxes_from_2d(cases)["whole"].to_json()
    result["clip2"]["per_range"] = {
        f"{near}-{far} m": point_figures([s for s in ours if near <= s.range < far]) for near, far in BANDS
    }
    return result


def _varied(cases: list[LabeledView]) -> dict[str, Any]:
    varied = {}
    for name, value in LidarConfig().model_dump().items():
        for factor in (0.5, 2.0):
            lifter = create_lifter("lidar", **OPEN_GATES, **{name: value * factor})
            varied[f"{name} x{factor:g}"] = point_figures(score_points(cases, lifted_by(lifter)))
    return varied


def _summary(scores: list[PointScore]) -> dict[str, Any]:
    classes = sorted({score.label for score in scores})
    per_class = {label: point_figures([s for s in scores if s.label == label]) for label in classes}
    return {**point_figures(scores), "per_class": per_class}


_COLUMNS = {
    "mean_iou": "mean IoU",
    "share_above_half": "IoU > 0.5",
    "precision": "precision",
    "recall": "recall",
    "seam_iou": "mean IoU, seam left out",
}


def _print(result: dict[str, Any]) -> None:
    console = Console()
    for name, found in result.items():
        _table(console, f"{name}: exact 2D boxes", found["boxes"])
        if "detector" in found:
            _table(console, f"{name}: a detector's boxes", found["detector"])
        _table(console, f"{name}: by range, exact boxes", found["boxes"]["clip2"]["per_range"])
        modes = {
            said: {"whole": found[kind]["clip2"]["whole boxes"]}
            for kind, said in (("boxes", "exact 2D boxes"), ("detector", "a detector's"))
            if kind in found
        }
        console.print(bands_table(f"{name}: AP3D of whole boxes by distance", modes))
        if "varied" in found:
            _table(console, "Settings halved and doubled, exact boxes", found["varied"])


def _table(console: Console, title: str, rows: dict[str, dict[str, Any]]) -> None:
    table = Table("", "objects", *_COLUMNS.values(), title=title, title_justify="left")
    for name, figures in rows.items():
        shown = (f"{figures[key]:.3f}" if figures["objects"] else "" for key in _COLUMNS)
        table.add_row(name, str(figures["objects"]), *shown)
    console.print(table)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
