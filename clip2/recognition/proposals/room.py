"""Object proposals indoors: removal of floor, ceiling and walls, then a learned tree of surface regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clip2.recognition.proposals.groups import group_indices, owners
from clip2.recognition.proposals.patches import colored_patches
from clip2.recognition.proposals.proposals import Proposals
from clip2.recognition.proposals.region_tree import (
    BORDER_FEATURES,
    NODE_FEATURES,
    Judge,
    RegionTree,
    first_regions,
    grow_tree,
)
from clip2.recognition.proposals.scorer import shipped_scorer
from clip2.recognition.proposals.surface import Surface, build_surface
from data_prep.geometry.planes import (
    RoomPlanes,
    close_plane,
    level_direction,
    main_direction,
    room_planes,
    support_planes,
)

_SURE = 0.15  # share of level surface below which z may not be up
_FRONT = 0.05  # m²: a drawer's front
_FOOT = 0.04  # m: reach of an object to its foot
_LARGEST = 4.0  # m, a corner sofa
_SMALLEST = 4e-4  # m²: the seen side of a thing of 2 cm
_FEWEST = 6  # elements
_WORTH = 0.02  # objectness below which a proposal costs more than it brings
# Of two parts beside each other the less likely object counts this much against their whole: the faces of a box can all
# look like objects.
_SECOND = 0.3
_SCENERY = 0.1  # of a sure part of the room, against a sure object; all three chosen on synthetic rooms and table tops
_OTHER = 0.1  # objectness from which another way to group points is proposed
_SAME = 0.6  # IoU with a better proposal from which it says nothing new
_FAINT = 0.15  # of the objectness of what it overlaps, below which it is no rival


@dataclass(frozen=True)
class RoomSurface:
    """An indoor cloud, ready for merging.

    Attributes:
        surface: all elements, turned so that walls follow the axes.
        planes: which of them are floor, ceiling and walls.
        rest: the other elements as a surface of their own.
        index: (R,) which elements these are.
        leaf: (R,) first region of each.
        support: (R,) True on level surfaces that things stand on.
        wall: (R,) True near a wall.
    """

    surface: Surface
    planes: RoomPlanes
    rest: Surface
    index: NDArray[np.int64]
    leaf: NDArray[np.int64]
    support: NDArray[np.bool_]
    wall: NDArray[np.bool_]

    @property
    def floor_height(self) -> float:
        """Of the floor, or of the lowest point where none is seen."""
        height = self.planes.floor_height
        return float(np.percentile(self.surface.points[:, 2], 0.5)) if height is None else height

    @property
    def leaf_points(self) -> NDArray[np.int64]:
        """(leaves,) number of the cloud's points in each first region."""
        inside = self.rest.element >= 0
        return np.bincount(self.leaf[self.rest.element[inside]], minlength=int(self.leaf.max()) + 1)

    def grow(self, judge: Judge, colored: bool = True) -> RegionTree:
        """The tree of regions; by shape alone if ``colored`` is false."""
        rest = self.rest if colored else replace(self.rest, colors=None)
        return grow_tree(rest, self.leaf, self.support, self.floor_height, self.wall, judge)


