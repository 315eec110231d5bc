"""Speed of the point operations against the usual libraries.

Each contender starts from the same array of points and builds whatever index it needs. Clouds are points on the faces of
a cube. A contender that is not installed is reported as missing (extras `bench` and `scatter`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import torch

from benchmarks import textbook
from benchmarks.record import Row, Settings, compare, row, take_turns
from benchmarks.textbook import cube
from clip2 import ops

Work = Callable[[], object]


@dataclass
class Case:
    """One operation of one size: ours, and what prepares each rival, which may fail to import."""

    name: str
    ours: Work
    rivals: dict[str, Callable[[], Work]] = field(default_factory=dict)


def rows(settings: Settings) -> Iterator[Row]:
    """Rows of all cases."""
    for make in CASES.values():
        yield from measure(make(), settings.turns)


def measure(case: Case, repeats: int) -> list[Row]:
    """Rows of one case against each rival.

    Args:
        case: what to measure; the row of a rival that cannot be imported or does not run says why.
        repeats: turns of each; five times as many if a turn of all takes less than 0.3 s.
    """
    contenders, missing = {"ours": case.ours}, {}
    for name, prepare in case.rivals.items():
        try:
            work = prepare()
            work()
        except ImportError as error:
            missing[name] = f"not installed ({_what_to_do(error)})"
        # A library built for another torch cannot be loaded, or fails when it is called.
        except (OSError, RuntimeError) as error:
            missing[name] = f"does not run here ({str(error).splitlines()[0]})"
        else:
            contenders[name] = work
    began = time.perf_counter()
    for work in contenders.values():
        work()
    # Short turns are easily disturbed, so they are repeated more often.
    short = time.perf_counter() - began < _SHORT
    seconds = take_turns(contenders, _MORE * repeats if short else repeats)
    found = compare("ops", case.name, seconds) if len(seconds) > 1 else []
    ours = 1e3 * median(seconds["ours"])
    return found + [
        row("ops", case.name, name, ours=ours, note=f"not measured: {why}") for name, why in missing.items()
    ]


def _what_to_do(error: ImportError) -> str:
    extra = _EXTRAS.get(error.name or "")
    return f"pip install 'clip2[{extra}]'" if extra else str(error)


def farthest_points(count: int, k: int, contenders: tuple[str, ...], height: int) -> Case:
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
    chosen = {name: rivals[name] for name in contenders}
    return Case(f"fps_{count}_to_{k}", lambda: ops.farthest_point_sample(points, k), chosen)


def ball(count: int, queries: int, radius: float, k: int) -> Case:
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
            "textbook sort": lambda: lambda: textbook.ball(radius, k, points, centers),
            "open3d hybrid": open3d,
            "torch-cluster": torch_cluster,
        },
    )


def nearest(count: int, queries: int, k: int) -> Case:
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

    rivals = {"scipy cKDTree": scipy, "open3d": open3d}
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
        "open3d DBSCAN": open3d,
        "scipy cKDTree, graph": scipy,
        "our grid in numpy": grid,
    }
    return Case(
        f"components_{count}_at_{len(radii)}_radii", lambda: ops.radius_components(points, levels), rivals
    )


def segments(name: str, rows: int, channels: int, count: int) -> Case:
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

    rivals = {"torch-scatter": torch_scatter, "plain torch": plain}
    return Case(f"segment_{name}", lambda: reduce(values, index, count), rivals)


_SHORT, _MORE = 0.3, 5  # seconds of a turn of all contenders; times as many turns of those
_EXTRAS = {"fpsample": "bench", "torch_cluster": "bench", "torch_scatter": "scatter"}
_FPS = ("open3d", "fpsample kd-line", "torch-cluster", "textbook torch")
_FPS_LARGE = ("open3d", "fpsample kd-line")
CASES: dict[str, Callable[[], Case]] = {
    # kd-line heights: the fastest of those tried at each size.
    "fps_4096": lambda: farthest_points(4096, 1024, _FPS, height=5),
    "fps_100k": lambda: farthest_points(100_000, 4096, _FPS_LARGE, height=8),
    "ball_10k": lambda: ball(10_000, 512, 0.1, 32),
    "knn_100k": lambda: nearest(100_000, 100_000, 16),
    "components_50k": lambda: components(50_000, (0.02, 0.03, 0.04)),
    "knn_16k": lambda: nearest(1024, 16_384, 3),
    **{
        f"segment_{name}": lambda name=name: segments(name, 100_000, 64, 2000)  # type: ignore[misc]
        for name in ("sum", "mean", "max", "softmax")
    },
}
