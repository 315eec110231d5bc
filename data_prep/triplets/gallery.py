"""One page to look at a triplet set: figures, points on images, crops beside clouds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry import Camera, Distortion, invert
from data_prep.geometry.transforms import transform_points
from data_prep.report import Card, Page
from data_prep.report.overlay import OverlayObject, draw_overlay, draw_zoom
from data_prep.scans import Scan, View, open_scan
from data_prep.triplets.figures import TripletFigures
from data_prep.triplets.reader import TripletSet
from data_prep.triplets.triplet import Triplet

CARDS, OVERLAYS, ZOOMS = 60, 6, 3
_WORDS_SHOWN = 40
_CROP_OVERLAYS = 12


def write_gallery(
    triplets: TripletSet, figures: TripletFigures, path: str | Path, scan_root: str | Path | None = None
) -> Path:
    """Write the page.

    Args:
        triplets: the set.
        figures: its figures.
        path: the HTML file.
        scan_root: where the scan is now; default: where it was mined. The overlays need its images; without
            them they are drawn on the crops, and the page says so.

    Raises:
        InputError: a shard cannot be read.
    """
    manifest = triplets.manifest
    page = Page(f"Triplets of {manifest.source}", intro=_intro(triplets, figures))
    _add_tables(page, figures)
    by_word: dict[str, list[str]] = defaultdict(list)
    by_view: dict[tuple[str, int], list[str]] = defaultdict(list)
    for entry in triplets.iter_entries():
        by_word[entry.texts[0]].append(entry.key)
        if "camera" in entry.provenance:
            by_view[entry.provenance["frame"], entry.provenance["view_index"]].append(entry.key)
    card_keys = _take_turns(by_word, CARDS)
    names = list(by_view)
    overlay_keys = {names[i]: by_view[names[i]] for i in _evenly(len(names), OVERLAYS)}
    chosen = triplets.select({*card_keys, *(key for keys in overlay_keys.values() for key in keys)})
    page.heading("Points on images")
    page.paragraph(f"{len(overlay_keys)} of {len(by_view):,} images with objects, spread over the set.")
    _add_overlays(page, triplets, overlay_keys, chosen, scan_root)
    page.heading("Objects")
    page.paragraph(
        f"{len(card_keys)} of {figures.objects:,} objects, the words taking turns. Each cloud turns with the mouse."
    )
    page.gallery([_card(chosen[key]) for key in card_keys])
    return page.write(path)


def camera_of(provenance: Any) -> Camera:
    """The camera that a triplet's provenance describes; ``T_points_cam`` leads to the points of its frame."""
    record = provenance["camera"]
    lens = record["distortion"]
    return Camera(
        np.array(record["K"]),
        record["width"],
        record["height"],
        np.array(record["T_points_cam"]),
        Distortion(lens["model"], tuple(lens["coefficients"])),
    )


def frame_points(triplet: Triplet) -> NDArray[np.float64]:
    """(n, 3) points of a mined triplet where its frame had them: the way back from the world."""
    world = triplet.points.astype(np.float64) + np.array(triplet.provenance["center"])
    return transform_points(invert(np.array(triplet.provenance["T_world_points"])), world)


def _intro(triplets: TripletSet, figures: TripletFigures) -> str:
    manifest = triplets.manifest
    totals = manifest.totals
    text = (
        f"{figures.objects:,} objects from {totals['frames']:,} frames, {totals['refused']:,} detections refused, "
        f"{totals['bad_frames']:,} bad frames; {len(manifest.shards)} shards, {totals['bytes'] / 1e6:.1f} MB. "
        f"Written by {manifest.software}."
    )
    if not manifest.finished:
        text += " The set is not finished: run the same command again to continue."
    if manifest.is_ground_truth:
        text += " The 2D boxes are labels, not a detector's."
    return text


