"""Proposals from class-agnostic 2D masks: lifted, merged over frames, and joined with those from geometry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from clip2.recognition.proposals.groups import group_indices, owners
from clip2.recognition.proposals.lifted import lift_distinct
from clip2.recognition.proposals.proposals import Proposals
from data_prep.detect.detections import Detections2D
from data_prep.errors import InputError
from data_prep.geometry.transforms import invert, transform_points
from data_prep.lift.regions import ProjectedPoints
from data_prep.scans import Frame, View

MaskedFrames = Iterable[tuple[Frame, Sequence[Detections2D]]]

# Chosen on synthetic rooms and table tops, as all figures here.
_NOISE, _GROWTH = 0.01, 0.01  # m, and of the depth: deviation of a depth from the scan's surface
_VISIBLE = 0.5  # depth consistency above which a view sees a point
_MATCH = 0.3  # IoU, of what both could see, at which masks of two views are one object
_MEMBER = 0.5  # share of the views of a point that must put it into the object
_WHOLE = 0.8  # share of a region in an object above which all of it is the object's
_SPILL = 0.2  # share of a region in an object below which the mask ran over its edge
_LOST = 0.5  # share of a proposal in better ones above which it is none
_PART = 0.25  # share of a region up to which a mask in it is a thing that geometry did not part from it
_FEWEST = 10  # points


def propose_with_masks(points: NDArray, frames: MaskedFrames, geometry: Proposals | None = None) -> Proposals:
    """Find objects from 2D masks of any detector or segmenter, and from geometry where masks are missing.

    Each mask is lifted to points (:func:`data_prep.create_lifter`). Masks of several views are one object if they share the
    points that both views see, weighted by how well the depth of the view agrees with the scan (the matching and the weights
    of MV3DIS, CVPR 2026). A point belongs to an object if most of the views that see it say so. The regions of ``geometry``
    then mend what masks cut too small or too large, and of proposals that overlap the one of higher objectness stays.

    Args:
        points: (N, 3) meters, the scan in world axes: the points of a single frame in its order, or a cloud fused from all.
        frames: each with its detections, one set per view; read one at a time. Detections without a mask count by their box.
        geometry: proposals for the same points (:func:`propose_objects`), of which alternatives are not used; None: from
            masks alone.

    Returns:
        Proposals without overlap. The objectness of an object found by masks is the detector's mean score, times the share
        of its views that have a mask of it; a region of ``geometry`` that agrees raises it.

    Raises:
        InputError: points that are not finite (N, 3), detections that do not fit a frame's views, a mask of another size
            than its image, or ``geometry`` of other points.

    >>> from data_prep import open_scan
    >>> scan = open_scan("procedural", "tabletop", frames=1)
    >>> found = propose_with_masks(scan[0].world_points(), [(scan[0], scan.detections(0))])
    >>> len(found) > 0, found.background[0] is None
    (True, True)
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InputError(f"must be finite with shape (N, 3), got {points.shape}", field="points")
    geometry = Proposals.join([], []) if geometry is None else geometry.distinct()
    if any(len(index) and index[-1] >= len(points) for index in geometry.indices):
        raise InputError(
            "holds points that the scan has not", field="geometry", fix="give proposals of these points"
        )
    merger = _Merger(points)
    for frame, detections in frames:
        for seen in _view_masks(points, frame, detections):
            merger.add(seen)
    region = geometry.owners(len(points))
    groups, scores = [], []
    for track in merger.tracks:
        group = _mend(track, region, geometry)
        if len(group) >= _FEWEST:
            groups.append(group)
            scores.append(merger.objectness(track))
    return _join(groups, scores, geometry, region)


@dataclass(frozen=True)
class _ViewMasks:
    """What one view says of the scan: how surely it sees each point (N,), and which mask that is in, -1 for none."""

    weight: NDArray[np.float32]
    owner: NDArray[np.int64]
    scores: NDArray[np.float64]


