"""Training of the indoor proposal scorers on synthetic rooms and table tops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.proposals.region_tree import BORDER_FEATURES, NODE_FEATURES, RegionTree
from clip2.recognition.proposals.room import RoomSurface, choose_nodes, read_room
from clip2.recognition.proposals.scorer import Scorer
from clip2.world.proposals.fit import calibrated, fit_scorer
from data_prep.errors import BadFrameError
from data_prep.geometry.voxels import voxel_index
from data_prep.world import ProceduralScan
from data_prep.world.sensors import DEPTH_CAMERAS
from data_prep.world.world import Footprints

ROUNDS = 3  # of growing trees with the last round's scorer and learning from its mistakes
_BORDERS, _NODES = 3000, 600  # examples kept per scan
_CALIBRATE = 6  # one cloud in so many is kept for calibration
_PURE = 0.8  # share of one object's points in a region whose borders teach fully


@dataclass(frozen=True)
class Cloud:
    """A cloud with its truth: instance of each point, -1 for the room itself."""

    points: NDArray[np.float64]
    colors: NDArray[np.uint8] | None
    viewpoint: NDArray[np.float64] | None
    instances: NDArray[np.int32]


def training_clouds(count: int, seed: int) -> Iterator[Cloud]:
    """Single frames of rooms and table tops, fused ones, and bare boxes; half of them without color.

    Args:
        count: of each of the four kinds.
        seed: of the worlds; use another for clouds that are held out.
    """
    random = np.random.default_rng(seed)
    sizes, cameras = ((320, 240), (424, 320), (640, 480)), tuple(DEPTH_CAMERAS)
    for number in range(2 * count):
        scan = ProceduralScan(
            ("room", "tabletop")[number % 2],
            seed=1_000_000 * (seed + 1) + number,
            assemblies=4,
            image_size=sizes[number // 2 % 3],
            depth_camera=cameras[number // 2 % 4],
        )
        try:
            yield _single(scan, int(random.integers(len(scan))), random)
        except BadFrameError:  # a camera nearer than its shortest range sees nothing
            continue
    for number in range(count):
        # Every third is like a mesh: no noise, seen from all around.
        setting, whole = ("tabletop", "room", "room", "room")[number % 4], number % 3 == 0
        scan = ProceduralScan(
            setting,
            12,
            1_000_000 * (seed + 1) + number,
            assemblies=4,
            noise=not whole,
            depth_camera=cameras[number % 4],
        )
        yield _fused(scan, 12 if whole else int(random.integers(2, 9)), random)
    for _ in range(count):
        yield bare_boxes(random)


def _single(scan: ProceduralScan, index: int, random: np.random.Generator) -> Cloud:
    frame = scan[index]
    colors = frame.colors if random.random() < 0.5 else None
    return Cloud(
        frame.world_points(), colors, frame.T_world_points[:3, 3], scan.ground_truth(index).instances
    )


def _fused(scan: ProceduralScan, count: int, random: np.random.Generator) -> Cloud:
    views = sorted(random.choice(len(scan), count, replace=False).tolist())
    seen = [(scan[i], scan.ground_truth(i)) for i in views]
    points = np.concatenate([frame.world_points() for frame, _ in seen])
    colors = np.concatenate([np.asarray(frame.colors) for frame, _ in seen])
    truth = np.concatenate([known.instances for _, known in seen])
    first, _ = voxel_index(points, float(random.choice([0.01, 0.02, 0.03])))
    printed = _printed(points[first], colors[first], random) if random.random() < 0.5 else None
    return Cloud(points[first], printed, None, truth[first])


def _printed(points: NDArray, colors: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Colors with patches of 2 to 15 cm repainted: real things carry prints and labels, synthetic ones hardly do."""
    size = float(np.exp(random.uniform(np.log(0.02), np.log(0.15))))
    cell = np.unique(
        np.floor(points / size + random.random(3)).astype(np.int64), axis=0, return_inverse=True
    )[1]
    count = int(cell.max()) + 1
    share = np.where(random.random(count) < random.uniform(0, 0.6), random.uniform(0.2, 1.0, count), 0.0)
    paint = random.uniform(0, 255, (count, 3))
    mixed = colors + share[cell.reshape(-1), None] * (paint[cell.reshape(-1)] - colors)
    return mixed.astype(np.uint8)


