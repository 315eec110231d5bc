"""Object proposals indoors: removal of floor, ceiling and walls, then a learned tree of surface regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clip2.recognition.proposals.groups import group_indices, owners
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

    def grow(self, judge: Judge) -> RegionTree:
        """The tree of regions."""
        return grow_tree(self.rest, self.leaf, self.support, self.floor_height, self.wall, judge)


def propose_room(points: NDArray, viewpoint: NDArray | None, colors: NDArray[np.uint8] | None) -> Proposals:
    """Proposals in a room; arguments as in :func:`propose_objects`."""
    room = read_room(points, viewpoint, colors)
    if room is None:
        return Proposals.join([], [])
    border = shipped_scorer("room-borders", BORDER_FEATURES)
    node = shipped_scorer("room-nodes", NODE_FEATURES)
    groups: list[NDArray[np.int64]] = []
    scores: list[float] = []
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
    return Proposals.join([found[i] for i in full], [scores[i] for i in full], [labels[i] for i in full])


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
    possible = (
        (tree.area >= _SMALLEST)
        & (np.exp(tree.features[:, 1]) >= _FEWEST - 0.5)
        & (tree.features[:, 2] <= _LARGEST)
    )
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