def _view_masks(points: NDArray, frame: Frame, detections: Sequence[Detections2D]) -> Iterable[_ViewMasks]:
    lifted, scored, _ = lift_distinct(frame, detections, "masks", _FEWEST)
    own = len(points) == len(frame.points) and np.allclose(points, frame.world_points(), atol=1e-3)
    local = frame.points if own else transform_points(invert(frame.T_world_points), points, np.float64)
    for number, view in enumerate(frame.views):
        mine = [i for i, cloud in enumerate(lifted) if cloud.view == number]
        owner = owners([lifted[i].indices for i in mine], len(frame.points))
        scores = np.array([scored[i] for i in mine])
        uv, depth = view.camera.project(local)
        inside = np.flatnonzero(view.camera.in_image(uv))
        weight = np.zeros(len(points), np.float32)
        if own:
            weight[inside] = 1
            yield _ViewMasks(weight, owner, scores)
            continue
        found, measured = _look_up(frame, view, uv[inside])
        hit = found >= 0
        inside, found, measured = inside[hit], found[hit], measured[hit]
        off = (depth[inside] - measured) / (_NOISE + _GROWTH * measured)
        weight[inside] = np.exp(-0.5 * off**2)
        of_scan = np.full(len(points), -1)
        of_scan[inside] = owner[found]
        of_scan[weight < _VISIBLE] = -1
        yield _ViewMasks(weight, of_scan, scores)