def _add_tables(page: Page, figures: TripletFigures) -> None:
    page.heading("Figures")
    page.table(
        ["points per object", *(f"{p} %" if 0 < p < 100 else ("least", "most")[p // 100] for p in figures.points_per_object)],
        [["percentile", *(round(value) for value in figures.points_per_object.values())]] if figures.objects else [],
    )  # fmt: skip
    page.table(
        ["distance from the camera", "objects", "median points"],
        [[range_name(row.near, row.far), row.objects, round(row.median_points)] for row in figures.by_range],
    )
    shown = figures.words[:_WORDS_SHOWN]
    page.table(
        ["word", "objects", "median points"],
        [[row.word, row.objects, round(row.median_points)] for row in shown],
    )
    if len(figures.words) > len(shown):
        page.paragraph(f"The {len(shown)} most frequent of {len(figures.words):,} words.")
    refused = [[reason, count] for reason, count in figures.refusals.items()]
    refused += [[f"unusable in the file: {why}", count] for why, count in figures.skipped_detections.items()]
    if refused:
        page.table(["refused detections", "count"], refused)
    if figures.bad_frames:
        page.table(["bad frame", "why it was skipped"], [list(row) for row in figures.bad_frames[:50]])
        if len(figures.bad_frames) > 50:
            page.paragraph(f"The first 50 of {len(figures.bad_frames):,} bad frames.")


def range_name(near: float, far: float | None) -> str:
    """``5–10 m``, or ``80 m and more`` where there is no far end."""
    return f"{near:.0f} m and more" if far is None else f"{near:.0f}–{far:.0f} m"


def _take_turns(keys: Mapping[str, Sequence[str]], count: int) -> list[str]:
    """``count`` keys: the words take turns in giving one, each spreads its own evenly; grouped, frequent words first."""
    words = sorted(keys, key=lambda word: -len(keys[word]))
    turns = sorted((turn, place) for place, word in enumerate(words) for turn in range(len(keys[word])))[
        :count
    ]
    quota = Counter(place for _, place in turns)
    return [keys[word][i] for place, word in enumerate(words) for i in _evenly(len(keys[word]), quota[place])]


def _evenly(count: int, wanted: int) -> list[int]:
    return sorted({round(x) for x in np.linspace(0, count - 1, min(count, wanted))}) if count else []


def _add_overlays(
    page: Page,
    triplets: TripletSet,
    views: dict[tuple[str, int], list[str]],
    chosen: dict[str, Triplet],
    scan_root: str | Path | None,
) -> None:
    if not views:
        page.paragraph("These triplets were not mined from images, so there is nothing to draw on.")
        return
    try:
        scan = _open_scan(triplets, scan_root)
    except InputError as error:
        page.paragraph(
            f"The images of the scan cannot be opened ({error}), so objects are drawn on their own crops "
            "only and the surroundings cannot be judged. Name the scan's folder with --scan-root."
        )
        keys = [key for keys in views.values() for key in keys][:_CROP_OVERLAYS]
        page.gallery([_crop_card(chosen[key]) for key in keys if chosen[key].crop is not None])
        return
    page.paragraph(
        "Every point of the frame on its image, yellow near and blue far; mined objects in green to blue with their "
        "box. With a right calibration and pose, steps in depth run along outlines in the image; look at poles, "
        "roofs and the sides of near objects. The enlargements show the largest boxes on a depth scale of their own."
    )
    position = {id: index for index, id in enumerate(scan.frame_ids())}
    for (frame_id, view_index), keys in views.items():
        if frame_id not in position:
            page.paragraph(f"Frame {frame_id} is not drawn: the scan no longer has it.")
            continue
        try:
            frame = scan[position[frame_id]]
        except InputError as error:
            page.paragraph(f"Frame {frame_id} is not drawn: {error}")
            continue
        view = frame.views[view_index]
        objects = [_overlay_object(chosen[key]) for key in keys]
        caption = f"{view.name}: {len(objects)} objects, {len(frame.points):,} points"
        page.image(draw_overlay(view.image, view.camera, frame.points, objects), caption)
        if zooms := list(_zooms(view, frame.points, objects)):
            page.image(_side_by_side(zooms), "The largest boxes of this image, enlarged")


def _open_scan(triplets: TripletSet, scan_root: str | Path | None) -> Scan:
    manifest = triplets.manifest
    root = scan_root if scan_root is not None else manifest.root
    if root is None:
        raise InputError("names no folder of a scan", source=triplets.path / "manifest.json", field="root")
    return open_scan(manifest.source, root, **manifest.options.get("scan", {}))


def _overlay_object(triplet: Triplet) -> OverlayObject:
    record = triplet.provenance
    # A score of 1 is a label's, and tells nothing.
    caption = triplet.texts[0] if record["score"] == 1 else f"{triplet.texts[0]} {record['score']:.2f}"
    return OverlayObject(frame_points(triplet), np.array(record["box"]), caption)


def _zooms(view: View, points: NDArray, objects: Sequence[OverlayObject]) -> Iterator[NDArray[np.uint8]]:
    def area(item: OverlayObject) -> float:
        assert item.box is not None
        x0, y0, x1, y1 = item.box
        # A box that leaves the image or fills it has no outline to judge.
        inside = x0 > 1 and y0 > 1 and x1 < view.camera.width - 2 and y1 < view.camera.height - 2
        return float((x1 - x0) * (y1 - y0)) if inside else 0.0

    for item in sorted(objects, key=area, reverse=True)[:ZOOMS]:
        if area(item) > 0:
            assert item.box is not None
            yield draw_zoom(view.image, view.camera, points, item.box)


def _side_by_side(pictures: Sequence[NDArray[np.uint8]], gap: int = 8) -> NDArray[np.uint8]:
    space = np.full((pictures[0].shape[0], gap, 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, space)][:-1], axis=1)


def _card(triplet: Triplet) -> Card:
    return Card(
        title=", ".join(triplet.texts),
        lines=_facts(triplet),
        image=triplet.crop,
        points=triplet.points,
        colors=triplet.colors,
        seen_from=_to_camera(triplet.provenance),
    )


def _to_camera(provenance: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """Direction from a mined object to the camera of its crop, so that cloud and crop are seen from one side."""
    if "camera" not in provenance:
        return None
    T_world_points = np.array(provenance["T_world_points"])
    camera = transform_points(T_world_points, camera_of(provenance).T_points_cam[None, :3, 3])[0]
    return camera - np.array(provenance["center"])


def _crop_card(triplet: Triplet) -> Card:
    """The object's points by depth on its crop, which is all there is without the scan."""
    assert triplet.crop is not None
    x0, y0, x1, y1 = triplet.provenance["crop"]
    camera = camera_of(triplet.provenance)
    K = camera.K.copy()
    K[:2, 2] -= (x0, y0)
    cut = Camera(K, x1 - x0, y1 - y0, camera.T_points_cam, camera.distortion)
    image = draw_zoom(
        triplet.crop, cut, frame_points(triplet), np.array([0, 0, x1 - x0 - 1, y1 - y0 - 1]), context=0
    )
    return Card(title=triplet.texts[0], lines=_facts(triplet), image=image)


def _facts(triplet: Triplet) -> list[str]:
    record = triplet.provenance
    quality = record.get("quality") or {}
    points = f"{len(triplet.points):,} points"
    measured = quality.get("num_points")
    if measured and measured > len(triplet.points):
        points += f" of {measured:,}"
    if quality.get("median_range") is not None:
        points += f" at {quality['median_range']:.1f} m"
    facts = [points]
    if record.get("score") is not None:
        facts.append(f"score {record['score']:.2f}")
    facts.append(triplet.key)
    return facts
