"""Transfer of lifting settings between sources, and synthetic recall by range, occlusion and number of beams.

    python -m benchmarks.lift_transfer ROOT [--frames 6] [--json]

Every setting of the ``lidar`` lifter is halved and doubled. The best variant on one source is then measured on all others:
KITTI and nuScenes (``ROOT`` as for ``benchmarks.lift_quality``, labeled 2D boxes) and synthetic cities swept by LiDARs of 16,
32, 64 and 128 beams. Settings that hold everywhere show as equal rows. The second table says where points are lost: mean
IoU, precision and recall of the default settings in the same cities.
"""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.lift_cases import labeled_cases, synthetic_cases
from clip2.evaluation.scenes.lifting import (
    OPEN_GATES,
    PointScore,
    along_label,
    frustum_of,
    lifted_by,
    score_points,
)
from clip2.evaluation.scenes.views import LabeledView
from data_prep.errors import InputError
from data_prep.lift import create_lifter
from data_prep.lift.config import LidarConfig

BEAMS = (16, 32, 64, 128)
RANGES = ((0, 30), (30, 50), (50, 80))  # meters
HIDDEN = ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8))  # shares
_IMAGE = (1242, 375)  # pixels
_AHEAD = 20  # poses, so that the street goes on for 85 m


def main(root: Annotated[Path, tyro.conf.Positional], frames: int = 6, json: bool = False) -> int:
    """Choose settings on one source and measure them on the others.

    Args:
        root: folder that holds the real sets.
        frames: number of synthetic cities for each number of beams.
        json: print one JSON object on standard output instead of tables.
    """
    try:
        result = measure(root, frames)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if json:
        print(json_format.dumps(result, indent=2))
    else:
        _print(result)
    return 0


def measure(root: Path, frames: int) -> dict[str, Any]:
    """``transfer``: row → source → mean IoU; ``by_range``: beams → range → share hidden → figures."""
    real = {name: labeled_cases(root, name, detector=False) for name in ("KITTI", "nuScenes")}
    cities = {
        beams: synthetic_cases("city", frames, "perfect", _IMAGE, beams=beams, ahead=_AHEAD)
        for beams in BEAMS
    }
    sources = {
        **{name: cases for name, cases in real.items() if cases},
        **{f"{beams} beams": cases for beams, cases in cities.items()},
    }
    variants = {name: _means(sources, settings) for name, settings in _variants()}
    transfer: dict[str, dict[str, float | None]] = {"default": {**variants["default"]}}
    for source in sources:
        best = max(variants, key=lambda name: variants[name][source])
        transfer[f"chosen on {source}: {best}"] = {**variants[best]}
    recipe = lifted_by(create_lifter("frustum-dbscan", **OPEN_GATES))
    transfer["frustum-dbscan (CLIP²)"] = {
        name: _mean(score_points(cases, recipe)) for name, cases in sources.items()
    }
    transfer["bare frustum"] = {
        name: _mean(score_points(cases, frustum_of)) for name, cases in sources.items()
    }
    transfer["label + 10 cm"] = {
        name: _mean(score_points(cases, along_label)) if name in real else None
        for name, cases in sources.items()
    }
    ours = lifted_by(create_lifter("lidar", **OPEN_GATES))
    by_range = {beams: _by_range(score_points(cases, ours)) for beams, cases in cities.items()}
    return {"transfer": transfer, "by_range": by_range}


def _variants() -> Iterator[tuple[str, dict[str, float]]]:
    yield "default", {}
    for name, value in LidarConfig().model_dump().items():
        for factor in (0.5, 2.0):
            yield f"{name} x{factor:g}", {name: value * factor}


def _means(sources: dict[str, list[LabeledView]], settings: dict[str, float]) -> dict[str, float]:
    cut = lifted_by(create_lifter("lidar", **OPEN_GATES, **settings))
    return {name: _mean(score_points(cases, cut)) for name, cases in sources.items()}


def _mean(scores: list[PointScore]) -> float:
    return float(np.mean([score.iou for score in scores]))


def _by_range(scores: list[PointScore]) -> dict[str, dict[str, dict[str, float]]]:
    table: dict[str, dict[str, dict[str, float]]] = {}
    for near, far in RANGES:
        row = table[f"{near}-{far} m"] = {}
        for low, high in HIDDEN:
            some = [s for s in scores if near <= s.range < far and low <= s.occluded < high]
            row[f"{low:.0%}-{high:.0%} hidden"] = {
                "objects": len(some),
                **{
                    name: float(np.mean([getattr(s, name) for s in some])) if some else float("nan")
                    for name in ("iou", "precision", "recall")
                },
            }
    return table


def _print(result: dict[str, Any]) -> None:
    console = Console()
    names = list(result["transfer"]["default"])
    table = Table("settings", *names, title="Mean IoU with the object's points", title_justify="left")
    for row, found in result["transfer"].items():
        table.add_row(row, *("" if found[name] is None else f"{found[name]:.3f}" for name in names))
    console.print(table)
    columns = [f"{low:.0%}-{high:.0%} hidden" for low, high in HIDDEN]
    title = "Mean IoU, precision, recall (objects)"
    table = Table("beams", "range", *columns, title=title, title_justify="left")
    for beams, rows in result["by_range"].items():
        for band, row in rows.items():
            cells = (
                f"{c['iou']:.2f} {c['precision']:.2f} {c['recall']:.2f} ({c['objects']})"
                if c["objects"]
                else ""
                for c in (row[column] for column in columns)
            )
            table.add_row(str(beams), band, *cells)
    console.print(table)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
