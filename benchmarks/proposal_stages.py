"""Stage of the indoor proposals at which objects get lost: planes and first regions, the tree of merges, or the choice.

    python -m benchmarks.proposal_stages [ROOT] [--json] [--only TEXT]

For every object the best IoU that each stage still allows: of its *first regions* (those with most of their points in the
object, together), of the best single node of the *tree*, and of the node that was *chosen*. The groups and the IoU are those of
``benchmarks.proposals``. *Removed* is the share of the points of no object that were recognized as floor, ceiling or wall.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.proposal_cases import Case, real_cases, synthetic_cases
from benchmarks.tables import emit
from clip2.recognition.proposals.region_tree import BORDER_FEATURES, NODE_FEATURES, RegionTree
from clip2.recognition.proposals.room import choose_nodes, read_room
from clip2.recognition.proposals.scorer import shipped_scorer
from data_prep.geometry import OrientedBox

_STAGES = ("first regions", "tree", "chosen")


def main(
    root: Annotated[Path | None, tyro.conf.Positional] = None, json: bool = False, only: str = ""
) -> int:
    """Measure the stages.

    Args:
        root: folder with real scans; without it only the synthetic world is searched.
        json: print one JSON object on standard output instead of a table.
        only: measure only groups whose name contains this text.
    """
    found: defaultdict[str, list[NDArray]] = defaultdict(list)
    removed: defaultdict[str, list[float]] = defaultdict(list)
    cases = chain(synthetic_cases(only), [] if root is None else real_cases(root, only))
    for case in track(list(cases), console=Console(stderr=True), description="searching", transient=True):
        if case.labels and case.kind != "lidar" and not case.group.startswith(("kitti", "nuscenes")):
            rows, share = stages(case)
            found[case.group].append(rows)
            if share is not None:
                removed[case.group].append(share)
    return emit(
        {name: _figures(np.concatenate(rows), removed[name]) for name, rows in found.items()}, json, _print
    )


def stages(case: Case) -> tuple[NDArray, float | None]:
    """(M, 3) best IoU of each object by stage, and the share of the other points that planes took away."""
    room = read_room(case.points, case.viewpoint, case.colors)
    assert room is not None
    border = shipped_scorer("room-borders", BORDER_FEATURES)
    tree = room.grow(lambda rows, a, b: border(rows))
    judged = shipped_scorer("room-nodes", NODE_FEATURES)(tree.features)
    nodes, is_object = choose_nodes(tree, judged[:, 0], judged[:, 2])
    chosen = [node for node, good in zip(nodes, is_object, strict=True) if good]
    of_element = np.full(len(room.surface.points), -1)
    of_element[room.index] = room.leaf
    leaf = of_element[room.surface.element]
    rows = []
    for number in range(len(case.labels)):
        iou, first = (
            _box_iou(case.points, leaf, tree, case.boxes[number])
            if case.boxes
            else _mask_iou(leaf, tree, case.masks[number])
        )
        rows.append((first, iou.max(initial=0), iou[chosen].max(initial=0)))
    if not case.complete:
        return np.array(rows), None
    other = ~np.any(case.masks, axis=0)
    return np.array(rows), float((leaf[other] < 0).mean())


def _upward(tree: RegionTree, values: NDArray, join: Callable[[NDArray, NDArray], NDArray]) -> NDArray:
    """Values (nodes, ...) of every node from those of the leaves."""
    result = np.concatenate([values, np.zeros((len(tree.parent) - len(values), *values.shape[1:]))])
    for node in range(tree.leaves, len(result)):
        first, second = tree.children[node]
        result[node] = join(result[first], result[second])
    return result


def _mask_iou(leaf: NDArray, tree: RegionTree, mask: NDArray) -> tuple[NDArray, float]:
    all_, mine = (np.bincount(leaf[some & (leaf >= 0)], minlength=tree.leaves) for some in (leaf >= 0, mask))
    pick = mine > 0.5 * all_
    first = mine[pick].sum() / (mask.sum() + all_[pick].sum() - mine[pick].sum())
    shared, size = (_upward(tree, counts.astype(float), np.add) for counts in (mine, all_))
    return shared / (mask.sum() + size - shared), float(first)


def _box_iou(points: NDArray, leaf: NDArray, tree: RegionTree, box: OrientedBox) -> tuple[NDArray, float]:
    local, half = (points - box.center) @ box.rotation, box.size / 2
    low, high = np.full((tree.leaves, 3), np.inf), np.full((tree.leaves, 3), -np.inf)
    known = leaf >= 0
    np.minimum.at(low, leaf[known], local[known])
    np.maximum.at(high, leaf[known], local[known])

    def iou(low: NDArray, high: NDArray) -> NDArray:
        shared = np.clip(np.minimum(high, half) - np.maximum(low, -half), 0, None).prod(axis=-1)
        return np.asarray(shared / ((high - low).prod(axis=-1) + box.size.prod() - shared))

    inside = known & (np.abs(local) <= half).all(axis=1)
    all_, mine = (np.bincount(leaf[some], minlength=tree.leaves) for some in (known, inside))
    pick = mine > 0.5 * all_
    first = float(iou(low[pick].min(axis=0), high[pick].max(axis=0))) if pick.any() else 0.0
    return iou(_upward(tree, low, np.minimum), _upward(tree, high, np.maximum)), first


def _figures(rows: NDArray, removed: list[float]) -> dict[str, Any]:
    result: dict[str, Any] = {"objects": len(rows)}
    for limit in (0.25, 0.5):
        for name, column in zip(_STAGES, rows.T, strict=True):
            result[f"{name} {limit}"] = round(float((column >= limit).mean()), 3)
    if removed:
        result["background removed"] = round(float(np.mean(removed)), 3)
    return result


def _print(result: dict[str, dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for figures in result.values() for key in figures))
    table = Table("group", *columns, box=None, header_style="bold")
    for name, figures in result.items():
        table.add_row(name, *(str(figures.get(key, "")) for key in columns))
    Console(width=180).print(table)


if __name__ == "__main__":
    raise SystemExit(tyro.cli(main))