def propose_room(
    points: NDArray, viewpoint: NDArray | None, colors: NDArray[np.uint8] | None, alternatives: bool = True
) -> Proposals:
    """Proposals in a room; arguments as in :func:`propose_objects`."""
    room = read_room(points, viewpoint, colors)
    if room is None:
        return Proposals.join([], [])
    border = shipped_scorer("room-borders", BORDER_FEATURES)
    node = shipped_scorer("room-nodes", NODE_FEATURES)
    groups: list[NDArray[np.int64]] = []
    scores: list[float] = []
    others: list[NDArray[np.int64]] = []
    scores_of_others: list[float] = []
    background: dict[str, list[NDArray[np.int64]]] = {}
    if len(room.index):
        tree = room.grow(lambda rows, a, b: border(rows))
        judged = node(tree.features)
        nodes, is_object = choose_nodes(tree, judged[:, 0], judged[:, 2])
        owner = tree.leaf_owners(nodes)[room.leaf]
        parts = [room.index[group] for group in group_indices(owner, len(nodes))]
        for n, part, good in zip(nodes, parts, is_object, strict=True):
            if good:
                groups.append(part)
                scores.append(float(judged[n, 0]))
            else:
                label = background_label(dict(zip(NODE_FEATURES, tree.features[n], strict=True)))
                background.setdefault(label, []).append(part)
        if alternatives:
            judges = [(tree, judged[:, 0])]
            # Prints on things mislead in a single view; colors averaged over views help.
            if viewpoint is not None and colors is not None:
                plain = room.grow(lambda rows, a, b: border(rows), colored=False)
                judges.append((plain, node(plain.features)[:, 0]))
            chosen = [n for n, good in zip(nodes, is_object, strict=True) if good]
            masks, scores_of_others = other_groups(judges, chosen, room.leaf_points)
            in_group = np.zeros((len(masks), len(room.surface.points)), bool)
            in_group[:, room.index] = masks[:, room.leaf]
            others = [np.flatnonzero(mask[room.surface.element]) for mask in in_group]
    element = owners(groups, len(room.surface.points))
    _give_back_feet(room, element)
    for label in ("floor", "ceiling", "walls"):
        mine = np.flatnonzero(getattr(room.planes, label) & (element < 0))
        background.setdefault(label.removesuffix("s"), []).append(mine)
    labels: list[str | None] = [None] * len(groups)
    for name, regions in background.items():  # one proposal of each label
        element[np.concatenate(regions)] = len(labels)
        labels.append(name)
        scores.append(0.0)
    found = group_indices(element[room.surface.element], len(scores))
    full = [i for i, group in enumerate(found) if len(group)]
    return Proposals.join(
        [found[i] for i in full] + others,
        [scores[i] for i in full] + scores_of_others,
        [labels[i] for i in full] + [None] * len(others),
        [False] * len(full) + [True] * len(others),
    )


def read_room(
    points: NDArray, viewpoint: NDArray | None, colors: NDArray[np.uint8] | None
) -> RoomSurface | None:
    """Surface elements, room planes, supports and first regions; None for fewer than four elements."""
    surface = build_surface(points, viewpoint, colors)
    if surface is None:
        return None
    up, sure = level_direction(surface.normals, surface.area)
    if sure < _SURE and viewpoint is not None:
        seen = close_plane(surface.points, viewpoint)
        up = up if seen is None else seen
    surface = surface.turned(_to_z(up))
    # Turned to the walls, a grid cuts surfaces along their edges, and the result does not depend on the world's yaw.
    yaw = main_direction(surface.normals)
    c, s = np.cos(yaw), np.sin(yaw)
    surface = surface.turned(np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]))
    planes = room_planes(surface.points, surface.normals, surface.area)
    index = np.flatnonzero(~planes.any)
    rest = surface.part(index)
    if len(index) == 0:
        none = np.zeros(0, dtype=bool)
        return RoomSurface(surface, planes, rest, index, np.zeros(0, np.int64), none, none)
    number = support_planes(rest.points, rest.normals, rest.size, rest.pairs)
    patch = colored_patches(rest, number)
    a, b = rest.pairs.T
    # A magazine would join the table it lies on, and a table is to keep its outline: their border is taken away.
    rest = replace(rest, pairs=rest.pairs[(number[a] != number[b]) | (patch[a] == patch[b])])
    number[patch] = -1
    wall = np.zeros(len(index), dtype=bool)
    if planes.walls.any():
        distance, _ = cKDTree(surface.points[planes.walls]).query(rest.points, distance_upper_bound=0.1)
        wall = np.isfinite(distance)
    return RoomSurface(surface, planes, rest, index, first_regions(rest, number), number >= 0, wall)


def _to_z(up: NDArray) -> NDArray[np.float64]:
    """(3, 3) the smallest rotation that takes ``up`` to z."""
    x, y, z = up
    if z < -0.999:
        return np.diag([1.0, -1.0, -1.0])
    cross = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + z)


def choose_nodes(tree: RegionTree, objectness: NDArray, background: NDArray) -> tuple[list[int], list[bool]]:
    """Nodes without overlap that are expected to find the most objects, and whether each is one.

    Args:
        tree: of regions.
        objectness: (nodes,) probability that a node is one whole object.
        background: (nodes,) probability that it is part of the room.
    """
    possible = _possible(tree)
    own = np.where(possible, objectness - _WORTH, -1.0)
    scenery = np.where(possible | (tree.features[:, 2] > _LARGEST), _SCENERY * (background - 0.5), -1.0)
    # Plain lists: the walk reads single entries.
    alone, part = own.tolist(), scenery.tolist()
    best = np.maximum(np.maximum(own, scenery), 0.0).tolist()
    children = tree.children.tolist()
    for node in range(tree.leaves, len(best)):  # children come before their parents
        first, second = best[children[node][0]], best[children[node][1]]
        best[node] = max(best[node], max(first, second) + _SECOND * min(first, second))
    nodes, is_object = [], []
    stack = np.flatnonzero(tree.parent < 0).tolist()
    while stack:
        node = stack.pop()
        if best[node] <= 0:
            continue
        if best[node] in (alone[node], part[node]):
            nodes.append(node)
            is_object.append(best[node] == alone[node])
        else:
            stack += children[node]
    return nodes, is_object