def bare_boxes(random: np.random.Generator) -> Cloud:
    """Boxes on bare ground, as a modeling program samples them: whole, exact, on a grid or at random."""
    side = float(random.uniform(1.5, 6))
    density = float(random.uniform(80, 400)) / side  # points per meter, 0.4 to 8 cm apart
    taken, clouds, owners = Footprints(), [], []
    corners: list[tuple[NDArray, NDArray, NDArray]] = []
    for number in range(int(random.integers(1, 8))):
        size = np.exp(random.uniform(np.log(0.1), np.log(2.2), 3)) * min(1.0, side / 4)
        at, yaw = random.uniform(-0.4, 0.4, 2) * side, float(random.uniform(-np.pi, np.pi))
        if not taken.claim((float(at[0]), float(at[1])), (float(size[0]), float(size[1])), yaw, 0.03):
            continue
        c, s = np.cos(yaw), np.sin(yaw)
        R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        faces = [
            _face(size, axis, end, density, random)
            for axis, end in ((0, -1), (0, 1), (1, -1), (1, 1), (2, 1))
        ]
        cloud = np.concatenate(faces) @ R.T + [*at, size[2] / 2]
        clouds.append(cloud)
        owners.append(np.full(len(cloud), number))
        corners.append((at, size, R))
    ground = _face(np.array([side, side, 0.0]), 2, 1, density, random)
    for at, size, R in corners:
        local = (ground - [*at, 0]) @ R
        ground = ground[(np.abs(local[:, :2]) > size[:2] / 2).any(axis=1)]
    points = np.concatenate([*clouds, ground])
    truth = np.concatenate([*owners, np.full(len(ground), -1)]).astype(np.int32)
    return Cloud(points, None, None, truth)


def _face(size: NDArray, axis: int, end: int, density: float, random: np.random.Generator) -> NDArray:
    """Points of one face of a box around the origin; exact grid points half of the time."""
    across = [k for k in range(3) if k != axis]
    counts = np.maximum((size[across] * density).astype(int), 2)
    if random.random() < 0.5:
        u, v = (g.ravel() for g in np.meshgrid(*(np.linspace(-0.5, 0.5, n) for n in counts)))
    else:
        u, v = random.uniform(-0.5, 0.5, (2, int(counts.prod())))
    points = np.zeros((len(u), 3))
    points[:, across[0]], points[:, across[1]] = u * size[across[0]], v * size[across[1]]
    points[:, axis] = end * size[axis] / 2
    return points


# A cloud ready for merging, points of its leaves by instance, and of its instances.
_Known = tuple[RoomSurface, NDArray[np.int64], NDArray[np.int64]]


class _Examples:
    def __init__(self) -> None:
        self.rows: list[NDArray] = []
        self.targets: list[NDArray] = []
        self.weights: list[NDArray] = []

    def add(self, rows: NDArray, targets: NDArray, weights: NDArray) -> None:
        self.rows.append(rows.astype(np.float32))
        self.targets.append(targets.astype(np.float32))
        self.weights.append(weights.astype(np.float32))

    def fit(self, features: tuple[str, ...], seed: int, epochs: int) -> Scorer:
        rows, targets = np.concatenate(self.rows), np.concatenate(self.targets)
        return fit_scorer(features, rows, targets, np.concatenate(self.weights), (48, 32), epochs, seed)


def train(
    clouds: Iterable[Cloud], seed: int = 0, report: Callable[[str], None] = print
) -> tuple[Scorer, Scorer]:
    """Learn which borders part objects and which regions are objects.

    Args:
        clouds: with truth; gone through once per round, and read once.
        seed: of the networks and the choice of examples.
        report: receives a line per round.

    Returns:
        The scorers ``room-borders`` and ``room-nodes``.
    """
    random = np.random.default_rng(seed)
    rooms: list[_Known] = []
    held_out: list[_Known] = []
    for number, cloud in enumerate(clouds):
        room = read_room(cloud.points, cloud.viewpoint, cloud.colors)
        if room is not None and len(room.index):
            known = (room, leaf_counts(room, cloud.instances), instance_sizes(cloud.instances))
            (held_out if number % _CALIBRATE == 0 else rooms).append(known)
    borders = _Examples()
    scorer: Scorer | None = None
    nodes = _Examples()
    for number in range(ROUNDS + 1):
        nodes = _Examples()
        for room, leaves, sizes in rooms:
            asked: list[tuple[NDArray, NDArray, NDArray]] = []
            tree = room.grow(partial(_recording, asked, scorer))
            counts = node_counts(tree, leaves)
            if number < ROUNDS and asked:  # a single region has no borders
                _border_examples(borders, asked, counts, random)
            _node_examples(nodes, tree, counts, sizes, random)
        if number < ROUNDS:
            scorer = borders.fit(BORDER_FEATURES, seed, 8)
        best = np.mean([float(t[:, 0].mean()) for t in nodes.targets])
        report(
            f"round {number}: {sum(map(len, borders.rows)):,} borders, {best:.3f} of the regions are objects"
        )
    assert scorer is not None
    return scorer, _calibrated(scorer, nodes.fit(NODE_FEATURES, seed, 30), held_out, report)


