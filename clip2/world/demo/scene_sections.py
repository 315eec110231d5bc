"""The sections that show recognized scenes, and what free questions found in them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.recognition import Instances3D
from clip2.world.demo.layout import DemoPage, picture
from clip2.world.demo.pictures import Album, open_room, open_street
from clip2.world.demo.queries import Hit, Recognized
from clip2.world.demo.scenes import NOTHING, Scene
from data_prep.report.cloud_data import cloud_figure
from data_prep.world import Setting

if TYPE_CHECKING:
    from clip2.world.demo.stages import DemoResult

_ORBIT = (
    "Drag to turn, shift-drag to move, click then wheel to zoom. Point at a word to light its objects up."
)


def add_room(page: DemoPage, result: DemoResult) -> None:
    """The recognized room, opened towards the reader."""
    room = result.recognized["room"]
    page.heading("A room it has never seen")
    page.paragraph(
        f"Put together from {len(room.scene.frame.views)} depth pictures. Objects were searched in the geometry alone, without "
        f"2D boxes, and named with {_asked(result, room)}. {_verdict(room, result)}"
    )
    _add_scene(page, room, "room", bool(result.words))


def add_street(page: DemoPage, result: DemoResult) -> None:
    """The recognized street."""
    street = result.recognized["street"]
    page.heading("A street it has never seen")
    page.paragraph(
        "One turn of a spinning LiDAR: no color, and fewer points the further away. Again nothing but geometry, named with "
        f"{_asked(result, street)}. {_verdict(street, result)}"
    )
    _add_scene(page, street, "street", bool(result.words))


def add_queries(page: DemoPage, result: DemoResult) -> None:
    """Free questions to both scenes, each with the objects that come closest."""
    if not result.queries:
        return
    page.heading("Ask for anything").paragraph(
        "Free questions to everything found in the room and in the street below. None of these phrases was ever a label: "
        "training saw names of things and pictures, and the teacher's space ties both to such words. Each shows the four most "
        "similar things, with what they really are. Questions were chosen so that something found answers them."
    )
    albums = {setting: Album(one.scene.frame) for setting, one in result.recognized.items()}
    rows = []
    for query in result.queries:
        hits = [_hit(hit, result.recognized[hit.setting], albums[hit.setting]) for hit in query.hits]
        answers = (
            f"{query.answers} things found answer it" if query.answers > 1 else "one thing found answers it"
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
    # Truth is known here: pieces of wall stay part of the picture without a box. The text says how many there are.
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
        list(found.labels),
        owners[look.shown],
        seen_from=look.seen_from,
        caption=_ORBIT,
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
        f" The other {found - things} are pieces of wall or ground that geometry cannot tell from things; they would get a word "
        "like everything else, and are left gray here."
        if found > things
        else ""
    )
    if result.words:
        named = sum(instance != NOTHING for instance in one.named_truth)
        return (
            f"Of {found} objects found, {things} are things, and {named} of these are best described by one of the words; names of "
            f"other things compete.{walls}"
        )
    return (
        f"Of {found} objects found, {things} are things, and {figures['named_right']} of these got exactly their word; what the "
        f"others are stands in brackets.{walls}"
    )


def _asked(result: DemoResult, one: Recognized) -> str:
    if result.words:
        return f"the words of the command line ({', '.join(result.words)})"
    return f"the {len(one.found.vocabulary)} words of its setting"