def other_groups(
    trees: Sequence[tuple[RegionTree, NDArray]], chosen: Sequence[int], points: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], list[float]]:
    """Groups that are likely objects too, but share points with those chosen: the whole of two, a part of one.

    Args:
        trees: of the same first regions, each with the objectness (nodes,) of its nodes.
        chosen: nodes of the first tree.
        points: (leaves,) number of points in each first region.

    Returns:
        (K, leaves) members of at most as many groups as were chosen, and the objectness of each, the highest first.
    """
    candidates = [
        (float(judged[n]), tree.under(n))
        for tree, judged in trees
        for n in np.flatnonzero(_possible(tree) & (judged > _OTHER)).tolist()
    ]
    candidates.sort(key=lambda one: -one[0])
    weight = np.float32(points)
    members = np.zeros((2 * len(chosen), len(points)), np.float32)  # of groups so far
    judged = np.zeros(len(members))
    for row, n in enumerate(chosen):
        members[row, trees[0][0].under(n)], judged[row] = 1, trees[0][1][n]
    sizes, used = members @ weight, len(chosen)
    for score, leaves in candidates:
        if used == len(members):
            break
        size = weight[leaves].sum()
        shared = members[:used, leaves] @ weight[leaves]
        known = shared > _SAME * (sizes[:used] + size - shared)
        rival = shared > 0.5 * np.minimum(sizes[:used], size)
        if known.any() or score < _FAINT * judged[:used][rival].max(initial=0):
            continue
        members[used, leaves], sizes[used], judged[used] = 1, size, score
        used += 1
    return members[len(chosen) : used] > 0, judged[len(chosen) : used].tolist()


def _possible(tree: RegionTree) -> NDArray[np.bool_]:
    """(nodes,) True for regions of the size of an object."""
    return (
        (tree.area >= _SMALLEST)
        & (np.exp(tree.features[:, 1]) >= _FEWEST - 0.5)
        & (tree.features[:, 2] <= _LARGEST)
    )


def background_label(features: Mapping[str, float]) -> str:
    """What part of a room a region looks like, by its shape alone.

    Args:
        features: ``NODE_FEATURES`` of the region by name, meters.
    """
    flat = np.exp(features["flat"]) < 0.03
    height, middle, reach = features["height"], features["middle"], features["reach"]
    if flat and features["level"] < 0.3:
        width = reach if abs(height - middle) < abs(height - reach) else middle
        if 1.75 < height < 2.3 and 0.55 < width < 1.3 and features["bottom"] < 0.15:
            return "door"
        if height > 1.8 or np.exp(features["log_area"]) > 2.5:
            return "wall"
        return "cupboard front" if np.exp(features["log_area"]) > _FRONT else "clutter"
    if flat and features["level"] > 0.9:
        return (
            "ceiling" if features["bottom"] > 2.1 else "floor" if features["top"] < 0.1 else "level surface"
        )
    return "clutter"


def _give_back_feet(room: RoomSurface, owner: NDArray[np.int64]) -> None:
    """Extend objects down to the floor: their lowest points were taken for floor. Changes ``owner``."""
    points, normals = room.surface.points, room.surface.normals
    owned = np.flatnonzero(owner >= 0)
    if room.planes.floor_height is None or len(owned) == 0:
        return
    rises = (
        room.planes.floor & (points[:, 2] > room.planes.floor_height - _FOOT) & (np.abs(normals[:, 2]) < 0.9)
    )
    feet = np.flatnonzero(rises)
    if len(feet) == 0:
        return
    # An object above counts more than one beside: heights are scaled to a quarter.
    squash = np.array([1, 1, 0.25])
    distance, nearest = cKDTree(points[owned] * squash).query(points[feet] * squash)
    near = distance < _FOOT
    owner[feet[near]] = owner[owned[nearest[near]]]