def _look_up(frame: Frame, view: View, uv: NDArray) -> tuple[NDArray[np.int64], NDArray]:
    """Number and depth of the frame's nearest point in the cell of each pixel position (K, 2); -1 where there is none."""
    seen, camera = ProjectedPoints(frame.points, view.camera), view.camera
    # Cells as wide as the gaps between points: one pixel in a depth image, several in a LiDAR's.
    side = max(1, round(np.sqrt(camera.width * camera.height / max(len(seen), 1))))
    wide = -(-camera.width // side)
    nearest = np.full(wide * -(-camera.height // side), -1)
    order = np.argsort(-seen.depth, kind="stable")
    nearest[(seen.row.astype(np.int64) // side * wide + seen.column() // side)[order]] = order
    column, row = np.clip(np.floor(uv.T + 0.5).astype(np.int64), 0, [[camera.width - 1], [camera.height - 1]])
    which = nearest[row // side * wide + column // side]
    if len(seen) == 0:
        return which, np.zeros(len(which))
    return np.where(which >= 0, seen.indices[which], -1), seen.depth[which].astype(np.float64)


@dataclass
class _Track:
    """One object: points that a mask of it held, how many views held each, and how many saw it."""

    index: NDArray[np.int64]
    held: NDArray[np.int64]
    seen: NDArray[np.int64]
    views: list[int] = field(default_factory=list)
    score: float = 0.0
    trust: float = 0.0

    @property
    def member(self) -> NDArray[np.bool_]:
        """True for the points that most views put into the object."""
        return self.held > _MEMBER * self.seen


class _Merger:
    """Masks of view after view, assigned to objects."""

    def __init__(self, points: NDArray) -> None:
        self.tracks: list[_Track] = []
        self._count = len(points)
        self._known = np.zeros(len(points), dtype=bool)
        self._visible: list[
            NDArray[np.uint8]
        ] = []  # a bit per point: a view of a million points takes 125 kB

    def add(self, view: _ViewMasks) -> None:
        """Assign each mask of a view to one object at most."""
        number = len(self._visible)
        visible = view.weight >= _VISIBLE
        self._visible.append(np.packbits(visible))
        masks = len(view.scores)
        # What no view saw before says nothing against a match.
        old = (view.owner >= 0) & self._known
        area = np.bincount(view.owner[old], view.weight[old], minlength=masks)
        overlap = np.zeros((len(self.tracks), masks))
        for row, track in enumerate(self.tracks):
            solid = track.index[track.member]
            weight, owner = view.weight[solid], view.owner[solid]
            shared = np.bincount(owner[owner >= 0], weight[owner >= 0], minlength=masks)
            overlap[row] = shared / np.maximum(area + weight.sum() - shared, 1e-9)
        rows, columns = linear_sum_assignment(-overlap)
        partner = {
            int(c): self.tracks[r] for r, c in zip(rows, columns, strict=True) if overlap[r, c] >= _MATCH
        }
        for mask, index in enumerate(group_indices(view.owner, masks)):
            index = index[visible[index]]
            if len(index) == 0:
                continue
            if mask not in partner:
                none = np.zeros(0, np.int64)
                partner[mask] = _Track(none, none, none)
                self.tracks.append(partner[mask])
            self._extend(partner[mask], index, number)
            trust = float(view.weight[index].mean())
            partner[mask].score += trust * view.scores[mask]
            partner[mask].trust += trust
        self._known |= visible

    def objectness(self, track: _Track) -> float:
        """Mean score of an object's masks, times the share of the views of it that have one."""
        solid = track.index[track.member]
        seen = (
            np.array([self._sees(bits, solid).mean() for bits in self._visible])
            if len(solid)
            else np.zeros(1)
        )
        return float(track.score / track.trust * min(1.0, len(track.views) / max((seen > 0.5).sum(), 1)))

    def _extend(self, track: _Track, index: NDArray[np.int64], number: int) -> None:
        whole = np.union1d(track.index, index)
        old, new = np.searchsorted(whole, track.index), np.searchsorted(whole, index)
        track.views.append(number)
        held = np.zeros(len(whole), np.int64)
        held[old] = track.held
        held[new] += 1
        track.index, track.held = whole, held
        track.seen = np.sum(
            [self._sees(self._visible[s], whole) for s in track.views], axis=0, dtype=np.int64
        )

    @staticmethod
    def _sees(bits: NDArray[np.uint8], index: NDArray[np.int64]) -> NDArray[np.uint8]:
        return (bits[index >> 3] >> (7 - (index & 7)).astype(np.uint8)) & 1


def _mend(track: _Track, region: NDArray[np.int64], geometry: Proposals) -> NDArray[np.int64]:
    """Points of an object: regions of geometry that are nearly all in it are whole, those that it only touches are not."""
    member = track.member
    group = track.index[member]
    in_region = np.bincount(region[group] + 1, minlength=len(geometry) + 1)[1:]
    missed = np.bincount(region[track.index[~member]] + 1, minlength=len(geometry) + 1)[1:]
    size = np.array([len(index) for index in geometry.indices], np.int64)
    parts = [group[region[group] < 0]]
    for number in np.flatnonzero(in_region):
        mine = group[region[group] == number]
        share = in_region[number] / size[number]
        if geometry.background[number] is not None:
            # A mask of a wall is no object; a picture on it is.
            if share < _LOST and len(mine) >= _SPILL * len(group):
                parts.append(mine)
        elif share - missed[number] / size[number] >= _WHOLE:
            parts.append(geometry.indices[number])
        elif share >= _SPILL or len(mine) >= _SPILL * len(group):
            parts.append(mine)
    return np.sort(np.concatenate(parts))


def _join(
    groups: list[NDArray[np.int64]], scores: list[float], geometry: Proposals, region: NDArray[np.int64]
) -> Proposals:
    """Non-maximum suppression of both kinds of proposals: of two that overlap the better one keeps the points."""
    objects = geometry.objects()
    raised = [
        1 - (1 - score) * (1 - _agreement(group, geometry, region))
        for group, score in zip(groups, scores, strict=True)
    ]
    candidates = groups + list(objects.indices)
    objectness = np.array(raised + objects.objectness.tolist())
    size = np.array([*(len(index) for index in geometry.indices), 0])  # the last: of no region
    owner = np.full(len(region), -1)  # which candidate has each point
    for i in np.argsort(-objectness, kind="stable"):
        index = candidates[i]
        free = owner[index] < 0
        if i < len(groups):
            # A book on a table of which geometry makes one: the table stays what it is without the book.
            free |= (owner[index] >= len(groups)) & (_PART * size[region[index]] > len(index))
        if free.sum() > _LOST * len(index):
            owner[index[free]] = i
    kept = [index for index in group_indices(owner, len(candidates)) if len(index)]
    kept_scores = [float(objectness[owner[index[0]]]) for index in kept]
    taken = owner >= 0
    labels: list[str | None] = [None] * len(kept)
    for index, score, label in zip(
        geometry.indices, geometry.objectness.tolist(), geometry.background, strict=True
    ):
        free = index[~taken[index]]
        if label is not None and len(free):
            kept.append(free)
            kept_scores.append(score)
            labels.append(label)
    return Proposals.join(kept, kept_scores, labels)


def _agreement(group: NDArray[np.int64], geometry: Proposals, region: NDArray[np.int64]) -> float:
    """Objectness of the region of geometry that shares half of its union with the group; 0 if there is none."""
    inside = region[group]
    if not (inside >= 0).any():
        return 0.0
    shared = np.bincount(inside[inside >= 0])
    number = int(shared.argmax())
    union = len(group) + len(geometry.indices[number]) - shared[number]
    found = geometry.background[number] is None and shared[number] > 0.5 * union
    return float(geometry.objectness[number]) if found else 0.0
