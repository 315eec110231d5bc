"""Cost of mining: CPU time by stage, memory over time, and scaling with workers.

    python -m benchmarks.mining_speed cost SOURCE ROOT --detections FILE [--frames 8] [--json]
    python -m benchmarks.mining_speed memory [--frames 10000] [--workers 2] [--json]
    python -m benchmarks.mining_speed workers SOURCE ROOT --detections FILE [--frames 48] [--json]

``cost`` takes CPU seconds per frame by stage and bytes per triplet. ``memory`` mines many small synthetic frames and reads
the resident memory of the mining process and of its workers on the way. ``workers`` times the same frames with 1, 2 and
4 workers, taking turns; ratios mean little on a busy machine.
"""

from __future__ import annotations

import json as json_format
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.record import Row, Settings
from data_prep.associate import observe
from data_prep.detect import CocoDetections, Coverage, Detections2D
from data_prep.geometry import Camera, rigid
from data_prep.lift import LiftConfig, create_lifter
from data_prep.scale import create_engine
from data_prep.scans import Frame, Scan, View, open_scan
from data_prep.triplets import MiningConfig, Triplet, mine
from data_prep.triplets.members import pack_triplet


def rows(settings: Settings) -> Iterator[Row]:
    """CPU time per frame by stage, and growth of memory."""
    quick, data = settings.quick, settings.data
    frames = 200 if quick else 5000
    grown = Memory(frames, every=frames // 10).run()
    case = f"memory of the process, first fifth to the end of {frames} frames"
    ours = grown["growth_MB_after_a_fifth"]
    yield Row("mining", case, unit="MB", ours=ours, note=f"then {grown['rows'][-1]['process_MB']:.0f} MB")
    for said, source, root, detections in REAL if data is not None else ():
        assert data is not None
        if not (data / root).is_dir():
            yield Row("mining", f"{said}: CPU time per frame", note=f"not measured: no {root} there")
            continue
        found = Cost(source, data / root, data / "detections" / detections, frames=2 if quick else 8).run()
        about = f"{found['points_per_frame']:,} points, {found['objects_per_frame']:.1f} objects per frame"
        seconds = found["cpu_seconds_per_frame"]
        yield Row("mining", f"{said}: CPU time per frame", ours=1e3 * seconds.pop("all"), note=about)
        for stage, value in seconds.items():
            yield Row("mining", f"  of it to {stage}, {said}", ours=1e3 * value)


REAL = (
    ("KITTI", "kitti", "kitti_object", "kitti_object_fastestdet.json"),
    ("7-Scenes", "rgbd", "rgbd/7scenes_redkitchen", "7scenes_fastestdet.json"),
)


@dataclass
class Cost:
    """CPU seconds per frame by stage, bytes per triplet."""

    source: tyro.conf.Positional[str]
    root: tyro.conf.Positional[Path]
    detections: Path
    frames: int = 8
    """Frames measured, taken round and round."""
    min_score: float = 0.3
    json: bool = False

    def run(self) -> dict[str, Any]:
        """Measure; the first round warms caches and is not counted."""
        scan = open_scan(self.source, self.root)
        found = CocoDetections.load(self.detections, min_score=self.min_score)
        lifter = create_lifter("auto")
        stages = ("read", "lift", "cut", "encode")
        seconds: dict[str, list[float]] = {stage: [] for stage in stages}
        points, objects, sizes = [], 0, []
        for number in range(-1, self.frames):
            marks = [time.process_time()]
            frame = scan[number % len(scan)]
            marks.append(time.process_time())
            boxes = [found.for_image(v.name, v.camera.width, v.camera.height) for v in frame.views]
            lifted = lifter.lift(frame, boxes)
            marks.append(time.process_time())
            observations = [
                observe(
                    frame,
                    cloud,
                    boxes[cloud.view],
                    texts=("thing",),
                    source=self.source,
                    margin=0.1,
                    max_points=16384,
                )
                for cloud in lifted.objects
            ]
            marks.append(time.process_time())
            packed = [pack_triplet(Triplet.of(seen)) for seen in observations if seen is not None]
            marks.append(time.process_time())
            if number < 0:
                continue
            for stage, begun, ended in zip(stages, marks, marks[1:], strict=False):
                seconds[stage].append(ended - begun)
            points.append(len(frame.points))
            objects += len(packed)
            sizes += [len(each.blocks) for each in packed]
        per_frame = {stage: sum(values) / self.frames for stage, values in seconds.items()}
        return {
            "frames": self.frames,
            "points_per_frame": round(float(np.mean(points))),
            "objects_per_frame": objects / self.frames,
            "cpu_seconds_per_frame": {**per_frame, "all": sum(per_frame.values())},
            "median_cpu_seconds_per_frame": median(
                sum(values) for values in zip(*seconds.values(), strict=True)
            ),
            "cpu_seconds_per_triplet": sum(per_frame.values()) * self.frames / max(1, objects),
            "bytes_per_triplet": float(np.mean(sizes)) if sizes else None,
        }

    def show(self, result: dict[str, Any], console: Console) -> None:
        """Print a table."""
        table = Table("stage", "CPU ms per frame", title=f"{self.source}, {result['frames']} frames")
        for stage, seconds in result["cpu_seconds_per_frame"].items():
            table.add_row(stage, f"{seconds * 1e3:.1f}")
        console.print(table)
        console.print(
            f"{result['points_per_frame']:,} points and {result['objects_per_frame']:.1f} objects per frame; "
            f"{result['cpu_seconds_per_triplet'] * 1e3:.1f} ms and {result['bytes_per_triplet'] or 0:,.0f} bytes per triplet"
        )


@dataclass
class Memory:
    """Resident memory while many frames are mined."""

    frames: int = 10_000
    workers: int = 1
    every: int = 500
    json: bool = False

    def run(self) -> dict[str, Any]:
        """Mine synthetic frames."""
        rows: list[dict[str, float]] = []

        def look(progress: Any) -> None:
            if progress.frames % self.every == 0:
                mine_mb = _resident(os.getpid())
                children = [_resident(pid) for pid in _descendants(os.getpid())]
                rows.append(
                    {
                        "frames": progress.frames,
                        "objects": progress.objects,
                        "process_MB": mine_mb,
                        "largest_child_MB": max(children, default=0.0),
                    }
                )

        with tempfile.TemporaryDirectory() as folder:
            mine(
                SmallScan(self.frames),
                SmallDetections(),
                Path(folder) / "out",
                MiningConfig(lift=LiftConfig(name="lidar")),
                engine=create_engine(workers=self.workers),
                on_frame=look,
            )
        settled = rows[len(rows) // 5 :]  # pools and caches fill first
        return {
            "workers": self.workers,
            "rows": rows,
            "growth_MB_after_a_fifth": settled[-1]["process_MB"] - settled[0]["process_MB"],
            "growth_of_children_MB_after_a_fifth": settled[-1]["largest_child_MB"]
            - settled[0]["largest_child_MB"],
        }

    def show(self, result: dict[str, Any], console: Console) -> None:
        """Print a table."""
        table = Table(*result["rows"][0], title=f"workers: {result['workers']}")
        for row in result["rows"]:
            table.add_row(
                *(f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in row.values())
            )
        console.print(table)
        console.print(
            f"growth after the first fifth: {result['growth_MB_after_a_fifth']:.1f} MB, of the largest child "
            f"{result['growth_of_children_MB_after_a_fifth']:.1f} MB"
        )


@dataclass
class Workers:
    """Wall time with 1, 2 and 4 workers."""

    source: tyro.conf.Positional[str]
    root: tyro.conf.Positional[Path]
    detections: Path
    frames: int = 48
    repeats: int = 3
    json: bool = False

    def run(self) -> dict[str, Any]:
        """Mine the scan's frames round and round under other ids."""
        scan = RepeatedScan(open_scan(self.source, self.root), self.frames)
        found = CocoDetections.load(self.detections, min_score=0.3)
        walls: dict[int, list[float]] = {1: [], 2: [], 4: []}
        manifests = set()
        for _ in range(self.repeats):
            for workers, values in walls.items():
                with tempfile.TemporaryDirectory() as folder:
                    begun = time.perf_counter()
                    mine(
                        scan,
                        found,
                        Path(folder) / "out",
                        engine=create_engine(workers=workers),
                    )
                    values.append(time.perf_counter() - begun)
                    manifests.add((Path(folder) / "out" / "manifest.json").read_bytes())
        return {
            "frames": self.frames,
            "processors": os.cpu_count(),
            "load_average": os.getloadavg()[0],
            "identical": len(manifests) == 1,
            "wall_seconds": {workers: median(values) for workers, values in walls.items()},
        }

    def show(self, result: dict[str, Any], console: Console) -> None:
        """Print a table."""
        table = Table("workers", "seconds", "times faster than one")
        for workers, seconds in result["wall_seconds"].items():
            table.add_row(str(workers), f"{seconds:.1f}", f"{result['wall_seconds'][1] / seconds:.2f}")
        console.print(table)
        console.print(
            f"{result['processors']} processors, load {result['load_average']:.1f}, same bytes: {result['identical']}"
        )


class RepeatedScan(Scan):
    """A scan's frames round and round, each time under another id."""

    def __init__(self, scan: Scan, count: int) -> None:
        self._scan, self._count = scan, count
        self.source, self.root = scan.source, scan.root

    def frame_ids(self) -> list[str]:
        ids = self._scan.frame_ids()
        return [f"{ids[number % len(ids)]}_{number // len(ids)}" for number in range(self._count)]

    def image_names(self) -> list[str]:
        return self._scan.image_names()

    def __getitem__(self, index: int) -> Frame:
        frame = self._scan[index % len(self._scan)]
        fields = {name: getattr(frame, name) for name in frame.__dataclass_fields__ if name != "id"}
        return Frame(id=f"{frame.id}_{index // len(self._scan)}", **fields)


class SmallScan(Scan):
    """Frames of 800 points with four things 8 m ahead, as LiDAR sees them, small enough to mine ten thousand."""

    source = "small"
    root = Path("/nowhere")

    def __init__(self, count: int) -> None:
        self._count = count

    def frame_ids(self) -> list[str]:
        return [f"{number:06d}" for number in range(self._count)]

    def __getitem__(self, index: int) -> Frame:
        random = np.random.default_rng(index)
        road = np.column_stack([random.uniform((3, -10), (30, 10), (600, 2)), np.full(600, -1.5)])
        things = [random.normal((8, y, 0), (0.05, 0.25, 0.4), (50, 3)) for y in (-3, -1, 1, 3)]
        points = np.concatenate([road, *things]).astype(np.float32)
        axes = rigid([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [0, 0, 0])
        camera = Camera([[160, 0, 159.5], [0, 160, 95.5], [0, 0, 1]], 320, 192, axes)
        image = random.integers(0, 256, (192, 320, 3), dtype=np.uint8)
        return Frame(id=f"{index:06d}", points=points, views=(View(f"{index:06d}.png", camera, image),))


class SmallDetections:
    """The boxes of those four things, the same in every frame."""

    path = Path(__file__)
    min_score = 0.0
    is_ground_truth = False
    categories = {0: "thing"}  # noqa: RUF012
    skipped: dict[str, int] = {}  # noqa: RUF012

    def check(self, scan: Scan) -> Coverage:
        """All there."""
        return Coverage(len(scan), (), ())

    def for_image(self, name: str, width: int, height: int) -> Detections2D:
        """Around y = -3, -1, 1, 3 at 8 m: 20 pixels to a meter."""
        centers = [159.5 - 20 * y for y in (-3, -1, 1, 3)]
        boxes = np.array([[u - 14, 75, u + 14, 116] for u in centers])
        return Detections2D(boxes, np.full(4, 0.9), ("thing",) * 4, np.arange(4))


def _resident(pid: int) -> float:
    """Megabytes, from Linux's /proc."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *_descendants(child)]
    return found


def main() -> int:
    """Run the subcommand and print its result."""
    command = tyro.cli(
        Annotated[Cost, tyro.conf.subcommand("cost")]
        | Annotated[Memory, tyro.conf.subcommand("memory")]
        | Annotated[Workers, tyro.conf.subcommand("workers")],  # type: ignore[operator]
        description=__doc__,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    result = command.run()
    if command.json:
        print(json_format.dumps(result, indent=1))
    else:
        command.show(result, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