def _calibrated(
    border: Scorer,
    node: Scorer,
    rooms: Sequence[_Known],
    report: Callable[[str], None],
) -> Scorer:
    """The node scorer with its objectness corrected on chosen nodes of other clouds: choosing prefers what is overrated."""
    said, true = [np.zeros(0)], [np.zeros(0, bool)]
    for room, leaves, sizes in rooms:
        tree = room.grow(lambda rows, a, b: border(rows))
        judged = node(tree.features)
        chosen, is_object = choose_nodes(tree, judged[:, 0], judged[:, 2])
        picked = np.array([n for n, good in zip(chosen, is_object, strict=True) if good], dtype=np.int64)
        iou, _ = node_targets(node_counts(tree, leaves)[picked], sizes)
        said.append(judged[picked, 0])
        true.append(iou >= 0.5)
    score, hit = np.concatenate(said), np.concatenate(true)
    report(
        f"{len(hit)} chosen regions of other clouds: {score.mean():.2f} said, {hit.mean():.2f} are objects"
    )
    return calibrated(node, score, hit)


def _recording(
    asked: list[tuple[NDArray, NDArray, NDArray]],
    scorer: Scorer | None,
    rows: NDArray,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
) -> NDArray:
    asked.append((rows, a, b))
    if scorer is not None:
        return scorer(rows)
    # To begin with: concave borders and steps part objects (after LCCP, Stein et al., CVPR 2014).
    concave, step, turn = (rows[:, BORDER_FEATURES.index(name)] for name in ("concavity", "step", "turn"))
    return np.clip(0.8 * concave + 0.2 * turn + 0.3 * step, 0, 0.98)


def leaf_counts(room: RoomSurface, instances: NDArray[np.int32]) -> NDArray[np.int64]:
    """(leaves, 1 + instances) points of each leaf by instance; column 0 is the room itself."""
    _, known = np.unique(instances, return_inverse=True)
    known = known.reshape(-1) + (0 if (instances < 0).any() else 1)
    element = room.rest.element
    inside = element >= 0
    leaf = room.leaf[element[inside]]
    width = int(known.max()) + 1
    counts = np.bincount(leaf * width + known[inside], minlength=(int(room.leaf.max()) + 1) * width)
    return counts.reshape(-1, width)


def instance_sizes(instances: NDArray[np.int32]) -> NDArray[np.int64]:
    """(1 + instances,) points of each in the whole cloud; entry 0 is the room itself."""
    return np.array([(instances < 0).sum(), *np.unique(instances[instances >= 0], return_counts=True)[1]])


def node_counts(tree: RegionTree, leaves: NDArray[np.int64]) -> NDArray[np.int64]:
    """(nodes, 1 + instances) points of each node by instance."""
    counts = np.zeros((len(tree.children), leaves.shape[1]), dtype=np.int64)
    counts[: len(leaves)] = leaves
    for node in range(tree.leaves, len(counts)):
        counts[node] = counts[tree.children[node]].sum(axis=0)
    return counts


def _border_examples(
    examples: _Examples,
    asked: list[tuple[NDArray, NDArray, NDArray]],
    counts: NDArray[np.int64],
    random: np.random.Generator,
) -> None:
    rows, a, b = (np.concatenate(parts) for parts in zip(*asked, strict=True))
    pick = random.choice(len(rows), min(_BORDERS, len(rows)), replace=False)
    rows, a, b = rows[pick], a[pick], b[pick]
    first, second = counts[a].argmax(axis=1), counts[b].argmax(axis=1)
    pure = np.minimum(*(counts[n].max(axis=1) / np.maximum(counts[n].sum(axis=1), 1) for n in (a, b)))
    weight = np.clip(np.exp(rows[:, 0] / 2) / 0.05, 0.2, 3.0)
    weight = weight * np.where(pure < _PURE, 0.3, 1.0) * np.where((first == 0) & (second == 0), 0.3, 1.0)
    examples.add(rows, first != second, weight)


def node_targets(counts: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
    """Best IoU of each node with an object, and share of its points on the room itself."""
    total = counts.sum(axis=1, keepdims=True)
    iou = counts[:, 1:] / np.maximum(total + sizes[None, 1:] - counts[:, 1:], 1)
    return iou.max(axis=1, initial=0.0), counts[:, 0] / np.maximum(total[:, 0], 1)


def _node_examples(
    examples: _Examples,
    tree: RegionTree,
    counts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    random: np.random.Generator,
) -> None:
    iou, scenery = node_targets(counts, sizes)
    possible = np.flatnonzero(np.exp(tree.features[:, 1]) >= 5.5)
    pick = possible if len(possible) <= _NODES else random.choice(possible, _NODES, replace=False)
    targets = np.column_stack([iou[pick] >= 0.5, iou[pick], scenery[pick] > 0.5])
    examples.add(tree.features[pick], targets, np.ones(len(pick)))


def save(scorers: tuple[Scorer, Scorer], folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, scorer in zip(("room-borders", "room-nodes"), scorers, strict=True):
        scorer.save(folder / f"{name}.safetensors")
