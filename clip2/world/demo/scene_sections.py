"""Report sections on recognized scenes and free queries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np
from numpy.typing import NDArray

from clip2.recognition import Instances3D
from clip2.world.demo.layout import DemoPage, picture
from clip2.world.demo.queries import Hit, Recognized
from clip2.world.demo.result import DemoResult
from clip2.world.demo.scenes import NOTHING, Scene
from data_prep.geometry.planes import estimate_normals, main_direction, room_planes
from data_prep.report.cloud_data import cloud_figure
from data_prep.scans import Frame
from data_prep.world import Setting

_ORBIT = (
    "Drag to turn, shift-drag to move, click then wheel to zoom. Point at a label to highlight its objects."
)


def add_room(page: DemoPage, result: DemoResult) -> None:
    """The recognized room, opened towards the reader."""
    room = result.recognized["room"]
    page.heading("An unseen room")
    page.paragraph(
        f"Fused from {len(room.scene.frame.views)} depth images. Objects were found in the geometry alone, without "
        f"2D boxes, and named with {_asked(result, room)}. {_verdict(room, result)}"
    )
    _add_scene(page, room, "room", bool(result.words))


def add_street(page: DemoPage, result: DemoResult) -> None:
    """The recognized street."""
    street = result.recognized["street"]
    page.heading("An unseen street")
    page.paragraph(
        "One turn of a spinning LiDAR: no color, and fewer points with distance. Objects were again found by geometry alone and named with "
        f"{_asked(result, street)}. {_verdict(street, result)}"
    )
    _add_scene(page, street, "street", bool(result.words))


def add_queries(page: DemoPage, result: DemoResult) -> None:
    """Free queries to both scenes, each with the most similar objects."""
    if not result.queries:
        return
    page.heading("Ask for anything").paragraph(
        "Free-text queries to all objects found in the room and the street below. None of these phrases was ever a label: "
        "training saw category names and images, and the teacher's embedding space relates both to such phrases. Each row shows the four most "
        "similar objects with their true names. Queries were chosen so that at least one found object answers them."
    )
    albums = {setting: Album(one.scene.frame) for setting, one in result.recognized.items()}
    rows = []
    for query in result.queries:
        hits = [_hit(hit, result.recognized[hit.setting], albums[hit.setting]) for hit in query.hits]
        answers = (
            f"{query.answers} found objects answer it" if query.answers > 1 else "one found object answers it"
        )
        rows.append(
            f'<div class="query"><div><q>{escape(query.text)}</q><small>{answers}</small></div>'
            f'<div class="hits">{"".join(hits)}</div></div>'
        )
    page.html_part(f'<div class="queries">{"".join(rows)}</div>')


def _hit(hit: Hit, one: Recognized, album: Album) -> str:
    index = one.found.indices[hit.number]
    crop = album.crop(index)
    if crop is not None:
        media = picture(crop, hit.true_name)
    else:
        assert one.found.points is not None
        colors = None if one.found.colors is None else one.found.colors[index]
        media, _ = cloud_figure(one.found.points[index], colors, max_points=1500, height=92)
    kind, mark = ("yes", "✓") if hit.right else ("no", "✗")
    return (
        f'<div class="hit {kind}">{media}<div><b><span class="mark">{mark}</span>&nbsp;'
        f"{escape(hit.true_name or f'piece of the {hit.setting}')}</b>"
        f"<span>similarity {hit.similarity:.2f}</span></div></div>"
    )


def _add_scene(page: DemoPage, one: Recognized, setting: Setting, asked: bool) -> None:
    # Ground truth is known: pieces of wall are drawn without a box. The text gives their number.
    things = np.flatnonzero(np.array(one.named_truth, int) != NOTHING)
    found, truth = one.named[things], [one.named_truth[i] for i in things]
    points, colors, owners = _with_surroundings(found, one.scene)
    look = (open_room if setting == "room" else open_street)(points, owners)
    names = [one.scene.names[instance] for instance in truth]
    captions = [
        label if asked or label == name else f"{label} ({name})"
        for label, name in zip(found.labels, names, strict=True)
    ]
    page.scene(
        points[look.shown],
        None if colors is None else colors[look.shown],
        found.oriented_boxes(),
        captions,
        _ORBIT,
        labels=list(found.labels),
        owners=owners[look.shown],
        seen_from=look.seen_from,
    )


def _with_surroundings(
    found: Instances3D, scene: Scene
) -> tuple[NDArray[np.float64], NDArray[np.uint8] | None, NDArray[np.int64]]:
    """Points, colors and owners of a scene, with the far walls that were not searched for objects."""
    assert found.points is not None
    points, colors, owners = found.points, found.colors, found.owners()
    if scene.surroundings is None:
        return points, colors, owners
    more = scene.surroundings
    colors = None if colors is None or more.colors is None else np.concatenate([colors, more.colors])
    owners = np.concatenate([owners, np.full(len(more.points), NOTHING)])
    return np.concatenate([points, more.world_points()]), colors, owners


def _verdict(one: Recognized, result: DemoResult) -> str:
    figures = one.figures()
    found, things = figures["found"], figures["things"]
    walls = (
        f" The other {found - things} are pieces of wall or ground that geometry alone cannot tell from objects; on a real scan they would be labeled "
        "like any other object. They are gray here."
        if found > things
        else ""
    )
    if result.words:
        named = sum(instance != NOTHING for instance in one.named_truth)
        return (
            f"Of {found} objects found, {things} are real objects, and {named} of these fit one of the labels best; names of "
            f"other objects compete.{walls}"
        )
    return (
        f"Of {found} objects found, {things} are real objects, and {figures['named_right']} of these got the correct label; the true labels of the "
        f"others are in brackets.{walls}"
    )


def _asked(result: DemoResult, one: Recognized) -> str:
    if result.words:
        return f"the labels of the command line ({', '.join(result.words)})"
    return f"the {len(one.found.vocabulary)} labels of its setting"


_CELL = 4  # pixels, cell size of the grid of nearest depths per image
_MARGIN = 0.12  # margin around an object's points, as a share of their box
_HIDDEN = 0.12  # meters; a point this far behind the nearest of its cell is hidden
_SMALLEST = 12  # pixels; smaller crops are not recognizable


@dataclass(frozen=True)
class Outlook:
    """Drawn part of a scene and its first viewing direction.

    Attributes:
        shown: (N,) bool.
        seen_from: (3,) direction from the scene to the eye.
    """

    shown: NDArray[np.bool_]
    seen_from: NDArray[np.float64]


def open_room(points: NDArray[np.float64], owners: NDArray[np.int64]) -> Outlook:
    """Remove the ceiling and the two walls between the eye and the room.

    The eye is above the corner with the lowest furniture. Points of objects are kept.

    Args:
        points: (N, 3) meters, z-up.
        owners: (N,) object of each point, -1 for none.
    """
    thin = np.random.default_rng(0).permutation(len(points))[:60_000]
    normals, _ = estimate_normals(points[thin])
    yaw = main_direction(normals)
    level = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    flat = points[:, :2] @ level
    low, high = np.percentile(flat, [1, 99], axis=0)
    inside = (flat - low) / (high - low) * 2 - 1  # -1..1 between the walls
    height = points[:, 2] - np.percentile(points[:, 2], 1)
    area = float(np.prod(high - low)) + 2 * float((high - low).sum()) * 2.5
    planes = room_planes(points[thin], normals, np.full(len(thin), 2 * area / len(thin)))
    ceiling = float(np.median(points[thin][planes.ceiling, 2])) if planes.ceiling.any() else np.inf
    loose = owners < 0
    furniture = ~loose & (np.abs(inside) < 1.1).all(axis=1)

    def tallness(corner: tuple[int, int]) -> float:
        near = furniture & ((inside * corner) > 0.1).all(axis=1)
        return float(np.percentile(height[near], 90)) if near.any() else 0.0

    corner = np.array(min([(1, 1), (1, -1), (-1, 1), (-1, -1)], key=tallness))
    hides = ((inside * corner) > 0.93).any(axis=1) & (height > 0.12)
    shown = ~(loose & (hides | (points[:, 2] > ceiling - 0.15)))
    toward = level @ (corner * (1.0, 1.18))
    return Outlook(shown, np.array([*toward / np.linalg.norm(toward), 1.0]))


def open_street(points: NDArray[np.float64], owners: NDArray[np.int64], reach: float = 34.0) -> Outlook:
    """Keep the surroundings of the sensor, seen from behind and above it; the sensor looks along x."""
    middle = np.median(points, axis=0)
    shown = (np.abs(points[:, 0] - middle[0]) < reach) | (owners >= 0)
    return Outlook(shown, np.array([-0.75, -0.62, 0.62]))


class Album:
    """The images of a frame, each with its visible points.

    Args:
        frame: points, and images with cameras relative to them.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    @cached_property
    def _nearest(self) -> list[NDArray[np.float64]]:
        return [self._depth_map(number) for number in range(len(self._frame.views))]

    def crop(self, index: NDArray[np.int64]) -> NDArray[np.uint8] | None:
        """The crop that shows most of an object's points.

        Args:
            index: (n,) its points.

        Returns:
            (h, w, 3) uint8, or None: no image shows it.
        """
        best: tuple[float, NDArray[np.uint8]] | None = None
        for number, view in enumerate(self._frame.views):
            uv, depth = view.camera.project(self._frame.points[index])
            inside = view.camera.in_image(uv) & (depth > 0)
            columns, rows = (uv[inside] / _CELL).astype(int).T
            seen = np.zeros(len(index), bool)
            seen[inside] = (
                depth[inside] < self._nearest[number][rows, columns] + _HIDDEN + 0.02 * depth[inside]
            )
            if seen.sum() < max(3, 0.25 * len(index)):
                continue
            low, high = np.percentile(uv[seen], [1, 99], axis=0)
            grow = _MARGIN * (high - low) + 2
            x0, y0 = np.maximum(low - grow, 0).astype(int)
            x1, y1 = np.ceil(high + grow).astype(int)
            cut = view.image[y0:y1, x0:x1]
            # Both size and visibility count: the nearest image often shows a corner only.
            value = float(seen.mean() ** 2 * np.sqrt(np.prod(cut.shape[:2])))
            if min(cut.shape[:2]) >= _SMALLEST and (best is None or value > best[0]):
                best = value, cut
        return None if best is None else best[1]

    def _depth_map(self, number: int) -> NDArray[np.float64]:
        camera = self._frame.views[number].camera
        nearest = np.full((camera.height // _CELL + 1, camera.width // _CELL + 1), np.inf)
        uv, depth = camera.project(self._frame.points)
        inside = camera.in_image(uv) & (depth > 0)
        cells = (uv[inside] / _CELL).astype(int)
        np.minimum.at(nearest, (cells[:, 1], cells[:, 0]), depth[inside])
        return nearest
