"""How fast the point operations run here, beside the libraries one would otherwise use.

    python -m benchmarks.ops_speed [--names fps_4096 knn_100k] [--threads 2] [--repeats 7] [--json out.json]

Contenders take turns within each repeat, so that whatever else the machine does hits all of them; figures are medians
and ratios of medians, with the spread of the per-repeat ratios. Each contender starts from the same array of points
and builds whatever index it needs. Clouds are points on the faces of a cube. A contender that is not installed is named
as missing (extras `bench` and `scatter`).
"""

from __future__ import annotations

import json as json_format
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import textbook
from benchmarks.encoder_speed import cube
from benchmarks.record import take_turns
from clip2 import ops

Work = Callable[[], object]


@dataclass
class Case:
    """One operation on one size: ours, its rivals, and how many times as fast as each we mean to be (0: no target)."""

    name: str
    ours: Work
    rivals: dict[str, tuple[float, Callable[[], Work]]] = field(default_factory=dict)


def main(
    names: tuple[str, ...] = (),
    threads: int | None = None,
    repeats: int = 7,
    json_: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measure and print.

    Args:
        names: of the cases; none: all.
        threads: for every contender that can be told; None: as many as torch takes by itself.
        repeats: turns of each contender.
        json_: a file for the figures.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    unknown = set(names) - set(CASES)
    if unknown:
        raise SystemExit(f"no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    chosen = [CASES[name] for name in names or CASES]
    figures = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "repeats": repeats,
        "backends": {c.op: f"{c.backend} ({c.reason})" for c in ops.backends() if c.device == "cpu"},
        "cases": [
            measure(make(), repeats)
            for make in track(chosen, "point operations", console=Console(stderr=True))
        ],
    }
    if json_ is not None:
        json_.write_text(json_format.dumps(figures, indent=1) + "\n")
    show(figures)


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """Milliseconds of ours and of each rival, and the ratios.

    Args:
        case: what to measure; a rival that cannot be imported or does not run is listed as missing.
        repeats: turns of each; five times as many where a turn of all takes less than 0.3 s.
    """
    contenders, targets, missing = {"ours": case.ours}, {}, []
    for name, (target, prepare) in case.rivals.items():
        targets[name] = target
        try:
            work = prepare()
            work()
        except ImportError as error:
            missing.append(f"{name}: not installed ({_what_to_do(error)})")
        # What was built for another torch cannot be loaded, or fails when it is called.
        except (OSError, RuntimeError) as error:
            missing.append(f"{name}: does not run here ({str(error).splitlines()[0]})")
        else:
            contenders[name] = work
    began = time.perf_counter()
    for work in contenders.values():
        work()
    # A millisecond is soon disturbed: the shorter the turn, the more of them.
    short = time.perf_counter() - began < _SHORT
    seconds = take_turns(contenders, _MORE * repeats if short else repeats)
    ours = seconds.pop("ours")
    against = {}
    for name, theirs in seconds.items():
        ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
        ratio = statistics.median(theirs) / statistics.median(ours)
        against[name] = {
            "ms": 1e3 * statistics.median(theirs),
            "ratio": ratio,
            "ratio_range": [min(ratios), max(ratios)],
            "target": targets[name],
            "missed": ratio < targets[name],
        }
    return {
        "name": case.name,
        "ms": 1e3 * statistics.median(ours),
        "against": against,
        "missing": missing,
    }


def _what_to_do(error: ImportError) -> str:
    extra = _EXTRAS.get(error.name or "")
    return f"pip install 'clip2[{extra}]'" if extra else str(error)


def show(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    title = f"point operations, {figures['threads']} threads, torch {figures['torch']}, milliseconds"
    table = Table("case", "ours", "rival", "its time", "ratio", "spread", "target", title=title)
    for case in figures["cases"]:
        first = (case["name"], f"{case['ms']:.3g}")
        for name, row in case["against"].items():
            low, high = row["ratio_range"]
            target = f"{row['target']:g}x{' missed' if row['missed'] else ''}" if row["target"] else ""
            spread = f"{low:.1f} to {high:.1f}"
            table.add_row(*first, name, f"{row['ms']:.3g}", f"{row['ratio']:.1f}x", spread, target)
            first = ("", "")
    console = Console()
    console.print(table)
    for case in figures["cases"]:
        for line in case["missing"]:
            console.print(f"{case['name']}: {line}", markup=False)


def farthest_points(count: int, k: int, targets: dict[str, float], height: int) -> Case:
    """Exact farthest-point sampling of one cloud."""
    points = cube(1, count)
    array = points[0].numpy()

    def open3d() -> Work:
        import open3d as o3d

        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(array))
        return lambda: cloud.farthest_point_down_sample(k)

    def kd_line() -> Work:
        import fpsample

        return lambda: fpsample.bucket_fps_kdline_sampling(array, k, h=height, start_idx=0)

    def torch_cluster() -> Work:
        import torch_cluster

        return lambda: torch_cluster.fps(points[0], ratio=k / count, random_start=False)

    rivals = {
        "open3d": open3d,
        "fpsample kd-line": kd_line,
        "torch-cluster": torch_cluster,
        "textbook torch": lambda: lambda: textbook.farthest_points(points, k),
    }
    chosen = {name: (targets.get(name, 0.0), make) for name, make in rivals.items() if name in targets}
    return Case(f"fps_{count}_to_{k}", lambda: ops.farthest_point_sample(points, k), chosen)


def ball(count: int, queries: int, radius: float, k: int, targets: dict[str, float]) -> Case:
    """Ball query in one cloud. Open3D and torch-cluster take other neighbors where a ball holds more than k."""
    points = cube(1, count)
    centers = points[:, :queries].contiguous()

    def open3d() -> Work:
        import open3d as o3d

        def search() -> object:
            index = o3d.core.nns.NearestNeighborSearch(o3d.core.Tensor.from_numpy(points[0].numpy()))
            index.hybrid_index(radius)
            return index.hybrid_search(o3d.core.Tensor.from_numpy(centers[0].numpy()), radius, k)

        return search

    def torch_cluster() -> Work:
        import torch_cluster

        return lambda: torch_cluster.radius(points[0], centers[0], radius, max_num_neighbors=k)

    return Case(
        f"ball_{count}_{queries}",
        lambda: ops.ball_query(points, centers, radius, k),
        {
            "textbook sort": (
                targets["textbook sort"],
                lambda: lambda: textbook.ball(radius, k, points, centers),
            ),
            "open3d hybrid": (targets["open3d hybrid"], open3d),
            "torch-cluster": (0.0, torch_cluster),
        },
    )


def nearest(count: int, queries: int, k: int, target: float) -> Case:
    """k nearest neighbors in one cloud; scipy builds its tree and asks it with as many workers."""
    points = cube(1, count)
    centers = cube(1, max(count, queries))[:, :queries].contiguous()
    array, at = points[0].numpy(), centers[0].numpy()

    def scipy() -> Work:
        from scipy.spatial import cKDTree

        return lambda: cKDTree(array).query(at, k, workers=torch.get_num_threads())

    def open3d() -> Work:
        import open3d as o3d

        def search() -> object:
            index = o3d.core.nns.NearestNeighborSearch(o3d.core.Tensor.from_numpy(array))
            index.knn_index()
            return index.knn_search(o3d.core.Tensor.from_numpy(at), k)

        return search

    rivals = {"scipy cKDTree": (target, scipy), "open3d": (0.0, open3d)}
    return Case(f"knn_{count}_{queries}_k{k}", lambda: ops.knn(points, centers, k), rivals)


def components(count: int, radii: tuple[float, ...]) -> Case:
    """Connected components of one cloud at several radii; the rivals find those of every radius anew."""
    points = cube(1, count)[0].double()
    array, levels = points.numpy(), torch.tensor(radii)

    def open3d() -> Work:
        import open3d as o3d

        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(array))
        return lambda: [cloud.cluster_dbscan(radius, min_points=1) for radius in radii]

    def scipy() -> Work:
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components
        from scipy.spatial import cKDTree

        def search() -> object:
            tree, found = cKDTree(array), []
            for radius in radii:
                pairs = tree.query_pairs(radius, output_type="ndarray")
                graph = coo_matrix((np.ones(len(pairs), np.int8), tuple(pairs.T)), shape=(count, count))
                found.append(connected_components(graph, directed=False)[1])
            return found

        return search

    def grid() -> Work:
        def run() -> object:
            with ops.use_backend("numpy"):
                return ops.radius_components(points, levels)

        return run

    rivals = {
        "open3d DBSCAN": (0.0, open3d),
        "scipy cKDTree, graph": (0.0, scipy),
        "our grid in numpy": (0.0, grid),
    }
    return Case(
        f"components_{count}_at_{len(radii)}_radii", lambda: ops.radius_components(points, levels), rivals
    )


