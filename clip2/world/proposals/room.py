"""Training of the indoor proposal scorers on synthetic rooms and table tops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.recognition.proposals.region_tree import BORDER_FEATURES, NODE_FEATURES, RegionTree
from clip2.recognition.proposals.room import RoomSurface, choose_nodes, read_room
from clip2.recognition.proposals.scorer import Scorer
from clip2.world.proposals.clouds import Cloud
from clip2.world.proposals.fit import calibrated, fit_scorer

ROUNDS = 3  # of growing trees with the last round's scorer and learning from its mistakes
_BORDERS, _NODES = 3000, 600  # examples kept per scan
_CALIBRATE = 6  # one cloud in so many is kept for calibration
_PURE = 0.8  # share of one object's points in a region whose borders teach fully


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
