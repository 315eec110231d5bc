"""Quality of object maps: ids over time, real objects, things that were moved or removed, labels after several looks.

    python -m benchmarks.mapping [ROOT] [--frames 200] [--only room|passes|street|kitti] [--json]

Synthetic rooms (RGB-D) and streets (LiDAR and four cameras) are mapped three times: from labeled 3D boxes, from the 2D
boxes of an erring detector (``good``), and by geometry alone. ROOT may hold ``kitti_tracking/`` in the official layout;
its sweeps have no poses here, so they come from registration.

An object of the map shows the true object with which it shares half of the union of their points in that frame. Of each
frame those true objects count that have 20 points or more. IDF1, switches and MOTA are computed by motmetrics, HOTA by
``clip2.evaluation.scenes.hota`` from the same IoU. KITTI labels only some classes, so there objects of the map that show
nothing labeled are left out.

*real*: share of confirmed objects that show one true object in most of their frames. *twice*: confirmed objects of which
the map holds another. *label 1*, *label 10*: share of right labels after the first look, and of the same objects at the end
if they were seen in ten frames or more, among all labels of the model. *noticed*: of the things that were moved or removed
between two passes through a room and that the map knew, share whose old place the map then holds for empty.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import clip2
from benchmarks.tables import emit
from clip2.evaluation.scenes.hota import hota
from clip2.mapping import MapConfig, MapUpdate, ObjectMap, Odometry
from clip2.recognition import Instances3D
from data_prep.detect import Detections2D
from data_prep.geometry import OrientedBox, rigid
from data_prep.geometry.box_iou import box_rows
from data_prep.scans import Frame, open_scan
from data_prep.storage.extras import require_extra
from data_prep.world import ProceduralScan

MODES = ("labeled boxes", "detector", "geometry")
FEWEST, OVERLAP, LOOKS = 20, 0.5, 10
Detections = Sequence[Detections2D] | Instances3D | None


@dataclass
class Scene:
    """One frame with its truth: the instance of every point (-1: none), and the detections of each mode."""

    frame: Frame
    owners: NDArray[np.int64]
    detections: dict[str, Detections]


@dataclass
class Run:
    """A map in the making and what it showed.

    Attributes:
        shown: id → how often it showed each true object; -1: none.
        first, seen: id → first label, and number of frames.
        ms: of every update.
    """

    object_map: ObjectMap
    complete: bool
    rows: list[tuple[list[int], list[int], NDArray]] = field(default_factory=list)
    shown: dict[int, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    first: dict[int, str] = field(default_factory=dict)
    ms: list[float] = field(default_factory=list)

    def take(self, scene: Scene, mode: str) -> None:
        """Update the map and compare it with the truth."""
        began = time.perf_counter()
        update = self.object_map.update(scene.frame, scene.detections[mode])
        self.ms.append(1e3 * (time.perf_counter() - began))
        true, sizes, ids, iou = _overlaps(update, scene.owners)
        counted = [k for k, size in enumerate(sizes) if size >= FEWEST]
        # What shows an object of fewer points is neither right nor wrong.
        judged = [row for row in range(len(ids)) if not (iou[row] >= OVERLAP)[sizes < FEWEST].any()]
        rows = [true[k] for k in counted], [ids[row] for row in judged], iou[judged][:, counted]
        self.rows.append(rows)
        best = iou.argmax(axis=1) if len(true) else np.zeros(len(ids), int)
        for row, id in enumerate(ids):
            hit = len(true) > 0 and iou[row, best[row]] >= OVERLAP
            self.shown[id][true[best[row]] if hit else -1] += 1
            self.first.setdefault(id, update.labels[row])

    def instance_of(self, id: int) -> int:
        """The true object that an id showed in most of its frames, or -1."""
        instance, count = self.shown[id].most_common(1)[0]
        return instance if count * 2 >= self.shown[id].total() else -1

    def figures(self, names: dict[int, str]) -> dict[str, float]:
        """All figures; ``names``: instance → label."""
        confirmed = [one.id for one in self.object_map.objects.values() if one.state == "confirmed"]
        kept = {one.id for one in self.object_map.objects.values() if one.state != "tentative"}
        result = _tracking(self.rows, kept, self.complete)
        shows = {id: self.instance_of(id) for id in confirmed}
        real = [id for id in confirmed if shows[id] >= 0]
        if self.complete:
            result["confirmed"], result["real"] = len(confirmed), len(real) / max(len(confirmed), 1)
            result["twice"] = len(real) - len({shows[id] for id in real})
        objects = self.object_map.objects
        often = [id for id in real if objects[id].frames >= LOOKS and shows[id] in names]
        if often and self.complete:
            found = self.object_map.query(false_alarm=0.0)
            assert found.track_ids is not None
            last = dict(zip(found.track_ids.tolist(), found.labels, strict=True))
            true = [names[shows[id]] for id in often]
            for name, said in (("label 1", self.first), (f"label {LOOKS}", last)):
                result[name] = float(
                    np.mean([said[id] == label for id, label in zip(often, true, strict=True)])
                )
            result["judged"] = len(often)
        result["ms p50"], result["ms p95"] = np.percentile(self.ms, (50, 95)).tolist()
        return result


def main(
    root: Annotated[Path | None, tyro.conf.Positional] = None,
    frames: int = 200,
    seed: int = 21,
    only: str = "",
    json: bool = False,
) -> int:
    """Map, score and print.

    Args:
        root: folder with kitti_tracking/.
        frames: of each synthetic scan.
        seed: of the synthetic world.
        only: room, passes, street or kitti; default: all.
        json: print one JSON object.
    """
    model = clip2.load("mini-points")
    result: dict[str, dict[str, dict[str, float]]] = {}
    if only in "room":
        result[f"room, {frames} frames"] = _synthetic(model, "room", frames, seed)
    if only in "passes":
        half = frames // 2
        result[f"three rooms, two passes of {half} frames"] = _passes(model, half, seed)
    if only in "street":
        result[f"street, {frames} frames"] = _synthetic(model, "street", frames, seed)
    if root is not None and only in "kitti":
        result["KITTI tracking 0001, 8 frames 0.2 s apart"] = _kitti(model, root / "kitti_tracking")
    return emit(result, json, _print)


def _synthetic(model: clip2.Clip2Model, setting: str, frames: int, seed: int) -> dict[str, dict[str, float]]:
    options: dict[str, Any] = {"cameras": ("front", "left", "back", "right")} if setting == "street" else {}
    scan = open_scan("procedural", setting, frames=frames, seed=seed, detector="good", **options)
    assert isinstance(scan, ProceduralScan)
    runs = {mode: _new(model) for mode in MODES}
    for scene in _scenes(scan):
        for mode, run in runs.items():
            run.take(scene, mode)
    names = {placed.instance: placed.label for placed in scan.objects}
    return {mode: run.figures(names) for mode, run in runs.items()}


def _new(model: clip2.Clip2Model, complete: bool = True) -> Run:
    return Run(ObjectMap(model, config=MapConfig()), complete)


def _scenes(scan: ProceduralScan, later: float = 0.0) -> Iterator[Scene]:
    for index in range(len(scan)):
        frame = scan[index]
        frame = replace(frame, timestamp=(frame.timestamp or 0.0) + later)
        owners = scan.ground_truth(index).instances.astype(np.int64)
        boxes = {placed.instance: placed.box for placed in scan.world_objects(index)}
        names = {placed.instance: placed.label for placed in scan.world_objects(index)}
        found = [int(i) for i in np.unique(owners) if i >= 0 and (owners == i).sum() >= FEWEST]
        labeled = _labeled(
            [np.flatnonzero(owners == i) for i in found], [boxes[i] for i in found], [names[i] for i in found]
        )
        detections = {MODES[0]: labeled, MODES[1]: scan.detections(index), MODES[2]: None}
        yield Scene(frame, owners, detections)


def _labeled(indices: list[NDArray], boxes: list[OrientedBox], labels: list[str]) -> Instances3D:
    return Instances3D(
        indices=tuple(indices),
        boxes=box_rows(boxes),
        rotations=np.array([box.rotation for box in boxes]).reshape(-1, 3, 3),
        labels=tuple(labels),
        scores=np.ones(len(boxes), np.float32),
        embeddings=np.zeros((len(boxes), 0), np.float32),
    )


def _passes(model: clip2.Clip2Model, frames: int, seed: int, rooms: int = 3) -> dict[str, dict[str, float]]:
    """Two passes through rooms between which a third of the small things is moved, and a third is removed."""
    result: dict[str, list[bool]] = defaultdict(list)
    for number in range(rooms):
        scan = open_scan("procedural", "room", frames=frames, seed=seed + number, detector="good")
        assert isinstance(scan, ProceduralScan)
        centers = {placed.instance: placed.box.center for placed in scan.objects}
        runs = {mode: _new(model) for mode in MODES}
        eyes = []
        for scene in _scenes(scan):
            eyes.append(scene.frame.T_world_points[:3, 3])
            for mode, run in runs.items():
                run.take(scene, mode)
        moves = _rearrangement(scan, np.array(eyes), np.random.default_rng(seed + number))
        known = {
            mode: {
                one.id: run.instance_of(one.id)
                for one in run.object_map.objects.values()
                if one.state == "confirmed"
            }
            for mode, run in runs.items()
        }
        for scene in _scenes(scan.rearranged(moves), later=frames / 10 + 10):
            for mode, run in runs.items():
                run.take(scene, mode)
        for mode, run in runs.items():
            objects = run.object_map.objects
            for id, instance in known[mode].items():
                if instance not in moves:
                    if instance >= 0:
                        result[f"{mode}/kept"].append(id in objects and objects[id].state == "confirmed")
                    continue
                one = objects.get(id)
                gone = one is None or one.state == "lost"
                moved = one is not None and np.linalg.norm(one.box[:3] - centers[instance]) > 0.5
                result[f"{mode}/noticed"].append(bool(gone or moved))
    return {
        mode: {
            "noticed": float(np.mean(result[f"{mode}/noticed"])),
            "things": len(result[f"{mode}/noticed"]),
            "still there": float(np.mean(result[f"{mode}/kept"])),
        }
        for mode in MODES
    }


def _rearrangement(
    scan: ProceduralScan, eyes: NDArray, rng: np.random.Generator
) -> dict[int, NDArray | None]:
    """A third of the things that carry nothing are moved a meter or more, a third is taken away."""
    objects = scan.objects
    centers = np.array([placed.box.center for placed in objects])
    low, high = centers.min(axis=0), centers.max(axis=0)
    moves: dict[int, NDArray | None] = {}
    for placed in objects:
        top = placed.box.center[2] + placed.box.size[2] / 2
        carries = any(
            abs(o.box.center[2] - o.box.size[2] / 2 - top) < 0.1
            and placed.box.contains(o.box.center[None] * [1, 1, 0] + [0, 0, placed.box.center[2]])[0]
            for o in objects
            if o is not placed
        )
        lot = rng.random()
        if carries or lot > 2 / 3:
            continue
        if lot > 1 / 3:
            moves[placed.instance] = None
            continue
        for _ in range(50):
            shift = np.array([*rng.uniform(-3, 3, 2), 0.0])
            place = placed.box.center + shift
            # Neither into something else nor into the camera's way.
            away = min(np.linalg.norm((others - place)[:, :2], axis=1).min() for others in (centers, eyes))
            inside = ((place > low) & (place < high))[:2].all()
            if np.linalg.norm(shift) > 1 and inside and away > 0.4 + placed.box.size[:2].max() / 2:
                moves[placed.instance] = rigid(translation=shift)
                break
    return moves


def _kitti(model: clip2.Clip2Model, root: Path) -> dict[str, dict[str, float]]:
    scan = open_scan("kitti-tracking", root)
    odometry, runs = Odometry(), {mode: _new(model, complete=False) for mode in (MODES[0], MODES[2])}
    for index in range(len(scan)):
        frame, labeled = odometry.place(scan[index]), scan.annotations(index)
        assert labeled is not None
        owners = np.full(len(frame.points), -1, np.int64)
        boxes, names, indices = [], [], []
        for box, label, track in zip(
            labeled.boxes, labeled.labels, labeled.attributes["track_id"], strict=True
        ):
            inside = np.flatnonzero(box.contains(frame.points))
            if len(inside) < FEWEST:
                continue
            owners[inside] = int(track)
            boxes.append(box.transformed(frame.T_world_points))
            names.append(label)
            indices.append(inside)
        scene = Scene(frame, owners, {MODES[0]: _labeled(indices, boxes, names), MODES[2]: None})
        for mode, run in runs.items():
            run.take(scene, mode)
    return {mode: run.figures({}) for mode, run in runs.items()}


def _overlaps(
    update: MapUpdate, owners: NDArray[np.int64]
) -> tuple[list[int], NDArray[np.int64], list[int], NDArray]:
    """True objects of a frame and their points, ids, and the IoU of their points (ids, true)."""
    assert update.track_ids is not None
    true, sizes = np.unique(owners[owners >= 0], return_counts=True)
    iou = np.zeros((len(update), len(true)))
    for row, index in enumerate(update.indices):
        mine = owners[index]
        shared = np.bincount(np.searchsorted(true, mine[mine >= 0]), minlength=len(true))
        iou[row] = shared / (len(index) + sizes - shared)
    return true.tolist(), sizes, update.track_ids.tolist(), iou


def _tracking(
    rows: Sequence[tuple[list[int], list[int], NDArray]], kept: set[int], complete: bool
) -> dict[str, float]:
    motmetrics = require_extra("motmetrics", "eval")
    accumulator, frames = motmetrics.MOTAccumulator(auto_id=True), []
    for true, ids, iou in rows:
        shown = [
            row for row, id in enumerate(ids) if id in kept and (complete or (iou[row] >= OVERLAP).any())
        ]
        frames.append((true, [ids[row] for row in shown], iou[shown].T))
        distance = 1 - iou[shown].T
        distance[distance > 1 - OVERLAP] = np.nan
        accumulator.update(true, [ids[row] for row in shown], distance)
    names = ["idf1", "num_switches", "mota", "recall", "precision", "num_unique_objects"]
    summary = motmetrics.metrics.create().compute(accumulator, metrics=names, return_dataframe=False)
    return {
        "HOTA": hota(frames)["hota"], "IDF1": float(summary["idf1"]), "switches": int(summary["num_switches"]), "MOTA": float(summary["mota"]),
        "recall": float(summary["recall"]), "precision": float(summary["precision"]), "ids": int(summary["num_unique_objects"]),
    }  # fmt: skip


def _print(result: dict[str, Any]) -> None:
    console = Console(width=150)
    for name, modes in result.items():
        columns = list(dict.fromkeys(key for figures in modes.values() for key in figures))
        table = Table("", *columns, title=name, title_justify="left")
        for mode, figures in modes.items():
            cells = [figures.get(column) for column in columns]
            table.add_row(
                mode, *("" if c is None else f"{c:.3f}" if isinstance(c, float) else f"{c}" for c in cells)
            )
        console.print(table)


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