def segments(name: str, rows: int, channels: int, count: int, target: float) -> Case:
    """A reduction of rows in any order; plain torch is what serves where nothing is compiled."""
    draw = torch.Generator().manual_seed(0)
    values = torch.rand(rows, channels, generator=draw)
    index = torch.randint(count, (rows,), generator=draw)
    reduce = getattr(ops, f"segment_{name}")

    def torch_scatter() -> Work:
        import torch_scatter

        if name == "softmax":
            return lambda: torch_scatter.scatter_softmax(values, index, 0, dim_size=count)
        scatter = getattr(torch_scatter, f"scatter_{name}")
        return lambda: scatter(values, index, 0, dim_size=count)

    def plain() -> Work:
        def run() -> object:
            with ops.use_backend("torch"):
                return reduce(values, index, count)

        return run

    rivals = {"torch-scatter": (target, torch_scatter), "plain torch": (0.0, plain)}
    return Case(f"segment_{name}", lambda: reduce(values, index, count), rivals)


_SHORT, _MORE = 0.3, 5  # seconds of a turn of all contenders; times as many turns of those
_EXTRAS = {"fpsample": "bench", "torch_cluster": "bench", "torch_scatter": "scatter"}
_FPS = {"open3d": 8.0, "fpsample kd-line": 2.5, "torch-cluster": 50.0, "textbook torch": 0.0}
_FPS_LARGE = {"open3d": 12.0, "fpsample kd-line": 1.0}
_BALL = {"textbook sort": 60.0, "open3d hybrid": 3.0}
CASES: dict[str, Callable[[], Case]] = {
    # kd-line heights: the fastest of those tried at each size.
    "fps_4096": lambda: farthest_points(4096, 1024, _FPS, height=5),
    "fps_100k": lambda: farthest_points(100_000, 4096, _FPS_LARGE, height=8),
    "ball_10k": lambda: ball(10_000, 512, 0.1, 32, _BALL),
    "knn_100k": lambda: nearest(100_000, 100_000, 16, target=1.0),
    "components_50k": lambda: components(50_000, (0.02, 0.03, 0.04)),
    "three_nn_16k": lambda: nearest(1024, 16_384, 3, target=0.0),
    **{
        f"segment_{name}": lambda name=name: segments(name, 100_000, 64, 2000, target=2.0)  # type: ignore[misc]
        for name in ("sum", "mean", "max", "softmax")
    },
}


if __name__ == "__main__":
    tyro.cli(main)
