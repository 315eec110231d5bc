"""Every promise about speed and memory, with its words."""

from __future__ import annotations

from benchmarks.record import Target

_OPS_FPS = "exact FPS 4096→1024: ≥ 8× open3d, ≥ 2.5× fpsample's kd-line, ≥ 50× torch-cluster"
_OPS_FPS_LARGE = "FPS 100k→4096: ≥ 12× open3d, ≥ 1× kd-line"
_BALL = "ball query, 10k points, 512 centers, r 0.1, k 32: ≥ 60× the textbook sort-based version, ≥ 3× open3d hybrid"
_SEGMENTS = "segment reductions 100k×64→2k: ≥ 2× torch-scatter"
_ENCODER = (
    "SSG, same weights: ≥ 4× the textbook batched at 1024 points, ≥ 7× at 10k, ≥ 2× one object at a time"
)
_MEMORY = "peak memory 16×1024 ≤ 0.65× textbook"
_LOADER = "triplet loader: ≥ 2.5× samples/s and ≤ 0.35× bytes of per-object pickled npy"
_SCAN = "scan memory: ≤ 0.35× Open3D's for 1M colored points"


def _least(value: float, source: str) -> Target:
    return Target("at least", value, source)


def _most(value: float, source: str) -> Target:
    return Target("at most", value, source)


# (benchmark, case, contender) → what was promised.
TARGETS: dict[tuple[str, str, str], Target] = {
    ("ops", "fps_4096_to_1024", "open3d"): _least(8, _OPS_FPS),
    ("ops", "fps_4096_to_1024", "fpsample kd-line"): _least(2.5, _OPS_FPS),
    ("ops", "fps_4096_to_1024", "torch-cluster"): _least(50, _OPS_FPS),
    ("ops", "fps_100000_to_4096", "open3d"): _least(12, _OPS_FPS_LARGE),
    ("ops", "fps_100000_to_4096", "fpsample kd-line"): _least(1, _OPS_FPS_LARGE),
    ("ops", "ball_10000_512", "textbook sort"): _least(60, _BALL),
    ("ops", "ball_10000_512", "open3d hybrid"): _least(3, _BALL),
    ("ops", "knn_100000_100000_k16", "scipy cKDTree"): _least(
        1, "kNN 100k×100k k=16 ≥ 1× scipy's cKDTree on two cores"
    ),
    **{
        ("ops", f"segment_{name}", "torch-scatter"): _least(2, _SEGMENTS)
        for name in ("sum", "mean", "max", "softmax")
    },
    ("encoder", "batch_1024", "textbook"): _least(4, _ENCODER),
    ("encoder", "batch_10k", "textbook"): _least(7, _ENCODER),
    ("encoder", "one_by_one_1024", "textbook"): _least(2, _ENCODER),
    ("encoder", "training_step_1024", "textbook"): _least(3, "training step: ≥ 3× the textbook's"),
    ("encoder", "relative error of a training step's gradients", ""): Target(
        "at most", 1e-4, "training step: same gradients (rel. 1e-4)", "ours"
    ),
    ("encoder", "batch_1024", "ours in float32"): _least(1.6, "bf16 ≥ 1.6× our float32 at cosine ≥ 0.999"),
    ("encoder", "largest relative error", ""): Target(
        "at most", 1e-5, "relative error ≤ 1e-5 in float32", "ours"
    ),
    ("encoder", "smallest cosine of bf16", ""): Target("at least", 0.999, "bf16 at cosine ≥ 0.999", "ours"),
    ("encoder", "GFLOP/s", "plain matrix product"): _least(
        0.6, "GFLOP/s of the encoder ≥ 0.6 of the same machine's plain matrix product"
    ),
    ("memory", "encoder 16 x 1024", "textbook"): _most(0.65, _MEMORY),
    ("memory", "scan of 1M colored points", "open3d"): _most(0.35, _SCAN),
    ("memory", "scan of 1M colored points set in a Recognizer", "open3d"): _most(0.35, _SCAN),
    ("lift", "30 boxes in 307k points", "project again per box"): _least(
        20, "lift 307k×30, identical sets: ≥ 20× the loop per box"
    ),
    ("lift", "30 boxes in 307k points", "project once, mask per box"): _least(
        2.5, "lift 307k×30, identical sets: ≥ 2.5× projecting once and masking"
    ),
    ("lift", "10000 points in 4 blobs", "Open3D DBSCAN"): _least(
        8, "clusters of 10k / 50k points: ≥ 8× / ≥ 40× DBSCAN"
    ),
    ("lift", "50000 points in 4 blobs", "Open3D DBSCAN"): _least(
        40, "clusters of 10k / 50k points: ≥ 8× / ≥ 40× DBSCAN"
    ),
    ("zero_shot", "100 objects x 1156 words", "text tower of ViT-B/32"): _least(
        1000, "zero-shot over cached text: 100 objects × 1156 classes ≥ 1000× the uncached way"
    ),
    ("zero_shot", "text towers loaded after a restart", ""): Target(
        "at most", 0, "no text-encoder call after a restart", "ours"
    ),
    ("loader", "mined objects: samples/s", "pickled npy"): _least(2.5, _LOADER),
    ("loader", "mined objects: bytes", "pickled npy"): _most(0.35, _LOADER),
    ("loader", "dense shapes: samples/s", "pickled npy"): _least(2.5, _LOADER),
    ("loader", "dense shapes: bytes", "pickled npy"): _most(0.35, _LOADER),
    ("recognition", "whole sweep: proposals, encode, label", ""): Target(
        "at most",
        100,
        "whole-scan recognition on the real KITTI sweep: proposals + encode + label ≤ 100 ms p50 on two cores is the dream",
        "ours",
    ),
    ("gpu", "encoder bf16, 128 x 1024: objects/s", ""): Target(
        "at least", 20_000, "on an H200: bf16 B=128 N=1024 ≥ 20k objects/s", "ours"
    ),
    ("gpu", "30 x 1024 with a CUDA graph: p99", ""): Target(
        "at most", 5, "on an H200: 30 objects × 1024 points p99 ≤ 5 ms with CUDA graphs", "ours"
    ),
    ("gpu", "FPS 16 x 10k to 2500", "eager torch"): _least(
        5, "on an H200: FPS 16×10k→2500 ≥ 5× a plain CUDA-eager version"
    ),
}
